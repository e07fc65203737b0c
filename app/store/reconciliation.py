"""What a day of refunds comes to, to be held against the channel's own statement of that day."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from app.rules.facts import Channel
from app.store.case_rows import RefundRow
from app.store.engine import Connection, Engine, transaction
from app.store.reconciliation_sql import SECTIONS, TOTALS, ReconciliationGroup, page_from, report_from
from app.store.refunds import ReportRow


@dataclass(frozen=True, slots=True)
class ReconciledDay:
    """A day as the half-open stretch from `since` to `until`; `channel` None: all of them."""

    since: datetime
    until: datetime
    channel: Channel | None = None


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A refund that somebody else made; see `app.models.refunds.FoundRefund`."""

    payment_no: str
    reference: str
    amount: int
    refunded_at: datetime | None
    found_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentMoney:
    """A payment and what was promised, told and found of it, in fen; see `app.models.records.Payment`."""

    payment_no: str
    channel: Channel
    amount: int
    reserved_amount: int
    refunded_amount: int
    found_amount: int
    overdrawn_amount: int


@dataclass(frozen=True, slots=True)
class ReconciliationPosition:
    """Where a page ended. Sections that are in no order of time have the day's end as their `at`."""

    section: int
    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class ReconciliationRow(ReconciliationPosition):
    """One row: about a refund of ours (with a contradicting `report`, perhaps), a found one, or an overdrawn payment.

    `amount` in fen is what the sums count. `overdue` and `age_days` (whole days since it was first asked for): of a
    refund of ours, `age_days` only while it is not over.
    """

    amount: int
    order_no: str | None
    merchant_id: str | None
    refund: RefundRow | None = None
    overdue: bool | None = None
    age_days: int | None = None
    report: ReportRow | None = None
    found: FoundRow | None = None
    payment: PaymentMoney | None = None

    @property
    def group(self) -> ReconciliationGroup:
        """What it is to the reader."""
        return SECTIONS[self.section].group


@dataclass(frozen=True, slots=True)
class Total:
    """How many rows, and the sum of their amounts in fen."""

    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class ReconciliationPage:
    """The sums of the whole day, and some of its rows."""

    totals: Mapping[ReconciliationGroup, Total]
    rows: tuple[ReconciliationRow, ...]


_START: Final = ReconciliationPosition(0, datetime(1999, 1, 1, tzinfo=UTC), UUID(int=0))
_TOTALS = TypeAdapter(Mapping[ReconciliationGroup, Total])
_ROWS = TypeAdapter(Sequence[ReconciliationRow])
_PAGE = TypeAdapter(ReconciliationPage)


@asynccontextmanager
async def one_moment(engine: Engine) -> AsyncIterator[Connection]:
    """A transaction that only reads, and all of whose statements see the same moment. Raises Busy and Unavailable."""
    fixed = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    async with transaction(fixed) as connection:
        yield connection


class ReconciliationStore:
    """The reconciliation of one site, as its refunds stand now."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def totals(self, day: ReconciledDay) -> Mapping[ReconciliationGroup, Total]:
        """The sums of every group."""
        return _TOTALS.validate_json(await self._connection.scalar(TOTALS, self._parameters(day)))

    async def report(
        self, day: ReconciledDay, *, limit: int, after: ReconciliationPosition | None = None
    ) -> ReconciliationPage:
        """The sums, and the next `limit` rows after the one named, all of one moment."""
        start = after or _START
        parameters = {**self._parameters(day), **_place(start), "limit": limit}
        return _PAGE.validate_json(await self._connection.scalar(report_from(start.section), parameters))

    async def pages(self, day: ReconciledDay, *, size: int) -> AsyncIterator[Sequence[ReconciliationRow]]:
        """All rows, `size` at a time. Read them in `one_moment`, or a row may move to where the reading was already."""
        last: ReconciliationPosition | None = _START
        while last is not None:
            parameters = {**self._parameters(day), **_place(last), "limit": size}
            rows = _ROWS.validate_json(await self._connection.scalar(page_from(last.section), parameters))
            if rows:
                yield rows
            last = rows[-1] if len(rows) == size else None

    def _parameters(self, day: ReconciledDay) -> dict[str, Any]:
        return {"site_id": self._site_id, "since": day.since, "until": day.until, "channel": day.channel}


def _place(position: ReconciliationPosition) -> dict[str, Any]:
    """A section in the order of ids alone does not ask for the instant."""
    timed = {} if SECTIONS[position.section].at is None else {"at": position.at}
    return {**timed, "refund_id": position.id}
