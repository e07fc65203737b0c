"""The sandbox's records: what the examples in the documentation speak of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from app.rules.facts import (
    CancelledBy,
    CardStatus,
    CardUse,
    Channel,
    DeliveryMode,
    GoodsKind,
    OrderStatus,
    PaymentStatus,
    Usage,
)
from app.store.record_rows import DeliveryRow, MerchantRow, OrderRow, PaymentRow, Told

# What the documentation's results of refunds are of: after the payments of A-1010 and A-1011.
REPORTED_AT: Final = "2026-03-10T12:00:00+08:00"
# Before the documentation's pieces of evidence were captured, which bear fixed times: so they count in these cases.
_ORDERED_LONG_AGO: Final = datetime(2026, 3, 9, tzinfo=UTC)
_CANCELLED: Final = ("A-1010", "A-1011", "A-1012")


def example_records(now: datetime) -> Told:
    """Orders of one merchant, with times that suit a claim made now.

    `A-1000`: paid two days ago, never delivered; the example case is about it. `A-1001`: paid a day ago, never
    delivered. `A-1002`: a card that came an hour ago and is invalid. `A-1003`: paid twice within a minute, delivered
    once. `A-1004` to `A-1007`: cards ordered in advance that came an hour ago, for cases under way; `A-1008` and
    `A-1009` were used. `A-1010` to `A-1012` were cancelled by the merchant long ago, and nobody gave the money back.
    """
    ordered_at = min(now - timedelta(hours=1), _ORDERED_LONG_AGO)
    under_way = {f"A-{number}": Usage.UNKNOWN if number < 1008 else Usage.CONSUMED for number in range(1004, 1010)}
    return Told(
        orders=(
            _order("A-1000", 10_000, OrderStatus.PAID, now - timedelta(hours=50)),
            _order("A-1001", 20_000, OrderStatus.PAID, now - timedelta(hours=26)),
            _order("A-1002", 5_000, OrderStatus.DELIVERED, now - timedelta(hours=1, minutes=3)),
            _order("A-1003", 9_900, OrderStatus.COMPLETED, now - timedelta(hours=5)),
            *(
                replace(
                    _order(order_no, 15_000, OrderStatus.DELIVERED, ordered_at),
                    delivery_mode=DeliveryMode.SCHEDULED,
                    promised_at=now - timedelta(minutes=58),
                )
                for order_no in under_way
            ),
            *(_cancelled(order_no) for order_no in _CANCELLED),
        ),
        payments=(
            _payment("P-0", "A-1000", Channel.ALIPAY, 10_000, now - timedelta(hours=50) + timedelta(seconds=30)),
            _payment("P-1", "A-1001", Channel.ALIPAY, 20_000, now - timedelta(hours=26) + timedelta(seconds=30)),
            _payment("P-2", "A-1002", Channel.WECHAT_PAY, 5_000, now - timedelta(hours=1, minutes=2)),
            _payment("P-3", "A-1003", Channel.ALIPAY, 9_900, now - timedelta(hours=5) + timedelta(seconds=20)),
            _payment("P-4", "A-1003", Channel.ALIPAY, 9_900, now - timedelta(hours=5) + timedelta(seconds=50)),
            *(
                _payment(f"P-{order_no[2:]}", order_no, Channel.ALIPAY, 15_000, now - timedelta(minutes=59))
                for order_no in under_way
            ),
            *(
                _payment(f"P-{order_no[2:]}", order_no, Channel.ALIPAY, 20_000, _ORDERED_LONG_AGO)
                for order_no in _CANCELLED
            ),
        ),
        deliveries=(
            DeliveryRow(
                "D-2", "A-1002", delivered_at=now - timedelta(hours=1), face_value=5_000, usage=Usage.UNUSED,
                card_status=CardStatus.INVALID, card_fingerprint="5b" * 32,
            ),
            DeliveryRow(
                "D-3", "A-1003", delivered_at=now - timedelta(hours=4, minutes=58), face_value=9_900,
                usage=Usage.CONSUMED, card_status=CardStatus.VALID,
            ),
            *(
                DeliveryRow(
                    f"D-{order_no[2:]}", order_no, delivered_at=now - timedelta(minutes=58), face_value=15_000,
                    usage=usage,
                )
                for order_no, usage in under_way.items()
            ),
        ),
        merchants=(MerchantRow("m-7", identity_verified=True, deposit=500_000),),
    )  # fmt: skip


def _order(order_no: str, amount: int, status: OrderStatus, placed_at: datetime) -> OrderRow:
    return OrderRow(
        order_no=order_no,
        merchant_id="m-7",
        buyer_id="b-9",
        amount=amount,
        currency="CNY",
        status=status,
        placed_at=placed_at,
        sku=f"steam-{amount // 100}",
        goods_name=f"Steam 充值卡 {amount // 100} 元",
        goods_kind=GoodsKind.GAME_CARD,
        delivery_mode=DeliveryMode.INSTANT,
        card_use=CardUse.SINGLE_USE,
        face_value=amount,
    )


def _payment(payment_no: str, order_no: str, channel: Channel, amount: int, paid_at: datetime) -> PaymentRow:
    return PaymentRow(payment_no, channel, PaymentStatus.SUCCEEDED, amount, paid_at, order_no=order_no)


def _cancelled(order_no: str) -> OrderRow:
    order = _order(order_no, 20_000, OrderStatus.CANCELLED, _ORDERED_LONG_AGO)
    return replace(order, cancelled_by=CancelledBy.MERCHANT, cancelled_at=_ORDERED_LONG_AGO + timedelta(hours=1))
