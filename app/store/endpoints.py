"""Webhook endpoints of one site."""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound, Stale
from app.models.webhooks import WebhookEndpoint
from app.store.statement import statement

_CANCEL = statement("""
    UPDATE dispatches SET state = 'cancelled', leased_until = NULL
    WHERE site_id = :site_id AND endpoint_id = :endpoint_id AND state = 'pending'""")
# A success in the meantime clears `first_failure_at`, and then the reason to disable is gone.
_DISABLE = statement("""
    WITH disabled AS (
        UPDATE webhook_endpoints SET enabled = false, disabled_reason = :disabled_reason, disabled_at = :now,
                                     updated_at = :now, version = version + 1
        WHERE site_id = :site_id AND endpoint_id = :endpoint_id AND enabled
          AND (:failing_since IS NULL OR first_failure_at <= :failing_since)
        RETURNING endpoint_id
    ), cancelled AS (
        UPDATE dispatches d SET state = 'cancelled', leased_until = NULL FROM disabled
        WHERE d.site_id = :site_id AND d.endpoint_id = disabled.endpoint_id AND d.state = 'pending'
    )
    SELECT count(*) FROM disabled""")


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An adapter's address. `secrets` is sealed. `event_types` None: those of its role; `channels` None: all."""

    endpoint_id: UUID
    url: str
    role: str
    merchant_id: str | None
    event_types: tuple[str, ...] | None
    channels: tuple[str, ...] | None
    secrets: bytes
    description: str
    enabled: bool
    disabled_reason: str | None
    disabled_at: datetime | None
    first_failure_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


_COLUMNS = [WebhookEndpoint.__table__.c[field.name] for field in fields(EndpointRow)]


class EndpointStore:
    """The webhook endpoints of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def add(self, endpoint: EndpointRow) -> None:
        """Registers an endpoint."""
        await self._connection.execute(insert(WebhookEndpoint).values(site_id=self._site_id, **_values(endpoint)))

    async def get(self, endpoint_id: UUID, *, lock: bool = False) -> EndpointRow:
        """One endpoint, on request locked until the transaction ends; NotFound."""
        query = select(*_COLUMNS).where(*self._named(endpoint_id))
        found = (await self._connection.execute(query.with_for_update() if lock else query)).one_or_none()
        if found is None:
            raise NotFound
        return _endpoint(found)

    async def page(self, *, limit: int, after: UUID | None = None) -> list[EndpointRow]:
        """In the order of registration, those after the one named."""
        query = select(*_COLUMNS).where(WebhookEndpoint.site_id == self._site_id)
        if after is not None:
            query = query.where(WebhookEndpoint.endpoint_id > after)
        return [
            _endpoint(row)
            for row in await self._connection.execute(query.order_by(WebhookEndpoint.endpoint_id).limit(limit))
        ]

    async def count(self) -> int:
        """How many are registered, up to a thousand."""
        return len(await self.page(limit=1000))

    async def replace(self, endpoint: EndpointRow, *, expected: int) -> EndpointRow:
        """Writes an endpoint over its version `expected`, and answers with the new version; Stale.

        Disabling it cancels what was on its way to it.
        """
        changed = replace(endpoint, version=expected + 1)
        here = update(WebhookEndpoint).where(*self._named(endpoint.endpoint_id), WebhookEndpoint.version == expected)
        written: CursorResult[Any] = await self._connection.execute(here.values(_values(changed)))
        if written.rowcount == 0:
            raise Stale
        if not changed.enabled:
            await self._cancel(endpoint.endpoint_id)
        return changed

    async def disable(
        self, endpoint_id: UUID, reason: str, now: datetime, *, failing_since: datetime | None = None
    ) -> bool:
        """Switches an endpoint off and cancels what was on its way, in one statement; False if it was off already.

        With `failing_since`, only if it has not succeeded since then.
        """
        parameters = {"disabled_reason": reason, "now": now, "failing_since": failing_since}
        return bool(
            await self._connection.scalar(
                _DISABLE, {"site_id": self._site_id, "endpoint_id": endpoint_id, **parameters}
            )
        )

    async def delete(self, endpoint_id: UUID) -> None:
        """Removes an endpoint and cancels what was on its way; NotFound. What was tried stays on record."""
        gone: CursorResult[Any] = await self._connection.execute(
            delete(WebhookEndpoint).where(*self._named(endpoint_id))
        )
        if gone.rowcount == 0:
            raise NotFound
        await self._cancel(endpoint_id)

    def _named(self, endpoint_id: UUID) -> tuple[ColumnElement[bool], ...]:
        return WebhookEndpoint.site_id == self._site_id, WebhookEndpoint.endpoint_id == endpoint_id

    async def _cancel(self, endpoint_id: UUID) -> None:
        await self._connection.execute(_CANCEL, {"site_id": self._site_id, "endpoint_id": endpoint_id})


def _values(endpoint: EndpointRow) -> dict[str, Any]:
    return {field.name: getattr(endpoint, field.name) for field in fields(EndpointRow)}


def _endpoint(row: Row[Any]) -> EndpointRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    for name in ("event_types", "channels"):
        values[name] = None if values[name] is None else tuple(values[name])
    return EndpointRow(**values)
