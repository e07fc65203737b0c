"""Bugs that are planted one by one, each of which the machine has to notice; else it proves nothing.

    python -m tests.lifecycle.sabotage          all of them, with how many examples each took
    python -m tests.lifecycle.sabotage WORD…    those whose names have one of the words

Ends with 1 if one of them goes unnoticed, or the machine goes red with none of them.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from app.rules import lifecycle
from app.rules.facts import Course
from app.rules.lifecycle import CaseEvent, CaseStatus, Situation
from app.services import consequences, deadlines, idempotency, parties, progress, ruling, steps, telling, timers, timing
from app.services.situation import situation_of
from app.services.steps import Target
from app.store.case_rows import CaseView, Held
from app.store.rejudging import RejudgingStore
from app.store.timers import TimerStore
from launcher.postgres import running
from tests.lifecycle.machine import DeskMachine
from tests.lifecycle.running import running_desk
from tests.lifecycle.service import Service, in_process

EXAMPLES, STEPS = 200, 30
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


_COURSE_OF, _TOLD_OF_CHANGE, _TIMERS = progress.course_of, telling.told_of_change, consequences._timers
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
}


def is_noticed(service: Service, name: str) -> int | None:
    """With which example the machine goes red with this bug; None: it does not."""
    began = 0

    class Counting(DeskMachine):
        def __init__(self) -> None:
            nonlocal began
            began += 1
            super().__init__()

    with running_desk(service, Counting) as machine, _planted(BUGS[name]):
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
    noticed = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "postgres", throwaway=True) as server,
        in_process(server) as service,
    ):
        for name in names:
            noticed[name] = is_noticed(service, name)
            say(f"{noticed[name] or 'green':>5}  {name}\n")
    return all((found is None) is (name == NOTHING) for name, found in noticed.items())


if __name__ == "__main__":
    sys.exit(not run(sys.argv[1:], lambda line: (sys.stdout.write(line), sys.stdout.flush())))
