"""An archive is written while it is sent: readable by others, the same every time, and never held whole."""

import io
import tracemalloc
import zipfile
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import run

import pytest

from app.files.archive import Differs, Entry, entry_of, length_of, zipped
from app.rules.calendar import SHANGHAI

AT = datetime(2026, 3, 10, 12, 30, 44, tzinfo=SHANGHAI)
MIB = 1024 * 1024
BLOCK = 256 * 1024


async def bytes_of(entries: Sequence[Entry], at: datetime = AT) -> bytes:
    return b"".join([block async for block in zipped(entries, at)])


async def send(entries: Sequence[Entry], sent: bytearray) -> None:
    async for block in zipped(entries, AT):
        sent += block


def is_sound(path: Path) -> bool:
    """Whether another program finds nothing wrong with it."""
    return run(["unzip", "-tq", path], capture_output=True, check=False).returncode == 0


def streamed(path: str, blocks: int, size: int | None = None) -> Entry:
    """A file that is made while it is read."""

    async def content() -> AsyncGenerator[bytes, None]:
        for number in range(blocks):
            yield bytes([number % 256]) * BLOCK

    return Entry(path, blocks * BLOCK if size is None else size, content)


ENTRIES = [entry_of("案件/封面.html", "退款".encode()), entry_of("案件/plain.txt", b""), streamed("案件/录屏.mp4", 9)]


async def test_other_programs_read_it(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(await bytes_of(ENTRIES))
    assert is_sound(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [entry.path for entry in ENTRIES]
        assert archive.read("案件/封面.html").decode() == "退款"
        assert archive.read("案件/录屏.mp4")[BLOCK : BLOCK + 2] == b"\x01\x01"
        assert all(each.compress_type == zipfile.ZIP_STORED for each in archive.infolist())
        assert all(each.flag_bits & 0x800 for each in archive.infolist()), "names are said to be UTF-8"
        assert {each.date_time for each in archive.infolist()} == {(2026, 3, 10, 12, 30, 44)}
        assert {each.external_attr >> 16 for each in archive.infolist()} == {0o100644}


async def test_the_bytes_depend_on_the_entries_and_the_moment_alone() -> None:
    first = await bytes_of(ENTRIES)
    assert await bytes_of(ENTRIES) == first
    assert await bytes_of(ENTRIES, AT + timedelta(seconds=2)) != first
    assert await bytes_of(ENTRIES[::-1]) != first


async def test_its_length_is_known_before_it_is_made() -> None:
    assert length_of(ENTRIES) == len(await bytes_of(ENTRIES))
    assert length_of([]) == len(await bytes_of([]))
    assert length_of([*ENTRIES, streamed("x", 0, size=2_000_000_000)]) is None


async def test_an_archive_of_200_mib_is_never_held() -> None:
    entries = [streamed(f"案件/{n}.mp4", 400) for n in range(2)]
    tracemalloc.start()
    sent = 0
    async for block in zipped(entries, AT):
        sent += len(block)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent == length_of(entries)
    assert sent > 200 * MIB
    assert peak < 4 * MIB


@pytest.mark.parametrize("announced", [BLOCK - 1, BLOCK + 1])
async def test_a_file_of_another_length_breaks_the_archive_off(announced: int) -> None:
    sent = bytearray()
    with pytest.raises(Differs):
        await send([streamed("a", 1, size=announced), ENTRIES[0]], sent)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(sent))


async def test_what_a_file_raises_breaks_the_archive_off_and_closes_the_file() -> None:
    closed = []

    async def content() -> AsyncGenerator[bytes, None]:
        try:
            yield b"half"
            raise FileNotFoundError
        finally:
            closed.append(True)

    sent = bytearray()
    with pytest.raises(FileNotFoundError):
        await send([Entry("a", 8, content)], sent)
    assert closed == [True]
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(sent))


async def test_a_reader_that_goes_away_closes_the_file_that_was_being_read() -> None:
    closed = []

    async def content() -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(9):
                yield b"more"
        finally:
            closed.append(True)

    sending = zipped([Entry("a", 36, content)], AT)
    await anext(sending)
    await sending.aclose()
    assert closed == [True]
