"""What was told, to whom, and what came back; telling it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.errors import Conflict, NotFound
from app.models.closed_sets import DispatchState
from app.outbound.catalogue import HEARD_BY, EndpointRole, EventType
from app.store.endpoints import EndpointRow, EndpointStore
from app.store.events import DispatchRow, EventRow, EventStore


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and how far it has come on its way to each endpoint."""

    event: EventRow
    dispatches: Sequence[DispatchRow]


async def get_event(events: EventStore, event_id: UUID) -> Told:
    """One event; NotFound."""
    event = await events.get(event_id)
    if event is None:
        raise NotFound
    return Told(event, await events.dispatches(event_id))


async def resend(
    events: EventStore, endpoints: EndpointStore, event_id: UUID, endpoint_id: UUID | None, *, now: datetime
) -> Told:
    """Sends an event again under its own id: to one endpoint, or to all that were told of it and are enabled.

    NotFound for an event or endpoint that is not there; Conflict where nothing can be sent.
    """
    told = await get_event(events, event_id)
    if endpoint_id is None:
        await _resend_to_all(events, told, now)
    else:
        await _resend_to_one(events, told.event, await endpoints.get(endpoint_id), now)
    return Told(told.event, await events.dispatches(event_id))


async def _resend_to_all(events: EventStore, told: Told, now: datetime) -> None:
    settled = [each.endpoint_id for each in told.dispatches if each.state is not DispatchState.PENDING]
    sent = [await events.resend(told.event.event_id, endpoint_id, now) for endpoint_id in settled]
    if not any(sent):
        raise Conflict(
            "nothing_to_resend",
            en="No enabled endpoint has had this event, or it is still on its way. Name one in endpoint_id.",
            zh="没有已启用的端点接收过该事件，或该事件仍在发送中。请在 endpoint_id 中指定端点。",
        )


async def _resend_to_one(events: EventStore, event: EventRow, endpoint: EndpointRow, now: datetime) -> None:
    if not endpoint.enabled:
        raise Conflict(
            "endpoint_disabled", en="The endpoint is disabled. Enable it first.", zh="该端点已停用，请先启用。"
        )
    if not may_hear(endpoint, event):
        raise Conflict(
            "event_not_for_endpoint",
            en="This event does not concern the endpoint: another role, merchant or channel is meant.",
            zh="该事件与此端点无关：角色、商家或支付渠道不符。",
        )
    if not await events.resend(event.event_id, endpoint.endpoint_id, now):
        raise Conflict(
            "event_on_its_way",
            en="The event is on its way to this endpoint already; see its next attempt.",
            zh="该事件正在发往此端点，请查看下次尝试时间。",
        )


def may_hear(endpoint: EndpointRow, event: EventRow) -> bool:
    """Whether an event concerns an endpoint at all, whatever types it chose: nobody is told of another's business."""
    role = EndpointRole(endpoint.role)
    if EventType(event.type) not in HEARD_BY[role]:
        return False
    if role is EndpointRole.MERCHANT:
        return endpoint.merchant_id == event.merchant_id
    if role is EndpointRole.CHANNEL and endpoint.channels is not None:
        return event.channel in endpoint.channels
    return True
