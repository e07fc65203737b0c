"""A day's refunds, to be held against the channel's own statement of that day.

What succeeded belongs to the day on which the channel says that it did, since that is the day of the channel's
statement; when this service heard of it is told beside that, and may be days later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from app.errors import Fault, Invalid, Place
from app.ids import show
from app.outbound.channels.opening import WITH_BILLS
from app.rules.calendar import SHANGHAI, in_shanghai
from app.rules.decision import instant
from app.rules.facts import Channel
from app.rules.settlement import FINAL
from app.services.billing import bill_document
from app.services.showing import CASE, REFUND, failure_document
from app.store.bills import BillStore
from app.store.case_rows import RefundRow
from app.store.found import TOTAL
from app.store.reconciliation import (
    FoundRow,
    PaymentMoney,
    ReconciledDay,
    ReconciliationPosition,
    ReconciliationRow,
    ReconciliationStore,
    Total,
)
from app.store.reconciliation_sql import ReconciliationGroup
from app.store.refunds import ReportRow

FIRST_DAY: Final = date(2000, 1, 1)
_NOTHING: Final = Total(0, 0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which report: one day of Shanghai, one channel or all of them."""

    day: date
    channel: Channel | None
    span: ReconciledDay


def wanted_of(day: date, channel: Channel | None, *, now: datetime) -> Wanted:
    """A report that can be asked for at `now`. Invalid for a day before 2000, or one that has not begun in Shanghai."""
    if day < FIRST_DAY:
        raise _unusable("before_2000", en="day must not lie before 2000-01-01.", zh="day 不得早于 2000-01-01。")
    if day > in_shanghai(now).date():
        raise _unusable("in_the_future", en="day has not begun in Shanghai.", zh="day 尚未开始（以北京时间为准）。")
    since = datetime.combine(day, time(), SHANGHAI)
    return Wanted(day, channel, ReconciledDay(since, since + timedelta(days=1), channel))


def _unusable(code: str, *, en: str, zh: str) -> Invalid:
    return Invalid(Fault("day", code, en, zh, Place.PARAMETER))


async def report(
    wanted: Wanted,
    store: ReconciliationStore,
    bills: BillStore,
    *,
    now: datetime,
    limit: int,
    after: ReconciliationPosition | None = None,
) -> tuple[dict[str, Any], ReconciliationPosition | None]:
    """The sums and a page of rows, in plain values; and where the page ends if there is more."""
    page = await store.report(wanted.span, limit=limit + 1, after=after)
    rows = page.rows[:limit]
    read = await bills.of_day(wanted.day, kinds=WITH_BILLS, since=wanted.span.until, channel=wanted.channel)
    document = {
        "day": wanted.day.isoformat(),
        "channel": None if wanted.channel is None else wanted.channel.value,
        "as_of": instant(now),
        "totals": totals_document(page.totals),
        "bills": [bill_document(row, wanted.day, now) for row in read],
        "rows": [row_document(row) for row in rows],
    }
    return document, rows[-1] if len(page.rows) > limit else None


def totals_document(totals: Mapping[ReconciliationGroup, Total]) -> dict[str, Any]:
    """Every group, with how many rows it has and what they come to."""
    found = {group: totals.get(group, _NOTHING) for group in ReconciliationGroup}
    return {group.value: {"count": total.count, "amount": total.amount} for group, total in found.items()}


def row_document(row: ReconciliationRow) -> dict[str, Any]:
    """One row; what does not concern its kind is null."""
    return {
        "group": row.group.value,
        **_refund_fields(row.refund),
        **_found_fields(row),
        "order_no": row.order_no,
        "merchant_id": row.merchant_id,
        "amount": row.amount,
        "channel_at": _optional(_channel_at(row)),
        "told_at": _optional(_told_at(row)),
        "age_days": row.age_days,
        "overdue": row.overdue,
        "conflict": None if row.report is None else _conflict_document(row.report),
        "payment": None if row.payment is None else _payment_document(row.payment),
    }


def _refund_fields(refund: RefundRow | None) -> dict[str, Any]:
    if refund is None:
        names = ("refund_id", "refund_no", "case_id", "state", "instructed_at", "expected_by", "failure")
        return dict.fromkeys(names)
    return {
        "refund_id": show(REFUND, refund.refund_id),
        "refund_no": refund.refund_no,
        "case_id": show(CASE, refund.case_id),
        "payment_no": refund.payment_no,
        "channel": refund.channel.value,
        "channel_refund_no": refund.channel_refund_no,
        "state": refund.state.value,
        "instructed_at": instant(refund.instructed_at or refund.created_at),
        "expected_by": _optional(refund.expected_by),
        "failure": failure_document(refund),
    }


def _found_fields(row: ReconciliationRow) -> dict[str, Any]:
    """Of a payment; the number is the other's refund, where the channel listed refunds one by one."""
    if row.payment is None:
        return {}
    return {
        "payment_no": row.payment.payment_no,
        "channel": row.payment.channel.value,
        "channel_refund_no": channel_number_of(row.found),
    }


def channel_number_of(found: FoundRow | None) -> str | None:
    """None where the channel told a sum alone."""
    return None if found is None or found.reference == TOTAL else found.reference


def _channel_at(row: ReconciliationRow) -> datetime | None:
    """The moment that the channel gave: of a contradiction its own, of a refund that of the last word which counted."""
    if row.report is not None:
        return row.report.at
    if row.found is not None:
        return row.found.refunded_at
    return None if row.refund is None else row.refund.reported_at


def _told_at(row: ReconciliationRow) -> datetime | None:
    if row.report is not None:
        return row.report.received_at
    if row.found is not None:
        return row.found.found_at
    return None if row.refund is None or row.refund.state not in FINAL else row.refund.settled_at


def _conflict_document(report: ReportRow) -> dict[str, Any]:
    """What was said against the refund; the row's own fields are the other side."""
    return {
        "code": None if report.conflict is None else report.conflict.value,
        "source": report.source.value,
        "state": report.state.value,
        "amount": report.amount,
        "currency": report.currency,
        "channel_refund_no": report.channel_refund_no,
        "times": report.times,
    }


def _payment_document(payment: PaymentMoney) -> dict[str, Any]:
    return {
        "amount": payment.amount,
        "reserved_amount": payment.reserved_amount,
        "refunded_amount": payment.refunded_amount,
        "found_amount": payment.found_amount,
        "overdrawn_amount": payment.overdrawn_amount,
    }


def _optional(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
