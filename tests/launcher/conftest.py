"""Folders and processes for the launcher's tests."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.places import CHECKOUT
from tests.launcher.waiting import alive, eventually

_HOLDER = textwrap.dedent(
    """
    import json, os, sys
    from pathlib import Path
    from launcher.postgres import started

    folder, uid, binaries = sys.argv[1:]
    if uid:
        os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
    environ = {**os.environ, **({"PG_BIN": binaries} if binaries else {})}
    with started(Path(folder), throwaway=False, environ=environ) as (server, child):
        print(json.dumps({"url": server.admin_url("kmr"), "pid": child.process.pid}), flush=True)
        sys.stdin.read()
    """
)


@dataclass(frozen=True, slots=True)
class Holder:
    """A launcher in a process of its own, holding a server; `postmaster` is the server's pid."""

    process: subprocess.Popen[str]
    url: str
    postmaster: int


Hold = Callable[..., Holder]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user may pass through, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="kmr-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Starts holders, and ends those that are left."""
    holders: list[Holder] = []

    def start(folder: Path, uid: int | None = None, binaries: Path | None = None) -> Holder:
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(folder), str(uid or ""), str(binaries or "")],
            cwd=CHECKOUT,
            env=dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        holders.append(Holder(process, said["url"], said["pid"]))
        return holders[-1]

    yield start
    for holder in holders:
        holder.process.kill()
        holder.process.communicate()
    assert eventually(lambda: not any(alive(holder.postmaster) for holder in holders))
