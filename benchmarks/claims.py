"""Claims to file, each with an order of its own: paid over two channels, never delivered, four pieces of evidence."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from app.rules.facts import (
    CardUse,
    Channel,
    ChatChannel,
    Claim,
    DeliveryMode,
    Evidence,
    EvidenceKind,
    GoodsKind,
    OrderStatus,
    Party,
    PaymentStatus,
    Reason,
)
from app.services.assembling import PutForward
from app.services.filing import Filing
from app.store.record_rows import MerchantRow, OrderRow, PaymentRow, Told
from benchmarks.stage import authorised

FILED = 201
JUDGED = 200
NOT_FOUND = 404
_ORDER = "B-@"
_KINDS = (
    EvidenceKind.CHAT_LOG,
    EvidenceKind.ORDER_RECORD,
    EvidenceKind.PAYMENT_PROOF,
    EvidenceKind.RECEIVED_PROOF,
)


@dataclass(frozen=True, slots=True)
class Claims:
    """As many claims as are asked for, no number twice; their times suit a claim that is made `now`."""

    now: datetime
    numbers: Iterator[int]

    @classmethod
    def begin(cls) -> "Claims":
        """From number 1."""
        return cls(datetime.now(UTC), count(1))

    def inline(self, size: int) -> list[bytes]:
        """Requests with all records in the body."""
        template = json.dumps(_body(self.now), ensure_ascii=False)
        return [_filed(template, number) for number in self._next(size)]

    def sent_before(self, size: int) -> tuple[list[Told], list[bytes]]:
        """Records to be stored first, and requests that name only the order."""
        whole = _body(self.now)
        template = json.dumps({name: whole[name] for name in ("claim", "evidence")} | {"order_no": _ORDER})
        numbers = self._next(size)
        return [told(self.now, number) for number in numbers], [_filed(template, number) for number in numbers]

    def filings(self, size: int) -> list[Filing]:
        """The same claims, as the service's use case takes them."""
        return [filing(self.now, number) for number in self._next(size)]

    def judgements(self, size: int) -> list[bytes]:
        """Requests to judge the same facts and to store nothing."""
        template = json.dumps({**_body(self.now), "as_of": self.now.isoformat(), "deliveries": []}, ensure_ascii=False)
        return [authorised("POST", "/v1/adjudications", template.replace("@", "0").encode())] * size

    def nothing(self, size: int) -> list[bytes]:
        """Authorised requests for a case that cannot exist: all that a request costs before it does anything."""
        return [authorised("GET", "/v1/cases/none")] * size

    def _next(self, size: int) -> list[int]:
        return [next(self.numbers) for _ in range(size)]


def _filed(template: str, number: int) -> bytes:
    body = template.replace("@", str(number)).encode()
    return authorised("POST", "/v1/cases", body, Idempotency_Key=f"bench-{number}")


def _body(now: datetime) -> dict[str, Any]:
    placed_at = now - timedelta(hours=26)
    return {
        "claim": {"reason": Reason.NOT_DELIVERED, "amount": 20_000, "filed_at": now.isoformat()},
        "order": {
            "order_no": _ORDER,
            "merchant_id": "m-7",
            "buyer_id": "b-9",
            "amount": 20_000,
            "currency": "CNY",
            "status": OrderStatus.PAID,
            "placed_at": placed_at.isoformat(),
            "goods": {
                "sku": "steam-200",
                "name": "Steam 充值卡 200 元",
                "kind": GoodsKind.GAME_CARD,
                "delivery_mode": DeliveryMode.INSTANT,
                "card_use": CardUse.SINGLE_USE,
                "face_value": 20_000,
            },
        },
        "payments": [
            {
                "payment_no": f"P-@-{channel.value}",
                "order_no": _ORDER,
                "channel": channel,
                "status": PaymentStatus.SUCCEEDED,
                "amount": amount,
                "paid_at": (placed_at + timedelta(seconds=30)).isoformat(),
            }
            for channel, amount in _PAID
        ],
        "evidence": [
            {
                "kind": kind,
                "party": Party.BUYER,
                "channel": ChatChannel.IN_PLATFORM,
                "captured_at": (now - timedelta(hours=2)).isoformat(),
                "order_no": _ORDER,
            }
            for kind in _KINDS
        ],
        "merchant": {"merchant_id": "m-7", "status": "active", "identity_verified": True, "deposit": 0},
    }


# The merchant has no deposit: claims that draw on one deposit take turns on it, which is another thing to measure.
_PAID = ((Channel.ALIPAY, 15_000), (Channel.BALANCE, 5_000))


def told(now: datetime, number: int) -> Told:
    """The records of one claim, as they are stored."""
    placed_at = now - timedelta(hours=26)
    order = OrderRow(
        order_no=_ORDER.replace("@", str(number)),
        merchant_id="m-7",
        buyer_id="b-9",
        amount=20_000,
        currency="CNY",
        status=OrderStatus.PAID,
        placed_at=placed_at,
        sku="steam-200",
        goods_name="Steam 充值卡 200 元",
        goods_kind=GoodsKind.GAME_CARD,
        delivery_mode=DeliveryMode.INSTANT,
        card_use=CardUse.SINGLE_USE,
        face_value=20_000,
    )
    payments = tuple(
        PaymentRow(
            f"P-{number}-{channel.value}",
            channel,
            PaymentStatus.SUCCEEDED,
            amount,
            placed_at + timedelta(seconds=30),
            order_no=order.order_no,
        )
        for channel, amount in _PAID
    )
    return Told(orders=(order,), payments=payments, merchants=(MerchantRow("m-7", identity_verified=True),))


def filing(now: datetime, number: int) -> Filing:
    """One claim with its records."""
    records = told(now, number)
    order_no = records.orders[0].order_no
    piece = Evidence(
        kind=_KINDS[0],
        party=Party.BUYER,
        captured_at=now - timedelta(hours=2),
        order_no=order_no,
        channel=ChatChannel.IN_PLATFORM,
    )
    return Filing(
        claim=Claim(reason=Reason.NOT_DELIVERED, filed_at=now, amount=20_000),
        order_no=order_no,
        payment_nos=tuple(payment.payment_no for payment in records.payments),
        evidence=tuple(PutForward(replace(piece, kind=kind)) for kind in _KINDS),
        told=records,
        policy=None,
    )
