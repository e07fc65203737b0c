"""Deadlines take effect here: each timer in one transaction with all that follows from it.

A timer is fired in the transaction that locks its case, so a worker that dies in it has done nothing at all, and the
next one does the whole of it. There is no lease and nothing to clean up. Times are the database's alone.

After days without a worker, much is due at once. What that does to others is bounded twice: a round fires a limited
number, each site its share, the oldest first; and an event waits in its endpoint's queue, from which no more than a few
are sent at a time, whatever the length of the queue (`app.worker.sending`).
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import Enum, auto
from typing import Final, TypeAlias
from uuid import UUID

from app.errors import Busy, Unavailable
from app.ids import Mint, new_uuid
from app.logs import logger
from app.rules.calendar import Calendar
from app.services.deadlines import recompute, take_effect
from app.store.cases import CaseStore
from app.store.engine import Connection, Engine, transaction
from app.store.sites import all_sites, database_now
from app.store.timers import DueTimer, TimerStore, sites_due

SITES_AT_ONCE: Final = 16
# How often a round looks for what lies behind the timers of busy cases, and how far each time.
LOOKS: Final = 4
LEAST_LOOKED_AT: Final = 16
CASES_AT_ONCE: Final = 100
BACKOFF: Final = (
    timedelta(seconds=1),
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
)

Effect: TypeAlias = Callable[[Connection, UUID, DueTimer, Mint], Awaitable[None]]
"""What a timer of a site does to its case: it is locked, and the timer marked as fired, in this transaction."""
Recompute: TypeAlias = Callable[[Connection, UUID, UUID, Calendar], Awaitable[None]]
"""Sets the deadlines of a site's case anew by a calendar; the case is locked."""

log = logger(__name__)


class Ending(Enum):
    """What became of one timer in one round."""

    FIRED = auto()
    BUSY = auto()
    SETTLED_BY_OTHERS = auto()
    FAILED = auto()


async def fire_due(engine: Engine, *, limit: int, mint: Mint = new_uuid, effect: Effect = take_effect) -> int:
    """Fires up to `limit` timers that are due; answers with how many. Raises Unavailable, and Busy while looking.

    A case that is busy is left for the next round. A timer that cannot be fired, by a fault of ours, is tried again
    later and holds up no other.
    """
    async with transaction(engine) as connection:
        sites = await sites_due(connection, SITES_AT_ONCE)
    fired = 0
    for place, site_id in enumerate(sites):
        share = -(-(limit - fired) // (len(sites) - place))
        if share > 0:
            fired += await _fire_of(engine, site_id, share, mint, effect)
    return fired


async def _fire_of(engine: Engine, site_id: UUID, limit: int, mint: Mint, effect: Effect) -> int:
    fired, asked = 0, max(limit, LEAST_LOOKED_AT)
    busy: set[UUID] = set()
    for _ in range(LOOKS):
        async with transaction(engine) as connection:
            due = await TimerStore(connection, site_id).due(asked, busy)
        for timer in due:
            if timer.case_id in busy:
                continue
            ending = await _fire(engine, site_id, timer, mint, effect)
            fired += ending is Ending.FIRED
            if ending is Ending.BUSY:
                busy.add(timer.case_id)
            if fired == limit:
                return fired
        if len(due) < asked:
            break
    return fired


async def _fire(engine: Engine, site_id: UUID, timer: DueTimer, mint: Mint, effect: Effect) -> Ending:
    try:
        return await _take_effect(engine, site_id, timer, mint, effect)
    except Unavailable:
        raise
    except Busy:  # the case was free, but not all that it touches
        return Ending.BUSY
    except Exception:
        log.exception("timer_failed", **_ids(site_id, timer), attempts=timer.attempts + 1)
        await _postpone(engine, site_id, timer)
        return Ending.FAILED


async def _take_effect(engine: Engine, site_id: UUID, timer: DueTimer, mint: Mint, effect: Effect) -> Ending:
    async with transaction(engine) as connection:
        if not await CaseStore(connection, site_id).lock(timer.case_id, wait=False):
            return Ending.BUSY
        # Marked first, so that the step which the effect takes does not take this deadline for one that was kept.
        if not await TimerStore(connection, site_id).fire(timer):
            return Ending.SETTLED_BY_OTHERS
        await effect(connection, site_id, timer, mint)
    return Ending.FIRED


async def _postpone(engine: Engine, site_id: UUID, timer: DueTimer) -> None:
    async with transaction(engine) as connection:
        again_at = await database_now(connection) + BACKOFF[min(timer.attempts, len(BACKOFF) - 1)]
        await TimerStore(connection, site_id).failed(timer, again_at)


async def recompute_provisional(engine: Engine, calendar: Calendar, *, again: Recompute = recompute) -> int:
    """Sets deadlines anew that were provisional and lie in what is published now; answers with how many cases.

    Raises Busy and Unavailable; what was done until then stays done.
    """
    async with transaction(engine) as connection:
        sites = await all_sites(connection)
    return sum([await _recompute_of(engine, site_id, calendar, again) for site_id in sites])


async def _recompute_of(engine: Engine, site_id: UUID, calendar: Calendar, again: Recompute) -> int:
    done = 0
    batch = await _provisional(engine, site_id, calendar)
    while batch:
        for case_id in batch:
            done += await _recompute(engine, site_id, case_id, calendar, again)
        batch = await _provisional(engine, site_id, calendar, after=batch[-1])
    return done


async def _provisional(engine: Engine, site_id: UUID, calendar: Calendar, after: UUID | None = None) -> list[UUID]:
    async with transaction(engine) as connection:
        store = TimerStore(connection, site_id)
        return await store.provisional_until(calendar.known_until, CASES_AT_ONCE, after)


async def _recompute(engine: Engine, site_id: UUID, case_id: UUID, calendar: Calendar, again: Recompute) -> bool:
    try:
        async with transaction(engine) as connection:
            await CaseStore(connection, site_id).lock(case_id)
            if not await TimerStore(connection, site_id).is_provisional(case_id, calendar.known_until):
                return False
            await again(connection, site_id, case_id, calendar)
    except (Busy, Unavailable):
        raise
    except Exception:  # a case that cannot be judged anew keeps its deadlines, and holds up no other
        log.exception("deadlines_not_recomputed", site_id=str(site_id), case_id=str(case_id))
        return False
    return True


def _ids(site_id: UUID, timer: DueTimer) -> dict[str, str]:
    return {
        "site_id": str(site_id),
        "case_id": str(timer.case_id),
        "timer": timer.name,
        "kind": timer.kind.value,
        "due_at": timer.due_at.isoformat(),
    }
