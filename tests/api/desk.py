"""A shop's desk in a test: claims made now by the database's clock, moved through the API, and the worker's rounds."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from app.services.timing import fire_due
from tests.api.conftest import Access
from tests.database_clock import DatabaseClock

A_TUESDAY: Final = datetime(2026, 3, 10, 4, tzinfo=UTC)
A_MINUTE: Final = timedelta(minutes=1)
PROOF: Final = "error_screenshot"


@dataclass(frozen=True, slots=True)
class Desk:
    """One site's cases. Each claim is about an order of its own, placed two hours ago, complained of a minute ago."""

    site: Access
    clock: DatabaseClock
    engine: AsyncEngine
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def file(
        self,
        reason: str,
        *,
        buyer: str = "b-9",
        merchant: str = "m-7",
        amount: int = 20_000,
        policy: str | None = None,
        deliveries: tuple[dict[str, Any], ...] = (),
        proof: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Files a claim; the case."""
        now, order_no = await self.clock.now(), f"A-{next(self.numbers)}"
        placed_at = now - timedelta(hours=2)
        body = {
            "policy": policy,
            "claim": {"reason": reason, "filed_at": _text(now - A_MINUTE)},
            "order": an_order(order_no, placed_at, buyer=buyer, merchant=merchant, amount=amount),
            "payments": [a_payment(order_no, placed_at + A_MINUTE, amount)],
            "deliveries": [a_delivery(order_no, placed_at + A_MINUTE, **each) for each in deliveries],
            "evidence": [a_piece(order_no, kind, now - A_MINUTE) for kind in proof],
            "merchant": {"merchant_id": merchant, "status": "active", "identity_verified": True, "deposit": 500_000},
        }
        return await self._did(await self.site.post("/v1/cases", body, once=f"file-{order_no}"), 201)

    async def rejected(self, buyer: str = "b-9") -> dict[str, Any]:
        """A claim that nothing came, although it had: a strike."""
        return await self.file("not_delivered", buyer=buyer, deliveries=({"usage": "unused"},))

    async def merchants_turn(self, merchant: str = "m-7") -> dict[str, Any]:
        """A claim that the merchant is asked about."""
        return await self.file("not_working", merchant=merchant, proof=(PROOF, "chat_log"))

    async def appeal(self, case: dict[str, Any]) -> dict[str, Any]:
        """The buyer appeals with a recording."""
        piece = a_piece(case["order_no"], "screen_recording", await self.clock.now() - A_MINUTE)
        return await self.step(case, "appeal", {"message": "记录有误", "evidence": [piece]})

    async def rule(self, case: dict[str, Any], outcome: str, *, by: str = "op-1", **more: Any) -> dict[str, Any]:
        """A person rules."""
        return await self.step(
            case, "ruling", {"outcome": outcome, "code": "other", "text": "已核实", "by": by, **more}
        )

    async def step(self, case: dict[str, Any], name: str, body: Any = None) -> dict[str, Any]:
        """A party's step; the case as it stands then."""
        once = f"{name}-{next(self.numbers)}" if name in {"ruling", "merchant-response"} else None
        return await self._did(await self.site.post(f"/v1/cases/{case['id']}/{name}", body, once=once), 200)

    async def passes(self, length: timedelta) -> None:
        """Time passes, and the worker does what is due by then."""
        await self.clock.advance(length)
        await self.work()

    async def work(self) -> None:
        """The worker's rounds until nothing is due."""
        while await fire_due(self.engine, limit=100):
            pass

    async def read(self, path: str) -> dict[str, Any]:
        """What a GET answers with."""
        return await self._did(await self.site.get(path), 200)

    async def all(self, path: str, *, limit: int = 100) -> list[dict[str, Any]]:
        """Every entry of a list, page by page."""
        found: list[dict[str, Any]] = []
        address = f"{path}{'&' if '?' in path else '?'}limit={limit}"
        page = await self.read(address)
        while True:
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            page = await self.read(f"{address}&cursor={page['next_cursor']}")

    async def _did(self, answer: Any, status: int) -> dict[str, Any]:
        assert answer.status_code == status, answer.text
        document: dict[str, Any] = answer.json()
        return document


def an_order(order_no: str, placed_at: datetime, *, buyer: str, merchant: str, amount: int = 20_000) -> dict[str, Any]:
    """A single-use card that was to come at once."""
    goods = {"sku": "steam", "name": "点卡", "kind": "game_card", "delivery_mode": "instant", "card_use": "single_use"}
    return {
        "order_no": order_no,
        "merchant_id": merchant,
        "buyer_id": buyer,
        "amount": amount,
        "currency": "CNY",
        "status": "paid",
        "placed_at": _text(placed_at),
        "goods": {**goods, "face_value": amount},
    }


def a_payment(order_no: str, paid_at: datetime, amount: int) -> dict[str, Any]:
    """All of it, at once."""
    return {
        "payment_no": f"P-{order_no}",
        "order_no": order_no,
        "channel": "alipay",
        "status": "succeeded",
        "amount": amount,
        "paid_at": _text(paid_at),
    }


def a_delivery(order_no: str, delivered_at: datetime, **changes: Any) -> dict[str, Any]:
    """It came."""
    return {"delivery_no": f"D-{order_no}", "delivered_at": _text(delivered_at), "usage": "unknown", **changes}


def a_piece(order_no: str, kind: str, captured_at: datetime, **changes: Any) -> dict[str, Any]:
    """Something that the buyer puts forward."""
    piece = {"kind": kind, "party": "buyer", "captured_at": _text(captured_at), "order_no": order_no}
    return {**piece, **({"channel": "in_platform"} if kind == "chat_log" else {}), **changes}


def _text(at: datetime) -> str:
    return at.isoformat()
