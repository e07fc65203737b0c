"""Records: what is written, what is left alone, and what is refused."""

import asyncio
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import Conflict, Invalid, Stale
from app.models.closed_sets import RecordKind
from app.models.records import Delivery, Merchant, Order, Payment
from app.rules.facts import CancelledBy, Channel, Trait
from app.store.cases import CaseStore, Consequences
from app.store.engine import transaction
from app.store.record_rows import Change, DeliveryRow, MerchantRow, OrderRow, PaymentRow, RecordRow, Told
from app.store.records import RecordStore
from tests.store.rows import (
    DELIVERY,
    MERCHANT,
    NOW,
    ORDER,
    OTHER_SITE,
    PAYMENT,
    SITE,
    TOLD,
    new_case,
    new_refund,
    until_somebody_waits,
)

FULL_ORDER = replace(
    ORDER,
    cancelled_by=CancelledBy.BUYER,
    cancelled_at=NOW,
    promised_at=NOW + timedelta(hours=1),
    face_value=20_000,
    traits=(Trait.CUSTOM_MADE, Trait.TRIAL),
    report_window=timedelta(days=8, hours=1, seconds=1),
    refundable=False,
)


@pytest.mark.parametrize(
    ("row", "table"), [(OrderRow, Order), (PaymentRow, Payment), (DeliveryRow, Delivery), (MerchantRow, Merchant)]
)
def test_a_row_has_a_field_for_each_column_that_a_site_fills(row: type[RecordRow], table: type[Order]) -> None:
    ours = {"site_id", "reserved_amount", "found_amount", "overdrawn_amount", "version", "created_at", "updated_at"}
    assert {field.name for field in fields(row)} == set(table.__table__.columns.keys()) - ours


@pytest.mark.parametrize(
    ("kind", "record", "number"),
    [
        (RecordKind.ORDER, FULL_ORDER, "A-1"),
        (RecordKind.PAYMENT, replace(PAYMENT, order_no=None, refunded_amount=3), "P-1"),
        (RecordKind.DELIVERY, replace(DELIVERY, card_fingerprint="ab" * 32, times_sold=2), "D-1"),
        (RecordKind.MERCHANT, MERCHANT, "m-7"),
    ],
)
async def test_what_was_put_is_what_is_read(engine: AsyncEngine, kind: RecordKind, record: Any, number: str) -> None:
    async with transaction(engine) as connection:
        store = RecordStore(connection, SITE)
        [put] = await store.put(kind, [record], NOW)
        stored = await store.get(type(record), number)
        foreign = await RecordStore(connection, OTHER_SITE).get(type(record), number)
    assert (put.change, put.version, put.record_no) == (Change.CREATED, 1, number)
    assert stored is not None
    assert (stored.record, stored.version, stored.created_at) == (record, 1, NOW)
    assert foreign is None


async def test_an_unchanged_record_is_no_new_version(engine: AsyncEngine) -> None:
    changes = []
    for order in (FULL_ORDER, replace(FULL_ORDER, traits=FULL_ORDER.traits[::-1]), replace(FULL_ORDER, amount=1)):
        async with transaction(engine) as connection:
            [put] = await RecordStore(connection, SITE).put(RecordKind.ORDER, [order], NOW)
            changes.append((put.change, put.version))
    async with transaction(engine) as connection:
        versions = await RecordStore(connection, SITE).versions(RecordKind.ORDER, "A-1")
    assert changes == [(Change.CREATED, 1), (Change.UNCHANGED, 1), (Change.UPDATED, 2)]
    assert [(each.version, each.record["amount"]) for each in versions] == [(2, 1), (1, 20_000)]


