"""The workers of a site, side by side: what each is at, who is held or ends, and that no two ask for one refund."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

from app.errors import Busy, Unavailable
from app.services import billing, overdue, settling
from app.store.engine import Engine
from app.store.refund_sql import LEASE
from tests.settling.points import WORKER, Parked, Points, Worker
from tests.settling.scene import Scene

WORKERS: Final = 3
AT_A_TIME: Final = (2, 20)
Chore = Callable[[], Awaitable[Any]]


@dataclass
class Crew:
    """`found`: what was at odds among them."""

    scene: Scene
    points: Points
    random: Random
    found: list[str] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=lambda: [Worker(f"w{n}") for n in range(WORKERS)])
    others: set[asyncio.Task[Any]] = field(default_factory=asyncio.all_tasks)

    @property
    def parked(self) -> list[Parked]:
        """Whoever is held somewhere."""
        return list(self.points.parked.values())

    @property
    def idle(self) -> list[Worker]:
        """Whoever has nothing to do."""
        return [each for each in self.workers if each.task is None]

    async def ask_channels(self) -> int:
        """A round of the worker: how many refunds it took on."""
        limit = self.random.choice(AT_A_TIME)
        scene = self.scene
        return await settling.step_due(scene.engine, scene.channels, limit=limit, elapsed=scene.time.elapsed)

    async def raise_overdue(self) -> int:
        """The same of what is late."""
        return await overdue.raise_due(self.scene.engine, limit=50)

    async def read_bills(self) -> int:
        """The same of bills."""
        return await billing.read_bills(self.scene.engine, self.scene.channels)

    async def start(self, worker: Worker, chore: Chore) -> None:
        """A worker begins, and goes on until it is held or done."""

        async def life() -> None:
            WORKER.set(worker)
            with contextlib.suppress(Busy, Unavailable):
                await chore()

        worker.task = asyncio.create_task(life())
        await self.settle()

    async def let_go(self, parked: Parked) -> None:
        """Whoever was held goes on until the next time."""
        self.points.let_go(parked)
        await self.settle()

    async def kill(self, worker: Worker) -> None:
        """All that it was at ends, wherever it was."""
        worker.dying = True
        await self.settle()

    async def settle(self) -> None:
        """Until everybody is held, or has nothing to do; whoever is dying is gone."""
        while True:
            while not self._is_still():  # noqa: ASYNC110 - what is awaited is that nothing happens
                await asyncio.sleep(0.0005)
            dying = [each for each in self.workers if each.dying]
            if not dying:
                break
            for worker in dying:
                await self._bury(worker)
        for worker in self.workers:
            if worker.task is not None and worker.task.done():
                worker.task.result()
                worker.task = None

    async def _bury(self, worker: Worker) -> None:
        held = [task for task, parked in self.points.parked.items() if parked.worker is worker]
        for parked in self.parked:
            if parked.worker is worker:
                self.points.crashed[parked.point] += 1
        tasks = [*held, *([] if worker.task is None else [worker.task])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        worker.task, worker.dying = None, False

    def _is_still(self) -> bool:
        """Nobody runs: all are held, but for those that wait for others who are."""
        waiting = {each.task: each for each in self.workers if each.task is not None}
        held = {parked.worker for parked in self.points.parked.values()}
        for task in asyncio.all_tasks() - self.others:
            if task in self.points.parked or task.done():
                continue
            if waiting.get(task) not in held:
                return False
        return True

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While one of them asks for a refund, no other does, unless the first one takes too long."""
        at_it: dict[UUID, datetime] = {}
        step = settling.step

        async def watching(engine: Engine, channels: Any, leased: settling.Leased) -> None:
            refund_id = leased.due.refund.refund_id
            before = at_it.get(refund_id)
            if before is not None and before <= leased.claimed_at < before + LEASE:
                self.found.append(f"{leased.due.refund.refund_no}: two ask for it at once")
            at_it[refund_id] = leased.claimed_at
            try:
                await step(engine, channels, leased)
            finally:
                at_it.pop(refund_id, None)

        with patch.object(settling, "step", watching):
            yield
