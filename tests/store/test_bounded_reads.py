"""Filing reads what belongs to its own order, however many records the site has.

A plan that joins the records told with all those of the site costs little in a small shop, and is chosen; its cost
grows with the shop.
"""

from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.rules.facts import Reason
from app.store.cases import CaseStore, Consequences
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
)

RECORDS = 500
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
        consequences = Consequences([EVIDENCE], DECISION, [new_event()], [new_refund(1, payment_no)])
        await cases.file(new_case(order_no), consequences, NOW)
        return int(await connection.scalar(_FETCHED) or 0) - int(before or 0)


async def test_filing_reads_no_more_rows_when_the_site_has_more_records(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(told(*range(1000, 1000 + RECORDS)), NOW)
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))
    async with engine.connect() as connection:
        fetched = [await file_one(connection, number) for number in range(FILINGS)]
    assert max(fetched) < RECORDS / 5
