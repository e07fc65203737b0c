"""Work that comes back: deadlines that are due, deadlines that a calendar makes certain, and what need not be kept."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from app import clock, logs
from app.errors import Busy, FilesUnavailable, Unavailable
from app.files.cabinet import Cabinet
from app.rules.calendar import STATUTORY
from app.services import billing, dispatching, evidence_files, overdue, settling, timing
from app.services.channel_accounts import Channels
from app.store.engine import Engine

POLL: Final = timedelta(milliseconds=200)
AFTER_TROUBLE: Final = timedelta(seconds=1)
TIMERS_OF_A_ROUND: Final = 50
REFUNDS_OF_A_ROUND: Final = 50
QUESTIONS_AT_ONCE: Final = 8
OVERDUE_EVERY: Final = timedelta(seconds=10)
BILLS_EVERY: Final = timedelta(minutes=10)
PURGE_KEYS_EVERY: Final = timedelta(minutes=10)
PURGE_FILES_EVERY: Final = timedelta(hours=1)
RECOMPUTE_EVERY: Final = timedelta(days=1)

log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """`work` is done every so often, and at once again while it answers that there may be more."""

    work: Callable[[], Awaitable[bool]]
    every: timedelta


def chores_of(engine: Engine, channels: Channels, cabinet: Cabinet | None) -> Iterator[Chore]:
    """All of a worker's, the timers first. `cabinet` None: no files are kept."""
    yield from _about_refunds(engine, channels)
    yield from _about_cases(engine)
    if cabinet is not None:
        yield _purging_files(engine, cabinet)


def _about_refunds(engine: Engine, channels: Channels) -> Iterator[Chore]:
    async def ask_channels() -> bool:
        return await settling.step_due(engine, channels, limit=QUESTIONS_AT_ONCE, elapsed=_elapsed) > 0

    async def raise_overdue() -> bool:
        return await overdue.raise_due(engine, limit=REFUNDS_OF_A_ROUND) > 0

    async def read_bills() -> bool:
        await billing.read_bills(engine, channels)
        return False

    yield Chore(ask_channels, POLL)
    yield Chore(raise_overdue, OVERDUE_EVERY)
    yield Chore(read_bills, BILLS_EVERY)


def _about_cases(engine: Engine) -> Iterator[Chore]:

    async def fire_timers() -> bool:
        return await timing.fire_due(engine, limit=TIMERS_OF_A_ROUND) > 0

    async def recompute() -> bool:
        count = await timing.recompute_provisional(engine, STATUTORY)
        log.debug("provisional_deadlines_recomputed", count=count)
        return False

    async def purge_keys() -> bool:
        purged = await dispatching.purge_idempotency_keys(engine)
        log.debug("idempotency_keys_purged", count=purged)
        return False

    yield Chore(fire_timers, POLL)
    yield Chore(recompute, RECOMPUTE_EVERY)
    yield Chore(purge_keys, PURGE_KEYS_EVERY)


def _elapsed() -> timedelta:
    return timedelta(seconds=clock.monotonic())


def _purging_files(engine: Engine, cabinet: Cabinet) -> Chore:
    async def purge_files() -> bool:
        with contextlib.suppress(FilesUnavailable):
            await evidence_files.purge_orphans(engine, cabinet)
        return False

    return Chore(purge_files, PURGE_FILES_EVERY)


async def repeat(
    work: Callable[[], Awaitable[bool]],
    stop: asyncio.Event,
    *,
    every: timedelta,
    after_trouble: timedelta = AFTER_TROUBLE,
) -> None:
    """Until `stop`: at once again while `work` answers that there may be more, else after `every`."""
    while not stop.is_set():
        pause = every
        try:
            if await work():
                continue
        except (Busy, Unavailable) as trouble:
            log.warning("worker_waits_for_database", code=trouble.code)
            pause = after_trouble
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause.total_seconds())
