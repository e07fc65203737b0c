"""What a site tells about its business."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.errors import NotFound
from app.models.closed_sets import RecordKind
from app.services.deposits import book_told
from app.store.deposits import DepositStore
from app.store.engine import Connection
from app.store.record_rows import Change, Put, RecordRow, Row, Stored, Told
from app.store.records import RecordStore, kind_of
from app.store.rejudging import RejudgingStore


async def put_record(
    connection: Connection, site_id: UUID, record: RecordRow, now: datetime, *, expected: int | None = None
) -> Put:
    """Stores one record if it differs; undecided cases that it bears on are then judged anew.

    Stale if it does not have the version `expected`. Conflict for a payment that would contradict the refunds promised
    on it.
    """
    store = RecordStore(connection, site_id)
    puts = await store.put(kind_of(record), [record], now, expected=expected)
    await RejudgingStore(connection, site_id).enqueue(puts, now, locked=store.locked)
    await _book_deposits(connection, site_id, puts, now)
    return puts[0]


async def import_records(connection: Connection, site_id: UUID, told: Told, now: datetime) -> Sequence[Put]:
    """Many records and nothing else: as `put_records`, and the deposits that they tell are booked."""
    puts = await put_records(connection, site_id, told, now)
    await _book_deposits(connection, site_id, puts, now)
    return puts


async def _book_deposits(connection: Connection, site_id: UUID, puts: Sequence[Put], now: datetime) -> None:
    """Last of all, since a deposit's account is the last lock that anybody takes."""
    told = [put.record_no for put in puts if put.kind is RecordKind.MERCHANT and put.change is not Change.UNCHANGED]
    await book_told(DepositStore(connection, site_id), told, now)


async def put_records(
    connection: Connection,
    site_id: UUID,
    told: Told,
    now: datetime,
    *,
    order_no: str | None = None,
    payment_nos: Sequence[str] = (),
) -> Sequence[Put]:
    """The same for many records, all or none. Invalid if one number comes with two contents.

    `order_no`, `payment_nos`: what a claim names beside them is locked in the same turn.
    A deposit told by them is booked when a case of the merchant's next moves it. Answers with orders, payments,
    deliveries and merchants, each in the order given.
    """
    store = RecordStore(connection, site_id)
    puts = await store.put_all(told, now, order_no=order_no, payment_nos=payment_nos)
    if _bears_on_earlier(told, puts):
        await RejudgingStore(connection, site_id).enqueue(puts, now, locked=store.locked)
    return puts


def _bears_on_earlier(told: Told, puts: Sequence[Put]) -> bool:
    """Whether there may be a case that knows these records otherwise: not if all of them are of orders new with them.

    A card may have been sold before under another order, and a merchant may be known from others.
    """
    created = {(put.kind, put.record_no) for put in puts if put.change is Change.CREATED}
    is_new_merchant = any(kind is RecordKind.MERCHANT for kind, _ in created)
    if is_new_merchant or any(put.change is Change.UPDATED for put in puts):
        return True
    new_orders = {number for kind, number in created if kind is RecordKind.ORDER}
    payments = [row.order_no for row in told.payments if (RecordKind.PAYMENT, row.payment_no) in created]
    deliveries = [row for row in told.deliveries if (RecordKind.DELIVERY, row.delivery_no) in created]
    touched = {*payments, *(row.order_no for row in deliveries)}
    return bool(touched - new_orders) or any(row.card_fingerprint is not None for row in deliveries)


async def get_record(connection: Connection, site_id: UUID, row: type[Row], record_no: str) -> Stored[Row]:
    """`get_record(connection, site_id, OrderRow, "A-1001")`; NotFound."""
    found = await RecordStore(connection, site_id).get(row, record_no)
    if found is None:
        raise NotFound
    return found
