"""Every member of every closed set, one after another, where the rules tell them apart."""

import pytest

from app.rules.adjudicate import judge
from app.rules.facts import (
    CancelledBy,
    CardStatus,
    CardUse,
    ChatChannel,
    EvidenceKind,
    Facts,
    MerchantResponse,
    MerchantStatus,
    OrderStatus,
    Party,
    PaymentStatus,
    Position,
    Reason,
    Side,
    Terms,
    Trait,
    Usage,
    UsedBy,
)
from app.rules.policy import Policy
from app.rules.presets import PRESETS
from app.rules.weighing import Discount
from tests.rules.building import (
    AS_OF,
    DELIVERED_AT,
    a_delivery,
    a_merchant,
    a_payment,
    a_piece,
    an_order,
    facts,
    with_clauses,
)

STANDARD = PRESETS["standard"]
UNPAID = {OrderStatus.PENDING_PAYMENT, OrderStatus.PAYING, OrderStatus.PAYMENT_FAILED}
USED = {Usage.ACTIVATED, Usage.CONSUMED}
UNUSED_ONLY = {
    Reason.WRONG_ITEM,
    Reason.CHANGE_OF_MIND,
    Reason.WRONG_ACCOUNT,
    Reason.WRONG_TARGET,
    Reason.DELIVERED_LATE,
}


def found(drawn: Facts, preset: str = "standard") -> set[str]:
    return {finding.rule.id for finding in judge(drawn, PRESETS[preset]).findings}


@pytest.mark.parametrize("status", OrderStatus)
def test_the_status_of_an_order(status: OrderStatus) -> None:
    charged = found(facts(Reason.CHARGED_WITHOUT_ORDER, order=an_order(status=status)))
    assert ("charge-without-order" in charged) is (status in UNPAID | {OrderStatus.CANCELLED})
    assert ("order-exists" in charged) is (status not in UNPAID | {OrderStatus.CANCELLED})
    cancelled = found(facts(Reason.ORDER_CANCELLED, order=an_order(status=status)))
    assert ("not-cancelled" in cancelled) is (status is not OrderStatus.CANCELLED)
    by_merchant = found(facts(order=an_order(status=status, cancelled_by=CancelledBy.MERCHANT)))
    assert ("cancelled-by-seller" in by_merchant) is (status is OrderStatus.CANCELLED)
    by_buyer = facts(order=an_order(status=status, cancelled_by=CancelledBy.BUYER))
    assert ("cancelled-by-buyer" in found(by_buyer)) is (status is OrderStatus.CANCELLED)
    assert ("buyer-error" in found(by_buyer, "consumption")) is (status is OrderStatus.CANCELLED)


@pytest.mark.parametrize("by", [None, *CancelledBy])
def test_who_cancelled_an_order(by: CancelledBy | None) -> None:
    cancelled = facts(order=an_order(status=OrderStatus.CANCELLED, cancelled_by=by))
    assert ("cancelled-by-seller" in found(cancelled)) is (by in {CancelledBy.MERCHANT, CancelledBy.PLATFORM})
    assert ("cancelled-by-buyer" in found(cancelled)) is (by is CancelledBy.BUYER)
    assert ("buyer-error" in found(cancelled, "consumption")) is (by is CancelledBy.BUYER)
    assert "cancelled-by-buyer" not in found(cancelled, "consumption")
    assert "buyer-error" not in found(cancelled)


@pytest.mark.parametrize("reason", Reason)
def test_for_which_reasons_a_cancellation_by_the_buyer_matters(reason: Reason) -> None:
    cancelled = facts(reason, order=an_order(status=OrderStatus.CANCELLED, cancelled_by=CancelledBy.BUYER))
    the_platforms = {Reason.DUPLICATE_CHARGE, Reason.CHARGED_WITHOUT_ORDER, Reason.PAYMENT_INFO_ERROR}
    assert ("buyer-error" in found(cancelled, "consumption")) is (reason not in the_platforms)
    to_a_person = set(Reason) - the_platforms - {Reason.ORDER_CANCELLED}
    assert ("cancelled-by-buyer" in found(cancelled)) is (reason in to_a_person)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("usage", Usage)
def test_the_use_of_goods(reason: Reason, usage: Usage) -> None:
    seen = found(facts(reason, deliveries=(a_delivery(usage=usage),)))
    assert ("goods-used" in seen) is (usage in USED and reason in UNUSED_ONLY)
    assert ("usage-unknown" in seen) is (usage is Usage.UNKNOWN and reason in UNUSED_ONLY)
    misdirected = reason in {Reason.WRONG_ACCOUNT, Reason.WRONG_TARGET}
    assert ("unused-buyer-error" in seen) is (misdirected and usage is Usage.UNUSED)
    returned = reason in {Reason.WRONG_ITEM, Reason.CHANGE_OF_MIND}
    assert ("unused-within-cooling-off" in seen) is (returned and usage is Usage.UNUSED)


