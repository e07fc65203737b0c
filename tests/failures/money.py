"""Many who want the same money at once: claims for different reasons, rulings, and records of what went back elsewhere.

python -m tests.failures.money              500 orders with six requests each, under a seed that is printed
python -m tests.failures.money 1000 42      that many, under that seed
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import asyncpg
import httpx

from tests.api import bodies
from tests.api.living import RULED_FOR
from tests.failures.operations import code_of, of_its_own
from tests.failures.report import Report, main
from tests.failures.serving import Request, Shop, serving
from tests.failures.traces import at_odds

ORDERS: Final = 500
AT_ONCE: Final = 6
ORDERS_AT_ONCE: Final = 2
PROCESSES: Final = 2
SECONDS_BETWEEN_LOOKS: Final = 0.1
# Each of these is granted by the rules at once, with all that is left, as long as nothing was delivered.
GRANTED: Final = ("not_delivered", "delivered_late", "wrong_item", "change_of_mind")
# Each of these is left to a person where it asks for a part.
REVIEWED: Final = ("not_working", "invalid_goods", "not_as_described", "wrong_target", "wrong_account")
IMPORTS: Final = ("put", "import")
# Who is granted anything at once is granted all; on other orders many want a part each.
ALL_OR_NOTHING, IN_PARTS = (*GRANTED, *REVIEWED[:2], *IMPORTS), (*REVIEWED, *IMPORTS)
REGULAR: Final = (200, 201, 409, 422)
_REFUNDS: Final = """
    SELECT c.order_no, sum(r.amount)::bigint AS refunds FROM cases c JOIN refunds r USING (site_id, case_id)
    WHERE c.order_no LIKE 'T-%' GROUP BY c.order_no"""
# The refunds of a case are what its last decision says, and there are none without one.
_PARTS: Final = """
    SELECT * FROM (
        SELECT c.case_id, (
                   SELECT CAST(d.body AS jsonb) #>> '{refund,amount}' FROM decisions d
                   WHERE d.site_id = c.site_id AND d.case_id = c.case_id ORDER BY n DESC LIMIT 1
               )::bigint AS granted,
               (SELECT sum(r.amount)::bigint FROM refunds r
                WHERE r.site_id = c.site_id AND r.case_id = c.case_id) AS parts
        FROM cases c) AS summed
    WHERE granted IS DISTINCT FROM parts"""


@dataclass(frozen=True, slots=True)
class Order:
    """One order, and six who want something of its money. `payments`: fen paid, by payment."""

    order_no: str
    payments: dict[str, int]
    wishes: tuple[str, ...]
    random: Random

    @property
    def paid(self) -> int:
        """All that was paid, in fen."""
        return sum(self.payments.values())

    def records(self, refunded: int = 0) -> dict[str, Any]:
        """The order's claim with its records; `refunded` fen of each payment, at most, went back elsewhere."""
        body = of_its_own(bodies.filing(self.order_no), self.order_no)
        [payment] = body["payments"]
        body["order"] |= {"amount": self.paid}
        body["order"]["goods"]["face_value"] = self.paid
        body["claim"]["amount"] = None
        body["payments"] = [
            {**payment, "payment_no": number, "amount": amount, "refunded_amount": min(refunded, amount)}
            for number, amount in self.payments.items()
        ]
        return body

    def filing(self, reason: str, amount: int | None = None) -> Request:
        """A claim that names the order, or brings the records along."""
        body = self.records()
        if self.random.random() < 0.5:
            body = {"order_no": self.order_no, "claim": body["claim"]}
        body["claim"] |= {"reason": reason, "amount": amount}
        return Request("POST", "/v1/cases", {**body, "policy": "standard"}, self.order_no)


async def race_money(database_url: str, orders: int, seed: int, *, fault: str | None = None) -> Report:
    """Six at once on each order; never more goes back than was paid, and all adds up at every moment."""
    report, random = Report(seed), Random(seed)
    drawn = [_order(n, random) for n in range(orders)]
    granted: Counter[str] = Counter()
    async with serving(database_url, processes=PROCESSES, fault=fault) as shop, _watched(database_url, report):
        for first in range(0, orders, ORDERS_AT_ONCE):
            raced = drawn[first : first + ORDERS_AT_ONCE]
            await asyncio.gather(*(_raced(shop, order, granted, report) for order in raced))
        report.faults += [fault async for fault in _at_the_end(shop.database, granted)]
        report.counts["fen paid"] = sum(order.paid for order in drawn)
        report.counts["fen promised"] = granted.total()
    return report


