"""Records as callers see them: what the site told, with the version that the service counts."""

from datetime import datetime
from typing import Any

from app.rules.decision import instant
from app.rules.lengths import duration_text
from app.store.record_rows import DeliveryRow, MerchantRow, OrderRow, PaymentRow, Stored


def order_document(stored: Stored[OrderRow]) -> dict[str, Any]:
    """An order with its goods."""
    row = stored.record
    return {
        "order_no": row.order_no,
        "merchant_id": row.merchant_id,
        "buyer_id": row.buyer_id,
        "amount": row.amount,
        "currency": row.currency,
        "status": row.status.value,
        "placed_at": instant(row.placed_at),
        "cancelled_by": None if row.cancelled_by is None else row.cancelled_by.value,
        "cancelled_at": _optional(row.cancelled_at),
        "goods": _goods(row),
        **_versioned(stored),
    }


def _goods(row: OrderRow) -> dict[str, Any]:
    window = row.report_window
    return {
        "sku": row.sku,
        "name": row.goods_name,
        "kind": row.goods_kind.value,
        "delivery_mode": row.delivery_mode.value,
        "promised_at": _optional(row.promised_at),
        "card_use": row.card_use.value,
        "face_value": row.face_value,
        "traits": [trait.value for trait in row.traits],
        "terms": {"report_window": None if window is None else duration_text(window), "refundable": row.refundable},
    }


def payment_document(stored: Stored[PaymentRow]) -> dict[str, Any]:
    """A payment; what this service promised to pay back on it is told by its refunds, not here."""
    row = stored.record
    return {
        "payment_no": row.payment_no,
        "order_no": row.order_no,
        "channel": row.channel.value,
        "status": row.status.value,
        "amount": row.amount,
        "refunded_amount": row.refunded_amount,
        "paid_at": instant(row.paid_at),
        **_versioned(stored),
    }


def delivery_document(stored: Stored[DeliveryRow]) -> dict[str, Any]:
    """A delivery; of the card only its fingerprint is known."""
    row = stored.record
    return {
        "delivery_no": row.delivery_no,
        "order_no": row.order_no,
        "delivered_at": _optional(row.delivered_at),
        "face_value": row.face_value,
        "recipient": row.recipient,
        "usage": row.usage.value,
        "used_at": _optional(row.used_at),
        "used_by": row.used_by.value,
        "card_status": row.card_status.value,
        "times_sold": row.times_sold,
        "card_fingerprint": row.card_fingerprint,
        **_versioned(stored),
    }


def merchant_document(stored: Stored[MerchantRow]) -> dict[str, Any]:
    """A merchant."""
    row = stored.record
    return {
        "merchant_id": row.merchant_id,
        "status": row.status.value,
        "identity_verified": row.identity_verified,
        "deposit": row.deposit,
        **_versioned(stored),
    }


def _versioned(stored: Stored[Any]) -> dict[str, Any]:
    return {
        "version": stored.version,
        "created_at": instant(stored.created_at),
        "updated_at": instant(stored.updated_at),
    }


def _optional(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
