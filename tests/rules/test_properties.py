"""What holds for every claim, whatever its facts."""

import json
import os
import string
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from app.rules.adjudicate import Verdict, decisive_finding, judge
from app.rules.calendar import STATUTORY
from app.rules.canonical import canonical_json
from app.rules.catalogue import RULE_OF, RULES
from app.rules.checks.ruling import APPEAL_NEEDS_A_PERSON, GRANTED_BY_A_PERSON
from app.rules.decision import decide, decision_document, decision_text, idle_document
from app.rules.explain import change_message, in_words, message
from app.rules.facts import (
    ChatChannel,
    Course,
    Evidence,
    EvidenceKind,
    Facts,
    Party,
    PaymentStatus,
    Reason,
    Ruled,
    Ruling,
    RulingCode,
    Side,
    Usage,
)
from app.rules.findings import Outcome, Rule, Stage, Value
from app.rules.idle import idle_rules
from app.rules.liability import Funding, Liability
from app.rules.policy import Policy
from app.rules.presets import PRESETS
from tests.rules.building import a_delivery, a_merchant
from tests.rules.building import facts as dull
from tests.rules.scenario import load_all
from tests.rules.strategies import LATEST, POLICIES, facts

CHECKOUT = Path(__file__).parents[2]
steady = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
# Some rules need several rare facts at once; their reasons are drawn more often.
RARE = (Reason.DUPLICATE_CHARGE, Reason.SHORT_DELIVERY, Reason.DELIVERED_LATE, Reason.NOT_WORKING)
REASONS = st.sampled_from([*Reason, *[Reason.INVALID_GOODS] * 6, *RARE])
Check = Callable[[Verdict], None]


# --- one verdict


def money_comes_only_with_an_approval(verdict: Verdict) -> None:
    assert (verdict.refund is not None) is (verdict.outcome is Outcome.APPROVE)
    assert verdict.refund is None or verdict.refund.amount > 0


def no_more_goes_back_than_was_asked_for_and_is_left(verdict: Verdict) -> None:
    if verdict.refund is None:
        return
    asked = verdict.standing.claim.amount
    own = [
        each
        for each in verdict.standing.facts.payments
        if each.status is PaymentStatus.SUCCEEDED
        and (verdict.standing.order is None or each.order_no in {None, verdict.standing.order.order_no})
    ]
    assert asked is None or verdict.refund.amount <= asked
    assert verdict.refund.amount <= sum(each.amount - each.refunded_amount for each in own)
    assert all(share.payment in own for share in verdict.refund.shares)


def shares_are_within_their_payments_and_earliest_first(verdict: Verdict) -> None:
    if verdict.refund is None:
        return
    shares = verdict.refund.shares
    assert sum(share.amount for share in shares) == verdict.refund.amount
    assert all(0 < share.amount <= share.payment.amount - share.payment.refunded_amount for share in shares)
    keys = [(share.payment.paid_at, share.payment.payment_no) for share in shares]
    assert keys == sorted(set(keys))
    for earlier, _ in pairwise(shares):
        assert earlier.amount == earlier.payment.remaining


def the_decisive_finding_is_the_first_that_can_decide(verdict: Verdict) -> None:
    assert sum(finding is verdict.decisive for finding in verdict.findings) == 1
    assert verdict.decisive.outcome is verdict.outcome
    before = verdict.findings[: [finding is verdict.decisive for finding in verdict.findings].index(True)]
    # What came before decides nothing, or would approve where nothing that settled is left to give.
    assert {finding.outcome for finding in before} <= {None, Outcome.APPROVE}
    if any(finding.outcome is Outcome.APPROVE for finding in before):
        assert verdict.standing.refundable == 0 or verdict.standing.reason is Reason.DUPLICATE_CHARGE


def stages_come_in_their_order_and_rules_once(verdict: Verdict) -> None:
    stages = [finding.rule.stage for finding in verdict.findings]
    # Use can spoil what a third party would confirm, two stages later.
    assert [stage for stage in stages if stage is not Stage.MERCHANT_TURN] == sorted(
        stage for stage in stages if stage is not Stage.MERCHANT_TURN
    )
    assert max(Counter(finding.rule.id for finding in verdict.findings).values()) == 1
    assert all(RULE_OF[finding.rule.id] is finding.rule for finding in verdict.findings)
    assert all(finding.rule.concerns(verdict.standing.reason) for finding in verdict.findings)


