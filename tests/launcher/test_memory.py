"""Room in memory for what is thrown away: taken where there is enough, and rid of what killed launchers left."""

import fcntl
from pathlib import Path

import pytest

from launcher.memory import THROWAWAY, memory_folder

PLENTY = "MemTotal:       9000000 kB\nMemAvailable:    8000000 kB\n"


def _meminfo(folder: Path, said: str = PLENTY) -> Path:
    made = folder / "meminfo"
    made.write_text(said)
    return made


def _cluster(folder: Path, lock: str | None) -> Path:
    made = folder / f"{THROWAWAY}abc"
    (made / "cluster").mkdir(parents=True)
    if lock is not None:
        (made / "lock").write_text(lock)
    return made


def test_it_is_taken_where_there_is_room(tmp_path: Path) -> None:
    assert memory_folder(tmp_path, _meminfo(tmp_path)) == tmp_path


@pytest.mark.parametrize("said", ["MemAvailable:    1048575 kB\n", "MemTotal: 9000000 kB\n", ""])
def test_it_is_left_where_memory_is_short_or_cannot_be_told(tmp_path: Path, said: str) -> None:
    assert memory_folder(tmp_path, _meminfo(tmp_path, said)) is None


def test_it_is_left_where_nobody_tells_of_the_memory(tmp_path: Path) -> None:
    assert memory_folder(tmp_path, tmp_path / "absent") is None


def test_there_need_not_be_any(tmp_path: Path) -> None:
    assert memory_folder(tmp_path / "absent", _meminfo(tmp_path)) is None


def test_what_a_killed_launcher_left_goes(tmp_path: Path) -> None:
    left = _cluster(tmp_path, "4711")
    memory_folder(tmp_path, _meminfo(tmp_path))
    assert not left.exists()


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    used = _cluster(tmp_path, "4711")
    with (used / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        memory_folder(tmp_path, _meminfo(tmp_path))
    assert (used / "cluster").exists()


@pytest.mark.parametrize("lock", [None, ""])
def test_what_is_being_made_stays(tmp_path: Path, lock: str | None) -> None:
    made = _cluster(tmp_path, lock)
    memory_folder(tmp_path, _meminfo(tmp_path))
    assert (made / "cluster").exists()


def test_other_folders_stay(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "lock").write_text("4711")
    memory_folder(tmp_path, _meminfo(tmp_path))
    assert other.exists()
