"""The sandbox's records: what the examples in the documentation speak of."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from app.rules.facts import (
    CardStatus,
    CardUse,
    Channel,
    Claim,
    DeliveryMode,
    GoodsKind,
    OrderStatus,
    PaymentStatus,
    Reason,
    Usage,
)
from app.services.filing import Filing
from app.store.record_rows import DeliveryRow, MerchantRow, OrderRow, PaymentRow, Told

# What the documentation names as an example of a case and of an event, there to be looked at.
EXAMPLE_CASE = UUID("01900000-0000-7000-8000-0000000005c0")
EXAMPLE_EVENT = UUID("01900000-0000-7000-8000-0000000005c2")
EXAMPLE_ORDER = "A-1000"


def example_ids() -> Iterator[UUID]:
    """The ids of the example case and of all that comes with it, in the order in which they are minted."""
    return (UUID(int=EXAMPLE_CASE.int + number) for number in count())


def example_filing(now: datetime) -> Filing:
    """A claim for `A-1000`, which was paid for and never came."""
    return Filing(Claim(Reason.NOT_DELIVERED, now), EXAMPLE_ORDER, (), (), Told(), None)


def example_records(now: datetime) -> Told:
    """Orders of one merchant, with times that suit a claim made now.

    `A-1000`: paid two days ago, never delivered; the example case is about it. `A-1001`: paid a day ago, never
    delivered. `A-1002`: a card that came an hour ago and is invalid. `A-1003`: paid twice within a
    minute, delivered once.
    """
    return Told(
        orders=(
            _order("A-1000", 10_000, OrderStatus.PAID, now - timedelta(hours=50)),
            _order("A-1001", 20_000, OrderStatus.PAID, now - timedelta(hours=26)),
            _order("A-1002", 5_000, OrderStatus.DELIVERED, now - timedelta(hours=1, minutes=3)),
            _order("A-1003", 9_900, OrderStatus.COMPLETED, now - timedelta(hours=5)),
        ),
        payments=(
            _payment("P-0", "A-1000", Channel.ALIPAY, 10_000, now - timedelta(hours=50) + timedelta(seconds=30)),
            _payment("P-1", "A-1001", Channel.ALIPAY, 20_000, now - timedelta(hours=26) + timedelta(seconds=30)),
            _payment("P-2", "A-1002", Channel.WECHAT_PAY, 5_000, now - timedelta(hours=1, minutes=2)),
            _payment("P-3", "A-1003", Channel.ALIPAY, 9_900, now - timedelta(hours=5) + timedelta(seconds=20)),
            _payment("P-4", "A-1003", Channel.ALIPAY, 9_900, now - timedelta(hours=5) + timedelta(seconds=50)),
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
