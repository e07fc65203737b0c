"""Signals about good faith, of one site."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, not_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.signals import Signal
from app.rules.lifecycle import CaseStatus
from app.rules.reasons import MERCHANT_FAULT
from app.rules.signals import SignalKind, Subject
from app.store.case_rows import NewSignal
from app.store.statement import statement

GRANTED = (CaseStatus.APPROVED, CaseStatus.REFUNDING, CaseStatus.REFUND_FAILED, CaseStatus.REFUNDED)
_COUNTS = statement(f"""
    SELECT (
        SELECT count(DISTINCT c.order_no) FROM cases c
        WHERE c.site_id = :site_id AND c.merchant_id = :merchant_id AND c.created_at >= :since
          AND c.status IN ({", ".join(f"'{status}'" for status in GRANTED)})
          AND c.reason IN ({", ".join(f"'{reason}'" for reason in sorted(MERCHANT_FAULT))})
    ) AS approved, (
        SELECT count(*) FROM orders o
        WHERE o.site_id = :site_id AND o.merchant_id <> '' AND o.merchant_id = :merchant_id AND o.placed_at >= :since
    ) AS orders""")  # noqa: S608 - the names are ours


@dataclass(frozen=True, slots=True)
class RefundCounts:
    """A merchant's orders in a period, and on how many a claim for its fault was granted."""

    approved: int
    orders: int


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A signal as it is kept. It counts until `expires_at`, unless it was revoked."""

    signal_id: UUID
    subject: Subject
    subject_id: str
    kind: SignalKind
    rule: str
    case_id: UUID
    order_no: str | None
    facts: dict[str, Any]
    strike: bool
    seen_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignalFilter:
    """Which signals; None is no restriction. `active`: neither expired nor revoked."""

    subject: Subject | None = None
    subject_id: str | None = None
    kind: SignalKind | None = None
    active: bool | None = None
    strike: bool | None = None


_COLUMNS = [Signal.__table__.c[field.name] for field in fields(SignalRow)]


class SignalStore:
    """The signals of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def refunds_of_merchant(self, merchant_id: str, *, since: datetime) -> RefundCounts:
        """How much of a merchant's trade came back since then."""
        parameters = {"site_id": self._site_id, "merchant_id": merchant_id, "since": since}
        found = (await self._connection.execute(_COUNTS, parameters)).one()
        return RefundCounts(approved=found.approved, orders=found.orders)

    async def add(self, signal: NewSignal, *, case_id: UUID, order_no: str | None, now: datetime) -> None:
        """Keeps a signal that was seen outside a judgement; one of a kind in a case."""
        values = {"site_id": self._site_id, "case_id": case_id, "order_no": order_no, "seen_at": now, **asdict(signal)}
        await self._connection.execute(insert(Signal).values(values).on_conflict_do_nothing())

    async def page(self, wanted: SignalFilter, *, limit: int, after: UUID | None = None) -> Sequence[SignalRow]:
        """The latest signals, newest first, from before the one named."""
        query = select(*_COLUMNS).where(Signal.site_id == self._site_id, *_conditions(wanted))
        if after is not None:
            query = query.where(Signal.signal_id < after)
        found = await self._connection.execute(query.order_by(Signal.signal_id.desc()).limit(limit))
        return [
            SignalRow(**{**row, "subject": Subject(row["subject"]), "kind": SignalKind(row["kind"])})
            for row in found.mappings()
        ]

    async def count(self, wanted: SignalFilter) -> int:
        """How many there are of those."""
        query = select(func.count()).where(Signal.site_id == self._site_id, *_conditions(wanted))
        return int(await self._connection.scalar(query) or 0)


def _conditions(wanted: SignalFilter) -> list[ColumnElement[bool]]:
    exact = (
        (Signal.subject, wanted.subject),
        (Signal.subject_id, wanted.subject_id),
        (Signal.kind, wanted.kind),
        (Signal.strike, wanted.strike),
    )
    conditions = [column == value for column, value in exact if value is not None]
    if wanted.active is not None:
        active = and_(Signal.revoked_at.is_(None), Signal.expires_at > func.now())
        conditions.append(active if wanted.active else not_(active))
    return conditions