def liability_and_funding_fit(verdict: Verdict) -> None:
    match verdict.outcome:
        case Outcome.APPROVE:
            assert verdict.refund is not None
            by_platform = verdict.liability in {Liability.PLATFORM, Liability.NONE}
            assert by_platform is (verdict.refund.funding is Funding.PLATFORM)
            if verdict.refund.funding is Funding.DEPOSIT:
                merchant = verdict.standing.facts.merchant
                assert merchant is not None
                assert merchant.deposit >= verdict.refund.amount
            if verdict.liability is Liability.BUYER:
                assert verdict.refund.funding is Funding.MERCHANT
            ruled = verdict.standing.course.ruling
            goodwill = verdict.decisive.rule is GRANTED_BY_A_PERSON and ruled and ruled.code is RulingCode.GOODWILL
            assert (verdict.liability is Liability.NONE) is bool(goodwill)
        case Outcome.REJECT:
            blamed = verdict.decisive.rule.id == "buyer-error"
            assert verdict.liability is (Liability.BUYER if blamed else Liability.NONE)
        case _:
            assert verdict.liability is Liability.UNDETERMINED


def a_deferral_knows_its_end(verdict: Verdict) -> None:
    deferred = verdict.outcome in {Outcome.WAIT, Outcome.AWAIT_MERCHANT, Outcome.REQUEST_EVIDENCE}
    assert (verdict.decisive.until is not None) is deferred
    if verdict.decisive.until is None:
        return
    requested_at = verdict.standing.course.evidence_requested_at
    if verdict.outcome is Outcome.REQUEST_EVIDENCE and requested_at is not None:
        assert verdict.decisive.until.at == requested_at + verdict.standing.policy.evidence.supplement
    else:
        assert verdict.decisive.until.at > verdict.standing.as_of