@pytest.mark.parametrize("first", Usage)
@pytest.mark.parametrize("second", Usage)
def test_the_use_of_two_pieces(first: Usage, second: Usage) -> None:
    both = facts(Reason.CHANGE_OF_MIND, deliveries=(a_delivery("D-1", usage=first), a_delivery("D-2", usage=second)))
    seen = found(both)
    used = bool({first, second} & USED)
    assert ("goods-used" in seen) is used
    assert ("usage-unknown" in seen) is (not used and Usage.UNKNOWN in {first, second})
    assert ("unused-within-cooling-off" in seen) is (first is second is Usage.UNUSED)


@pytest.mark.parametrize("status", CardStatus)
@pytest.mark.parametrize("usage", Usage)
def test_the_check_of_a_card(status: CardStatus, usage: Usage) -> None:
    seen = found(facts(Reason.INVALID_GOODS, deliveries=(a_delivery(card_status=status, usage=usage),)))
    assert ("card-invalid" in seen) is (status in {CardStatus.INVALID, CardStatus.EXPIRED})
    assert ("card-valid" in seen) is (status is CardStatus.VALID and usage is Usage.UNUSED)


@pytest.mark.parametrize("use", CardUse)
@pytest.mark.parametrize("times_sold", [1, 2])
@pytest.mark.parametrize("used_at", [None, DELIVERED_AT - (AS_OF - DELIVERED_AT)])
def test_what_a_card_is_for(use: CardUse, times_sold: int, used_at: object) -> None:
    delivery = a_delivery(usage=Usage.CONSUMED, times_sold=times_sold, used_at=used_at)
    seen = found(facts(Reason.INVALID_GOODS, order=an_order(goods={"card_use": use}), deliveries=(delivery,)))
    single = use is CardUse.SINGLE_USE
    assert ("card-sold-twice" in seen) is (single and times_sold == 2)
    assert ("card-used-before-delivery" in seen) is (single and used_at is not None)
    assert ("card-not-single-use" in seen) is (not single and (times_sold == 2 or used_at is not None))


@pytest.mark.parametrize("by", UsedBy)
@pytest.mark.parametrize("usage", Usage)
@pytest.mark.parametrize("used_at", [None, DELIVERED_AT])
def test_who_used_a_card(by: UsedBy, usage: Usage, used_at: object) -> None:
    delivery = a_delivery(usage=usage, used_by=by, used_at=used_at)
    worked = by is UsedBy.BUYER and usage in USED and used_at is not None
    assert ("used-after-delivery" in found(facts(Reason.INVALID_GOODS, deliveries=(delivery,)))) is worked


@pytest.mark.parametrize("trait", Trait)
@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_traits_matter_to_returns_alone(trait: Trait, reason: Reason, policy: Policy) -> None:
    special = facts(reason, order=an_order(goods={"traits": frozenset({trait})}))
    excluded = trait in policy.excluded_traits
    returned = reason in {Reason.WRONG_ITEM, Reason.CHANGE_OF_MIND}
    assert ("special-goods" in found(special, policy.name)) is (excluded and returned)


@pytest.mark.parametrize("refundable", [None, True, False])
@pytest.mark.parametrize("reason", Reason)
def test_terms_without_a_refund_matter_where_nobody_but_the_buyer_is_at_fault(
    refundable: bool | None, reason: Reason
) -> None:
    special = facts(reason, order=an_order(goods={"terms": Terms(refundable=refundable)}))
    own_doing = {Reason.WRONG_ITEM, Reason.CHANGE_OF_MIND, Reason.WRONG_ACCOUNT, Reason.WRONG_TARGET}
    assert ("special-goods" in found(special)) is (refundable is False and reason in own_doing)


@pytest.mark.parametrize("status", PaymentStatus)
def test_the_status_of_a_payment(status: PaymentStatus) -> None:
    both = (a_payment("T-1"), a_payment("T-2", status=status))
    seen = judge(facts(Reason.DUPLICATE_CHARGE, payments=both), STANDARD)
    rules = {finding.rule.id for finding in seen.findings}
    assert ("duplicate-confirmed" in rules) is (status is PaymentStatus.SUCCEEDED)
    assert ("no-duplicate-found" in rules) is (status is not PaymentStatus.SUCCEEDED)
    assert ("payment-still-pending" in rules) is (status is PaymentStatus.PENDING)
    assert seen.standing.balance == 9900 * (1 if status is PaymentStatus.FAILED else 2)


