"""Deadlines with real workers that are killed, told to stop or cut off in the middle, and that were away for days."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from itertools import pairwise
from subprocess import Popen
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app import ids
from app.store.engine import transaction
from launcher.ports import free_port
from tests.api import bodies
from tests.database_clock import DatabaseClock
from tests.end_to_end.test_webhooks import call
from tests.live import Live, live_service, process
from tests.store.rows import SITE, open_site
from tests.store.timer_rows import add_due_cases

ONE_DAY_AND_MORE = timedelta(hours=25)
SECONDS_TO_STOP = 10
SECONDS_TO_WAIT = 240
# Where a worker is stopped on its way: the case is locked, and the next thing that it needs is held by somebody else.
BEFORE_THE_EFFECT = "SELECT FROM case_timers WHERE kind = 'due' AND name = 'evidence_supplement' FOR UPDATE"
WITHIN_THE_EFFECT = "LOCK TABLE events IN SHARE MODE"
PLACES = pytest.mark.parametrize("place", [BEFORE_THE_EFFECT, WITHIN_THE_EFFECT], ids=["before", "within"])
WORKERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'kmr-worker'"
WAITING = f"{WORKERS} AND wait_event_type = 'Lock'"
CUT_OFF = WAITING.replace("count(*)", "pg_terminate_backend(pid)")
EVENTS = "SELECT count(*) FROM events WHERE type = 'case.lapsed'"
TIMER = "SELECT state, attempts FROM case_timers WHERE kind = 'due' AND name = 'evidence_supplement'"
# Events, those on their way to somebody, and the timer with its failed attempts.
NOTHING_DONE = (0, 0, "pending", 0)
DONE_ONCE = (1, 1, "fired", 0)


@pytest.fixture
async def service(clock: DatabaseClock, database_url: str) -> AsyncIterator[Live]:
    """The API alone, in a database with a clock of its own; workers come and go."""
    with live_service(database_url) as live:
        yield live


@pytest.fixture
async def database(service: Live) -> AsyncIterator[asyncpg.Connection]:
    """A look into the service's database."""
    connection = await asyncpg.connect(service.environ["DATABASE_URL"].replace("+asyncpg", ""))
    yield connection
    await connection.close()


@pytest.fixture
async def case_id(service: Live, database: asyncpg.Connection, clock: DatabaseClock) -> str:
    """A case for which no evidence came in time, and somebody who wants to hear of its end."""
    await database.execute("DELETE FROM case_timers")  # those of the sandbox's own cases
    hook = {"url": f"http://127.0.0.1:{free_port()}/", "role": "site", "event_types": ["case.lapsed"]}
    call(service, "POST", "/v1/webhook-endpoints", hook)
    body = bodies.filing("T-1", policy="recharge", evidence=[])
    case = call(service, "POST", "/v1/cases", body, **{"Idempotency-Key": "T-1"})
    assert case["status"] == "awaiting_evidence"
    await clock.advance(ONE_DAY_AND_MORE)
    return str(case["id"])


@PLACES
async def test_a_worker_that_is_killed_on_its_way_has_done_nothing(
    service: Live, database: asyncpg.Connection, case_id: str, place: str
) -> None:
    with _worker(service) as worker:
        async with _held(service, place):
            await _until(database, WAITING)
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait(SECONDS_TO_STOP)
        await _until(database, f"SELECT ({WORKERS}) = 0")
    assert await _effects(database) == NOTHING_DONE
    await _lapses_once(service, database, case_id)


@PLACES
async def test_a_worker_that_is_told_to_stop_on_its_way_ends_in_time_and_has_done_nothing(
    service: Live, database: asyncpg.Connection, case_id: str, place: str
) -> None:
    with _worker(service) as worker:
        async with _held(service, place):
            await _until(database, WAITING)
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, SECONDS_TO_STOP) == 0
        await _until(database, f"SELECT ({WORKERS}) = 0")
    assert await _effects(database) == NOTHING_DONE
    await _lapses_once(service, database, case_id)


@PLACES
async def test_a_worker_that_is_cut_off_from_its_database_comes_back(
    service: Live, database: asyncpg.Connection, case_id: str, place: str
) -> None:
    with _worker(service) as worker:
        async with _held(service, place):
            await _until(database, WAITING)
            assert await database.fetchval(CUT_OFF)
        await _until(database, EVENTS)
        assert worker.poll() is None
    _assert_lapsed(service, case_id)
    assert await _effects(database) == DONE_ONCE


