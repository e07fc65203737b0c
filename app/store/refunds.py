"""Refunds of one site: as they stand, what was said of them, and what comes of that.

A refund changes only while its case is locked (`app.store.cases`), so that reports of one case take turns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Stale
from app.models.closed_sets import ReportSource
from app.rules.facts import Channel
from app.rules.settlement import ConflictCode, FailureCode, RefundState, ReportVerdict
from app.store.case_rows import RefundRow
from app.store.refund_sql import (
    BY_NUMBER,
    CASE_OF,
    DISPUTED,
    EXPECT,
    GET,
    HEARD_AGAIN,
    NOTE,
    NUMBER_TAKEN,
    OVERDUE,
    PAGE,
    POSTPONE_OVERDUE,
    SETTLE,
    SITES_OVERDUE,
    STILL_OVERDUE,
)


@dataclass(frozen=True, slots=True)
class NewReport:
    """Something said of a refund, and what became of it. `digest` is of its content: said again, it is counted."""

    digest: str
    source: ReportSource
    state: RefundState
    amount: int | None
    currency: str | None
    channel_refund_no: str | None
    payment_no: str | None
    channel: Channel | None
    at: datetime
    failure_code: FailureCode | None
    failure_message: str | None
    verdict: ReportVerdict
    conflict: ConflictCode | None


@dataclass(frozen=True, slots=True)
class ReportRow(NewReport):
    """A report as it is kept; `n` counts a refund's from 1, `times` how often it came."""

    n: int
    times: int
    received_at: datetime
    last_received_at: datetime


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund with its order and all that was said of it, in the order in which it came."""

    refund: RefundRow
    order_no: str | None
    reports: tuple[ReportRow, ...]


@dataclass(frozen=True, slots=True)
class RefundFilter:
    """Which refunds to list; None is no restriction. `overdue`: whether what was promised is over at `now`."""

    now: datetime
    states: tuple[RefundState, ...] | None = None
    channel: Channel | None = None
    payment_no: str | None = None
    case_id: UUID | None = None
    overdue: bool | None = None


_ROW = TypeAdapter(RefundRow)
_ROWS = TypeAdapter(Sequence[RefundRow])
_VIEW = TypeAdapter(RefundView)
_REPORT = TypeAdapter(NewReport)
_DUE = TypeAdapter(Sequence[tuple[UUID, UUID]])


async def sites_overdue(connection: AsyncConnection, limit: int) -> list[UUID]:
    """Some of the sites where a refund is late. Reads only: no lock spans two sites."""
    return list((await connection.scalars(SITES_OVERDUE, {"limit": limit})).all())


class RefundStore:
    """The refunds of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def get(self, refund_id: UUID) -> RefundView | None:
        """One refund."""
        found = await self._connection.scalar(GET, {"site_id": self._site_id, "refund_id": refund_id})
        return None if found is None else _VIEW.validate_json(found)

    async def page(self, wanted: RefundFilter, *, limit: int, after: UUID | None = None) -> Sequence[RefundRow]:
        """The latest `limit` refunds before `after`, newest first."""
        parameters = {
            "site_id": self._site_id,
            "states": None if wanted.states is None else [state.value for state in wanted.states],
            "channel": wanted.channel,
            "payment_no": wanted.payment_no,
            "case_id": wanted.case_id,
            "overdue": wanted.overdue,
            "now": wanted.now,
            "after": after,
            "limit": limit,
        }
        return _ROWS.validate_json(await self._connection.scalar(PAGE, parameters))

    async def case_of(self, refund_id: UUID) -> UUID | None:
        """The case that a refund belongs to, unlocked: it never changes."""
        found: UUID | None = await self._connection.scalar(CASE_OF, {"site_id": self._site_id, "refund_id": refund_id})
        return found

    async def by_number(self, refund_no: str) -> RefundRow | None:
        """The refund with this number, unlocked."""
        found = await self._connection.scalar(BY_NUMBER, {"site_id": self._site_id, "refund_no": refund_no})
        return None if found is None else _ROW.validate_json(found)

    async def number_is_taken(self, channel: Channel, channel_refund_no: str, refund_id: UUID) -> bool:
        """Whether another refund bears this number of the channel's."""
        parameters = {"channel": channel, "channel_refund_no": channel_refund_no, "refund_id": refund_id}
        return bool(await self._connection.scalar(NUMBER_TAKEN, {"site_id": self._site_id, **parameters}))

    async def note(self, refund_id: UUID, report: NewReport, now: datetime) -> int | None:
        """Keeps a report; how often it has come by now, None where there are too many to keep it."""
        parameters = {"refund_id": refund_id, "report": _REPORT.dump_json(report).decode(), "now": now}
        times: int | None = await self._connection.scalar(NOTE, {"site_id": self._site_id, **parameters})
        return times

    async def heard(self, refund_id: UUID, reported_at: datetime) -> None:
        """What is known of it is of this moment by now; no change that anybody has to see."""
        parameters = {"site_id": self._site_id, "refund_id": refund_id, "at": reported_at}
        await self._connection.execute(HEARD_AGAIN, parameters)

    async def is_disputed(self, refund_id: UUID | None) -> bool:
        """Whether it was ever reported as paid in a way that contradicts it."""
        return bool(await self._connection.scalar(DISPUTED, {"site_id": self._site_id, "refund_id": refund_id}))

    async def settle(self, after: RefundRow, released: int, now: datetime) -> None:
        """A refund as it stands from now on, its version one more than before; `released` fen are free again.

        Stale if it has another version than the one before.
        """
        parameters = {"refund": _ROW.dump_json(after).decode(), "released": released, "now": now}
        if not await self._connection.scalar(SETTLE, {"site_id": self._site_id, **parameters}):
            raise Stale

    async def expect(self, case_id: UUID, arrivals: Mapping[str, datetime], now: datetime) -> None:
        """Sets anew when refunds that are under way are promised to be there, by payment; unless asked for again."""
        for payment_no, expected_by in sorted(arrivals.items()):
            parameters = {"case_id": case_id, "payment_no": payment_no, "expected_by": expected_by, "now": now}
            await self._connection.execute(EXPECT, {"site_id": self._site_id, **parameters})

    async def overdue(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Refunds whose time is over, with their cases, the oldest first. Unlocked: see `is_still_overdue`."""
        return _DUE.validate_json(
            await self._connection.scalar(OVERDUE, {"site_id": self._site_id, "limit": limit}) or "[]"
        )

    async def postpone_overdue(self, refund_id: UUID, pause: timedelta) -> None:
        """Looks at it again after a pause."""
        parameters = {"site_id": self._site_id, "refund_id": refund_id, "seconds": pause.total_seconds()}
        await self._connection.execute(POSTPONE_OVERDUE, parameters)

    async def is_still_overdue(self, refund_id: UUID) -> bool:
        """Whether it is, now that the case is locked."""
        return bool(await self._connection.scalar(STILL_OVERDUE, {"site_id": self._site_id, "refund_id": refund_id}))
