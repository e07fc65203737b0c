"""The rules by their stages, written down a second time, and what each may lead to."""

from collections import defaultdict

from app.rules.adjudicate import judge
from app.rules.catalogue import RULE_OF, RULES, STAGE_NAMES
from app.rules.facts import Reason
from app.rules.findings import Effect, Outcome, Stage
from app.rules.reasons import MERCHANT_FAULT, PAYMENT_REASONS, PLATFORM_FAULT, REASONS, Fault
from tests.rules.scenario import load_all

STAGES = {
    Stage.RULING: ["granted-by-a-person", "refused-by-a-person", "appeal-needs-a-person"],
    Stage.CANCELLATION: ["cancelled-by-seller"],
    Stage.FORM: [
        "remedy-must-be-refund",
        "outside-the-platform",
        "nothing-to-refund",
        "duplicates-went-back",
        "amount-exceeds-paid",
        "amount-differs-from-order",
        "reason-evidence-mismatch",
    ],
    Stage.TOO_EARLY: ["not-yet-due", "settlement-lag"],
    Stage.TOO_LATE: ["report-window"],
    Stage.EXCLUSIONS: ["reason-not-covered", "buyer-error", "special-goods", "goods-used"],
    Stage.CONTRADICTION: [
        "records-disputed",
        "delivered-per-log",
        "delivered-in-time",
        "delivered-in-full",
        "used-after-delivery",
        "card-valid",
        "no-duplicate-found",
        "order-exists",
        "not-cancelled",
    ],
    Stage.EVIDENCE: ["evidence-incomplete"],
    Stage.GOOD_FAITH: ["abuse-suspected", "cancelled-by-buyer"],
    Stage.MERCHANT_TURN: [
        "merchant-accepts",
        "used-goods",
        "merchant-unreachable",
        "merchant-turn",
        "merchant-silent",
        "merchant-contests",
    ],
    Stage.CONFIRMATION: [
        "undelivered-per-log",
        "late-per-log",
        "short-per-log",
        "card-invalid",
        "card-sold-twice",
        "card-used-before-delivery",
        "third-party-confirms",
        "duplicate-confirmed",
        "charge-without-order",
        "unused-within-cooling-off",
        "unused-buyer-error",
    ],
    Stage.A_PERSON: ["needs-a-person"],
    Stage.NOTE: [
        "payment-of-another-order",
        "payment-still-pending",
        "card-not-single-use",
        "usage-unknown",
        "seller-unverified",
        "notarised-evidence-suggested",
        "first-answer-promised",
        "channel-dispute-open",
        "channel-dispute-depends",
    ],
}
NO_FAULT = {Reason.WRONG_ITEM, Reason.CHANGE_OF_MIND}
MISDIRECTED = {Reason.WRONG_TARGET, Reason.WRONG_ACCOUNT}
PAYMENT_PLATFORM = {Reason.DUPLICATE_CHARGE, Reason.CHARGED_WITHOUT_ORDER, Reason.PAYMENT_INFO_ERROR}
# The reasons that a rule is looked at for; all of them where it is not named.
CONCERNS: dict[str, set[Reason]] = {
    "duplicates-went-back": {Reason.DUPLICATE_CHARGE},
    "no-duplicate-found": {Reason.DUPLICATE_CHARGE},
    "duplicate-confirmed": {Reason.DUPLICATE_CHARGE},
    "amount-differs-from-order": set(Reason) - PAYMENT_PLATFORM - {Reason.SHORT_DELIVERY},
    "reason-evidence-mismatch": {reason for reason, terms in REASONS.items() if terms.primary is not None},
    "not-yet-due": {Reason.NOT_DELIVERED, Reason.DELIVERED_LATE},
    "undelivered-per-log": {Reason.NOT_DELIVERED, Reason.DELIVERED_LATE},
    "settlement-lag": {Reason.DUPLICATE_CHARGE, Reason.CHARGED_WITHOUT_ORDER},
    "report-window": set(Reason) - {Reason.ORDER_CANCELLED, Reason.OTHER},
    "reason-not-covered": NO_FAULT,
    "unused-within-cooling-off": NO_FAULT,
    "buyer-error": set(Reason) - PAYMENT_PLATFORM,
    "cancelled-by-buyer": set(Reason) - PAYMENT_PLATFORM - {Reason.ORDER_CANCELLED},
    "special-goods": NO_FAULT | MISDIRECTED,
    "goods-used": NO_FAULT | MISDIRECTED | {Reason.DELIVERED_LATE},
    "usage-unknown": NO_FAULT | MISDIRECTED | {Reason.DELIVERED_LATE},
    "delivered-per-log": {Reason.NOT_DELIVERED},
    "delivered-in-time": {Reason.DELIVERED_LATE},
    "late-per-log": {Reason.DELIVERED_LATE},
    "delivered-in-full": {Reason.SHORT_DELIVERY},
    "short-per-log": {Reason.SHORT_DELIVERY},
    "used-after-delivery": {Reason.INVALID_GOODS},
    "card-valid": {Reason.INVALID_GOODS},
    "card-invalid": {Reason.INVALID_GOODS},
    "card-sold-twice": {Reason.INVALID_GOODS},
    "card-used-before-delivery": {Reason.INVALID_GOODS},
    "card-not-single-use": {Reason.INVALID_GOODS},
    "order-exists": {Reason.CHARGED_WITHOUT_ORDER},
    "charge-without-order": {Reason.CHARGED_WITHOUT_ORDER},
    "not-cancelled": {Reason.ORDER_CANCELLED},
    **{rule: set(MERCHANT_FAULT) for rule in STAGES[Stage.MERCHANT_TURN]},
    "used-goods": {Reason.NOT_WORKING, Reason.NOT_AS_DESCRIBED},
    "third-party-confirms": {Reason.INVALID_GOODS, Reason.NOT_WORKING},
    "unused-buyer-error": MISDIRECTED,
}
# What a rule may come to by the effect that it declares.
LEADS_TO: dict[Effect, set[Outcome | None]] = {
    Effect.SUPPORTS: {Outcome.APPROVE, Outcome.MANUAL_REVIEW},
    Effect.BLOCKS: {Outcome.REJECT, Outcome.MANUAL_REVIEW},
    Effect.DEFERS: {Outcome.WAIT, Outcome.REQUEST_EVIDENCE, Outcome.AWAIT_MERCHANT, Outcome.MANUAL_REVIEW},
    Effect.NOTES: {None},
}


