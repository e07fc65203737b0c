"""What a run of a harness found, and how one is run by hand."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Final, TypeAlias

from tests.failures.database import throwaway_database

MOST_SHOWN: Final = 20


@dataclass(slots=True)
class Report:
    """What happened, counted, and what should not have happened: that there is none of it is what counts."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counted = "; ".join(f"{name}: {number}" for name, number in sorted(self.counts.items()))
        said = f"seed {self.seed}; {counted}; faults: {len(self.faults)}"
        return "\n".join([said, *self.faults[:MOST_SHOWN]])


Harness: TypeAlias = Callable[[str, int, int], Awaitable[Report]]


def main(harness: Harness, size: int) -> None:
    """`SIZE SEED` from the command line; prints the report and ends with 1 if there are faults."""
    given = [int(word) for word in sys.argv[1:]]
    size, seed = (*given, *(size, SystemRandom().randrange(10**6))[len(given) :])
    with throwaway_database() as url:
        report = asyncio.run(_run(harness, url, size, seed))
    sys.stdout.write(f"{report}\n")
    sys.exit(bool(report.faults))


async def _run(harness: Harness, url: str, size: int, seed: int) -> Report:
    return await harness(url, size, seed)
