"""Every benchmark runs, in the small, and prints what it should. No figure is asserted: that is for people to read."""

import re
import signal
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import emptied, filing, rules, webhooks
from benchmarks.__main__ import main
from benchmarks.plan import Plan, turns
from benchmarks.series import Series, Spread
from benchmarks.stage import Stage
from benchmarks.table import Table, figure
from benchmarks.wire import UnexpectedAnswer
from launcher.postgres import Server
from tests.live import CHECKOUT

TINY = Plan(rounds=1, longest=timedelta(0), sweeps=1, cases=8, judged=8, told=3, loads=1, loaded=24)
FIGURE = r"\d[\d,]*(?:\.\d+)?"
SPREAD = re.compile(f"({FIGURE})–({FIGURE})")


@pytest.fixture
def stage(postgres: Server, template_database: str, tmp_path: Path) -> Stage:
    """As a run of its own would have it, but on the tests' server."""
    return Stage(postgres, template_database, tmp_path)


def checked(table: Table) -> list[str]:
    """The names in the first column; every other cell is a figure above zero, and lies within its own extremes."""
    for row in table.rows:
        for middle, cell in pairwise(row):
            extremes = SPREAD.fullmatch(cell)
            if extremes is None:
                assert number(cell) > 0
            else:
                assert 0 < number(extremes[1]) <= number(middle) <= number(extremes[2])
    lines = list(table.lines())
    assert lines[0] == f"== {table.title}"
    assert len(lines) == 2 + len(table.rows) + len(table.notes)
    return [row[0] for row in table.rows]


def number(cell: str) -> float:
    """A figure of a table."""
    assert re.fullmatch(FIGURE, cell), cell
    return float(cell.replace(",", ""))


def test_rules_are_measured_over_all_scenarios() -> None:
    table = rules.measure(TINY)
    assert checked(table) == [rules.JUDGE, rules.DECIDE, rules.WHOLE]
    assert table.rows[0][3:5] == ("1.00", "1.00–1.00")
    assert re.search(r"^\d+ scenarios; the dearest", table.notes[1])


def test_filing_is_measured_beside_the_same_rows_without_the_service(stage: Stage) -> None:
    filed, delays, judged = filing.measure(stage, TINY)
    over_http = [filing.over_http(width) for width in (1, 8, 32)]
    without = [filing.AT_ONCE, filing.ONE_BY_ONE, filing.AS_THE_SERVICE, filing.NO_HTTP]
    assert checked(filed) == [*without, *over_http, filing.SENT_BEFORE]
    # The order, two payments and their versions, key, case, decision, four pieces of evidence, two refunds, four
    # events, and each of those on its way to the one endpoint.
    assert filed.notes[0].startswith("23 rows a case; 6 statements")
    assert checked(delays) == [f"{name}: p{percent}" for name in over_http for percent in (50, 99)]
    assert checked(judged) == [filing.EMPTY, filing.JUDGE]


def test_delivery_is_measured_beside_a_plain_client(stage: Stage) -> None:
    table = webhooks.measure(stage, TINY)
    assert checked(table) == [webhooks.KEPT, webhooks.CLOSED, webhooks.ONE, webhooks.SEVERAL]
    assert table.notes[0].startswith("12 events a round to each endpoint, of 3 cases")


def test_a_load_on_tables_analysed_while_empty_is_measured(stage: Stage) -> None:
    assert checked(emptied.measure(stage, TINY)) == [emptied.OVER_HTTP, emptied.WITH_SETTINGS, emptied.WITHOUT]


def test_another_answer_than_the_one_measured_stops_a_benchmark(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emptied, "FILED", 200)
    with pytest.raises(ExceptionGroup) as caught:
        emptied.measure(stage, TINY)
    assert caught.group_contains(UnexpectedAnswer, match="201 instead of 200")


def test_a_name_that_is_no_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rulse"])
    assert "rules, filing, webhooks, emptied" in capsys.readouterr().err


def test_the_command_prints_a_table_and_how_to_read_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "rules"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("== Rules alone")
    assert "Only ratios within one run mean anything" in done.stdout.splitlines()[-1]


def test_a_run_that_is_told_to_stop_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    run = subprocess.Popen(
        [sys.executable, "-u", "-m", "benchmarks", "--quick", "filing"],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    assert run.stdout is not None
    assert b"cores" in run.stdout.readline()  # the database runs
    run.send_signal(signal.SIGTERM)
    run.communicate()
    assert run.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_a_ratio_is_taken_round_by_round() -> None:
    quick, slow = Series("a", (10.0, 20.0, 60.0)), Series("b", (5.0, 20.0, 20.0))
    assert quick.spread == Spread(20.0, 10.0, 60.0)
    assert quick.ratio_to(slow) == Spread(2.0, 1.0, 3.0)


def test_turns_end_when_their_time_is_used_up() -> None:
    assert list(turns(3, timedelta(hours=1))) == [0, 1, 2]
    assert list(turns(3, timedelta(0))) == [0]


@pytest.mark.parametrize(
    ("ended_at", "ratio"),
    [
        ([float(n) for n in range(64)], 1.0),
        ([n**2 / 1.0 for n in range(64)], 0.3),
    ],
)
def test_a_load_that_slows_down_has_a_ratio_below_one(ended_at: list[float], ratio: float) -> None:
    assert emptied.last_against_first(ended_at) == pytest.approx(ratio, abs=0.05)


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.0123, "0.01")])
def test_figures_are_rounded_for_people(value: float, text: str) -> None:
    assert figure(value) == text
