"""Limits that stand while a case is judged again, on both sides and at the very instant, under every preset."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.adjudicate import judge
from app.rules.calendar import STATUTORY, Moment, in_shanghai
from app.rules.canonical import canonical_json
from app.rules.deadlines import REMINDED_BEFORE, Deadline, reminder_of
from app.rules.decision import Decision, decide
from app.rules.facts import Course, EvidenceKind, Facts, MerchantResponse, Position, Reason, Ruled, Ruling, RulingCode
from app.rules.findings import Outcome
from app.rules.lengths import Exact, end_of
from app.rules.policy import CountedFrom, Policy, When
from app.rules.presets import PRESETS
from tests.rules.building import AS_OF, FILED_AT, a_claim, a_delivery, a_merchant, a_piece, facts
from tests.rules.strategies import POLICIES, courses, facts_under_way, pieces
from tests.rules.strategies import facts as any_facts
from tests.rules.test_properties import steady

STEPS = (timedelta(microseconds=1), timedelta(seconds=1))
HOUR = timedelta(hours=1)
EACH_POLICY = pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
GIVEN_A_TURN = [policy for policy in PRESETS.values() if policy.merchant_turn.given is not When.NEVER]
EACH_TURN = pytest.mark.parametrize("policy", GIVEN_A_TURN, ids=lambda policy: policy.name)
DELIVERED: dict[str, Any] = {"deliveries": (a_delivery(),)}


def at_of(decision: Decision, name: str) -> datetime:
    [deadline] = [each for each in decision.deadlines if each.name == name]
    return deadline.moment.at


def unproven(as_of: datetime, **course: Any) -> Facts:
    """A claim that lacks its evidence."""
    return facts(Reason.NOT_WORKING, as_of=as_of, evidence=(), course=Course(**course), **DELIVERED)


def unsettled(as_of: datetime, **changes: Any) -> Facts:
    """A claim that the records leave open, so that the merchant is heard."""
    return facts(Reason.NOT_AS_DESCRIBED, **{"as_of": as_of, **DELIVERED, **changes})


# --- evidence


@EACH_POLICY
def test_the_time_for_evidence_runs_from_the_first_request(policy: Policy) -> None:
    end = AS_OF + policy.evidence.supplement
    for as_of in (AS_OF, AS_OF + HOUR, *(end + sign * step for step in STEPS for sign in (-1, 0, 1))):
        decision = decide(unproven(as_of, evidence_requested_at=AS_OF), policy)
        assert decision.verdict.outcome is Outcome.REQUEST_EVIDENCE
        assert decision.deadlines == (
            Deadline("evidence_supplement", Moment(end, provisional=False), "evidence-incomplete"),
        )
        [action] = decision.next_actions
        assert (action.action, action.until) == ("supply_evidence", end)


@EACH_POLICY
def test_a_first_request_runs_from_the_judgement(policy: Policy) -> None:
    for as_of in (AS_OF, AS_OF + HOUR):
        decision = decide(unproven(as_of), policy)
        assert at_of(decision, "evidence_supplement") == as_of + policy.evidence.supplement


@steady
@given(st.data(), any_facts(), POLICIES)
def test_more_evidence_never_extends_the_time_for_evidence(data: st.DataObject, drawn: Facts, policy: Policy) -> None:
    before = decide(drawn, policy)
    if before.verdict.outcome is not Outcome.REQUEST_EVIDENCE:
        return
    end = at_of(before, "evidence_supplement")
    requested_at = end - policy.evidence.supplement
    anchor = drawn.claim.filed_at if drawn.order is None else drawn.order.placed_at
    more = drawn.evidence
    for later in (0, 1, 24, 25):
        more = (*more, data.draw(pieces(anchor)))
        course = replace(drawn.course or Course(), evidence_requested_at=requested_at)
        after = decide(replace(drawn, as_of=drawn.as_of + later * HOUR, evidence=more, course=course), policy)
        if after.verdict.outcome is Outcome.REQUEST_EVIDENCE:
            assert at_of(after, "evidence_supplement") == end


# --- the merchant's turn


def turn_ends(policy: Policy, start: datetime) -> datetime:
    return end_of(start, policy.merchant_turn.length, STATUTORY).at


@EACH_TURN
def test_the_merchants_turn_begins_again_after_the_wait_for_the_buyer(policy: Policy) -> None:
    resumed_at = turn_ends(policy, FILED_AT) + 40 * HOUR
    end = turn_ends(policy, resumed_at)
    course = Course(resumed_at=resumed_at)
    for step in STEPS:
        ruled = [judge(unsettled(at, course=course), policy).decisive.rule.id for at in (end - step, end, end + step)]
        assert ruled == ["merchant-turn", "merchant-silent", "merchant-silent"]
    assert judge(unsettled(resumed_at), policy).decisive.rule.id == "merchant-silent"
    assert at_of(decide(unsettled(resumed_at, course=course), policy), "merchant_turn") == end


@EACH_TURN
def test_an_objection_is_in_time_until_the_turn_that_began_again_ends(policy: Policy) -> None:
    resumed_at = turn_ends(policy, FILED_AT) + HOUR
    course, end = Course(resumed_at=resumed_at), turn_ends(policy, resumed_at)
    for step in STEPS:
        found = []
        for at in (end - step, end, end + step):
            merchant = a_merchant(response=MerchantResponse(Position.CONTEST, at))
            found.append(judge(unsettled(end + HOUR, course=course, merchant=merchant), policy).decisive.rule.id)
        assert found == ["merchant-contests", "merchant-contests", "merchant-silent"]


@EACH_TURN
def test_the_later_of_the_question_and_the_return_begins_the_turn(policy: Policy) -> None:
    contact = FILED_AT - HOUR
    asked_at = contact if policy.merchant_turn.counted_from is CountedFrom.FIRST_CONTACT else FILED_AT
    claim = a_claim(Reason.NOT_AS_DESCRIBED, first_contact_at=contact)
    for step in STEPS:
        for resumed_at in (asked_at - step, asked_at, asked_at + step):
            resumed = unsettled(asked_at + step, claim=claim, course=Course(resumed_at=resumed_at))
            assert at_of(decide(resumed, policy), "merchant_turn") == turn_ends(policy, max(asked_at, resumed_at))


# --- reviews


@EACH_POLICY
def test_the_review_is_promised_from_its_beginning(policy: Policy) -> None:
    promised = end_of(AS_OF, policy.review.length, STATUTORY)
    for as_of in (AS_OF, *(promised.at + sign * step for step in STEPS for sign in (-1, 0, 1))):
        unclear = facts(Reason.OTHER, as_of=as_of, course=Course(review_started_at=AS_OF))
        decision = decide(unclear, policy)
        assert at_of(decision, "review") == promised.at
        assert [(each.action, each.until) for each in decision.next_actions] == [("rule", promised.at)]
        names = {each.name: each.moment for each in decision.deadlines}
        if policy.review.first_answer is not None:
            assert names["first_answer"] == end_of(AS_OF, policy.review.first_answer, STATUTORY)
        else:
            assert "first_answer" not in names


def test_one_preset_promises_a_first_answer() -> None:
    lengths = {policy.name: policy.review.first_answer for policy in PRESETS.values()}
    assert lengths["card_error"] == Exact(timedelta(hours=48))


# --- appeals


@EACH_POLICY
def test_a_refusal_after_an_appeal_sets_no_time_for_another(policy: Policy) -> None:
    refusal = Ruling(Ruled.REJECT, RulingCode.GOODS_DELIVERED, AS_OF)
    for appealed_at, names in ((None, {"appeal", "channel_dispute"}), (AS_OF, {"channel_dispute"})):
        course = Course(appealed_at=appealed_at, ruling=refusal)
        decision = decide(facts(course=course, **DELIVERED), policy)
        assert decision.verdict.outcome is Outcome.REJECT
        assert {each.name for each in decision.deadlines} == names
        actions = [each.action for each in decision.next_actions]
        assert ("appeal" in actions) is (appealed_at is None)
        assert actions[-2:] == ["dispute_at_channel", "complain_to_12315"]


# --- reminders


@pytest.mark.parametrize(
    ("given", "before"),
    [
        (timedelta(hours=24), timedelta(hours=6)),
        (timedelta(days=4) - timedelta(microseconds=4), timedelta(days=1) - timedelta(microseconds=1)),
        (timedelta(days=4), timedelta(days=1)),
        (timedelta(days=4, microseconds=4), timedelta(days=1)),
        (timedelta(days=7), timedelta(days=1)),
        (timedelta(0), timedelta(0)),
        (-HOUR, timedelta(0)),
    ],
    ids=str,
)
def test_a_reminder_comes_a_day_before_or_when_a_quarter_is_left(given: timedelta, before: timedelta) -> None:
    end = AS_OF + given
    for name in ("evidence_supplement", "merchant_turn", "review", "first_answer", "appeal", "money_back"):
        assert reminder_of(Deadline(name, Moment(end, provisional=False), "a-rule"), AS_OF) == end - before


def test_nobody_is_reminded_of_a_wait() -> None:
    assert reminder_of(Deadline("wait", Moment(AS_OF + HOUR, provisional=False), "not-yet-due"), AS_OF) is None


@steady
@given(any_facts(), POLICIES)
def test_a_reminder_comes_between_the_judgement_and_its_deadline(drawn: Facts, policy: Policy) -> None:
    for deadline in decide(drawn, policy).deadlines:
        reminder = reminder_of(deadline, drawn.as_of)
        if deadline.name == "wait":
            assert reminder is None
            continue
        assert reminder is not None
        at = deadline.moment.at
        assert at - REMINDED_BEFORE <= reminder <= at
        assert reminder > drawn.as_of or at <= drawn.as_of


# --- a course without anything in it


@steady
@given(any_facts(), POLICIES)
def test_nothing_that_happened_is_the_same_as_no_course(drawn: Facts, policy: Policy) -> None:
    first, again = (decide(replace(drawn, course=course), policy) for course in (None, Course()))
    assert first.verdict.findings == again.verdict.findings
    assert (first.verdict.outcome, first.verdict.refund) == (again.verdict.outcome, again.verdict.refund)
    assert (first.deadlines, first.next_actions) == (again.deadlines, again.next_actions)


@steady
@given(st.data(), facts_under_way())
def test_what_happened_is_part_of_what_is_hashed(data: st.DataObject, drawn: Facts) -> None:
    other = data.draw(courses(drawn.claim.filed_at, drawn.as_of))
    again = replace(drawn, course=other)
    assert (canonical_json(drawn) == canonical_json(again)) is (drawn.course == other)
    assert '"course":{"appealed_at":' in canonical_json(drawn)
    assert '"course":null' in canonical_json(replace(drawn, course=None))


def test_a_limit_is_shown_in_shanghai_time_whatever_the_zone_of_what_it_counts_from() -> None:
    asked_at = AS_OF.astimezone(UTC)
    decision = decide(unproven(AS_OF, evidence_requested_at=asked_at), PRESETS["standard"])
    assert at_of(decision, "evidence_supplement").utcoffset() == in_shanghai(AS_OF).utcoffset()


def test_a_piece_that_completes_the_evidence_ends_the_request() -> None:
    pieces_needed = (a_piece(EvidenceKind.ERROR_SCREENSHOT), a_piece(EvidenceKind.CHAT_LOG))
    asked = unproven(AS_OF, evidence_requested_at=FILED_AT)
    outcomes = [judge(replace(asked, evidence=pieces_needed[:n]), PRESETS["standard"]).outcome for n in (0, 1, 2)]
    assert outcomes[:2] == [Outcome.REQUEST_EVIDENCE, Outcome.REQUEST_EVIDENCE]
    assert outcomes[2] is Outcome.AWAIT_MERCHANT
