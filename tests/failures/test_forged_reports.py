"""B10: reports that are forged or odd move nothing and end in no failure; with a mistake planted they are seen to."""

import pytest

from tests.failures.forged import SPOILT, forge_reports, see
from tests.failures.forged_faults import FAULTS
from tests.failures.forged_forms import AGAINST, FORMS, STATES
from tests.failures.size import seeds, sized

RED_SEEDS: tuple[int, ...] = ()
# The states in which these mistakes show; all others do before anybody has said anything.
SHOWS = {"nothing is final": "succeeded", "the channel's number is not compared": "processing"}


def test_there_are_more_forms_than_promised() -> None:
    assert len(FORMS) >= 80
    assert set(STATES) >= {"requested", "succeeded", "closed"}
    assert all(AGAINST[state] for state in STATES if state != "requested")


@pytest.mark.parametrize("seed", seeds(RED_SEEDS))
async def test_whatever_is_forged_moves_nothing(database_url: str, seed: int) -> None:
    report = await forge_reports(database_url, sized(SPOILT, 25 * SPOILT), seed)
    assert not report.faults, str(report)
    assert sum(report.counts.values()) >= len(STATES) * len(FORMS)


async def test_every_planted_mistake_is_seen(database_url: str) -> None:
    seen = await see(database_url, {mistake: SHOWS.get(mistake, "requested") for mistake in FAULTS})
    assert [mistake for mistake, first in seen.items() if first is None] == []
    moved = {mistake for mistake, first in seen.items() if first is not None and "moved something" in first}
    assert set(seen) - moved == {"a contradiction is not foreseen", "a refusal is no problem document"}
