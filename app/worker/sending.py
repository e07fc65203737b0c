"""Keeps attempts going while there is something to send, and records them as they end."""

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from app import clock, logs
from app.errors import Busy, Unavailable
from app.sealing import Sealer
from app.services import dispatching
from app.services.dispatching import Leased, Outlet, Settled
from app.store.engine import Engine

PLACES_OF_ONE_ENDPOINT: Final = 8
POLL: Final = timedelta(milliseconds=200)
AFTER_TROUBLE: Final = timedelta(seconds=1)
# SIGTERM leaves 10 s: attempts under way may end, and their results are written.
LAST_ATTEMPTS: Final = timedelta(seconds=6)
LAST_RESULTS: Final = timedelta(seconds=2)

log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Outlets:
    """One place to send from: a client for the public Internet, and one that test mode may use for this machine."""

    live: Outlet
    test: Outlet

    def of(self, mode: str) -> Outlet:
        """The client for a site's mode."""
        return self.test if mode == "test" else self.live


@dataclass(slots=True)
class Sending:
    """Keeps `PLACES` attempts going while there is something due, and records them as they end."""

    engine: Engine
    sealer: Sealer
    outlets: list[Outlets]
    running: set[asyncio.Task[None]] = field(default_factory=set)
    ended: list[Settled] = field(default_factory=list)
    at_endpoint: Counter[UUID] = field(default_factory=Counter)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then lets the attempts under way end, for a while."""
        async with asyncio.TaskGroup() as group:
            waker = group.create_task(self._wake_at(stop))
            while not stop.is_set():
                await self._turn()
            await self._finish()
            waker.cancel()

    async def _turn(self) -> None:
        """Records what has ended, leases what is due, and waits for either."""
        self.news.clear()
        started = 0
        try:
            await self._record()
            started = await self._start_what_is_due()
        except (Busy, Unavailable) as trouble:
            log.warning("worker_waits_for_database", code=trouble.code)
            await asyncio.sleep(AFTER_TROUBLE.total_seconds())
        if not started:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), POLL.total_seconds())

    async def _start_what_is_due(self) -> int:
        if not self.outlets:
            return 0
        busy = [each for each, count in self.at_endpoint.items() if 2 * count >= PLACES_OF_ONE_ENDPOINT]
        leased = await dispatching.lease_due(
            self.engine, limit=len(self.outlets), per_endpoint=PLACES_OF_ONE_ENDPOINT, busy=busy
        )
        leased_at = clock.monotonic()
        for each in leased:
            self.at_endpoint[each.due.endpoint_id] += 1
            task = asyncio.create_task(self._attempt(each, self.outlets.pop(), leased_at))
            self.running.add(task)
            task.add_done_callback(self._ended)
        return len(leased)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A fault of ours: the lease runs out, the attempt counts, and the event is tried again.
            log.error("webhook_attempt_broke", exc_info=task.exception())

    async def _attempt(self, leased: Leased, outlets: Outlets, leased_at: float) -> None:
        def elapsed() -> timedelta:
            return timedelta(seconds=clock.monotonic() - leased_at)

        try:
            settled = await dispatching.attempt(
                leased, outlets.of(leased.due.mode), self.sealer, elapsed=elapsed,
                jitter=random.random(),  # noqa: S311 - spreads retries, hides nothing
            )  # fmt: skip
            self.ended.append(settled)
        finally:
            self.outlets.append(outlets)
            self.at_endpoint[leased.due.endpoint_id] -= 1
            self.news.set()

    async def _record(self) -> None:
        """What ended while the last results were being written is written together."""
        for site_id in sorted({each.site_id for each in self.ended}):
            batch = [each for each in self.ended if each.site_id == site_id]
            await dispatching.record(self.engine, site_id, batch)
            self.ended = [each for each in self.ended if each not in batch]

    async def _finish(self) -> None:
        """An attempt cut off here is sent again when its lease has run out."""
        if self.running:
            await asyncio.wait(self.running, timeout=LAST_ATTEMPTS.total_seconds())
        for task in self.running:
            task.cancel()
        with contextlib.suppress(Busy, Unavailable, TimeoutError):
            await asyncio.wait_for(self._record(), LAST_RESULTS.total_seconds())

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.news.set()