def _order(n: int, random: Random) -> Order:
    order_no, parts = f"T-{n:05}", random.choice((1, 1, 2, 3))
    payments = {f"P-{order_no}-{part}": random.randint(10, 20_000) for part in range(parts)}
    wishes = random.sample(random.choice((ALL_OR_NOTHING, IN_PARTS)), AT_ONCE)
    return Order(order_no, payments, tuple(wishes), Random(random.random()))


async def _raced(shop: Shop, order: Order, granted: Counter[str], report: Report) -> None:
    body = order.records()
    records = {"orders": [body["order"]], "payments": body["payments"], "merchants": [body["merchant"]]}
    await shop.do(Request("POST", "/v1/records", records, order.order_no))
    requests = [await _request(shop, order, wish) for wish in order.wishes]
    answers = await asyncio.gather(
        *(shop.send(request, f"{order.order_no}-{n}") for n, request in enumerate(requests)), return_exceptions=True
    )
    for wish, answer in zip(order.wishes, answers, strict=True):
        if not isinstance(answer, httpx.Response):
            report.faults.append(f"{order.order_no}, {wish}: {answer!r}")
            continue
        report.counts[_kind(wish, answer)] += 1
        if answer.status_code not in REGULAR:
            report.faults.append(f"{order.order_no}, {wish}: {answer.status_code} {answer.text[:200]}")
        if answer.is_success and wish not in IMPORTS:
            granted[order.order_no] += sum(refund["amount"] for refund in answer.json()["refunds"])


def _kind(wish: str, answer: httpx.Response) -> str:
    """What became of a wish, to be counted."""
    sort = "a record" if wish in IMPORTS else "a ruling" if wish in REVIEWED else "a claim"
    if not answer.is_success:
        return f"{sort}: {answer.status_code} {code_of(answer)}"
    return f"{sort}: stored" if wish in IMPORTS else f"{sort}: {answer.json()['status']}"


async def _request(shop: Shop, order: Order, wish: str) -> Request:
    """What is to be sent when all are ready; what a ruling needs comes before."""
    if wish in GRANTED:
        return order.filing(wish)
    if wish in REVIEWED:
        asked = order.random.randint(1, order.paid // 2)
        case = await shop.do(order.filing(wish, asked), f"{order.order_no}-{wish}")
        amount = order.random.choice((None, order.random.randint(1, asked)))
        return Request("POST", f"/v1/cases/{case['id']}/ruling", {**RULED_FOR, "amount": amount}, order.order_no)
    payments = order.records(refunded=order.random.randint(1, 5_000))["payments"]
    if wish == "import":
        return Request("POST", "/v1/records", {"payments": payments}, order.order_no)
    payment = order.random.choice(payments)
    return Request("PUT", f"/v1/payments/{payment['payment_no']}", payment, order.order_no)


@asynccontextmanager
async def _watched(database_url: str, report: Report) -> AsyncIterator[None]:
    """Somebody looks all the time, also while the others are at it."""
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    over = asyncio.Event()
    watcher = asyncio.create_task(_watch(connection, over, report))
    try:
        yield
    finally:
        over.set()
        await watcher
        await connection.close()


async def _watch(connection: asyncpg.Connection, over: asyncio.Event, report: Report) -> None:
    found: set[str] = set()
    while not over.is_set():
        found |= set(await at_odds(connection))
        report.counts["looks"] += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), SECONDS_BETWEEN_LOOKS)
    report.faults += [f"payment {number} was at odds with its refunds" for number in sorted(found)]


async def _at_the_end(database: asyncpg.Connection, granted: Counter[str]) -> AsyncIterator[str]:
    """What was answered is what is there, and every decision's parts add up to it."""
    for number in await at_odds(database):
        yield f"payment {number} is at odds with its refunds"
    promised = {row["order_no"]: row["refunds"] for row in await database.fetch(_REFUNDS)}
    for order_no in sorted(promised.keys() | granted.keys()):
        if promised.get(order_no, 0) != granted[order_no]:
            yield f"order {order_no}: {granted[order_no]} fen were granted, {promised.get(order_no, 0)} are promised"
    for row in await database.fetch(_PARTS):
        yield f"case {row['case_id']}: granted {row['granted']}, its refunds are {row['parts']}"


if __name__ == "__main__":
    main(race_money, ORDERS)
