"""Webhook endpoints: what is accepted, what a change does, how secrets overlap."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import Conflict, Invalid, NotFound, Stale
from app.outbound.catalogue import EndpointRole, EventType
from app.rules.facts import Channel
from app.sealing import Sealer
from app.services import endpoints, webhook_secrets
from app.services.endpoints import AddressRules, Changes, NewEndpoint
from app.store.engine import transaction
from app.store.events import EventStore
from app.store.sites import SiteRow
from tests.store.rows import NOW, OTHER_SITE, SITE

SEALER = Sealer(bytes(32))
SHOP = SiteRow(SITE, "shop", "test")
WISH = NewEndpoint("https://example.com/hooks", EndpointRole.SITE)
RULES = AddressRules()


async def test_an_endpoint_is_registered_with_a_secret_that_is_stored_sealed(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        made = await endpoints.register(connection, SEALER, SHOP, WISH, RULES, now=NOW)
        stored = await endpoints.get(connection, SITE, made.endpoint.endpoint_id)
        listed = await endpoints.page(connection, SITE, limit=10)
        foreign = await endpoints.page(connection, OTHER_SITE, limit=10)
        with pytest.raises(NotFound):
            await endpoints.get(connection, OTHER_SITE, made.endpoint.endpoint_id)
    assert stored == made.endpoint
    assert (list(listed), list(foreign)) == ([stored], [])
    assert made.secret.startswith("whsec_")
    assert made.secret.encode() not in stored.secrets
    assert [each.text for each in webhook_secrets.unseal(SEALER, SITE, stored.secrets)] == [made.secret]


@pytest.mark.parametrize(
    ("wish", "where"),
    [
        (replace(WISH, url="http://example.com/"), {"/url"}),
        (replace(WISH, url="https://10.0.0.1/"), {"/url"}),
        (replace(WISH, url="https://127.0.0.1:9000/"), {"/url"}),
        (replace(WISH, url="https://own.example.com/"), {"/url"}),
        (replace(WISH, role=EndpointRole.MERCHANT), {"/merchant_id"}),
        (replace(WISH, merchant_id="m-7"), {"/merchant_id"}),
        (replace(WISH, event_types=()), {"/event_types"}),
        (
            replace(WISH, role=EndpointRole.CHANNEL, event_types=(EventType.REFUND_REQUESTED, EventType.CASE_FILED)),
            {"/event_types/1"},
        ),
        (replace(WISH, channels=(Channel.ALIPAY,)), {"/channels"}),
        (replace(WISH, role=EndpointRole.CHANNEL, channels=()), {"/channels"}),
        (replace(WISH, url="nonsense", merchant_id="m-7", event_types=()), {"/url", "/merchant_id", "/event_types"}),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_place(
    engine: AsyncEngine, wish: NewEndpoint, where: set[str]
) -> None:
    rules = AddressRules(own_hosts=frozenset({"own.example.com"}))
    async with transaction(engine) as connection:
        with pytest.raises(Invalid) as refused:
            await endpoints.register(connection, SEALER, SHOP, wish, rules, now=NOW)
        assert {fault.where for fault in refused.value.faults} == where
        assert await endpoints.page(connection, SITE, limit=10) == []


@pytest.mark.parametrize(
    ("mode", "allowed", "accepted"), [("test", True, True), ("test", False, False), ("live", True, False)]
)
async def test_loopback_is_for_test_mode_where_it_is_configured(
    engine: AsyncEngine, mode: str, allowed: bool, accepted: bool
) -> None:
    site, wish = (
        SiteRow(SITE, "shop", "live" if mode == "live" else "test"),
        replace(WISH, url="http://127.0.0.1:9000/"),
    )
    async with transaction(engine) as connection:
        try:
            await endpoints.register(connection, SEALER, site, wish, AddressRules(loopback=allowed), now=NOW)
        except Invalid:
            assert not accepted
        else:
            assert accepted


async def test_a_change_touches_what_it_names(engine: AsyncEngine) -> None:
    wish = NewEndpoint(WISH.url, EndpointRole.CHANNEL, channels=(Channel.ALIPAY,), description="old")
    async with transaction(engine) as connection:
        made = (await endpoints.register(connection, SEALER, SHOP, wish, RULES, now=NOW)).endpoint
        later, number = NOW + timedelta(hours=1), made.endpoint_id
        same = await endpoints.change(connection, SHOP, number, Changes(), RULES, now=later)
        new = await endpoints.change(
            connection, SHOP, number, Changes(channels=None, description="new"), RULES, now=later, expected=2
        )
        with pytest.raises(Stale):
            await endpoints.change(connection, SHOP, number, Changes(), RULES, now=later, expected=2)
        with pytest.raises(Invalid):
            await endpoints.change(connection, SHOP, number, Changes(url="https://10.0.0.1/"), RULES, now=later)
        stored = await endpoints.get(connection, SITE, number)
    assert same == replace(made, version=2, updated_at=later)
    assert new == replace(same, version=3, channels=None, description="new")
    assert stored == new


async def test_switching_off_and_on_forgives_failures(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        number = (await endpoints.register(connection, SEALER, SHOP, WISH, RULES, now=NOW)).endpoint.endpoint_id
        off = await endpoints.change(connection, SHOP, number, Changes(enabled=False), RULES, now=NOW)
        with pytest.raises(Conflict):
            await endpoints.send_test(connection, SITE, number, NOW)
        on = await endpoints.change(connection, SHOP, number, Changes(enabled=True), RULES, now=NOW)
    assert (off.enabled, off.disabled_reason, off.disabled_at) == (False, "by_site", NOW)
    assert (on.enabled, on.disabled_reason, on.disabled_at) == (True, None, None)


async def test_secrets_overlap_for_a_day_and_end_on_time(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        made = await endpoints.register(connection, SEALER, SHOP, WISH, RULES, now=NOW)
        number, secrets = made.endpoint.endpoint_id, [made.secret]
        for hours in (0, 1):
            turned = await endpoints.rotate_secret(connection, SEALER, SITE, number, NOW + timedelta(hours=hours))
            secrets.insert(0, turned.secret)
    kept = webhook_secrets.unseal(SEALER, SITE, turned.endpoint.secrets)

    def signing_at(hours: int, seconds: int = 0) -> list[str]:
        at = NOW + timedelta(hours=hours, seconds=seconds)
        return [each.text for each in webhook_secrets.valid(kept, at)]

    assert len(set(secrets)) == 3
    assert signing_at(23, 3599) == secrets
    assert signing_at(24) == secrets[:2]
    assert signing_at(25) == secrets[:1]


async def test_secrets_cannot_pile_up(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        made = await endpoints.register(connection, SEALER, SHOP, WISH, RULES, now=NOW)
        number = made.endpoint.endpoint_id
        for _ in range(webhook_secrets.MOST_SECRETS - 1):
            await endpoints.rotate_secret(connection, SEALER, SITE, number, NOW)
        with pytest.raises(Conflict):
            await endpoints.rotate_secret(connection, SEALER, SITE, number, NOW)
        await endpoints.rotate_secret(connection, SEALER, SITE, number, NOW + webhook_secrets.OVERLAP)


async def test_a_test_event_goes_to_this_endpoint_alone(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        made = await endpoints.register(connection, SEALER, SHOP, WISH, RULES, now=NOW)
        await endpoints.register(connection, SEALER, SHOP, WISH, RULES, now=NOW)
        number = made.endpoint.endpoint_id
        event_id = await endpoints.send_test(connection, SITE, number, NOW)
        event = await EventStore(connection, SITE).get(event_id)
        on_their_way = await EventStore(connection, SITE).resend(event_id, number, NOW)
    assert event is not None
    assert event.type == "endpoint.test"
    assert (event.case_id, event.sequence) == (None, None)
    assert not on_their_way


async def test_a_removed_endpoint_is_gone(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        number = (await endpoints.register(connection, SEALER, SHOP, WISH, RULES, now=NOW)).endpoint.endpoint_id
        with pytest.raises(NotFound):
            await endpoints.remove(connection, OTHER_SITE, number)
        await endpoints.remove(connection, SITE, number)
        with pytest.raises(NotFound):
            await endpoints.remove(connection, SITE, number)
