"""Faults that are planted one by one, each of which its harness has to notice; else the harness proves nothing.

    python -m tests.failures.sabotage          all of them, with what each harness saw first
    python -m tests.failures.sabotage WORD…    those whose names have one of the words

Ends with 1 if one of them goes unnoticed, or a harness goes red with none of them.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from launcher.postgres import running
from tests.failures.commits import lose_commits
from tests.failures.database import fresh
from tests.failures.faults import FAULTS
from tests.failures.keys import race_keys
from tests.failures.money import race_money
from tests.failures.report import Report
from tests.failures.serving import Refused

SEED: Final = 1
NOTHING: Final = "nothing at all"  # where every harness has to stay green


class Harness(Protocol):
    """One of the three, with a fault planted in the service that it tries."""

    def __call__(self, database_url: str, size: int, seed: int, /, *, fault: str | None) -> Awaitable[Report]: ...


# As much as it takes to see each of the faults every time.
HARNESSES: Final[Mapping[str, tuple[Harness, int]]] = {
    "commits": (lose_commits, 20),
    "keys": (race_keys, 12),
    "money": (race_money, 30),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault before one harness; `size`: how much of it."""

    name: str
    harness: str
    size: int

    @property
    def fault(self) -> str | None:
        """None: the service is as it is."""
        return None if self.name == NOTHING else self.name


def trials(words: Sequence[str] = ()) -> list[Trial]:
    """All of them, or those named by the words."""
    healthy = [Trial(NOTHING, harness, size) for harness, (_, size) in HARNESSES.items()]
    planted = [Trial(name, fault.seen_by, HARNESSES[fault.seen_by][1]) for name, fault in FAULTS.items()]
    return [trial for trial in (*healthy, *planted) if not words or any(word in trial.name for word in words)]


async def seen(trial: Trial, database_url: str) -> list[str]:
    """What the harness finds wrong. A service that does not even start raises: nothing is proved by that."""
    harness, _ = HARNESSES[trial.harness]
    refused: list[str] = []
    try:
        return (await harness(database_url, trial.size, SEED, fault=trial.fault)).faults
    except* Refused as group:
        refused.append(f"does not come to its end: {group.exceptions[0]}")
    return refused


def run(words: Sequence[str], say: Callable[[str], object]) -> bool:
    """Whether all of the faults, or those named by the words, are noticed."""
    noticed = {}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "postgres", throwaway=True) as server:
        for trial in trials(words):
            with fresh(server) as url:
                faults = asyncio.run(seen(trial, url))
            noticed[trial] = bool(faults)
            first = faults[0].splitlines()[0][:150] if faults else "-"
            say(f"{len(faults) or 'green':>5}  {trial.harness:<8} {trial.name}\n       {first}\n")
    return all(found is (trial.name != NOTHING) for trial, found in noticed.items())


if __name__ == "__main__":
    sys.exit(not run(sys.argv[1:], lambda line: (sys.stdout.write(line), sys.stdout.flush())))
