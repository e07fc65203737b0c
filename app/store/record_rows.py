"""Records as rows: what a site told, in the columns of its table. A field is named as its column."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from app.models.closed_sets import RecordKind
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


@dataclass(frozen=True, slots=True)
class OrderRow:
    """`amount` and `face_value` in fen. `traits` sorted: an order of words is no change of the record."""

    order_no: str
    merchant_id: str
    buyer_id: str
    amount: int
    currency: str
    status: OrderStatus
    placed_at: datetime
    sku: str
    goods_name: str
    goods_kind: GoodsKind
    delivery_mode: DeliveryMode
    cancelled_by: CancelledBy | None = None
    cancelled_at: datetime | None = None
    promised_at: datetime | None = None
    card_use: CardUse = CardUse.UNKNOWN
    face_value: int | None = None
    traits: tuple[Trait, ...] = ()
    report_window: timedelta | None = None
    refundable: bool | None = None


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """`refunded_amount`: fen that went back outside this service."""

    payment_no: str
    channel: Channel
    status: PaymentStatus
    amount: int
    paid_at: datetime
    order_no: str | None = None
    refunded_amount: int = 0


@dataclass(frozen=True, slots=True)
class HeldPayment(PaymentRow):
    """`reserved_amount`: fen that this service has instructed to be refunded; `found_amount`: that went back by others,
    as the channel told it.
    """

    reserved_amount: int = 0
    found_amount: int = 0

    @property
    def gone(self) -> int:
        """Fen that went back or are promised; others may have gone beyond the promises, nobody beyond all of it."""
        return min(self.amount, max(self.refunded_amount, self.found_amount) + self.reserved_amount)


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """`card_fingerprint`: 64 hex digits that the site computed from the card; the card itself never comes here."""

    delivery_no: str
    order_no: str
    delivered_at: datetime | None = None
    face_value: int | None = None
    recipient: str | None = None
    usage: Usage = Usage.UNKNOWN
    used_at: datetime | None = None
    used_by: UsedBy = UsedBy.UNKNOWN
    card_status: CardStatus = CardStatus.UNKNOWN
    times_sold: int = 1
    card_fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class MerchantRow:
    """`deposit` in fen."""

    merchant_id: str
    status: MerchantStatus = MerchantStatus.ACTIVE
    identity_verified: bool = False
    deposit: int = 0


RecordRow = OrderRow | PaymentRow | DeliveryRow | MerchantRow
Row = TypeVar("Row", OrderRow, PaymentRow, DeliveryRow, MerchantRow)


class Change(StrEnum):
    """录入结果: what a put came to."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Put:
    """What became of one record; `version` is its present one."""

    kind: RecordKind
    record_no: str
    version: int
    change: Change


@dataclass(frozen=True, slots=True)
class Told:
    """Records of all kinds that came together."""

    orders: tuple[OrderRow, ...] = ()
    payments: tuple[PaymentRow, ...] = ()
    deliveries: tuple[DeliveryRow, ...] = ()
    merchants: tuple[MerchantRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored(Generic[Row]):
    """A record as it stands."""

    record: Row
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RecordVersionRow:
    """A record as it was told once."""

    version: int
    record: Mapping[str, Any]
    recorded_at: datetime
