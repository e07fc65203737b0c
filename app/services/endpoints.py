"""Webhook endpoints: registered, changed, tried out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final, Literal, TypeVar
from uuid import UUID

from app import ids
from app.errors import Conflict, Fault, Invalid
from app.outbound.catalogue import HEARD_BY, EndpointRole, EventType
from app.outbound.guard import check_url
from app.outbound.refused import AddressRefused
from app.rules.facts import Channel
from app.sealing import Sealer
from app.services import webhook_secrets
from app.store.case_rows import NewEvent
from app.store.endpoints import EndpointRow, EndpointStore
from app.store.engine import Connection
from app.store.events import EventStore
from app.store.sites import SiteRow

MOST_ENDPOINTS: Final = 1000


class Unset(Enum):
    """Says that a change does not touch a field, where None is a value of it."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Which addresses may be called. `loopback` counts in test mode only; `own_*` are this service's."""

    loopback: bool = False
    own_hosts: frozenset[str] = frozenset()
    own_ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """`event_types` None: those of the role. `channels` None: all; only the role `channel` may choose."""

    url: str
    role: EndpointRole
    merchant_id: str | None = None
    event_types: tuple[EventType, ...] | None = None
    channels: tuple[Channel, ...] | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change of an endpoint. Its role and its merchant stay."""

    url: str | Literal[Unset.UNSET] = UNSET
    event_types: tuple[EventType, ...] | Literal[Unset.UNSET] | None = UNSET
    channels: tuple[Channel, ...] | Literal[Unset.UNSET] | None = UNSET
    description: str | Literal[Unset.UNSET] = UNSET
    enabled: bool | Literal[Unset.UNSET] = UNSET


@dataclass(frozen=True, slots=True)
class WithSecret:
    """An endpoint and its new secret, which is shown this once."""

    endpoint: EndpointRow
    secret: str


async def register(
    connection: Connection, sealer: Sealer, site: SiteRow, wish: NewEndpoint, rules: AddressRules, *, now: datetime
) -> WithSecret:
    """A new endpoint. Invalid, with the refusal of the address among the faults; Conflict at 1,000 endpoints."""
    endpoints = EndpointStore(connection, site.site_id)
    secret = webhook_secrets.new_secret()
    endpoint = EndpointRow(
        endpoint_id=ids.new_uuid(),
        url=wish.url,
        role=wish.role.value,
        merchant_id=wish.merchant_id,
        event_types=wish.event_types,
        channels=wish.channels,
        secrets=webhook_secrets.seal(sealer, site.site_id, [secret]),
        description=wish.description,
        enabled=True,
        disabled_reason=None,
        disabled_at=None,
        first_failure_at=None,
        created_at=now,
        updated_at=now,
        version=1,
    )
    checked = _checked(endpoint, site, rules)
    if await endpoints.count() >= MOST_ENDPOINTS:
        raise Conflict(
            "too_many_endpoints",
            en=f"A site has at most {MOST_ENDPOINTS} webhook endpoints. Delete one that is not used any more.",
            zh=f"每个站点最多 {MOST_ENDPOINTS} 个 webhook 端点，请先删除不再使用的端点。",
        )
    await endpoints.add(checked)
    return WithSecret(checked, secret.text)


async def page(
    connection: Connection, site_id: UUID, *, limit: int, after: UUID | None = None
) -> Sequence[EndpointRow]:
    """Endpoints in the order of their registration."""
    return await EndpointStore(connection, site_id).page(limit=limit, after=after)


async def get(connection: Connection, site_id: UUID, endpoint_id: UUID) -> EndpointRow:
    """One endpoint; NotFound."""
    return await EndpointStore(connection, site_id).get(endpoint_id)


async def change(
    connection: Connection,
    site: SiteRow,
    endpoint_id: UUID,
    changes: Changes,
    rules: AddressRules,
    *,
    now: datetime,
    expected: int | None = None,
) -> EndpointRow:
    """The changed endpoint. Disabling cancels what was on its way, enabling forgives the failures. Stale, Invalid."""
    endpoints = EndpointStore(connection, site.site_id)
    present = await endpoints.get(endpoint_id, lock=True)
    wanted = replace(
        present,
        url=_or(changes.url, present.url),
        event_types=_or(changes.event_types, present.event_types),
        channels=_or(changes.channels, present.channels),
        description=_or(changes.description, present.description),
        updated_at=now,
    )
    wanted = _switched(wanted, enabled=_or(changes.enabled, present.enabled), now=now)
    checked = _checked(wanted, site, rules)
    return await endpoints.replace(checked, expected=present.version if expected is None else expected)


async def remove(connection: Connection, site_id: UUID, endpoint_id: UUID) -> None:
    """Deletes an endpoint; what was on its way to it is cancelled. NotFound."""
    await EndpointStore(connection, site_id).delete(endpoint_id)


async def rotate_secret(
    connection: Connection, sealer: Sealer, site_id: UUID, endpoint_id: UUID, now: datetime
) -> WithSecret:
    """A new secret; those before it sign on for 24 hours beside it. Conflict if five are valid already."""
    endpoints = EndpointStore(connection, site_id)
    present = await endpoints.get(endpoint_id, lock=True)
    secrets = webhook_secrets.rotated(webhook_secrets.unseal(sealer, site_id, present.secrets), now)
    sealed = webhook_secrets.seal(sealer, site_id, secrets)
    rotated = await endpoints.replace(replace(present, secrets=sealed, updated_at=now), expected=present.version)
    return WithSecret(rotated, secrets[0].text)


async def send_test(connection: Connection, site_id: UUID, endpoint_id: UUID, now: datetime) -> UUID:
    """Sends this endpoint an event of a type of its own, so that nobody takes it for business; answers with its id.

    It goes the way of every event: signed, retried, recorded. Conflict if the endpoint is disabled.
    """
    endpoint = await EndpointStore(connection, site_id).get(endpoint_id)
    if not endpoint.enabled:
        raise Conflict(
            "endpoint_disabled",
            en="The endpoint is disabled. Enable it first.",
            zh="该端点已停用，请先启用。",
        )
    text = json.dumps({"endpoint_id": ids.show("we", endpoint_id)})
    event = NewEvent(ids.new_uuid(), EventType.ENDPOINT_TEST.value, full_data=text, thin_data=text, heard_by=())
    await EventStore(connection, site_id).tell_one(event, endpoint_id, now)
    return event.event_id


def _or(wanted: Value | Literal[Unset.UNSET], present: Value) -> Value:
    return present if isinstance(wanted, Unset) else wanted


def _switched(endpoint: EndpointRow, *, enabled: bool, now: datetime) -> EndpointRow:
    if enabled == endpoint.enabled:
        return endpoint
    if enabled:
        return replace(endpoint, enabled=True, disabled_reason=None, disabled_at=None, first_failure_at=None)
    return replace(endpoint, enabled=False, disabled_reason="by_site", disabled_at=now)


def _checked(endpoint: EndpointRow, site: SiteRow, rules: AddressRules) -> EndpointRow:
    """With its address as it will be called; Invalid with all faults."""
    faults = [*_faults_of_merchant(endpoint), *_faults_of_types(endpoint), *_faults_of_channels(endpoint)]
    try:
        target = check_url(
            endpoint.url,
            allow_loopback=rules.loopback and site.mode == "test",
            https_only=True,
            own_hosts=rules.own_hosts,
            own_ports=rules.own_ports,
        )
    except AddressRefused as refused:
        raise Invalid(Fault("/url", refused.code.value, en=refused.en, zh=refused.zh), *faults) from refused
    if faults:
        raise Invalid(*faults)
    return replace(endpoint, url=target.url)


def _faults_of_merchant(endpoint: EndpointRow) -> list[Fault]:
    if (endpoint.role == EndpointRole.MERCHANT) == (endpoint.merchant_id is not None):
        return []
    return [
        Fault(
            "/merchant_id", "merchant_of_role",
            en="An endpoint of the role 'merchant' names its merchant; one of another role names none.",
            zh="角色为 merchant 的端点须填写商家；其他角色不填。",
        )
    ]  # fmt: skip


def _faults_of_types(endpoint: EndpointRow) -> list[Fault]:
    """A merchant's or a channel's adapter hears what concerns it, and no more."""
    if endpoint.event_types is None:
        return []
    heard = HEARD_BY[EndpointRole(endpoint.role)]
    faults = [
        Fault(
            f"/event_types/{place}", "event_type_of_role",
            en="This event type is not sent to endpoints of this role.", zh="该角色的端点不接收此类事件。",
        )
        for place, event_type in enumerate(endpoint.event_types) if event_type not in heard
    ]  # fmt: skip
    if not endpoint.event_types:
        faults.append(
            Fault("/event_types", "empty", en="Name one type at least, or leave it out.", zh="至少填写一种，或不填。")
        )
    return faults


def _faults_of_channels(endpoint: EndpointRow) -> list[Fault]:
    if endpoint.channels is None or (endpoint.role == EndpointRole.CHANNEL and endpoint.channels):
        return []
    return [
        Fault(
            "/channels", "channels_of_role",
            en="Only an endpoint of the role 'channel' chooses channels, and then one at least.",
            zh="只有角色为 channel 的端点可选择支付渠道，且至少一个。",
        )
    ]  # fmt: skip
