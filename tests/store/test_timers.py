"""Timers as rows: what is due, by whose clock, and what settles it."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.models.closed_sets import TimerKind
from app.store.engine import transaction
from app.store.timers import DueTimer, TimerStore, sites_due
from tests.database_clock import DatabaseClock
from tests.store.rows import NOW, OTHER_SITE, SITE, until_somebody_waits
from tests.store.timer_rows import add_case, add_cases, add_due_cases, add_timer, timers_of

INSTANT = timedelta(microseconds=1)
DAY = timedelta(days=1)
FIRED, PENDING, VOID = "fired", "pending", "void"


async def test_the_instant_of_a_limit_is_still_in_time(clock: DatabaseClock, engine: AsyncEngine) -> None:
    await clock.freeze(NOW)
    async with transaction(engine) as connection:
        case_id = await add_case(connection)
        await add_timer(connection, case_id, NOW)
        timer = DueTimer(case_id, "review", TimerKind.DUE, NOW, 0)
        assert (await _due(connection), await sites_due(connection, 9)) == ([], [])
        assert not await TimerStore(connection, SITE).fire(timer)
    await clock.advance(INSTANT)
    async with transaction(engine) as connection:
        assert (await _due(connection), await sites_due(connection, 9)) == ([timer], [SITE])
        assert await TimerStore(connection, SITE).fire(timer)


async def test_the_oldest_come_first_of_what_may_be_tried_now(clock: DatabaseClock, engine: AsyncEngine) -> None:
    await clock.freeze(NOW)
    async with transaction(engine) as connection:
        case_ids = await add_due_cases(connection, NOW, 4)
        [oldest] = await _due(connection, 1)
        assert oldest.case_id == case_ids[0]
        await TimerStore(connection, SITE).failed(oldest, NOW + DAY)
        assert [each.case_id for each in await _due(connection, 2)] == case_ids[1:3]
    await clock.advance(2 * DAY)
    async with transaction(engine) as connection:
        due = await _due(connection)
    assert [(each.case_id, each.attempts) for each in due] == [
        (case_ids[1], 0), (case_ids[2], 0), (case_ids[3], 0), (case_ids[0], 1),
    ]  # fmt: skip


async def test_what_lies_behind_the_timers_of_busy_cases_is_found(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        first, second, third = await add_due_cases(connection, NOW, 3)
        found = await TimerStore(connection, SITE).due(1, {first, second})
    assert [each.case_id for each in found] == [third]


async def test_each_site_has_its_own(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        [case_id] = await add_due_cases(connection, NOW, 1, OTHER_SITE)
        assert await sites_due(connection, 9) == [OTHER_SITE]
        assert await _due(connection) == []
        [timer] = await TimerStore(connection, OTHER_SITE).due(9)
        store = TimerStore(connection, SITE)
        assert not await store.fire(timer)
        assert not await store.failed(timer, NOW + DAY)
        await store.void(timer)
        assert [state for state, *_ in await timers_of(connection, case_id)] == [PENDING]


async def test_a_timer_fires_once(clock: DatabaseClock, engine: AsyncEngine) -> None:
    at = await clock.freeze()
    async with transaction(engine) as connection:
        [case_id] = await add_due_cases(connection, NOW, 1)
        [timer] = await _due(connection)
        store = TimerStore(connection, SITE)
        assert await store.fire(timer)
        assert not await store.fire(timer)
        assert not await store.failed(timer, at + DAY)
        assert await timers_of(connection, case_id) == [(FIRED, 0, timer.due_at, at)]
        assert (await _due(connection), await sites_due(connection, 9)) == ([], [])


async def test_one_that_did_not_matter_any_more_is_void(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        [case_id] = await add_due_cases(connection, NOW, 1)
        [timer] = await _due(connection)
        store = TimerStore(connection, SITE)
        assert await store.fire(timer)
        await store.void(timer)
        assert [state for state, *_ in await timers_of(connection, case_id)] == [VOID]


async def test_of_two_who_fire_the_second_waits_and_finds_it_fired(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await add_due_cases(connection, NOW, 1)
        [timer] = await _due(connection)

    async def second() -> bool:
        async with transaction(engine) as connection:
            return await TimerStore(connection, SITE).fire(timer)

    async with transaction(engine) as connection:
        assert await TimerStore(connection, SITE).fire(timer)
        later = asyncio.create_task(second())
        await until_somebody_waits(engine)
    assert not await later


async def test_a_failure_counts_once(engine: AsyncEngine) -> None:
    """Two workers that came upon the same fault one after the other have seen the same attempt."""
    async with transaction(engine) as connection:
        [case_id] = await add_due_cases(connection, NOW, 1)
        [timer] = await _due(connection)
        store = TimerStore(connection, SITE)
        assert await store.failed(timer, NOW + DAY)
        assert not await store.failed(timer, NOW + 2 * DAY)
        assert await timers_of(connection, case_id) == [(PENDING, 1, NOW + DAY, None)]


# The last day of 2027 in Shanghai ends at 16:00 UTC.
@pytest.mark.parametrize(
    ("due_at", "found"),
    [(datetime(2027, 12, 31, 15, 59, 59, tzinfo=UTC), True), (datetime(2027, 12, 31, 16, 0, tzinfo=UTC), False)],
)
async def test_deadlines_are_provisional_until_a_day_of_shanghai(
    engine: AsyncEngine, due_at: datetime, found: bool
) -> None:
    async with transaction(engine) as connection:
        case_id = await add_case(connection)
        await add_timer(connection, case_id, due_at, provisional=True)
        store = TimerStore(connection, SITE)
        assert await store.provisional_until(date(2027, 12, 31), 9) == [case_id] * found
        assert await store.is_provisional(case_id, date(2027, 12, 31)) == found
        assert await TimerStore(connection, OTHER_SITE).provisional_until(date(2027, 12, 31), 9) == []


async def test_only_pending_deadlines_are_set_anew(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        settled, certain, warned = await add_cases(connection, 3)
        await add_timer(connection, settled, NOW, provisional=True)
        await TimerStore(connection, SITE).fire(DueTimer(settled, "review", TimerKind.DUE, NOW, 0))
        await add_timer(connection, certain, NOW)
        await add_timer(connection, warned, NOW, kind=TimerKind.APPROACHING, provisional=True)
        assert await TimerStore(connection, SITE).provisional_until(NOW.date(), 9) == []


async def test_cases_are_paged_through_each_once(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        case_ids = sorted(await add_cases(connection, 5))
        for case_id in case_ids:
            await add_timer(connection, case_id, NOW, provisional=True)
            await add_timer(connection, case_id, NOW, name="first_answer", provisional=True)
        store = TimerStore(connection, SITE)
        first = await store.provisional_until(NOW.date(), 3)
        assert first + await store.provisional_until(NOW.date(), 3, first[-1]) == case_ids


async def test_finding_what_is_due_reads_little_of_a_long_queue(engine: AsyncEngine) -> None:
    queue = text("""
        INSERT INTO case_timers (site_id, case_id, name, kind, due_at, provisional, state, attempts, next_attempt_at,
                                 created_at)
        SELECT :site, :case_id, 'review', 'due', at, false, 'pending', 0, at, at
        FROM generate_series(1, 20000) n, LATERAL (SELECT now() - n * interval '1 second' AS at) times""")
    read = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'case_timers'")
    async with transaction(engine) as connection:
        await connection.execute(queue, {"site": SITE, "case_id": await add_case(connection)})
    async with transaction(engine) as connection:
        assert await sites_due(connection, 9) == [SITE]
        assert len(await _due(connection, 8)) == 8
        assert 0 < (await connection.scalar(read) or 0) < 50


async def _due(connection: AsyncConnection, limit: int = 9, site_id: UUID = SITE) -> list[DueTimer]:
    return await TimerStore(connection, site_id).due(limit)
