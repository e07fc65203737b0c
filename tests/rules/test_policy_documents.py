"""What the presets say, written down a second time; and every way in which a policy document can be wrong."""

import copy
import re
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.rules.canonical import canonical_json, sha256_of
from app.rules.facts import Channel, DeliveryMode, EvidenceKind, Reason, Trait
from app.rules.lengths import Exact, WorkingDays
from app.rules.policy import (
    CountedFrom,
    Coverage,
    DepositUse,
    Policy,
    PolicyInvalid,
    RefundRate,
    ShortDelivery,
    Strictness,
    When,
)
from app.rules.policy_document import policy_from
from app.rules.presets import PRESETS

FOLDER = Path(__file__).parents[2] / "app" / "rules" / "policies"
STANDARD = PRESETS["standard"]

# The table of presets: the standard whole, the others where they say something of their own.
TABLE: dict[str, dict[str, Any]] = {
    "standard": {
        "instant_promise": "PT5M",
        "scheduled_promise": "PT24H",
        "general_window": "P7D",
        "card_window": "PT24H",
        "undelivered_window": "P180D",
        "payment_window": "PT24H",
        "payment_late": "manual_review",
        "cooling_off": "P7D",
        "buyer_mistake": "if_unused",
        "wrong_item": "if_unused",
        "cancelled_by_buyer": "manual_review",
        "settlement_lag": "PT15M",
        "short_delivery": "shortfall_if_used",
        "merchant_turn": "unless_conclusive",
        "merchant_turn_length": "PT24H",
        "merchant_turn_from": "filed",
        "evidence_asked": "unless_conclusive",
        "evidence_supplement": "PT24H",
        "partial_claims": "manual_review",
        "excluded_traits": ["trial", "final_sale", "custom_made"],
        "review": "3 working days",
        "first_answer": "none",
        "money_back_alipay": "3 working days",
        "money_back_wechat_pay": "3 working days",
        "money_back_bank_card": "7 working days",
        "money_back_unionpay": "7 working days",
        "money_back_balance": "PT1H",
        "appeal": "P7D",
        "channel_dispute_shortest": "P180D",
        "channel_dispute_longest": "P180D",
        "court_above": 500_000,
        "notarised_from": 300_000,
        "deposit": "deduct",
        "advance_payout": False,
        "strikes_limit": 2,
        "strike_lifetime": "P365D",
        "second_review_above": "none",
        "refund_rate_limit": 20,
        "refund_rate_orders": 20,
        "refund_rate_period": "P30D",
    },
    "recharge": {
        "scheduled_promise": "PT24H",
        "card_window": "P7D",
        "payment_window": "P7D",
        "payment_late": "reject",
        "cooling_off": "P7D",
        "buyer_mistake": "if_unused",
        "wrong_item": "if_unused",
        "short_delivery": "full",
        "merchant_turn": "never",
        "evidence_asked": "always",
        "review": "5 working days",
        "money_back_alipay": "3 working days",
        "money_back_wechat_pay": "3 working days",
        "money_back_bank_card": "7 working days",
        "money_back_unionpay": "7 working days",
    },
    "consumption": {
        "card_window": "P7D",
        "payment_window": "P7D",
        "cooling_off": "none",
        "buyer_mistake": "not_covered",
        "wrong_item": "not_covered",
        "cancelled_by_buyer": "reject",
        "merchant_turn": "always",
        "merchant_turn_length": "PT24H",
        "merchant_turn_from": "first_contact",
        "evidence_asked": "always",
        "review": "3 working days",
        "advance_payout": True,
        "channel_dispute_shortest": "P15D",
        "channel_dispute_longest": "P180D",
        "court_above": 500_000,
        "notarised_from": 300_000,
    },
    "chargeback": {
        "general_window": "PT24H",
        "card_window": "PT24H",
        "cooling_off": "none",
        "buyer_mistake": "if_unused",
        "wrong_item": "manual_review",
        "merchant_turn": "always",
        "merchant_turn_length": "3 working days",
        "evidence_asked": "always",
        "partial_claims": "manual_review",
        "excluded_traits": ["trial", "final_sale"],
        "review": "3 working days",
        "deposit": "deduct",
    },
    "card_error": {
        "payment_window": "PT24H",
        "payment_late": "manual_review",
        "cooling_off": "none",
        "buyer_mistake": "if_unused",
        "wrong_item": "not_covered",
        "settlement_lag": "PT15M",
        "merchant_turn": "never",
        "evidence_asked": "always",
        "evidence_supplement": "PT24H",
        "review": "7 working days",
        "first_answer": "PT48H",
        "money_back_alipay": "PT1H",
        "money_back_wechat_pay": "PT1H",
        "money_back_bank_card": "3 working days",
        "money_back_unionpay": "3 working days",
        "second_review_above": 500_000,
    },
    "binghui": {
        "instant_promise": "PT5M",
        "general_window": "P7D",
        "card_window": "P7D",
        "payment_window": "P7D",
        "cooling_off": "none",
        "buyer_mistake": "not_covered",
        "wrong_item": "not_covered",
        "merchant_turn": "unless_conclusive",
        "merchant_turn_length": "3 working days",
        "evidence_asked": "always",
        "partial_claims": "reject",
        "excluded_traits": ["account", "custom_made"],
        "review": "3 working days",
        "money_back_alipay": "2 working days",
        "money_back_wechat_pay": "2 working days",
        "money_back_bank_card": "3 working days",
        "money_back_unionpay": "3 working days",
        "deposit": "freeze_first",
    },
}
SEEDS = {"standard": "", "recharge": "000", "consumption": "001", "chargeback": "002"}
SEEDS |= {"card_error": "003", "binghui": "004"}
ORDER, PROOF = EvidenceKind.ORDER_RECORD, EvidenceKind.PAYMENT_PROOF
REQUIRED = {
    Reason.NOT_DELIVERED: (ORDER, PROOF, EvidenceKind.CHAT_LOG),
    Reason.DELIVERED_LATE: (ORDER, PROOF),
    Reason.SHORT_DELIVERY: (ORDER, PROOF, EvidenceKind.RECEIVED_PROOF),
    Reason.INVALID_GOODS: (ORDER, EvidenceKind.ERROR_SCREENSHOT, EvidenceKind.CHAT_LOG),
    Reason.NOT_WORKING: (ORDER, EvidenceKind.ERROR_SCREENSHOT, EvidenceKind.CHAT_LOG),
    Reason.NOT_AS_DESCRIBED: (ORDER, EvidenceKind.LISTING_SNAPSHOT, EvidenceKind.RECEIVED_PROOF),
    Reason.DUPLICATE_CHARGE: (ORDER, PROOF, PROOF),
    Reason.CHARGED_WITHOUT_ORDER: (PROOF, EvidenceKind.FAILURE_PAGE),
    Reason.PAYMENT_INFO_ERROR: (PROOF, EvidenceKind.MERCHANT_STATEMENT),
    Reason.WRONG_TARGET: (PROOF, EvidenceKind.OPERATION_RECORD),
    Reason.WRONG_ACCOUNT: (ORDER, EvidenceKind.OPERATION_RECORD),
    Reason.WRONG_ITEM: (ORDER,),
    Reason.CHANGE_OF_MIND: (ORDER,),
    Reason.ORDER_CANCELLED: (),
    Reason.OTHER: (ORDER,),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_preset_says_what_the_table_says_and_inherits_the_rest(name: str) -> None:
    clauses = PRESETS[name].document["clauses"]
    assert clauses == {**TABLE["standard"], **TABLE[name]}


def test_there_is_a_preset_for_each_column_of_the_table() -> None:
    assert list(PRESETS) == list(TABLE)
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_preset_names_the_clauses_of_its_column_and_a_source_for_each(name: str) -> None:
    document = tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
    assert set(document["clauses"]) == set(TABLE[name])
    policy = PRESETS[name]
    assert set(policy.sources) == {*TABLE["standard"], "evidence_required"}
    assert all(re.fullmatch(r"(seed 00[0-4] §[^;]+)(; seed 00[0-4] §[^;]+)*", each) for each in policy.sources.values())
    assert policy.sources == {**STANDARD.sources, **{key: each["source"] for key, each in document["clauses"].items()}}
    # What is a column's own comes from the seed that the column stands for.
    seed = SEEDS[name]
    assert all(f"seed {seed}" in each["source"] for each in document["clauses"].values())


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_every_preset_asks_for_the_same_evidence(policy: Policy) -> None:
    assert policy.evidence.required == REQUIRED


def test_the_standard_is_read_into_its_own_types() -> None:
    policy = STANDARD
    day = timedelta(days=1)
    assert (policy.name, policy.version) == ("standard", 1)
    assert policy.effective_from == datetime(1999, 12, 31, 16, tzinfo=UTC)
    assert policy.promises == {DeliveryMode.INSTANT: timedelta(minutes=5), DeliveryMode.SCHEDULED: day}
    assert (policy.windows.general, policy.windows.card, policy.windows.undelivered) == (7 * day, day, 180 * day)
    assert (policy.windows.payment, policy.windows.cooling_off) == (day, 7 * day)
    assert (policy.payment_late, policy.settlement_lag) == (Strictness.MANUAL_REVIEW, timedelta(minutes=15))
    assert (policy.buyer_mistake, policy.wrong_item) == (Coverage.IF_UNUSED, Coverage.IF_UNUSED)
    assert policy.cancelled_by_buyer is Strictness.MANUAL_REVIEW
    assert policy.short_delivery is ShortDelivery.SHORTFALL_IF_USED
    turn = policy.merchant_turn
    assert (turn.given, turn.length, turn.counted_from) == (When.UNLESS_CONCLUSIVE, Exact(day), CountedFrom.FILED)
    assert (policy.evidence.asked, policy.evidence.supplement) == (When.UNLESS_CONCLUSIVE, day)
    assert policy.partial_claims is Strictness.MANUAL_REVIEW
    assert policy.excluded_traits == {Trait.TRIAL, Trait.FINAL_SALE, Trait.CUSTOM_MADE}
    assert (policy.review.length, policy.review.first_answer) == (WorkingDays(3), None)
    assert policy.arrival == {
        Channel.ALIPAY: WorkingDays(3),
        Channel.WECHAT_PAY: WorkingDays(3),
        Channel.BANK_CARD: WorkingDays(7),
        Channel.UNIONPAY: WorkingDays(7),
        Channel.BALANCE: Exact(timedelta(hours=1)),
    }
    escalation = policy.escalation
    assert (escalation.appeal, escalation.court_above, escalation.notarised_from) == (7 * day, 500_000, 300_000)
    assert escalation.channel_dispute_shortest == escalation.channel_dispute_longest == 180 * day
    assert (policy.deposit, policy.advance_payout, policy.strikes_limit) == (DepositUse.DEDUCT, False, 2)
    assert (policy.strike_lifetime, policy.second_review_above) == (365 * day, None)
    assert policy.refund_rate == RefundRate(limit=20, orders=20, period=30 * day)


def test_other_presets_are_read_into_their_own_types() -> None:
    consumption, chargeback, card_error = PRESETS["consumption"], PRESETS["chargeback"], PRESETS["card_error"]
    assert consumption.windows.cooling_off is None
    assert consumption.merchant_turn.counted_from is CountedFrom.FIRST_CONTACT
    assert consumption.escalation.channel_dispute_shortest == timedelta(days=15)
    assert consumption.advance_payout is True
    assert chargeback.windows.general == timedelta(hours=24)
    assert chargeback.merchant_turn.length == WorkingDays(3)
    assert card_error.review.first_answer == Exact(timedelta(hours=48))
    assert card_error.second_review_above == 500_000
    assert PRESETS["binghui"].deposit is DepositUse.FREEZE_FIRST


def test_a_rate_of_refunds_without_a_limit_is_not_looked_at() -> None:
    unwatched = policy_from(own(clauses={"refund_rate_limit": clause("none")}), base=STANDARD)
    assert unwatched.refund_rate is None
    assert unwatched.document["clauses"] == {**TABLE["standard"], "refund_rate_limit": "none"}


def test_a_policys_hash_is_of_what_it_comes_to() -> None:
    for policy in PRESETS.values():
        assert policy.sha256 == sha256_of(canonical_json(policy.document))
    said_again = {**own(), "clauses": {"review": {"value": "3 working days", "source": "another source"}}}
    assert policy_from(said_again, base=STANDARD).sha256 == policy_from(own(), base=STANDARD).sha256


# --- documents that are wrong


def own(**changes: Any) -> dict[str, Any]:
    """A site's own document that changes nothing of the standard."""
    return {
        "name": "own",
        "version": 1,
        "effective_from": datetime(2026, 1, 1, tzinfo=UTC),
        "title_en": "Our own",
        "title_zh": "本站规则",
        **changes,
    }


def test_a_document_of_headings_alone_is_its_base_under_another_name() -> None:
    policy = policy_from(own(), base=STANDARD)
    assert policy.document["clauses"] == STANDARD.document["clauses"]
    assert policy.evidence == STANDARD.evidence
    assert policy.sources == STANDARD.sources
    assert policy.sha256 != STANDARD.sha256


def test_one_list_of_evidence_may_be_changed_alone() -> None:
    lists = {"source": "our own", "other": ["order_record", "chat_log"]}
    policy = policy_from(own(evidence_required=lists), base=STANDARD)
    assert policy.evidence.required == {**REQUIRED, Reason.OTHER: (ORDER, EvidenceKind.CHAT_LOG)}
    assert policy.sources["evidence_required"] == "our own"


def clause(value: Any, source: Any = "our own") -> dict[str, Any]:
    return {"value": value, "source": source}


SPANS = (
    "instant_promise",
    "scheduled_promise",
    "general_window",
    "card_window",
    "undelivered_window",
    "payment_window",
    "settlement_lag",
    "evidence_supplement",
    "appeal",
    "channel_dispute_shortest",
    "channel_dispute_longest",
    "strike_lifetime",
    "refund_rate_period",
)
LENGTHS = ("merchant_turn_length", "review", *(f"money_back_{channel}" for channel in Channel))
OPTIONAL = ("cooling_off", "first_answer")
CHOICES = (
    "payment_late",
    "buyer_mistake",
    "wrong_item",
    "cancelled_by_buyer",
    "short_delivery",
    "merchant_turn",
    "merchant_turn_from",
    "evidence_asked",
    "partial_claims",
    "deposit",
)
COUNTS = ("court_above", "notarised_from", "strikes_limit", "refund_rate_orders")
OPTIONAL_COUNTS = ("second_review_above", "refund_rate_limit")
NOT_A_SPAN: tuple[Any, ...] = (
    "PT0S",
    "-PT1H",
    "P1M",
    "P99999999D",
    "1h",
    "PT1.5H",
    "",
    "3 working days",
    5,
    None,
    True,
    [],
)
NOT_A_CHOICE: tuple[Any, ...] = ("perhaps", "", None, 1, [], {}, "ALWAYS", "Reject")
NOT_A_COUNT_OR_NONE: tuple[Any, ...] = (-1, 1.0, "2", "20%", "None", "", True, False, None, [])
WRONG_VALUES: list[tuple[str, Any]] = [
    *((name, value) for name in SPANS for value in (*NOT_A_SPAN, "none")),
    *((name, value) for name in LENGTHS for value in ("PT0S", "0 working days", "3 workdays", "none", 3, None)),
    *((name, value) for name in OPTIONAL for value in ("None", "", None, False, "P1M")),
    *((name, value) for name in CHOICES for value in NOT_A_CHOICE),
    *((name, value) for name in COUNTS for value in (-1, 1.0, "2", True, None, "none")),
    *((name, value) for name in OPTIONAL_COUNTS for value in NOT_A_COUNT_OR_NONE),
    *(("advance_payout", value) for value in ("yes", 1, 0, None, "true")),
    *(("excluded_traits", value) for value in (["heavy"], "trial", 5, None, [["trial"]], [1])),
]


def test_every_clause_has_wrong_values_to_try() -> None:
    assert {name for name, _ in WRONG_VALUES} == set(TABLE["standard"])


@pytest.mark.parametrize(("name", "value"), WRONG_VALUES, ids=str)
def test_a_value_that_cannot_be_read_is_refused_naming_its_clause(name: str, value: Any) -> None:
    with pytest.raises(PolicyInvalid, match=f"^{name}: "):
        policy_from(own(clauses={name: clause(value)}), base=STANDARD)


@pytest.mark.parametrize(
    ("clauses", "named"),
    [
        ({"cooling_off": clause("P15DT1S")}, "cooling_off"),
        ({"evidence_asked": clause("never")}, "evidence_asked"),
        ({"payment_late": clause("allow")}, "payment_late"),
        ({"cancelled_by_buyer": clause("allow")}, "cancelled_by_buyer"),
        ({"channel_dispute_shortest": clause("P181D")}, "channel_dispute"),
        ({"channel_dispute_longest": clause("P179D")}, "channel_dispute"),
        ({"strikes_limit": clause(0)}, "strikes_limit"),
        ({"refund_rate_limit": clause(0)}, "refund_rate_limit"),
        ({"refund_rate_limit": clause(101)}, "refund_rate_limit"),
        ({"refund_rate_orders": clause(0)}, "refund_rate_orders"),
        ({"refund_rate_limit": clause("none"), "refund_rate_orders": clause("many")}, "refund_rate_orders"),
        ({"refund_rate_limit": clause("none"), "refund_rate_period": clause("none")}, "refund_rate_period"),
        ({"colour": clause("red")}, "colour"),
        ({"review": "3 working days"}, "review"),
        ({"review": None}, "review"),
        ({"review": ["3 working days", "our own"]}, "review"),
        ({"review": {"value": "3 working days"}}, "review"),
        ({"review": {"source": "our own"}}, "review"),
        ({"review": {**clause("3 working days"), "note": "x"}}, "review"),
        ({"review": clause("3 working days", "")}, "review"),
        ({"review": clause("3 working days", "  ")}, "review"),
        ({"review": clause("3 working days", None)}, "review"),
        ({"review": clause("3 working days", 4)}, "review"),
    ],
    ids=str,
)
def test_a_clause_that_cannot_hold_is_refused(clauses: dict[str, Any], named: str) -> None:
    with pytest.raises(PolicyInvalid, match=f"^{named}: "):
        policy_from(own(clauses=clauses), base=STANDARD)


@pytest.mark.parametrize(
    ("lists", "named"),
    [
        ({"source": "our own", "boredom": []}, "evidence_required"),
        ({"source": "our own", "other": ["a_hunch"]}, "evidence_required.other"),
        ({"source": "our own", "other": "order_record"}, "evidence_required.other"),
        ({"source": "our own", "other": 5}, "evidence_required.other"),
        ({"source": "our own", "other": None}, "evidence_required.other"),
        ({"source": "our own", "other": [["order_record"]]}, "evidence_required.other"),
        ({"other": []}, "evidence_required"),
        ({"source": "", "other": []}, "evidence_required"),
        ([], "evidence_required"),
        (None, "evidence_required"),
    ],
    ids=str,
)
def test_lists_of_evidence_that_cannot_be_read_are_refused(lists: Any, named: str) -> None:
    with pytest.raises(PolicyInvalid, match=f"^{re.escape(named)}: "):
        policy_from(own(evidence_required=lists), base=STANDARD)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"version": 0}, "version"),
        ({"version": -1}, "version"),
        ({"version": "1"}, "version"),
        ({"version": True}, "version"),
        ({"version": 1.0}, "version"),
        ({"name": 5}, "name"),
        ({"title_en": None}, "title_en"),
        ({"title_zh": 5}, "title_zh"),
        ({"effective_from": "2026-01-01"}, "effective_from"),
        ({"effective_from": datetime(2026, 1, 1)}, "effective_from"),  # noqa: DTZ001
        ({"clauses": []}, "clauses"),
        ({"clauses": None}, "clauses"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_headings_that_cannot_be_read_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(PolicyInvalid, match=f"^{named}: "):
        policy_from(own(**changes), base=STANDARD)


@pytest.mark.parametrize("heading", ["name", "version", "effective_from", "title_en", "title_zh"])
def test_a_heading_that_is_missing_is_named(heading: str) -> None:
    document = own()
    del document[heading]
    with pytest.raises(PolicyInvalid, match=f"^{heading}: "):
        policy_from(document, base=STANDARD)


def whole() -> dict[str, Any]:
    return copy.deepcopy(tomllib.loads((FOLDER / "standard.toml").read_text("utf-8")))


@pytest.mark.parametrize("name", TABLE["standard"])
def test_a_document_without_a_base_needs_every_clause(name: str) -> None:
    document = whole()
    del document["clauses"][name]
    with pytest.raises(PolicyInvalid, match=f"^{name}: missing"):
        policy_from(document)


@pytest.mark.parametrize("reason", Reason)
def test_a_document_without_a_base_needs_a_list_for_every_reason(reason: Reason) -> None:
    document = whole()
    del document["evidence_required"][reason]
    with pytest.raises(PolicyInvalid, match=r"^evidence_required: "):
        policy_from(document)


def test_a_document_without_a_base_may_not_name_other_clauses() -> None:
    document = whole()
    document["clauses"]["colour"] = clause("red")
    with pytest.raises(PolicyInvalid, match=r"^colour: no such clause"):
        policy_from(document)


LIMITS_KEPT: list[Callable[[], Policy]] = [
    lambda: policy_from(own(clauses={"cooling_off": clause("P15D")}), base=STANDARD),
    lambda: policy_from(own(clauses={"card_window": clause("P3650D")}), base=STANDARD),
    lambda: policy_from(own(clauses={"strikes_limit": clause(1)}), base=STANDARD),
    lambda: policy_from(own(clauses={"court_above": clause(0)}), base=STANDARD),
    lambda: policy_from(own(clauses={"second_review_above": clause(0)}), base=STANDARD),
    lambda: policy_from(own(clauses={"refund_rate_limit": clause(1)}), base=STANDARD),
    lambda: policy_from(own(clauses={"refund_rate_limit": clause(100)}), base=STANDARD),
    lambda: policy_from(own(clauses={"refund_rate_orders": clause(1)}), base=STANDARD),
    lambda: policy_from(own(clauses={"excluded_traits": clause([])}), base=STANDARD),
    lambda: policy_from(own(clauses={"merchant_turn": clause("never")}), base=STANDARD),
    lambda: policy_from(own(clauses={"partial_claims": clause("allow")}), base=STANDARD),
]


@pytest.mark.parametrize("read", LIMITS_KEPT)
def test_the_last_value_that_is_allowed_is_read(read: Callable[[], Policy]) -> None:
    assert read().name == "own"


def test_reading_a_document_changes_neither_it_nor_its_base() -> None:
    document = own(clauses={"review": clause("9 working days")}, evidence_required={"source": "s", "other": []})
    kept, base = copy.deepcopy(document), copy.deepcopy(dict(STANDARD.document))
    policy = policy_from(document, base=STANDARD)
    assert policy.review.length == WorkingDays(9)
    assert document == kept
    assert dict(STANDARD.document) == base
