"""Every place where a worker of ours can stop for ever: around each call of a channel and around each transaction.

A worker that comes to such a point may be held there while others go on, or end there; what it had under way ends with
it, as a process's does.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, Final
from unittest.mock import patch

from app.errors import Busy, Unavailable
from app.outbound.channels.exchange import Reply, Request
from app.store import engine as store_engine
from app.store.engine import Connection, Engine

BEGIN, BEFORE, AFTER = "begins", "before its commit", "after its commit"
ASKED, ANSWERED = "before it is sent", "after it was answered"
OF_THE_WIRE: Final = frozenset({"send", "_ask", "_answer", "_believed"})
_REAL = store_engine.transaction


class Crash(BaseException):
    """This process is no more."""


@dataclass(eq=False)
class Worker:
    """One process: `task` is what it does, None while it has nothing to do."""

    name: str
    task: asyncio.Task[Any] | None = None
    dying: bool = False


@dataclass(eq=False)
class Parked:
    """Held at a point until `go` is set."""

    worker: Worker
    point: str
    go: asyncio.Future[None]


WORKER: ContextVar[Worker | None] = ContextVar("worker", default=None)


@dataclass
class Points:
    """`todo`: where the next one to come by ends. `holds` and `breaks`: how likely one is held, or meets trouble.

    `in_turn`: whether workers do one thing at a time, first come first served, so that a seed always tells one story.
    """

    random: Random
    todo: set[str] = field(default_factory=set)
    holds: float = 0.0
    breaks: float = 0.0
    in_turn: bool = True
    seen: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)
    parked: dict[asyncio.Task[Any], Parked] = field(default_factory=dict)
    _known: set[asyncio.Task[Any]] = field(default_factory=set)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def reach(self, point: str) -> None:
        """Somebody comes to a point where nothing of its own is open."""
        worker, task = WORKER.get(), asyncio.current_task()
        if worker is None or task is None:
            return
        self.seen[point] += 1
        # Side by side they would draw from the dice in no order; so each waits at its first point to be let on alone.
        is_new = task not in self._known
        self._known.add(task)
        if self.holds and (is_new or self.random.random() < self.holds):
            await self._park(Parked(worker, point, asyncio.get_running_loop().create_future()), task)
        self.perhaps_crash(point)

    async def _park(self, parked: Parked, task: asyncio.Task[Any]) -> None:
        self.parked[task] = parked
        try:
            await parked.go
        finally:
            self.parked.pop(task, None)

    def let_go(self, parked: Parked) -> None:
        """It goes on, from now on."""
        self.parked = {task: each for task, each in self.parked.items() if each is not parked}
        if not parked.go.done():
            parked.go.set_result(None)

    def perhaps_crash(self, point: str) -> None:
        """Raises Crash if this is where it ends."""
        worker = WORKER.get()
        if worker is None:
            return
        if point in self.todo or self.random.random() < self.breaks / 4:
            self.todo.discard(point)
            self.crashed[point] += 1
            worker.dying = True
            raise Crash(point)

    def perhaps_break(self, trouble: type[Exception]) -> None:
        """Raises what the store raises when the database does not answer."""
        if WORKER.get() is not None and self.random.random() < self.breaks:
            raise trouble

    @asynccontextmanager
    async def transaction(self, engine: Engine, name: str) -> AsyncIterator[Connection]:
        """In place of the store's."""
        await self.reach(f"{name} {BEGIN}")
        async with self._my_turn(), _REAL(engine) as connection:
            yield connection
            if WORKER.get() is not None:
                self.seen[f"{name} {BEFORE}"] += 1
            self.perhaps_crash(f"{name} {BEFORE}")
            self.perhaps_break(Busy)
        self.perhaps_break(Unavailable)
        await self.reach(f"{name} {AFTER}")

    async def exchange(self, send: Callable[[Request], Awaitable[Reply]], request: Request) -> Reply:
        """One call of a channel."""
        name = _call(sys._getframe(1))
        await self.reach(f"{name} {ASKED}")
        async with self._my_turn():
            reply = await send(request)
        await self.reach(f"{name} {ANSWERED}")
        return reply

    def _my_turn(self) -> AbstractAsyncContextManager[Any]:
        """Nobody is held while it has its turn, so that nobody waits for ever."""
        return self._turn if self.in_turn and WORKER.get() is not None else nullcontext()

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Every transaction of a service is one with points, wherever it is begun."""

        def transaction(engine: Engine) -> Any:
            caller = sys._getframe(1)
            module = caller.f_globals["__name__"].rpartition(".")[2]
            return self.transaction(engine, f"{module}.{caller.f_code.co_name}")

        services = [module for name, module in sys.modules.items() if name.startswith("app.services.")]
        changed = [module for module in services if vars(module).get("transaction") is _REAL]
        patches = [patch.object(module, "transaction", transaction) for module in changed]
        for each in patches:
            each.start()
        try:
            yield
        finally:
            for each in patches:
                each.stop()


def _call(frame: FrameType | None) -> str:
    """What an adapter is at: its name, what was asked of it, and the call that this takes."""
    steps: list[str] = []
    adapter = ""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if "/app/outbound/channels/" in path.as_posix():
            adapter = adapter or (path.parent.name if path.name == "adapter.py" else path.stem)
            if frame.f_code.co_name not in OF_THE_WIRE and frame.f_code.co_name not in steps[-1:]:
                steps.append(frame.f_code.co_name)
        frame = frame.f_back
    return f"{adapter}.{'/'.join(reversed(steps))}"
