"""Many clients and two workers at once over few orders, payments and merchants: nobody waits for who waits for him.

python -m tests.failures.crowd              1200 wishes, under a seed that is printed
python -m tests.failures.crowd 5000 42      that many, under that seed
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app import logs
from app.errors import Busy
from app.outbound.channels.said import FoundRefund, PaymentSeen
from app.outbound.schedule import DisableReason
from app.rules.calendar import STATUTORY
from app.rules.settlement import RefundState
from app.services import dispatching, overdue, timing
from app.services.reconciling import take_in, take_in_bill
from app.store.deposits import DepositStore
from app.store.engine import transaction
from app.store.sites import database_now
from tests.failures.market import Market, deadlocks, open_market
from tests.failures.meetings import ENDPOINT, ended
from tests.failures.operations import code_of
from tests.failures.report import Report, main
from tests.failures.wishes import ORDERS, WANDERING, WISHES, Client, Known

WHOLE: Final = 1_200
CLIENTS: Final = 8
ROUNDS: Final = 3
# From one round to the next most deadlines pass, and one day of a secret's.
BETWEEN: Final = timedelta(hours=26)
SECONDS_BETWEEN_LOOKS: Final = 0.02
PAYMENTS: Final = (*(f"P-{order_no}" for order_no in ORDERS), WANDERING)
# What the refunds of a payment must never be: more than it is, or not what is reserved on it.
_OVERDRAWN: Final = """
    SELECT payment_no FROM payments p, LATERAL (
        SELECT coalesce(sum(r.amount), 0) AS promised FROM refunds r
        WHERE r.site_id = p.site_id AND r.payment_no = p.payment_no AND r.state <> 'closed') AS r
    WHERE reserved_amount <> promised OR promised > amount"""


async def crowd(database_url: str, size: int, seed: int) -> Report:
    """So many wishes, in rounds between which time passes: what is in the way of it being a calm market."""
    report = Report(seed)
    async with open_market(database_url) as market:
        known = await _opened(market)
        clients = [Client(n, known, Random(f"{seed}-{n}")) for n in range(CLIENTS)]
        async with _looked_at(database_url, report):
            for turn in range(ROUNDS):
                if turn:
                    await _time_passes(known)
                async with _workers(known, report, f"{seed}-{turn}"):
                    wishes = size // ROUNDS // CLIENTS
                    await asyncio.gather(*(_turns(client, wishes, report) for client in clients))
        report.faults += [fault async for fault in _books(market)]
        report.faults += [f"a deadlock ended: {victim}" for victim in market.victims]
    counted = await deadlocks(database_url)
    report.counts["deadlocks"] = counted
    if counted != len(market.victims):
        report.faults.append(f"{counted} deadlocks in the database, {len(market.victims)} were heard of")
    return report


async def _opened(market: Market) -> Known:
    known = Known(market)
    client = Client(CLIENTS, known, Random(0))
    await market.told(*(client.claim(order_no) for order_no in ORDERS))
    await market.post("/v1/records", {"payments": [client.wandering()]})
    for path in ("a", "b"):
        answer = await market.post("/v1/webhook-endpoints", {**ENDPOINT, "url": f"{ENDPOINT['url']}{path}"})
        assert answer.status_code == 201, answer.text
        known.endpoints.append(answer.json()["id"])
    return known


async def _time_passes(known: Known) -> None:
    await known.market.clock.advance(BETWEEN)
    known.later += BETWEEN
    answer = await known.market.post("/v1/reporting-secret", None)
    assert answer.status_code == 200, answer.text
    known.market = replace(known.market, secret=answer.json()["secret"])


async def _turns(client: Client, number: int, report: Report) -> None:
    wishes = client.random.choices(list(WISHES), list(WISHES.values()), k=number)
    for wish in wishes:
        for answer in await wish(client):
            report.counts[f"{wish.__name__}: {answer.status_code} {code_of(answer)}".rstrip()] += 1
            # Who waits too long on a slow machine is told so; that is no fault, unless a deadlock is counted.
            if answer.status_code >= 500 and code_of(answer) != "busy":
                report.faults.append(f"{wish.__name__}: {answer.status_code} {answer.text[:200]}")


# --- the workers


@dataclass(frozen=True, slots=True)
class Worker:
    """One of them, with what it does besides waiting."""

    engine: AsyncEngine
    known: Known
    random: Random
    counts: Counter[str]

    async def fire(self) -> None:
        """Deadlines that are over, and cases to be judged anew."""
        self.counts["timers fired"] += await timing.fire_due(self.engine, limit=20)

    async def raise_overdue(self) -> None:
        """Refunds that are late."""
        self.counts["refunds overdue"] += await overdue.raise_due(self.engine, limit=10)

    async def recompute(self) -> None:
        """Deadlines that the calendar makes certain."""
        await timing.recompute_provisional(self.engine, STATUTORY)

    async def purge(self) -> None:
        """Idempotency keys that are old."""
        self.counts["keys purged"] += await dispatching.purge_idempotency_keys(self.engine)

    async def send(self) -> None:
        """Events, to endpoints that fail, or are gone."""
        leased = await dispatching.lease_due(self.engine, limit=8, per_endpoint=8)
        gone = DisableReason.GONE if self.random.random() < 0.1 else None
        if leased:
            await dispatching.record(self.engine, leased[0].site_id, [ended(each, gone) for each in leased])
        self.counts["attempts"] += len(leased)

    async def find(self) -> None:
        """Refunds that others made, over any payment."""
        found, site_id = await self._found(None), self.known.market.site.site_id
        await take_in(self.engine, site_id, self.random.choice(PAYMENTS), PaymentSeen(None, (found,)))
        self.counts["refunds found"] += 1

    async def read_a_bill(self) -> None:
        """What the channel lists: some of ours, and some of others."""
        refunds, site_id = list(self.known.refunds.values()), self.known.market.site.site_id
        ours = self.random.sample(refunds, min(2, len(refunds)))
        bill = [(each["payment_no"], await self._found(each)) for each in ours]
        bill.append((self.random.choice(PAYMENTS), await self._found(None)))
        async with transaction(self.engine) as connection:
            now = await database_now(connection)
        await take_in_bill(self.engine, site_id, bill, now)

    async def _found(self, ours: dict[str, Any] | None) -> FoundRefund:
        number = f"h-{self.random.randrange(6)}" if ours is None else f"50-{ours['refund_no']}"
        amount = self.random.randrange(1, 40) if ours is None else ours["amount"]
        async with transaction(self.engine) as connection:
            now = await database_now(connection)
        state = (
            RefundState.SUCCEEDED if ours is None else self.random.choice((RefundState.SUCCEEDED, RefundState.CLOSED))
        )
        return FoundRefund(number, None if ours is None else ours["refund_no"], amount, state, now)

    async def work(self, over: asyncio.Event) -> None:
        """One chore after the other until the round is over; each at least once."""
        chores: tuple[Callable[[], Awaitable[None]], ...] = (
            *(self.fire, self.fire, self.raise_overdue, self.recompute),
            *(self.purge, self.send, self.find, self.read_a_bill),
        )
        for turn in itertools.count():
            for chore in self.random.sample(chores, len(chores)):
                if turn and over.is_set():
                    return
                await self._done(chore, over)

    async def _done(self, chore: Callable[[], Awaitable[None]], over: asyncio.Event) -> None:
        try:
            await chore()
        except Busy:
            self.counts["chores that came too early"] += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), 0.005)


@asynccontextmanager
async def _workers(known: Known, report: Report, seed: str) -> AsyncIterator[None]:
    over = asyncio.Event()
    workers = [
        Worker(engine, known, Random(f"{seed}-worker-{n}"), report.counts)
        for n, engine in enumerate(known.market.workers)
    ]
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.work(over))
        try:
            yield
        finally:
            over.set()


# --- what is looked at


@asynccontextmanager
async def _looked_at(database_url: str, report: Report) -> AsyncIterator[None]:
    """Somebody counts how often anybody waits, and whether the books are in order at any moment."""
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    over = asyncio.Event()
    looking = asyncio.create_task(_look(connection, over, report))
    try:
        yield
    finally:
        over.set()
        await looking
        await connection.close()


async def _look(connection: asyncpg.Connection, over: asyncio.Event, report: Report) -> None:
    overdrawn: set[str] = set()
    while not over.is_set():
        waiting = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        report.counts["looks at somebody waiting"] += waiting > 0
        report.counts["looks at several waiting"] += waiting > 1
        overdrawn |= {row["payment_no"] for row in await connection.fetch(_OVERDRAWN)}
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), SECONDS_BETWEEN_LOOKS)
    report.faults += [f"payment {number} was at odds with its refunds" for number in sorted(overdrawn)]


async def _books(market: Market) -> AsyncIterator[str]:
    for row in await market.watcher.fetch(_OVERDRAWN):
        yield f"payment {row['payment_no']} is at odds with its refunds"
    async with transaction(market.engine) as connection:
        for each in await DepositStore(connection, market.site.site_id).differences():
            yield f"the deposit of {each.merchant_id} is not the sum of its entries"


if __name__ == "__main__":
    logs.configure("critical")
    main(crowd, WHOLE)
