"""The project's own scenarios hold, and leave no rule, reason, outcome or clause of a preset without one."""

import json
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from app.rules.catalogue import RULES
from app.rules.decision import decide, decision_document
from app.rules.facts import EvidenceKind, OrderStatus, Position, Reason, Trait
from app.rules.findings import Outcome, Stage
from app.rules.lengths import WorkingDays, parse_duration, parse_length
from app.rules.liability import Funding, Liability
from app.rules.policy import CountedFrom, Coverage, DepositUse, Policy, PolicyInvalid, ShortDelivery, Strictness, When
from app.rules.policy_document import policy_from
from app.rules.presets import PRESETS
from app.rules.weighing import Discount
from tests.rules.scenario import FOLDER, Scenario, differences, facts_of, judged, laid_over, load, load_all
from tests.rules.test_signals import READ_AFTER_THE_DECISION

SCENARIOS = load_all()
CHOICES = (When, CountedFrom, Coverage, Strictness, ShortDelivery, DepositUse)
TAGGED = [(clause, scenario) for scenario in SCENARIOS for clause in scenario.clauses]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_the_decision_is_the_expected_one(scenario: Scenario) -> None:
    assert differences(scenario.expect, judged(scenario)) == []


def test_every_scenario_has_an_id_of_its_own_a_title_and_a_source() -> None:
    assert [name for name, count in Counter(scenario.id for scenario in SCENARIOS).items() if count > 1] == []
    for scenario in SCENARIOS:
        assert scenario.title.endswith("."), scenario.id
        assert scenario.source.startswith(("seed 00", "domain §")), scenario.id


def test_every_body_can_be_sent_as_json() -> None:
    for scenario in SCENARIOS:
        assert json.loads(json.dumps(scenario.body)) == scenario.body, scenario.id


def test_every_rule_decides_or_is_found_somewhere() -> None:
    found = {finding["rule"] for scenario in SCENARIOS for finding in judged(scenario)["findings"]}
    assert {rule.id for rule in RULES} - found == set()


def test_every_rule_that_can_decide_is_expected_to_decide_somewhere() -> None:
    expected = {scenario.expect.decisive_rule for scenario in SCENARIOS}
    assert {rule.id for rule in RULES if rule.stage is not Stage.NOTE} - expected == set()


def test_every_member_of_the_closed_sets_is_met() -> None:
    documents = [judged(scenario) for scenario in SCENARIOS]
    assert {document["outcome"] for document in documents} == set(Outcome)
    assert {document["liability"] for document in documents} == set(Liability)
    assert {document["refund"]["funding"] for document in documents if document["refund"]} == set(Funding)
    assert {piece["reason"] for each in documents for piece in each["evidence"]["discounted"]} == set(Discount)
    assert {scenario.body["claim"]["reason"] for scenario in SCENARIOS} == set(Reason)
    assert {scenario.body["policy"] for scenario in SCENARIOS} == set(PRESETS)


def test_every_reason_is_met_under_the_outcomes_that_differ() -> None:
    """Each reason is approved or goes to a person somewhere, and is refused or deferred somewhere."""
    met = {(scenario.body["claim"]["reason"], scenario.expect.outcome) for scenario in SCENARIOS}
    for reason in set(Reason) - {Reason.OTHER}:
        assert {(reason, "approve"), (reason, "manual_review")} & met, reason
        assert {(reason, "reject"), (reason, "wait"), (reason, "request_evidence")} & met, reason


# --- the clauses of the presets


def clauses_named_in(path: Path) -> set[str]:
    """The clauses that a preset's own document names, as they are tagged."""
    document = tomllib.loads(path.read_text("utf-8"))
    lists = document.get("evidence_required", {}).keys() - {"source"}
    return {f"{path.stem}.{name}" for name in (*document["clauses"], *(f"evidence_required.{each}" for each in lists))}


def test_every_clause_of_every_preset_has_a_scenario() -> None:
    folder = Path(__file__).parents[2] / "app" / "rules" / "policies"
    named = set().union(*(clauses_named_in(path) for path in folder.glob("*.toml")))
    assert len(named) > 120
    turned_on = {clause for clause in named if clause.split(".", 1)[1] not in READ_AFTER_THE_DECISION}
    assert turned_on == {clause for clause, _ in TAGGED}


