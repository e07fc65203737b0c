"""A site that everybody is busy with: the service in this process, two workers' connections, and a count of deadlocks.

A deadlock is run again by the service, so that nobody hears of it; here each of them is one too many.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import clock
from app.config import Config, read_config
from app.main import create_app
from app.models.closed_sets import Scope
from app.services import sites
from app.store.engine import create_engine, transaction
from app.store.sites import database_now
from tests.api import bodies
from tests.api.conftest import Access
from tests.api.reporting import as_bytes, result, send, signed
from tests.database_clock import DatabaseClock, database_clock

DEADLOCK: Final = "40P01"
WORKERS: Final = 2
_WAITING: Final = """
    SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"""
# What a connection has counted is told by its end at the latest.
_SOMEBODY_IS_LEFT: Final = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'kmr%')"""
_DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@dataclass(frozen=True, slots=True)
class Market:
    """`workers`: the connections of each worker. `victims`: the statements that were ended by a deadlock, as heard.

    `watcher` looks past the service.
    """

    site: Access
    engine: AsyncEngine
    workers: tuple[AsyncEngine, ...]
    clock: DatabaseClock
    watcher: asyncpg.Connection
    secret: str
    victims: list[str] = field(default_factory=list)

    async def post(self, path: str, body: Any) -> httpx.Response:
        """Under a key that nobody has used before."""
        return await self.site.post(path, body, once=uuid4().hex)

    async def told(self, *told: dict[str, Any]) -> None:
        """Claims' records, without the claims."""
        records = {
            "orders": [each["order"] for each in told],
            "payments": [payment for each in told for payment in each["payments"]],
            "merchants": list({each["merchant"]["merchant_id"]: each["merchant"] for each in told}.values()),
        }
        answer = await self.post("/v1/records", records)
        assert answer.status_code == 200, answer.text

    async def filed(self, body: dict[str, Any]) -> dict[str, Any]:
        """The case of a claim."""
        answer = await self.post("/v1/cases", body)
        assert answer.status_code == 201, answer.text
        case: dict[str, Any] = answer.json()
        return case

    async def report(self, refund: dict[str, Any], state: str, **said: Any) -> list[httpx.Response]:
        """What a signed report of a refund is answered with, sent twice at once: under the same two keys, crosswise."""
        now, (one, two) = await self.now(), (uuid4().hex, uuid4().hex)
        content = as_bytes(result(refund, state, at=now.isoformat(), **said))
        keyed = [
            {**signed(self.secret, content, now, message_id), "Idempotency-Key": key}
            for message_id, key in ((one, two), (two, one))
        ]
        return await asyncio.gather(*(send(self.site, refund, content, headers) for headers in keyed))

    async def waiting(self) -> int:
        """How many wait for a lock at this moment."""
        return int(await self.watcher.fetchval(_WAITING))

    async def now(self) -> datetime:
        """By the database's clock."""
        async with transaction(self.engine) as connection:
            return await database_now(connection)

    async def run(self, statement: str) -> None:
        """What nobody does over HTTP."""
        async with transaction(self.engine) as connection:
            await connection.execute(text(statement))


@asynccontextmanager
async def open_market(database_url: str) -> AsyncIterator[Market]:
    """A site on this migrated database. Its reports have to be signed."""
    async with AsyncExitStack() as stack:
        files = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = _config(database_url, files)
        app = create_app(config)
        hands = await stack.enter_async_context(database_clock(database_url))
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://service.test"))
        workers = tuple(create_engine(config, application_name="kmr-worker") for _ in range(WORKERS))
        for worker in workers:
            stack.push_async_callback(worker.dispose)
        site = await _opened(app.state.engine, http)
        secret = (await site.post("/v1/reporting-secret")).json()["secret"]
        watcher = await asyncpg.connect(database_url.replace("+asyncpg", ""))
        stack.push_async_callback(watcher.close)
        market = Market(site, app.state.engine, workers, hands, watcher, secret)
        for engine in (market.engine, *workers):
            _hear(engine, market.victims)
        yield market


def _config(database_url: str, files: Path) -> Config:
    return read_config(
        {
            "DATABASE_URL": database_url,
            "KMR_SEALING_KEY": "A" * 43,
            "KMR_POOL_SIZE": "20",
            "KMR_ALLOW_LOOPBACK_WEBHOOKS": "true",
            "KMR_FILES_URL": files.as_uri(),
        }
    )


async def _opened(engine: AsyncEngine, http: httpx.AsyncClient) -> Access:
    async with transaction(engine) as connection:
        now = await database_now(connection)
        site = await sites.create_site(connection, "shop", "test", now=now)
        new = await sites.create_key(connection, site.site_id, tuple(Scope), "", now=now)
    return Access(site.site_id, new.key, http)


def _hear(engine: AsyncEngine, victims: list[str]) -> None:
    def heard(context: Any) -> None:
        if getattr(context.original_exception, "sqlstate", None) == DEADLOCK:
            victims.append(" ".join(str(context.statement).split())[:200])

    event.listen(engine.sync_engine, "handle_error", heard)


async def deadlocks(database_url: str) -> int:
    """How many the database has counted since it was made. Call it when the market is closed."""
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        while await connection.fetchval(_SOMEBODY_IS_LEFT):  # noqa: ASYNC110 - nobody tells of an end
            await asyncio.sleep(0.02)
        return int(await connection.fetchval(_DEADLOCKS))
    finally:
        await connection.close()


def claim_of(order_no: str, merchant_id: str, later: timedelta = timedelta(0), **claimed: Any) -> dict[str, Any]:
    """A claim with its records, about a merchant that others know, too; filed so much later by the wall clock."""
    body: dict[str, Any] = bodies._moved(bodies.filing(order_no), later)
    body["order"] |= {"merchant_id": merchant_id, "buyer_id": f"b-{order_no}"}
    body["merchant"]["merchant_id"] = merchant_id
    body["claim"] |= {"amount": None, **claimed}
    return body


def by_reference(body: dict[str, Any], *brought: str, **changes: Any) -> dict[str, Any]:
    """The same claim about an order that was told before, bringing only what is named."""
    kept = {name: body[name] for name in ("claim", "policy", *brought) if name in body}
    return json.loads(json.dumps({"order_no": body["order"]["order_no"], **kept, **changes}))  # type: ignore[no-any-return]


def piece(order_no: str, kind: str = "chat_log", **changes: Any) -> dict[str, Any]:
    """Evidence of this moment."""
    [chat] = bodies.filing(order_no)["evidence"]
    captured_at = (clock.now() - timedelta(minutes=2)).isoformat()
    return {**chat, "kind": kind, "captured_at": captured_at, **changes}