async def test_all_kinds_go_in_together_and_again_without_effect(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        first = await RecordStore(connection, SITE).put_all(TOLD, NOW)
        again = await RecordStore(connection, SITE).put_all(TOLD, NOW)
        changed = await RecordStore(connection, SITE).put_all(replace(TOLD, merchants=(MerchantRow("m-7"),)), NOW)
    assert [put.record_no for put in first] == ["A-1", "P-1", "D-1", "m-7"]
    assert {put.change for put in first} == {Change.CREATED}
    assert {put.change for put in again} == {Change.UNCHANGED}
    assert [put.version for put in changed] == [1, 1, 1, 2]


async def test_a_version_that_has_passed_is_stale(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        store = RecordStore(connection, SITE)
        with pytest.raises(Stale):
            await store.put(RecordKind.ORDER, [ORDER], NOW, expected=1)
        await store.put(RecordKind.ORDER, [ORDER], NOW)
        [put] = await store.put(RecordKind.ORDER, [replace(ORDER, amount=1)], NOW, expected=1)
        assert put.version == 2
        with pytest.raises(Stale):
            await store.put(RecordKind.ORDER, [replace(ORDER, amount=2)], NOW, expected=1)
        stored = await store.get(OrderRow, "A-1")
    assert stored is not None
    assert stored.record.amount == 1


async def test_the_same_record_from_many_at_once_is_one_version(engine: AsyncEngine) -> None:
    async def put() -> Change:
        async with transaction(engine) as connection:
            [answer] = await RecordStore(connection, SITE).put(RecordKind.ORDER, [ORDER], NOW)
            return answer.change

    changes = await asyncio.gather(*(put() for _ in range(16)))
    assert sorted(changes) == [Change.CREATED] + [Change.UNCHANGED] * 15
    async with transaction(engine) as connection:
        assert len(await RecordStore(connection, SITE).versions(RecordKind.ORDER, "A-1")) == 1


async def test_a_record_that_another_is_just_telling_is_unchanged(engine: AsyncEngine) -> None:
    async def put() -> Change:
        async with transaction(engine) as connection:
            [answer] = await RecordStore(connection, SITE).put(RecordKind.ORDER, [ORDER], NOW)
            return answer.change

    async with transaction(engine) as first:
        await RecordStore(first, SITE).put(RecordKind.ORDER, [ORDER], NOW)
        second = asyncio.create_task(put())
        await until_somebody_waits(engine)
    assert await second == Change.UNCHANGED


async def test_different_records_from_many_at_once_are_each_a_version(engine: AsyncEngine) -> None:
    async def put(amount: int) -> int:
        async with transaction(engine) as connection:
            told = replace(TOLD, orders=(replace(ORDER, amount=amount),))
            return (await RecordStore(connection, SITE).put_all(told, NOW))[0].version

    versions = await asyncio.gather(*(put(amount) for amount in range(1, 13)))
    assert sorted(versions) == list(range(1, 13))


async def test_one_number_with_two_contents_is_refused(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        store = RecordStore(connection, SITE)
        with pytest.raises(Invalid):
            await store.put_all(Told(orders=(ORDER, replace(ORDER, amount=1))), NOW)
        assert len(await store.put_all(Told(orders=(ORDER, ORDER)), NOW)) == 2


async def test_a_payment_cannot_shrink_below_what_is_promised_on_it(engine: AsyncEngine) -> None:
    await _promise(engine, 15_000)
    for payment in (replace(PAYMENT, amount=14_999), replace(PAYMENT, refunded_amount=5_001)):
        with pytest.raises(Conflict) as refused:
            await _put(engine, payment)
        assert refused.value.code == "payment_below_refunds"
    await _put(engine, replace(PAYMENT, amount=15_000))


async def test_a_promised_payment_keeps_its_order_and_channel(engine: AsyncEngine) -> None:
    await _promise(engine, 1)
    for payment in (replace(PAYMENT, order_no="A-2"), replace(PAYMENT, channel=Channel.BALANCE)):
        with pytest.raises(Conflict) as refused:
            await _put(engine, payment)
        assert refused.value.code == "payment_has_refunds"


async def test_a_payment_without_a_promise_may_move(engine: AsyncEngine) -> None:
    await _put(engine, PAYMENT)
    await _put(engine, replace(PAYMENT, order_no="A-2", channel=Channel.BALANCE))


async def test_a_merchant_that_did_not_change_is_not_locked(engine: AsyncEngine) -> None:
    async with transaction(engine) as one:
        await RecordStore(one, SITE).put_all(TOLD, NOW)
    second = Told((replace(ORDER, order_no="A-2"),), merchants=(MERCHANT,))
    async with transaction(engine) as one, transaction(engine) as two:
        await RecordStore(one, SITE).put_all(TOLD, NOW)
        await two.execute(text("SET LOCAL lock_timeout = '50ms'"))
        await RecordStore(two, SITE).put_all(second, NOW)


async def _put(engine: AsyncEngine, payment: PaymentRow) -> None:
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put(RecordKind.PAYMENT, [payment], NOW)


async def _promise(engine: AsyncEngine, amount: int) -> None:
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(TOLD, NOW)
        await CaseStore(connection, SITE).file(new_case(), Consequences(refunds=[new_refund(amount)]), NOW)
