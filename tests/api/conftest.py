"""The whole service over ASGI, on a database of its own, and sites that call it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from app.config import Config, read_config
from app.ids import Mode
from app.main import create_app
from app.models.closed_sets import Scope
from app.services import sites
from app.store.engine import transaction
from app.store.sites import database_now


@dataclass(frozen=True, slots=True)
class Access:
    """A site, a key of it, and a client that calls with that key."""

    site_id: UUID
    key: str
    http: httpx.AsyncClient

    @property
    def auth(self) -> dict[str, str]:
        """The header that the key goes into."""
        return {"Authorization": f"Bearer {self.key}"}

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """GET with the key."""
        return await self.call("GET", path, **options)

    async def put(self, path: str, body: Any, **options: Any) -> httpx.Response:
        """PUT of JSON with the key."""
        return await self.call("PUT", path, json=body, **options)

    async def post(
        self,
        path: str,
        body: Any = None,
        *,
        once: str | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """POST of JSON with the key, and an idempotency key if one is given."""
        keyed = {} if once is None else {"Idempotency-Key": once}
        return await self.call("POST", path, json=body, headers={**keyed, **(headers or {})}, **options)

    async def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """Any request with the key."""
        return await self.http.request(method, path, headers={**self.auth, **(headers or {})}, **options)


Opener = Callable[..., Awaitable[Access]]


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> Config:
    """As a newcomer's machine is configured: test mode may call receivers on loopback, files go into a folder."""
    return read_config(
        {
            "DATABASE_URL": database_url,
            "KMR_SEALING_KEY": "A" * 43,
            "KMR_POOL_SIZE": "20",
            "KMR_ALLOW_LOOPBACK_WEBHOOKS": "true",
            "KMR_FILES_URL": (tmp_path / "files").as_uri(),
            "KMR_MAX_FILE_MIB": "2",
        }
    )


@pytest.fixture
async def app(config: Config) -> AsyncIterator[FastAPI]:
    """The service, started."""
    app = create_app(config)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def engine(app: FastAPI) -> AsyncEngine:
    """The service's own connections."""
    engine: AsyncEngine = app.state.engine
    return engine


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a key."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test") as client:
        yield client


@pytest.fixture
def open_site(client: httpx.AsyncClient, engine: AsyncEngine) -> Opener:
    """`await open_site(mode="live", scopes=[Scope.CASES])`: a new site and its key."""

    async def opened(*, mode: Mode = "test", scopes: Sequence[Scope] = tuple(Scope)) -> Access:
        async with transaction(engine) as connection:
            now = await database_now(connection)
            site = await sites.create_site(connection, "shop", mode, now=now)
            new = await sites.create_key(connection, site.site_id, scopes, "", now=now)
        return Access(site.site_id, new.key, client)

    return opened


@pytest.fixture
async def site(open_site: Opener) -> Access:
    """A site in test mode whose key may do everything."""
    return await open_site()


@pytest.fixture
async def other_site(open_site: Opener) -> Access:
    """Another such site."""
    return await open_site()


@pytest.fixture
async def key_with(site: Access, engine: AsyncEngine) -> Callable[..., Awaitable[Access]]:
    """`await key_with(Scope.CASES)`: the same site by a key with these scopes alone."""

    async def made(*scopes: Scope) -> Access:
        async with transaction(engine) as connection:
            now = await database_now(connection)
            new = await sites.create_key(connection, site.site_id, scopes, "", now=now)
        return Access(site.site_id, new.key, site.http)

    return made
