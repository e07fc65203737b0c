"""B4: of the same request sixteen times at once one is executed, and all hear what came of it."""

import pytest

from tests.failures.keys import AT_ONCE, KEYS, race_keys
from tests.failures.operations import IN_USE
from tests.failures.size import seeds, sized

RED_SEEDS: tuple[int, ...] = ()
SAMPLE = 30


@pytest.mark.parametrize("seed", seeds(RED_SEEDS))
async def test_of_many_alike_one_is_executed(database_url: str, seed: int) -> None:
    keys = sized(SAMPLE, KEYS)
    report = await race_keys(database_url, keys, seed)
    assert not report.faults, str(report)
    assert report.counts["executed"] == keys
    assert report.counts["replayed"] + report.counts[f"409 {IN_USE}"] == keys * (AT_ONCE - 1)
