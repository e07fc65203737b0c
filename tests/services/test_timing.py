"""Timers take effect once each, by the database's clock, whatever becomes of the one that fires them."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.testing import capture_logs

from app.errors import Busy, Unavailable
from app.ids import Mint
from app.rules.calendar import STATUTORY, Calendar, PublishedYear
from app.sealing import Sealer
from app.services.timing import BACKOFF, fire_due, recompute_provisional
from app.store.cases import CaseStore
from app.store.engine import create_engine, transaction
from app.store.timers import DueTimer, sites_due
from app.worker.chores import repeat
from app.worker.worker import Worker
from tests.database_clock import DatabaseClock
from tests.services.no_channels import no_channels
from tests.services.test_filing import FILED_AT, filed, filing
from tests.store.rows import NOW, OTHER_SITE, SITE, config_of
from tests.store.timer_rows import add_case, add_cases, add_due_cases, add_timer, timers_of

DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
LONG_AGO = datetime(2001, 2, 3, tzinfo=UTC)
FAR_AHEAD = datetime(2101, 2, 3, tzinfo=UTC)
TOLD = text("""
    INSERT INTO events (site_id, event_id, type, created_at, full_data, thin_data)
    VALUES (:site_id, :event_id, 'case.deadline_missed', now(), :timer, '{}')""")


@dataclass
class Telling:
    """An effect: an event for each timer. `broken`: cases for which it fails, after it has written."""

    broken: set[UUID] = field(default_factory=set)
    seen: list[DueTimer] = field(default_factory=list)

    async def __call__(self, connection: AsyncConnection, site_id: UUID, timer: DueTimer, mint: Mint) -> None:
        told = json.dumps([str(timer.case_id), timer.name])
        await connection.execute(TOLD, {"site_id": site_id, "event_id": mint(), "timer": told})
        self.seen.append(timer)
        if timer.case_id in self.broken:
            raise ZeroDivisionError


async def test_what_is_due_takes_effect_and_is_marked(clock: DatabaseClock, engine: AsyncEngine) -> None:
    at, telling = await clock.freeze(), Telling()
    async with transaction(engine) as connection:
        case_ids = await add_due_cases(connection, at, 3)
        await add_timer(connection, case_ids[0], at + DAY)
    assert await fire_due(engine, limit=10, effect=telling) == 3
    assert [each.case_id for each in telling.seen] == case_ids
    async with transaction(engine) as connection:
        assert await timers_of(connection, case_ids[0]) == [
            ("fired", 0, at - timedelta(seconds=3), at), ("pending", 0, at + DAY, None),
        ]  # fmt: skip
        assert await _told(connection) == Counter(map(str, case_ids))
    assert await fire_due(engine, limit=10, effect=telling) == 0


async def test_what_is_left_of_a_round_comes_in_the_next_oldest_first(engine: AsyncEngine) -> None:
    telling = Telling()
    async with transaction(engine) as connection:
        case_ids = await add_due_cases(connection, NOW, 7)
    assert [await fire_due(engine, limit=3, effect=telling) for _ in range(4)] == [3, 3, 1, 0]
    assert [each.case_id for each in telling.seen] == case_ids


async def test_each_site_has_its_share_of_a_round(engine: AsyncEngine) -> None:
    telling = Telling()
    async with transaction(engine) as connection:
        older = set(await add_due_cases(connection, NOW, 50))
        newer = set(await add_due_cases(connection, NOW + DAY, 50, OTHER_SITE))
    assert await fire_due(engine, limit=10, effect=telling) == 10
    seen = {each.case_id for each in telling.seen}
    assert (len(seen & older), len(seen & newer)) == (5, 5)


@pytest.mark.parametrize("here", [LONG_AGO, FAR_AHEAD])
async def test_the_clock_of_the_process_does_not_matter(
    clock: DatabaseClock, engine: AsyncEngine, here: datetime
) -> None:
    """The process knows the present year; the database is decades away from it, before or after."""
    await clock.freeze(here)
    telling = Telling()
    async with transaction(engine) as connection:
        over, not_yet = await add_cases(connection, 2)
        await add_timer(connection, over, here - INSTANT)
        await add_timer(connection, not_yet, here + INSTANT)
    telling.broken.add(over)
    assert await fire_due(engine, limit=10, effect=telling) == 0
    async with transaction(engine) as connection:
        assert await timers_of(connection, over) == [("pending", 1, here + BACKOFF[0], None)]
    telling.broken.clear()
    await clock.advance(BACKOFF[0] + INSTANT)
    assert await fire_due(engine, limit=10, effect=telling) == 2


async def test_a_fault_is_undone_put_off_and_holds_up_no_other(clock: DatabaseClock, engine: AsyncEngine) -> None:
    at, telling = await clock.freeze(), Telling()
    async with transaction(engine) as connection:
        broken, *well = await add_due_cases(connection, at, 4)
    telling.broken.add(broken)
    with capture_logs() as logged:
        assert await fire_due(engine, limit=10, effect=telling) == 3
    async with transaction(engine) as connection:
        assert await _told(connection) == Counter(map(str, well))
        assert await timers_of(connection, broken) == [("pending", 1, at + BACKOFF[0], None)]
    assert await fire_due(engine, limit=10, effect=telling) == 0
    [line] = [each for each in logged if each["log_level"] == "error"]
    assert (line["event"], line["case_id"], line["attempts"]) == ("timer_failed", str(broken), 1)


async def test_a_fault_is_tried_ever_more_seldom_and_never_forgotten(clock: DatabaseClock, engine: AsyncEngine) -> None:
    at, telling, waits = await clock.freeze(NOW), Telling(), []
    async with transaction(engine) as connection:
        [broken] = await add_due_cases(connection, at, 1)
    telling.broken.add(broken)
    for _ in range(len(BACKOFF) + 2):
        await fire_due(engine, limit=10, effect=telling)
        async with transaction(engine) as connection:
            [(_, _, next_attempt_at, _)] = await timers_of(connection, broken)
        waits.append(next_attempt_at - at)
        at = await clock.freeze(next_attempt_at + INSTANT)
    assert waits == [*BACKOFF, BACKOFF[-1], BACKOFF[-1]]
    telling.broken.clear()
    assert await fire_due(engine, limit=10, effect=telling) == 1


async def test_a_busy_case_is_left_for_the_next_round(engine: AsyncEngine) -> None:
    telling = Telling()
    async with transaction(engine) as connection:
        busy, free = await add_due_cases(connection, NOW, 2)
    async with _held(engine, [busy]):
        assert await fire_due(engine, limit=10, effect=telling) == 1
    assert await fire_due(engine, limit=10, effect=telling) == 1
    assert [each.case_id for each in telling.seen] == [free, busy]
    async with transaction(engine) as connection:
        assert [(state, attempts) for state, attempts, *_ in await timers_of(connection, busy)] == [("fired", 0)]


async def test_many_busy_cases_do_not_hide_the_free_ones(engine: AsyncEngine) -> None:
    telling = Telling()
    async with transaction(engine) as connection:
        case_ids = await add_due_cases(connection, NOW, 33)
    async with _held(engine, case_ids[:32]):
        assert await fire_due(engine, limit=1, effect=telling) == 1
    assert [each.case_id for each in telling.seen] == case_ids[32:]


async def test_what_an_effect_has_to_wait_for_too_long_is_left_for_the_next_round(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        waits, free = await add_due_cases(connection, NOW, 2)

    async def effect(connection: AsyncConnection, site_id: UUID, timer: DueTimer, mint: Mint) -> None:
        if timer.case_id == waits:
            await connection.execute(text("SET LOCAL lock_timeout = '1ms'"))
            await connection.execute(text("UPDATE sites SET name = 'new' WHERE site_id = :id"), {"id": site_id})

    async with transaction(engine) as other:
        await other.execute(text("UPDATE sites SET name = 'held'"))
        assert await fire_due(engine, limit=10, effect=effect) == 1
    async with transaction(engine) as connection:
        assert [(state, attempts) for state, attempts, *_ in await timers_of(connection, waits)] == [("pending", 0)]
        assert [state for state, *_ in await timers_of(connection, free)] == ["fired"]


async def test_a_lost_database_is_told_to_the_caller_and_counts_as_no_attempt(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        [case_id] = await add_due_cases(connection, NOW, 1)

    async def ended(connection: AsyncConnection, site_id: UUID, timer: DueTimer, mint: Mint) -> None:
        await connection.execute(TOLD, {"site_id": site_id, "event_id": mint(), "timer": "{}"})
        await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(Unavailable):
        await fire_due(engine, limit=10, effect=ended)
    async with transaction(engine) as connection:
        assert [(state, attempts) for state, attempts, *_ in await timers_of(connection, case_id)] == [("pending", 0)]
        assert await connection.scalar(text("SELECT count(*) FROM events")) == 0
    assert await fire_due(engine, limit=10, effect=Telling()) == 1


async def test_what_an_earlier_timer_has_settled_is_not_fired(engine: AsyncEngine) -> None:
    seen = []
    async with transaction(engine) as connection:
        case_id = await add_case(connection)
        await add_timer(connection, case_id, NOW - DAY, name="merchant_turn")
        await add_timer(connection, case_id, NOW, name="review")

    async def effect(connection: AsyncConnection, site_id: UUID, timer: DueTimer, mint: Mint) -> None:
        seen.append(timer.name)
        await connection.execute(text("UPDATE case_timers SET state = 'void' WHERE state = 'pending'"))

    assert await fire_due(engine, limit=10, effect=effect) == 1
    assert seen == ["merchant_turn"]
    async with transaction(engine) as connection:
        assert [state for state, *_ in await timers_of(connection, case_id)] == ["fired", "void"]


async def test_a_round_that_is_cut_off_leaves_nothing(engine: AsyncEngine) -> None:
    reached = asyncio.Event()
    async with transaction(engine) as connection:
        [case_id] = await add_due_cases(connection, NOW, 1)

    async def effect(connection: AsyncConnection, site_id: UUID, timer: DueTimer, mint: Mint) -> None:
        await Telling()(connection, site_id, timer, mint)
        reached.set()
        await asyncio.Event().wait()

    cut_off = asyncio.create_task(fire_due(engine, limit=10, effect=effect))
    await reached.wait()
    cut_off.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut_off
    telling = Telling()
    assert await fire_due(engine, limit=10, effect=telling) == 1
    async with transaction(engine) as connection:
        assert await _told(connection) == Counter([str(case_id)])


async def test_after_three_days_two_workers_fire_each_once_oldest_first(
    clock: DatabaseClock, engine: AsyncEngine, database_url: str
) -> None:
    count = 10_000
    async with transaction(engine) as connection:
        case_ids = await add_due_cases(connection, await clock.now(), count)
    await clock.advance(3 * DAY)
    workers = [Telling(), Telling()]
    async with _engine(database_url) as second:
        fired = await asyncio.gather(_work(engine, workers[0]), _work(second, workers[1]))
    assert sum(fired) == count
    assert min(fired) > 0
    async with transaction(engine) as connection:
        assert await _told(connection) == Counter(map(str, case_ids))
        assert await connection.scalar(text("SELECT count(*) FROM case_timers WHERE state = 'fired'")) == count
    place = {case_id: place for place, case_id in enumerate(case_ids)}
    for worker in workers:
        order = [place[each.case_id] for each in worker.seen]
        late = [here for here, after in pairwise(order) if after < here]
        assert len(late) < count // 100, "a case that the other worker had is passed over, and looked at again"


async def test_deadlines_are_set_anew_when_their_year_is_published(engine: AsyncEngine) -> None:
    asked: list[UUID] = []
    async with transaction(engine) as connection:
        known, unknown, certain = await add_cases(connection, 3)
        await add_timer(connection, known, _in_year(2031), provisional=True)
        await add_timer(connection, unknown, _in_year(2032), provisional=True)
        await add_timer(connection, certain, _in_year(2031))

    async def again(connection: AsyncConnection, site_id: UUID, case_id: UUID, calendar: Calendar) -> None:
        assert site_id == SITE
        assert calendar.is_published(2031)
        asked.append(case_id)
        settled = text("UPDATE case_timers SET provisional = false WHERE case_id = :case_id")
        await connection.execute(settled, {"case_id": case_id})

    assert await recompute_provisional(engine, STATUTORY, again=again) == 0
    assert await recompute_provisional(engine, _known_until(2031), again=again) == 1
    assert await recompute_provisional(engine, _known_until(2031), again=again) == 0
    assert asked == [known]


async def test_a_deadline_that_stays_where_it_was_is_certain_from_then_on(
    clock: DatabaseClock, engine: AsyncEngine
) -> None:
    deadlines = text("SELECT name, kind, due_at, state, provisional FROM case_timers ORDER BY due_at, name, kind")
    await clock.freeze(FILED_AT)
    await filed(engine, filing())
    async with transaction(engine) as connection:
        certain = (await connection.execute(deadlines)).all()
        await connection.execute(text("UPDATE case_timers SET provisional = true WHERE name = 'money_back'"))
    assert [await recompute_provisional(engine, STATUTORY) for _ in range(2)] == [1, 0]
    async with transaction(engine) as connection:
        assert "money_back" in {each.name for each in certain}
        assert (await connection.execute(deadlines)).all() == certain


async def test_all_cases_of_all_sites_are_set_anew_in_batches(engine: AsyncEngine) -> None:
    asked: list[UUID] = []
    async with transaction(engine) as connection:
        for site_id, count in ((SITE, 250), (OTHER_SITE, 3)):
            for case_id in await add_cases(connection, count, site_id):
                await add_timer(connection, case_id, _in_year(2031), provisional=True, site_id=site_id)

    async def again(_connection: AsyncConnection, _site_id: UUID, case_id: UUID, _calendar: Calendar) -> None:
        asked.append(case_id)  # and stays provisional, which must not make it go round in circles

    assert await recompute_provisional(engine, _known_until(2031), again=again) == 253
    assert len(set(asked)) == len(asked) == 253


async def test_a_case_that_cannot_be_judged_anew_holds_up_no_other(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        case_ids = sorted(await add_cases(connection, 3))
        for case_id in case_ids:
            await add_timer(connection, case_id, _in_year(2031), provisional=True)

    async def again(_connection: AsyncConnection, _site_id: UUID, case_id: UUID, _calendar: Calendar) -> None:
        if case_id == case_ids[0]:
            raise ZeroDivisionError

    assert await recompute_provisional(engine, _known_until(2031), again=again) == 2


async def test_a_case_is_set_anew_by_one_of_two_workers(engine: AsyncEngine) -> None:
    asked: list[UUID] = []
    async with transaction(engine) as connection:
        for case_id in await add_cases(connection, 20):
            await add_timer(connection, case_id, _in_year(2031), provisional=True)

    async def again(connection: AsyncConnection, _site_id: UUID, case_id: UUID, _calendar: Calendar) -> None:
        asked.append(case_id)
        settled = text("UPDATE case_timers SET provisional = false WHERE case_id = :case_id")
        await connection.execute(settled, {"case_id": case_id})

    both = [recompute_provisional(engine, _known_until(2031), again=again) for _ in range(2)]
    assert sum(await asyncio.gather(*both)) == 20
    assert len(set(asked)) == len(asked) == 20


async def test_setting_anew_does_not_wait_for_a_busy_case_for_ever(engine: AsyncEngine, database_url: str) -> None:
    async with transaction(engine) as connection:
        case_id = await add_case(connection)
        await add_timer(connection, case_id, _in_year(2031), provisional=True)

    async def never(_connection: AsyncConnection, _site_id: UUID, _case_id: UUID, _calendar: Calendar) -> None:
        raise AssertionError("the case is held by another")

    async with _engine(database_url) as impatient, _held(engine, [case_id]):
        event.listen(impatient.sync_engine, "begin", _give_up_at_once)
        with pytest.raises(Busy):
            await recompute_provisional(impatient, _known_until(2031), again=never)


def _give_up_at_once(connection: Connection) -> None:
    connection.exec_driver_sql("SET LOCAL lock_timeout = '1ms'")


async def test_a_worker_goes_on_at_once_while_there_is_more_and_waits_where_there_is_not() -> None:
    stop, answers = asyncio.Event(), iter([True, True, False])
    worked = []

    async def work() -> bool:
        more = next(answers)
        worked.append(more)
        if not more:
            asyncio.get_running_loop().call_soon(stop.set)
        return more

    async with asyncio.timeout(30):
        await repeat(work, stop, every=DAY)
    assert worked == [True, True, False]


@pytest.mark.parametrize("trouble", [Busy, Unavailable])
async def test_a_worker_bears_with_its_database_and_backs_off(trouble: type[Busy | Unavailable]) -> None:
    stop, calls = asyncio.Event(), 0

    async def work() -> bool:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise trouble
        stop.set()
        return False

    async with asyncio.timeout(30):
        await repeat(work, stop, every=DAY, after_trouble=timedelta(milliseconds=1))
    assert calls == 3


async def test_a_worker_fires_timers_and_ends_when_told(engine: AsyncEngine) -> None:
    stop = asyncio.Event()
    async with transaction(engine) as connection:
        case_ids = await add_due_cases(connection, NOW, 3)
        await connection.execute(text("UPDATE case_timers SET name = 'appeal'"))  # its end changes nothing else
    sealer = Sealer(bytes(32))
    worker = asyncio.create_task(Worker(engine, sealer, [], no_channels(sealer)).run(stop))
    async with asyncio.timeout(30):
        while await _anything_due(engine):  # noqa: ASYNC110 - what is waited for happens in the database
            await asyncio.sleep(0.01)
        stop.set()
        await worker
    async with transaction(engine) as connection:
        assert [(await timers_of(connection, each))[0][0] for each in case_ids] == ["fired"] * 3


def _in_year(year: int) -> datetime:
    return datetime(year, 6, 15, tzinfo=UTC)


def _known_until(year: int) -> Calendar:
    """The published years, and plain ones after them."""
    known = STATUTORY.known_until.year
    plain = [PublishedYear(each, ("a notice",), (), (date(each, 6, 1 + (6 - date(each, 6, 1).weekday()) % 7),))
             for each in range(known + 1, year + 1)]  # fmt: skip
    return Calendar((*STATUTORY.years, *plain))


async def _work(engine: AsyncEngine, telling: Telling) -> int:
    """Rounds as a worker makes them, until nothing is due. One in which the other had everything is not the last."""
    fired = 0
    while await _anything_due(engine):
        fired += await fire_due(engine, limit=50, effect=telling)
    return fired


async def _anything_due(engine: AsyncEngine) -> bool:
    async with transaction(engine) as connection:
        return bool(await sites_due(connection, 1))


async def _told(connection: AsyncConnection) -> Counter[str]:
    told = await connection.scalars(text("SELECT full_data FROM events"))
    return Counter(json.loads(each)[0] for each in told)


@asynccontextmanager
async def _held(engine: AsyncEngine, case_ids: list[UUID]) -> AsyncIterator[None]:
    """Somebody is busy with these cases."""
    async with transaction(engine) as connection:
        for case_id in case_ids:
            assert await CaseStore(connection, SITE).lock(case_id)
        yield


@asynccontextmanager
async def _engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """The connections of another worker."""
    engine = create_engine(config_of(database_url))
    try:
        yield engine
    finally:
        await engine.dispose()
