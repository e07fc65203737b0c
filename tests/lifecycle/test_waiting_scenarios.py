"""Every scenario that ends in a waiting outcome, filed as a real case at its own time, and carried on to its ends."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.lifecycle.carrying import INSTANT, STATUS_OF, Carried
from tests.lifecycle.service import Service, at
from tests.rules.scenario import Scenario, load_all

WAITING = {each.id: each for each in load_all() if each.expect.outcome in STATUS_OF}
# Facts that the rules have an answer to, and that the service never comes to.
NOT_FILED = {
    "an-appeal-that-needs-evidence": "a claim that lacks evidence is not rejected, so there is nothing to appeal",
    "an-appeal-over-what-went-back-already": "a ruling that could grant nothing is refused",
}
APPEALS = {"an-appeal-is-not-rejected-by-rule-again"}
# A person can only refuse: there is no settled money that could go back, or only the charge that pays for the order.
NOTHING_TO_GRANT = {"merchant-cancels-before-the-money-settled", "the-bank-shows-two"}
Start = Callable[[Scenario], Carried]


def _of(outcome: str) -> Mapping[str, Scenario]:
    return {name: each for name, each in WAITING.items() if each.expect.outcome == outcome and name not in NOT_FILED}


def _each(outcome: str) -> pytest.MarkDecorator:
    found = _of(outcome)
    return pytest.mark.parametrize("scenario", list(found.values()), ids=list(found))


@pytest.fixture
def start(service: Service) -> Iterator[Start]:
    """`start(scenario)`: its case, as the scenario finds it."""
    begun: list[Carried] = []

    def started(scenario: Scenario) -> Carried:
        carried = Carried(service, scenario)
        begun.append(carried)
        carried.bring_about()
        return carried

    yield started
    for each in begun:
        each.close()


def test_all_of_them_are_carried_on_but_those_that_cannot_be() -> None:
    assert set(NOT_FILED) < set(WAITING)
    assert len(WAITING) - sum(len(_of(outcome)) for outcome in STATUS_OF) == len(NOT_FILED) == 2


@pytest.mark.parametrize("scenario", [WAITING[name] for name in WAITING if name not in NOT_FILED], ids=lambda it: it.id)
def test_it_comes_to_what_the_scenario_says(start: Start, scenario: Scenario) -> None:
    carried = start(scenario)
    expected = "appealed" if scenario.id in APPEALS else STATUS_OF[scenario.expect.outcome]
    assert (carried.case["status"], carried.decided_by) == (expected, scenario.expect.decisive_rule)
    if scenario.expect.until is not None:
        deadlines = {each["rule"]: each["at"] for each in carried.case["decision"]["deadlines"]}
        assert at(deadlines[carried.decided_by]) == at(scenario.expect.until)


@_each("wait")
def test_a_wait_ends_the_moment_after(start: Start, scenario: Scenario) -> None:
    carried = start(scenario)
    until = carried.deadline("wait")
    carried.pass_time(until)
    assert carried.case["status"] == "waiting"  # the instant itself is still a part of it
    carried.pass_time(until + INSTANT)
    assert carried.case["status"] != "waiting"
    assert carried.decided_by not in ("not-yet-due", "settlement-lag")
    assert ("wait", "over") in [(each["name"], each["state"]) for each in carried.case["deadlines"]]
    carried.to_its_end()


@_each("request_evidence")
def test_without_the_evidence_it_lapses(start: Start, scenario: Scenario) -> None:
    carried = start(scenario)
    until = carried.deadline("evidence_supplement")
    carried.pass_time(until)
    assert carried.case["status"] == "awaiting_evidence"
    carried.pass_time(until + INSTANT)
    assert (carried.case["status"], carried.told[-1]) == ("lapsed", "case.lapsed")
    assert carried.told.count("case.deadline_approaching") == 1
    refused = carried.try_step("evidence", {"evidence": [carried.piece("other")]})
    assert (refused.status, refused.body["code"]) == (409, "not_allowed_now")
    carried.check_ended()


@_each("request_evidence")
def test_with_the_evidence_it_goes_on(start: Start, scenario: Scenario) -> None:
    carried = start(scenario)
    carried.pass_time(carried.deadline("evidence_supplement"))
    missing = carried.case["decision"]["evidence"]["missing"]
    carried.step("evidence", {"evidence": [carried.piece(kind) for kind in missing for _ in range(2)]})
    assert carried.case["status"] != "awaiting_evidence"
    assert carried.case["decision"]["evidence"]["missing"] == []
    assert ("evidence_supplement", "kept") in [(each["name"], each["state"]) for each in carried.case["deadlines"]]
    carried.to_its_end()
    assert "case.lapsed" not in carried.told


@_each("await_merchant")
def test_silence_speaks_for_the_buyer(start: Start, scenario: Scenario) -> None:
    carried = start(scenario)
    until = carried.deadline("merchant_turn")
    carried.pass_time(until)
    assert carried.case["status"] == "awaiting_merchant"
    carried.pass_time(until + INSTANT)
    if carried.decided_by == "used-goods":
        assert carried.case["status"] == "in_review"
    else:
        assert (carried.case["status"], carried.decided_by) == ("approved", "merchant-silent")
        assert carried.case["refunds"]
    carried.to_its_end()


@_each("await_merchant")
def test_a_merchant_that_accepts_ends_it(start: Start, scenario: Scenario) -> None:
    carried = start(scenario)
    carried.pass_time(carried.deadline("merchant_turn"))  # the last instant
    carried.step("merchant-response", {"position": "accept"})
    assert (carried.case["status"], carried.decided_by) == ("approved", "merchant-accepts")
    assert carried.case["decision"]["refund"]["funding"] == "merchant"
    carried.to_its_end()


@_each("await_merchant")
def test_a_merchant_that_contests_leaves_it_to_the_records_or_to_a_person(start: Start, scenario: Scenario) -> None:
    carried = start(scenario)
    carried.step("merchant-response", {"position": "contest", "message": "已发货"})
    conclusive = "merchant-contests" not in {each["rule"] for each in carried.case["decision"]["findings"]}
    expected = ("approved", None) if conclusive else ("in_review", "merchant-contests")
    assert (carried.case["status"], None if conclusive else carried.decided_by) == expected
    refused = carried.try_step("merchant-response", {"position": "accept"}) if conclusive else None
    assert refused is None or refused.status == 409
    carried.to_its_end()


@_each("manual_review")
def test_a_person_grants_it(start: Start, scenario: Scenario) -> None:
    carried = start(scenario)
    if scenario.id in NOTHING_TO_GRANT:
        ruling = {"outcome": "approve", "code": "goodwill", "text": "同意", "by": "op-1"}
        refused = carried.try_step("ruling", ruling)
        assert (refused.status, refused.body["code"]) == (409, "nothing_to_grant")
    else:
        carried.rule("approve")
        assert (carried.case["status"], carried.decided_by) == ("approved", "granted-by-a-person")
        assert sum(each["amount"] for each in carried.case["refunds"]) == carried.case["decision"]["refund"]["amount"]
    carried.to_its_end()


@_each("manual_review")
def test_a_person_refuses_it(start: Start, scenario: Scenario) -> None:
    carried = start(scenario)
    carried.rule("reject")
    assert (carried.case["status"], carried.decided_by) == ("rejected", "refused-by-a-person")
    assert carried.case["refunds"] == []
    may_appeal = "appeal" in {each["action"] for each in carried.case["next"]}
    assert may_appeal is (scenario.id not in APPEALS)
    carried.to_its_end()


@_each("manual_review")
def test_a_promise_that_is_broken_is_told_and_the_case_still_ends(start: Start, scenario: Scenario) -> None:
    carried = start(scenario)
    until = carried.deadline("review")
    carried.pass_time(until)
    missed = carried.told.count("case.deadline_missed")  # a first answer may have been promised, too
    carried.pass_time(until + INSTANT)
    assert carried.told.count("case.deadline_missed") == missed + 1
    assert "escalate" in {each["action"] for each in carried.case["next"]}
    carried.rule("reject")
    assert ("review", "over") in [(each["name"], each["state"]) for each in carried.case["deadlines"]]
    carried.to_its_end()
