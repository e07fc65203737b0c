"""A test database with a `now()` of its own, so that time passes when a test says so.

`testclock.now()` is found before `pg_catalog.now()`, because the database's default search path names its schema first.
Statements need not know: whatever asks for `now()` in this database is told the test's time, from any process.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

# Stable, as the original is, so that an index still serves a comparison with it.
_MAKE = """
    CREATE SCHEMA testclock;
    CREATE TABLE testclock.hands (shift interval NOT NULL, frozen_at timestamptz);
    INSERT INTO testclock.hands VALUES ('0', NULL);
    CREATE FUNCTION testclock.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS 'SELECT coalesce(frozen_at, pg_catalog.now() + shift) FROM testclock.hands';
"""
# A default reaches new connections only; what was connected before comes back by itself, as after any lost connection.
_LET_GO = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@dataclass(frozen=True, slots=True)
class DatabaseClock:
    """The hands of one database's clock. It goes at the usual pace unless it is frozen."""

    connection: asyncpg.Connection

    async def now(self) -> datetime:
        """What a transaction that began at this moment would be told; aware, in UTC."""
        told: datetime = await self.connection.fetchval("SELECT testclock.now()")
        return told

    async def advance(self, length: timedelta) -> None:
        """Forwards, or backwards if negative; a frozen clock stays frozen, at another instant."""
        await self.connection.execute(
            "UPDATE testclock.hands SET shift = shift + $1, frozen_at = frozen_at + $1", length
        )

    async def set(self, at: datetime) -> None:
        """It is `at` now, and time goes on."""
        await self.connection.execute("UPDATE testclock.hands SET shift = $1 - pg_catalog.now(), frozen_at = NULL", at)

    async def freeze(self, at: datetime | None = None) -> datetime:
        """It is and remains `at`, or else the present instant, which is answered."""
        frozen = at or await self.now()
        await self.connection.execute("UPDATE testclock.hands SET frozen_at = $1", frozen)
        return frozen


@asynccontextmanager
async def database_clock(database_url: str) -> AsyncIterator[DatabaseClock]:
    """Gives this database a clock of its own. Must own the database; connections that are open to it are ended."""
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        async with connection.transaction():
            await connection.execute(_MAKE)
            await connection.execute(f"ALTER DATABASE {name} SET search_path = testclock, pg_catalog, public")
        await connection.execute(_LET_GO)
        yield DatabaseClock(connection)
    finally:
        await connection.close()
