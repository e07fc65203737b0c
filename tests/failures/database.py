"""Databases for runs outside pytest."""

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from launcher.postgres import Server, running
from tests.live import CHECKOUT


@contextmanager
def throwaway_database() -> Iterator[str]:
    """The URL of a migrated database on a server of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "postgres", throwaway=True) as server,
        fresh(server) as url,
    ):
        yield url


@contextmanager
def fresh(server: Server) -> Iterator[str]:
    """The URL of another migrated database of this server; dropped afterwards."""
    name = f"kmr_failures_{secrets.token_hex(6)}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    try:
        environ = {**os.environ, "DATABASE_URL": server.url(name)}
        subprocess.run([sys.executable, "-m", "alembic", "upgrade", "head"], cwd=CHECKOUT, env=environ, check=True)
        yield server.url(name)
    finally:
        asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(server: Server, statement: str) -> None:
    connection = await asyncpg.connect(server.url("postgres").replace("+asyncpg", ""))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
