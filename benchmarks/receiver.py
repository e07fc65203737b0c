"""An adapter that says 200 to everything and counts: `python -m benchmarks.receiver`, told its port by `PORT`.

A process of its own, as receivers are. `GET /seen` answers with, for each path, how many came and when the first and
the last did.
"""

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

from benchmarks.wire import length_of

_END = b"\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass(slots=True)
class Seen:
    """Per path: how many requests, the first instant and the last (seconds since the epoch)."""

    paths: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    def note(self, path: str) -> None:
        """One more."""
        now = time.time()
        number, first, _ = self.paths.get(path, (0, now, now))
        self.paths[path] = (number + 1, first, now)


class Receiving(asyncio.Protocol):
    """One connection, kept or not as the sender wishes."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """From asyncio."""
        self._buffer += data
        head, found, rest = self._buffer.partition(_END)
        if found and len(rest) >= (length := length_of(head)):
            self._buffer = rest[length:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        assert self._transport is not None
        path = head.split(b" ", 2)[1].decode("ascii")
        if path == "/seen":
            body = json.dumps(self._seen.paths).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            return
        self._seen.note(path)
        self._transport.write(_ANSWER)
        if b"connection: close" in head.lower():
            self._transport.close()


async def receive(port: int) -> None:
    """Until SIGTERM."""
    loop, stop, seen = asyncio.get_running_loop(), asyncio.Event(), Seen()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(lambda: Receiving(seen), "127.0.0.1", port, backlog=512)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(receive(int(os.environ["PORT"])))
