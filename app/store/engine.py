"""Connections: how they are made, and what their failures mean to a caller."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeAlias, TypeVar

from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.config import Config
from app.errors import Busy, Refusal, Unavailable

Result = TypeVar("Result")

# What the layers above pass around; only the store and the models know whose it is.
Connection: TypeAlias = AsyncConnection
Engine: TypeAlias = AsyncEngine

SETTINGS = {
    "lock_timeout": "3s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "30s",
    # Plans of foreign-key checks are cached for the life of a connection. On tables that were analysed while empty they
    # would be sequential scans, and stay so while the tables grow.
    "enable_seqscan": "off",
    "jit": "off",
    "timezone": "UTC",
    "intervalstyle": "iso_8601",
}
SECONDS_TO_CONNECT = 2
SECONDS_FOR_A_CONNECTION = 2
PAUSES = (0.02, 0.1)  # seconds between the attempts of what collides
ATTEMPTS = len(PAUSES) + 1

LOCK_NOT_AVAILABLE = "55P03"
REPEATABLE = frozenset({"40001", "40P01"})  # serialization failure, deadlock
BUSY = frozenset({LOCK_NOT_AVAILABLE, "57014"})  # and a statement that took too long
# Lost or refused connections, no room, shutting down, read-only: classes 08, 53, 57, and 25006.
UNAVAILABLE = ("08", "53", "57", "25006")


class Collided(Busy):
    """The database has ended this transaction in favour of another; the same again may succeed at once."""


def create_engine(config: Config, *, application_name: str = "kmr") -> AsyncEngine:
    """An engine whose connections give up on locks, statements and forgotten transactions by themselves."""
    return create_async_engine(
        config.database_url,
        pool_size=config.pool_size,
        max_overflow=0,
        pool_timeout=SECONDS_FOR_A_CONNECTION,
        pool_pre_ping=True,
        connect_args={
            "server_settings": {**SETTINGS, "application_name": application_name},
            "timeout": SECONDS_TO_CONNECT,
        },
    )


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction: committed at the end of the block, rolled back by an exception. Raises Busy and Unavailable."""
    with refusals():
        async with engine.begin() as connection:
            yield connection


async def in_transaction(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """What `work` returns, in a transaction of its own. `work` must have no effects but those on its connection."""

    async def once() -> Result:
        async with transaction(engine) as connection:
            return await work(connection)

    return await repeated(once)


async def repeated(attempt: Callable[[], Awaitable[Result]]) -> Result:
    """What `attempt`, a transaction in itself, returns; made up to 3 times where it collides. Raises Busy."""
    for pause in PAUSES:
        with suppress(Collided):
            return await attempt()
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that two do not meet again
    return await attempt()


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what the database says into refusals; what is a fault of ours stays as it is."""
    try:
        yield
    except exc.DBAPIError as error:
        raise _refusal_of(error) or error from error
    except (OSError, exc.TimeoutError) as error:
        raise Unavailable from error


def sqlstate(error: exc.DBAPIError) -> str:
    """The five characters by which Postgres names an error; empty where it did not get to say anything."""
    return str(getattr(error.orig, "sqlstate", None) or "")


def constraint_of(error: exc.DBAPIError) -> str | None:
    """The constraint that a statement broke."""
    cause = getattr(error.orig, "driver_exception", None)
    return getattr(cause, "constraint_name", None)


def _refusal_of(error: exc.DBAPIError) -> Refusal | None:
    state = sqlstate(error)
    if state in REPEATABLE:
        return Collided()
    if state in BUSY:
        return Busy()
    if error.connection_invalidated or state.startswith(UNAVAILABLE):
        return Unavailable()
    return None
