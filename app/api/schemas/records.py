"""Bodies of records: what the site told, as it is stored."""

from typing import Any, Literal

from pydantic import Field

from app.api.schemas.adjudications import NOT_DELIVERED
from app.api.schemas.base import BodyOut, OptionalBodyIn
from app.api.schemas.facts import DeliveryBody, MerchantBody, OrderBody, PaymentBody
from app.api.text import Identifier, Sha256
from app.rules.facts import (
    CancelledBy,
    CardStatus,
    CardUse,
    Channel,
    DeliveryMode,
    GoodsKind,
    MerchantStatus,
    OrderStatus,
    PaymentStatus,
    Trait,
    Usage,
    UsedBy,
)

_IN_THE_PATH = "可省略 · It stands in the path; if given here too, it must be the same."


class OrderRecordBody(OrderBody):
    """An order record (订单记录)."""

    order_no: Identifier | None = Field(default=None, description=f"订单号，{_IN_THE_PATH}")


class PaymentRecordBody(PaymentBody):
    """A payment record (支付记录)."""

    payment_no: Identifier | None = Field(default=None, description=f"支付单号，{_IN_THE_PATH}")


class DeliveryRecordBody(DeliveryBody):
    """A delivery record (发货记录). Never send a card secret."""

    delivery_no: Identifier | None = Field(default=None, description=f"发货单号，{_IN_THE_PATH}")
    order_no: Identifier = Field(description="订单号 · The order that was delivered.")
    card_fingerprint: Sha256 | None = Field(
        default=None,
        description="卡密指纹 · HMAC-SHA-256 of the card under a key of your own, lower-case hex. The same card in two "
        "orders is then found out.",
    )


class MerchantRecordBody(MerchantBody, OptionalBodyIn):
    """A merchant record (商家记录)."""

    merchant_id: Identifier | None = Field(default=None, description=f"商家编号，{_IN_THE_PATH}")


class RecordOut(BodyOut):
    """What every stored record says of itself (记录)."""

    version: int = Field(description="版本 · Counts the changes; the same as in `ETag`.")
    created_at: str = Field(description="首次收到时间 · When it was first sent.")
    updated_at: str = Field(description="最近变更时间 · When it last changed.")


class TermsOut(BodyOut):
    """商品约定: what the product page promised."""

    report_window: str | None = Field(description="反馈时限 · ISO 8601.")
    refundable: bool | None = Field(description="是否可退 · false: no refund for anything but a fault.")


class GoodsOut(BodyOut):
    """商品, as it was when it was ordered."""

    sku: str = Field(description="商品编号.")
    name: str = Field(description="商品名称.")
    kind: GoodsKind = Field(description="商品类型.")
    delivery_mode: DeliveryMode = Field(description="发货方式.")
    promised_at: str | None = Field(description="约定发货时间.")
    card_use: CardUse = Field(description="卡密用途.")
    face_value: int | None = Field(description="面值（分） · In fen.")
    traits: list[Trait] = Field(description="商品特性 · Sorted.")
    terms: TermsOut = Field(description="商品约定.")


class OrderOut(RecordOut):
    """订单记录 as it is stored."""

    order_no: str = Field(description="订单号.")
    merchant_id: str = Field(description="商家编号.")
    buyer_id: str = Field(description="买家编号.")
    amount: int = Field(description="订单金额（分） · In fen.")
    currency: Literal["CNY"] = Field(description="币种.")
    status: OrderStatus = Field(description="订单状态.")
    placed_at: str = Field(description="下单时间.")
    cancelled_by: CancelledBy | None = Field(description="取消方.")
    cancelled_at: str | None = Field(description="取消时间.")
    goods: GoodsOut = Field(description="商品.")


class PaymentOut(RecordOut):
    """支付记录 as it is stored."""

    payment_no: str = Field(description="支付单号.")
    order_no: str | None = Field(description="订单号.")
    channel: Channel = Field(description="支付渠道.")
    status: PaymentStatus = Field(description="支付状态.")
    amount: int = Field(description="支付金额（分） · In fen.")
    refunded_amount: int = Field(description="已退金额（分） · What went back by other ways than this service.")
    paid_at: str = Field(description="支付时间.")


class DeliveryOut(RecordOut):
    """发货记录 as it is stored."""

    delivery_no: str = Field(description="发货单号.")
    order_no: str = Field(description="订单号.")
    delivered_at: str | None = Field(description="发货 / 到账时间.")
    face_value: int | None = Field(description="到账面值（分） · In fen.")
    recipient: str | None = Field(description="到账账号.")
    usage: Usage = Field(description="使用状态.")
    used_at: str | None = Field(description="使用时间.")
    used_by: UsedBy = Field(description="使用者.")
    card_status: CardStatus = Field(description="卡密校验结果.")
    times_sold: int = Field(description="售出次数 · As the site told it; a judgement also counts fingerprints.")
    card_fingerprint: str | None = Field(description="卡密指纹.")


class MerchantOut(RecordOut):
    """商家记录 as it is stored."""

    merchant_id: str = Field(description="商家编号.")
    status: MerchantStatus = Field(description="商家状态.")
    identity_verified: bool = Field(description="身份是否核验.")
    deposit: int = Field(description="保证金（分） · In fen.")


def _without(number: str, record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**record, **changes}.items() if name != number}


ORDER_EXAMPLES: dict[str, Any] = {
    "paid": {
        "summary": "已支付、未发货 · Paid, not delivered yet",
        "value": _without("order_no", NOT_DELIVERED["order"]),
    },
    "cancelled": {
        "summary": "商家取消 · Cancelled by the merchant",
        "value": _without(
            "order_no",
            NOT_DELIVERED["order"],
            status="cancelled",
            cancelled_by="merchant",
            cancelled_at="2026-03-09T10:30:00+08:00",
        ),
    },
}
PAYMENT_EXAMPLES: dict[str, Any] = {
    "succeeded": {
        "summary": "支付成功 · Paid by Alipay",
        "value": _without("payment_no", NOT_DELIVERED["payments"][0], order_no="A-2001"),
    },
}
DELIVERY_EXAMPLES: dict[str, Any] = {
    "card": {
        "summary": "卡密已发放，未使用 · A card was given out and is unused",
        "value": {
            "order_no": "A-2001",
            "delivered_at": "2026-03-09T10:02:00+08:00",
            "face_value": 20000,
            "usage": "unused",
            "card_status": "valid",
            "card_fingerprint": "9f" * 32,
        },
    },
    "top_up": {
        "summary": "直充到账 · Credited to an account and used there",
        "value": {
            "order_no": "A-2001",
            "delivered_at": "2026-03-09T10:02:00+08:00",
            "face_value": 20000,
            "recipient": "acct-5521",
            "usage": "consumed",
            "used_by": "buyer",
            "used_at": "2026-03-09T10:02:00+08:00",
        },
    },
}
MERCHANT_EXAMPLES: dict[str, Any] = {
    "verified": {
        "summary": "已核验并缴纳保证金 · Verified, with a deposit",
        "value": _without("merchant_id", NOT_DELIVERED["merchant"]),
    },
}
