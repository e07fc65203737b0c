"""How many statements each path sends. A number that grows here is a decision, not an accident."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.closed_sets import RecordKind, ReportSource
from app.rules.facts import Channel, MerchantStatus, Reason
from app.rules.lifecycle import CaseStatus
from app.rules.settlement import RefundState, ReportVerdict
from app.services.records import put_record, put_records
from app.store.case_rows import CaseFilter
from app.store.cases import CaseStore, Consequences
from app.store.dispatches import DispatchStore, sites_due
from app.store.engine import transaction
from app.store.idempotency import IdempotencyStore
from app.store.record_rows import OrderRow
from app.store.records import RecordStore
from app.store.refunds import NewReport, RefundFilter, RefundStore
from app.store.sites import caller_of
from tests.store.rows import (
    DECISION,
    DELIVERY,
    EVIDENCE,
    MERCHANT,
    NOW,
    ORDER,
    PAYMENT,
    SITE,
    TOLD,
    add_endpoint,
    new_case,
    new_event,
    new_refund,
    next_row,
)


@contextmanager
def counted(engine: AsyncEngine) -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments[2])

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def test_filing_a_case_is_five_statements_beside_the_caller(engine: AsyncEngine) -> None:
    events = [new_event(), new_event(), new_event()]
    async with transaction(engine) as connection:
        await add_endpoint(connection)
    with counted(engine) as seen:
        async with transaction(engine) as connection:
            await IdempotencyStore(connection, SITE).claim("k", b"print", NOW)
            await RecordStore(connection, SITE).put_all(TOLD, NOW)
            store = CaseStore(connection, SITE)
            await store.read_for_judgement(order_no="A-1", reason=Reason.NOT_DELIVERED)
            await store.file(new_case(), Consequences([EVIDENCE] * 4, DECISION, events, [new_refund(1)]), NOW)
            await IdempotencyStore(connection, SITE).answer("k", status=201, headers={}, sealed=b"")
    assert len(seen) == 5


async def test_everything_else_is_one_statement(engine: AsyncEngine) -> None:
    case = new_case()
    async with transaction(engine) as connection:
        records, cases = RecordStore(connection, SITE), CaseStore(connection, SITE)
        await records.put_all(TOLD, NOW)
        await cases.file(case, Consequences(events=[new_event()]), NOW)
        step = next_row(case, CaseStatus.WITHDRAWN, NOW)
        dispatches = DispatchStore(connection, SITE)
        for call in (
            lambda: caller_of(connection, b"hash"),
            lambda: records.put(RecordKind.ORDER, [ORDER] * 1000, NOW),
            lambda: records.get(OrderRow, "A-1"),
            lambda: records.versions(RecordKind.ORDER, "A-1"),
            lambda: cases.get(case.case_id),
            lambda: cases.page(CaseFilter(), limit=100),
            lambda: cases.lock(case.case_id),
            lambda: cases.hold(case.case_id),
            lambda: cases.advance(step, Consequences(), NOW),
            lambda: sites_due(connection, busy=[], limit=9),
            lambda: dispatches.claim(NOW, lease=timedelta(minutes=1), limit=9, per_endpoint=9),
            lambda: dispatches.record([], NOW),
        ):
            with counted(engine) as seen:
                await call()
            assert len(seen) == 1, seen


async def test_a_record_is_written_in_one_statement_and_its_cases_made_due_in_another(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        for record in (ORDER, PAYMENT, DELIVERY):
            for statements in (2, 1):  # told again, it changes nothing
                with counted(engine) as seen:
                    await put_record(connection, SITE, record, NOW)
                assert len(seen) == statements
        await put_record(connection, SITE, MERCHANT, NOW)
        changed = replace(TOLD, orders=(replace(ORDER, amount=1),), merchants=(replace(MERCHANT, deposit=1),))
        for statements in (2, 1):
            with counted(engine) as seen:
                await put_records(connection, SITE, changed, NOW)
            assert len(seen) == statements


@pytest.mark.parametrize(
    ("change", "more"),
    [
        # is it booked; lock, open, lock; read behind the lock; book
        ("first", 5),
        ("told again", 0),
        ("another deposit", 5),
        ("another status", 1),
    ],
)
async def test_a_merchants_record_is_booked_where_it_tells_another_deposit(
    engine: AsyncEngine, change: str, more: int
) -> None:
    """Beside the two statements of every record that has changed, and the one of one that has not."""
    record = {
        "another deposit": replace(MERCHANT, deposit=1),
        "another status": replace(MERCHANT, status=MerchantStatus.SUSPENDED),
    }.get(change, MERCHANT)
    async with transaction(engine) as connection:
        if change != "first":
            await put_record(connection, SITE, MERCHANT, NOW)
        with counted(engine) as seen:
            await put_record(connection, SITE, record, NOW)
    assert len(seen) == (1 if change == "told again" else 2) + more


async def test_a_refund_is_read_reported_and_settled_in_one_statement_each(engine: AsyncEngine) -> None:
    case, refund = new_case(), new_refund(1)
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(TOLD, NOW)
        await CaseStore(connection, SITE).file(case, Consequences(refunds=[refund]), NOW)
        refunds = RefundStore(connection, SITE)
        view = await refunds.get(refund.refund_id)
        assert view is not None
        accepted = replace(view.refund, state=RefundState.ACCEPTED, version=2)
        said = NewReport(
            "digest", ReportSource.ADAPTER, RefundState.ACCEPTED, 1, "CNY", None, None, None, NOW, None, None,
            ReportVerdict.APPLIED, None,
        )  # fmt: skip
        for call in (
            lambda: refunds.get(refund.refund_id),
            lambda: refunds.page(RefundFilter(NOW), limit=100),
            lambda: refunds.case_of(refund.refund_id),
            lambda: refunds.by_number(refund.refund_no),
            lambda: refunds.number_is_taken(Channel.ALIPAY, "5030", refund.refund_id),
            lambda: refunds.note(refund.refund_id, said, NOW),
            lambda: refunds.settle(accepted, 0, NOW),
            lambda: refunds.expect(case.case_id, {"P-1": NOW}, NOW),
            lambda: refunds.overdue(100),
            lambda: refunds.is_still_overdue(refund.refund_id),
        ):
            with counted(engine) as seen:
                await call()
            assert len(seen) == 1, seen