CHECKS: tuple[Check, ...] = (
    money_comes_only_with_an_approval,
    no_more_goes_back_than_was_asked_for_and_is_left,
    shares_are_within_their_payments_and_earliest_first,
    the_decisive_finding_is_the_first_that_can_decide,
    stages_come_in_their_order_and_rules_once,
    liability_and_funding_fit,
    a_deferral_knows_its_end,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_holds_for_every_verdict(check: Check) -> None:
    @steady
    @given(facts(), POLICIES)
    def holds(drawn: Facts, policy: Policy) -> None:
        verdict = judge(drawn, policy)
        event(f"{verdict.outcome} by {verdict.decisive.rule.id}")
        check(verdict)

    holds()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_holds_for_every_scenario(check: Check) -> None:
    for scenario in load_all():
        check(judge(scenario.facts, scenario.policy))


def test_drawn_facts_reach_every_outcome_and_nearly_every_rule() -> None:
    """The other properties are worth as much as what they are tried on."""
    decided: Counter[str] = Counter()
    outcomes: Counter[Outcome] = Counter()
    found: set[str] = set()

    @settings(steady, max_examples=4000, phases=[Phase.generate])
    @given(facts(REASONS), POLICIES)
    def count(drawn: Facts, policy: Policy) -> None:
        verdict = judge(drawn, policy)
        decided[verdict.decisive.rule.id] += 1
        outcomes[verdict.outcome] += 1
        found.update(finding.rule.id for finding in verdict.findings)

    count()
    assert set(outcomes) == set(Outcome)
    assert min(outcomes.values()) > 20
    deciders = {rule.id for rule in RULES if rule.stage is not Stage.NOTE}
    assert len(deciders - set(decided)) <= 4, deciders - set(decided)
    assert len({rule.id for rule in RULES} - found) <= 2, {rule.id for rule in RULES} - found


# --- evidence


# A wait is about time and no evidence ends it; among the three in the middle none is better than another.
BETTER_THAN = {
    Outcome.REJECT: set(Outcome),
    Outcome.REQUEST_EVIDENCE: {Outcome.AWAIT_MERCHANT, Outcome.MANUAL_REVIEW, Outcome.APPROVE},
    Outcome.AWAIT_MERCHANT: {Outcome.APPROVE},
    Outcome.MANUAL_REVIEW: {Outcome.APPROVE},
    Outcome.WAIT: set[Outcome](),
    Outcome.APPROVE: set[Outcome](),
}
STATEMENTS = (EvidenceKind.THIRD_PARTY_STATEMENT, EvidenceKind.BANK_STATEMENT)
SPOKEN_BY = {EvidenceKind.THIRD_PARTY_STATEMENT: Party.THIRD_PARTY, EvidenceKind.MERCHANT_STATEMENT: Party.MERCHANT}


def test_evidence_that_counts_fits_and_supports_the_buyer_never_hurts_the_claim() -> None:
    """More evidence keeps the outcome or moves it to a better one, and never touches an amount."""
    moved: Counter[tuple[Outcome, Outcome]] = Counter()

    @settings(steady, max_examples=250)
    @given(facts(), POLICIES)
    def holds(drawn: Facts, policy: Policy) -> None:
        before = judge(drawn, policy)
        at = drawn.as_of if drawn.order is None else drawn.order.placed_at
        for kind in sorted({*policy.evidence.required[drawn.claim.reason], *STATEMENTS}):
            party = SPOKEN_BY.get(kind, Party.BUYER)
            piece = Evidence(kind, party, at, channel=ChatChannel.IN_PLATFORM, stamped=True, supports=Side.BUYER)
            after = judge(replace(drawn, evidence=(*drawn.evidence, piece)), policy)
            assert piece in after.standing.counting
            moved[before.outcome, after.outcome] += 1
            if after.outcome is not before.outcome:
                contested = before.decisive.rule is APPEAL_NEEDS_A_PERSON  # in place of a rejection
                better = BETTER_THAN[Outcome.REJECT if contested else before.outcome]
                assert after.outcome in better, (before.decisive.rule.id, after.decisive.rule.id)
            elif before.refund is not None and after.refund is not None:
                assert after.refund.amount == before.refund.amount

    holds()
    assert {before for before, after in moved if before is not after} >= {Outcome.REJECT, Outcome.REQUEST_EVIDENCE}


# --- the same facts, the same answer


@steady
@given(facts(), POLICIES)
def test_the_same_facts_give_the_same_bytes_and_are_left_as_they_were(drawn: Facts, policy: Policy) -> None:
    before = canonical_json(drawn)
    first, second = (decision_text(decision_document(decide(drawn, policy))) for _ in range(2))
    assert first == second
    assert canonical_json(drawn) == before


@steady
@given(facts(), POLICIES, st.randoms(use_true_random=False))
def test_the_order_of_the_records_decides_nothing(drawn: Facts, policy: Policy, random: Any) -> None:
    """Which piece a message names may follow the order; what is decided, and who gets what, does not."""

    def shuffled(records: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.sample(records, len(records)))

    one = judge(drawn, policy)
    lists = shuffled(drawn.payments), shuffled(drawn.deliveries), shuffled(drawn.evidence)
    other = judge(replace(drawn, payments=lists[0], deliveries=lists[1], evidence=lists[2]), policy)
    assert (one.outcome, one.decisive.rule, one.liability, one.refund) == (
        other.outcome,
        other.decisive.rule,
        other.liability,
        other.refund,
    )
    assert {finding.rule.id for finding in one.findings} == {finding.rule.id for finding in other.findings}
    assert one.decisive.until == other.decisive.until


BYTES_OF_ALL = """
import hashlib
from app.rules.decision import decide, decision_document, decision_text, idle_document
from tests.rules.building import a_delivery, a_merchant
from tests.rules.building import facts as dull
from tests.rules.scenario import load_all

whole = hashlib.sha256()
for scenario in load_all():
    decision = decide(scenario.facts, scenario.policy)
    whole.update(decision_text({**decision_document(decision), "idle": idle_document(decision)}).encode())
print(whole.hexdigest())
"""


def test_the_bytes_do_not_depend_on_the_process() -> None:
    digests = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(
            [sys.executable, "-c", BYTES_OF_ALL], cwd=CHECKOUT, env=environment, capture_output=True, check=True
        )
        digests.add(ran.stdout.strip())
    assert len(digests) == 1
    assert len(digests.pop()) == 64


@steady
@given(facts(), POLICIES)
def test_the_short_way_to_what_decides_comes_to_the_same(drawn: Facts, policy: Policy) -> None:
    decisive, verdict = decisive_finding(drawn, policy), judge(drawn, policy)
    assert (decisive.rule, decisive.outcome, decisive.facts) == (
        verdict.decisive.rule,
        verdict.outcome,
        verdict.decisive.facts,
    )


# --- what is said beside the outcome


@settings(steady, max_examples=250)
@given(facts(), POLICIES)
def test_every_counterfactual_is_true_and_leads_elsewhere(drawn: Facts, policy: Policy) -> None:
    decision = decide(drawn, policy)
    if decision.verdict.outcome is Outcome.APPROVE:
        assert decision.would_change == ()
    for found in decision.would_change:
        again = judge(found.change.facts, policy)
        assert (again.outcome, again.decisive.rule.id) == (found.outcome, found.rule)
        assert again.outcome is not decision.verdict.outcome
        assert found.change.facts != drawn
        assert all(readable(text) for text in change_message(found))
    said = [(found.change.path, found.change.value) for found in decision.would_change]
    assert len(said) == len(set(said))


@steady
@given(facts(), POLICIES)
def test_the_deadline_that_carries_the_decisive_rule_is_unique(drawn: Facts, policy: Policy) -> None:
    decision = decide(drawn, policy)
    carrying = [deadline for deadline in decision.deadlines if deadline.rule == decision.verdict.decisive.rule.id]
    course = decision.verdict.standing.course
    if decision.verdict.outcome is Outcome.REJECT and course.appealed_at is not None:
        assert carrying == []  # a second appeal is not to be had
    else:
        [deadline] = carrying
        stands_from = {"evidence_supplement": course.evidence_requested_at, "review": course.review_started_at}
        assert deadline.moment.at > (stands_from.get(deadline.name) or drawn.as_of)
    names = [deadline.name for deadline in decision.deadlines]
    assert len(names) == len(set(names))
    assert decision.next_actions or (carrying == [] and decision.verdict.standing.balance == 0)


def readable(text: str) -> bool:
    return not any(stray in text for stray in ("{", "}", "None", "True", "False", "  ", "()", "（）")) and bool(text)


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def spellings(value: Value) -> tuple[Value, ...]:
    """A value, and without its fraction of a second where it has one."""
    if isinstance(value, datetime):
        return value, value.replace(microsecond=0)
    return (value, value - value % timedelta(seconds=1)) if isinstance(value, timedelta) else (value,)


# Facts that a message leaves out, because its words already say them.
UNSAID = {"remedy-must-be-refund": {"remedy"}, "outside-the-platform": {"via"}, "unused-buyer-error": {"usage"}}


@settings(steady, max_examples=250)
@given(facts(), POLICIES)
def test_every_message_reads_in_both_languages_and_names_its_facts(drawn: Facts, policy: Policy) -> None:
    for finding in judge(drawn, policy).findings:
        zh, en = message(finding)
        assert readable(zh), zh
        assert readable(en), en
        assert zh.endswith("。")
        assert en.endswith(".")
        for name, value in finding.facts.items():
            if name not in UNSAID.get(finding.rule.id, set()):
                assert any(in_words(said)[0] in zh and in_words(said)[1] in en for said in spellings(value)), name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_says_the_same_in_both_languages(rule: Rule) -> None:
    assert placeholders(rule.zh) == placeholders(rule.en)
    assert rule.source.startswith("seed 00")
    for chinese in (rule.zh, rule.when_zh):
        assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)
    for english in (rule.en, rule.when_en):
        assert not any("\u4e00" <= letter <= "\u9fff" for letter in english)


