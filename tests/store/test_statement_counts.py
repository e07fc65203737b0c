"""How many statements each path sends. A number that grows here is a decision, not an accident."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.closed_sets import RecordKind
from app.rules.facts import Reason
from app.rules.lifecycle import CaseStatus
from app.services.records import put_record, put_records
from app.store.case_rows import CaseFilter
from app.store.cases import CaseStore, Consequences
from app.store.dispatches import DispatchStore, sites_due
from app.store.engine import transaction
from app.store.idempotency import IdempotencyStore
from app.store.record_rows import OrderRow
from app.store.records import RecordStore
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
        for record in (ORDER, PAYMENT, DELIVERY, MERCHANT):
            for statements in (2, 1):  # told again, it changes nothing
                with counted(engine) as seen:
                    await put_record(connection, SITE, record, NOW)
                assert len(seen) == statements
        changed = replace(TOLD, orders=(replace(ORDER, amount=1),))
        for statements in (2, 1):
            with counted(engine) as seen:
                await put_records(connection, SITE, changed, NOW)
            assert len(seen) == statements
