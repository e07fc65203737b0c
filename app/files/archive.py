"""A zip archive that is written while it is sent, and whose bytes depend on nothing but its entries.

Everything is stored and nothing deflated: pictures and films would not get smaller, and what a compressor makes of the
rest differs between its versions.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Final, cast
from zipfile import ZIP_STORED, ZipFile, ZipInfo

_UNIX: Final = 3
_PLAIN_FILE: Final = 0o100644
# Local header, data descriptor, central header (each beside the name it repeats), and the end of the directory.
_LOCAL, _DESCRIPTOR, _CENTRAL, _END = 30, 16, 46, 22
_CLASSIC: Final = 2_000_000_000
"""Up to this length no field of the archive needs 64 bits, by the module's own cautious reckoning."""


class Differs(Exception):
    """An entry has another length than was announced: what has been sent cannot be completed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive. `path` with slashes; `size` in bytes; `blocks` opens its content anew each time."""

    path: str
    size: int
    blocks: Callable[[], AsyncGenerator[bytes, None]]


def entry_of(path: str, content: bytes) -> Entry:
    """An entry that is held in memory."""

    async def blocks() -> AsyncGenerator[bytes, None]:
        yield content

    return Entry(path, len(content), blocks)


def length_of(entries: Sequence[Entry]) -> int | None:
    """How many bytes `zipped` will make of them; None where 64-bit fields make that hard to say."""
    names = [len(entry.path.encode()) for entry in entries]
    headers = sum(_LOCAL + _DESCRIPTOR + _CENTRAL + 2 * name for name in names)
    length = headers + sum(entry.size for entry in entries) + _END
    return length if length <= _CLASSIC else None


async def zipped(entries: Sequence[Entry], at: datetime) -> AsyncGenerator[bytes, None]:
    """The archive in blocks; every entry bears the time `at`, as it is written there. At most one block is held.

    Raises Differs, and whatever an entry's own blocks raise: then the archive has no end, and no program opens it.
    """
    sink = _Sink()
    archive = ZipFile(cast(IO[bytes], sink), "w", ZIP_STORED)
    for entry in entries:
        async with aclosing(_written(archive, sink, entry, at)) as blocks:
            async for block in blocks:
                yield block
    archive.close()
    yield sink.taken()


async def _written(archive: ZipFile, sink: "_Sink", entry: Entry, at: datetime) -> AsyncGenerator[bytes, None]:
    sent = 0
    with archive.open(_heading(entry, at), "w") as part:
        async with aclosing(entry.blocks()) as blocks:
            async for block in blocks:
                sent += len(block)
                part.write(block)
                yield sink.taken()
    if sent != entry.size:
        raise Differs
    yield sink.taken()


def _heading(entry: Entry, at: datetime) -> ZipInfo:
    heading = ZipInfo(entry.path, (at.year, at.month, at.day, at.hour, at.minute, at.second))
    # The module would write the system that it runs on.
    heading.create_system = _UNIX
    heading.external_attr = _PLAIN_FILE << 16
    heading.file_size = entry.size
    return heading


class _Sink:
    """Takes what the module writes, and gives it on. It cannot seek, and so the module never goes back."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def write(self, block: bytes) -> int:
        self._held.append(bytes(block))
        return len(block)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        held, self._held = b"".join(self._held), []
        return held
