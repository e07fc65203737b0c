"""Bodies of the bulk import."""

from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from app.api.schemas.base import BodyOut, OptionalBodyIn
from app.api.schemas.facts import DeliveryIn, MerchantIn, OrderIn, PaymentIn
from app.api.schemas.records import DELIVERY_EXAMPLES, MERCHANT_EXAMPLES, ORDER_EXAMPLES, PAYMENT_EXAMPLES
from app.api.text import Identifier, Sha256, refuse
from app.models.closed_sets import RecordKind
from app.store.record_rows import Change

MOST_ROWS: Final = 1_000
_Many = Field(max_length=MOST_ROWS)


class ImportedDeliveryIn(DeliveryIn):
    """A delivery record (发货记录) with its number. Never send a card secret."""

    order_no: Identifier = Field(description="订单号 · The order that was delivered.")
    card_fingerprint: Sha256 | None = Field(
        default=None,
        description="卡密指纹 · HMAC-SHA-256 of the card under a key of your own, lower-case hex. The same card in two "
        "orders is then found out.",
    )


class RecordsIn(OptionalBodyIn):
    """Records of all kinds, stored together or not at all (批量导入): 1 to 1000 over all four lists."""

    orders: Annotated[list[OrderIn], _Many] = Field(default=[], description="订单 · As in `PUT /v1/orders/{order_no}`.")
    payments: Annotated[list[PaymentIn], _Many] = Field(
        default=[], description="支付记录 · As in `PUT /v1/payments/{payment_no}`."
    )
    deliveries: Annotated[list[ImportedDeliveryIn], _Many] = Field(
        default=[], description="发货记录 · As in `PUT /v1/deliveries/{delivery_no}`."
    )
    merchants: Annotated[list[MerchantIn], _Many] = Field(
        default=[], description="商家 · As in `PUT /v1/merchants/{merchant_id}`."
    )

    @model_validator(mode="after")
    def _is_one_batch(self) -> Self:
        rows = len(self.orders) + len(self.payments) + len(self.deliveries) + len(self.merchants)
        if not 1 <= rows <= MOST_ROWS:
            raise refuse(
                "number_of_rows",
                en=f"Send 1 to {MOST_ROWS} records over all kinds together.",
                zh=f"各类记录合计须为 1 至 {MOST_ROWS} 条。",
            )
        return self


class ImportedOut(BodyOut):
    """What became of one record."""

    kind: RecordKind = Field(description="记录类型.")
    number: str = Field(description="编号 · The site's own number of the record.")
    version: int = Field(description="版本 · Its present one.")
    change: Change = Field(description="变更 · `created`, `updated`, or `unchanged`.")


class CountsOut(BodyOut):
    """How many rows came to what."""

    created: int = Field(description="新建.")
    updated: int = Field(description="更新.")
    unchanged: int = Field(description="未变.")


class ImportOut(BodyOut):
    """What became of the records (导入结果)."""

    data: list[ImportedOut] = Field(
        description="逐条结果 · Orders, payments, deliveries, merchants, each in the order sent."
    )
    counts: CountsOut = Field(description="合计.")


def _numbered(field: str, number: str, examples: dict[str, Any], name: str) -> dict[str, Any]:
    return {field: number, **examples[name]["value"]}


EXAMPLES: dict[str, Any] = {
    "one_order": {
        "summary": "一笔订单的全部记录 · All records of one order",
        "value": {
            "orders": [_numbered("order_no", "A-2001", ORDER_EXAMPLES, "paid")],
            "payments": [_numbered("payment_no", "P-2001", PAYMENT_EXAMPLES, "succeeded")],
            "deliveries": [_numbered("delivery_no", "D-2001", DELIVERY_EXAMPLES, "card")],
            "merchants": [_numbered("merchant_id", "m-7", MERCHANT_EXAMPLES, "verified")],
        },
    },
}
