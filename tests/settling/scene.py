"""A site whose refunds the service itself asks for: accounts at fake channels, granted claims, and a clock in hand."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import ids
from app.rules.facts import Channel, ChatChannel, Claim, Evidence, EvidenceKind, Party, Reason, Ruled, RulingCode
from app.rules.settlement import RefundState
from app.sealing import Sealer
from app.services import channel_accounts, repair, ruling, settling
from app.services.assembling import PutForward
from app.services.channel_accounts import Channels, Keyring, NewAccount
from app.services.filing import Filing, file_case
from app.services.repair import Repair
from app.services.ruling import Wish
from app.services.showing import REFUND
from app.services.steps import Target
from app.store.case_rows import CaseView
from app.store.cases import CaseStore
from app.store.channels import AccountRow, ChannelStore
from app.store.engine import transaction
from app.store.record_rows import OrderRow, Told
from app.store.refunds import RefundStore, RefundView
from app.store.sites import database_now
from tests.database_clock import DatabaseClock
from tests.settling.gateways import KINDS, URLS, Gateways, Kind
from tests.store import rows
from tests.store.rows import SITE

NOON: Final = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
SEALER: Final = Sealer(bytes(32))
PUBLIC_URL: Final = "https://refunds.example.com"
# Each of these is left to a person where it asks for a part.
REASONS: Final = (Reason.NOT_WORKING, Reason.INVALID_GOODS, Reason.NOT_AS_DESCRIBED, Reason.WRONG_TARGET)


@dataclass
class Time:
    """The database's clock and everybody else's: it stands still until somebody moves it."""

    hands: DatabaseClock
    at: datetime
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def now(self) -> datetime:
        """For fakes."""
        return self.at

    def elapsed(self) -> timedelta:
        """For workers."""
        return self.at - NOON

    async def pass_by(self, length: timedelta) -> None:
        """Forwards."""
        async with self.turn:
            await self.hands.advance(length)
            self.at += length


@dataclass
class Scene:
    """`accounts` by channel, `orders` by payment. What people and the site do here goes through the services."""

    engine: AsyncEngine
    time: Time
    gateways: Gateways
    sealer: Sealer = SEALER
    keyring: Keyring = field(default_factory=lambda: Keyring(SEALER))
    site_id: UUID = SITE
    accounts: dict[Channel, AccountRow] = field(default_factory=dict)
    orders: dict[str, OrderRow] = field(default_factory=dict)
    paid: list[tuple[Channel, str]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def channels(self) -> Channels:
        """What the worker speaks to channels with."""
        return Channels(self.gateways, self.keyring, URLS, PUBLIC_URL)

    async def register(self, *kinds: Kind) -> None:
        """Accounts of these kinds, or of all."""
        for kind in kinds or KINDS:
            async with transaction(self.engine) as connection:
                self.accounts[kind.channel] = await channel_accounts.register(
                    ChannelStore(connection, self.site_id),
                    self.sealer,
                    self.site_id,
                    NewAccount(kind.kind, kind.channel, kind.name, kind.credentials),
                    now=self.time.at,
                )

    async def granted(self, *payments: tuple[Channel, int], parts: Sequence[int] = ()) -> list[UUID]:
        """The refunds of an order that was paid so: of one claim for all of it, or of a claim for each part."""
        told = self._records(payments, self.time.at - HOUR)
        if not parts:
            return await self.claimed(told, Reason.NOT_DELIVERED, None)
        reasons = zip(REASONS, parts, strict=False)
        return [refund for reason, part in reasons for refund in await self.claimed(told, reason, part)]

    async def claimed(self, told: Told, reason: Reason, amount: int | None) -> list[UUID]:
        """A claim, granted by the rules or by a person: its refunds."""
        view = await self.filed(told, reason, amount)
        if not view.refunds:
            view = await self.ruled(view.case.case_id, amount)
        assert view.refunds, view.decision
        return [each.refund_id for each in view.refunds]

    async def filed(self, told: Told, reason: Reason, amount: int | None) -> CaseView:
        """A claim about the order that is told."""
        [order] = told.orders
        async with transaction(self.engine) as connection:
            now = await database_now(connection)
            chat = Evidence(
                EvidenceKind.CHAT_LOG,
                Party.BUYER,
                now - 30 * MINUTE,
                order_no=order.order_no,
                channel=ChatChannel.IN_PLATFORM,
            )
            claim = Claim(reason, now - MINUTE, amount=amount)
            filing = Filing(claim, order.order_no, (), (PutForward(chat),), told, "standard")
            return await file_case(filing, connection, self.site_id, now=now)

    async def ruled(self, case_id: UUID, amount: int | None) -> CaseView:
        """A person grants a claim."""
        wish = Wish(Ruled.APPROVE, RulingCode.EVIDENCE_CONVINCES, "录屏可信", amount, "op-1")
        async with transaction(self.engine) as connection:
            return await ruling.rule(CaseStore(connection, self.site_id), Target(case_id), wish)

    def _records(self, payments: Sequence[tuple[Channel, int]], paid_at: datetime) -> Told:
        number = next(self.numbers)
        order_no, total = f"A-{number}", sum(amount for _, amount in payments)
        order = replace(rows.ORDER, order_no=order_no, amount=total, placed_at=paid_at, buyer_id=f"b-{number}")
        paid = []
        for place, (channel, amount) in enumerate(payments):
            payment_no = f"P-{number}-{place}"
            self.gateways.pay(channel, payment_no, amount, paid_at)
            payment = replace(
                rows.PAYMENT,
                payment_no=payment_no,
                channel=channel,
                amount=amount,
                paid_at=paid_at + place * SECOND,
                order_no=order_no,
            )
            paid.append(payment)
            self.orders[payment_no] = order
            self.paid.append((channel, payment_no))
        return Told((order,), tuple(paid), (), (replace(rows.MERCHANT, deposit=10**9),))

    async def step(self, *, limit: int = 50) -> int:
        """One round of the worker."""
        return await settling.step_due(self.engine, self.channels, limit=limit, elapsed=self.time.elapsed)

    async def steps(self, length: timedelta, *, every: timedelta = SECOND * 15) -> None:
        """What a worker does in that time."""
        until = self.time.at + length
        while True:
            while await self.step():
                pass
            if self.time.at >= until:
                return
            await self.time.pass_by(min(every, until - self.time.at))

    async def view(self, refund_id: UUID) -> RefundView:
        """A refund as it stands, with all that was said of it."""
        async with transaction(self.engine) as connection:
            found = await RefundStore(connection, self.site_id).get(refund_id)
        assert found is not None
        return found

    async def state(self, refund_id: UUID) -> RefundState:
        """How far it is."""
        return (await self.view(refund_id)).refund.state

    async def retry(self, refund_id: UUID) -> UUID:
        """A person has it asked for again."""
        async with transaction(self.engine) as connection:
            return await repair.retry(CaseStore(connection, self.site_id), refund_id, Repair("op-1"))

    async def told(self, refund_id: UUID, kind: str = "") -> list[dict[str, Any]]:
        """What was told of a refund, in order: each with its `type`."""
        query = text("""
            SELECT type, full_data FROM events WHERE site_id = :site_id AND type LIKE 'refund.%' ORDER BY event_id""")
        found = await self.all(query, site_id=self.site_id)
        shown = [{"type": each["type"], **document(each["full_data"])} for each in found]
        mine = [each for each in shown if each["id"] == ids.show(REFUND, refund_id)]
        return [each for each in mine if kind in ("", each["type"])]

    async def payment(self, payment_no: str) -> Mapping[str, Any]:
        """A payment's row."""
        query = text("SELECT * FROM payments WHERE site_id = :site_id AND payment_no = :payment_no")
        [found] = await self.all(query, site_id=self.site_id, payment_no=payment_no)
        return found

    async def all(self, query: Any, **parameters: Any) -> list[Mapping[str, Any]]:
        """Whatever is asked."""
        async with self.engine.connect() as connection:
            return [dict(row._mapping) for row in await connection.execute(query, parameters)]

    async def run(self, statement: str, **parameters: Any) -> None:
        """A change that no service makes."""
        async with transaction(self.engine) as connection:
            await connection.execute(text(statement), parameters)


def document(stored: Any) -> dict[str, Any]:
    """An event's content, as it is stored."""
    found: dict[str, Any] = json.loads(stored) if isinstance(stored, str) else stored
    return found


async def opened(engine: AsyncEngine, clock: DatabaseClock) -> Scene:
    """A scene at noon, without accounts."""
    await clock.freeze(NOON)
    time = Time(clock, NOON)
    return Scene(engine, time, Gateways(time.now))


@asynccontextmanager
async def held(engine: AsyncEngine, statement: str, **parameters: Any) -> AsyncIterator[AsyncConnection]:
    """Somebody else has locked something."""
    async with engine.begin() as connection:
        await connection.execute(text(statement), parameters)
        yield connection
