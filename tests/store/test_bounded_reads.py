"""Filing reads what belongs to its own order, however many records the site has.

A plan that joins the records told with all those of the site costs little in a small shop, and is chosen; its cost
grows with the shop.
"""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.models.closed_sets import TimerKind
from app.rules.deposits import Balances, DepositKind
from app.rules.facts import Reason
from app.rules.lifecycle import CaseStatus
from app.store.case_rows import NewTimer
from app.store.cases import CaseStore, Consequences
from app.store.deposit_rows import NewEntry
from app.store.deposits import DepositStore
from app.store.engine import transaction
from app.store.record_rows import Told
from app.store.records import RecordStore
from tests.store.rows import (
    DECISION,
    DELIVERY,
    EVIDENCE,
    MERCHANT,
    NOW,
    ORDER,
    PAYMENT,
    SITE,
    new_case,
    new_event,
    new_refund,
    next_row,
)

RECORDS = 500
CASES = 200
TIMERS = (NewTimer("review", TimerKind.DUE, NOW + timedelta(days=3)),)
FILINGS = 12  # more than it takes for a plan to be kept
_FETCHED = text("SELECT CAST(sum(idx_tup_fetch) AS integer) FROM pg_stat_xact_user_tables")


def told(*numbers: int) -> Told:
    """For each number an order with its payment, delivery and merchant."""
    return Told(
        tuple(replace(ORDER, order_no=f"A-{n}", merchant_id=f"m-{n}") for n in numbers),
        tuple(replace(PAYMENT, payment_no=f"P-{n}", order_no=f"A-{n}") for n in numbers),
        tuple(
            replace(DELIVERY, delivery_no=f"D-{n}", order_no=f"A-{n}", card_fingerprint=f"{n:064x}") for n in numbers
        ),
        tuple(replace(MERCHANT, merchant_id=f"m-{n}") for n in numbers),
    )


async def file_one(connection: AsyncConnection, number: int) -> int:
    """Files a case as the service does; answers with how many rows were found by way of an index."""
    order_no, payment_no = f"A-{number}", f"P-{number}"
    async with connection.begin():
        before = await connection.scalar(_FETCHED)
        await RecordStore(connection, SITE).put_all(told(number), NOW)
        cases = CaseStore(connection, SITE)
        await cases.read_for_judgement(
            order_no=order_no, reason=Reason.NOT_DELIVERED, payment_nos=[payment_no], hashes=["ab" * 32]
        )
        told_of, refund = [new_event()], [new_refund(1, payment_no)]
        consequences = Consequences([EVIDENCE], DECISION, told_of, refund, timers=TIMERS)
        await cases.file(new_case(order_no), consequences, NOW)
        return int(await connection.scalar(_FETCHED) or 0) - int(before or 0)


async def test_filing_reads_no_more_rows_when_the_site_has_more_records(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(told(*range(1000, 1000 + RECORDS)), NOW)
        for number in range(1000, 1000 + CASES):
            await CaseStore(connection, SITE).file(new_case(f"A-{number}"), Consequences(timers=TIMERS), NOW)
    await analyse(engine)
    async with engine.connect() as connection:
        fetched = [await file_one(connection, number) for number in range(FILINGS)]
    assert max(fetched) < RECORDS / 5


async def analyse(engine: AsyncEngine) -> None:
    """What autovacuum does now and then: plans are made by what is counted here."""
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))


async def step_one(connection: AsyncConnection, number: int) -> int:
    """Takes a case one step on; answers as `file_one` does."""
    case = new_case(f"A-{number}")
    async with connection.begin():
        await CaseStore(connection, SITE).file(case, Consequences(timers=TIMERS), NOW)
    async with connection.begin():
        before = await connection.scalar(_FETCHED)
        cases = CaseStore(connection, SITE)
        await cases.lock(case.case_id)
        await cases.hold(case.case_id)
        await cases.advance(next_row(case, CaseStatus.WITHDRAWN, NOW), Consequences(timers=(), overturned="x"), NOW)
        return int(await connection.scalar(_FETCHED) or 0) - int(before or 0)


async def test_a_step_reads_no_more_rows_when_the_site_has_more_cases(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(told(*range(RECORDS)), NOW)
        for number in range(1000, 1000 + CASES):
            await CaseStore(connection, SITE).file(new_case(f"A-{number}"), Consequences(timers=TIMERS), NOW)
    await analyse(engine)
    async with engine.connect() as connection:
        fetched = [await step_one(connection, number) for number in range(FILINGS)]
    assert max(fetched) < CASES / 3


_READ = text("SELECT CAST(sum(idx_tup_fetch + seq_tup_read) AS integer) FROM pg_stat_xact_user_tables")
FREEZE = NewEntry(DepositKind.HOLD, Balances(available=-1, held=1))


async def book_one(connection: AsyncConnection, number: int) -> int:
    """Freezes a part of the one merchant's deposit for a case, and reads the case for a step; answers as above."""
    case = replace(new_case(f"A-{number}"), merchant_id="m-0")
    async with connection.begin():
        await CaseStore(connection, SITE).file(case, Consequences(timers=TIMERS), NOW)
    async with connection.begin():
        before = await connection.scalar(_READ)
        cases = CaseStore(connection, SITE)
        await cases.lock(case.case_id)
        await cases.hold(case.case_id)
        locked = await cases.deposits.lock("m-0", NOW, case_id=case.case_id)
        await cases.deposits.append(locked.account, [replace(FREEZE, case_id=case.case_id)], NOW)
        held = await cases.hold(case.case_id)
        assert held.on_file.merchant is not None
        assert held.on_file.merchant.deposit == MERCHANT.deposit - number  # its own part is still there for it
        return int(await connection.scalar(_READ) or 0) - int(before or 0)


async def test_a_booking_reads_no_more_rows_when_the_merchant_has_had_many_cases(engine: AsyncEngine) -> None:
    orders = tuple(replace(ORDER, order_no=f"A-{n}", merchant_id="m-0") for n in range(FILINGS))
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(
            Told(orders, merchants=(replace(MERCHANT, merchant_id="m-0"),)), NOW
        )
        deposits = DepositStore(connection, SITE)
        account = (await deposits.lock("m-0", NOW)).account
        moved = [FREEZE, replace(FREEZE, kind=DepositKind.RELEASE, moved=Balances(available=1, held=-1))]
        earlier = [replace(entry, case_id=new_case().case_id) for _ in range(RECORDS) for entry in moved]
        await deposits.append(account, earlier, NOW)
    await analyse(engine)
    async with engine.connect() as connection:
        read = [await book_one(connection, number) for number in range(FILINGS)]
    assert max(read) < RECORDS / 5
