"""Bytes are kept whole or not at all, wherever the cabinet is."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from obstore.store import MemoryStore, S3Store

from app.config import ConfigError
from app.errors import FilesUnavailable
from app.files.cabinet import BLOCK, Cabinet, FileLost, open_cabinet

MIB = 1024 * 1024


async def blocks(count: int, size: int = 65_536) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 251]) * size


async def failing(count: int) -> AsyncIterator[bytes]:
    async for block in blocks(count):
        yield block
    raise ValueError("the sender is gone")


async def read(cabinet: Cabinet, key: str) -> bytes:
    return b"".join([block async for block in cabinet.read(key)])


async def older(cabinet: Cabinet, than: datetime) -> set[str]:
    return {key async for page in cabinet.older(than) for key in page}


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


@pytest.fixture(params=["folder", "memory"])
def cabinet(request: pytest.FixtureRequest, tmp_path: Path) -> Cabinet:
    """A local one, and one that is as far from a folder as a bucket is."""
    return open_cabinet(tmp_path.as_uri()) if request.param == "folder" else Cabinet(MemoryStore())


@pytest.mark.parametrize("count", [1, 3, 16, 17, 50])
async def test_what_is_written_is_read_again(cabinet: Cabinet, count: int) -> None:
    await cabinet.write("site/case/file/1", blocks(count))
    whole = b"".join([block async for block in blocks(count)])
    assert await read(cabinet, "site/case/file/1") == whole


async def test_a_large_file_comes_out_in_small_blocks(tmp_path: Path) -> None:
    cabinet = open_cabinet(tmp_path.as_uri())
    await cabinet.write("a", blocks(50))
    sizes = [len(block) async for block in cabinet.read("a")]
    assert sum(sizes) == 50 * 65_536
    assert max(sizes) <= 2 * BLOCK


@pytest.mark.parametrize("count", [0, 1, 50])
async def test_a_sender_that_fails_leaves_nothing(cabinet: Cabinet, count: int) -> None:
    with pytest.raises(ValueError, match="the sender is gone"):
        await cabinet.write("a/b", failing(count))
    with pytest.raises(FileLost):
        await read(cabinet, "a/b")
    assert await older(cabinet, soon()) == set()


async def test_a_sender_that_fails_leaves_nothing_half_written(tmp_path: Path) -> None:
    cabinet = open_cabinet(tmp_path.as_uri())
    with pytest.raises(ValueError, match="the sender is gone"):
        await cabinet.write("a/b", failing(50))
    async with asyncio.timeout(10):
        while files_in(tmp_path):  # noqa: ASYNC110 - the library clears up in a thread of its own
            await asyncio.sleep(0.01)


async def test_nothing_is_there_before_the_last_byte(cabinet: Cabinet) -> None:
    async def watched() -> AsyncIterator[bytes]:
        async for block in blocks(50):
            yield block
        with pytest.raises(FileLost):
            await read(cabinet, "a/b")

    await cabinet.write("a/b", watched())
    assert len(await read(cabinet, "a/b")) == 50 * 65_536


async def test_what_is_deleted_is_gone_and_may_be_deleted_again(cabinet: Cabinet) -> None:
    await cabinet.write("a/b", blocks(1))
    await cabinet.delete("a/b")
    await cabinet.delete("a/b")
    with pytest.raises(FileLost):
        await read(cabinet, "a/b")


async def test_only_what_is_old_enough_is_listed(cabinet: Cabinet) -> None:
    for key in ("a/b", "a/c", "d"):
        await cabinet.write(key, blocks(1))
    assert await older(cabinet, soon()) == {"a/b", "a/c", "d"}
    assert await older(cabinet, datetime.now(UTC) - timedelta(hours=1)) == set()


async def test_what_a_crash_left_half_written_is_swept_away(tmp_path: Path) -> None:
    cabinet = open_cabinet(tmp_path.as_uri())
    await cabinet.write("a/whole", blocks(1))
    (tmp_path / "a" / "old#1").write_bytes(b"half")
    (tmp_path / "a" / "new#1").write_bytes(b"half")
    long_ago = datetime.now(UTC) - timedelta(days=2)
    os.utime(tmp_path / "a" / "old#1", (long_ago.timestamp(), long_ago.timestamp()))
    assert await cabinet.sweep(datetime.now(UTC) - timedelta(days=1)) == 1
    assert sorted(path.name for path in files_in(tmp_path)) == ["new#1", "whole"]
    assert await Cabinet(MemoryStore()).sweep(soon()) == 0


async def test_a_folder_that_is_gone_or_full_is_unavailable(tmp_path: Path) -> None:
    cabinet = open_cabinet((tmp_path / "files").as_uri())
    (tmp_path / "files").rmdir()
    (tmp_path / "files").write_bytes(b"a file now")
    with pytest.raises(FilesUnavailable):
        await cabinet.write("a/b", blocks(1))


async def test_a_bucket_that_cannot_be_reached_is_unavailable() -> None:
    store = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:1",
        client_options={"allow_http": True},
        region="x",
        access_key_id="x",
        secret_access_key="x",
        retry_config={"max_retries": 0},
    )
    cabinet = Cabinet(store)
    with pytest.raises(FilesUnavailable):
        await cabinet.write("a/b", blocks(1))
    with pytest.raises(FilesUnavailable):
        await read(cabinet, "a/b")
    with pytest.raises(FilesUnavailable):
        await older(cabinet, soon())


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    place = tmp_path / "证据 #1" / "files"
    open_cabinet(place.as_uri())
    assert place.is_dir()
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_place_that_cannot_be_had_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(ConfigError, match="KMR_FILES_URL"):
        open_cabinet((tmp_path / "taken" / "files").as_uri())


def test_an_s3_address_names_bucket_and_prefix() -> None:
    cabinet = open_cabinet("s3://bucket/evidence/files")
    assert isinstance(cabinet.store, S3Store)
    assert (cabinet.store.config["bucket"], cabinet.store.prefix) == ("bucket", "evidence/files")
    assert cabinet.part == 5 * MIB
    assert cabinet.folder is None


def test_a_process_that_ends_right_after_its_last_call_ends_well(tmp_path: Path) -> None:
    """The library's asynchronous calls abort the interpreter in one of ten such processes; ours are not those."""
    work = (
        "import asyncio; from app.files.cabinet import open_cabinet\n"
        "async def blocks():\n"
        "    for _ in range(40): yield bytes(65536)\n"
        "async def main():\n"
        f"    cabinet = open_cabinet({tmp_path.as_uri()!r})\n"
        "    await cabinet.write('a', blocks())\n"
        "    async for _ in cabinet.read('a'): pass\n"
        "asyncio.run(main())\n"
    )
    ended = [subprocess.run([sys.executable, "-c", work], check=False).returncode for _ in range(6)]
    assert ended == [0] * 6
