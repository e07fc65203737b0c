"""Waiting for what other processes do, in bounded time."""

import time
from collections.abc import Callable
from pathlib import Path


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether it came to hold within the time; asked often, so that a test takes no longer than it must."""
    give_up = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether this process still runs; one that has ended and was not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def descendants(pid: int) -> set[int]:
    """All processes that this one started, and those that they started."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    children = {int(child) for file in listed for child in _read(file).split()}
    return children.union(*(descendants(child) for child in children))


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
