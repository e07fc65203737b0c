"""The whole service on one machine: database, migrations, sandbox, worker, API, and down again in reverse."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from launcher import children, postgres, steps
from launcher.children import Child
from launcher.cluster import DATABASE
from launcher.environment import Level, ensure_environment
from launcher.places import make_kept
from launcher.ports import free_port, refuse_taken_port
from launcher.secret_files import kept_sandbox_key
from launcher.settings import Settings, read_settings, service_environment

# A request or a delivery under way may take this long; then the process is killed, and what it held is taken up again.
_GRACE_S = 15.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers: its base URL without a closing slash, and the sandbox site's key."""

    url: str
    key: str


@dataclass(frozen=True, slots=True)
class Started:
    """A service of our own with the processes it is made of, the API first."""

    service: Service
    processes: tuple[Child, ...]

    def watch(self) -> None:
        """Returns never: raises LaunchRefused when a process ends by itself, and Stopped comes in as a signal."""
        while True:
            steps.refuse_dead(self.processes)
            time.sleep(0.2)


@contextmanager
def started_service(settings: Settings) -> Iterator[Started]:
    """Starts everything and yields when /readyz says 200; at the end stops API, worker and database, in this order."""
    refuse_taken_port(settings.host, settings.port)
    ensure_environment(settings.places, Level.LOCAL, settings.environ)
    make_kept(settings.places.kept)
    settings.places.logs.mkdir(exist_ok=True)
    with ExitStack() as stack:
        database_url, database = _database(settings, stack)
        environ = service_environment(settings, database_url)
        steps.migrate(settings.places, environ)
        worker = stack.enter_context(_process(settings, environ, "worker", "app.worker"))
        api = stack.enter_context(_process(settings, environ, "API", "app.main"))
        processes = (api, worker, *database)
        # They take a second to load, and need the schema only: meanwhile the sandbox is made.
        key = steps.make_sandbox(settings, environ)
        steps.wait_until_ready(settings.url, processes)
        stack.enter_context(_announced(settings))
        yield Started(Service(settings.url, key), processes)


@contextmanager
def running_service(environ: Mapping[str, str]) -> Iterator[Service]:
    """The service of this data folder or at `PORT`, if its key is known; else one of our own, on a free port."""
    settings = read_settings(environ)
    found = found_service(settings)
    if found is not None:
        yield found
        return
    with started_service(replace(settings, host="127.0.0.1", port=free_port())) as started:
        yield started.service


def found_service(settings: Settings) -> Service | None:
    """One that answers 200 to an authorised request with the key from `KMR_SANDBOX_KEY` or the data folder."""
    kept = settings.places.kept
    key = settings.sandbox_key or kept_sandbox_key(kept)
    if key is None:
        return None
    announced = _announcement(kept)
    urls = [settings.url, *([announced.read_text()] if announced.exists() else [])]
    return next((Service(url, key) for url in urls if steps.status_of(f"{url}/v1/cases?limit=1", key) == 200), None)


def _database(settings: Settings, stack: ExitStack) -> tuple[str, tuple[Child, ...]]:
    """The URL, and the server's process where it is ours."""
    if settings.database_url is not None:
        return settings.database_url, ()
    server, child = stack.enter_context(
        postgres.started(settings.places.kept, throwaway=False, environ=settings.environ)
    )
    return server.url(DATABASE), (child,)


@contextmanager
def _process(settings: Settings, environ: Mapping[str, str], name: str, module: str) -> Iterator[Child]:
    log = settings.places.logs / f"{name.lower()}.log"
    argv = [str(settings.places.python), "-m", module]
    child = children.start(name, argv, log=log, environ=environ, cwd=settings.places.checkout)
    try:
        yield child
    finally:
        child.stop((signal.SIGTERM, _GRACE_S))


@contextmanager
def _announced(settings: Settings) -> Iterator[None]:
    """Leaves the address where `./run demo` looks for it, whatever the port."""
    file = _announcement(settings.places.kept)
    file.write_text(settings.url)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _announcement(kept: Path) -> Path:
    return kept / "address"
