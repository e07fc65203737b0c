"""Where bytes of evidence are kept: a local folder, or a bucket that speaks S3.

Only the library's blocking calls are used, in threads: a process that ends while one of its asynchronous calls is being
cleaned up is aborted by the interpreter.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from app.config import ConfigError
from app.errors import FilesUnavailable

Result = TypeVar("Result")

BLOCK: Final = 256 * 1024
LISTED_AT_ONCE: Final = 1_000
_LOCAL_PART: Final = 1024 * 1024
_S3_PART: Final = 5 * 1024 * 1024  # the smallest that S3 takes
_PARTS_ON_THEIR_WAY: Final = 2
_PATIENCE: Final = timedelta(seconds=20)
_UNFINISHED: Final = re.compile(r".+#\d+")


class FileLost(Exception):
    """What was kept is not there any more. Nobody but us can have taken it away."""


@dataclass(frozen=True, slots=True)
class Cabinet:
    """Files under keys. `part`: bytes that are sent at once; `folder`: of a local cabinet.

    Raises FilesUnavailable where the place cannot be reached or is full.
    """

    store: ObjectStore
    part: int = _LOCAL_PART
    folder: Path | None = None

    async def write(self, key: str, blocks: AsyncIterator[bytes]) -> None:
        """Keeps all blocks, or, if one of them raises, nothing. Holds at most three parts in memory."""
        writer = await _write(self._open_writer, key)
        async for block in _gathered(blocks):
            await _write(writer.write, block)
        await _write(writer.close)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """The bytes in blocks; FileLost if there are none."""
        try:
            found = await _call(obstore.get, self.store, key)
        except FileNotFoundError as error:
            raise FileLost from error
        blocks = iter(found.stream(min_chunk_size=BLOCK))
        while (block := await _call(next, blocks, None)) is not None:
            yield bytes(block)

    async def delete(self, key: str) -> None:
        """Throws a file away; one that is not there is no trouble."""
        with suppress(FileNotFoundError):
            await _call(obstore.delete, self.store, key)

    async def older(self, than: datetime) -> AsyncIterator[list[str]]:
        """Keys of files that were last written before an instant, a thousand at most at once, in no order."""
        pages = iter(obstore.list(self.store, chunk_size=LISTED_AT_ONCE))
        while (page := await _call(next, pages, None)) is not None:
            yield [each["path"] for each in page if each["last_modified"] < than]

    async def sweep(self, than: datetime) -> int:
        """Removes what a crash left half written in a local folder before an instant. A bucket does that by itself."""
        return 0 if self.folder is None else await _call(_remove_unfinished, self.folder, than)

    def _open_writer(self, key: str) -> Any:
        return obstore.open_writer(self.store, key, buffer_size=self.part, max_concurrency=_PARTS_ON_THEIR_WAY)


def open_cabinet(url: str) -> Cabinet:
    """The cabinet at `file:///folder`, which is made, or `s3://bucket/prefix`. ConfigError if it cannot be one.

    For S3 the credentials, region and address come from the usual `AWS_…` variables, which the library reads itself.
    """
    try:
        return _local(url) if url.startswith("file:") else _remote(url)
    except (BaseError, OSError, ValueError) as error:
        raise ConfigError(f"KMR_FILES_URL: no files can be kept there ({type(error).__name__}).") from error


def _local(url: str) -> Cabinet:
    folder = Path(unquote(urlsplit(url).path))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError
    return Cabinet(LocalStore(folder, mkdir=True), _LOCAL_PART, folder)


def _remote(url: str) -> Cabinet:
    parts = urlsplit(url)
    store = S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        client_options={"connect_timeout": timedelta(seconds=3), "timeout": _PATIENCE},
        retry_config={"max_retries": 2, "retry_timeout": _PATIENCE},
    )
    return Cabinet(store, _S3_PART)


async def _call(work: Callable[..., Result], *arguments: Any) -> Result:
    try:
        return await asyncio.to_thread(work, *arguments)
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise FilesUnavailable from error


async def _write(work: Callable[..., Result], *arguments: Any) -> Result:
    try:
        return await _call(work, *arguments)
    except FileNotFoundError as error:  # no such bucket, or the folder was taken away
        raise FilesUnavailable from error


async def _gathered(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in fewer pieces, since each is a visit to a thread."""
    held = bytearray()
    async for block in blocks:
        held += block
        if len(held) >= BLOCK:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _remove_unfinished(folder: Path, than: datetime) -> int:
    """The library writes to `key#1` and renames; a listing does not show those."""
    removed = 0
    for path in _unfinished(folder):
        if datetime.fromtimestamp(path.stat().st_mtime, UTC) < than:
            path.unlink()
            removed += 1
    return removed


def _unfinished(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*#*") if _UNFINISHED.fullmatch(path.name) and path.is_file())
