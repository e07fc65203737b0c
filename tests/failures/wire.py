"""As much of the protocol between a client and Postgres as it takes to tell one message from the next.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import struct
from asyncio import StreamReader
from dataclasses import dataclass
from typing import Final

_SSL_REQUEST: Final = 80877103
_GSS_REQUEST: Final = 80877104
_COMMIT: Final = frozenset({b"COMMIT;", b"COMMIT"})


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `raw` as it travels. `kind` is empty for what a client says before it is let in."""

    kind: bytes
    body: bytes
    raw: bytes

    @property
    def asks_for_encryption(self) -> bool:
        """Whether the client wants to know if it may encrypt; answered with one byte, after which it says hello."""
        return not self.kind and struct.unpack("!I", self.body[:4])[0] in (_SSL_REQUEST, _GSS_REQUEST)

    @property
    def asks_to_commit(self) -> bool:
        """Whether the client ends its transaction so that it counts."""
        return self.kind == b"Q" and self.body.rstrip(b"\0") in _COMMIT

    @property
    def begins(self) -> bool:
        """Whether the client begins a transaction."""
        return self.kind == b"Q" and self.body.startswith(b"BEGIN")

    @property
    def has_committed(self) -> bool:
        """Whether the server says that the transaction counts."""
        return self.kind == b"C" and self.body.rstrip(b"\0") == b"COMMIT"


async def read_hello(reader: StreamReader) -> Message:
    """The next message of a client that is not let in yet."""
    length = await reader.readexactly(4)
    body = await reader.readexactly(struct.unpack("!I", length)[0] - 4)
    return Message(b"", body, length + body)


async def read_message(reader: StreamReader) -> Message:
    """The next message, of a client or of the server."""
    head = await reader.readexactly(5)
    body = await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
    return Message(head[:1], body, head + body)
