"""Records, as the API asks for them."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import NotFound
from app.models.closed_sets import RecordKind
from app.services import records
from app.services.examples import example_records
from app.store.engine import transaction
from app.store.record_rows import Change, DeliveryRow, MerchantRow, OrderRow, PaymentRow
from tests.store.rows import DELIVERY, MERCHANT, NOW, ORDER, OTHER_SITE, PAYMENT, SITE, TOLD


async def test_each_kind_is_put_and_read_under_its_number(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        for record in (ORDER, PAYMENT, DELIVERY, MERCHANT):
            put = await records.put_record(connection, SITE, record, NOW)
            assert (put.change, put.version) == (Change.CREATED, 1)
        assert (await records.get_record(connection, SITE, OrderRow, "A-1")).record == ORDER
        assert (await records.get_record(connection, SITE, PaymentRow, "P-1")).record == PAYMENT
        assert (await records.get_record(connection, SITE, DeliveryRow, "D-1")).record == DELIVERY
        assert (await records.get_record(connection, SITE, MerchantRow, "m-7")).record == MERCHANT


async def test_foreign_and_absent_look_the_same(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await records.put_records(connection, SITE, TOLD, NOW)
        for site_id, number in ((OTHER_SITE, "A-1"), (SITE, "A-2")):
            with pytest.raises(NotFound):
                await records.get_record(connection, site_id, OrderRow, number)
            with pytest.raises(NotFound):
                await records.history_of(connection, site_id, RecordKind.ORDER, number)
        assert len(await records.history_of(connection, SITE, RecordKind.ORDER, "A-1")) == 1


async def test_the_examples_are_records_that_can_be_put(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        put = await records.put_records(connection, SITE, example_records(NOW), NOW)
    assert [each.record_no for each in put] == [
        "A-1000", "A-1001", "A-1002", "A-1003", "P-0", "P-1", "P-2", "P-3", "P-4", "D-2", "D-3", "m-7",
    ]  # fmt: skip
