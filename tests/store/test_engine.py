"""What goes wrong on a connection, and what a caller is told of it."""

import asyncio

import pytest
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.errors import Busy, Unavailable
from app.store.cases import CaseStore, Consequences
from app.store.engine import create_engine, in_transaction, transaction
from app.store.records import RecordStore
from tests.store.rows import DECISION, EVIDENCE, NOW, SITE, TOLD, config_of, new_case, new_event, new_refund


async def test_a_connection_gives_up_by_itself(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        settings = [
            await connection.scalar(text(f"SHOW {name}"))
            for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "timezone")
        ]
    assert settings == ["3s", "15s", "30s", "UTC"]


async def test_lost_connections_are_replaced_before_they_are_used(engine: AsyncEngine) -> None:
    others = text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                  " AND datname = current_database()")  # fmt: skip

    async def ask() -> int:
        async with transaction(engine) as connection:
            await asyncio.sleep(0)
            return int(await connection.scalar(text("SELECT 1")) or 0)

    assert await asyncio.gather(*(ask() for _ in range(8))) == [1] * 8
    async with transaction(engine) as connection:
        assert (await connection.scalar(others) or 0) > 0
    assert await asyncio.gather(*(ask() for _ in range(8))) == [1] * 8


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    nobody = create_engine(config_of("postgresql+asyncpg://kmr:kmr@127.0.0.1:1/kmr"))

    async def ask() -> None:
        async with transaction(nobody) as connection:
            await connection.execute(text("SELECT 1"))

    with pytest.raises(Unavailable):
        await ask()
    with pytest.raises(Unavailable):
        await in_transaction(nobody, lambda connection: connection.execute(text("SELECT 1")))
    await nobody.dispose()


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("SELECT pg_sleep(1) FROM set_config('statement_timeout', '10ms', true)", Busy),
        ("DO $$ BEGIN RAISE serialization_failure; END $$", Busy),
        ("DO $$ BEGIN RAISE admin_shutdown; END $$", Unavailable),
        ("DO $$ BEGIN RAISE too_many_connections; END $$", Unavailable),
        ("DO $$ BEGIN RAISE read_only_sql_transaction; END $$", Unavailable),
        ("SELECT 1/0", exc.DBAPIError),
    ],
)
async def test_trouble_is_told_apart(engine: AsyncEngine, statement: str, refusal: type[Exception]) -> None:
    async def execute() -> None:
        async with transaction(engine) as connection:
            if "pg_sleep" in statement:
                await connection.execute(text("SET LOCAL statement_timeout = '10ms'"))
            await connection.execute(text(statement))

    with pytest.raises(refusal):
        await execute()


@pytest.mark.parametrize(("failures", "works"), [(2, True), (3, False)])
async def test_a_deadlock_is_tried_three_times(engine: AsyncEngine, failures: int, works: bool) -> None:
    tries = 0

    async def work(connection: AsyncConnection) -> int:
        nonlocal tries
        tries += 1
        if tries <= failures:
            await connection.execute(text("DO $$ BEGIN RAISE deadlock_detected; END $$"))
        return tries

    if works:
        assert await in_transaction(engine, work) == 3
    else:
        with pytest.raises(Busy):
            await in_transaction(engine, work)
    assert tries == 3


async def test_filing_stays_on_indexes_when_tables_were_analysed_while_empty(engine: AsyncEngine) -> None:
    """Plans of foreign-key checks outlive the emptiness for which they were made, on every long-lived connection."""
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
    read = text("SELECT sum(seq_scan) FROM pg_stat_xact_user_tables WHERE relname <> 'webhook_endpoints'")
    scans = 0
    async with engine.connect() as connection:
        for n in range(12):  # more often than a plan is made anew before it is cached
            async with connection.begin():
                case = new_case(f"A-{n}")
                consequences = Consequences([EVIDENCE], DECISION, [new_event()], [new_refund(1)])
                await RecordStore(connection, SITE).put_all(TOLD, NOW)
                await CaseStore(connection, SITE).file(case, consequences, NOW)
                await connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
                scans += int(await connection.scalar(read) or 0)
    assert scans == 0
