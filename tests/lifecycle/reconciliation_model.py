"""What a day's reconciliation has to show, worked out from the model: written from `docs/reconciliation.md`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from app.rules.facts import Channel
from tests.lifecycle.desk_model import DeskModel
from tests.lifecycle.refund_model import FINAL, STOPPED, RefundModel

GROUPS = ("settled", "open", "stopped", "conflict", "found", "overdrawn")
BEIJING = timezone(timedelta(hours=8))


@dataclass(frozen=True)
class Row:
    """One row: which group, of which payment and refund, how much; the contradiction, or the other's number."""

    group: str
    payment_no: str
    channel: str
    amount: int
    refund_no: str | None = None
    more: str | None = None
    overdue: bool | None = None
    payment: tuple[int, ...] | None = None


def day_of(at: datetime) -> date:
    """In Beijing."""
    return at.astimezone(BEIJING).date()


@dataclass(frozen=True)
class Day:
    """From its midnight in Beijing to before the next."""

    date: date

    def has(self, at: datetime | None) -> bool:
        """Whether that was on this day."""
        return at is not None and day_of(at) == self.date

    @property
    def end(self) -> datetime:
        """Before which it was."""
        return datetime.combine(self.date, time(), BEIJING) + timedelta(days=1)


def rows(model: DeskModel, day: Day, channel: Channel | None = None) -> Counter[Row]:
    """All rows of a day, as things stand now."""
    every = [*_of_refunds(model, day), *_of_payments(model, day)]
    return Counter(each for each in every if channel in (None, each.channel))


def totals(found: Counter[Row]) -> dict[str, dict[str, int]]:
    """How many rows each group has, and what they come to."""
    of = {group: [each for each in found.elements() if each.group == group] for group in GROUPS}
    return {group: {"count": len(each), "amount": sum(row.amount for row in each)} for group, each in of.items()}


def _of_refunds(model: DeskModel, day: Day) -> Iterator[Row]:
    for _, refund in model.refunds:
        group = _group(refund, day)
        common = (refund.payment_no, refund.channel.value, refund.amount, refund.refund_no)
        if group is not None:
            yield Row(group, *common, overdue=refund.is_overdue(model.now))
        for conflict, at in refund.contradicted:
            if day.has(at):
                yield Row("conflict", *common, more=conflict, overdue=refund.is_overdue(model.now))


def _group(refund: RefundModel, day: Day) -> str | None:
    """In at most one of them: on the day of the channel's last word what it says; open before its end for ever."""
    is_of_the_day = day.has(refund.reported_at)
    if refund.state == "succeeded":
        return "settled" if is_of_the_day else None
    if refund.state in STOPPED and is_of_the_day:
        return "stopped"
    return "open" if refund.state not in FINAL and refund.created_at < day.end else None


def _of_payments(model: DeskModel, day: Day) -> Iterator[Row]:
    records = model.records
    for payment_no, found in records.found.items():
        payment = records.payments.get(payment_no)
        if payment is None or not found.known:
            continue
        beyond, channel = records.overdrawn(payment), payment.channel.value
        money = (
            payment.amount,
            records.promised[payment_no],
            payment.refunded_amount,
            found.amount,
            beyond,
        )
        for number, known, amount in found.rows:
            if day.has(known.found_at) or day.has(known.at):
                yield Row("found", payment_no, channel, amount, more=number, payment=money)
        if beyond and min(each.found_at for each in found.known.values()) < day.end:
            yield Row("overdrawn", payment_no, channel, beyond, payment=money)


def row_of(document: dict[str, Any]) -> Row:
    """A row as it was answered."""
    conflict, payment = document["conflict"], document["payment"]
    names = ("amount", "reserved_amount", "refunded_amount", "found_amount", "overdrawn_amount")
    return Row(
        document["group"],
        document["payment_no"],
        document["channel"],
        document["amount"],
        document["refund_no"],
        more=conflict["code"] if conflict else document["channel_refund_no"] if document["group"] == "found" else None,
        overdue=document["overdue"],
        payment=payment and tuple(payment[name] for name in names),
    )
