"""A client that costs next to nothing: kept connections, whole requests as bytes, answers only as far as needed.

A client made for comfort would be the bottleneck: it takes more of a core than the service it measures.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class UnexpectedAnswer(Exception):
    """The service did not do what is being measured."""


@dataclass(frozen=True, slots=True)
class Run:
    """`seconds` from the first request to the last answer; of each request how long it took, and when it ended."""

    seconds: float
    latencies: tuple[float, ...]
    ended_at: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Seconds within which so many of a hundred requests were answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Exchange(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """From asyncio."""
        self._buffer += data
        head, found, rest = self._buffer.partition(_END)
        if found and self._answer is not None and len(rest) >= (length := length_of(head)):
            self._buffer = rest[length:]
            self._answer.set_result((int(head[9:12]), rest[:length]))
            self._answer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """From asyncio."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or UnexpectedAnswer("the connection was closed"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Lets go of the connection."""
        if self._transport is not None:
            self._transport.close()


async def drive(address: tuple[str, int], width: int, requests: Iterable[bytes], status: int) -> Run:
    """Sends each request over whichever of `width` connections is free. UnexpectedAnswer for any other status.

    The connections are new, as a server closes idle ones; making them is not counted.
    """
    loop = asyncio.get_running_loop()
    exchanges = [(await loop.create_connection(Exchange, *address))[1] for _ in range(width)]
    waiting = iter(requests)
    latencies: list[float] = []
    ended_at: list[float] = []
    started = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for exchange in exchanges:
                group.create_task(_drain(exchange, waiting, status, latencies, ended_at))
    finally:
        for exchange in exchanges:
            exchange.close()
    return Run(time.perf_counter() - started, tuple(latencies), tuple(ended_at))


async def _drain(
    exchange: Exchange, waiting: Iterator[bytes], status: int, latencies: list[float], ended_at: list[float]
) -> None:
    for request in waiting:
        began = time.perf_counter()
        answered, body = await exchange.ask(request)
        ended = time.perf_counter()
        if answered != status:
            raise UnexpectedAnswer(f"{answered} instead of {status}: {body[:400]!r}")
        latencies.append(ended - began)
        ended_at.append(ended)


def length_of(head: bytes) -> int:
    """What `Content-Length` says; 0 without one."""
    lower = head.lower()
    if _LENGTH not in lower:
        return 0
    return int(lower.partition(_LENGTH)[2].split(b"\r\n", 1)[0])
