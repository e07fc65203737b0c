"""Bugs that are planted one by one, each of which the machine has to notice; else it proves nothing.

    python -m tests.lifecycle.sabotage          all of them, with how many examples each took
    python -m tests.lifecycle.sabotage WORD…    those whose names have one of the words

Those of the rules are planted in the pure simulation, too. Ends with 1 if one of them goes unnoticed by both, or if
either goes red with none of them.
"""

import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from structlog.testing import capture_logs

from app.ids import mint_refund_no, new_uuid
from app.rules import deposits as rules_of_deposits
from app.rules import lifecycle, settlement
from app.rules.deposits import DepositKind
from app.rules.facts import Course
from app.rules.lifecycle import CaseEvent, CaseStatus, Situation
from app.rules.settlement import ConflictCode, RefundState, Report, ReportVerdict, Standing, Weighed
from app.services import (
    consequences,
    deadlines,
    deposits,
    filing,
    idempotency,
    overdue,
    parties,
    progress,
    refund_steps,
    refunds,
    repair,
    ruling,
    steps,
    telling,
    timers,
    timing,
)
from app.services.situation import situation_of
from app.services.steps import Target
from app.store.case_rows import CaseView, Held, RefundRow
from app.store.refunds import RefundStore
from app.store.rejudging import RejudgingStore
from app.store.timers import TimerStore
from launcher.postgres import running
from tests.lifecycle import repaying
from tests.lifecycle.machine import DeskMachine
from tests.lifecycle.running import running_desk
from tests.lifecycle.sabotage_of_money import MONEY_BUGS
from tests.lifecycle.service import Service, in_process
from tests.lifecycle.simulation import simulate

EXAMPLES, STEPS = 200, 30
SEEDS, EVENTS = 300, 60
NOTHING = "nothing at all"  # where the machine has to stay green
Plant = tuple[object, str, Any]


def _without(status: CaseStatus, event: CaseEvent) -> Plant:
    table = {key: after for key, after in lifecycle.TABLE.items() if key != (status, event)}
    return lifecycle, "TABLE", MappingProxyType(table)


def _leading(status: CaseStatus, event: CaseEvent, after: CaseStatus) -> Plant:
    return lifecycle, "TABLE", MappingProxyType({**lifecycle.TABLE, (status, event): after})


async def _whatever_version(cases: Any, target: Target, evidence: Sequence[Any] = ()) -> Held:
    return await steps.hold(cases, replace(target, version=None), evidence)


def _never_appealed(view: CaseView) -> Situation:
    return replace(situation_of(view), appealed=False)


def _the_merchants_time_runs_on(*given: Any, **more: Any) -> Course:
    return replace(_COURSE_OF(*given, **more), resumed_at=None)


def _told_twice(before: Any, after: Any) -> Any:
    return _TOLD_OF_CHANGE(before, after) * 2


async def _nothing(*_given: Any, **_more: Any) -> None:
    return None


async def _always_ours(_self: Any, _timer: Any) -> bool:
    return True


def _since_now(_started_at: datetime | None, now: datetime, goes_on: bool) -> datetime | None:
    return now if goes_on else None


def _deadlines_stay(before: Any, step: Any, now: datetime) -> Any:
    return None if step.judgement is None else _TIMERS(before, step, now)


def _believed(refund: Standing, report: Report) -> Weighed:
    weighed = _WEIGH(refund, report)
    if weighed.verdict is not ReportVerdict.CONFLICT:
        return weighed
    return Weighed(ReportVerdict.APPLIED, settlement._applied(refund, report))


def _mismatch_but_for(field: str) -> Callable[[Standing, Report], ConflictCode | None]:
    left_out: dict[str, Any] = {field: None}
    return lambda refund, report: _MISMATCH(refund, replace(report, **left_out))


def _one_is_enough(states: Collection[RefundState], *, under_way: bool) -> CaseEvent | None:
    if RefundState.SUCCEEDED in states:
        return CaseEvent.REFUNDS_SETTLED
    return _EVENT_OF(states, under_way=under_way)


def _never_stopped(states: Collection[RefundState], *, under_way: bool) -> CaseEvent | None:
    event = _EVENT_OF(states, under_way=under_way)
    return CaseEvent.REFUND_UNDER_WAY if event is CaseEvent.REFUND_STOPPED else event


def _ends_without_notice(*given: Any) -> Any:
    return replace(_APPLIED_STEP(*given), ends=False)


def _nothing_released(*given: Any) -> Any:
    step = _APPLIED_STEP(*given)
    return replace(step, settled=tuple(replace(each, released=0) for each in step.settled))


async def _released_twice(store: RefundStore, after: RefundRow, released: int, now: datetime) -> None:
    await _SETTLE(store, after, 2 * released, now)


def _under_another_number(*given: Any) -> RefundRow:
    return replace(_AGAIN(*given), refund_no=mint_refund_no())


def _always_another(refund: RefundRow, *given: Any) -> RefundRow:
    again = _AGAIN(refund, *given)
    return again if again.replaces is not None else repair._in_its_place(again, refund)


