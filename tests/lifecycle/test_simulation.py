"""The rules and the table by themselves: every life comes to its end, whatever happens on the way."""

import os

from app.rules.lifecycle import CaseStatus
from app.rules.settlement import ReportVerdict
from tests.lifecycle.simulation import ENDS, simulate

SEEDS, EVENTS = (10_000, 100) if os.environ.get("KMR_LONG") else (300, 60)


def test_whatever_happens_every_case_ends_as_it_may() -> None:
    seen = simulate(range(SEEDS), EVENTS)
    assert sum(seen[f"ended {status}"] for status in ENDS) == SEEDS + seen["filed again"]
    # It saw something of everything.
    statuses = set(CaseStatus) - {CaseStatus.FILED}
    assert all(seen[status] for status in statuses), seen
    assert all(seen[what] for what in ("lost", "doubled", "late", "over wait", "over merchant_turn", "over review"))
    reported = [f"report {verdict.value}" for verdict in ReportVerdict]
    money = (
        "report lost",
        "report doubled",
        "out of order",
        "instruction lost",
        "nonsense",
        "retried",
        "replaced",
        "given up",
    )
    assert all(seen[what] for what in (*reported, *money)), seen
