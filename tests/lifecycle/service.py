"""The real service on a real database, driven from tests that are not asynchronous: one call, one answer.

Everything runs on one event loop that only turns during a call; between calls nothing happens, and time, which is the
database's and stands still, passes when a test says so. The worker's part is done by calling what the worker calls.
"""

import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import httpx
import uvloop
from structlog.testing import capture_logs

from app.config import read_config
from app.ids import Mint
from app.main import create_app
from app.models.closed_sets import Scope
from app.outbound.channels.said import FoundRefund, PaymentSeen
from app.services import overdue, reconciling, sites, timing
from app.services.deadlines import take_effect
from app.store.engine import Connection, Engine, create_engine, transaction
from app.store.sites import database_now
from app.store.timers import DueTimer
from launcher.postgres import Server
from tests.database_clock import DatabaseClock, database_clock
from tests.live import live_service

CHECKOUT = Path(__file__).parents[2]
Result = TypeVar("Result")
Run = Callable[[Coroutine[Any, Any, Result]], Result]


class Crash(Exception):
    """A worker that dies in the middle of a transaction."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `raw` to the byte."""

    status: int
    body: Any
    etag: str | None
    replayed: bool
    raw: bytes


@dataclass
class Service:
    """One service and its clock; `http` calls it, `engine` is what a worker of it would have."""

    loop: asyncio.AbstractEventLoop
    engine: Engine
    http: httpx.AsyncClient
    clock: DatabaseClock

    def run(self, work: Awaitable[Result]) -> Result:
        """The loop turns until this is done."""
        return self.loop.run_until_complete(_of(work))

    def set_time(self, at: datetime) -> None:
        """It is this instant, and stays."""
        self.run(self.clock.freeze(at))

    def open_site(self) -> "Site":
        """A new site with a key that may do everything."""
        return self.run(self._open_site())

    async def _open_site(self) -> "Site":
        async with transaction(self.engine) as connection:
            now = await database_now(connection)
            site = await sites.create_site(connection, "shop", "test", now=now)
            new = await sites.create_key(connection, site.site_id, tuple(Scope), "", now=now)
        return Site(self, site.site_id, new.key)

    def rows(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """What the database says, past the service."""
        return list(self.run(self.clock.connection.fetch(statement, *values)))


@dataclass
class Fired:
    """What a round of the worker fired, in order, and where it died."""

    timers: list[DueTimer] = field(default_factory=list)
    crashed: list[DueTimer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a shop sends it."""

    method: str
    path: str
    body: Any = None
    key: str | None = None
    if_match: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it beside the API key."""
        named = {"Idempotency-Key": self.key, "If-Match": self.if_match}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Site:
    """A site of the service, and what it may ask for."""

    service: Service
    site_id: UUID
    api_key: str

    def send(self, request: Request) -> Answer:
        """One request."""
        return self.service.run(self._send(request))

    def send_together(self, requests: Sequence[Request]) -> list[Answer]:
        """Several at the same time."""
        return self.service.run(self._gathered(requests))

    def get(self, path: str) -> Any:
        """What is there; AssertionError for any answer but 200."""
        answer = self.send(Request("GET", path))
        assert answer.status == 200, answer.raw
        return answer.body

    def pages(self, path: str) -> list[Any]:
        """A whole list, page by page."""
        return self.whole(path, "data")[1]

    def whole(self, path: str, name: str) -> tuple[Any, list[Any]]:
        """A document of which `name` is told page by page: its first page, and all of the list."""
        first = page = self.get(path)
        found = list(page[name])
        while page["next_cursor"] is not None:
            page = self.get(f"{path}&cursor={page['next_cursor']}")
            found += page[name]
        return first, found

    def find(self, payment_no: str, total: int | None, listed: Sequence[FoundRefund]) -> int:
        """The channel was asked about a payment, and says this; how many refunds were raised because of it."""
        seen = PaymentSeen(total, tuple(listed))
        raised: int = self.service.run(reconciling.take_in(self.service.engine, self.site_id, payment_no, seen))
        return raised

    def bill(self, lines: Sequence[tuple[str, FoundRefund]]) -> None:
        """The channel's bill of a day has come, with these refunds, each with its payment."""
        self.service.run(self._billed(lines))

    async def _billed(self, lines: Sequence[tuple[str, FoundRefund]]) -> None:
        async with transaction(self.service.engine) as connection:
            now = await database_now(connection)
        await reconciling.take_in_bill(self.service.engine, self.site_id, lines, now)

    def fire(self, limit: int = 1000, *, crash_at: int | None = None) -> Fired:
        """One round of the worker. `crash_at`: it dies after the effect of that timer (from 0), before the commit."""
        fired = Fired()

        async def effect(connection: Connection, site_id: UUID, timer: DueTimer, mint: Mint) -> None:
            await take_effect(connection, site_id, timer, mint)
            if len(fired.timers) + len(fired.crashed) == crash_at:
                fired.crashed.append(timer)
                raise Crash
            fired.timers.append(timer)

        with capture_logs() as said:
            count = self.service.run(timing.fire_due(self.service.engine, limit=limit, effect=effect))
        assert count == len(fired.timers)
        assert len(said) == len(fired.crashed), f"the worker complains: {said}"
        return fired

    def tell_overdue(self, limit: int = 1000) -> int:
        """The worker looks for refunds that are late; how many it told of."""
        with capture_logs() as said:
            told: int = self.service.run(overdue.raise_due(self.service.engine, limit=limit))
        assert not said, f"the worker complains: {said}"
        return told

    async def _gathered(self, requests: Sequence[Request]) -> list[Answer]:
        return list(await asyncio.gather(*map(self._send, requests)))

    async def _send(self, request: Request) -> Answer:
        headers = {"Authorization": f"Bearer {self.api_key}", **request.headers}
        found = await self.service.http.request(request.method, request.path, json=request.body, headers=headers)
        assert found.status_code < 500, (request, found.text)
        return Answer(
            found.status_code,
            found.json() if found.content else None,
            found.headers.get("etag"),
            "idempotency-replayed" in found.headers,
            found.content,
        )


async def _of(work: Awaitable[Result]) -> Result:
    return await work


@contextmanager
def in_process(server: Server) -> Iterator[Service]:
    """The application itself, called over ASGI."""
    with _loop() as loop, _migrated(loop, server) as url:
        app = create_app(read_config(_settings(url)))
        with (
            _entered(loop, database_clock(url)) as clock,
            _entered(loop, app.router.lifespan_context(app)),
            _entered(loop, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk.test")) as http,
        ):
            yield Service(loop, app.state.engine, http, clock)


@contextmanager
def over_loopback(server: Server) -> Iterator[Service]:
    """A process of its own behind uvicorn, called over TCP."""
    with ExitStack() as stack:
        loop = stack.enter_context(_loop())
        url = stack.enter_context(_migrated(loop, server))
        clock = stack.enter_context(_entered(loop, database_clock(url)))
        live = stack.enter_context(live_service(url))
        http = stack.enter_context(_entered(loop, httpx.AsyncClient(base_url=live.url, timeout=30)))
        engine = create_engine(read_config(_settings(url)))
        stack.callback(lambda: loop.run_until_complete(engine.dispose()))
        yield Service(loop, engine, http, clock)


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = uvloop.new_event_loop()
    try:
        yield loop
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextmanager
def _entered(
    loop: asyncio.AbstractEventLoop, manager: contextlib.AbstractAsyncContextManager[Result]
) -> Iterator[Result]:
    entered = loop.run_until_complete(manager.__aenter__())
    try:
        yield entered
    finally:
        loop.run_until_complete(manager.__aexit__(None, None, None))


@contextmanager
def _migrated(loop: asyncio.AbstractEventLoop, server: Server) -> Iterator[str]:
    """A database of its own, at the newest version of the schema."""
    name = f"kmr_life_{secrets.token_hex(6)}"
    loop.run_until_complete(_execute(server, f"CREATE DATABASE {name}"))
    try:
        url = server.url(name)
        environ = {**os.environ, "DATABASE_URL": url}
        subprocess.run([sys.executable, "-m", "alembic", "upgrade", "head"], cwd=CHECKOUT, env=environ, check=True)
        yield url
    finally:
        loop.run_until_complete(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(server: Server, statement: str) -> None:
    connection = await asyncpg.connect(server.url("postgres").replace("+asyncpg", ""))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _settings(url: str) -> Mapping[str, str]:
    return {"DATABASE_URL": url, "KMR_SEALING_KEY": "A" * 43, "KMR_POOL_SIZE": "4"}


def at(text: str) -> datetime:
    """An instant as an answer writes it, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)
