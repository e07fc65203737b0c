"""The migrated schema: it can be undone, equals the models, and can be split by site."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.models import Base

CHECKOUT = Path(__file__).resolve().parent.parent.parent

COLUMNS = """
    SELECT table_name || '.' || column_name, data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
    FROM information_schema.columns WHERE table_schema = :schema AND table_name <> 'alembic_version'"""
CONSTRAINTS = """
    SELECT t.relname || '.' || c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c
    JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE n.nspname = :schema AND t.relname <> 'alembic_version'"""
INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = :schema AND tablename <> 'alembic_version'"""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    """To a migrated and empty database; nothing is kept."""
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


async def test_the_way_down_leads_to_nothing_and_up_again_to_the_same(connection: AsyncConnection) -> None:
    before = await _schema(connection, "public")
    await connection.run_sync(_migrate, "base")
    below = await _schema(connection, "public")
    await connection.run_sync(_migrate, "head")
    assert below == {}
    assert len(before) > 200
    assert await _schema(connection, "public") == before


async def test_the_models_need_no_further_migration(connection: AsyncConnection) -> None:
    assert await connection.run_sync(_differences) == []


async def test_the_models_make_the_very_same_schema(connection: AsyncConnection) -> None:
    """Constraints and conditions of indexes too, which the comparison above passes over."""
    migrated = await _schema(connection, "public")
    await connection.execute(text("CREATE SCHEMA fresh"))
    await connection.execute(text("SET LOCAL search_path = fresh"))
    await connection.run_sync(Base.metadata.create_all)
    fresh = await _schema(connection, "fresh")
    assert {name: each.replace("fresh.", "public.") for name, each in fresh.items()} == migrated


async def test_a_migration_gives_up_on_a_busy_table(connection: AsyncConnection) -> None:
    async with connection.begin():
        await connection.run_sync(_migrate, "base")
        assert await connection.scalar(text("SHOW lock_timeout")) == "2s"


async def test_every_key_begins_with_the_site(connection: AsyncConnection) -> None:
    keys = await connection.execute(
        text("""
        SELECT i.indexrelid::regclass::text, a.attname
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version' AND i.indisunique
          AND a.attnum = i.indkey[0]""")
    )
    found = {row[0]: row[1] for row in keys}
    assert len(found) > 18
    assert {name for name, column in found.items() if column != "site_id"} == set()


async def test_every_foreign_key_carries_the_site_on_both_sides(connection: AsyncConnection) -> None:
    keys = await connection.execute(
        text("""
        SELECT k.conname, a.attname, b.attname FROM pg_constraint k
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
        JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1]
        WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace""")
    )
    found = {name: (here, there) for name, here, there in keys}
    assert len(found) > 8
    assert set(found.values()) == {("site_id", "site_id")}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'",
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        "SELECT table_name FROM information_schema.tables t WHERE table_schema = 'public'"
        " AND table_name <> 'alembic_version' AND NOT EXISTS (SELECT FROM information_schema.columns c"
        " WHERE c.table_schema = 'public' AND c.table_name = t.table_name AND column_name = 'site_id')",
    ],
    ids=["triggers", "sequences", "functions", "tables without a site"],
)
async def test_there_is_nothing_that_a_split_database_could_not_have(connection: AsyncConnection, query: str) -> None:
    assert (await connection.scalars(text(query))).all() == []


async def _schema(connection: AsyncConnection, schema: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for query in (COLUMNS, CONSTRAINTS, INDEXES):
        rows = await connection.execute(text(query), {"schema": schema})
        found.update((row[0], row[1]) for row in rows)
    return found


def _migrate(connection: Connection, revision: str) -> None:
    config = Config(CHECKOUT / "alembic.ini", attributes={"connection": connection})
    if revision == "base":
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))
