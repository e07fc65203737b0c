"""The clock that tests of time stand on: statements follow it, and it moves only when told."""

import re
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.store.engine import transaction
from app.store.sites import database_now
from tests.database_clock import DatabaseClock, database_clock
from tests.live import CHECKOUT

LONG_AGO = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
DAY = timedelta(days=1)


async def test_statements_of_the_service_follow_the_clock(clock: DatabaseClock, engine: AsyncEngine) -> None:
    await clock.freeze(LONG_AGO)
    assert await _now(engine) == LONG_AGO
    await clock.advance(DAY)
    assert await _now(engine) == LONG_AGO + DAY
    await clock.set(LONG_AGO - DAY)
    assert LONG_AGO - DAY <= await _now(engine) < LONG_AGO


async def test_connections_that_were_open_before_follow_it_too(engine: AsyncEngine, database_url: str) -> None:
    assert await _now(engine) > LONG_AGO
    async with database_clock(database_url) as clock:
        await clock.freeze(LONG_AGO)
        assert await _now(engine) == LONG_AGO


async def test_a_statement_prepared_long_ago_still_follows(clock: DatabaseClock, engine: AsyncEngine) -> None:
    """The driver keeps statements prepared, and the server gives up planning them anew after five times."""
    told = []
    await clock.freeze(LONG_AGO)
    async with engine.connect() as connection:
        for _ in range(12):
            await clock.advance(DAY)
            told.append(await database_now(connection))
            await connection.rollback()
        prepared = text("SELECT max(generic_plans) FROM pg_prepared_statements WHERE statement = 'SELECT now()'")
        assert (await connection.scalar(prepared) or 0) > 1
    assert told == [LONG_AGO + n * DAY for n in range(1, 13)]


async def test_an_index_serves_a_comparison_with_it(clock: DatabaseClock, engine: AsyncEngine) -> None:
    await clock.freeze(LONG_AGO)
    plan = text("EXPLAIN SELECT FROM case_timers WHERE site_id = gen_random_uuid() AND state = 'pending'"
                " AND next_attempt_at < now()")  # fmt: skip
    async with transaction(engine) as connection:
        shown = " ".join((await connection.scalars(plan)).all())
    assert "Index Cond" in shown
    assert "next_attempt_at < now()" in shown.partition("Index Cond")[2]


def test_the_service_asks_for_the_time_in_no_other_way() -> None:
    others = re.compile(
        r"(?:clock|current|statement|transaction)_(?:timestamp|time\b|date\b)|localtime|timeofday|pg_catalog\.now"
        r"|(?:timestamp|timestamptz|date)\s+'(?:now|today)'|'(?:now|today)'(?:::|\)|\s+AS\b)",
        re.IGNORECASE,
    )
    found = {source.name: others.findall(source.read_text("utf-8")) for source in (CHECKOUT / "app").rglob("*.py")}
    assert {name: each for name, each in found.items() if each} == {}


async def _now(engine: AsyncEngine) -> datetime:
    async with transaction(engine) as connection:
        return await database_now(connection)
