"""Bugs about one payment that many have a hand in, to be planted by `tests.lifecycle.sabotage`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause

from app.models.closed_sets import RecordKind, ReportSource
from app.rules.settlement import FINAL, RefundState, Report, Weighed
from app.services import reconciling, refund_steps, refunds, repair
from app.store import found, reconciliation, reconciliation_sql, record_rows, records
from app.store import refunds as store_of_refunds
from app.store.found import Foreign, FoundStore, PaymentHeld
from app.store.record_rows import HeldPayment
from app.store.statement import statement

Plant = tuple[object, str, Any]


async def _nothing(*_given: Any, **_more: Any) -> None:
    return None


def _changed(written: TextClause, before: str, after: str) -> TextClause:
    """A statement with a slip in it."""
    assert before in written.text, before
    return statement(written.text.replace(before, after))


def _only_told(payment: HeldPayment) -> int:
    return min(payment.amount, payment.refunded_amount + payment.reserved_amount)


def _only_found(payment: HeldPayment) -> int:
    return min(payment.amount, payment.found_amount + payment.reserved_amount)


def _both_added(payment: HeldPayment) -> int:
    return min(payment.amount, payment.refunded_amount + payment.found_amount + payment.reserved_amount)


def _promises_forgotten(payment: HeldPayment) -> int:
    return min(payment.amount, max(payment.refunded_amount, payment.found_amount))


def _ours_are_foreign(*_given: Any) -> bool:
    return False


def _all_of_the_sum(held: PaymentHeld, seen: Any) -> Iterator[Foreign]:
    yield from _FOREIGN(replace(held, refunds=()), replace(seen, refunds=()))
    yield from _FOREIGN(held, replace(seen, refunded_amount=None))


def _what_failed_too(held: PaymentHeld, seen: Any) -> Iterator[Foreign]:
    moved = tuple(replace(each, state=RefundState.SUCCEEDED) for each in seen.refunds)
    return _FOREIGN(held, replace(seen, refunds=moved))


def _only_the_first(held: PaymentHeld, seen: Any) -> Iterator[Foreign]:
    yield from list(_FOREIGN(held, seen))[:1]


async def _told_each_time(*given: Any) -> int | None:
    times = await _NOTE(*given)
    return 1 if times is not None and given[2].conflict == "refunded_elsewhere" else times


async def _told_nothing_of_found(engine: Any, site_id: UUID, bill: Sequence[Any], now: datetime) -> None:
    ours = [each for each in bill if each[1].refund_no is not None and each[1].refund_no.isalnum()]
    await _TAKE_IN_BILL(engine, site_id, ours, now)


def _report_with(before: str, after: str) -> Callable[[int], TextClause]:
    return lambda first: _changed(_REPORT_FROM(first), before, after)


def _by_an_adapter(said: Report, _source: Any, weighed: Weighed) -> Any:
    return _NEW_REPORT(said, ReportSource.ADAPTER, weighed)


def _whatever_for(state: RefundState, _failure: Any) -> bool:
    return state in FINAL


_FOREIGN, _NOTE = reconciling.foreign_refunds, store_of_refunds.RefundStore.note
_TAKE_IN_BILL, _NEW_REPORT = reconciling.take_in_bill, refunds.new_report
_REPORT_FROM = reconciliation_sql.report_from
_OVERDRAWING = _changed(records._PUT[RecordKind.PAYMENT], "least(t.overdrawn_amount,", "greatest(0,")
MONEY_BUGS: MappingProxyType[str, tuple[Plant, ...]] = MappingProxyType({
    "what the channel found is granted again": ((record_rows.HeldPayment, "gone", property(_only_told)),),
    "what the site told of others is granted again": ((record_rows.HeldPayment, "gone", property(_only_found)),),
    "told and found, the same money counts twice": ((record_rows.HeldPayment, "gone", property(_both_added)),),
    "what is promised to one case is promised to the next": (
        (record_rows.HeldPayment, "gone", property(_promises_forgotten)),
    ),
    "our own refund is found as somebody else's": ((reconciling, "_is_ours", _ours_are_foreign),),
    "a sum is foreign altogether": ((reconciling, "foreign_refunds", _all_of_the_sum),),
    "what did not move is found": ((reconciling, "foreign_refunds", _what_failed_too),),
    "of many refunds by others only one is found": ((reconciling, "foreign_refunds", _only_the_first),),
    "found again, it counts again": (
        (found, "_KEEP", _changed(found._KEEP, "SET amount = EXCLUDED.amount", "SET amount = f.amount + 1")),
    ),
    "less that is found takes back what was": (
        (found, "_KEEP", _changed(found._KEEP, "f.amount < EXCLUDED.amount", "f.amount <> EXCLUDED.amount")),
    ),
    "an overdrawn payment is not marked": (
        (found, "_LOWER", _changed(found._LOWER, "p.reserved_amount - p.amount", "0 - p.amount")),
    ),
    "a promise does not hear that it is overdrawn": ((refunds, "refunded_elsewhere", _nothing),),
    "what is over hears that it is overdrawn": ((reconciling, "FINAL", frozenset()), (refunds, "FINAL", frozenset())),
    "that it is overdrawn is told each time": ((store_of_refunds.RefundStore, "note", _told_each_time),),
    "what a bill finds is thrown away": ((reconciling, "take_in_bill", _told_nothing_of_found),),
    "a bill is taken for an adapter's word": ((refunds, "new_report", _by_an_adapter),),
    "closed, it is as good as paid": ((refund_steps, "is_back", _whatever_for), (repair, "is_back", _whatever_for)),
    "paid by another way, it may be granted again": ((FoundStore, "keep_elsewhere", _nothing),),
    "a closed refund that the channel paid is free": ((refunds, "_keep_as_found", _nothing),),
    "the site is believed beyond the payment": ((records, "_PUT", {**records._PUT, RecordKind.PAYMENT: _OVERDRAWING}),),
    "an overdrawn payment is not in the report": (
        (reconciliation, "report_from", _report_with("r.overdrawn_amount > 0", "r.overdrawn_amount > 9999999")),
    ),
    "a sum is counted beside its parts": (
        (reconciliation, "report_from", _report_with("f.amount - coalesce(sum(g.amount), 0) AS amount",
                                                     "max(f.amount) AS amount")),
    ),
})  # fmt: skip
