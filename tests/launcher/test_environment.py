"""The environment: made once, mended when an install was cut short, made anew when the lock changes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.environment import Level, ensure_environment
from launcher.places import CHECKOUT, Places
from launcher.refusals import LaunchRefused

# No uv: what every machine has is what is tried.
ENVIRON = {name: value for name, value in os.environ.items() if name != "PATH"} | {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def here(tmp_path: Path) -> Places:
    """A checkout whose locks ask for nothing, so that nothing is fetched."""
    (tmp_path / "requirements").mkdir()
    _lock(tmp_path, "# nothing\n")
    return Places(tmp_path, tmp_path / ".data")


def _lock(checkout: Path, content: str) -> None:
    for level in Level:
        (checkout / "requirements" / f"{level}.txt").write_text(content)


def _mark(here: Places) -> Path:
    """A file that is gone when the environment was made anew."""
    mark = here.venv / "mark"
    mark.touch()
    return mark


def test_it_is_made_once_and_serves_both_levels_if_it_is_the_larger(here: Places) -> None:
    python = ensure_environment(here, Level.DEV, ENVIRON)
    assert subprocess.run([python, "-c", "import pip"], check=False).returncode == 0
    stamps = sorted(path.name for path in here.venv.glob(".*"))
    for level in Level:
        assert ensure_environment(here, level, ENVIRON) == python
    assert sorted(path.name for path in here.venv.glob(".*")) == stamps == [".locked-dev"]


def test_the_smaller_one_does_not_serve_the_larger_level(here: Places) -> None:
    ensure_environment(here, Level.LOCAL, ENVIRON)
    mark = _mark(here)
    ensure_environment(here, Level.DEV, ENVIRON)
    assert mark.exists()
    assert (here.venv / ".locked-dev").exists()


def test_an_install_that_was_cut_short_is_begun_anew(here: Places) -> None:
    ensure_environment(here, Level.LOCAL, ENVIRON)
    mark = _mark(here)
    (here.venv / ".locked-local").unlink()
    (here.venv / ".installing").touch()
    ensure_environment(here, Level.LOCAL, ENVIRON)
    assert not mark.exists()
    assert not (here.venv / ".installing").exists()


def test_an_interpreter_that_has_gone_is_replaced(here: Places) -> None:
    ensure_environment(here, Level.LOCAL, ENVIRON)
    here.python.unlink()
    here.python.symlink_to("/nowhere/python3")
    assert subprocess.run([ensure_environment(here, Level.LOCAL, ENVIRON), "--version"], check=False).returncode == 0


def test_a_changed_lock_is_installed_and_one_without_hashes_refused(here: Places) -> None:
    ensure_environment(here, Level.LOCAL, ENVIRON)
    _lock(here.checkout, "fastapi==0.165.0\n")
    for _ in range(2):
        with pytest.raises(LaunchRefused, match=r"(?s)pip install.*hash"):
            ensure_environment(here, Level.LOCAL, ENVIRON)


def test_a_python_without_ensurepip_is_told_what_to_install(here: Places) -> None:
    script = (
        "import os, sys; sys.modules['ensurepip'] = None\n"
        "from pathlib import Path\n"
        "from launcher.environment import *\n"
        "ensure_environment(Places(Path(sys.argv[1]), Path(sys.argv[1])), Level.LOCAL, {'PATH': '/usr/bin:/bin'})\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, here.checkout], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in told.stderr