@steady
@given(facts(), POLICIES)
def test_every_rule_is_found_or_idle_and_an_idle_one_says_why(drawn: Facts, policy: Policy) -> None:
    decision = decide(drawn, policy)
    idle = idle_rules(decision.verdict, STATUTORY)
    found = [finding.rule.id for finding in decision.verdict.findings]
    assert sorted(found + [each.rule.id for each in idle]) == sorted(RULE_OF)
    for each in idle:
        assert all(readable(text) for text in each.why), each.why
    assert json.loads(json.dumps(idle_document(decision))) == idle_document(decision)


@steady
@given(facts(), POLICIES)
def test_a_decision_survives_json(drawn: Facts, policy: Policy) -> None:
    document = decision_document(decide(drawn, policy))
    text = decision_text(document)
    assert json.loads(text) == document
    assert decision_text(json.loads(text)) == text
    assert sum(finding["decisive"] for finding in document["findings"]) == 1
    assert [finding["leads_to"] for finding in document["findings"] if finding["decisive"]] == [document["outcome"]]
    assert document["evidence"]["missing"] == sorted(document["evidence"]["missing"])


@settings(steady, max_examples=60)
@given(facts(), POLICIES, st.datetimes(datetime(2000, 1, 1), LATEST.replace(tzinfo=None), timezones=st.timezones()))  # noqa: DTZ001
def test_no_moment_of_judgement_raises(drawn: Facts, policy: Policy, as_of: datetime) -> None:
    decision = decide(replace(drawn, as_of=as_of), policy)
    assert decision_document(decision)["receipt"]["facts_sha256"]
    assert idle_document(decision)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_a_claim_about_no_order_at_all_is_judged_whatever_its_reason(reason: Reason, policy: Policy) -> None:
    for merchant in (None, a_merchant()):
        for deliveries in ((), (a_delivery(usage=Usage.UNKNOWN),)):
            lost = dull(reason, order=None, merchant=merchant, deliveries=deliveries)
            decision = decide(lost, policy)
            assert decision_document(decision)["outcome"] in set(Outcome)
            assert idle_document(decision)


