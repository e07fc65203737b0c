"""A receiver that stands for the adapters of the merchant and of the payment channel: verifies, remembers, answers."""

import base64
import hashlib
import hmac
import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OLDEST_S = 300
LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """One webhook as it came in, and whether its signature is good."""

    role: str
    verified: bool
    envelope: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where the adapters listen, their secrets by role, and what came in."""

    url: str
    secrets: dict[str, str] = field(default_factory=dict)
    inbox: "queue.Queue[Received]" = field(default_factory=queue.Queue)


def is_signed(secret: str, headers: dict[str, str], body: bytes, now: float) -> bool:
    """Whether one of the signatures is that of a Standard Webhook with this secret, not older than five minutes."""
    sent_at = headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(now - int(sent_at)) > OLDEST_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers.get('webhook-id', '')}.{sent_at}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(f"v1,{expected}", signature) for signature in given)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free loopback port; the path names the role: `/merchant`, `/channel`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.receiver  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver  # type: ignore[attr-defined]
        role = self.path.strip("/")
        length = self.headers.get("content-length", "")
        body = self.rfile.read(int(length)) if length.isdigit() and int(length) <= LARGEST else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        verified = role in receiver.secrets and is_signed(receiver.secrets[role], headers, body, time.time())
        self.send_response(204 if verified else 401)
        self.end_headers()
        if body:
            receiver.inbox.put(Received(role, verified, json.loads(body)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing: the demonstration itself shows what came in."""
