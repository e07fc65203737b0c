"""Dispatches: leased once, in the order of their case, and settled by results."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.models.closed_sets import DispatchState
from app.store.cases import CaseStore, Consequences
from app.store.dispatches import DispatchStore, Due, Result, sites_due
from app.store.endpoints import EndpointStore
from app.store.engine import transaction
from app.store.events import EventStore
from app.store.sites import database_now
from tests.store.rows import ENDPOINT, NOW, OTHER_SITE, SITE, add_endpoint, new_case, new_event

LEASE = timedelta(minutes=1)


async def test_a_due_event_comes_with_all_that_sending_it_needs(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        endpoint_id = await add_endpoint(connection)
        event = await _tell(connection, "A-1")
        [due] = await _claim(connection)
        assert await sites_due(connection, busy=[], limit=9) == []
    assert (due.event_id, due.endpoint_id, due.attempt, due.sequence) == (event[0], endpoint_id, 1, 1)
    assert (due.url, due.role, due.secrets, due.mode) == (ENDPOINT.url, "site", b"sealed", "test")
    assert (due.full_data, due.thin_data, due.type) == ('{"full":true}', '{"full":false}', "case.filed")


async def test_sites_with_something_due_are_found(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        endpoint_id = await add_endpoint(connection)
        await add_endpoint(connection, site_id=OTHER_SITE)
        await _tell(connection, "A-1")
        assert await sites_due(connection, busy=[], limit=9) == [SITE]
        assert await sites_due(connection, busy=[endpoint_id], limit=9) == []
        assert await _claim(connection, site_id=OTHER_SITE) == []
        await connection.execute(text("UPDATE dispatches SET next_attempt_at = now() + interval '1 s'"))
        assert await sites_due(connection, busy=[], limit=9) == []
        assert await _claim(connection) == []


async def test_four_at_once_lease_two_hundred_each_once(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        for _ in range(4):
            await add_endpoint(connection)
        for n in range(50):
            await _tell(connection, f"A-{n}")

    async def lease_all() -> list[tuple[UUID, UUID]]:
        mine: list[tuple[UUID, UUID]] = []
        while True:
            async with transaction(engine) as connection:
                dues = await _claim(connection, limit=7, per_endpoint=3)
            if not dues:
                return mine
            mine += [(due.event_id, due.endpoint_id) for due in dues]

    leased = Counter(pair for mine in await asyncio.gather(*(lease_all() for _ in range(4))) for pair in mine)
    assert len(leased) == 200
    assert set(leased.values()) == {1}
    async with transaction(engine) as connection:
        assert (await connection.scalars(text("SELECT DISTINCT attempts FROM dispatches"))).all() == [1]


async def test_one_endpoint_cannot_take_all_places(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        slow = await add_endpoint(connection)
        for n in range(10):
            await _tell(connection, f"A-{n}")
        other = await add_endpoint(connection)
        await _tell(connection, "B-1")
        first = Counter(due.endpoint_id for due in await _claim(connection, per_endpoint=3))
        second = await _claim(connection, busy=[slow])
    assert first == {slow: 3, other: 1}
    assert second == []


async def test_a_lease_that_ran_out_is_leased_again_under_the_same_id(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await add_endpoint(connection)
        await _tell(connection, "A-1")
        [first] = await _claim(connection)
        assert await _claim(connection) == []
        await _let_leases_run_out(connection)
        [second] = await _claim(connection)
    assert (second.event_id, second.attempt) == (first.event_id, 2)


async def test_a_cases_next_event_waits_for_its_earlier_one(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await add_endpoint(connection)
        first, second, third = await _tell(connection, "A-1", events=3)
        [other] = await _tell(connection, "A-2")
        dues = await _claim(connection)
        assert {due.event_id for due in dues} == {first, other}
        # It waits without standing in the way of those that are due.
        ahead = await connection.scalar(text("SELECT count(*) FROM dispatches WHERE next_attempt_at > now()"))
        assert ahead == 2
        [due] = [each for each in dues if each.event_id == first]
        again_at = await database_now(connection) + timedelta(hours=1)
        await _record(connection, due, DispatchState.PENDING, again_at)
        assert await connection.scalar(text("SELECT count(*) FROM dispatches WHERE next_attempt_at > now()")) == 3
        await connection.execute(text("UPDATE dispatches SET next_attempt_at = now() WHERE attempts = 0"))
        assert await _claim(connection) == []
        await connection.execute(text("UPDATE dispatches SET next_attempt_at = now() WHERE attempts = 1"))
        [due] = await _claim(connection)
        await _record(connection, due, DispatchState.DELIVERED)
        [due] = await _claim(connection)
        assert due.event_id == second
        await _record(connection, due, DispatchState.FAILED)
        [due] = await _claim(connection)
        assert due.event_id == third


async def test_a_result_that_comes_too_late_changes_nothing_unless_it_is_a_success(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await add_endpoint(connection)
        await _tell(connection, "A-1")
        [late] = await _claim(connection)
        await _let_leases_run_out(connection)
        await _claim(connection)
        assert await _record(connection, late, DispatchState.FAILED) == 0
        assert await _states(connection) == ["pending"]
        assert await _record(connection, late, DispatchState.DELIVERED) == 1
        assert await _states(connection) == ["delivered"]


async def test_attempts_are_kept_and_numbered(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        endpoint_id = await add_endpoint(connection)
        [event_id] = await _tell(connection, "A-1")
        [due] = await _claim(connection)
        await _record(connection, due, DispatchState.DELIVERED)
        events = EventStore(connection, SITE)
        assert await events.resend(event_id, endpoint_id, NOW)
        assert not await events.resend(event_id, endpoint_id, NOW)
        assert not await EventStore(connection, OTHER_SITE).resend(event_id, endpoint_id, NOW)
        [again] = await _claim(connection)
        await _record(connection, again, DispatchState.DELIVERED)
        attempts = await events.attempts(limit=9, event_id=event_id)
        foreign = await EventStore(connection, OTHER_SITE).attempts(limit=9)
    assert again.event_id == event_id
    assert sorted((each.n, each.status_code, each.excerpt) for each in attempts) == [(1, 200, "ok"), (2, 200, "ok")]
    assert foreign == []


async def test_failures_count_from_the_first_until_a_success(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        endpoint_id = await add_endpoint(connection)
        store = EndpointStore(connection, SITE)
        seen = []
        for n, state in enumerate((DispatchState.FAILED, DispatchState.FAILED, DispatchState.DELIVERED)):
            await _tell(connection, f"A-{n}")
            [due] = await _claim(connection)
            await _record(connection, due, state, started_at=NOW + timedelta(seconds=n))
            seen.append((await store.get(endpoint_id)).first_failure_at)
    assert seen == [NOW, NOW, None]


async def test_disabling_cancels_what_was_on_its_way_and_nothing_else(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        endpoint_id, other = await add_endpoint(connection), await add_endpoint(connection)
        await _tell(connection, "A-1")
        store = EndpointStore(connection, SITE)
        assert await store.disable(endpoint_id, "gone", NOW)
        assert not await store.disable(endpoint_id, "gone", NOW)
        assert [due.endpoint_id for due in await _claim(connection)] == [other]
        endpoint = await store.get(endpoint_id)
        assert (endpoint.enabled, endpoint.disabled_reason, endpoint.disabled_at, endpoint.version) == (
            False, "gone", NOW, 2,
        )  # fmt: skip
        assert sorted(await _states(connection)) == ["cancelled", "pending"]


async def test_an_endpoint_that_succeeded_meanwhile_is_not_disabled_for_failing(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        store = EndpointStore(connection, SITE)
        well, ill = (
            await add_endpoint(connection),
            await add_endpoint(connection, replace(ENDPOINT, first_failure_at=NOW)),
        )
        assert not await store.disable(well, "failing", NOW, failing_since=NOW)
        assert await store.disable(ill, "failing", NOW, failing_since=NOW)


async def test_deleting_cancels_and_keeps_what_was_tried(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        endpoint_id = await add_endpoint(connection)
        await _tell(connection, "A-1", events=2)
        [due] = await _claim(connection)
        await _record(connection, due, DispatchState.DELIVERED)
        await EndpointStore(connection, SITE).delete(endpoint_id)
        assert await _claim(connection) == []
        assert sorted(await _states(connection)) == ["cancelled", "delivered"]
        assert len(await EventStore(connection, SITE).attempts(limit=9, endpoint_id=endpoint_id)) == 1


async def test_claiming_from_a_long_queue_reads_little_of_it(engine: AsyncEngine) -> None:
    long_queue = text("""
        WITH told AS (
            INSERT INTO events (site_id, event_id, type, created_at, full_data, thin_data)
            SELECT :site, gen_random_uuid(), 'case.filed', now(), '{}', '{}' FROM generate_series(1, 20000)
            RETURNING event_id
        )
        INSERT INTO dispatches (site_id, event_id, endpoint_id, state, attempts, next_attempt_at, created_at)
        SELECT :site, event_id, :endpoint, 'pending', 0, now(), now() FROM told""")
    read = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'dispatches'")
    async with transaction(engine) as connection:
        await connection.execute(long_queue, {"site": SITE, "endpoint": await add_endpoint(connection)})
    async with transaction(engine) as connection:
        assert await sites_due(connection, busy=[], limit=9) == [SITE]
        assert len(await _claim(connection, per_endpoint=8)) == 8
        assert 0 < (await connection.scalar(read) or 0) < 500


async def _tell(connection: AsyncConnection, order_no: str, *, events: int = 1) -> list[UUID]:
    told = [new_event() for _ in range(events)]
    now = await database_now(connection)
    await CaseStore(connection, SITE).file(new_case(order_no), Consequences(events=told), now)
    return [event.event_id for event in told]


async def _claim(
    connection: AsyncConnection,
    *,
    site_id: UUID = SITE,
    limit: int = 100,
    per_endpoint: int = 100,
    busy: list[UUID] | None = None,
) -> list[Due]:
    now = await database_now(connection)
    store = DispatchStore(connection, site_id)
    return await store.claim(now, lease=LEASE, limit=limit, per_endpoint=per_endpoint, busy=busy or [])


async def _record(
    connection: AsyncConnection,
    due: Due,
    state: DispatchState,
    next_attempt_at: datetime | None = None,
    *,
    started_at: datetime = NOW,
) -> int:
    result = Result(due.event_id, due.endpoint_id, due.attempt, state, next_attempt_at, started_at, 5, 200, None, "ok")
    return await DispatchStore(connection, SITE).record([result], await database_now(connection))


async def _let_leases_run_out(connection: AsyncConnection) -> None:
    await connection.execute(text("UPDATE dispatches SET leased_until = now() WHERE leased_until IS NOT NULL"))


async def _states(connection: AsyncConnection) -> list[str]:
    return list((await connection.scalars(text("SELECT state FROM dispatches"))).all())