# --- the canonical text


@steady
@given(facts(), facts())
def test_the_canonical_text_tells_facts_apart_and_says_equal_ones_alike(one: Facts, other: Facts) -> None:
    assert (canonical_json(one) == canonical_json(other)) is (one == other)
    assert canonical_json(replace(one)) == canonical_json(one)


def other_than(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case None:
            return "something"
        case StrEnum():
            return next(member for member in type(value) if member is not value)
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + " "
        case datetime():
            return value + timedelta(microseconds=1)
        case timedelta():
            return value + timedelta(seconds=1)
        case frozenset():
            return value ^ {"trial"}
        case tuple():
            return (*value, *value[-1:]) if value else ("something",)
    raise AssertionError(value)


def one_change_each(value: Any) -> list[Any]:
    """The same facts with one leaf changed, for every leaf."""
    changed = []
    for field in fields(value):
        part = getattr(value, field.name)
        if is_dataclass(part):
            changed += [replace(value, **{field.name: each}) for each in one_change_each(part)]
            continue
        if isinstance(part, tuple):
            for place, member in enumerate(part):
                before, after = part[:place], part[place + 1 :]
                lists = [(*before, each, *after) for each in one_change_each(member)]
                changed += [replace(value, **{field.name: each}) for each in lists]
        changed.append(replace(value, **{field.name: other_than(part)}))
    return changed


def test_every_single_fact_is_in_the_canonical_text() -> None:
    longest = max((scenario.facts for scenario in load_all()), key=lambda each: len(canonical_json(each)))
    at = longest.as_of
    ruling = Ruling(Ruled.APPROVE, RulingCode.GOODWILL, at, 100)
    whole = replace(longest, course=Course(at, at, at, at, ruling))
    changed = [canonical_json(each) for each in one_change_each(whole)]
    assert len(changed) > 60
    assert len({canonical_json(whole), *changed}) == len(changed) + 1


def test_the_presets_are_told_apart_by_their_hashes() -> None:
    assert len({policy.sha256 for policy in PRESETS.values()}) == len(PRESETS)