def _of_every_refund(view: CaseView, changed: tuple[RefundRow, ...]) -> list[RefundState]:
    return [row.state for row in {row.refund_id: row for row in (*view.refunds, *changed)}.values()]


def _in_silence(*given: Any) -> Any:
    return replace(_CONTRADICTED(*given), refunds_told=())


async def _as_if_for_the_first_time(*given: Any) -> int | None:
    return None if await _NOTE(*given) is None else 1


async def _no(*_given: Any, **_more: Any) -> bool:
    return False


def _late_for_ever(view: CaseView, refund: RefundRow) -> Any:
    step = _OVERDUE_STEP(view, refund)
    [late] = step.settled
    return replace(step, settled=(replace(late, refund=replace(late.refund, overdue_at=refund.overdue_at)),))


def _when_it_should_be_there(_instructed_at: datetime, expected_by: datetime | None) -> datetime | None:
    return expected_by


async def _booked_twice(*given: Any) -> Any:
    await _BOOK_STEP(*given)
    return await _BOOK_STEP(*given)


async def _given_back_twice(deposits: Any, view: CaseView, refund_id: UUID, amount: int, now: datetime) -> None:
    for each in (refund_id, new_uuid()):
        await _BOOK_CLOSED(deposits, view, each, amount, now)


def _without_a_release(turn: Any) -> Any:
    return tuple(each for each in _MOVEMENTS(turn) if each.kind is not DepositKind.RELEASE)


def _advanced_at_once(_balances: Any, _held: int, amount: int) -> Any:
    return rules_of_deposits.advance(amount)


_COURSE_OF, _TOLD_OF_CHANGE, _TIMERS = progress.course_of, telling.told_of_change, consequences._timers
_WEIGH, _MISMATCH, _EVENT_OF = settlement.weigh, settlement._mismatch, settlement.event_of
_APPLIED_STEP, _AGAIN, _CONTRADICTED = refund_steps.applied_step, repair._again, refund_steps.contradicted_step
_OVERDUE_STEP, _SETTLE, _NOTE = refund_steps.overdue_step, RefundStore.settle, RefundStore.note
_BOOK_STEP, _BOOK_CLOSED, _MOVEMENTS = deposits.book_step, deposits.book_closed, rules_of_deposits.movements
S, E = CaseStatus, CaseEvent
BUGS: dict[str, tuple[Plant, ...]] = {
    NOTHING: (),
    "a case in review cannot be withdrawn": (_without(S.IN_REVIEW, E.WITHDRAWN),),
    "a refusal by a person approves": (_leading(S.IN_REVIEW, E.RULED_REJECT, S.APPROVED),),
    "evidence can be added to a rejected case": (_leading(S.REJECTED, E.EVIDENCE_SUPPLIED, S.REJECTED),),
    "whatever version a step expects": ((parties, "hold", _whatever_version), (ruling, "hold", _whatever_version)),
    "a limit that starts anew with each judgement": ((progress, "_since", _since_now),),
    "an appeal as often as one likes": ((steps, "situation_of", _never_appealed),),
    "an event told twice": ((steps, "told_of_change", _told_twice),),
    "too late is in time": ((lifecycle, "_too_late", lambda _event, _situation: None),),
    "overdue or not, it may be escalated": ((lifecycle, "_too_early", lambda _event, _situation: None),),
    "one person is enough": ((ruling, "_needs_two", lambda _granted, _held: False),),
    "two people agree whatever they say": ((ruling, "_agree", lambda *_: True),),
    "a timer takes effect again and again": ((TimerStore, "fire", _always_ours),),
    "the end of the evidence's time does nothing": ((deadlines, "_lapse", _nothing),),
    "a broken promise is not told": ((deadlines, "PROMISES", frozenset()),),
    "a record that changes is not judged": ((RejudgingStore, "enqueue", _nothing),),
    "judged anew without anything new": ((steps, "is_news", lambda _held, _decision: True),),
    "the merchant's time runs while the buyer is awaited": ((steps, "course_of", _the_merchants_time_runs_on),),
    "deadlines outlive a withdrawn case": ((consequences, "_timers", _deadlines_stay),),
    "nobody is reminded": ((timers, "reminder_of", lambda _deadline, _set_at: None),),
    "a request under the same key runs again": ((idempotency, "claim", _nothing),),
    "a timer that failed is tried at once": ((timing, "BACKOFF", (timing.BACKOFF[0] * 0,)),),
    "a refund of another amount is believed": ((settlement, "_mismatch", _mismatch_but_for("amount")),),
    "a refund in another currency is believed": ((settlement, "_mismatch", _mismatch_but_for("currency")),),
    "a second number of the channel's is believed": (
        (settlement, "_mismatch", _mismatch_but_for("channel_refund_no")),
    ),
    "another refund's number is believed": ((RefundStore, "number_is_taken", _no),),
    "what is final is not": ((settlement, "FINAL", frozenset()),),
    "an old report counts": ((settlement, "_is_late", lambda _refund, _report: False),),
    "a report that contradicts is applied": ((refunds, "weigh", _believed), (repaying, "weigh", _believed)),
    "a contradiction is not told": ((refunds, "contradicted_step", _in_silence),),
    "a contradiction is told again and again": ((RefundStore, "note", _as_if_for_the_first_time),),
    "one refund of two makes a case refunded": (
        (refund_steps, "event_of", _one_is_enough), (repaying, "event_of", _one_is_enough),
    ),
    "a refund that stops does not stop its case": (
        (refund_steps, "event_of", _never_stopped), (repaying, "event_of", _never_stopped),
    ),
    "a refund that failed is not retried": (_without(S.REFUND_FAILED, E.REFUND_RETRIED),),
    "a case that failed is refunded for ever": (_without(S.REFUND_FAILED, E.REFUNDS_SETTLED),),
    "money that stops goes on": (_leading(S.REFUNDING, E.REFUND_STOPPED, S.REFUNDING),),
    "money that is late cannot be escalated": (_without(S.REFUND_FAILED, E.ESCALATED),),
    "a closed refund keeps what is reserved": ((refunds, "applied_step", _nothing_released),),
    "a closed refund releases twice": ((RefundStore, "settle", _released_twice),),
    "a closed refund leaves other cases as they are": ((RejudgingStore, "enqueue_payment", _nothing),),
    "a failed refund is told under another number": ((repair, "_again", _under_another_number),),
    "a failed refund is replaced": ((repair, "_again", _always_another),),
    "a replaced refund counts still": ((refund_steps, "_states", _of_every_refund),),
    "a disputed refund is replaced": ((RefundStore, "is_disputed", _no),),
    "the promise of the money is not kept": ((refund_steps, "_KEPT", frozenset()),),
    "the promise of the money outlives it": ((refunds, "applied_step", _ends_without_notice),),
    "nobody is told that a refund is late": ((overdue, "raise_overdue", _nothing),),
    "that a refund is late is told for ever": ((refunds, "overdue_step", _late_for_ever),),
    "an instruction may lie until the money is due": (
        (consequences, "first_overdue", _when_it_should_be_there), (repair, "first_overdue", _when_it_should_be_there),
    ),
    "the deposit is deducted twice": ((steps, "book_step", _booked_twice), (filing, "book_step", _booked_twice)),
    "the deposit is not given back": ((refunds, "book_closed", _nothing),),
    "the deposit is given back twice": ((refunds, "book_closed", _given_back_twice),),
    "another refund takes nothing from the deposit": ((repair, "book_replaced", _nothing),),
    "what was frozen stays frozen": ((deposits, "movements", _without_a_release),),
    "closed by a person, it keeps all that it had": ((refunds, "give_back", _nothing), (repair, "give_back", _nothing)),
    "paid by another way, it is still to be paid": ((refund_steps, "_come_to", lambda row: row.state),),
    "money may go to any account": ((repair, "_require_no_way_back", lambda _refund, _repair: None),),
    "the deposit is spared": ((rules_of_deposits, "deduct", _advanced_at_once),),
    **MONEY_BUGS,
}  # fmt: skip
# Of the rules alone, so that the simulation has to notice them as well.
IN_THE_RULES = frozenset(
    name for name, plants in BUGS.items() if any(where in (settlement, repaying) for where, _, _ in plants)
)


