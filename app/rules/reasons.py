"""The reasons for a refund, and what each one turns on."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from app.rules.facts import EvidenceKind, Reason


class Fault(StrEnum):
    """责任方: who answers for a reason if it is proven."""

    MERCHANT = "merchant"
    PLATFORM = "platform"
    BUYER = "buyer"
    NOBODY = "none"


@dataclass(frozen=True, slots=True)
class ReasonTerms:
    """What is fixed about a reason, whatever the policy. `primary`: without it the reason is not even argued."""

    zh: str
    en: str
    fault: Fault
    primary: EvidenceKind | None
    source: str


def _terms(zh: str, en: str, fault: Fault, primary: EvidenceKind | None, source: str) -> ReasonTerms:
    return ReasonTerms(zh, en, fault, primary, source)


REASONS: Mapping[Reason, ReasonTerms] = MappingProxyType(
    {
        Reason.NOT_DELIVERED: _terms("未到账 / 未发货", "not delivered", Fault.MERCHANT, None, "seed 000 §一 其一"),
        Reason.DELIVERED_LATE: _terms("延迟发货", "delivered late", Fault.MERCHANT, None, "seed 004 §一.1"),
        Reason.SHORT_DELIVERY: _terms(
            "到账金额不足",
            "less delivered than ordered",
            Fault.MERCHANT,
            EvidenceKind.RECEIVED_PROOF,
            "seed 000 §一 其一",
        ),
        Reason.INVALID_GOODS: _terms(
            "卡密无效 / 失效", "card invalid or expired", Fault.MERCHANT, EvidenceKind.ERROR_SCREENSHOT, "seed 002 §一"
        ),
        Reason.NOT_WORKING: _terms(
            "权益未生效 / 功能异常", "not working", Fault.MERCHANT, EvidenceKind.ERROR_SCREENSHOT, "seed 000 §一 其一"
        ),
        Reason.NOT_AS_DESCRIBED: _terms(
            "与描述不符", "not as described", Fault.MERCHANT, EvidenceKind.LISTING_SNAPSHOT, "seed 004 §一.2"
        ),
        Reason.DUPLICATE_CHARGE: _terms("重复扣款", "charged twice", Fault.PLATFORM, None, "seed 003 §一"),
        Reason.CHARGED_WITHOUT_ORDER: _terms(
            "扣款成功但订单未生成",
            "charged, but no order",
            Fault.PLATFORM,
            EvidenceKind.FAILURE_PAGE,
            "seed 003 §四 误区一",
        ),
        Reason.PAYMENT_INFO_ERROR: _terms(
            "信息性失误（商户名/金额填错）",
            "payment information wrong",
            Fault.BUYER,
            EvidenceKind.MERCHANT_STATEMENT,
            "seed 003 §一",
        ),
        Reason.WRONG_TARGET: _terms(
            "指令性失误（误充其他平台/卡号）",
            "paid to the wrong target",
            Fault.BUYER,
            EvidenceKind.OPERATION_RECORD,
            "seed 003 §一",
        ),
        Reason.WRONG_ACCOUNT: _terms("充值账号填错", "wrong account topped up", Fault.BUYER, None, "seed 000 §一 其二"),
        Reason.WRONG_ITEM: _terms("买错商品", "bought the wrong item", Fault.BUYER, None, "seed 002 §一"),
        Reason.CHANGE_OF_MIND: _terms("冷静期无理由", "change of mind", Fault.BUYER, None, "seed 000 §一 其三"),
        Reason.ORDER_CANCELLED: _terms("订单被取消", "order cancelled", Fault.NOBODY, None, "seed 004 §一.4"),
        Reason.OTHER: _terms("其他", "other", Fault.NOBODY, None, "seed 004 §二 步骤2"),
    }
)

MERCHANT_FAULT = frozenset(reason for reason, terms in REASONS.items() if terms.fault is Fault.MERCHANT)
PLATFORM_FAULT = frozenset(reason for reason, terms in REASONS.items() if terms.fault is Fault.PLATFORM)
PAYMENT_REASONS = frozenset(
    {Reason.DUPLICATE_CHARGE, Reason.CHARGED_WITHOUT_ORDER, Reason.PAYMENT_INFO_ERROR, Reason.WRONG_TARGET}
)
# A part of the balance is a complete answer to these; every other reason calls for all of it.
PARTIAL_BY_NATURE = frozenset(
    {Reason.DUPLICATE_CHARGE, Reason.CHARGED_WITHOUT_ORDER, Reason.PAYMENT_INFO_ERROR, Reason.SHORT_DELIVERY}
)
NO_FAULT_RETURNS = frozenset({Reason.CHANGE_OF_MIND, Reason.WRONG_ITEM})
MISDIRECTED = frozenset({Reason.WRONG_ACCOUNT, Reason.WRONG_TARGET})