@pytest.mark.parametrize("kind", EvidenceKind)
def test_what_spoils_a_piece_of_each_kind(kind: EvidenceKind) -> None:
    def discount(**changes: object) -> Discount | None:
        discounted = judge(facts(evidence=(a_piece(kind, **changes),)), STANDARD).standing.discounted
        return discounted[0].reason if discounted else None

    assert discount() is None
    private = Discount.PRIVATE_CHAT if kind is EvidenceKind.CHAT_LOG else None
    assert discount(channel=ChatChannel.OFF_PLATFORM) is private
    assert discount(channel=None) is private
    assert discount(composite=True) is (Discount.COMPOSITE if kind is EvidenceKind.PAYMENT_PROOF else None)
    assert discount(stamped=False) is (Discount.NOT_STAMPED if kind is EvidenceKind.MERCHANT_STATEMENT else None)
    assert discount(reused=True) is Discount.REUSED
    assert discount(order_no="K-2") is Discount.OTHER_ORDER
    assert discount(order_no="K-1") is None
    assert discount(order_no="k-1") is Discount.OTHER_ORDER
    assert discount(order_no="") is Discount.OTHER_ORDER
    assert discount(order_no="K-2", reused=True, composite=True, stamped=False) is Discount.OTHER_ORDER


@pytest.mark.parametrize("kind", EvidenceKind)
@pytest.mark.parametrize("supports", [None, *Side])
@pytest.mark.parametrize("reason", [Reason.NOT_DELIVERED, Reason.DUPLICATE_CHARGE, Reason.CHARGED_WITHOUT_ORDER])
def test_whose_word_disputes_the_records(kind: EvidenceKind, supports: Side | None, reason: Reason) -> None:
    contradicted = facts(reason, deliveries=(a_delivery(),), evidence=(a_piece(kind, supports=supports),))
    trusted = {EvidenceKind.THIRD_PARTY_STATEMENT}
    if reason is not Reason.NOT_DELIVERED:
        trusted.add(EvidenceKind.BANK_STATEMENT)
    assert ("records-disputed" in found(contradicted)) is (kind in trusted and supports is Side.BUYER)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("usage", Usage)
def test_what_a_third_party_confirms(reason: Reason, usage: Usage) -> None:
    piece = a_piece(EvidenceKind.THIRD_PARTY_STATEMENT, party=Party.THIRD_PARTY, supports=Side.BUYER)
    never = with_clauses(STANDARD, merchant_turn="never")
    verdict = judge(facts(reason, deliveries=(a_delivery(usage=usage),), evidence=(piece,)), never)
    seen = {finding.rule.id for finding in verdict.findings}
    confirmed = reason is Reason.INVALID_GOODS or (reason is Reason.NOT_WORKING and usage not in USED)
    assert ("third-party-confirms" in seen) is confirmed
    assert ("used-goods" in seen) is (reason is Reason.NOT_WORKING and usage in USED)


@pytest.mark.parametrize("party", Party)
def test_only_a_file_of_the_buyers_is_a_sign_of_abuse(party: Party) -> None:
    reused = facts(evidence=(a_piece(EvidenceKind.CHAT_LOG, party=party, reused=True),))
    assert ("abuse-suspected" in found(reused)) is (party is Party.BUYER)
    stray = facts(Reason.NOT_AS_DESCRIBED, evidence=(a_piece(EvidenceKind.ERROR_SCREENSHOT, party=party),))
    assert ("reason-evidence-mismatch" in found(stray)) is (party is Party.BUYER)


@pytest.mark.parametrize("status", MerchantStatus)
@pytest.mark.parametrize("position", [None, *Position])
@pytest.mark.parametrize("reason", Reason)
def test_what_the_merchant_says(status: MerchantStatus, position: Position | None, reason: Reason) -> None:
    response = None if position is None else MerchantResponse(position, AS_OF)
    merchant = a_merchant(status=status, response=response)
    seen = found(facts(reason, deliveries=(a_delivery(),), merchant=merchant), "consumption")
    heard = {
        "merchant-accepts": position is Position.ACCEPT,
        "merchant-contests": position in {Position.CONTEST, Position.OFFER_REISSUE},
        "merchant-unreachable": position is None and status is MerchantStatus.UNREACHABLE,
        "merchant-turn": position is None and status is not MerchantStatus.UNREACHABLE,
    }
    asked = reason in {
        Reason.NOT_DELIVERED,
        Reason.DELIVERED_LATE,
        Reason.SHORT_DELIVERY,
        Reason.INVALID_GOODS,
        Reason.NOT_WORKING,
        Reason.NOT_AS_DESCRIBED,
    }
    for rule, expected in heard.items():
        assert (rule in seen) is (asked and expected), rule
