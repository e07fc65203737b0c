"""Scenarios: a dull claim, one difference, and what the decision must say. Also run by hand:

    python -m tests.rules.scenario PATH…

judges the files (all of the project's own where none is named), prints what differs, and ends with 1 if anything does.

A file holds a `base` (the body of `POST /v1/adjudications`), a list of `scenarios`, and perhaps `parts`, a place for
YAML anchors. A scenario's `with` is laid over the base: objects merge key by key, anything else replaces.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.rules.decision import decide, decision_document
from app.rules.facts import Facts
from app.rules.policy import Policy
from app.rules.presets import PRESETS

FOLDER = Path(__file__).parent / "scenarios"
_FACTS = TypeAdapter(Facts)

Body = dict[str, Any]
Document = Mapping[str, Any]


class Expectation(BaseModel):
    """What must come back; a key that is left out is not looked at.

    `until` is the instant of the one deadline that carries the decisive rule, `expected_by` that of the first
    allocation; `findings` and `absent` name rules, `discounted` the reasons in the order of the evidence, `next` the
    actions, and `deadlines` every deadline that is set, by name. `amount` None: no money.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    outcome: str
    decisive_rule: str
    amount: int | None = None
    liability: str | None = None
    funding: str | None = None
    missing: list[str] | None = None
    suggested_reason: str | None = None
    expected_by: str | None = None
    until: str | None = None
    findings: list[str] | None = None
    absent: list[str] | None = None
    discounted: list[str] | None = None
    next: list[str] | None = None
    deadlines: dict[str, str] | None = None


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    title: str = ""
    source: str
    clause: list[str] = []
    difference: Body = Field(alias="with")
    expect: Expectation


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    parts: Any = None
    base: Body
    scenarios: list[_Written]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario whole: `body` is what is sent; `clauses` names the clauses of presets that it shows."""

    id: str
    title: str
    source: str
    clauses: tuple[str, ...]
    body: Body
    expect: Expectation

    @property
    def policy(self) -> Policy:
        """The preset that the body names."""
        return PRESETS[self.body["policy"]]

    @property
    def facts(self) -> Facts:
        """The body's facts."""
        return facts_of(self.body)


def load(path: Path) -> list[Scenario]:
    """The scenarios of one file. Raises pydantic's ValidationError for a key that nobody knows."""
    written = _File.model_validate(yaml.safe_load(path.read_text("utf-8")))
    return [_scenario(each, written.base) for each in written.scenarios]


def _scenario(each: _Written, base: Body) -> Scenario:
    body = laid_over(base, each.difference)
    return Scenario(each.id, each.title, each.source, tuple(each.clause), body, each.expect)


@cache
def load_all() -> tuple[Scenario, ...]:
    """The project's own scenarios, file by file; read once."""
    return tuple(scenario for path in sorted(FOLDER.glob("*.yaml")) for scenario in load(path))


def laid_over(base: Any, difference: Any) -> Any:
    """Objects merge key by key, anything else replaces."""
    if not (isinstance(base, dict) and isinstance(difference, dict)):
        return difference
    merged = {key: laid_over(base[key], value) if key in base else value for key, value in difference.items()}
    return {**base, **merged}


def facts_of(body: Body) -> Facts:
    """The facts of a body; keys that facts do not have, and values of another type, are refused."""
    facts = {key: value for key, value in body.items() if key != "policy"}
    return _FACTS.validate_json(json.dumps(facts), strict=True, extra="forbid")


def judged(scenario: Scenario) -> dict[str, Any]:
    """The decision's document."""
    return decision_document(decide(scenario.facts, scenario.policy))


def differences(expect: Expectation, document: Document) -> list[str]:
    """Where a decision's document is not as expected, one line each."""
    found = dict(_seen(document))
    wanted = expect.model_dump(exclude_unset=True)
    lines = [
        f"{key}: expected {value!r}, found {found[key]!r}"
        for key, value in wanted.items()
        if key not in {"findings", "absent"} and found[key] != value
    ]
    rules = {finding["rule"] for finding in document["findings"]}
    lines += [f"findings: {rule} is not among them" for rule in wanted.get("findings", ()) if rule not in rules]
    lines += [f"absent: {rule} is among the findings" for rule in wanted.get("absent", ()) if rule in rules]
    return lines


def _seen(document: Document) -> Iterator[tuple[str, Any]]:
    refund = document["refund"]
    yield "outcome", document["outcome"]
    yield "decisive_rule", document["decisive_rule"]
    yield "liability", document["liability"]
    yield "amount", None if refund is None else refund["amount"]
    yield "funding", None if refund is None else refund["funding"]
    yield "expected_by", None if refund is None else refund["allocations"][0]["expected_by"]
    yield "missing", document["evidence"]["missing"]
    yield "suggested_reason", document["suggested_reason"]
    yield "until", _only([each["at"] for each in document["deadlines"] if each["rule"] == document["decisive_rule"]])
    yield "discounted", [each["reason"] for each in document["evidence"]["discounted"]]
    yield "next", [each["action"] for each in document["next"]]
    yield "deadlines", {each["name"]: each["at"] for each in document["deadlines"]}


def _only(instants: list[str]) -> str | list[str] | None:
    """The one deadline of the decisive rule; more than one is a fault, and shown as such."""
    return instants if len(instants) > 1 else next(iter(instants), None)


def run(paths: Iterable[Path]) -> Iterator[str]:
    """A line for each difference."""
    for path in paths:
        for scenario in load(path):
            yield from (f"{path.name} {scenario.id}: {line}" for line in differences(scenario.expect, judged(scenario)))


if __name__ == "__main__":
    named = [Path(argument) for argument in sys.argv[1:]] or sorted(FOLDER.glob("*.yaml"))
    complaints = list(run(named))
    sys.stdout.writelines(f"{line}\n" for line in complaints)
    sys.stdout.write(f"{sum(len(load(path)) for path in named)} scenarios, {len(complaints)} differences\n")
    sys.exit(bool(complaints))
