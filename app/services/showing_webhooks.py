"""Webhook endpoints, events and attempts as callers see them."""

import json
from typing import Any
from uuid import UUID

from app.ids import show
from app.models.closed_sets import DispatchState
from app.rules.decision import instant
from app.services.events import Told
from app.services.showing import CASE, EVENT
from app.store.endpoints import EndpointRow
from app.store.events import AttemptRow, DispatchRow, EventRow

ENDPOINT = "we"
SITE = "site"


def endpoint_document(row: EndpointRow) -> dict[str, Any]:
    """An endpoint; its secrets are shown only when they are made."""
    return {
        "id": show(ENDPOINT, row.endpoint_id),
        "url": row.url,
        "role": row.role,
        "merchant_id": row.merchant_id,
        "event_types": None if row.event_types is None else list(row.event_types),
        "channels": None if row.channels is None else list(row.channels),
        "description": row.description,
        "enabled": row.enabled,
        "disabled_reason": row.disabled_reason,
        "disabled_at": None if row.disabled_at is None else instant(row.disabled_at),
        "failing_since": None if row.first_failure_at is None else instant(row.first_failure_at),
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
        "version": row.version,
    }


def event_summary(row: EventRow, site_id: UUID) -> dict[str, Any]:
    """An event as a list shows it."""
    return {
        "id": show(EVENT, row.event_id),
        "type": row.type,
        "created_at": instant(row.created_at),
        "site": show(SITE, site_id),
        "sequence": row.sequence,
        "case_id": None if row.case_id is None else show(CASE, row.case_id),
        "merchant_id": row.merchant_id,
        "channel": row.channel,
    }


def event_document(told: Told, site_id: UUID) -> dict[str, Any]:
    """An event with what the site's own endpoints are told, and how far it has come."""
    return {
        **event_summary(told.event, site_id),
        "data": json.loads(told.event.full_data),
        "dispatches": [_dispatch(row) for row in told.dispatches],
    }


def _dispatch(row: DispatchRow) -> dict[str, Any]:
    pending = row.state is DispatchState.PENDING
    return {
        "endpoint_id": show(ENDPOINT, row.endpoint_id),
        "state": row.state.value,
        "attempts": row.attempts,
        "next_attempt_at": instant(row.next_attempt_at) if pending else None,
    }


def attempt_document(row: AttemptRow) -> dict[str, Any]:
    """One attempt, and what came back."""
    return {
        "event_id": show(EVENT, row.event_id),
        "endpoint_id": show(ENDPOINT, row.endpoint_id),
        "attempt": row.n,
        "started_at": instant(row.started_at),
        "duration_ms": row.duration_ms,
        "status_code": row.status_code,
        "error": row.error,
        "excerpt": row.excerpt,
    }
