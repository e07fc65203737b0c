"""A dull claim to build on: a month's membership, paid at once, nothing delivered, claimed and judged soon after."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from app.rules.calendar import SHANGHAI
from app.rules.facts import (
    Buyer,
    CardUse,
    Channel,
    ChatChannel,
    Claim,
    Delivery,
    DeliveryMode,
    Evidence,
    EvidenceKind,
    Facts,
    Goods,
    GoodsKind,
    Merchant,
    Order,
    OrderStatus,
    Party,
    Payment,
    PaymentStatus,
    Reason,
    Usage,
)
from app.rules.policy import Policy
from app.rules.policy_document import policy_from

PLACED_AT = datetime(2026, 4, 13, 9, 0, tzinfo=SHANGHAI)
PAID_AT = PLACED_AT + timedelta(seconds=20)
DELIVERED_AT = PLACED_AT + timedelta(minutes=3)
FILED_AT = PLACED_AT + timedelta(hours=5)
AS_OF = PLACED_AT + timedelta(hours=6)
PRICE = 9900

# What each reason rests on, in a form that counts.
FITTING = {
    Reason.NOT_DELIVERED: (EvidenceKind.CHAT_LOG,),
    Reason.DELIVERED_LATE: (),
    Reason.SHORT_DELIVERY: (EvidenceKind.RECEIVED_PROOF,),
    Reason.INVALID_GOODS: (EvidenceKind.ERROR_SCREENSHOT, EvidenceKind.CHAT_LOG),
    Reason.NOT_WORKING: (EvidenceKind.ERROR_SCREENSHOT, EvidenceKind.CHAT_LOG),
    Reason.NOT_AS_DESCRIBED: (EvidenceKind.LISTING_SNAPSHOT, EvidenceKind.RECEIVED_PROOF),
    Reason.DUPLICATE_CHARGE: (),
    Reason.CHARGED_WITHOUT_ORDER: (EvidenceKind.FAILURE_PAGE,),
    Reason.PAYMENT_INFO_ERROR: (EvidenceKind.MERCHANT_STATEMENT,),
    Reason.WRONG_TARGET: (EvidenceKind.OPERATION_RECORD,),
    Reason.WRONG_ACCOUNT: (EvidenceKind.OPERATION_RECORD,),
    Reason.WRONG_ITEM: (),
    Reason.CHANGE_OF_MIND: (),
    Reason.ORDER_CANCELLED: (),
    Reason.OTHER: (),
}


def a_claim(reason: Reason = Reason.NOT_DELIVERED, **changes: Any) -> Claim:
    return replace(Claim(reason=reason, filed_at=FILED_AT), **changes)


def an_order(**changes: Any) -> Order:
    """An order; `goods` may be a dict of changes to the dull goods."""
    goods = Goods("month-pass", "会员月卡", GoodsKind.MEMBERSHIP, DeliveryMode.INSTANT, None, CardUse.SINGLE_USE, 10000)
    goods = replace(goods, **changes.pop("goods", {}))
    return replace(Order("K-1", "shop-3", "user-5", PRICE, "CNY", OrderStatus.PAID, PLACED_AT, goods), **changes)


def a_payment(number: str = "T-1", **changes: Any) -> Payment:
    return replace(Payment(number, Channel.ALIPAY, PaymentStatus.SUCCEEDED, PRICE, PAID_AT, "K-1"), **changes)


def a_delivery(number: str = "D-1", **changes: Any) -> Delivery:
    return replace(Delivery(number, DELIVERED_AT, face_value=10000, usage=Usage.UNUSED), **changes)


def a_piece(kind: EvidenceKind, **changes: Any) -> Evidence:
    """A piece in a form that counts, captured as late as the order."""
    piece = Evidence(kind, Party.BUYER, PLACED_AT, channel=ChatChannel.IN_PLATFORM, stamped=True)
    return replace(piece, **changes)


def a_merchant(**changes: Any) -> Merchant:
    return replace(Merchant("shop-3", identity_verified=True, deposit=100000), **changes)


def facts(reason: Reason = Reason.NOT_DELIVERED, **changes: Any) -> Facts:
    """The dull facts, with the evidence that the reason asks for."""
    dull = Facts(
        as_of=AS_OF,
        claim=a_claim(reason),
        order=an_order(),
        payments=(a_payment(),),
        evidence=tuple(map(a_piece, FITTING[reason])),
        merchant=a_merchant(),
        buyer=Buyer(),
    )
    return replace(dull, **changes)


def with_clauses(policy: Policy, **values: Any) -> Policy:
    """The policy with other values in some of its clauses."""
    document = {
        "name": policy.name,
        "version": policy.version,
        "effective_from": policy.effective_from,
        "title_en": policy.title_en,
        "title_zh": policy.title_zh,
        "clauses": {name: {"value": value, "source": "a test"} for name, value in values.items()},
    }
    return policy_from(document, base=policy)
