"""The rules that did not fire name what their conditions turned on, as the records have it."""

from typing import Any

from app.rules.adjudicate import judge
from app.rules.calendar import STATUTORY
from app.rules.decision import decide, idle_document
from app.rules.facts import (
    Buyer,
    CancelledBy,
    CardStatus,
    CardUse,
    Course,
    EvidenceKind,
    Facts,
    MerchantResponse,
    MerchantStatus,
    OrderStatus,
    Party,
    PaymentStatus,
    Position,
    Reason,
    Ruled,
    Ruling,
    RulingCode,
    Side,
    Terms,
    Trait,
    Usage,
    UsedBy,
)
from app.rules.idle import idle_rules
from app.rules.presets import PRESETS
from tests.rules.building import (
    AS_OF,
    DELIVERED_AT,
    PAID_AT,
    a_claim,
    a_delivery,
    a_merchant,
    a_payment,
    a_piece,
    an_order,
    facts,
)

# What turns on the reason itself is tried apart.
OF_THE_REASON = {"window_ends_at", "evidence_missing"}


def seen_in(drawn: Facts, policy: str = "standard") -> dict[str, Any]:
    """Every fact that an idle rule names, whatever the reason; one name has one value."""
    seen: dict[str, Any] = {}
    for reason in Reason:
        claim = a_claim(reason, amount=drawn.claim.amount)
        again = Facts(**{**{name: getattr(drawn, name) for name in Facts.__dataclass_fields__}, "claim": claim})
        for idle in idle_document(decide(again, PRESETS[policy])):
            for name in idle["facts"].keys() - OF_THE_REASON:
                assert seen.setdefault(name, idle["facts"][name]) == idle["facts"][name]
    return seen


def test_a_bare_claim() -> None:
    bare = facts(payments=(), evidence=(), merchant=None, order=None)
    assert seen_in(bare, "recharge") == {
        "remedy": "refund",
        "via": "platform",
        "claimed": None,
        "filed_at": "2026-04-13T14:00:00+08:00",
        "policy": "recharge",
        "settlement_lag": "PT15M",
        "strikes": 0,
        "ruling": None,
        "appealed_at": None,
        "order_status": "missing",
        "cancelled_by": None,
        "traits": [],
        "refundable": None,
        "card_use": None,
        "balance": 0,
        "last_paid_at": None,
        "succeeded_payments": 0,
        "due_at": None,
        "delivered_at": None,
        "delivered_value": 0,
        "ordered_value": None,
        "usage": "unused",
        "used_at": None,
        "used_by": [],
        "card_status": [],
        "times_sold": 0,
        "evidence_put_forward": [],
        "reused_files": 0,
        "third_party_statement": False,
        "bank_statement": False,
        "merchant_status": None,
        "merchant_position": None,
        "merchant_deadline": "2026-04-14T14:00:00+08:00",
    }


def test_a_claim_with_everything_on_record() -> None:
    rich = facts(
        claim=a_claim(amount=30000),
        order=an_order(
            status=OrderStatus.COMPLETED,
            cancelled_by=CancelledBy.BUYER,
            goods={
                "traits": frozenset({Trait.TRIAL, Trait.ACCOUNT}),
                "terms": Terms(refundable=True),
                "card_use": CardUse.SHARED,
            },
        ),
        payments=(
            a_payment("T-1", amount=10000),
            a_payment("T-2", amount=20000, refunded_amount=1, paid_at=AS_OF - (AS_OF - PAID_AT) / 2),
            a_payment("T-3", amount=500, status=PaymentStatus.PENDING),
        ),
        deliveries=(
            a_delivery("D-1", usage=Usage.UNKNOWN, used_at=DELIVERED_AT, card_status=CardStatus.VALID),
            a_delivery("D-2", face_value=5, used_by=UsedBy.OTHER, used_at=PAID_AT, times_sold=3),
        ),
        evidence=(
            a_piece(EvidenceKind.THIRD_PARTY_STATEMENT, party=Party.THIRD_PARTY, supports=Side.BUYER),
            a_piece(EvidenceKind.BANK_STATEMENT, supports=Side.BUYER),
            a_piece(EvidenceKind.CHAT_LOG),
            a_piece(EvidenceKind.OTHER, reused=True, party=Party.MERCHANT),
        ),
        merchant=a_merchant(status=MerchantStatus.SUSPENDED, response=MerchantResponse(Position.OFFER_REISSUE, AS_OF)),
        buyer=Buyer(1),
        course=Course(appealed_at=AS_OF, ruling=Ruling(Ruled.REJECT, RulingCode.OTHER, AS_OF)),
    )
    seen = seen_in(rich)
    expected = {
        "claimed": 30000,
        "strikes": 1,
        "reused_files": 0,
        "order_status": "completed",
        "cancelled_by": "buyer",
        "refundable": True,
        "card_use": "shared",
        "balance": 30499,
        "last_paid_at": "2026-04-13T12:00:10+08:00",
        "succeeded_payments": 2,
        "due_at": "2026-04-13T09:05:20+08:00",
        "delivered_at": "2026-04-13T09:03:00+08:00",
        "delivered_value": 10005,
        "ordered_value": 10000,
        "usage": "unknown",
        "used_at": "2026-04-13T09:03:00+08:00",
        "times_sold": 3,
        "third_party_statement": True,
        "merchant_status": "suspended",
        "merchant_position": "offer_reissue",
        "ruling": "reject",
        "appealed_at": "2026-04-13T15:00:00+08:00",
    }
    assert {name: seen[name] for name in expected} == expected
    assert seen["used_by"] == ["unknown", "other"]
    assert seen["card_status"] == ["valid", "unknown"]
    assert seen["traits"] == ["account", "trial"]
    assert seen["evidence_put_forward"] == ["third_party_statement", "bank_statement", "chat_log", "other"]


def test_a_statement_is_named_only_where_it_counts_and_speaks_for_the_buyer() -> None:
    for kind, name in (
        (EvidenceKind.THIRD_PARTY_STATEMENT, "third_party_statement"),
        (EvidenceKind.BANK_STATEMENT, "bank_statement"),
    ):
        for supports in (Side.BUYER, Side.MERCHANT, None):
            seen = seen_in(facts(evidence=(a_piece(kind, supports=supports),)))
            assert seen[name] is (supports is Side.BUYER)
        assert seen_in(facts(evidence=(a_piece(kind, supports=Side.BUYER, order_no="K-9"),)))[name] is False


def test_what_turns_on_the_reason() -> None:
    def named(reason: Reason, name: str, **changes: Any) -> Any:
        document = idle_document(decide(facts(reason, **changes), PRESETS["standard"]))
        [value] = [each["facts"][name] for each in document if name in each["facts"]][:1]
        return value

    assert named(Reason.NOT_DELIVERED, "window_ends_at") == "2026-10-10T09:00:20+08:00"
    assert named(Reason.CHANGE_OF_MIND, "window_ends_at") == "2026-04-20T09:00:20+08:00"
    assert named(Reason.NOT_WORKING, "window_ends_at") is None
    assert named(Reason.NOT_DELIVERED, "evidence_missing", evidence=()) == ["chat_log"]


def test_idle_rules_come_in_the_order_of_the_stages() -> None:
    idle = idle_rules(judge(facts(), PRESETS["standard"]), STATUTORY)
    stages = [each.rule.stage for each in idle if each.rule.id != "used-goods"]
    assert stages == sorted(stages)
    assert {each.rule.id for each in idle}.isdisjoint({"undelivered-per-log", "needs-a-person"})
