"""Records, as the API asks for them."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.errors import Invalid, NotFound
from app.models.closed_sets import RecordKind
from app.rules.facts import PaymentStatus
from app.rules.lifecycle import CaseStatus
from app.services import records
from app.services.example_cases import (
    AWAITING_EVIDENCE,
    AWAITING_MERCHANT,
    EXAMPLE_CASE,
    EXAMPLE_EVENT,
    EXAMPLE_REFUND,
    GIVEN_UP_REFUND,
    IN_REVIEW,
    STOPPED_REFUND,
    TO_APPEAL,
    TO_ESCALATE,
    TO_GIVE_UP,
    TO_PAY_BACK,
    TO_RETRY,
    TO_WITHDRAW,
    example_cases,
)
from app.services.examples import example_records
from app.services.filing import file_case
from app.store.case_rows import CaseView
from app.store.engine import transaction
from app.store.record_rows import Change, DeliveryRow, MerchantRow, OrderRow, PaymentRow, Told
from app.store.sites import database_now
from tests.services import test_filing as filings
from tests.store.rows import (
    DELIVERY,
    MERCHANT,
    NOW,
    ORDER,
    OTHER_SITE,
    PAYMENT,
    SITE,
    TOLD,
    until_somebody_waits,
)


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


async def test_the_examples_are_records_that_can_be_put(engine: AsyncEngine) -> None:
    """The orders that the documentation speaks of, and the one of each case of the sandbox."""
    async with transaction(engine) as connection:
        now = await database_now(connection)
        put = await records.put_records(connection, SITE, example_records(now), now)
        assert {each.change for each in put} == {Change.CREATED}
    orders, payments, deliveries, merchants = (
        [each.record_no for each in put if each.kind is kind]
        for kind in (RecordKind.ORDER, RecordKind.PAYMENT, RecordKind.DELIVERY, RecordKind.MERCHANT)
    )
    under_way = range(1004, 1010)
    assert orders == [f"A-{number}" for number in range(1000, 1013)]
    assert payments == ["P-0", "P-1", "P-2", "P-3", "P-4", *(f"P-{number}" for number in range(1004, 1013))]
    assert deliveries == ["D-2", "D-3", *(f"D-{number}" for number in under_way)]
    assert merchants == ["m-7"]


async def test_each_case_of_the_sandbox_is_in_the_state_that_it_is_there_for(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        now = await database_now(connection)
        await records.put_records(connection, SITE, example_records(now), now)
        views = [
            await file_case(each.filing, connection, SITE, now=now, mint=each.mint()) for each in example_cases(now)
        ]
    assert {view.case.case_id: view.case.status for view in views} == {
        EXAMPLE_CASE: CaseStatus.APPROVED,
        AWAITING_EVIDENCE: CaseStatus.AWAITING_EVIDENCE,
        AWAITING_MERCHANT: CaseStatus.AWAITING_MERCHANT,
        TO_WITHDRAW: CaseStatus.AWAITING_MERCHANT,
        IN_REVIEW: CaseStatus.IN_REVIEW,
        TO_APPEAL: CaseStatus.REJECTED,
        TO_ESCALATE: CaseStatus.REJECTED,
        TO_PAY_BACK: CaseStatus.APPROVED,
        # The refunds of these stop once they are reported so, when the sandbox opens.
        TO_RETRY: CaseStatus.APPROVED,
        TO_GIVE_UP: CaseStatus.APPROVED,
    }
    by_case = {view.case.case_id: view for view in views}
    assert [refund.refund_id for refund in by_case[TO_PAY_BACK].refunds] == [EXAMPLE_REFUND]
    assert [refund.refund_id for refund in by_case[TO_RETRY].refunds] == [STOPPED_REFUND]
    assert [refund.refund_id for refund in by_case[TO_GIVE_UP].refunds] == [GIVEN_UP_REFUND]
    assert EXAMPLE_EVENT in [each.event_id for each in views[0].timeline]


async def test_a_row_given_twice_is_created_once_and_one_with_two_contents_not_at_all(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        put = await records.put_records(connection, SITE, Told((ORDER, ORDER)), NOW)
        assert [each.change for each in put] == [Change.CREATED, Change.UNCHANGED]
        with pytest.raises(Invalid) as refused:
            await records.put_records(connection, SITE, Told((), (PAYMENT, PAYMENT, replace(PAYMENT, amount=1))), NOW)
    assert [fault.where for fault in refused.value.faults] == ["/payments/2"]


PENDING = replace(filings.PAYMENT, status=PaymentStatus.PENDING)
CLAIM = filings.filing(told=Told(), evidence=())


async def with_a_pending_payment(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        told = replace(filings.TOLD, payments=(PENDING,))
        await records.put_records(connection, SITE, told, await database_now(connection))


async def pay(connection: AsyncConnection) -> None:
    await records.put_record(connection, SITE, filings.PAYMENT, await database_now(connection))


async def judgements_due(engine: AsyncEngine) -> int:
    async with transaction(engine) as connection:
        found = await connection.scalar(
            text("SELECT count(*) FROM case_timers WHERE name = 'rejudge' AND state = 'pending'")
        )
        return int(found or 0)


async def test_a_payment_that_waits_for_a_filing_has_its_case_judged_anew(engine: AsyncEngine) -> None:
    await with_a_pending_payment(engine)

    async def paying() -> None:
        async with transaction(engine) as connection:
            await pay(connection)

    async with transaction(engine) as connection:
        view = await filings.file(connection, CLAIM)
        task = asyncio.create_task(paying())
        await until_somebody_waits(engine)
    await task
    assert '"pending"' in facts_of(view)
    assert view.case.status is not CaseStatus.APPROVED
    assert await judgements_due(engine) == 1


async def test_a_filing_that_waits_for_a_payment_judges_on_it(engine: AsyncEngine) -> None:
    await with_a_pending_payment(engine)
    async with transaction(engine) as connection:
        await pay(connection)
        task = asyncio.create_task(filings.filed(engine, CLAIM))
        await until_somebody_waits(engine)
    assert '"pending"' not in facts_of(await task)
    assert await judgements_due(engine) == 0


async def test_a_filing_that_waits_for_a_new_delivery_judges_on_it(engine: AsyncEngine) -> None:
    await with_a_pending_payment(engine)
    async with transaction(engine) as connection:
        await records.put_record(connection, SITE, DELIVERY, await database_now(connection))
        task = asyncio.create_task(filings.filed(engine, CLAIM))
        await until_somebody_waits(engine)
    assert '"D-1"' in facts_of(await task)


def facts_of(view: CaseView) -> str:
    """What a case was judged on."""
    assert view.decision is not None
    return view.decision.facts
