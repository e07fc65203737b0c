"""The body of `POST /v1/adjudications`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, StrictStr, model_validator

from app.api.schemas.base import BodyIn
from app.api.schemas.facts import (
    MOST_EVIDENCE,
    MOST_PIECES,
    BuyerIn,
    ClaimIn,
    CourseIn,
    DeliveryIn,
    JudgedEvidenceIn,
    JudgedMerchantIn,
    OrderIn,
    PaymentIn,
)
from app.api.text import Instant, refuse
from app.rules.facts import Buyer, Facts, Reason

PolicyReference = Annotated[StrictStr, Field(max_length=100, pattern=r"^[a-z][a-z0-9_-]{0,62}(@[1-9][0-9]{0,8})?$")]


class AdjudicationIn(BodyIn):
    """All the facts of a claim, to be judged and not stored (试算)."""

    policy: PolicyReference | None = Field(
        default=None,
        description="退款规则 · `name` or `name@version` of a policy; left out: the site's active one.",
    )
    as_of: Instant | None = Field(default=None, description="裁定时间 · The moment to judge at; left out: now.")
    claim: ClaimIn
    order: OrderIn | None = Field(description="订单 · `null` only for `charged_without_order`.")
    payments: Annotated[list[PaymentIn], Field(max_length=MOST_PIECES)] = Field(default=[], description="支付记录.")
    deliveries: Annotated[list[DeliveryIn], Field(max_length=MOST_PIECES)] = Field(default=[], description="发货记录.")
    evidence: Annotated[list[JudgedEvidenceIn], Field(max_length=MOST_EVIDENCE)] = Field(
        default=[], description="证据."
    )
    merchant: JudgedMerchantIn | None = Field(default=None, description="商家.")
    buyer: BuyerIn = Field(default=BuyerIn(), description="买家.")
    course: CourseIn | None = Field(
        default=None, description="案件进程 · What happened in the case before; null: it is judged for the first time."
    )

    @model_validator(mode="after")
    def _is_about_one_order(self) -> Self:
        require_order(self.claim.reason, present=self.order is not None)
        refuse_twice("payments", [payment.payment_no for payment in self.payments])
        refuse_twice("deliveries", [delivery.delivery_no for delivery in self.deliveries])
        if self.order is not None and self.merchant is not None:
            require_its_merchant(self.order.merchant_id, self.merchant.merchant_id)
        return self

    def facts(self, now: datetime) -> Facts:
        """The facts as the rules know them, judged at `now` where the body names no moment."""
        return Facts(
            as_of=self.as_of or now,
            claim=self.claim.fact(),
            order=None if self.order is None else self.order.fact(),
            payments=tuple(payment.fact() for payment in self.payments),
            deliveries=tuple(delivery.fact() for delivery in self.deliveries),
            evidence=tuple(piece.fact(reused=piece.reused) for piece in self.evidence),
            merchant=None if self.merchant is None else self.merchant.fact(),
            buyer=Buyer(self.buyer.strikes),
            course=None if self.course is None else self.course.fact(),
        )


def require_order(reason: Reason, *, present: bool) -> None:
    """Only a charge without an order may come without one."""
    if not present and reason is not Reason.CHARGED_WITHOUT_ORDER:
        raise refuse(
            "order_missing",
            en="An order is needed for every reason but charged_without_order.",
            zh="除 charged_without_order 外，所有事由都需要提供订单。",
        )


def refuse_twice(field: str, numbers: Sequence[str]) -> None:
    """One number, one record."""
    if len(set(numbers)) < len(numbers):
        raise refuse(
            "number_twice",
            en=f"Two records in {field} bear the same number.",
            zh=f"{field} 中有两条记录使用了同一编号。",
        )


def require_its_merchant(named: str, given: str) -> None:
    """The merchant that is described is the one that the order names."""
    if named != given:
        raise refuse(
            "other_merchant",
            en="merchant.merchant_id is not the order's merchant_id.",
            zh="merchant.merchant_id 与订单的 merchant_id 不一致。",
        )


NOT_DELIVERED: dict[str, Any] = {
    "policy": "standard",
    "as_of": "2026-03-09T12:00:00+08:00",
    "claim": {"reason": "not_delivered", "amount": 20000, "filed_at": "2026-03-09T11:00:00+08:00"},
    "order": {
        "order_no": "A-1001",
        "merchant_id": "m-7",
        "buyer_id": "b-9",
        "amount": 20000,
        "currency": "CNY",
        "status": "paid",
        "placed_at": "2026-03-09T10:00:00+08:00",
        "goods": {
            "sku": "steam-200",
            "name": "点卡 200 元",
            "kind": "game_card",
            "delivery_mode": "instant",
            "card_use": "single_use",
            "face_value": 20000,
        },
    },
    "payments": [
        {
            "payment_no": "P-1",
            "order_no": "A-1001",
            "channel": "alipay",
            "status": "succeeded",
            "amount": 20000,
            "paid_at": "2026-03-09T10:00:30+08:00",
        }
    ],
    "deliveries": [],
    "evidence": [
        {
            "kind": "chat_log",
            "party": "buyer",
            "channel": "in_platform",
            "captured_at": "2026-03-09T10:40:00+08:00",
            "order_no": "A-1001",
        }
    ],
    "merchant": {"merchant_id": "m-7", "status": "active", "identity_verified": True, "deposit": 500000},
}


def _with(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**base, **changes}


DELIVERED = {
    "delivery_no": "D-1",
    "delivered_at": "2026-03-09T10:02:00+08:00",
    "face_value": 20000,
    "usage": "unused",
}

EXAMPLES: dict[str, Any] = {
    "not_delivered": {
        "summary": "未到账 · Paid, promised within 5 minutes, never delivered: approved",
        "value": NOT_DELIVERED,
    },
    "change_of_mind_too_late": {
        "summary": "超过冷静期 · A change of mind, one second after the cooling-off: rejected",
        "value": _with(
            NOT_DELIVERED,
            policy="recharge",
            as_of="2026-03-16T10:02:01+08:00",
            claim={"reason": "change_of_mind", "filed_at": "2026-03-16T10:02:01+08:00"},
            deliveries=[DELIVERED],
        ),
    },
    "card_sold_twice": {
        "summary": "卡密重复销售 · A single-use card given out twice: approved without proof from the buyer",
        "value": _with(
            NOT_DELIVERED,
            claim={"reason": "invalid_goods", "filed_at": "2026-03-09T11:00:00+08:00"},
            deliveries=[_with(DELIVERED, usage="activated", used_by="other", times_sold=2)],
            evidence=[],
        ),
    },
    "merchant_has_a_turn": {
        "summary": "等待商家答复 · The merchant has 24 hours from first contact",
        "value": _with(
            NOT_DELIVERED,
            policy="consumption",
            claim={
                "reason": "not_delivered",
                "filed_at": "2026-03-09T11:00:00+08:00",
                "first_contact_at": "2026-03-09T10:40:00+08:00",
            },
        ),
    },
}
