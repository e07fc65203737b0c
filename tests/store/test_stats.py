"""Numbers and the queue, row by row: what counts as kept, what is read, and how much of it."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.models.closed_sets import TimerKind
from app.store.engine import transaction
from app.store.reviews import ReviewFilter, ReviewPosition, ReviewStore
from app.store.stats import Period, Promise, StatsStore
from tests.store.rows import NOW, OTHER_SITE, SITE
from tests.store.timer_rows import add_case, add_cases, add_timer

A_TICK = timedelta(microseconds=1)
FEW, MANY = 300, 5_000
_SETTLE = text("""
    UPDATE case_timers SET state = :state, settled_at = due_at + :late WHERE case_id = :case_id AND kind = 'due'""")
_DECIDE = text("""
    UPDATE cases SET status = :status, created_at = :created_at, decided_at = CAST(:created_at AS timestamptz) + :after
    WHERE case_id = :case_id""")
_WAITS = text("UPDATE cases SET status = 'in_review', review_started_at = created_at WHERE case_id = ANY(:case_ids)")
_READ = text("SELECT CAST(sum(seq_tup_read + idx_tup_fetch) AS integer) FROM pg_stat_xact_user_tables")
EVER = Period(datetime.min.replace(year=2000, tzinfo=NOW.tzinfo), NOW + timedelta(days=1))


async def deadlines(connection: AsyncConnection) -> dict[str, Promise]:
    return dict((await StatsStore(connection, SITE).read(EVER, most=100)).deadlines)


async def a_deadline(connection: AsyncConnection, due_at: datetime, name: str = "review") -> UUID:
    case_id = await add_case(connection)
    await add_timer(connection, case_id, due_at, name=name)
    await add_timer(connection, case_id, due_at - timedelta(hours=1), name=name, kind=TimerKind.APPROACHING)
    return case_id


@pytest.mark.parametrize(
    ("state", "late", "counted"),
    [
        ("kept", timedelta(0), Promise(1, 0, 0)),
        ("kept", A_TICK, Promise(0, 1, 0)),
        ("kept", -timedelta(days=1), Promise(1, 0, 0)),
        ("fired", timedelta(seconds=1), Promise(0, 1, 0)),
        ("void", -timedelta(days=1), None),
        ("void", A_TICK, None),
    ],
)
async def test_a_promise_is_kept_if_it_was_done_in_time(
    engine: AsyncEngine, state: str, late: timedelta, counted: Promise | None
) -> None:
    async with transaction(engine) as connection:
        case_id = await a_deadline(connection, NOW)
        await connection.execute(_SETTLE, {"state": state, "late": late, "case_id": case_id})
        assert (await deadlines(connection)).get("review") == counted


async def test_a_promise_is_missed_once_it_is_over_whether_or_not_a_worker_saw_it(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        now = await connection.scalar(text("SELECT now()"))
        await a_deadline(connection, now)
        assert await deadlines(connection) == {"review": Promise(0, 0, 1)}
        await a_deadline(connection, now - A_TICK)
        assert await deadlines(connection) == {"review": Promise(0, 1, 1)}


async def test_only_deadlines_that_somebody_owes_are_counted(engine: AsyncEngine) -> None:
    owed = {"review", "first_answer", "merchant_turn", "evidence_supplement", "money_back"}
    async with transaction(engine) as connection:
        for name in (*owed, "wait", "appeal", "channel_dispute", "rejudge", "refund_rate"):
            await a_deadline(connection, NOW, name)
        assert (await deadlines(connection)).keys() == owed


@pytest.mark.parametrize(
    ("lengths", "median", "p90"),
    [([7], 7, 7), ([1, 9], 1, 9), ([1, 2, 9], 2, 9), ([10, 1, 5, 3, 2, 4, 9, 8, 7, 6], 5, 9), ([], None, None)],
)
async def test_the_median_and_the_ninth_decile_are_lengths_that_occurred(
    engine: AsyncEngine, lengths: list[int], median: int | None, p90: int | None
) -> None:
    async with transaction(engine) as connection:
        for n, length in enumerate([*lengths, 1_000]):
            status = "withdrawn" if length == 1_000 else ("approved", "rejected", "refunded")[n % 3]
            after = timedelta(seconds=length, microseconds=999_999)
            decided = {"status": status, "created_at": NOW, "after": after, "case_id": await add_case(connection)}
            await connection.execute(_DECIDE, decided)
        found = await StatsStore(connection, SITE).read(EVER, most=100)
        assert (found.median_seconds, found.p90_seconds) == (median, p90)


async def test_counting_stops_behind_the_most(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await add_cases(connection, 5)
        await add_cases(connection, 5, OTHER_SITE)
        assert [(await StatsStore(connection, SITE).read(EVER, most=most)).scanned for most in (3, 4, 5, 6)] == [
            4, 5, 5, 5,
        ]  # fmt: skip


async def test_the_queue_is_in_the_order_of_promises_and_then_of_ids(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        case_ids = sorted(await add_cases(connection, 6))
        theirs = await add_cases(connection, 2, OTHER_SITE)
        expected = case_ids[4:] + case_ids[2:4] + case_ids[:2]
        for place, case_id in enumerate(expected):
            await add_timer(connection, case_id, NOW + timedelta(hours=place // 2))
            await add_timer(connection, case_id, NOW - timedelta(hours=place), name="first_answer")
        for case_id in theirs:
            await add_timer(connection, case_id, NOW, site_id=OTHER_SITE)
        await connection.execute(_WAITS, {"case_ids": case_ids + theirs})
        store, wanted = ReviewStore(connection, SITE), ReviewFilter(NOW)
        assert [row.case.case_id for row in await store.page(wanted, limit=10)] == expected
        after, seen = None, []
        for _ in range(3):
            page = await store.page(wanted, limit=2, after=after)
            seen += [row.case.case_id for row in page]
            after = ReviewPosition(page[-1].promised_by, page[-1].case.case_id)
        assert seen == expected
        assert await store.page(wanted, limit=2, after=after) == ()


async def test_the_last_of_several_promises_is_the_one_that_stands(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        case_id = await add_case(connection)
        await add_timer(connection, case_id, NOW)
        await connection.execute(_SETTLE, {"state": "fired", "late": A_TICK, "case_id": case_id})
        await add_timer(connection, case_id, NOW + timedelta(days=1))
        await connection.execute(_WAITS, {"case_ids": [case_id]})
        [row] = await ReviewStore(connection, SITE).page(ReviewFilter(NOW), limit=10)
        assert row.promised_by == NOW + timedelta(days=1)


async def _grown(engine: AsyncEngine, cases: int) -> None:
    """Many cases that nobody asks about: old ones, decided, each with deadlines."""
    async with transaction(engine) as connection:
        await connection.execute(
            text("""
                WITH made AS (
                    INSERT INTO cases (site_id, case_id, reason, status, claim, policy_name, policy_version, filed_at,
                                       created_at, updated_at, version, next_sequence)
                    SELECT :site_id, gen_random_uuid(), 'other', 'approved', '{}', 'standard', 1, :at, :at, :at, 1, 1
                    FROM generate_series(1, :cases) RETURNING site_id, case_id
                ), decided AS (
                    INSERT INTO decisions (site_id, case_id, n, outcome, policy_name, policy_version, engine, facts,
                                           body, judged_at)
                    SELECT site_id, case_id, 1, 'approve', 'standard', 1, '1', '{}', '{}', :at FROM made
                )
                INSERT INTO case_timers (site_id, case_id, name, kind, due_at, provisional, state, attempts,
                                         next_attempt_at, created_at)
                SELECT site_id, case_id, name, 'due', :at, false, 'fired', 0, :at, :at
                FROM made, unnest(ARRAY['review', 'money_back']) AS name"""),
            {"site_id": SITE, "at": NOW - timedelta(days=100), "cases": cases},
        )
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))


async def test_work_does_not_grow_with_cases_that_nobody_asks_about(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        case_ids = await add_cases(connection, FEW)
        for case_id in case_ids:
            await add_timer(connection, case_id, NOW)
        await connection.execute(_WAITS, {"case_ids": case_ids})
    await _grown(engine, MANY)
    recent = Period(NOW - timedelta(days=1), NOW + timedelta(days=1))
    async with engine.connect() as connection:
        for _ in range(8):  # more than it takes for a plan to be kept
            async with connection.begin():
                before = int(await connection.scalar(_READ) or 0)
                assert (await StatsStore(connection, SITE).read(recent, most=1_000)).cases == FEW
                assert len(await ReviewStore(connection, SITE).page(ReviewFilter(NOW), limit=100)) == 100
                assert int(await connection.scalar(_READ) or 0) - before < MANY
