"""What the tests share: one throwaway Postgres, and a migrated database of its own for each test that asks."""

import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import uvloop

from launcher.postgres import Server, running
from tests.database_clock import DatabaseClock, database_clock

CHECKOUT = Path(__file__).resolve().parent.parent


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """The event loop that the service runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server at `KMR_TEST_DATABASE_URL`, whose role must be allowed to create databases; else one of our own."""
    given = os.environ.get("KMR_TEST_DATABASE_URL")
    if given:
        yield Server.at(given)
        return
    with running(tmp_path_factory.mktemp("postgres"), throwaway=True) as server:
        yield server


@pytest.fixture(scope="session")
async def template_database(postgres: Server) -> AsyncIterator[str]:
    """The name of a database that is migrated and empty. Nobody may stay connected to it, or it cannot be cloned."""
    async with _database(postgres, "kmr_template") as name:
        _migrate(postgres.url(name))
        yield name


@pytest.fixture
async def database_url(postgres: Server, template_database: str) -> AsyncIterator[str]:
    """The URL of a fresh clone of the template, for SQLAlchemy's async engine; dropped afterwards.

    Files are copied rather than logged page by page: that is cheaper where a checkpoint waits for no disk.
    """
    async with _database(postgres, "kmr_test", f"TEMPLATE {template_database} STRATEGY = FILE_COPY") as name:
        yield postgres.url(name)


@pytest.fixture
async def clock(database_url: str) -> AsyncIterator[DatabaseClock]:
    """The hands of the clock of this test's database: what says `now()` there goes by it."""
    async with database_clock(database_url) as hands:
        yield hands


def _migrate(url: str) -> None:
    """As a deployment does it."""
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": url},
        check=True,
    )


@asynccontextmanager
async def _database(server: Server, prefix: str, options: str = "") -> AsyncIterator[str]:
    name = f"{prefix}_{secrets.token_hex(6)}"
    await _execute(server, f"CREATE DATABASE {name} {options}")
    try:
        yield name
    finally:
        await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(server: Server, statement: str) -> None:
    connection = await asyncpg.connect(server.url("postgres").replace("+asyncpg", ""))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
