"""How much is measured: fixed counts, in rounds, until the time for it is used up."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` of everything, fewer where `longest` (for one benchmark) has passed; the rest is counts for one round.

    `sweeps` over the scenarios; `cases` filed by each way; `judged` requests for a judgement; `told` cases whose events
    are delivered; `loaded` cases on tables that were analysed while empty, in `loads` databases.
    """

    rounds: int
    longest: timedelta
    sweeps: int
    cases: int
    judged: int
    told: int
    loads: int
    loaded: int

    @property
    def small(self) -> "Plan":
        """A quarter of the counts, to warm up with."""
        return replace(self, cases=max(8, self.cases // 4), judged=max(8, self.judged // 4))


FULL = Plan(
    rounds=7, longest=timedelta(seconds=40), sweeps=6, cases=240, judged=400, told=120, loads=2, loaded=1600
)  # fmt: skip
QUICK = Plan(rounds=2, longest=timedelta(seconds=4), sweeps=1, cases=32, judged=64, told=24, loads=1, loaded=160)


def turns(count: int, longest: timedelta) -> Iterator[int]:
    """Counts from 0, at least once, and ends early rather than begin another turn after `longest`."""
    give_up = time.monotonic() + longest.total_seconds()
    for turn in range(count):
        if turn and time.monotonic() > give_up:
            return
        yield turn
