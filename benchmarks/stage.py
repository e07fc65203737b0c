"""What is measured against: a durable Postgres of our own, a fresh database for each benchmark, real processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import asyncpg
import uvloop

from app.config import Config, read_config
from app.services.sites import open_sandbox
from app.store.engine import create_engine, transaction
from app.store.sites import database_now
from launcher import children, steps
from launcher.children import Child
from launcher.ports import free_port
from launcher.postgres import Server, running
from tests.live import CHECKOUT, KEY, environment

TEMPLATE = "kmr"
_GRACE_S = 15.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A server with a migrated database (`template`) that nobody is connected to, and a folder for logs."""

    server: Server
    template: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Shop:
    """A fresh database with the sandbox in it, and what processes on it are given."""

    stage: Stage
    database_url: str
    environ: Mapping[str, str]

    @property
    def address(self) -> tuple[str, int]:
        """Where its API listens, once it is started."""
        return "127.0.0.1", int(self.environ["PORT"])

    @property
    def config(self) -> Config:
        """The same for code in this process."""
        return read_config(self.environ)

    @property
    def dsn(self) -> str:
        """For asyncpg, as the service's own role."""
        return self.database_url.replace("+asyncpg", "")


@contextmanager
def durable_stage() -> Iterator[Stage]:
    """Postgres as a deployment has it, commits synced to disk; its files are gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="kmr-bench-"))
    folder.chmod(0o711)  # under root the database runs as another user, who must pass through
    try:
        with running(folder, throwaway=False) as server:
            _call(["-m", "alembic", "upgrade", "head"], {**os.environ, "DATABASE_URL": server.url(TEMPLATE)})
            yield Stage(server, TEMPLATE, folder)
    finally:
        shutil.rmtree(folder)


@contextmanager
def opened(stage: Stage, *, analysed_while_empty: bool = False) -> Iterator[Shop]:
    """A database of its own, dropped afterwards."""
    name = f"kmr_bench_{token_hex(6)}"
    uvloop.run(_execute(stage.server.url("postgres"), f"CREATE DATABASE {name} TEMPLATE {stage.template}"))
    try:
        url = stage.server.url(name)
        if analysed_while_empty:
            uvloop.run(_execute(url, "VACUUM ANALYZE"))
        environ = environment(url, free_port())
        shop = Shop(stage, url, environ)
        uvloop.run(_with_sandbox(shop.config))
        yield shop
    finally:
        # As the superuser: an autovacuum may be at work in there, and nobody else may end it.
        uvloop.run(_execute(stage.server.admin_url("postgres"), f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def api_of(shop: Shop) -> Iterator[Child]:
    """The API's process, once it is ready."""
    with process(shop.stage, "app.main", shop.environ) as api:
        host, port = shop.address
        steps.wait_until_ready(f"http://{host}:{port}", [api])
        yield api


@contextmanager
def process(stage: Stage, module: str, environ: Mapping[str, str]) -> Iterator[Child]:
    """A process that ends with the block, or with us however we end."""
    log = stage.folder / f"{module}.log"
    child = children.start(module, [sys.executable, "-m", module], log=log, environ=environ, cwd=CHECKOUT)
    try:
        yield child
    finally:
        child.stop((signal.SIGTERM, _GRACE_S))


def authorised(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    """A whole request with the sandbox's key. `Content_Type="text/plain"` is a header more."""
    head = {"Host": "127.0.0.1", "Authorization": f"Bearer {KEY}", **headers}
    if body:
        head |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in head.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def _call(arguments: list[str], environ: Mapping[str, str]) -> None:
    done = children.call([sys.executable, *arguments], environ=environ, cwd=CHECKOUT)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)


async def _with_sandbox(config: Config) -> None:
    engine = create_engine(config)
    try:
        async with transaction(engine) as connection:
            await open_sandbox(connection, config.sandbox_key, now=await database_now(connection))
    finally:
        await engine.dispose()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
