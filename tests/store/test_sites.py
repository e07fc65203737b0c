"""Sites and keys."""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import ids
from app.models.closed_sets import Scope
from app.store.engine import transaction
from app.store.sites import SiteRow, SiteStore, caller_of
from tests.store.rows import NOW, OTHER_SITE, SITE


async def test_a_key_leads_to_its_site_until_it_is_revoked(engine: AsyncEngine) -> None:
    key_id = ids.new_uuid()
    async with transaction(engine) as connection:
        store = SiteStore(connection, SITE)
        await store.add_key(key_id, b"hash", [Scope.CASES, Scope.RECORDS], "shop backend", NOW)
        caller = await caller_of(connection, b"hash")
        assert not await SiteStore(connection, OTHER_SITE).revoke_key(key_id, NOW)
        assert await store.revoke_key(key_id, NOW)
        assert not await store.revoke_key(key_id, NOW)
        assert await caller_of(connection, b"hash") is None
        assert await caller_of(connection, b"other") is None
    assert caller is not None
    assert (caller.site, caller.key_id) == (SiteRow(SITE, "shop", "test"), key_id)
    assert caller.scopes == {Scope.CASES, Scope.RECORDS}
    assert caller.now.tzinfo is not None


async def test_a_scope_of_a_newer_version_is_not_granted(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await SiteStore(connection, SITE).add_key(ids.new_uuid(), b"hash", [Scope.CASES], "", NOW)
        await connection.execute(text("UPDATE api_keys SET scopes = scopes || '{audit}'::text[]"))
        caller = await caller_of(connection, b"hash")
    assert caller is not None
    assert caller.scopes == {Scope.CASES}


async def test_the_other_keys_with_a_label_are_revoked(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        store = SiteStore(connection, SITE)
        for label, name in (("sandbox", b"old"), ("sandbox", b"new"), ("mine", b"mine")):
            await store.add_key(ids.new_uuid(), name, [], label, NOW)
        await store.revoke_others("sandbox", b"new", NOW)
        known = [await caller_of(connection, name) is not None for name in (b"old", b"new", b"mine")]
    assert known == [False, True, True]


async def test_the_policy_in_force_is_the_latest_that_began(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        store = SiteStore(connection, SITE)
        await store.activate_policy("recharge", 3, NOW)
        assert await store.policy_at(NOW - timedelta(microseconds=1)) == ("standard", 1)
        assert await store.policy_at(NOW) == ("recharge", 3)
        assert await store.policy_at(NOW.replace(year=1999)) is None


async def test_a_site_is_created_once(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        assert not await SiteStore(connection, SITE).create("again", "live", NOW)
        assert await SiteStore(connection, SITE).get() == SiteRow(SITE, "shop", "test")
        assert await SiteStore(connection, ids.new_uuid()).get() is None
