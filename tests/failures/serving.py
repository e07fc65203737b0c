"""The service under test: processes of its own behind uvicorn, as they are or with a fault planted, and a shop."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx

from launcher.ports import free_port
from tests.failures.faults import FAULTS, PLANTED
from tests.live import CHECKOUT, KEY, environment, process, wait_until_ready

SECONDS_TO_ANSWER: Final = 30


class Refused(Exception):
    """Something on the way to what is tried did not go well."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a shop sends it. `trace`: the number of the order, or in its place, that it bears on."""

    method: str
    path: str
    body: Any
    trace: str


@dataclass(frozen=True, slots=True)
class Shop:
    """A site that calls the processes of one service in turn; `database` looks past the service."""

    clients: tuple[httpx.AsyncClient, ...]
    database: asyncpg.Connection
    _turns: Iterator[int] = field(default_factory=count)

    async def send(self, request: Request, key: str | None = None) -> httpx.Response:
        """The answer; httpx.HTTPError where there is none."""
        client = self.clients[next(self._turns) % len(self.clients)]
        named = {} if key is None else {"Idempotency-Key": key}
        return await client.request(request.method, request.path, json=request.body, headers=named)

    async def do(self, request: Request, key: str | None = None) -> dict[str, Any]:
        """What it answers with; Refused for anything but a success."""
        answer = await self.send(request, key)
        if not answer.is_success:
            raise Refused(f"{request.method} {request.path}: {answer.status_code} {answer.text[:200]}")
        document: dict[str, Any] = answer.json()
        return document


@asynccontextmanager
async def serving(
    database_url: str, *, processes: int = 1, through: str | None = None, fault: str | None = None
) -> AsyncIterator[Shop]:
    """A service on this migrated database, and its shop. `through`: how the service reaches the database."""
    if fault is not None:
        await _prepare(database_url, FAULTS[fault].statements)
    async with AsyncExitStack() as stack:
        urls = await _started(stack, database_url, through or database_url, processes, fault)
        database = await asyncpg.connect(database_url.replace("+asyncpg", ""))
        stack.push_async_callback(database.close)
        headers = {"Authorization": f"Bearer {KEY}", "Accept-Language": "en"}
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=url, headers=headers, timeout=SECONDS_TO_ANSWER, limits=limits, trust_env=False
                )
            )
            for url in urls
        ]
        yield Shop(tuple(clients), database)


async def _prepare(database_url: str, statements: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _started(
    stack: AsyncExitStack, direct: str, through: str, processes: int, fault: str | None
) -> tuple[str, ...]:
    """In a thread, and ended in one: what the processes wait for may be served by this very loop."""
    children = ExitStack()
    stack.push_async_callback(asyncio.to_thread, children.close)
    return await asyncio.to_thread(_start, children, direct, through, processes, fault)


def _start(children: ExitStack, direct: str, through: str, processes: int, fault: str | None) -> tuple[str, ...]:
    files = Path(children.enter_context(tempfile.TemporaryDirectory())).as_uri()
    made = {**environment(direct, free_port()), "KMR_FILES_URL": files, "KMR_LOG_LEVEL": "error"}
    subprocess.run(
        [sys.executable, "-m", "app.cli", "sandbox"], cwd=CHECKOUT, env=made, check=True, stdout=subprocess.DEVNULL
    )
    urls = []
    for _ in range(processes):
        environ = {**made, "DATABASE_URL": through, "PORT": str(free_port())}
        urls.append(f"http://127.0.0.1:{environ['PORT']}")
        wait_until_ready(urls[-1], children.enter_context(_process(environ, fault)))
    return tuple(urls)


def _process(environ: Mapping[str, str], fault: str | None) -> Any:
    if fault is None:
        return process("app.main", environ)
    return process("tests.failures.planted", {**environ, PLANTED: fault})