def alternatives(value: Any) -> Iterator[Any]:
    """Other values that a clause with this one might have had."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value - 1, value + 1)
    elif isinstance(value, list):
        yield from _other_lists(value)
    elif value == "none":
        yield from ("P7D", "PT48H")
    else:
        yield from (member.value for kind in CHOICES for member in kind if value in set(kind) and member != value)
        yield from _other_lengths(value)


def _other_lists(value: list[str]) -> Iterator[list[str]]:
    kind: type[Trait] | type[EvidenceKind] = Trait if set(value) & set(Trait) else EvidenceKind
    yield from ([*value[:place], *value[place + 1 :]] for place in range(len(value)))
    yield from ([*value, member.value] for member in kind if member not in value)


def _other_lengths(value: str) -> Iterator[str]:
    try:
        length = parse_length(value)
    except ValueError:
        return
    if isinstance(length, WorkingDays):
        counts = (length.count - 1, length.count + 1)
        yield from (f"{count} working day{'s' * (count > 1)}" for count in counts if count)
    else:
        seconds = parse_duration(value) // timedelta(seconds=1)
        yield from (f"PT{seconds - 1}S", f"PT{seconds + 1}S", "none")


def with_clause(policy: Policy, clause: str, value: Any) -> Policy | None:
    """The same policy with one clause changed; None where that contradicts itself."""
    document: dict[str, Any] = {key: policy.document[key] for key in ("name", "version", "effective_from")}
    document |= {"title_en": policy.title_en, "title_zh": policy.title_zh}
    if clause.startswith("evidence_required."):
        document["evidence_required"] = {"source": "a test", clause.removeprefix("evidence_required."): value}
    else:
        document["clauses"] = {clause: {"value": value, "source": "a test"}}
    try:
        return policy_from(document, base=policy)
    except PolicyInvalid:
        return None


def value_of(policy: Policy, clause: str) -> Any:
    document: Any = policy.document
    if clause.startswith("evidence_required."):
        return document["evidence_required"][clause.removeprefix("evidence_required.")]
    return document["clauses"][clause]


@pytest.mark.parametrize(("tag", "scenario"), TAGGED, ids=lambda each: each if isinstance(each, str) else each.id)
def test_a_scenario_tagged_with_a_clause_fails_once_the_clause_is_another(tag: str, scenario: Scenario) -> None:
    preset, clause = tag.split(".", 1)
    policy = PRESETS[preset]
    assert scenario.policy is policy
    others = [with_clause(policy, clause, value) for value in alternatives(value_of(policy, clause))]
    judged_otherwise = [decision_document(decide(scenario.facts, other)) for other in others if other is not None]
    assert any(differences(scenario.expect, document) for document in judged_otherwise)


# What the rules cannot tell apart, and why.
UNSEEN = {
    ("standard.deposit", "freeze_first"): "the decision draws on the deposit either way",
    ("chargeback.deposit", "freeze_first"): "the decision draws on the deposit either way",
    ("binghui.deposit", "deduct"): "the decision draws on the deposit either way",
    ("chargeback.wrong_item", "if_unused"): "without a cooling-off a person decides as well",
}


@pytest.mark.parametrize("clause", sorted({clause for clause, _ in TAGGED if ".evidence_required." not in clause}))
def test_the_scenarios_of_a_clause_notice_every_other_value_of_it(clause: str) -> None:
    """Every other choice, and a limit a second or a working day away on either side, breaks one of the scenarios."""
    preset, name = clause.split(".", 1)
    policy = PRESETS[preset]
    tagged = [scenario for tag, scenario in TAGGED if tag == clause]
    for value in alternatives(value_of(policy, name)):
        other = with_clause(policy, name, value)
        if other is None or (clause, value if isinstance(value, str) else "") in UNSEEN:
            continue
        documents = [(scenario, decision_document(decide(scenario.facts, other))) for scenario in tagged]
        assert any(differences(scenario.expect, document) for scenario, document in documents), value


# --- the loader is strict


def written(folder: Path, **changes: Any) -> Path:
    first = yaml.safe_load((FOLDER / "records.yaml").read_text("utf-8"))
    scenario = {**first["scenarios"][0], **changes}
    path = folder / "one.yaml"
    path.write_text(yaml.safe_dump({"base": first["base"], "scenarios": [scenario]}), "utf-8")
    return path


def test_a_scenario_as_it_is_loads(tmp_path: Path) -> None:
    [scenario] = load(written(tmp_path))
    assert differences(scenario.expect, judged(scenario)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"expects": {"outcome": "approve"}},
        {"expect": {"outcome": "approve"}},
        {"expect": {"outcome": "approve", "decisive_rule": "x", "amuont": 1}},
        {"expect": {"outcome": "approve", "decisive_rule": "x", "amount": "1"}},
        {"clause": "standard.review"},
    ],
)
def test_a_key_or_a_value_that_nobody_knows_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        load(written(tmp_path, **changes))


@pytest.mark.parametrize(
    "difference",
    [
        {"clam": {}},
        {"claim": {"resaon": "other"}},
        {"order": {"goods": {"terms": {"refundible": True}}}},
        {"claim": {"amount": "9900"}},
        {"claim": {"amount": 9900.0}},
        {"claim": {"filed_at": 1}},
        {"claim": {"reason": "boredom"}},
        {"order": {"status": OrderStatus.PAID.name}},
        {"merchant": {"response": {"position": Position.ACCEPT}}},
        {"course": {"appealed": True}},
        {"course": {"appealed_at": "yesterday"}},
        {"course": {"ruling": {"outcome": "approve", "code": "goodwill"}}},
        {"course": {"ruling": {"outcome": "wait", "code": "other", "at": "2026-04-13T15:00:00+08:00"}}},
    ],
)
def test_facts_of_another_shape_are_refused(difference: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        facts_of(laid_over(SCENARIOS[0].body, difference))


def test_a_wrong_expectation_is_noticed_key_by_key() -> None:
    scenario = next(each for each in SCENARIOS if each.id == "nothing-delivered")
    document = judged(scenario)
    wrong_for: dict[str, Any] = {
        "outcome": "reject",
        "decisive_rule": "late-per-log",
        "amount": None,
        "liability": "buyer",
        "funding": "platform",
        "missing": ["chat_log"],
        "suggested_reason": "other",
        "expected_by": None,
        "until": None,
        "findings": ["late-per-log"],
        "absent": ["undelivered-per-log"],
        "discounted": ["reused"],
        "next": [],
        "deadlines": {},
    }
    for key, wrong in wrong_for.items():
        [line] = differences(scenario.expect.model_copy(update={key: wrong}), document)
        assert line.startswith(f"{key}: ")
