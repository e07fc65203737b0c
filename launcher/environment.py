"""The project's environment: `.venv` with exactly the locked requirements, made once and then only checked."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from launcher.children import call
from launcher.places import Places
from launcher.refusals import LaunchRefused


class Level(StrEnum):
    """Which lock file; the second contains the first."""

    LOCAL = "local"
    DEV = "dev"


def ensure_environment(places: Places, level: Level, environ: Mapping[str, str]) -> Path:
    """The environment's interpreter, with everything that `level` locks: about 20 s once, then nothing."""
    with _one_at_a_time(places.checkout):
        if not _satisfied(places, level):
            _install(places, level, environ)
    return places.python


@contextmanager
def _one_at_a_time(checkout: Path) -> Iterator[None]:
    """Two starts in one checkout: the second waits, and finds the work done. The folder itself is the lock."""
    handle = os.open(checkout, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _satisfied(places: Places, level: Level) -> bool:
    sufficient = list(Level)[list(Level).index(level) :]
    return places.python.exists() and any(_stamp(places, each) == _wanted(places, each) for each in sufficient)


def _install(places: Places, level: Level, environ: Mapping[str, str]) -> None:
    print(f"Preparing .venv from requirements/{level}.txt (once) … 正在准备运行环境（只需一次）…", flush=True)
    unfinished = places.venv / ".installing"
    clean = _quiet(environ)
    uv = shutil.which("uv", path=environ.get("PATH"))
    # What an interrupted install left half written looks complete to pip: begin again.
    if unfinished.exists() or not places.python.exists():
        shutil.rmtree(places.venv, ignore_errors=True)
        places.venv.mkdir()
        unfinished.touch()
        _make(places, clean, with_pip=uv is None)
    unfinished.touch()
    _fill(places, level, clean, uv)
    _stamp_file(places, level).write_text(_wanted(places, level))
    unfinished.unlink()


def _make(places: Places, environ: Mapping[str, str], *, with_pip: bool) -> None:
    if with_pip:
        _refuse_without_ensurepip()
    options = [] if with_pip else ["--without-pip"]
    _must([sys.executable, "-m", "venv", *options, str(places.venv)], places, environ)


def _fill(places: Places, level: Level, environ: Mapping[str, str], uv: str | None) -> None:
    lock = ["--require-hashes", "-r", str(places.checkout / "requirements" / f"{level}.txt")]
    if uv is not None:
        _must([uv, "pip", "install", "--quiet", "--python", str(places.python), *lock], places, environ)
        return
    if not any(places.venv.glob("lib/python*/site-packages/pip")):  # made by a tool that leaves pip out
        _refuse_without_ensurepip()
        _must([str(places.python), "-m", "ensurepip"], places, environ)
    # The lock holds every dependency, so pip need not look for any.
    _must([str(places.python), "-m", "pip", "install", "--quiet", "--no-deps", *lock], places, environ)


def _must(argv: list[str], places: Places, environ: Mapping[str, str]) -> None:
    done = call(argv, environ=environ, cwd=places.checkout)
    if done.returncode != 0:
        command = " ".join(argv)
        raise LaunchRefused(
            f"`{command}` failed:\n{(done.stdout + done.stderr).strip()[-3000:]}\n"
            "The environment needs the package index once; start again when it can be reached.",
            "安装依赖失败：首次启动需要访问软件包索引，恢复后请重新启动。",
        )


def _refuse_without_ensurepip() -> None:
    """Debian and Ubuntu ship Python without it."""
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise LaunchRefused(
            f"This Python cannot make environments. On Debian or Ubuntu: apt-get install python{version}-venv "
            "(or put uv on PATH).",
            f"当前 Python 无法创建虚拟环境。Debian/Ubuntu 请执行：apt-get install python{version}-venv（或安装 uv）。",
        )


def _quiet(environ: Mapping[str, str]) -> dict[str, str]:
    """An activated environment or a PYTHONHOME of the caller's must not redirect what is meant for ours."""
    ignored = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"}
    return {name: value for name, value in environ.items() if name not in ignored} | {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }


def _stamp_file(places: Places, level: Level) -> Path:
    return places.venv / f".locked-{level}"


def _stamp(places: Places, level: Level) -> str | None:
    try:
        return _stamp_file(places, level).read_text()
    except FileNotFoundError:
        return None


def _wanted(places: Places, level: Level) -> str:
    return hashlib.sha256((places.checkout / "requirements" / f"{level}.txt").read_bytes()).hexdigest()
