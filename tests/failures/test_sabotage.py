"""The harnesses see what they are for. All faults: `python -m tests.failures.sabotage`; here, one for each harness."""

import pytest

from tests.failures.faults import FAULTS
from tests.failures.sabotage import HARNESSES, Trial, seen

SAMPLE = {
    "commits": ("a lost connection is answered 500", 3),
    "keys": ("each process has keys of its own", 4),
    "money": ("a promise is not reserved", 10),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_planted_where_something_grows(name: str) -> None:
    fault = FAULTS[name]
    assert fault.seen_by in HARNESSES
    assert fault.plants or fault.statements
    for where, planted, value in fault.plants:
        assert getattr(where, planted) is not value


@pytest.mark.parametrize("harness", HARNESSES)
async def test_a_planted_fault_is_seen(database_url: str, harness: str) -> None:
    name, size = SAMPLE[harness]
    assert await seen(Trial(name, harness, size), database_url)
