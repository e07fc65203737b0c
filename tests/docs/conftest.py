"""A service that answers on loopback, with the sandbox's site, key and example records."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import uvicorn

from app.config import Config, read_config
from app.main import create_app
from app.services.sites import open_sandbox
from app.store.engine import create_engine, transaction
from app.store.sites import database_now

KEY = "kmr_test_documents"


@dataclass(frozen=True, slots=True)
class Service:
    """Where it answers, what opens it, and its configuration."""

    url: str
    key: str
    config: Config

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    """The API over a database of its own, spoken to through a socket."""
    config = read_config({"DATABASE_URL": database_url, "KMR_SEALING_KEY": "A" * 43, "KMR_SANDBOX_KEY": KEY})
    await _open_sandbox(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with _serving(config, listener):
            yield Service(f"http://127.0.0.1:{listener.getsockname()[1]}", KEY, config)


async def _open_sandbox(config: Config) -> None:
    engine = create_engine(config)
    async with transaction(engine) as connection:
        await open_sandbox(connection, config.sandbox_key, now=await database_now(connection))
    await engine.dispose()


@asynccontextmanager
async def _serving(config: Config, listener: socket.socket) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(create_app(config), log_config=None, access_log=False))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
