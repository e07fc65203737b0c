"""`./run check`: everything that can be said about the code without running it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from launcher.children import call
from launcher.places import Places


@dataclass(frozen=True, slots=True)
class Check:
    """A name to report under, and a program of the environment with its arguments."""

    name: str
    program: str
    arguments: tuple[str, ...]


# `run` has no suffix, so the tools that look for Python files must be told of it.
CHECKS = (
    Check("format", "ruff", ("format", "--check", ".", "run")),
    Check("lint", "ruff", ("check", ".", "run")),
    Check("types", "mypy", ()),
    Check("layers", "lint-imports", ()),
    Check("dependencies", "deptry", (".",)),
)


def run_checks(places: Places, environ: Mapping[str, str], checks: tuple[Check, ...] = CHECKS) -> list[str]:
    """Runs all, whatever the earlier ones found, printing a line for each and the findings of those that fail.

    The names of those that fail.
    """
    return [check.name for check in checks if not _passes(check, places, environ)]


def _passes(check: Check, places: Places, environ: Mapping[str, str]) -> bool:
    began_at = time.monotonic()
    done = call([places.venv / "bin" / check.program, *check.arguments], environ=environ, cwd=places.checkout)
    passed = done.returncode == 0
    print(f"{'ok  ' if passed else 'FAIL'}  {check.name:<13} {time.monotonic() - began_at:5.1f} s", flush=True)
    if not passed:
        print((done.stdout + done.stderr).strip(), flush=True)
    return passed
