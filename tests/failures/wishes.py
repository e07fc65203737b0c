"""What a crowd wants of few orders, payments and merchants, so that everybody comes by what everybody else has.

Each wish is a request, or several at once; what it is answered with is up to how things stand by then.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, Final, TypeAlias
from uuid import uuid4

import httpx

from app.rules.facts import Reason
from tests.api.living import RULED_AGAINST, RULED_FOR
from tests.failures.market import Market, by_reference, claim_of, piece
from tests.files.samples import png

MERCHANTS: Final = ("m-1", "m-2", "m-3")
ORDERS: Final = tuple(f"A-{n}" for n in range(1, 6))
# Of no order, or of one after the other. Who tells where it is tells nothing of merchants, and no claim merely
# names it: who waits for an order may find it there and have a merchant by then, which is what repetition is for.
WANDERING: Final = "P-w"
CARDS: Final = ("c" * 64, "d" * 64)
STANDARD, FREEZING, BY_HAND = "standard", "binghui", "card_error"
REASONS: Final = tuple(reason.value for reason in Reason if reason is not Reason.CHARGED_WITHOUT_ORDER)
STATES: Final = ("accepted", "processing", "succeeded", "abnormal", "failed", "failed", "closed")
KINDS: Final = ("chat_log", "error_screenshot", "screen_recording")

Answers: TypeAlias = list[httpx.Response]


@dataclass(slots=True)
class Known:
    """What the crowd has heard of. `later`: how much later it is than by the wall clock."""

    market: Market
    cases: list[dict[str, Any]] = field(default_factory=list)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoints: list[str] = field(default_factory=list)
    later: timedelta = timedelta(0)

    def hear(self, case: dict[str, Any]) -> None:
        """What a case is answered with."""
        self.cases = [*[each for each in self.cases if each["id"] != case["id"]][-30:], case]
        self.refunds |= {refund["id"]: refund for refund in case["refunds"]}


@dataclass(frozen=True, slots=True)
class Client:
    """One of the crowd."""

    number: int
    known: Known
    random: Random

    @property
    def market(self) -> Market:
        """Where all of them are."""
        return self.known.market

    # --- what is told

    def claim(self, order_no: str | None = None, **claimed: Any) -> dict[str, Any]:
        """A claim with its records, each a little different from what it was before; paid in two parts."""
        order_no = order_no or self.random.choice(ORDERS)
        claimed = {"reason": self.random.choice(REASONS), "amount": self.random.choice((None, None, 700)), **claimed}
        body = claim_of(order_no, merchant_of(order_no), self.known.later, **claimed)
        body["policy"] = self.random.choice((STANDARD, STANDARD, FREEZING, BY_HAND))
        body["order"]["goods"]["name"] = f"点卡 {self.random.randrange(3)}"
        body["merchant"]["deposit"] = self.random.randrange(50_000)
        body["payments"] = [self.payment(each, part) for each in body["payments"] for part in ("", "-b")]
        body["evidence"] = [self.piece(order_no) for _ in range(self.random.randrange(3))]
        return body

    def payment(self, payment: dict[str, Any], part: str = "") -> dict[str, Any]:
        """The payment as somebody tells it now."""
        number, amount = f"{payment['payment_no']}{part}", payment["amount"] // 2
        return {**payment, "payment_no": number, "amount": amount, "refunded_amount": self.random.randrange(30)}

    def piece(self, order_no: str, **changes: Any) -> dict[str, Any]:
        """Some evidence."""
        return piece(order_no, self.random.choice(KINDS), **changes)

    def wandering(self) -> dict[str, Any]:
        """A payment that is told of another order each time."""
        [payment] = claim_of(ORDERS[0], MERCHANTS[0])["payments"]
        payment |= {"payment_no": WANDERING, "order_no": self.random.choice((None, *ORDERS))}
        return self.payment(payment)

    def delivery(self) -> dict[str, Any]:
        """One of few cards, given out once more."""
        order_no, card = self.random.choice(ORDERS), self.random.choice((None, *CARDS))
        return {"delivery_no": f"D-{self.random.randrange(4)}", "order_no": order_no, "card_fingerprint": card}

    def others(self) -> list[str]:
        """Payments that may be of other orders."""
        payments = [f"P-{order_no}{part}" for order_no in ORDERS for part in ("", "-b")]
        return self.random.sample(payments, self.random.randrange(4))


Wish: TypeAlias = Callable[[Client], Awaitable[Answers]]


def merchant_of(order_no: str) -> str:
    """There are few."""
    return MERCHANTS[sum(map(ord, order_no)) % len(MERCHANTS)]


async def file(client: Client) -> Answers:
    """A claim that brings its records, and names payments of others."""
    return [await _filed(client, {**client.claim(), "payment_nos": client.others()})]


async def file_anew(client: Client) -> Answers:
    """About an order that nobody knew, of a merchant whom nobody knew."""
    name = uuid4().hex[:12]
    body = client.claim(f"N-{name}", reason="not_delivered")
    body["order"]["merchant_id"] = body["merchant"]["merchant_id"] = f"n-{name}"
    return [await _filed(client, body)]


async def file_by_reference(client: Client) -> Answers:
    """A claim that names its order, and brings some of the rest."""
    body, alone = client.claim(), client.random.random() < 0.3
    some = [name for name in ("merchant", "payments", "evidence") if client.random.random() < 0.5]
    brought = ["payments"] if alone else some
    own = client.random.choice((body["payments"][:1], body["payments"][::-1]))
    body["payments"] = [client.wandering()] if alone else own
    return [await _filed(client, by_reference(body, *brought, payment_nos=client.others()))]


async def file_without_order(client: Client) -> Answers:
    """About money that was taken for nothing."""
    claim = {**client.claim()["claim"], "reason": "charged_without_order"}
    return [await _filed(client, {"claim": claim, "payment_nos": client.others(), "policy": BY_HAND})]


async def _filed(client: Client, body: dict[str, Any]) -> httpx.Response:
    return await _heard(client, "/v1/cases", body)


async def _heard(client: Client, path: str, body: Any) -> httpx.Response:
    answer = await client.market.post(path, body)
    if answer.is_success:
        client.known.hear(answer.json())
    return answer


async def import_some(client: Client) -> Answers:
    """Records of all kinds in whatever order; of several merchants, whose deposits change."""
    told = [client.claim(order_no) for order_no in client.random.sample(ORDERS, 3)]
    payments = {each["payment_no"]: each for body in told for each in body["payments"]}
    deliveries = {each["delivery_no"]: each for each in (client.delivery(), client.delivery())}
    merchants = {each["merchant"]["merchant_id"]: each["merchant"] for each in told}
    records = {
        "orders": [each["order"] for each in told],
        "payments": list(payments.values()),
        "deliveries": list(deliveries.values()),
        "merchants": list(merchants.values()),
    }
    kept = client.random.sample(sorted(records), client.random.randrange(1, 5))
    if "merchants" not in kept:
        records["payments"].append(client.wandering())
    shuffled = {name: client.random.sample(records[name], len(records[name])) for name in kept}
    return [await client.market.post("/v1/records", shuffled)]


async def put_one(client: Client) -> Answers:
    """One record, or one of another kind, each by its own address."""
    kind, number, record = client.random.choice(
        (
            ("merchants", "merchant_id", client.claim()["merchant"]),
            ("payments", "payment_no", client.wandering()),
            ("deliveries", "delivery_no", client.delivery()),
            ("orders", "order_no", client.claim()["order"]),
        )
    )
    return [await client.market.site.put(f"/v1/{kind}/{record[number]}", record)]


async def take_a_step(client: Client) -> Answers:
    """Of any case, whether it is allowed now or not."""
    if not client.known.cases:
        return []
    case = client.random.choice(client.known.cases)
    order_no = case["order_no"] or ORDERS[0]
    action, body = client.random.choice(
        (
            ("evidence", {"evidence": [client.piece(order_no)]}),
            ("evidence", {"evidence": [client.piece(order_no) for _ in range(3)]}),
            ("merchant-response", {"position": client.random.choice(("accept", "contest", "contest"))}),
            ("ruling", RULED_FOR),
            ("ruling", RULED_FOR),
            ("ruling", {**RULED_AGAINST, "by": f"op-{client.number}"}),
            ("appeal", {"message": "另有录屏", "evidence": [client.piece(order_no)]}),
            ("withdraw", {"because": "resolved"}),
            ("escalate", {"venue": "complaint_12315"}),
        )
    )
    return [await _heard(client, f"/v1/cases/{case['id']}/{action}", body)]


async def send_a_file(client: Client) -> Answers:
    """Announced, and sent twice at once."""
    if not client.known.cases:
        return []
    case, content = client.random.choice(client.known.cases), png()
    file = {"name": "截图.png", "media_type": "image/png", "size": len(content)}
    file["sha256"] = hashlib.sha256(content).hexdigest()
    announced = client.piece(case["order_no"] or ORDERS[0], file=file)
    answer = await _heard(client, f"/v1/cases/{case['id']}/evidence", {"evidence": [announced]})
    if not answer.is_success or not (upload := answer.json()["evidence"][-1]["file"]["upload"]):
        return [answer]
    sent = (client.market.site.call("PUT", upload["url"], content=content) for _ in range(2))
    return [answer, *await asyncio.gather(*sent)]


async def report(client: Client) -> Answers:
    """What became of a refund."""
    if not client.known.refunds:
        return []
    refund = client.random.choice(list(client.known.refunds.values()))
    state = client.random.choice(STATES)
    number = client.random.choice((None, None, f"50-{client.random.randrange(5)}"))
    said = {} if number is None else {"channel_refund_no": number}
    return await client.market.report(refund, state, **said)


async def repair(client: Client) -> Answers:
    """A refund that may have stopped goes on, or is given up."""
    if not client.known.refunds:
        return []
    refund = client.random.choice(list(client.known.refunds.values()))
    action, body = client.random.choice(
        (
            ("retry", {"by": "op-1", "despite_dispute": True}),
            (
                "close",
                {"by": "op-1", "code": client.random.choice(("rejected", "refunded_elsewhere")), "note": "渠道答复"},
            ),
        )
    )
    answer = await client.market.post(f"/v1/refunds/{refund['id']}/{action}", body)
    if answer.is_success:
        client.known.refunds[answer.json()["id"]] = answer.json()
    return [answer]


async def state_a_deposit(client: Client) -> Answers:
    """Money that moved between a merchant and the site."""
    kind = client.random.choice(("top_up", "withdrawal", "recourse_paid"))
    body = {"kind": kind, "amount": client.random.randrange(1, 900), "reference": f"R-{client.random.randrange(40)}"}
    return [await client.market.post(f"/v1/merchants/{client.random.choice(MERCHANTS)}/deposit/entries", body)]


async def switch_an_endpoint(client: Client) -> Answers:
    """Off, and on again."""
    path = f"/v1/webhook-endpoints/{client.random.choice(client.known.endpoints)}"
    site = client.market.site
    return [await site.call("PATCH", path, json={"enabled": on}) for on in (False, True)]


async def rotate_the_secret(client: Client) -> Answers:
    """One more that reports may be signed with; the one before counts for a day."""
    return [await client.market.post("/v1/reporting-secret", None)]


WISHES: Final[Mapping[Wish, int]] = {
    file: 5,
    file_anew: 2,
    file_by_reference: 6,
    file_without_order: 1,
    import_some: 6,
    put_one: 4,
    take_a_step: 8,
    send_a_file: 1,
    report: 5,
    repair: 3,
    state_a_deposit: 3,
    switch_an_endpoint: 1,
    rotate_the_secret: 1,
}
