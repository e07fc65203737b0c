"""What a deadline does when it is over, and what is said some time before."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from app.ids import Mint
from app.models.closed_sets import PROMISES, Chore, TimerKind, TimerState
from app.outbound.catalogue import EventType
from app.rules.calendar import Calendar
from app.rules.deadlines import expected_by
from app.rules.decision import Decision, decide
from app.rules.lifecycle import CaseEvent, CaseStatus, advance
from app.rules.signals import refund_rate_signal
from app.services.assembling import facts_from
from app.services.consequences import Step, signal_row
from app.services.policies import policy_of_case
from app.services.progress import moved
from app.services.steps import judge_if_new, write
from app.services.telling import deadline_event
from app.services.timers import timers_of
from app.store.case_rows import CaseView, Held, TimerRow
from app.store.cases import CaseStore, Consequences
from app.store.engine import Connection
from app.store.signals import SignalStore
from app.store.timers import DueTimer, TimerStore

# What the rules themselves count with, so that its end is a new fact.
JUDGED_AFTER: Final = frozenset({Chore.REJUDGE.value, "wait", "merchant_turn"})


async def take_effect(connection: Connection, site_id: UUID, timer: DueTimer, mint: Mint) -> None:
    """Does what a timer is for. The case is locked, and the timer marked as fired, in this transaction.

    The end of an appeal's or a channel's window changes nothing but what is allowed from then on.
    """
    cases = CaseStore(connection, site_id)
    held = await cases.hold(timer.case_id)
    if timer.name == Chore.REFUND_RATE:
        await _look_at_refund_rate(SignalStore(connection, site_id), held, mint)
    elif timer.kind is TimerKind.APPROACHING:
        await _remind(cases, TimerStore(connection, site_id), held, timer, mint)
    elif timer.name in JUDGED_AFTER:
        await judge_if_new(cases, held, mint)
    elif timer.name in PROMISES:
        await _tell(cases, held, timer.name, EventType.CASE_DEADLINE_MISSED, mint)
    elif timer.name == "evidence_supplement" and held.view.case.status is CaseStatus.AWAITING_EVIDENCE:
        await _lapse(cases, held, mint)


async def recompute(connection: Connection, site_id: UUID, case_id: UUID, calendar: Calendar) -> None:
    """Sets the deadlines of a case's latest decision anew by a calendar that knows more; the decision itself stays."""
    cases = CaseStore(connection, site_id)
    held = await cases.hold(case_id)
    view = held.view
    if view.decision is None:
        return
    decision = decide(facts_from(view.decision.facts), policy_of_case(view.case), calendar)
    after = moved(view.case, view.case.status, view.now)
    timers = tuple(timer for timer in timers_of(decision, view.timers, view.now) if _is_running(view, timer.name))
    await cases.advance(after, Consequences(timers=timers), view.now)
    await cases.refunds.expect(case_id, _arrivals(decision, calendar), view.now)


async def _remind(cases: CaseStore, timers: TimerStore, held: Held, timer: DueTimer, mint: Mint) -> None:
    """A reminder of what is over already, after the service was down for long, reminds of nothing."""
    deadline = _running(held.view, timer.name)
    if deadline is None or deadline.due_at < held.view.now:
        await timers.void(timer)
    else:
        await _tell(cases, held, timer.name, EventType.CASE_DEADLINE_APPROACHING, mint)


async def _tell(cases: CaseStore, held: Held, name: str, kind: EventType, mint: Mint) -> None:
    view = held.view
    deadline = max((row for row in view.timers if _is_deadline(row, name)), key=lambda row: row.due_at)
    after = moved(view.case, view.case.status, view.now)
    after = replace(after, next_sequence=after.next_sequence + 1)
    event = deadline_event(replace(view, case=after), deadline, kind, mint())
    await cases.advance(after, Consequences(events=[event]), view.now)


async def _lapse(cases: CaseStore, held: Held, mint: Mint) -> None:
    status = advance(held.view.case.status, CaseEvent.LAPSED)
    after = moved(held.view.case, status, held.view.now)
    await write(cases, held, Step(after=after, told=(EventType.CASE_LAPSED,), ends=True), mint)


async def _look_at_refund_rate(signals: SignalStore, held: Held, mint: Mint) -> None:
    """After an approval for the merchant's fault: how often that happens to this merchant."""
    case, now = held.view.case, held.view.now
    policy = policy_of_case(case)
    if case.merchant_id is None or policy.refund_rate is None:
        return
    counts = await signals.refunds_of_merchant(case.merchant_id, since=now - policy.refund_rate.period)
    seen = refund_rate_signal(case.merchant_id, policy, approved=counts.approved, orders=counts.orders)
    if seen is not None:
        signal = signal_row(seen, now + policy.strike_lifetime, mint)
        await signals.add(signal, case_id=case.case_id, order_no=case.order_no, now=now)


def _is_deadline(row: TimerRow, name: str) -> bool:
    return row.name == name and row.kind is TimerKind.DUE and row.state in (TimerState.PENDING, TimerState.FIRED)


def _running(view: CaseView, name: str) -> TimerRow | None:
    """The deadline of this name that is not over yet."""
    rows = [row for row in view.timers if _is_deadline(row, name) and row.state is TimerState.PENDING]
    return max(rows, key=lambda row: row.due_at, default=None)


def _is_running(view: CaseView, name: str) -> bool:
    return _running(view, name) is not None


def _arrivals(decision: Decision, calendar: Calendar) -> Mapping[str, datetime]:
    """When the money is promised to be back, by payment."""
    refund = decision.verdict.refund
    shares = () if refund is None else refund.shares
    return {share.payment.payment_no: expected_by(decision.verdict, share.payment, calendar).at for share in shares}
