"""Decisions a second of the pure rules, on one core, over the project's scenarios."""

import time
from collections.abc import Callable, Sequence
from statistics import median

from app.rules.adjudicate import judge
from app.rules.decision import decide, decision_document, decision_text
from app.rules.facts import Facts
from app.rules.policy import Policy
from benchmarks.plan import Plan, turns
from benchmarks.series import Series
from benchmarks.table import Table, compared, figure
from tests.rules.scenario import load_all

JUDGE = "judge: outcome, findings, liability, money"
DECIDE = "decide: and deadlines, next, would_change, facts' text"
WHOLE = "decision_text: and both languages, receipt, JSON"
AIM_US = 50.0

Judged = tuple[Facts, Policy]
Step = Callable[[Facts, Policy], object]


def measure(plan: Plan) -> Table:
    """Processor time of one decision in µs, by what is asked of it."""
    cases = [(scenario.facts, scenario.policy) for scenario in load_all()]
    found: dict[str, list[float]] = {name: [] for name in STEPS}
    for step in STEPS.values():  # fills caches, and makes the interpreter specialise
        _us_each(step, cases, 1)
    for _ in turns(plan.rounds, plan.longest):
        for name, step in STEPS.items():
            found[name].append(_us_each(step, cases, plan.sweeps))
    series = [Series(name, tuple(figures)) for name, figures in found.items()]
    return Table(
        title="Rules alone, one core · 规则本身",
        columns=("what is asked", "µs", "least–most", "ratio to judge", "least–most", "a second"),
        rows=tuple(
            (*row, figure(1e6 / each.spread.middle))
            for row, each in zip(compared(series, series[0]), series, strict=True)
        ),
        notes=(_against_the_aim(series[0]), _dearest(cases, plan.sweeps)),
    )


def _whole(facts: Facts, policy: Policy) -> str:
    return decision_text(decision_document(decide(facts, policy)))


STEPS: dict[str, Step] = {JUDGE: judge, DECIDE: decide, WHOLE: _whole}


def _us_each(step: Step, cases: Sequence[Judged], sweeps: int) -> float:
    """Processor time, not time on the wall: what else runs on the machine does not count."""
    started = time.process_time_ns()
    for _ in range(sweeps):
        for facts, policy in cases:
            step(facts, policy)
    return (time.process_time_ns() - started) / 1_000 / (sweeps * len(cases))


def _against_the_aim(judged: Series) -> str:
    verdict = "met" if judged.spread.middle < AIM_US else "missed"
    return f"Aim for judge: under {AIM_US:.0f} µs ({verdict})."


def _dearest(cases: Sequence[Judged], sweeps: int) -> str:
    """A mean hides the claim with a hundred payments, and the scenarios have none; so the dearest is told."""
    taken = [median(_us_each(_whole, [case], 1) for _ in range(max(sweeps, 3))) for case in cases]
    return f"{len(cases)} scenarios; the dearest whole decision takes {figure(max(taken))} µs."
