"""What a judgement shows about good faith: every kind of signal, what is too little for one, and what holds for all."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from app.rules.adjudicate import Verdict, judge
from app.rules.catalogue import RULE_OF
from app.rules.decision import decide, decision_document, plain_value
from app.rules.facts import (
    CardStatus,
    Course,
    Delivery,
    EvidenceKind,
    Facts,
    MerchantResponse,
    Party,
    Position,
    Reason,
    Ruled,
    Ruling,
    RulingCode,
    Side,
    Usage,
    UsedBy,
)
from app.rules.findings import Outcome, Stage
from app.rules.policy import Policy
from app.rules.presets import PRESETS
from app.rules.reasons import MERCHANT_FAULT
from app.rules.signal_words import SIGNALS
from app.rules.signals import Signal, SignalKind, Subject, refund_rate_signal, signals_of
from tests.rules.building import (
    AS_OF,
    DELIVERED_AT,
    FILED_AT,
    a_claim,
    a_delivery,
    a_merchant,
    a_piece,
    an_order,
    facts,
    with_clauses,
)
from tests.rules.scenario import load_all
from tests.rules.strategies import POLICIES
from tests.rules.strategies import facts as drawn_facts
from tests.rules.test_properties import REASONS, steady

STANDARD = PRESETS["standard"]
A_MOMENT = timedelta(microseconds=1)
USED_AT = DELIVERED_AT + timedelta(hours=1)
# The reasons under which there is most to see.
TELLING = st.sampled_from(
    [Reason.INVALID_GOODS, Reason.CHANGE_OF_MIND, Reason.NOT_DELIVERED, Reason.NOT_AS_DESCRIBED, Reason.SHORT_DELIVERY]
)
# Clauses that are read after a decision, so that nothing in its document turns on them. What turns on each is shown
# here, and for the life of a strike and for the second person where these are kept.
READ_AFTER_THE_DECISION = frozenset(
    {"strike_lifetime", "second_review_above", "refund_rate_limit", "refund_rate_orders", "refund_rate_period"}
)


def signals(drawn: Facts, policy: Policy = STANDARD) -> tuple[Signal, ...]:
    verdict = judge(drawn, policy)
    check(verdict)
    return signals_of(verdict)


def kinds(drawn: Facts, policy: Policy = STANDARD) -> set[SignalKind]:
    return {signal.kind for signal in signals(drawn, policy)}


def used(**changes: Any) -> Delivery:
    return a_delivery(**{"usage": Usage.CONSUMED, "used_by": UsedBy.BUYER, "used_at": USED_AT, **changes})


# --- the buyer's claim against the log


def test_saying_that_nothing_came_when_it_had_is_a_strike() -> None:
    [signal] = signals(facts(deliveries=(a_delivery(),)))
    assert signal == Signal(
        subject=Subject.BUYER,
        subject_id="user-5",
        kind=SignalKind.CONTRADICTED_BY_LOG,
        rule="delivered-per-log",
        strike=True,
        facts={"delivered_at": DELIVERED_AT, "complained_at": FILED_AT},
    )


def test_saying_that_too_little_came_when_all_had_is_a_strike() -> None:
    [signal] = signals(facts(Reason.SHORT_DELIVERY, deliveries=(a_delivery(),)))
    assert (signal.kind, signal.rule, signal.strike) == (SignalKind.CONTRADICTED_BY_LOG, "delivered-in-full", True)


def test_a_valid_card_may_have_been_mistyped() -> None:
    [signal] = signals(facts(Reason.INVALID_GOODS, deliveries=(a_delivery(card_status=CardStatus.VALID),)))
    assert (signal.kind, signal.rule, signal.strike) == (SignalKind.CONTRADICTED_BY_LOG, "card-valid", False)


@pytest.mark.parametrize(("after", "seen"), [(-A_MOMENT, True), (timedelta(0), True), (A_MOMENT, False)])
def test_a_claim_that_a_delivery_overtook_was_true(after: timedelta, seen: bool) -> None:
    for reason in (Reason.NOT_DELIVERED, Reason.SHORT_DELIVERY, Reason.INVALID_GOODS):
        delivery = a_delivery(delivered_at=FILED_AT + after, card_status=CardStatus.VALID)
        verdict = judge(facts(reason, deliveries=(delivery,)), STANDARD)
        assert verdict.outcome is Outcome.REJECT
        assert bool(signals_of(verdict)) is seen


def test_the_last_of_several_deliveries_has_to_have_come() -> None:
    both = (a_delivery("D-1", face_value=4000), a_delivery("D-2", face_value=6000))
    assert kinds(facts(deliveries=both)) == {SignalKind.CONTRADICTED_BY_LOG}
    late = (both[0], a_delivery("D-2", face_value=6000, delivered_at=FILED_AT + A_MOMENT))
    assert kinds(facts(deliveries=late)) == set()


@pytest.mark.parametrize(("after", "seen"), [(timedelta(0), True), (-A_MOMENT, False)])
def test_a_complaint_begins_with_the_first_contact(after: timedelta, seen: bool) -> None:
    claim = a_claim(first_contact_at=DELIVERED_AT + after)
    assert (kinds(facts(claim=claim, deliveries=(a_delivery(),))) == {SignalKind.CONTRADICTED_BY_LOG}) is seen


def test_a_first_contact_after_the_claim_moves_nothing() -> None:
    claim = a_claim(first_contact_at=FILED_AT + timedelta(minutes=2))
    late = a_delivery(delivered_at=FILED_AT + timedelta(minutes=1))
    assert kinds(facts(claim=claim, deliveries=(late,))) == set()


def test_mistakes_about_time_and_charges_are_no_signal() -> None:
    in_time = facts(Reason.DELIVERED_LATE, deliveries=(a_delivery(),))
    one_charge, existing, standing = (
        facts(reason) for reason in (Reason.DUPLICATE_CHARGE, Reason.CHARGED_WITHOUT_ORDER, Reason.ORDER_CANCELLED)
    )
    for drawn in (in_time, one_charge, existing, standing):
        verdict = judge(drawn, STANDARD)
        assert verdict.decisive.rule.stage is Stage.CONTRADICTION
        assert signals_of(verdict) == ()


def test_records_that_somebody_disputes_show_nothing() -> None:
    word = a_piece(EvidenceKind.THIRD_PARTY_STATEMENT, party=Party.THIRD_PARTY, supports=Side.BUYER)
    verdict = judge(facts(deliveries=(a_delivery(),), evidence=(word,)), STANDARD)
    assert "delivered-per-log" in {finding.rule.id for finding in verdict.findings}
    assert signals_of(verdict) == ()


def test_what_does_not_decide_shows_nothing() -> None:
    """A claim outside its window is refused for that, and nobody asks what the log says."""
    verdict = judge(facts(claim=a_claim(filed_at=FILED_AT + timedelta(days=200)), deliveries=(a_delivery(),)), STANDARD)
    assert verdict.decisive.rule.id != "delivered-per-log"
    assert signals_of(verdict) == ()


# --- claims after use


def test_using_a_card_and_calling_it_dead_is_a_strike() -> None:
    [signal] = signals(facts(Reason.INVALID_GOODS, deliveries=(used(),)))
    assert (signal.subject, signal.kind, signal.rule) == (
        Subject.BUYER,
        SignalKind.CLAIM_AFTER_USE,
        "used-after-delivery",
    )
    assert signal.strike is True
    assert (signal.facts["used_at"], signal.facts["complained_at"]) == (USED_AT, FILED_AT)


def test_asking_for_the_cooling_off_on_used_goods_is_no_strike() -> None:
    [signal] = signals(facts(Reason.CHANGE_OF_MIND, deliveries=(used(),)))
    assert (signal.kind, signal.rule, signal.strike) == (SignalKind.CLAIM_AFTER_USE, "goods-used", False)
    assert (signal.facts["delivery_no"], signal.facts["used_at"]) == ("D-1", USED_AT)


def test_one_card_left_unused_may_be_the_one_complained_of() -> None:
    valid = a_delivery("D-2", card_status=CardStatus.VALID)
    [signal] = signals(facts(Reason.INVALID_GOODS, deliveries=(used(), valid)))
    assert (signal.kind, signal.strike) == (SignalKind.CLAIM_AFTER_USE, False)
    [signal] = signals(facts(Reason.INVALID_GOODS, deliveries=(used(), used(delivery_no="D-2"))))
    assert (signal.kind, signal.strike) == (SignalKind.CLAIM_AFTER_USE, True)


@pytest.mark.parametrize("by", [UsedBy.OTHER, UsedBy.UNKNOWN])
def test_somebody_elses_use_tells_nothing_of_the_buyer(by: UsedBy) -> None:
    verdict = judge(facts(Reason.WRONG_ACCOUNT, deliveries=(used(used_by=by),)), STANDARD)
    assert verdict.decisive.rule.id == "goods-used"
    assert signals_of(verdict) == ()


@pytest.mark.parametrize(
    ("used_at", "seen"),
    [
        (FILED_AT, True),
        (FILED_AT + A_MOMENT, False),
        (DELIVERED_AT, True),
        (DELIVERED_AT - A_MOMENT, False),
        (None, False),
    ],
)
def test_use_tells_only_between_delivery_and_complaint(used_at: Any, seen: bool) -> None:
    verdict = judge(facts(Reason.CHANGE_OF_MIND, deliveries=(used(used_at=used_at),)), STANDARD)
    assert verdict.decisive.rule.id == "goods-used"
    assert bool(signals_of(verdict)) is seen


def test_a_card_that_worked_after_the_complaint_is_no_strike() -> None:
    verdict = judge(facts(Reason.INVALID_GOODS, deliveries=(used(used_at=FILED_AT + A_MOMENT),)), STANDARD)
    assert verdict.decisive.rule.id == "used-after-delivery"
    assert signals_of(verdict) == ()


# --- files put forward again


@pytest.mark.parametrize("reason", [Reason.NOT_DELIVERED, Reason.CHANGE_OF_MIND])
@pytest.mark.parametrize("delivered", [(), (a_delivery(),), (used(),)])
def test_a_file_put_forward_again_is_a_strike_whatever_the_outcome(
    reason: Reason, delivered: tuple[Delivery, ...]
) -> None:
    again = tuple(a_piece(kind, reused=True) for kind in (EvidenceKind.ERROR_SCREENSHOT, EvidenceKind.CHAT_LOG))
    found = {each.kind: each for each in signals(facts(reason, deliveries=delivered, evidence=again))}
    signal = found[SignalKind.FILE_REUSED]
    assert (signal.subject, signal.rule, signal.strike) == (Subject.BUYER, "abuse-suspected", True)
    assert signal.facts == {"reused": 2, "kinds": (EvidenceKind.CHAT_LOG, EvidenceKind.ERROR_SCREENSHOT)}


@pytest.mark.parametrize("party", Party)
def test_only_the_buyers_own_files_tell_of_the_buyer(party: Party) -> None:
    again = a_piece(EvidenceKind.CHAT_LOG, party=party, reused=True)
    assert (SignalKind.FILE_REUSED in kinds(facts(evidence=(again,)))) is (party is Party.BUYER)


# --- the merchant

DISPUTED = facts(Reason.NOT_AS_DESCRIBED, deliveries=(a_delivery(),))


def answering(position: Position) -> dict[str, Any]:
    return {"merchant": a_merchant(response=MerchantResponse(position, FILED_AT))}


def test_a_merchants_silence_is_a_signal() -> None:
    late = facts(Reason.NOT_AS_DESCRIBED, deliveries=(a_delivery(),), as_of=FILED_AT + timedelta(hours=24))
    [signal] = signals(late)
    assert (signal.subject, signal.subject_id) == (Subject.MERCHANT, "shop-3")
    assert (signal.kind, signal.rule, signal.strike) == (SignalKind.SILENT, "merchant-silent", False)
    assert signals(facts(Reason.NOT_AS_DESCRIBED, deliveries=(a_delivery(),))) == ()


def test_silence_that_decides_nothing_is_no_signal() -> None:
    over = facts(as_of=FILED_AT + timedelta(hours=24))
    assert judge(over, STANDARD).decisive.rule.id == "undelivered-per-log"
    assert signals(over) == ()


@pytest.mark.parametrize("position", Position)
def test_an_objection_that_the_records_refute(position: Position) -> None:
    found = signals(facts(**answering(position)))
    assert [signal.kind for signal in found] == [SignalKind.CONTEST_CONTRADICTED] * (position is Position.CONTEST)
    for signal in found:
        assert (signal.subject, signal.subject_id, signal.rule) == (Subject.MERCHANT, "shop-3", "undelivered-per-log")
        assert (signal.strike, signal.facts["contested_at"]) == (False, FILED_AT)


def test_an_objection_of_tomorrow_is_not_known() -> None:
    merchant = a_merchant(response=MerchantResponse(Position.CONTEST, AS_OF + A_MOMENT))
    assert signals(facts(merchant=merchant)) == ()
    assert len(signals(facts(merchant=a_merchant(response=MerchantResponse(Position.CONTEST, AS_OF))))) == 1


def test_an_objection_to_what_is_not_the_merchants_fault_is_no_signal() -> None:
    returned = facts(Reason.CHANGE_OF_MIND, deliveries=(a_delivery(),), **answering(Position.CONTEST))
    assert judge(returned, STANDARD).decisive.rule.id == "unused-within-cooling-off"
    assert signals(returned) == ()


def test_an_objection_that_a_person_overrules_is_no_signal() -> None:
    ruling = Ruling(Ruled.APPROVE, RulingCode.EVIDENCE_CONVINCES, AS_OF)
    for reason in (Reason.NOT_DELIVERED, Reason.NOT_AS_DESCRIBED):
        ruled = facts(reason, course=Course(ruling=ruling), **answering(Position.CONTEST))
        assert judge(ruled, STANDARD).decisive.rule.id == "granted-by-a-person"
        assert signals(ruled) == ()


def test_a_lie_that_a_person_forgave_is_no_strike() -> None:
    for outcome, code in ((Ruled.APPROVE, RulingCode.GOODWILL), (Ruled.REJECT, RulingCode.GOODS_DELIVERED)):
        ruled = facts(deliveries=(a_delivery(),), course=Course(ruling=Ruling(outcome, code, AS_OF)))
        assert signals(ruled) == ()


@pytest.mark.parametrize("outside", [False, True])
def test_a_card_sold_twice_is_a_signal_whatever_decides(outside: bool) -> None:
    filed_at = FILED_AT + timedelta(days=9 * outside)
    claim = a_claim(Reason.INVALID_GOODS, filed_at=filed_at)
    sold = facts(Reason.INVALID_GOODS, claim=claim, as_of=filed_at, deliveries=(a_delivery(times_sold=2),))
    verdict = judge(sold, STANDARD)
    assert verdict.outcome is (Outcome.REJECT if outside else Outcome.APPROVE)
    [signal] = signals_of(verdict)
    assert (signal.subject, signal.subject_id, signal.kind) == (Subject.MERCHANT, "shop-3", SignalKind.CARD_SOLD_TWICE)
    assert (signal.rule, signal.strike, signal.facts["times_sold"]) == ("card-sold-twice", False, 2)


def test_two_signals_of_a_merchant_come_together() -> None:
    sold = facts(Reason.INVALID_GOODS, deliveries=(a_delivery(times_sold=3),), **answering(Position.CONTEST))
    assert kinds(sold) == {SignalKind.CONTEST_CONTRADICTED, SignalKind.CARD_SOLD_TWICE}


def test_without_an_order_nobody_is_known() -> None:
    again = a_piece(EvidenceKind.FAILURE_PAGE, reused=True)
    assert signals(facts(Reason.CHARGED_WITHOUT_ORDER, order=None, evidence=(again,))) == ()


def test_signals_are_about_the_parties_of_the_order() -> None:
    again = a_piece(EvidenceKind.ERROR_SCREENSHOT, reused=True)
    order = an_order(buyer_id="user-77", merchant_id="shop-88")
    sold = facts(Reason.INVALID_GOODS, order=order, deliveries=(a_delivery(times_sold=2),), evidence=(again,))
    assert {(each.subject, each.subject_id) for each in signals(sold)} == {
        (Subject.BUYER, "user-77"),
        (Subject.MERCHANT, "shop-88"),
    }


# --- the rate of refunds


@pytest.mark.parametrize(
    ("approved", "orders", "seen"),
    [(4, 20, True), (3, 20, False), (4, 21, False), (5, 25, True), (4, 19, False), (19, 19, False), (0, 0, False)],
)
def test_a_rate_is_a_signal_from_the_limit_on_and_among_enough_orders(approved: int, orders: int, seen: bool) -> None:
    assert (refund_rate_signal("shop-3", STANDARD, approved=approved, orders=orders) is not None) is seen


def test_a_rate_says_what_it_was_counted_from() -> None:
    assert refund_rate_signal("shop-3", STANDARD, approved=30, orders=20) == Signal(
        Subject.MERCHANT,
        "shop-3",
        SignalKind.HIGH_REFUND_RATE,
        "refund_rate_limit",
        strike=False,
        facts={"approved": 30, "orders": 20, "limit": 20, "period": timedelta(days=30)},
    )


@pytest.mark.parametrize(("limit", "first"), [(1, 1), (33, 33), (100, 100)])
def test_a_policy_has_a_limit_of_its_own(limit: int, first: int) -> None:
    policy = with_clauses(STANDARD, refund_rate_limit=limit, refund_rate_orders=100, refund_rate_period="P7D")
    assert refund_rate_signal("shop-3", policy, approved=first - 1, orders=100) is None
    signal = refund_rate_signal("shop-3", policy, approved=first, orders=100)
    assert signal is not None
    assert (signal.facts["limit"], signal.facts["period"]) == (limit, timedelta(days=7))


def test_a_policy_may_count_from_the_first_order_or_not_at_all() -> None:
    one = with_clauses(STANDARD, refund_rate_orders=1)
    assert refund_rate_signal("shop-3", one, approved=1, orders=1) is not None
    none = with_clauses(STANDARD, refund_rate_limit="none")
    assert refund_rate_signal("shop-3", none, approved=100, orders=100) is None


# --- what holds for all


def check(verdict: Verdict) -> None:
    found = signals_of(verdict)
    order, reused = verdict.standing.order, any(piece.reused for piece in verdict.standing.facts.evidence)
    assert order is not None or found == ()
    assert len({signal.kind for signal in found}) == len(found)
    for signal in found:
        words = SIGNALS[signal.kind]
        assert signal.subject is words.subject
        assert order is not None
        assert signal.subject_id == (order.buyer_id if signal.subject is Subject.BUYER else order.merchant_id)
        assert signal.rule in words.rules
        assert not signal.strike or signal.rule in words.strikes
        assert signal.rule in {finding.rule.id for finding in verdict.findings}
        if signal.strike and not reused:
            assert verdict.outcome is Outcome.REJECT
        for value in signal.facts.values():
            assert plain_value(value) is not None


def contested(drawn: Facts) -> Facts:
    """The same claim, with a merchant that objects."""
    return replace(drawn, merchant=a_merchant(response=MerchantResponse(Position.CONTEST, drawn.claim.filed_at)))


@settings(steady, max_examples=200)
@given(drawn_facts(REASONS), POLICIES)
def test_it_holds_for_every_verdict(drawn: Facts, policy: Policy) -> None:
    for each in (drawn, contested(drawn)):
        verdict = judge(each, policy)
        event(", ".join(sorted(signal.kind for signal in signals_of(verdict))) or "nothing")
        check(verdict)


def test_it_holds_for_every_scenario_and_each_kind_is_met() -> None:
    met = Counter[tuple[SignalKind, bool]]()
    for scenario in load_all():
        verdict = judge(scenario.facts, scenario.policy)
        check(verdict)
        met.update((signal.kind, signal.strike) for signal in signals_of(verdict))
    assert {kind for kind, _ in met} == set(SignalKind) - {SignalKind.HIGH_REFUND_RATE}


def test_drawn_facts_show_every_kind() -> None:
    met = Counter[SignalKind]()

    @settings(steady, max_examples=600, phases=[Phase.generate])
    @given(drawn_facts(TELLING), POLICIES)
    def count(drawn: Facts, policy: Policy) -> None:
        met.update(kinds(drawn, policy))
        met.update(kinds(contested(drawn), policy))

    count()
    assert set(met) == set(SignalKind) - {SignalKind.HIGH_REFUND_RATE}, met


# --- the catalogue


def test_every_kind_is_in_the_catalogue_in_both_languages() -> None:
    assert list(SIGNALS) == list(SignalKind)
    for words in SIGNALS.values():
        assert all(any("一" <= letter <= "鿿" for letter in text) for text in (words.zh, words.when_zh))
        assert all(text.isascii() and text for text in (words.en, words.when_en))
        assert words.source.startswith("seed 00")


def test_the_rules_of_the_catalogue_exist_and_only_buyers_get_strikes() -> None:
    for kind, words in SIGNALS.items():
        known = {"refund_rate_limit"} if kind is SignalKind.HIGH_REFUND_RATE else RULE_OF.keys()
        assert words.rules
        assert set(words.rules) <= known
        assert words.strikes <= set(words.rules)
        assert bool(words.strikes) is (words.subject is Subject.BUYER)
    refuting = [RULE_OF[rule] for rule in SIGNALS[SignalKind.CONTEST_CONTRADICTED].rules]
    assert all(rule.stage is Stage.CONFIRMATION and any(map(rule.concerns, MERCHANT_FAULT)) for rule in refuting)


def test_nothing_in_a_decision_turns_on_the_clauses_that_are_read_after_it() -> None:
    others: dict[str, str | int] = {"strike_lifetime": "P1D", "second_review_above": 0}
    others |= {"refund_rate_limit": 100, "refund_rate_orders": 1, "refund_rate_period": "P1D"}
    assert others.keys() == READ_AFTER_THE_DECISION
    changed = {name: with_clauses(policy, **others) for name, policy in PRESETS.items()}
    for scenario in load_all():
        policies = (scenario.policy, changed[scenario.policy.name])
        documents = [decision_document(decide(scenario.facts, policy)) for policy in policies]
        receipts = [document.pop("receipt") for document in documents]
        assert documents[0] == documents[1]
        assert receipts[0] != receipts[1]