async def test_two_workers_are_no_more_than_one(service: Live, database: asyncpg.Connection, case_id: str) -> None:
    with _worker(service), _worker(service):
        async with _held(service, BEFORE_THE_EFFECT):
            await _until(database, WAITING)
        await _until(database, EVENTS)
    assert await _effects(database) == DONE_ONCE


async def test_before_its_instant_nothing_happens_and_afterwards_at_once(
    service: Live, database: asyncpg.Connection, clock: DatabaseClock, case_id: str
) -> None:
    """The clock of the processes stands still in this: only the database's is moved."""
    due_at = await database.fetchval(TIMER.replace("state, attempts", "due_at"))
    await clock.freeze(due_at)
    with _worker(service):
        looked = "SELECT calls FROM (SELECT sum(idx_scan) AS calls FROM pg_stat_user_indexes WHERE indexrelname = $1) s"
        before = await database.fetchval(looked, "ix_case_timers_due")
        await _until(database, f"SELECT ({looked}) > {before} + 3", "ix_case_timers_due")
        assert await _effects(database) == NOTHING_DONE
        await clock.advance(timedelta(microseconds=1))
        await _until(database, EVENTS)
    _assert_lapsed(service, case_id)


async def test_after_days_without_a_worker_two_fire_each_once_oldest_first(
    service: Live, database: asyncpg.Connection, database_url: str, clock: DatabaseClock
) -> None:
    """The end of an appeal's window changes nothing, so that bare rows will do."""
    count = 2_000
    async with _engine(database_url) as engine, transaction(engine) as connection:
        await open_site(connection)
        await add_due_cases(connection, await clock.now(), count)
        await connection.execute(text("UPDATE case_timers SET name = 'appeal'"))
    await clock.advance(timedelta(days=3))
    with _worker(service), _worker(service):
        await _until(
            database, "SELECT count(*) = $2 FROM case_timers WHERE site_id = $1 AND state = 'fired'", SITE, count
        )
    settled = await database.fetch(
        "SELECT attempts, due_at FROM case_timers WHERE site_id = $1 ORDER BY settled_at, due_at", SITE
    )
    assert {row["attempts"] for row in settled} == {0}
    swapped = [later for earlier, later in pairwise(settled) if later["due_at"] < earlier["due_at"]]
    assert len(swapped) < count // 4, "two who take turns pass each other, and nothing is left far behind"
    place = {row["due_at"]: place for place, row in enumerate(settled)}
    assert max(abs(at - place[due_at]) for at, due_at in enumerate(sorted(place))) < count // 10


@contextmanager
def _worker(service: Live) -> Iterator[Popen[bytes]]:
    with process("app.worker", service.environ) as child:
        yield child


@asynccontextmanager
async def _engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(database_url)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def _held(service: Live, what: str) -> AsyncIterator[None]:
    """Somebody else holds it."""
    connection = await asyncpg.connect(service.environ["DATABASE_URL"].replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            assert await connection.execute(what) != "SELECT 0"
            yield
    finally:
        await connection.close()


async def _until(database: asyncpg.Connection, query: str, *values: Any) -> None:
    """Until the query answers with something true."""
    async with asyncio.timeout(SECONDS_TO_WAIT):
        while True:
            if await database.fetchval(query, *values):
                return
            await asyncio.sleep(0.02)


async def _effects(database: asyncpg.Connection) -> tuple[int, int, str, int]:
    [row] = await database.fetch(TIMER)
    dispatches = await database.fetchval("SELECT count(*) FROM dispatches")
    return await database.fetchval(EVENTS), dispatches, row["state"], row["attempts"]


async def _lapses_once(service: Live, database: asyncpg.Connection, case_id: str) -> None:
    with _worker(service):
        await _until(database, EVENTS)
    _assert_lapsed(service, case_id)
    assert await _effects(database) == DONE_ONCE


def _assert_lapsed(service: Live, case_id: str) -> None:
    assert ids.read("case", case_id)
    case = call(service, "GET", f"/v1/cases/{case_id}")
    assert case["status"] == "lapsed"
    assert [event["type"] for event in case["timeline"]].count("case.lapsed") == 1
