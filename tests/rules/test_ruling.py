"""What a person rules, and the appeal that only a person answers: what holds for every claim."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app.rules.adjudicate import judge
from app.rules.amounts import most_grantable
from app.rules.checks.ruling import APPEAL_NEEDS_A_PERSON, GRANTED_BY_A_PERSON, REFUSED_BY_A_PERSON
from app.rules.decision import decide, decision_document, decision_text
from app.rules.facts import (
    RULING_CODES,
    Course,
    Facts,
    MerchantStatus,
    PaymentStatus,
    Reason,
    Ruled,
    Ruling,
    RulingCode,
    Usage,
)
from app.rules.findings import Outcome
from app.rules.liability import Funding, Liability
from app.rules.policy import Policy
from app.rules.presets import PRESETS
from app.rules.standing import read_standing
from tests.rules.building import AS_OF, PRICE, a_claim, a_delivery, a_merchant, a_payment, facts
from tests.rules.strategies import LARGEST, POLICIES, facts_under_way
from tests.rules.test_properties import CHECKS, Check, steady

STANDARD = PRESETS["standard"]
AMOUNTS = st.none() | st.sampled_from([1, 2, 4950, 9899, 9900, 9901, LARGEST])


def ruled(drawn: Facts, outcome: Ruled, code: RulingCode = RulingCode.OTHER, amount: int | None = None) -> Facts:
    """The same claim with this ruling."""
    course = drawn.course or Course()
    return replace(drawn, course=replace(course, ruling=Ruling(outcome, code, drawn.as_of, amount)))


def unruled(drawn: Facts) -> Facts:
    """The same claim before anybody ruled."""
    return replace(drawn, course=replace(drawn.course or Course(), ruling=None))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_holds_for_every_verdict_holds_for_a_case_under_way(check: Check) -> None:
    @steady
    @given(facts_under_way(), POLICIES)
    def holds(drawn: Facts, policy: Policy) -> None:
        check(judge(drawn, policy))

    holds()


def test_cases_under_way_reach_every_rule_of_the_stage() -> None:
    """The properties here are worth as much as what they are tried on."""
    decided: Counter[str] = Counter()

    @settings(steady, max_examples=500, phases=[Phase.generate])
    @given(facts_under_way(), POLICIES)
    def count(drawn: Facts, policy: Policy) -> None:
        decided[judge(drawn, policy).decisive.rule.id] += 1

    count()
    assert min(decided[rule.id] for rule in (GRANTED_BY_A_PERSON, REFUSED_BY_A_PERSON, APPEAL_NEEDS_A_PERSON)) > 10


# --- a ruling


@settings(steady, max_examples=200)
@given(facts_under_way(), POLICIES, AMOUNTS, st.sampled_from(sorted(RULING_CODES[Ruled.APPROVE])))
def test_a_grant_decides_and_keeps_within_all_that_bounds_it(
    drawn: Facts, policy: Policy, amount: int | None, code: RulingCode
) -> None:
    most = most_grantable(read_standing(unruled(drawn), policy))
    verdict = judge(ruled(drawn, Ruled.APPROVE, code, amount), policy)
    if most == 0:
        assert verdict.decisive.rule is not GRANTED_BY_A_PERSON
        return
    assert (verdict.outcome, verdict.decisive.rule) == (Outcome.APPROVE, GRANTED_BY_A_PERSON)
    assert verdict.refund is not None
    assert verdict.refund.amount == (most if amount is None else min(most, amount))
    assert drawn.claim.amount is None or verdict.refund.amount <= drawn.claim.amount
    for share in verdict.refund.shares:
        assert share.payment.status is PaymentStatus.SUCCEEDED
        assert 0 < share.amount <= share.payment.amount - share.payment.refunded_amount


@steady
@given(facts_under_way(), POLICIES)
def test_the_most_that_can_be_granted_covers_what_the_rules_would_grant(drawn: Facts, policy: Policy) -> None:
    verdict = judge(unruled(drawn), policy)
    if verdict.refund is not None and verdict.decisive.rule.id != "cancelled-by-seller":
        assert verdict.refund.amount <= most_grantable(verdict.standing)


@steady
@given(facts_under_way(), POLICIES, AMOUNTS)
def test_the_most_that_can_be_granted_is_not_what_was_granted(drawn: Facts, policy: Policy, amount: int | None) -> None:
    granted = ruled(drawn, Ruled.APPROVE, RulingCode.GOODWILL, amount)
    before, after = (most_grantable(read_standing(each, policy)) for each in (unruled(drawn), granted))
    assert before == after


@steady
@given(facts_under_way(), POLICIES)
def test_a_grant_with_nothing_left_to_give_is_judged_as_if_nobody_had_ruled(drawn: Facts, policy: Policy) -> None:
    gone = tuple(replace(each, refunded_amount=each.amount) for each in drawn.payments)
    drawn = replace(drawn, payments=gone)
    granted, without = judge(ruled(drawn, Ruled.APPROVE), policy), judge(unruled(drawn), policy)
    assert granted.findings[0].rule is GRANTED_BY_A_PERSON
    assert granted.findings[1:] == without.findings
    assert (granted.decisive, granted.liability, granted.refund) == (without.decisive, without.liability, None)
    assert granted.outcome is not Outcome.APPROVE


@steady
@given(facts_under_way(), POLICIES, st.sampled_from(sorted(RULING_CODES[Ruled.REJECT])))
def test_a_refusal_decides_whatever_the_rules_find(drawn: Facts, policy: Policy, code: RulingCode) -> None:
    verdict = judge(ruled(drawn, Ruled.REJECT, code), policy)
    assert (verdict.outcome, verdict.decisive.rule) == (Outcome.REJECT, REFUSED_BY_A_PERSON)
    assert (verdict.liability, verdict.refund) == (Liability.NONE, None)


@steady
@given(facts_under_way(), POLICIES, st.sampled_from(Ruled))
def test_what_the_rules_found_stays_beside_a_ruling(drawn: Facts, policy: Policy, outcome: Ruled) -> None:
    verdict, without = judge(ruled(drawn, outcome), policy), judge(unruled(drawn), policy)
    assert verdict.findings[1:] == without.findings


@steady
@given(facts_under_way(), POLICIES)
def test_nothing_would_change_what_a_person_ruled(drawn: Facts, policy: Policy) -> None:
    assert decide(ruled(drawn, Ruled.REJECT), policy).would_change == ()


@steady
@given(facts_under_way(), POLICIES)
def test_the_same_course_gives_the_same_bytes(drawn: Facts, policy: Policy) -> None:
    first, again = (decision_text(decision_document(decide(each, policy))) for each in (drawn, replace(drawn)))
    assert first == again


def test_a_grant_is_cut_to_the_fen() -> None:
    for amount, expected in ((PRICE - 1, PRICE - 1), (PRICE, PRICE), (PRICE + 1, PRICE), (1, 1)):
        verdict = judge(ruled(facts(), Ruled.APPROVE, amount=amount), STANDARD)
        assert verdict.refund is not None
        assert verdict.refund.amount == expected


def test_a_grant_takes_the_earliest_payment_first() -> None:
    payments = (a_payment("T-2", paid_at=AS_OF), a_payment("T-1"))
    verdict = judge(ruled(facts(payments=payments), Ruled.APPROVE, amount=PRICE + 1), STANDARD)
    assert verdict.refund is not None
    assert [(share.payment.payment_no, share.amount) for share in verdict.refund.shares] == [("T-1", PRICE), ("T-2", 1)]


def test_of_a_duplicate_charge_a_person_grants_all_but_the_one_that_pays_for_the_order() -> None:
    twice = (a_payment("T-1"), a_payment("T-2", paid_at=AS_OF))
    for payments, most in ((twice, PRICE), (twice[:1], 0), ((), 0)):
        standing = read_standing(facts(Reason.DUPLICATE_CHARGE, payments=payments), STANDARD)
        assert most_grantable(standing) == most


def test_a_person_may_grant_more_than_the_shortfall_but_no_more_than_the_claim() -> None:
    short = (a_delivery(face_value=4000, usage=Usage.CONSUMED),)
    for claimed, most in ((None, PRICE), (5000, 5000)):
        claim = a_claim(Reason.SHORT_DELIVERY, amount=claimed)
        standing = read_standing(facts(Reason.SHORT_DELIVERY, claim=claim, deliveries=short), STANDARD)
        assert most_grantable(standing) == most


# --- who answers for what a person granted


ANSWERS = {
    RulingCode.MERCHANT_FAILED: (Liability.MERCHANT, Funding.DEPOSIT),
    RulingCode.PLATFORM_FAILED: (Liability.PLATFORM, Funding.PLATFORM),
    RulingCode.GOODWILL: (Liability.NONE, Funding.PLATFORM),
}
BY_REASON = {
    Reason.NOT_DELIVERED: (Liability.MERCHANT, Funding.DEPOSIT),
    Reason.CHARGED_WITHOUT_ORDER: (Liability.PLATFORM, Funding.PLATFORM),
    Reason.CHANGE_OF_MIND: (Liability.BUYER, Funding.MERCHANT),
    Reason.OTHER: (Liability.UNDETERMINED, Funding.DEPOSIT),
}


@pytest.mark.parametrize("code", sorted(RULING_CODES[Ruled.APPROVE]))
@pytest.mark.parametrize("reason", BY_REASON)
def test_who_answers_for_a_grant(reason: Reason, code: RulingCode) -> None:
    verdict = judge(ruled(facts(reason), Ruled.APPROVE, code), STANDARD)
    assert verdict.refund is not None
    assert (verdict.liability, verdict.refund.funding) == ANSWERS.get(code, BY_REASON[reason])


def test_for_a_merchant_that_nobody_knows_the_platform_answers() -> None:
    gone = a_merchant(status=MerchantStatus.UNREACHABLE, identity_verified=False)
    for code, liable in (
        (RulingCode.MERCHANT_FAILED, Liability.PLATFORM),
        (RulingCode.EVIDENCE_CONVINCES, Liability.PLATFORM),
        (RulingCode.GOODWILL, Liability.NONE),
    ):
        assert judge(ruled(facts(merchant=gone), Ruled.APPROVE, code), STANDARD).liability is liable


def test_every_code_belongs_to_an_outcome_and_only_other_to_both() -> None:
    assert set(RULING_CODES) == set(Ruled)
    assert RULING_CODES[Ruled.APPROVE] | RULING_CODES[Ruled.REJECT] == set(RulingCode)
    assert RULING_CODES[Ruled.APPROVE] & RULING_CODES[Ruled.REJECT] == {RulingCode.OTHER}


# --- appeals


@settings(steady, max_examples=300)
@given(facts_under_way(), POLICIES)
def test_an_appealed_claim_is_never_rejected_by_rule(drawn: Facts, policy: Policy) -> None:
    assert drawn.course is not None
    course = replace(drawn.course, ruling=None)
    fresh = judge(replace(drawn, course=replace(course, appealed_at=None)), policy)
    appealed = judge(replace(drawn, course=replace(course, appealed_at=drawn.as_of)), policy)
    assert appealed.outcome is not Outcome.REJECT
    if fresh.outcome is not Outcome.REJECT:
        assert appealed.findings == fresh.findings
        return
    assert (appealed.outcome, appealed.decisive.rule) == (Outcome.MANUAL_REVIEW, APPEAL_NEEDS_A_PERSON)
    assert appealed.decisive.facts == {"appealed_at": drawn.as_of, "contested": fresh.decisive.rule.id}
    others = tuple(finding for finding in appealed.findings if finding is not appealed.decisive)
    assert others == fresh.findings


@steady
@given(facts_under_way(), POLICIES)
def test_a_person_who_answers_an_appeal_is_not_sent_back_to_one(drawn: Facts, policy: Policy) -> None:
    assert drawn.course is not None
    appealed = replace(drawn, course=replace(drawn.course, appealed_at=drawn.as_of))
    assert judge(ruled(appealed, Ruled.REJECT), policy).outcome is Outcome.REJECT
    if most_grantable(read_standing(unruled(appealed), policy)) > 0:
        assert judge(ruled(appealed, Ruled.APPROVE), policy).outcome is Outcome.APPROVE