def is_simulated(name: str) -> bool:
    """Whether the simulation goes red with this bug."""
    with _planted(BUGS[name]):
        try:
            simulate(range(SEEDS), EVENTS)
        except Exception:  # noqa: BLE001 - as below
            return True
    return False


def is_noticed(service: Service, name: str) -> int | None:
    """With which example the machine goes red with this bug; None: it does not."""
    began = 0

    class Counting(DeskMachine):
        def __init__(self) -> None:
            nonlocal began
            began += 1
            super().__init__()

    with running_desk(service, Counting) as machine, _planted(BUGS[name]), capture_logs():
        try:
            run_state_machine_as_test(machine, settings=_settings(EXAMPLES // 4 if name == NOTHING else EXAMPLES))
        except Exception:  # noqa: BLE001 - whatever goes wrong is what is looked for
            return began
    return None


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def _planted(plants: tuple[Plant, ...]) -> Iterator[None]:
    with ExitStack() as stack:
        for where, name, value in plants:
            stack.enter_context(patch.object(where, name, value))
        yield


def run(words: Sequence[str], say: Callable[[str], object]) -> bool:
    """Whether all of the bugs, or those named by the words, are noticed."""
    names = [name for name in BUGS if not words or any(word in name for word in words)]
    noticed, caught = {}, {}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "postgres", throwaway=True) as server,
        in_process(server) as service,
    ):
        for name in names:
            noticed[name] = is_noticed(service, name)
            simulated = "red" if (red := name in {NOTHING, *IN_THE_RULES} and is_simulated(name)) else "-"
            say(f"{noticed[name] or 'green':>5} {simulated:>5}  {name}\n")
            caught[name] = red or noticed[name] is not None
    return all(was_caught is (name != NOTHING) for name, was_caught in caught.items())


if __name__ == "__main__":
    sys.exit(not run(sys.argv[1:], lambda line: (sys.stdout.write(line), sys.stdout.flush())))
