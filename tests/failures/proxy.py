"""Between the service and its database: loses what it is told to lose around COMMIT, and cuts the connection then."""

import asyncio
import re
import socket
import struct
from asyncio import IncompleteReadError, StreamReader, StreamWriter, TaskGroup
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from tests.failures.wire import Message, read_hello, read_message

# What a request is known by: its idempotency key, which travels as it is when the key is claimed.
KEY: Final = re.compile(rb"lossy-[a-z]+-\d+")


class Loss(StrEnum):
    """What is lost of a COMMIT."""

    REPLY = "the reply"  # the database has committed, and nobody hears of it
    COMMIT = "the commit"  # the database never heard of it, and rolls back


class Cut(StrEnum):
    """How the connection ends."""

    RESET = "reset"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Accident:
    """What happens to one COMMIT."""

    loss: Loss
    cut: Cut


class _Gone(Exception):
    """One side has ended the connection, or the proxy has."""


@dataclass(slots=True)
class _Session:
    """One connection of the service. `key`: whose transaction it is in; `withheld`: what the reply will meet."""

    client: StreamWriter
    server: StreamWriter
    key: str | None = None
    withheld: Accident | None = None

    def end(self, cut: Cut) -> None:
        for side in (self.client, self.server):
            if cut is Cut.RESET:
                side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.transport.abort()


@dataclass(slots=True)
class LossyProxy:
    """`plan[key]`: the accidents that befall this key's COMMITs, one after the other; then no more.

    `happened` counts them; `seen` counts the COMMITs of each key, lost ones included.
    """

    host: str
    port: int
    plan: dict[str, deque[Accident]] = field(default_factory=dict)
    happened: Counter[Accident] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection, until either side ends it."""
        server_reader, server = await asyncio.open_connection(self.host, self.port)
        session = _Session(writer, server)
        try:
            async with TaskGroup() as both:
                both.create_task(self._inwards(reader, session))
                both.create_task(self._outwards(server_reader, session))
        except* (_Gone, IncompleteReadError, ConnectionError):
            session.end(Cut.CLOSED)

    async def _inwards(self, reader: StreamReader, session: _Session) -> None:
        await self._hello(reader, session)
        while True:
            message = await read_message(reader)
            self._note_whose(message, session)
            if message.asks_to_commit and self._has_accident(session):
                raise _Gone
            await _pass_on(message, session.server)

    async def _hello(self, reader: StreamReader, session: _Session) -> None:
        """Nothing is encrypted on the way, or nothing could be read."""
        hello = await read_hello(reader)
        while hello.asks_for_encryption:
            session.client.write(b"N")
            hello = await read_hello(reader)
        await _pass_on(hello, session.server)

    def _note_whose(self, message: Message, session: _Session) -> None:
        if message.begins:
            session.key = None
        elif session.key is None and (found := KEY.search(message.body)):
            session.key = found[0].decode()

    def _has_accident(self, session: _Session) -> bool:
        """Whether this COMMIT is lost on its way in. Where its reply will be lost, that is noted."""
        if session.key is None:
            return False
        self.seen[session.key] += 1
        waiting = self.plan.get(session.key)
        accident = waiting.popleft() if waiting else None
        if accident is None:
            return False
        if accident.loss is Loss.REPLY:
            session.withheld = accident
            return False
        self._happens(accident, session)
        return True

    async def _outwards(self, reader: StreamReader, session: _Session) -> None:
        while True:
            message = await read_message(reader)
            if session.withheld is not None and message.has_committed:
                self._happens(session.withheld, session)
                raise _Gone
            await _pass_on(message, session.client)

    def _happens(self, accident: Accident, session: _Session) -> None:
        self.happened[accident] += 1
        session.end(accident.cut)


async def _pass_on(message: Message, writer: StreamWriter) -> None:
    writer.write(message.raw)
    await writer.drain()


@asynccontextmanager
async def lossy(database_url: str) -> AsyncIterator[tuple[LossyProxy, str]]:
    """A proxy before this database, and the URL of the database by way of it."""
    parts = urlsplit(database_url)
    proxy = LossyProxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))
    finally:
        server.close()
