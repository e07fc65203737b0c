"""The embedded Postgres: a child of ours on 127.0.0.1, which ends when we end."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from launcher.accounts import database_account
from launcher.binaries import find_binaries
from launcher.children import Child, start
from launcher.cluster import ADMIN, ROLE, Home, durable_folder, ensure_cluster, throwaway_folder
from launcher.memory import memory_folder
from launcher.occupancy import clear_remains, sole_use
from launcher.places import Places, make_kept, places
from launcher.ports import free_port
from launcher.refusals import LaunchRefused, Stopped

# Recovery after a crash reads at most max_wal_size of log.
_STARTING = timedelta(seconds=60)
_PORT_TRIES = 3

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# What is thrown away at the end need not survive a power cut, and should not fill the memory with its log.
_THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",
}


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach a server. `role` may create databases and is no superuser, `admin` is one."""

    host: str
    port: int
    role: str
    admin: str
    password: str = field(repr=False)

    @classmethod
    def at(cls, url: str) -> "Server":
        """A server that is there already, by the URL of any of its databases."""
        parts = urlsplit(url)
        user = parts.username or ROLE
        return cls(parts.hostname or "127.0.0.1", parts.port or 5432, user, user, parts.password or "")

    def url(self, database: str) -> str:
        """For SQLAlchemy's async engine, as the service's own role."""
        return f"postgresql+asyncpg://{self.role}:{self.password}@{self.host}:{self.port}/{database}"

    def admin_url(self, database: str) -> str:
        """For asyncpg, as the superuser."""
        return f"postgresql://{self.admin}:{self.password}@{self.host}:{self.port}/{database}"


@contextmanager
def running(data_dir: Path, *, throwaway: bool) -> Iterator[Server]:
    """A server with an empty database `kmr`. A throwaway one forgoes durability, and its files are gone at the end."""
    with started(data_dir, throwaway=throwaway, environ=os.environ) as (server, _):
        yield server


@contextmanager
def started(data_dir: Path, *, throwaway: bool, environ: Mapping[str, str]) -> Iterator[tuple[Server, Child]]:
    """The same, with its process for one who watches over it."""
    make_kept(data_dir)
    here = places({**environ, "KMR_DATA_DIR": str(data_dir)})
    here.logs.mkdir(exist_ok=True)
    with ExitStack() as stack:
        home = stack.enter_context(_home(data_dir, throwaway=throwaway))
        stack.enter_context(sole_use(home.folder))
        server, child = _start(home, here, environ, throwaway=throwaway)
        stack.callback(_stop, child, throwaway=throwaway)
        yield server, child


@contextmanager
def _home(data_dir: Path, *, throwaway: bool) -> Iterator[Home]:
    account = database_account(data_dir / "postgres" / "cluster")
    if throwaway:
        with throwaway_folder(data_dir, account, memory_folder()) as folder:
            yield Home(folder, account)
    else:
        yield Home(durable_folder(data_dir, account), account)


def _start(home: Home, here: Places, environ: Mapping[str, str], *, throwaway: bool) -> tuple[Server, Child]:
    binaries = find_binaries(here, environ, home.account)
    own = _own_environment(environ)
    ensure_cluster(home, binaries, own, throwaway=throwaway)
    clear_remains(home.cluster)
    for _ in range(_PORT_TRIES):
        port = free_port()
        child = _spawn(home, binaries, here.logs / "postgres.log", own, _settings(port, throwaway=throwaway))
        if _ready(child, home.cluster):
            return Server("127.0.0.1", port, ROLE, ADMIN, home.password), child
    raise _not_started(child)


def _settings(port: int, *, throwaway: bool) -> list[str]:
    chosen = {**_SETTINGS, "port": str(port), **(_THROWAWAY if throwaway else {})}
    return [f"--{name}={value}" for name, value in chosen.items()]


def _spawn(home: Home, binaries: Path, log: Path, environ: Mapping[str, str], settings: list[str]) -> Child:
    return start(
        "Postgres",
        [str(binaries / "postgres"), "-D", str(home.cluster), *settings],
        log=log,
        environ=environ,
        cwd=home.cluster,
        account=home.account,
        dying_wish=signal.SIGQUIT,  # stops at once, its own children too; the log is replayed at the next start
    )


def _own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's: a PGPORT or PGOPTIONS meant for another server must not reach this one."""
    return {name: environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in environ} | {"LC_ALL": "C.UTF-8"}


def _ready(child: Child, cluster: Path) -> bool:
    """Waits until the server says `ready` in its pid file (as pg_ctl does). False: another took the port meanwhile."""
    try:
        if _says_ready(child, cluster):
            return True
    except Stopped:  # nobody else knows of the server yet
        child.stop((signal.SIGQUIT, 5))
        raise
    child.stop((signal.SIGQUIT, 5))
    if "Address already in use" in child.tail():
        return False
    raise _not_started(child)


def _says_ready(child: Child, cluster: Path) -> bool:
    give_up = time.monotonic() + _STARTING.total_seconds()
    while child.process.poll() is None and time.monotonic() < give_up:
        if _status(cluster) == "ready":
            return True
        time.sleep(0.02)
    return False


def _not_started(child: Child) -> LaunchRefused:
    return LaunchRefused(
        f"Postgres did not start. The end of {child.log}:\n{child.tail()}", "Postgres 未能启动，日志见上。"
    )


def _status(cluster: Path) -> str:
    """The eighth line of postmaster.pid (miscadmin.h, LOCK_FILE_LINE_PM_STATUS); empty while it is being written."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[7].strip() if len(lines) > 7 else ""


def _stop(child: Child, *, throwaway: bool) -> None:
    """Fast shutdown writes everything out; one whose files are about to go need not."""
    if throwaway:
        child.stop((signal.SIGQUIT, 10))
    else:
        child.stop((signal.SIGINT, 30), (signal.SIGQUIT, 5))
