"""Bugs that are planted one by one, each of which the simulation has to notice; else it proves nothing.

    python -m tests.settling.sabotage          all of them, with how many seeds each took
    python -m tests.settling.sabotage WORD…    those whose names have one of the words

Ends with 1 if one of them goes unnoticed, or the simulation goes red with none of them.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

from app import ids
from app.models.closed_sets import BillState, ReportSource
from app.outbound.channels.said import Told, Unclear, Unknown
from app.outbound.channels.wechat_pay import notices
from app.rules import settlement
from app.rules.settlement import Failure, FailureCode, RefundState
from app.services import billing, overdue, reconciling, refund_steps, refunds, repair, settling
from app.store.cases import Settled
from app.store.refund_sql import LEASE
from app.store.refunds import RefundStore
from app.store.settling import SettlingStore
from tests.settling.simulation import Ground, own_ground, simulate

SEEDS = 20
NOTHING = "nothing at all"  # where the simulation has to stay green
Plant = tuple[object, str, Any]


async def _unwritten(_self: Any, _refund_id: UUID) -> bool:
    return True


async def _nothing(*_given: Any, **_more: Any) -> None:
    return None


async def _ask_and_conclude(state: RefundState, *given: Any) -> Any:
    said, asked = await _ASK(*given)
    if isinstance(said, Unclear | Unknown):
        return Told(state, failure=Failure(FailureCode.OTHER)), asked
    return said, asked


async def _unclear_is_failed(*given: Any) -> Any:
    return await _ask_and_conclude(RefundState.FAILED, *given)


async def _unclear_is_closed(*given: Any) -> Any:
    return await _ask_and_conclude(RefundState.CLOSED, *given)


def _another_number(*given: Any) -> Any:
    return replace(_INSTRUCTION(*given), refund_no=ids.mint_refund_no())


async def _under_way_is_settled(engine: Any, leased: Any, refund_id: UUID, told: Told) -> Any:
    if told.state is RefundState.PROCESSING:
        told = replace(told, state=RefundState.SUCCEEDED)
    return await _REPORT(engine, leased, refund_id, told)


async def _as_it_was_leased(self: Any, leased: Any) -> Any:
    [found] = await self._read([leased.refund_id])
    return replace(found, refund=leased)


async def _claimed_for_nobody(self: Any, leased_until: datetime, limit: int) -> Any:
    return await _CLAIM(self, leased_until - LEASE, limit)


def _late_again(*given: Any) -> Any:
    step = _OVERDUE_STEP(*given)
    [settled] = step.settled
    return replace(step, settled=(replace(settled, refund=replace(settled.refund, overdue_at=given[1].overdue_at)),))


def _kept_reserved(refund: Any, _released: int = 0) -> Settled:
    return Settled(refund)


def _never_asked(refund: Any, repair: Any, held: Any) -> Any:
    return replace(_AGAIN(refund, repair, held), next_step_at=None)


def _said_twice(*given: Any) -> Any:
    step = _APPLIED(*given)
    return replace(step, refunds_told=step.refunds_told * 2)


def _applied_again(_refund: Any, _report: Any) -> bool:
    return False


async def _taken_for_read(engine: Any, billed: Any, _adapter: Any, day: Any, _now: Any) -> bool:
    await billing._end(engine, billed, day, BillState.READ, 0)
    return True


def _always_another(refund: Any, repair_: Any, held: Any) -> Any:
    return repair._in_its_place(_AGAIN(refund, repair_, held), refund)


def _kept_with_the_channel(refund: Any, repair_: Any, held: Any) -> Any:
    again = _AGAIN(refund, repair_, held)
    return replace(again, account_id=again.account_id or refund.account_id)


def _retried_in_silence(*given: Any) -> Any:
    return replace(_RETRIED(*given), refunds_told=())


async def _unkept(self: Any, refund_id: UUID, said: Any, now: datetime) -> int | None:
    return 1 if said.source is ReportSource.ADAPTER else await _NOTE(self, refund_id, said, now)


_ASK, _INSTRUCTION, _REPORT, _CLAIM = settling._ask, settling._instruction, settling._report, SettlingStore.claim
_OVERDUE_STEP, _APPLIED = refund_steps.overdue_step, refund_steps.applied_step
_AGAIN, _RETRIED, _NOTE = repair._again, repair._retried, RefundStore.note
_TOLD = {state: kind for state, kind in refund_steps._TOLD.items() if state is not RefundState.ABNORMAL}
BUGS: dict[str, tuple[Plant, ...]] = {
    NOTHING: (),
    "asked for without having written it down": ((SettlingStore, "submitting", _unwritten),),
    "not looked at again before it is asked for": ((SettlingStore, "hold", _as_it_was_leased),),
    "no clear answer counts as a failure": ((settling, "_ask", _unclear_is_failed),),
    "no clear answer counts as the end": ((settling, "_ask", _unclear_is_closed),),
    "another number each time": ((settling, "_instruction", _another_number),),
    "a retry that nobody carries out": ((repair, "_again", _never_asked),),
    "under way is told as settled": ((settling, "_report", _under_way_is_settled),),
    "nobody leases anything": ((SettlingStore, "claim", _claimed_for_nobody),),
    "a lease that does not end": ((settling, "LEASE", timedelta(days=1_000)),),
    "contradictions are believed": ((settlement, "_mismatch", lambda _refund, _report: None),),
    "overdue is told again and again": ((refunds, "overdue_step", _late_again),),
    "overdue is never told": ((overdue, "raise_overdue", _nothing),),
    "what is closed stays reserved": ((refund_steps, "Settled", _kept_reserved),),
    "our own refund is somebody else's": ((reconciling, "_may_have_been_paid", lambda _refund: False),),
    "what others did is not kept": ((reconciling, "_keep", _nothing),),
    "what is overdrawn is not raised": ((refunds, "refunded_elsewhere", _nothing),),
    "a notice is believed, whoever signed": ((notices, "signature_fault", lambda *_, **__: None),),
    "every event twice": ((refunds, "applied_step", _said_twice),),
    "said again is told again": ((settlement, "_is_repeated", _applied_again),),
    "nobody is told what is abnormal": ((refund_steps, "_TOLD", _TOLD),),
    "a day without a bill": ((billing, "_is_done", _taken_for_read),),
    "a fault of ours ends it": ((SettlingStore, "schedule", _nothing),),
    "a retry gives another number, closed or not": ((repair, "_again", _always_another),),
    "a retry that nobody hears of": ((repair, "_retried", _retried_in_silence),),
    "what may yet be paid is closed by hand": (
        (repair, "GIVEN_UP_FROM", frozenset(RefundState)),
        (repair, "allow", lambda *_: None),
    ),
    "closed by hand, and kept from the deposit": ((repair, "give_back", _nothing),),
    "sent elsewhere, and asked of the channel too": ((repair, "_again", _kept_with_the_channel),),
    "sent elsewhere while the old way is open": ((repair, "_require_no_way_back", lambda *_: None),),
    "the case stays behind": ((refund_steps, "status_after", lambda view, *_: view.case.status),),
    "what an adapter says is not kept": ((RefundStore, "note", _unkept),),
}


async def noticed(ground: Ground, name: str) -> tuple[int, str] | None:
    """With which seed the simulation goes red with this bug, and how; None: it does not."""
    for count in range(1, SEEDS + 1):
        with _planted(BUGS[name]):
            try:
                tally = await simulate(ground, [count])
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is looked for
                return count, repr(error)[:80]
        if tally.red:
            return count, tally.red[count][0]
    return None


@contextmanager
def _planted(plants: tuple[Plant, ...]) -> Iterator[None]:
    with ExitStack() as stack:
        for where, name, value in plants:
            stack.enter_context(patch.object(where, name, value))
        yield


async def run(words: Sequence[str], say: Callable[[str], object]) -> bool:
    """Whether all of the bugs, or those named by the words, are noticed."""
    names = [name for name in BUGS if not words or any(word in name for word in words)]
    right = True
    async with own_ground() as ground:
        for name in names:
            found = await noticed(ground(), name)
            right &= (found is None) is (name == NOTHING)
            say(f"{'green' if found is None else found[0]:>5}  {name}: {'' if found is None else found[1]}\n")
    return right


if __name__ == "__main__":
    sys.exit(not asyncio.run(run(sys.argv[1:], lambda line: (sys.stderr.write(line), sys.stderr.flush()))))