def test_every_rule_stands_in_its_stage() -> None:
    stages = defaultdict(set)
    for rule in RULES:
        stages[rule.stage].add(rule.id)
    assert stages == {stage: set(rules) for stage, rules in STAGES.items()}
    assert set(STAGE_NAMES) == set(Stage)


def test_the_catalogue_keeps_the_order_of_the_stages_and_names_each_rule_once() -> None:
    assert [rule.stage for rule in RULES] == sorted(rule.stage for rule in RULES)
    assert list(RULE_OF) == [rule.id for rule in RULES]
    assert len(RULE_OF) == len(RULES)


def test_a_rule_leads_where_its_effect_says() -> None:
    for scenario in load_all():
        for finding in judge(scenario.facts, scenario.policy).findings:
            assert finding.outcome in LEADS_TO[finding.rule.effect], finding.rule.id


def test_a_rule_concerns_the_reasons_that_it_is_about() -> None:
    for rule in RULES:
        assert {reason for reason in Reason if rule.concerns(reason)} == CONCERNS.get(rule.id, set(Reason)), rule.id


def test_rules_look_only_at_facts_that_have_a_name() -> None:
    for rule in RULES:
        assert len(set(rule.looks_at)) == len(rule.looks_at)


def test_who_answers_for_each_reason() -> None:
    merchant = {
        Reason.NOT_DELIVERED,
        Reason.DELIVERED_LATE,
        Reason.SHORT_DELIVERY,
        Reason.INVALID_GOODS,
        Reason.NOT_WORKING,
        Reason.NOT_AS_DESCRIBED,
    }
    platform = {Reason.DUPLICATE_CHARGE, Reason.CHARGED_WITHOUT_ORDER}
    nobody = {Reason.ORDER_CANCELLED, Reason.OTHER}
    assert merchant == MERCHANT_FAULT
    assert platform == PLATFORM_FAULT
    assert {reason for reason, terms in REASONS.items() if terms.fault is Fault.NOBODY} == nobody
    assert {reason for reason, terms in REASONS.items() if terms.fault is Fault.BUYER} == (
        set(Reason) - merchant - platform - nobody
    )
    assert platform | {Reason.PAYMENT_INFO_ERROR, Reason.WRONG_TARGET} == PAYMENT_REASONS


def test_what_each_reason_cannot_do_without() -> None:
    primary = {reason.value: terms.primary for reason, terms in REASONS.items() if terms.primary is not None}
    assert primary == {
        "short_delivery": "received_proof",
        "invalid_goods": "error_screenshot",
        "not_working": "error_screenshot",
        "not_as_described": "listing_snapshot",
        "charged_without_order": "failure_page",
        "payment_info_error": "merchant_statement",
        "wrong_target": "operation_record",
    }
