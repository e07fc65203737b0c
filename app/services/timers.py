"""The deadlines of a decision as timers: one when each is over, and one some time before."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from app.models.closed_sets import PROMISES, Chore, TimerKind, TimerState
from app.rules.deadlines import Deadline, reminder_of
from app.rules.decision import Decision
from app.store.case_rows import NewTimer, TimerRow


def timers_of(decision: Decision, before: Iterable[TimerRow], now: datetime) -> tuple[NewTimer, ...]:
    """All that a decision sets a time to. What is too near for a reminder gets none.

    A deadline that stands, of those of `before`, keeps its reminder: nobody is reminded of it twice.
    """
    return tuple(_timers(decision, tuple(before), now))


def _timers(decision: Decision, before: tuple[TimerRow, ...], now: datetime) -> Iterator[NewTimer]:
    for deadline in decision.deadlines:
        moment = deadline.moment
        yield NewTimer(deadline.name, TimerKind.DUE, moment.at, moment.provisional)
        reminder = _reminder(deadline, before, now)
        if reminder is not None:
            yield NewTimer(deadline.name, TimerKind.APPROACHING, reminder, moment.provisional)


def _reminder(deadline: Deadline, before: tuple[TimerRow, ...], now: datetime) -> datetime | None:
    standing = (TimerState.PENDING, TimerState.FIRED)
    rows = [row for row in before if row.name == deadline.name and row.state in standing]
    if any(row.kind is TimerKind.DUE and row.due_at == deadline.moment.at for row in rows):
        reminders = [row.due_at for row in rows if row.kind is TimerKind.APPROACHING]
        return max(reminders, default=None)
    reminder = reminder_of(deadline, now)
    return reminder if reminder is not None and reminder > now else None


def refund_rate_timer(now: datetime) -> NewTimer:
    """After an approval for the merchant's fault its rate of refunds is looked at, outside the buyer's request."""
    return NewTimer(Chore.REFUND_RATE, TimerKind.DUE, now)


def timers_after(
    timers: Iterable[TimerRow], wanted: tuple[NewTimer, ...], kept: frozenset[str], now: datetime
) -> tuple[TimerRow, ...]:
    """How a case's timers stand once `wanted` are all that it has; what the store does to the rows, for showing."""
    rows = {(row.name, row.kind, row.due_at): row for row in timers}
    asked = {(timer.name, timer.kind, timer.due_at): timer for timer in wanted if timer.name not in set(Chore)}
    after = {key: row if key in asked or _stays(row, now) else _ended(row, kept, now) for key, row in rows.items()}
    for key, timer in asked.items():
        if key not in rows or rows[key].state in (TimerState.KEPT, TimerState.VOID):
            after[key] = TimerRow(timer.name, timer.kind, timer.due_at, timer.provisional)
    return tuple(sorted(after.values(), key=lambda row: (row.due_at, row.name, row.kind)))


def _stays(row: TimerRow, now: datetime) -> bool:
    """What is settled; and a promise that is over: it is missed, also by what was done too late."""
    is_missed = row.kind is TimerKind.DUE and row.name in PROMISES and row.due_at < now
    return row.state is not TimerState.PENDING or is_missed


def _ended(row: TimerRow, kept: frozenset[str], now: datetime) -> TimerRow:
    was_kept = row.kind is TimerKind.DUE and row.name in kept
    return replace(row, state=TimerState.KEPT if was_kept else TimerState.VOID, settled_at=now)
