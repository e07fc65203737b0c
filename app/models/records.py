"""What a site tells about its business, under its own numbers; and every version of it.

Payments and deliveries have no foreign key to orders: records arrive in any order.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, Interval, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, amount_in_range, one_of, table_args
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
    Usage,
    UsedBy,
)


class Versioned:
    """`version` counts the changes of the record; an unchanged repetition is none."""

    version: Mapped[int] = mapped_column(sort_order=90)
    created_at: Mapped[datetime] = mapped_column(sort_order=91)
    updated_at: Mapped[datetime] = mapped_column(sort_order=92)


class Order(OfSite, Versioned, Base):
    """订单. The goods are part of it, as they were when it was placed."""

    __tablename__ = "orders"
    __table_args__ = table_args(
        amount_in_range("amount"),
        amount_in_range("face_value"),
        one_of("status", OrderStatus),
        one_of("cancelled_by", CancelledBy),
        one_of("goods_kind", GoodsKind),
        one_of("delivery_mode", DeliveryMode),
        one_of("card_use", CardUse),
        # Its condition keeps it out of every other statement: by the site alone it would serve a search for an order
        # too, and read all that the site has.
        Index(None, "site_id", "merchant_id", "placed_at", postgresql_where=text("merchant_id <> ''")),
    )

    order_no: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str]
    buyer_id: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    status: Mapped[str]
    placed_at: Mapped[datetime]
    cancelled_by: Mapped[str | None]
    cancelled_at: Mapped[datetime | None]
    sku: Mapped[str]
    goods_name: Mapped[str]
    goods_kind: Mapped[str]
    delivery_mode: Mapped[str]
    promised_at: Mapped[datetime | None]
    card_use: Mapped[str]
    face_value: Mapped[int | None] = mapped_column(BigInteger)
    traits: Mapped[list[str]] = mapped_column(ARRAY(Text))
    report_window: Mapped[timedelta | None] = mapped_column(Interval)
    refundable: Mapped[bool | None]


class Payment(OfSite, Versioned, Base):
    """支付记录. `reserved_amount` is what this service promised to pay back; the rest went back by others' doing.

    `refunded_amount` is what the site told of that, `found_amount` what the channel did; each may know the more of it.
    `overdrawn_amount`: by how much others went beyond what was promised already. Only finding that out may raise it.
    """

    __tablename__ = "payments"
    __table_args__ = table_args(
        amount_in_range("amount"),
        amount_in_range("refunded_amount"),
        amount_in_range("reserved_amount"),
        amount_in_range("found_amount"),
        amount_in_range("overdrawn_amount"),
        CheckConstraint(
            "greatest(refunded_amount, found_amount) + reserved_amount <= amount + overdrawn_amount",
            name="within_amount",
        ),
        one_of("channel", Channel),
        one_of("status", PaymentStatus),
        Index(None, "site_id", "order_no", postgresql_where=text("order_no IS NOT NULL")),
        Index("ix_payments_overdrawn", "site_id", "payment_no", postgresql_where=text("overdrawn_amount > 0")),
    )

    payment_no: Mapped[str] = mapped_column(primary_key=True)
    order_no: Mapped[str | None]
    channel: Mapped[str]
    status: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    refunded_amount: Mapped[int] = mapped_column(BigInteger)
    paid_at: Mapped[datetime]
    reserved_amount: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    found_amount: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    overdrawn_amount: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class Delivery(OfSite, Versioned, Base):
    """发货 / 到账记录. The card itself is never stored, only a fingerprint that the site computed."""

    __tablename__ = "deliveries"
    __table_args__ = table_args(
        amount_in_range("face_value"),
        CheckConstraint("times_sold >= 1", name="times_sold"),
        CheckConstraint("card_fingerprint ~ '^[0-9a-f]{64}$'", name="card_fingerprint"),
        one_of("usage", Usage),
        one_of("used_by", UsedBy),
        one_of("card_status", CardStatus),
        Index(None, "site_id", "order_no"),
        Index(None, "site_id", "card_fingerprint", postgresql_where=text("card_fingerprint IS NOT NULL")),
    )

    delivery_no: Mapped[str] = mapped_column(primary_key=True)
    order_no: Mapped[str]
    delivered_at: Mapped[datetime | None]
    face_value: Mapped[int | None] = mapped_column(BigInteger)
    recipient: Mapped[str | None]
    usage: Mapped[str]
    used_at: Mapped[datetime | None]
    used_by: Mapped[str]
    card_status: Mapped[str]
    times_sold: Mapped[int]
    card_fingerprint: Mapped[str | None]


class Merchant(OfSite, Versioned, Base):
    """商家."""

    __tablename__ = "merchants"
    __table_args__ = table_args(amount_in_range("deposit"), one_of("status", MerchantStatus))

    merchant_id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    identity_verified: Mapped[bool]
    deposit: Mapped[int] = mapped_column(BigInteger)


class RecordVersion(OfSite, Base):
    """One record as it was told, each time that it differed."""

    __tablename__ = "record_versions"
    __table_args__ = table_args(one_of("kind", RecordKind))

    kind: Mapped[str] = mapped_column(primary_key=True)
    record_no: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    record: Mapped[dict[str, Any]] = mapped_column(JSONB)
    recorded_at: Mapped[datetime]
