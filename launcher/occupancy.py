"""One cluster, one launcher: who uses it now, and what a killed one left behind."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from launcher.refusals import LaunchRefused

# A killed launcher's Postgres stops at once; this allows for a slow disk.
_LEAVING = timedelta(seconds=15)


@contextmanager
def sole_use(home: Path) -> Iterator[None]:
    """Holds the cluster for one launcher. The kernel releases the lock with the process, so it is never stale."""
    with (home / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(home, _holder(home)) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def clear_remains(cluster: Path, patience: timedelta = _LEAVING) -> None:
    """Waits for the processes of a killed launcher's server to end, then removes its pid file.

    Postgres would take a pid file for a living server's as soon as some other process has got the same number. The file
    may go only when no process of that server is left: two servers in one cluster destroy it.
    """
    give_up = time.monotonic() + patience.total_seconds()
    while remaining := processes_in(cluster):
        if time.monotonic() > give_up:
            raise _in_use(cluster, ", ".join(map(str, remaining)))
        time.sleep(0.05)
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def processes_in(cluster: Path) -> list[int]:
    """Every process whose working folder is the cluster: Postgres and all its children go there first."""
    return [int(cwd.parent.name) for cwd in Path("/proc").glob("[0-9]*/cwd") if _leads_to(cwd, cluster)]


def _leads_to(link: Path, folder: Path) -> bool:
    try:
        return link.readlink() == folder
    except OSError:  # it has ended, or belongs to another user
        return False


def _holder(home: Path) -> str:
    return (home / "lock").read_text() or "?"


def _in_use(place: Path, pids: str) -> LaunchRefused:
    return LaunchRefused(
        f"The database in {place} is in use by a copy that is running (process {pids}). "
        "Stop that one, or give this one its own folder and port: KMR_DATA_DIR=/tmp/second PORT=8001 ./run serve",
        f"数据库 {place} 正被另一个实例使用（进程 {pids}）。请先停止它，"
        "或另设文件夹和端口：KMR_DATA_DIR=/tmp/second PORT=8001 ./run serve",
    )
