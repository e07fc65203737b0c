"""An adapter: takes webhooks, verifies each with the published library, and answers as it is told."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

Status = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One attempt as it came in; `document` is what the library returned, None if it did not verify."""

    path: str
    webhook_id: str
    body: bytes
    document: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Adapter:
    """Where it listens, the secret of each path, and what came in. `status` maps the n-th arrival to its answer."""

    url: str
    status: Status
    secrets: dict[str, str] = field(default_factory=dict)
    arrivals: "queue.Queue[Arrival]" = field(default_factory=queue.Queue)

    def next(self) -> Arrival:
        """The next arrival; queue.Empty if none comes in time."""
        return self.arrivals.get(timeout=90)


@contextmanager
def adapter(status: Status = lambda _: 204) -> Iterator[Adapter]:
    """An adapter on a free loopback port."""
    count = 0
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal count
            body = self.rfile.read(int(self.headers["content-length"]))
            with lock:
                count += 1
                answer = listening.status(count)
            self.send_response(answer)
            self.end_headers()
            verified = _verified(listening.secrets.get(self.path), dict(self.headers.items()), body)
            listening.arrivals.put(Arrival(self.path, self.headers["webhook-id"], body, verified))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening = Adapter(f"http://127.0.0.1:{server.server_address[1]}", status)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield listening
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _verified(secret: str | None, headers: dict[str, str], body: bytes) -> dict[str, Any] | None:
    if secret is None:
        return None
    try:
        document: dict[str, Any] = Webhook(secret).verify(
            body, {name.lower(): value for name, value in headers.items()}
        )
    except WebhookVerificationError:
        return None
    return document
