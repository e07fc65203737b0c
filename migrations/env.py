"""Runs migrations against `DATABASE_URL`, or on a connection handed over in `config.attributes["connection"]`."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.models import Base

# The version before keeps serving while this one is prepared: a table that is busy longer than this makes the migration
# fail and try again later, instead of queueing everybody else behind it.
LOCK_TIMEOUT = "2s"


def run(connection: Connection) -> None:
    """All pending revisions in one transaction."""
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.run_migrations()


async def connect_and_run() -> None:
    """Opens a connection of its own."""
    engine = create_async_engine(database_url(), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


def database_url() -> str:
    """Only the address: a migration needs none of the other settings of the service."""
    url = os.environ.get("DATABASE_URL", "")
    _, _, rest = url.partition("://")
    if not rest:
        raise SystemExit("Set DATABASE_URL to postgresql+asyncpg://user:password@host:5432/name.")
    return f"postgresql+asyncpg://{rest.replace('sslmode=', 'ssl=')}"


if context.is_offline_mode():
    raise SystemExit("Migrations run online only: `python -m alembic upgrade head`.")

given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(connect_and_run())
else:
    run(given)
