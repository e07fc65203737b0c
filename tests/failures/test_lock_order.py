"""Locks are taken in one order, so that nobody ever waits for somebody who waits for him."""

from typing import Any

import httpx
import pytest

from tests.failures.crowd import WHOLE, crowd
from tests.failures.market import deadlocks, open_market
from tests.failures.meetings import MEETINGS, meet
from tests.failures.report import Report
from tests.failures.size import seeds, sized

RED_SEEDS: tuple[int, ...] = ()
SAMPLE = 120
# Without all of these it was no crowd.
HAPPENED = ("looks at several waiting", "timers fired", "refunds found", "keys purged")
TAKEN = (
    ("file", "file_anew", "file_by_reference", "file_without_order"),
    ("import_some", "put_one"),
    ("take_a_step", "send_a_file", "report", "repair", "state_a_deposit"),
)


def fine(answer: Any) -> bool:
    """Whatever came of it, it went through."""
    return not isinstance(answer, httpx.Response) or answer.is_success


@pytest.mark.parametrize("name", MEETINGS)
async def test_whoever_is_second_waits_and_goes_on(database_url: str, name: str) -> None:
    async with open_market(database_url) as market:
        answers = await meet(market, await MEETINGS[name](market))
    flat = [each for some in answers for each in (some if isinstance(some, list | tuple) else [some])]
    assert all(map(fine, flat)), [answer.text for answer in flat if not fine(answer)]
    assert market.victims == []
    assert await deadlocks(database_url) == 0


@pytest.mark.parametrize("seed", seeds(RED_SEEDS))
async def test_a_crowd_never_comes_to_a_standstill(database_url: str, seed: int) -> None:
    report = await crowd(database_url, sized(SAMPLE, WHOLE), seed)
    assert not report.faults, str(report)
    assert report.counts["deadlocks"] == 0
    missing = [what for what in HAPPENED if not report.counts[what]]
    assert not missing, str(report)
    assert all(any(taken(report, wish) for wish in wishes) for wishes in TAKEN), str(report)


def taken(report: Report, wish: str) -> int:
    """How often it took effect."""
    return report.counts[f"{wish}: 200"] + report.counts[f"{wish}: 201"]
