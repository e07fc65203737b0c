"""What was told to whom, and what came back."""

from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.closed_sets import DispatchState
from app.models.webhooks import Dispatch, Event, WebhookAttempt
from app.store.case_rows import NewEvent
from app.store.statement import statement

# Goes out at once with the same id. One that is on its way is left alone, so that nobody sends it twice at once.
_RESEND = statement("""
    INSERT INTO dispatches (site_id, event_id, endpoint_id, case_id, sequence, state, attempts, next_attempt_at,
                            created_at)
    SELECT e.site_id, e.event_id, w.endpoint_id, e.case_id, e.sequence, 'pending', 0, :now, :now
    FROM events e JOIN webhook_endpoints w ON w.site_id = e.site_id AND w.endpoint_id = :endpoint_id AND w.enabled
    WHERE e.site_id = :site_id AND e.event_id = :event_id
    ON CONFLICT (site_id, event_id, endpoint_id) DO UPDATE
    SET state = 'pending', attempts = 0, next_attempt_at = EXCLUDED.next_attempt_at, leased_until = NULL
    WHERE dispatches.state <> 'pending'
    RETURNING true""")


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it was written."""

    event_id: UUID
    type: str
    case_id: UUID | None
    sequence: int | None
    merchant_id: str | None
    channel: str | None
    created_at: datetime
    full_data: str
    thin_data: str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt. `error` names what kept it from an answer; `excerpt` is the beginning of the answer's body."""

    event_id: UUID
    endpoint_id: UUID
    n: int
    started_at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    excerpt: str


@dataclass(frozen=True, slots=True)
class AttemptPosition:
    """Where a page of attempts ended: the last one shown."""

    started_at: datetime
    event_id: UUID
    endpoint_id: UUID
    n: int


@dataclass(frozen=True, slots=True)
class DispatchRow:
    """How far an event has come on its way to one endpoint. `next_attempt_at` counts only while it is pending."""

    endpoint_id: UUID
    state: DispatchState
    attempts: int
    next_attempt_at: datetime


_EVENT = [Event.__table__.c[field.name] for field in fields(EventRow)]
_ATTEMPT = [WebhookAttempt.__table__.c[field.name] for field in fields(AttemptRow)]


class EventStore:
    """The events of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def get(self, event_id: UUID) -> EventRow | None:
        """One event."""
        query = select(*_EVENT).where(Event.site_id == self._site_id, Event.event_id == event_id)
        found = (await self._connection.execute(query)).one_or_none()
        return None if found is None else EventRow(*found)

    async def page(
        self,
        *,
        limit: int,
        event_type: str | None = None,
        case_id: UUID | None = None,
        after: UUID | None = None,
    ) -> list[EventRow]:
        """The latest events, newest first, from before the one named."""
        query = select(*_EVENT).where(Event.site_id == self._site_id)
        if event_type is not None:
            query = query.where(Event.type == event_type)
        if case_id is not None:
            query = query.where(Event.case_id == case_id)
        if after is not None:
            query = query.where(Event.event_id < after)
        found = await self._connection.execute(query.order_by(Event.event_id.desc()).limit(limit))
        return [EventRow(*row) for row in found]

    async def dispatches(self, event_id: UUID) -> list[DispatchRow]:
        """Where one event was and is to go, in the order of the endpoints' registration."""
        columns = (Dispatch.endpoint_id, Dispatch.state, Dispatch.attempts, Dispatch.next_attempt_at)
        query = select(*columns).where(Dispatch.site_id == self._site_id, Dispatch.event_id == event_id)
        found = await self._connection.execute(query.order_by(Dispatch.endpoint_id))
        return [DispatchRow(row[0], DispatchState(row[1]), row[2], row[3]) for row in found]

    async def attempts(
        self,
        *,
        limit: int,
        event_id: UUID | None = None,
        endpoint_id: UUID | None = None,
        after: AttemptPosition | None = None,
    ) -> list[AttemptRow]:
        """The latest attempts, newest first, from before the one named."""
        query = select(*_ATTEMPT).where(WebhookAttempt.site_id == self._site_id)
        if event_id is not None:
            query = query.where(WebhookAttempt.event_id == event_id)
        if endpoint_id is not None:
            query = query.where(WebhookAttempt.endpoint_id == endpoint_id)
        order = (WebhookAttempt.started_at, WebhookAttempt.event_id, WebhookAttempt.endpoint_id, WebhookAttempt.n)
        if after is not None:
            query = query.where(tuple_(*order) < (after.started_at, after.event_id, after.endpoint_id, after.n))
        found = await self._connection.execute(query.order_by(*(column.desc() for column in order)).limit(limit))
        return [AttemptRow(*row) for row in found]

    async def tell_one(self, event: NewEvent, endpoint_id: UUID, now: datetime) -> None:
        """Writes an event outside any case for one endpoint alone."""
        await self._connection.execute(
            insert(Event).values(
                site_id=self._site_id, event_id=event.event_id, type=event.type, merchant_id=event.merchant_id,
                channel=event.channel, created_at=now, full_data=event.full_data, thin_data=event.thin_data,
            )
        )  # fmt: skip
        await self._connection.execute(
            insert(Dispatch).values(
                site_id=self._site_id, event_id=event.event_id, endpoint_id=endpoint_id, state=DispatchState.PENDING,
                attempts=0, next_attempt_at=now, created_at=now,
            )
        )  # fmt: skip

    async def resend(self, event_id: UUID, endpoint_id: UUID, now: datetime) -> bool:
        """Sends an event once more under its own id; False if it is on its way, or either is not there."""
        parameters = {"site_id": self._site_id, "event_id": event_id, "endpoint_id": endpoint_id, "now": now}
        return bool(await self._connection.scalar(_RESEND, parameters))
