"""The steps that a case takes because of its refunds: what a report, a contradiction, or time makes of them. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from app.models.closed_sets import ReportSource
from app.outbound.catalogue import EventType
from app.rules.decision import instant
from app.rules.lifecycle import PAYING_BACK, CaseStatus, advance
from app.rules.settlement import FINAL, ConflictCode, Failure, RefundState, Report, Standing, Weighed, event_of, is_back
from app.services.consequences import Step
from app.services.progress import moved
from app.services.telling import RefundTold
from app.store.case_rows import CaseView, RefundRow
from app.store.cases import Settled

_TOLD: Final[Mapping[RefundState, EventType]] = {
    RefundState.SUCCEEDED: EventType.REFUND_SUCCEEDED,
    RefundState.FAILED: EventType.REFUND_FAILED,
    RefundState.CLOSED: EventType.REFUND_FAILED,
    RefundState.ABNORMAL: EventType.REFUND_ABNORMAL,
}
_KEPT: Final = frozenset({"money_back"})


def standing_of(refund: RefundRow) -> Standing:
    """A refund as reports are held against it."""
    return Standing(
        payment_no=refund.payment_no,
        channel=refund.channel,
        amount=refund.amount,
        currency=refund.currency,
        state=refund.state,
        reported_at=refund.reported_at,
        channel_refund_no=refund.channel_refund_no,
        failure=None if refund.failure_code is None else Failure(refund.failure_code, refund.failure_message or ""),
    )


def applied_step(view: CaseView, refund: RefundRow, weighed: Weighed) -> Step:
    """The refund as it stands after a report, its case with it; closing sets free what was reserved."""
    now, after = view.now, _after(refund, weighed.after, view.now)
    released = refund.amount if after.state is RefundState.CLOSED else 0
    status = status_after(view, after)
    settled = status is CaseStatus.REFUNDED
    told = _TOLD.get(after.state)
    return Step(
        after=moved(view.case, status, now),
        ends=settled,
        kept=_KEPT if settled else frozenset(),
        settled=(Settled(after, released),),
        refunds_told=() if told is None else (RefundTold(told, after),),
    )


def contradicted_step(
    view: CaseView, refund: RefundRow, said: Report, source: ReportSource, code: ConflictCode
) -> Step:
    """A contradiction changes nothing; both sides are told."""
    reported = {
        "source": source.value,
        "state": said.state.value,
        "amount": said.amount,
        "currency": said.currency,
        "channel_refund_no": said.channel_refund_no,
        "payment_no": said.payment_no,
        "channel": None if said.channel is None else said.channel.value,
        "at": instant(said.at),
    }
    told = RefundTold(EventType.REFUND_CONFLICT, refund, {"conflict": code.value, "reported": reported})
    return Step(after=moved(view.case, view.case.status, view.now), refunds_told=(told,))


def overdue_step(view: CaseView, refund: RefundRow) -> Step:
    """What was awaited has not come in time; what comes after it is awaited from now on."""
    expected_by, since = refund.expected_by, refund.overdue_at or view.now
    is_taken = refund.state is not RefundState.REQUESTED or (expected_by is not None and since >= expected_by)
    awaited = "arrival" if is_taken else "acceptance"
    again = expected_by if expected_by is not None and expected_by >= view.now else None
    late = replace(refund, version=refund.version + 1, overdue_at=again)
    told = RefundTold(EventType.REFUND_OVERDUE, late, {"awaited": awaited, "since": instant(since)})
    return Step(after=moved(view.case, view.case.status, view.now), settled=(Settled(late),), refunds_told=(told,))


def _after(refund: RefundRow, standing: Standing, now: datetime) -> RefundRow:
    is_over = standing.state in FINAL
    failure = standing.failure
    return replace(
        refund,
        state=standing.state,
        version=refund.version + 1,
        updated_at=now,
        channel_refund_no=standing.channel_refund_no,
        failure_code=None if failure is None else failure.code,
        failure_message=None if failure is None else failure.message,
        reported_at=standing.reported_at,
        settled_at=now if is_over else None,
        overdue_at=None if is_over else _overdue_once_taken(refund),
        next_step_at=None if is_over or standing.state is RefundState.FAILED else refund.next_step_at,
    )


def _overdue_once_taken(refund: RefundRow) -> datetime | None:
    """Somebody has it now: from here on only its arrival is awaited. What was told as overdue is not told again."""
    return refund.expected_by if refund.overdue_at is not None else None


def status_after(view: CaseView, *changed: RefundRow) -> CaseStatus:
    """The case's status once these refunds stand as they do; unchanged where it is not about its money any more."""
    status = view.case.status
    if status not in PAYING_BACK:
        return status
    event = event_of(list(_states(view, changed)), under_way=status is not CaseStatus.APPROVED)
    return status if event is None else advance(status, event)


def _states(view: CaseView, changed: tuple[RefundRow, ...]) -> Iterator[RefundState]:
    """Of every refund whose place no other has taken."""
    rows = {row.refund_id: row for row in (*view.refunds, *changed)}
    replaced = {row.replaces for row in rows.values()}
    return (_come_to(row) for row in rows.values() if row.refund_id not in replaced)


def _come_to(row: RefundRow) -> RefundState:
    """The buyer asks for no more than to have the money back."""
    return RefundState.SUCCEEDED if is_back(row.state, row.failure_code) else row.state
