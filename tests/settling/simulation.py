"""Workers, channels, people and time under a seed: lost, doubled, late, reordered, forged, ended between any two steps.

python -m tests.settling.simulation                 20 seeds, the first of them printed
python -m tests.settling.simulation --seeds N       that many
python -m tests.settling.simulation --first S       from that seed on

Ends with 1 and the red seeds if money, states or events are ever at odds with what the channels really paid.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import ids
from app.errors import Busy, Conflict, Refusal, Unavailable
from app.models.base import Base
from app.outbound.channels.said import Notice
from app.rules.facts import Channel
from app.services import billing, channel_notices, overdue, settling
from app.services.channel_accounts import Keyring
from app.store.channels import AccountRow, ChannelStore
from app.store.engine import create_engine, transaction
from app.store.refund_sql import LEASE
from launcher.postgres import running
from tests.conftest import _database, _migrate
from tests.database_clock import DatabaseClock, database_clock
from tests.settling.checking import Books, books, faults_at_the_end, faults_now
from tests.settling.gateways import KINDS
from tests.settling.points import WORKER, Parked, Points, Worker
from tests.settling.scene import DAY, HOUR, MINUTE, NOON, SEALER, SECOND, Scene, Time
from tests.settling.weather import Weather
from tests.store.rows import SITE, config_of, open_site

WORKERS: Final = 3
STEPS: Final = 90
SEEDS: Final = 20
DAYS_TO_END: Final = 16
MOST_ROUNDS: Final = 400
LOOKS: Final = 8
PAUSES: Final = (SECOND, 15 * SECOND, MINUTE, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY)
WECHAT, ALIPAY, V1, V2 = (kind.channel for kind in KINDS)
AT_A_TIME: Final = (2, 20)
ENDS: Final = ("SUCCESS", "SUCCESS", "SUCCESS", "ABNORMAL", "CLOSED", "CLOSED")
_DUE: Final = text(
    "SELECT min(next_step_at) AS due FROM refunds WHERE state IN ('requested', 'accepted', 'processing')"
)

# Where a worker's life can end. One that is not in this list fails the test until it is.
_TRANSACTIONS: Final = (
    "settling.lease_due",
    "settling._lease_of",
    "settling._ask",
    "settling._report",
    "settling._schedule",
    "reconciling.take_in",
    "reconciling.take_in_bill",
    "reconciling._report",
    "billing.read_bills",
    "billing._accounts_of",
    "billing._read_of",
    "overdue.raise_due",
    "overdue._raise",
)
_CALLS: Final = (
    "wechat_pay.submit",
    "wechat_pay.query",
    "wechat_pay.refunds_of_day",
    "wechat_pay.refunds_of_day/_bill",
    "alipay.submit",
    "alipay.submit/_unless_paid/query",
    "alipay.query",
    "alipay.look_at_payment",
    "alipay.refunds_of_day",
    "alipay.refunds_of_day/_fetch_bill",
    "epay_v1.submit/_order",
    "epay_v1.submit/_call_refund",
    "epay_v1.query/_order",
    "epay_v1.look_at_payment/_order",
    "epay_v2.submit",
    "epay_v2.submit/query",
    "epay_v2.submit/query/_order",
    "epay_v2.query",
    "epay_v2.query/_order",
    "epay_v2.look_at_payment/_order",
)
_SELDOM: Final = (
    "alipay.submit/_unless_paid",
    "alipay.refunds_of_day/_fetch_bill",
    "alipay.look_at_payment",
    "epay_v1.submit/_call_refund",
    "epay_v1.look_at_payment",
    "epay_v2.look_at_payment",
    "reconciling._report",
    "billing.",
)
POINTS: Final = tuple(
    f"{name} {where}"
    for names, places in (
        (_TRANSACTIONS, ("begins", "before its commit", "after its commit")),
        (_CALLS, ("before it is sent", "after it was answered")),
    )
    for name in names
    for where in places
)


@dataclass
class Tally:
    """What was met in all seeds; `red`: what was at odds, by seed."""

    seen: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    red: dict[int, list[str]] = field(default_factory=dict)


class Simulation:
    """One seed."""

    def __init__(self, scene: Scene, weather: Weather, random: Random, met: Counter[str]) -> None:
        self.scene, self.weather, self.random, self.met = scene, weather, random, met
        self.points = weather.points
        self.workers = [Worker(f"w{n}") for n in range(WORKERS)]
        self.found: list[str] = []
        self.retries: Counter[UUID] = Counter()
        self._others = asyncio.all_tasks()

    async def run(self) -> list[str]:
        """What was at odds."""
        await self._begin()
        with self.points.planted(), patch.object(settling, "step", self._alone(settling.step)):
            await self._storm()
            await self._aftermath()
            await self._quiet()
        await self._look()
        now = await books(self.scene)
        self.met.update(f"ended {row['state']} at {row['channel']}" for row in now.refunds)
        return [*dict.fromkeys([*self.found, *faults_at_the_end(now, self.weather, self.scene.time.at)])]

    def _alone(self, step: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """While one of them asks for a refund, no other does, unless the first one takes too long."""
        at_it: dict[UUID, datetime] = {}

        async def watched(engine: AsyncEngine, channels: Any, leased: settling.Leased) -> None:
            refund_id = leased.due.refund.refund_id
            before = at_it.get(refund_id)
            if before is not None and before <= leased.claimed_at < before + LEASE:
                self.found.append(f"{leased.due.refund.refund_no}: two ask for it at once")
            at_it[refund_id] = leased.claimed_at
            try:
                await step(engine, channels, leased)
            finally:
                at_it.pop(refund_id, None)

        return watched

    async def _begin(self) -> None:
        """Whole refunds and parts, over one payment and over several."""
        for channel in (WECHAT, ALIPAY, V1, V2):
            await self.scene.granted((channel, self.random.randint(5_000, 20_000)))
        for channel in (WECHAT, ALIPAY, V2, V1):
            paid = self.random.randint(10_000, 20_000)
            parts = (int(paid * self.random.choice((0.2, 0.35, 0.7))), int(paid * self.random.uniform(0.1, 0.29)))
            await self.scene.granted((channel, paid), parts=parts)
        shares = [
            (channel, self.random.randint(1_000, 9_000)) for channel in self.random.sample((WECHAT, ALIPAY, V2), 2)
        ]
        await self.scene.granted(*shares)

    async def _storm(self) -> None:
        weather, points = self.weather, self.points
        weather.foul, weather.doubles = self.random.choice((0.1, 0.3)), 0.1
        points.holds, points.breaks = self.random.choice((0.15, 0.4)), 0.02
        await self._something_changes()
        for step in range(STEPS):
            await self._event()
            if step % LOOKS == 0:
                await self._look()

    async def _aftermath(self) -> None:
        """Whoever is held goes on; everything that comes back is done once more while workers still end."""
        self.points.holds, self.weather.foul = 0.0, 0.05
        while parked := list(self.points.parked.values()):
            await self._let_go(parked[0])
        chores = (self._ask_channels, self._read_bills, self._raise_overdue, self._ask_channels)
        for pause in (HOUR, DAY + 10 * HOUR, DAY):
            await self._somebody_refunds()
            await self.scene.time.pass_by(pause)
            for chore in (*chores, self._read_bills, self._read_bills):
                await self._start(self.workers[0], chore)
                await self._settle()
        await self._look()

    async def _quiet(self) -> None:
        """Nothing goes wrong any more, people see to what has stopped, and time goes on."""
        self.points.todo.clear()
        self.points.breaks = self.weather.foul = self.weather.doubles = 0.0
        self.weather.wechat.ends_next = "SUCCESS"
        self.weather.misquotes(False)
        self.weather.set_balance(10**9)
        until = self.scene.time.at + DAYS_TO_END * DAY
        for _ in range(MOST_ROUNDS):
            await self._round()
            if self.scene.time.at >= until:
                return
            due = await self._next_due()
            if due is None and not await self._repaired():
                due = timedelta(days=2)
            await self.scene.time.pass_by(min(due or SECOND, 12 * HOUR))
        self.found.append("channels are asked without end")

    async def _round(self) -> None:
        while await self._ask_channels():
            pass
        await self._raise_overdue()
        await self._read_bills()

    async def _next_due(self) -> timedelta | None:
        """Until somebody asks a channel again; None: nobody will before long."""
        query = text(
            "SELECT min(next_step_at) AS due FROM refunds WHERE state IN ('requested', 'accepted', 'processing')"
        )
        [row] = await self.scene.all(query)
        return None if row["due"] is None else max(SECOND, row["due"] - self.scene.time.at)

    async def _repaired(self) -> bool:
        """People do what they can, twice for each refund."""
        done = False
        for row in (await books(self.scene)).refunds:
            if row["state"] == "abnormal" and row["channel"] == "wechat_pay":
                if row["refund_no"] in self.weather.wechat.refunds:
                    self.weather.wechat.end(row["refund_no"], "SUCCESS")
                done |= await self._retried(row["refund_id"])
            elif row["state"] in ("failed", "closed"):
                done |= await self._retried(row["refund_id"])
        return done

    async def _retried(self, refund_id: UUID) -> bool:
        self.retries[refund_id] += 1
        if self.retries[refund_id] > 2:
            return False
        with contextlib.suppress(Conflict):
            await self.scene.retry(refund_id)
            return True
        return False

    async def _event(self) -> None:
        parked, idle = list(self.points.parked.values()), [each for each in self.workers if each.task is None]
        choices: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (6 if idle else 0, lambda: self._begin_chore(self.random.choice(idle))),
            (10 if parked else 0, lambda: self._let_go(self.random.choice(parked))),
            (1 if parked else 0, lambda: self._kill(self.random.choice(parked).worker)),
            (4, self._time_passes),
            (2, self._notices_come),
            (1, self._somebody_forges),
            (1, self._somebody_refunds),
            (1, self._a_person_retries),
            (1, self._something_changes),
        ]
        [(_, happen)] = self.random.choices(choices, [weight for weight, _ in choices])
        await happen()

    async def _begin_chore(self, worker: Worker) -> None:
        chores = (self._ask_channels, self._raise_overdue, self._read_bills)
        [chore] = self.random.choices(chores, (8, 1, 1))
        await self._start(worker, chore)
        await self._settle()

    async def _ask_channels(self) -> int:
        scene = self.scene
        limit = self.random.choice(AT_A_TIME)
        return await settling.step_due(scene.engine, scene.channels, limit=limit, elapsed=scene.time.elapsed)

    async def _raise_overdue(self) -> int:
        return await overdue.raise_due(self.scene.engine, limit=50)

    async def _read_bills(self) -> int:
        return await billing.read_bills(self.scene.engine, self.scene.channels)

    async def _start(self, worker: Worker, chore: Callable[[], Awaitable[Any]]) -> None:
        async def life() -> None:
            WORKER.set(worker)
            with contextlib.suppress(Busy, Unavailable):
                await chore()

        worker.task = asyncio.create_task(life())

    async def _let_go(self, parked: Parked) -> None:
        self.points.let_go(parked)
        await self._settle()

    async def _kill(self, worker: Worker) -> None:
        """All that it was at ends, wherever it was."""
        self.met["killed"] += 1
        worker.dying = True
        await self._settle()

    async def _settle(self) -> None:
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
        for parked in self.points.parked.values():
            if parked.worker is worker:
                self.points.crashed[parked.point] += 1
        for task in (*held, *([] if worker.task is None else [worker.task])):
            task.cancel()
        await asyncio.gather(*held, *([] if worker.task is None else [worker.task]), return_exceptions=True)
        worker.task, worker.dying = None, False

    def _is_still(self) -> bool:
        """Nobody runs: all are held, but for those that wait for others who are."""
        waiting = {each.task: each for each in self.workers if each.task is not None}
        held = {parked.worker for parked in self.points.parked.values()}
        for task in asyncio.all_tasks() - self._others:
            if task in self.points.parked or task.done():
                continue
            if waiting.get(task) not in held:
                return False
        return True

    async def _time_passes(self) -> None:
        await self.scene.time.pass_by(self.random.choices(PAUSES, (4, 4, 4, 4, 3, 3, 2, 1))[0])

    async def _notices_come(self) -> None:
        for channel, notice in self.weather.notices(self._payments()):
            await self._said(channel, notice)
            self.met["notice"] += 1

    async def _somebody_forges(self) -> None:
        before = await books(self.scene)
        for channel, notice in self.weather.forged(self._payments()):
            await self._said(channel, notice)
            self.met["forged notice"] += 1
        if await books(self.scene) != before:
            self.found.append("a forged notice changed something")

    async def _said(self, channel: Channel, notice: Notice) -> None:
        account = self.scene.accounts[channel].account_id
        with contextlib.suppress(Busy):
            async with transaction(self.scene.engine) as connection:
                await channel_notices.take_in(connection, self.scene.keyring, self.scene.site_id, account, notice)

    async def _somebody_refunds(self) -> None:
        channel, payment_no = self.random.choice(self._payments())
        left = self.weather.left(channel, payment_no)
        if left > 100:
            # Odd fen, so that it is never the very amount of a refund of ours.
            self.weather.refund_by_hand(channel, payment_no, self.random.randint(1, left // 2 - 1) * 2 - 1)
            self.met[f"by hand at {channel.value}"] += 1

    async def _a_person_retries(self) -> None:
        stopped = [row for row in (await books(self.scene)).refunds if row["state"] in ("failed", "closed", "abnormal")]
        if stopped:
            with contextlib.suppress(Refusal):
                await self.scene.retry(self.random.choice(stopped)["refund_id"])
                self.met["retry"] += 1

    async def _something_changes(self) -> None:
        self.weather.wechat.ends_next = self.random.choice(
            ("SUCCESS", "SUCCESS", "SUCCESS", "ABNORMAL", "CLOSED", "CLOSED")
        )
        self.weather.wechat.settles_after = self.random.choice((SECOND, 3 * MINUTE, 5 * HOUR, 2 * DAY))
        self.weather.set_balance(self.random.choice((0, 10**9, 10**9)))
        lag = self.random.choice((timedelta(0), 20 * SECOND, HOUR))
        self.weather.v1.shows_after = self.weather.v2.shows_after = lag
        self.weather.misquotes(self.random.random() < 0.3)

    def _payments(self) -> list[tuple[Channel, str]]:
        return self.scene.paid

    async def _look(self) -> None:
        """What we have written down, held against what was paid."""
        now: Books = await books(self.scene)
        self.found += faults_now(now, self.weather)


@dataclass
class Ground:
    """A database that one seed after another begins on, empty; `rows`: accounts as they are registered."""

    engine: AsyncEngine
    hands: DatabaseClock
    rows: list[AccountRow] = field(default_factory=list)
    keyring: Keyring = field(default_factory=lambda: Keyring(SEALER))

    async def begin(self, weather: Callable[[Time], Weather]) -> Scene:
        """A site at noon, with all accounts."""
        await self.hands.freeze(NOON)
        time = Time(self.hands, NOON)
        async with transaction(self.engine) as connection:
            tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
            await connection.execute(text(f"TRUNCATE {tables}"))
            await open_site(connection, SITE)
        made = Scene(self.engine, time, weather(time), keyring=self.keyring)
        if not self.rows:
            await made.register()
            self.rows = list(made.accounts.values())
            return made
        for row in self.rows:
            made.accounts[row.channel] = replace(row, account_id=ids.new_uuid())
            async with transaction(self.engine) as connection:
                await ChannelStore(connection, SITE).add(made.accounts[row.channel])
        return made


async def simulate(ground: Ground, seeds: Sequence[int], *, say: Callable[[str], object] = lambda _: None) -> Tally:
    """All seeds; each ends workers at some points of the list, so that together they do at all."""
    tally = Tally()
    for seed in seeds:
        points = Points(Random(f"{seed} points"), todo=set(_share(seed)))

        def weather(time: Time, seed: int = seed, points: Points = points) -> Weather:
            return Weather(time.now, random=Random(f"{seed} weather"), points=points, passes=time.pass_by)

        scene = await ground.begin(weather)
        assert isinstance(scene.gateways, Weather)
        found = await Simulation(scene, scene.gateways, Random(f"{seed} events"), tally.met).run()
        tally.seen += points.seen
        tally.crashed += points.crashed
        if found:
            tally.red[seed] = found
        say(f"seed {seed}: {'; '.join(found) or 'green'}\n")
    return tally


def _share(seed: int) -> Iterator[str]:
    """Its points of the list: every seventh, every other one of those that are seldom reached; others the next time."""
    for place, point in enumerate(POINTS):
        if (place + seed) % (2 if point.startswith(_SELDOM) else 7) == 0:
            yield point


async def _run(seeds: Sequence[int]) -> Tally:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "postgres", throwaway=True) as server:
        async with _database(server, "kmr_settling") as name:
            _migrate(server.url(name))
            engine = create_engine(config_of(server.url(name)))
            async with database_clock(server.url(name)) as hands:
                tally = await simulate(Ground(engine, hands), seeds, say=sys.stdout.write)
            await engine.dispose()
            return tally


def main() -> int:
    """0: green."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--seeds", type=int, default=SEEDS)
    asked.add_argument("--first", type=int, default=0)
    told = asked.parse_args()
    tally = asyncio.run(_run(range(told.first, told.first + told.seeds)))
    for word, count in sorted(tally.met.items()):
        sys.stdout.write(f"{count:>6}  {word}\n")
    for point in POINTS:
        sys.stdout.write(f"{tally.crashed[point]:>6} of {tally.seen[point]:>6}  {point}\n")
    sys.stdout.write(f"not in the list: {sorted(tally.seen.keys() - set(POINTS))}\nred: {sorted(tally.red)}\n")
    return int(bool(tally.red))


if __name__ == "__main__":
    sys.exit(main())
