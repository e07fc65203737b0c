"""The service as its users meet it: real processes, real HTTP, on loopback, ended by id."""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from launcher.ports import free_port

CHECKOUT = Path(__file__).resolve().parent.parent
KEY = "kmr_test_live-service"
SECONDS_TO_ANSWER = 30.0


@dataclass(frozen=True, slots=True)
class Live:
    """A running service: where, the sandbox key, the environment of its processes, and the API's process."""

    url: str
    key: str
    environ: Mapping[str, str]
    api: subprocess.Popen[bytes]


def environment(database_url: str, port: int) -> dict[str, str]:
    """What the processes of a live service are given."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("KMR_")},
        "DATABASE_URL": database_url,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "KMR_SANDBOX_KEY": KEY,
        "KMR_SEALING_KEY": base64.urlsafe_b64encode(bytes(range(32))).decode(),
        "KMR_ALLOW_LOOPBACK_WEBHOOKS": "1",
    }


@contextmanager
def live_service(database_url: str, *, worker: bool = False) -> Iterator[Live]:
    """API, sandbox site and, if asked, a worker on a migrated database; ended with the block."""
    with ExitStack() as stack:
        files = Path(stack.enter_context(TemporaryDirectory()))
        environ = {**environment(database_url, free_port()), "KMR_FILES_URL": files.as_uri()}
        made = subprocess.run(
            [sys.executable, "-m", "app.cli", "sandbox"], cwd=CHECKOUT, env=environ, check=True, capture_output=True
        )
        assert json.loads(made.stdout)["key"] == KEY
        url = f"http://127.0.0.1:{environ['PORT']}"
        if worker:
            stack.enter_context(process("app.worker", environ))
        api = stack.enter_context(process("app.main", environ))
        wait_until_ready(url, api)
        yield Live(url, KEY, environ, api)


@contextmanager
def process(module: str, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """One process of the service; told to stop at the end, and killed if it does not."""
    child = subprocess.Popen([sys.executable, "-m", module], cwd=CHECKOUT, env=dict(environ), stdout=subprocess.DEVNULL)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_until_ready(url: str, api: subprocess.Popen[bytes]) -> None:
    """Until /readyz says 200; AssertionError if it does not in time, or the process ends."""
    give_up = time.monotonic() + SECONDS_TO_ANSWER
    while time.monotonic() < give_up:
        assert api.poll() is None, "the API ended by itself"
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"{url} did not become ready in {SECONDS_TO_ANSWER} s")
