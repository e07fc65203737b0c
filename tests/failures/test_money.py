"""B5: however many want the same money at once, no more goes back than was paid, and the parts add up."""

import pytest

from tests.failures.money import AT_ONCE, ORDERS, race_money
from tests.failures.size import seeds, sized

RED_SEEDS: tuple[int, ...] = ()
SAMPLE = 40


@pytest.mark.parametrize("seed", seeds(RED_SEEDS))
async def test_no_more_goes_back_than_was_paid(database_url: str, seed: int) -> None:
    orders = sized(SAMPLE, ORDERS)
    report = await race_money(database_url, orders, seed)
    assert not report.faults, str(report)
    counts = report.counts
    assert sum(number for what, number in counts.items() if ": " in what) == orders * AT_ONCE
    # It was a race: of each kind some came first and some too late.
    for first, late in FIRST_AND_LATE:
        assert min(counts[first], counts[late]) > 0, str(report)
    assert 0 < counts["fen promised"] <= counts["fen paid"]
    assert counts["looks"] > 10


FIRST_AND_LATE = (
    ("a claim: approved", "a claim: rejected"),
    ("a ruling: approved", "a ruling: 409 nothing_to_grant"),
    ("a record: stored", "a record: 409 payment_below_refunds"),
)
