"""Processor time of other processes, from /proc: unlike a rate, it hardly depends on what else the machine does."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def seconds_of(pid: int) -> float:
    """User and system time that a process has used itself (proc(5), fields 14 and 15 of stat)."""
    return _seconds(_stat(pid)[11:13])


def seconds_of_server(backend: int) -> float:
    """The same of a Postgres server with all its processes, by the id of any of them.

    Those that have ended are counted with their parent (fields 16 and 17).
    """
    server = int(_stat(backend)[1])
    return _seconds(_stat(server)[11:15]) + sum(map(_seconds_if_alive, _children(server)))


def _seconds(ticks: Sequence[str]) -> float:
    return sum(map(int, ticks)) / _TICKS_A_SECOND


def _seconds_if_alive(pid: int) -> float:
    try:
        return seconds_of(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _children(parent: int) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _parent_of(int(folder.name)) == parent:
            yield int(folder.name)


def _parent_of(pid: int) -> int | None:
    try:
        return int(_stat(pid)[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _stat(pid: int) -> list[str]:
    """From the third field on: the second is a name in brackets that may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
