"""Room in memory for databases that are thrown away: copying one there costs a tenth of what it costs on a disk."""

import fcntl
import os
import shutil
from pathlib import Path

THROWAWAY = "kmr-postgres-"

_SHARED_MEMORY = Path("/dev/shm")
_MEMINFO = Path("/proc/meminfo")
# A cluster with a few clones takes 200 MB, and there may be one for each process of the tests. A container's
# /dev/shm has 64 MB as a rule, and is no place for one.
_ROOM = 1 << 30


def memory_folder(folder: Path = _SHARED_MEMORY, meminfo: Path = _MEMINFO) -> Path | None:
    """`folder`, rid of what killed launchers left in it; None where it cannot be had, or a GiB is not to spare."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return None
    for left in folder.glob(f"{THROWAWAY}*"):
        _sweep(left)
    return folder if min(shutil.disk_usage(folder).free, _available(meminfo)) >= _ROOM else None


def _sweep(home: Path) -> None:
    """Removes a cluster whose launcher is gone: it wrote its number under a lock that the kernel has released since."""
    try:
        with (home / "lock").open() as lock:
            # One without a number is being made: to try its lock would be to take it from its owner.
            if lock.read():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(home, ignore_errors=True)
    except OSError:  # in use, not that far yet, or somebody else's
        return


def _available(meminfo: Path) -> int:
    """What programs can still be given without swapping, in bytes; 0 where that cannot be told."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
