"""Dull rows: each test changes the one thing that it is about."""

import asyncio
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import ids
from app.config import Config, read_config
from app.outbound.catalogue import HEARD_BY, EventType
from app.rules.facts import Channel, DeliveryMode, EvidenceKind, GoodsKind, OrderStatus, Party, PaymentStatus, Reason
from app.rules.lifecycle import CaseStatus
from app.store.case_rows import CaseRow, DecisionRow, EvidenceRow, HeldEvidence, NewCase, NewEvent, NewRefund
from app.store.endpoints import EndpointRow, EndpointStore
from app.store.engine import transaction
from app.store.record_rows import DeliveryRow, MerchantRow, OrderRow, PaymentRow, Told
from app.store.sites import SiteStore

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
SITE = UUID("01900000-0000-7000-8000-00000000000a")
OTHER_SITE = UUID("01900000-0000-7000-8000-00000000000b")

ORDER = OrderRow(
    order_no="A-1",
    merchant_id="m-7",
    buyer_id="b-9",
    amount=20_000,
    currency="CNY",
    status=OrderStatus.PAID,
    placed_at=NOW - timedelta(days=1),
    sku="steam-200",
    goods_name="Steam 充值卡 200 元",
    goods_kind=GoodsKind.GAME_CARD,
    delivery_mode=DeliveryMode.INSTANT,
)
PAYMENT = PaymentRow("P-1", Channel.ALIPAY, PaymentStatus.SUCCEEDED, 20_000, NOW - timedelta(days=1), order_no="A-1")
DELIVERY = DeliveryRow("D-1", "A-1", delivered_at=NOW - timedelta(hours=2))
MERCHANT = MerchantRow("m-7", identity_verified=True, deposit=500_000)
TOLD = Told((ORDER,), (PAYMENT,), (DELIVERY,), (MERCHANT,))
EVIDENCE = EvidenceRow(EvidenceKind.CHAT_LOG, Party.BUYER, NOW - timedelta(hours=1))
DECISION = DecisionRow(
    outcome="approve", decisive_rule="undelivered-per-log", policy_name="standard", policy_version=1, engine="1",
    facts='{"b":1,"a":"卡"}', body='{"outcome":"approve"}', judged_at=NOW,
)  # fmt: skip


def config_of(database_url: str) -> Config:
    """The configuration that a test's database needs."""
    return read_config({"DATABASE_URL": database_url, "KMR_SEALING_KEY": "A" * 43, "KMR_POOL_SIZE": "20"})


async def open_site(connection: AsyncConnection, site_id: UUID = SITE) -> None:
    """A test site under the standard policy."""
    store = SiteStore(connection, site_id)
    await store.create("shop", "test", NOW)
    await store.activate_policy("standard", 1, datetime(2000, 1, 1, tzinfo=UTC))


def new_case(order_no: str | None = "A-1", reason: Reason = Reason.NOT_DELIVERED) -> NewCase:
    """A case that was filed and approved."""
    return NewCase(
        case_id=ids.new_uuid(), order_no=order_no, merchant_id="m-7", buyer_id="b-9", reason=reason,
        status=CaseStatus.APPROVED, claim={"reason": reason.value}, policy_name="standard", policy_version=1,
        filed_at=NOW,
    )  # fmt: skip


def next_row(case: NewCase, status: CaseStatus, at: datetime, version: int = 2) -> CaseRow:
    """The case's row one step after it was filed."""
    named = {field.name: getattr(case, field.name) for field in fields(NewCase)}
    after = CaseRow(**named, created_at=NOW, updated_at=at, version=version, next_sequence=1)
    return replace(after, status=status)


def held_piece(piece: EvidenceRow, n: int, at: datetime = NOW) -> HeldEvidence:
    """The same piece as it is kept."""
    own = {field.name: getattr(piece, field.name) for field in fields(EvidenceRow)}
    return HeldEvidence(**own, n=n, created_at=at)


def new_refund(amount: int, payment_no: str = "P-1") -> NewRefund:
    """An instruction over one payment."""
    return NewRefund(ids.new_uuid(), ids.mint_refund_no(), payment_no, amount, "CNY", Channel.ALIPAY, None, None)


def new_event(
    event_type: EventType = EventType.CASE_FILED, *, merchant_id: str | None = "m-7", channel: str | None = None
) -> NewEvent:
    """Something that happened, for the roles that hear of it."""
    heard_by = tuple(role.value for role, types in HEARD_BY.items() if event_type in types)
    return NewEvent(ids.new_uuid(), event_type.value, '{"full":true}', '{"full":false}', heard_by, merchant_id, channel)


ENDPOINT = EndpointRow(
    endpoint_id=UUID(int=0), url="https://example.com/hooks", role="site", merchant_id=None, event_types=None,
    channels=None, secrets=b"sealed", description="", enabled=True, disabled_reason=None, disabled_at=None,
    first_failure_at=None, created_at=NOW, updated_at=NOW, version=1,
)  # fmt: skip


async def add_endpoint(connection: AsyncConnection, endpoint: EndpointRow = ENDPOINT, site_id: UUID = SITE) -> UUID:
    """Registers a copy under an id of its own."""
    endpoint_id = ids.new_uuid()
    await EndpointStore(connection, site_id).add(replace(endpoint, endpoint_id=endpoint_id))
    return endpoint_id


async def until_somebody_waits(engine: AsyncEngine) -> None:
    """Until a statement in this database waits for a lock."""
    waiting = text("""
        SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()""")
    async with asyncio.timeout(30):
        while True:
            async with transaction(engine) as connection:
                if await connection.scalar(waiting):
                    return
            await asyncio.sleep(0.01)
