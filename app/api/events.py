"""Events: what was told, to whom, and what came back."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query
from fastapi.openapi.models import Example
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.dependencies import Once, Transaction, WebhooksCaller, once, refuse_unknown_parameters
from app.api.pages import attempt_position_of, cursor_after, cursor_of_attempt, last_of
from app.api.schemas.events import (
    RESEND_EXAMPLES,
    AttemptPageOut,
    AttemptQuery,
    EventOut,
    EventPageOut,
    EventQuery,
    ResendIn,
)
from app.api.strict_route import StrictRoute
from app.errors import Fault, Invalid, NotFound, Place
from app.ids import read, show
from app.models.closed_sets import Scope
from app.services.events import get_event, resend
from app.services.example_cases import EXAMPLE_EVENT
from app.services.showing import CASE, EVENT
from app.services.showing_webhooks import ENDPOINT, attempt_document, event_document, event_summary
from app.store.endpoints import EndpointStore
from app.store.events import AttemptPosition, AttemptRow, EventStore

router = APIRouter(
    prefix="/v1", tags=["webhooks"], route_class=StrictRoute, dependencies=[Depends(refuse_unknown_parameters)]
)

CONFLICT: dict[int | str, dict[str, Any]] = {409: {"description": "状态冲突 · Conflict"}}


# An event of the sandbox's example case.
EXAMPLE_ID: Final[dict[str, Example]] = {"example": {"value": show(EVENT, EXAMPLE_EVENT)}}


async def _event_id(
    event_id: Annotated[str, Path(description="事件编号.", openapi_examples=EXAMPLE_ID)],
) -> UUID:
    return _known(EVENT, event_id)


EventId = Annotated[UUID, Depends(_event_id)]


@router.get("/events", summary="事件列表 · List events", response_model=EventPageOut)
async def page_of_events(
    connection: Transaction, caller: WebhooksCaller, query: Annotated[EventQuery, Query()]
) -> Response:
    """Events, newest first, by type and case; without their contents. 按类型、案件筛选，最新的在前。"""
    events = EventStore(connection, caller.site.site_id)
    after = last_of(query.cursor)
    case_id = _filter("case_id", CASE, query.case_id)
    rows = await events.page(limit=query.limit + 1, event_type=query.type, case_id=case_id, after=after)
    page = rows[: query.limit]
    last = page[-1].event_id if len(rows) > query.limit else None
    data = [event_summary(row, caller.site.site_id) for row in page]
    return json_answer({"data": data, "next_cursor": cursor_after(last)})


@router.get("/events/{event_id}", summary="查询事件 · Read an event", response_model=EventOut)
async def read_event(event_id: EventId, connection: Transaction, caller: WebhooksCaller) -> Response:
    """One event with its contents, and how far it has come on its way to each endpoint. 查询事件内容与发送进度。"""
    site_id = caller.site.site_id
    return json_answer(event_document(await get_event(EventStore(connection, site_id), event_id), site_id))


@router.post(
    "/events/{event_id}/resend",
    status_code=202,
    summary="重新发送事件 · Send an event again",
    response_model=EventOut,
    responses=CONFLICT,
)
async def resend_event(
    event_id: EventId,
    connection: Transaction,
    request: Annotated[Once, Depends(once(Scope.WEBHOOKS, required=False))],
    body: Annotated[ResendIn | None, Body(openapi_examples=RESEND_EXAMPLES)] = None,
) -> Response:
    """Send an event again, with the same `webhook-id` and a new timestamp. 以相同的 `webhook-id` 重新发送。

    To one endpoint, or to every enabled one that was told of it before. 409 while it is still on its way.
    """
    if request.replay is not None:
        return request.replay
    site_id = request.caller.site.site_id
    endpoint_id = None if body is None or body.endpoint_id is None else _known(ENDPOINT, body.endpoint_id)
    events, endpoints = EventStore(connection, site_id), EndpointStore(connection, site_id)
    told = await resend(events, endpoints, event_id, endpoint_id, now=request.caller.now)
    return await request.answer(event_document(told, site_id), 202)


@router.get("/webhook-attempts", summary="发送尝试列表 · List attempts", response_model=AttemptPageOut)
async def page_of_attempts(
    connection: Transaction, caller: WebhooksCaller, query: Annotated[AttemptQuery, Query()]
) -> Response:
    """Every request to an endpoint and what came back, newest first, by event and endpoint. 每次发送及其结果。"""
    events = EventStore(connection, caller.site.site_id)
    rows = await events.attempts(
        limit=query.limit + 1,
        event_id=_filter("event_id", EVENT, query.event_id),
        endpoint_id=_filter("endpoint_id", ENDPOINT, query.endpoint_id),
        after=attempt_position_of(query.cursor),
    )
    page = rows[: query.limit]
    last = _position(page[-1]) if len(rows) > query.limit else None
    return json_answer({"data": [attempt_document(row) for row in page], "next_cursor": cursor_of_attempt(last)})


def _position(row: AttemptRow) -> AttemptPosition:
    return AttemptPosition(row.started_at, row.event_id, row.endpoint_id, row.n)


def _known(prefix: str, public_id: str) -> UUID:
    """The key behind a public id; what never was one is as absent as what is another site's."""
    found = read(prefix, public_id)
    if found is None:
        raise NotFound
    return found


def _filter(name: str, prefix: str, public_id: str | None) -> UUID | None:
    """The key to filter by; one of an absent object finds nothing, what never was one is Invalid."""
    found = None if public_id is None else read(prefix, public_id)
    if found is None and public_id is not None:
        en, zh = f"Must be an id that begins with {prefix}_.", f"须为以 {prefix}_ 开头的编号。"
        raise Invalid(Fault(name, "unusable", en, zh, Place.PARAMETER))
    return found
