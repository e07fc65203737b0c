"""The storm: workers begin, are held, sleep and end; channels, people and time do as they like."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from app.errors import Busy
from app.outbound.channels.said import Notice
from app.rules.facts import Channel
from app.services import channel_notices
from app.store.engine import transaction
from app.store.refund_sql import LEASE
from tests.settling.books import books
from tests.settling.points import Parked
from tests.settling.scene import DAY, HOUR, MINUTE, SECOND
from tests.settling.world import World

STEPS: Final = 90
LOOKS: Final = 8
PAUSES: Final = (SECOND, 15 * SECOND, MINUTE, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY)
ENDS: Final = ("SUCCESS", "SUCCESS", "SUCCESS", "ABNORMAL", "CLOSED", "CLOSED")
ROUNDS: Final = 3  # in which another takes over all that was due
ABOUT_TO_ASK: Final = "settling._ask begins"
Happening = Callable[[], Awaitable[object]]


@dataclass
class Storm:
    """One thing happens after another; every few of them all is held against what was paid."""

    world: World

    async def blow(self) -> None:
        """Till it is over."""
        weather, points = self.world.weather, self.world.points
        weather.foul, weather.doubles = self.world.random.choice((0.1, 0.3)), 0.1
        points.holds, points.breaks = self.world.random.choice((0.15, 0.4)), 0.02
        self.world.cashier.foul = 0.3
        await self._something_changes()
        for step in range(STEPS):
            await self._something_happens()
            if step % LOOKS == 0:
                await self.world.look()

    async def _something_happens(self) -> None:
        parked, idle = self.world.crew.parked, self.world.crew.idle
        choices: list[tuple[int, Happening]] = [
            (6 if idle else 0, self._somebody_begins),
            (10 if parked else 0, lambda: self.world.crew.let_go(self.world.random.choice(parked))),
            (1 if parked else 0, self._somebody_ends),
            (4 if idle and self._about_to_ask() else 1 if idle and parked else 0, self._somebody_sleeps),
            (4, self._time_passes),
            (2, self._notices_come),
            (1, self._somebody_forges),
            (1, self._somebody_refunds),
            (3, self.world.people.do_something),
            (2, self.world.cashier.works),
            (1, self._something_changes),
        ]
        [(_, happen)] = self.world.random.choices(choices, [weight for weight, _ in choices])
        await happen()

    async def _somebody_begins(self) -> None:
        chores = (self.world.crew.ask_channels, self.world.crew.raise_overdue, self.world.crew.read_bills)
        [chore] = self.world.random.choices(chores, (8, 1, 1))
        await self.world.crew.start(self.world.random.choice(self.world.crew.idle), chore)

    async def _somebody_ends(self) -> None:
        self.world.met["killed"] += 1
        await self.world.crew.kill(self.world.random.choice(self.world.crew.parked).worker)

    async def _somebody_sleeps(self) -> None:
        """Beyond its lease, while another takes over all that it was at; then it wakes up and goes on.

        Mostly it was about to ask for a refund. Meanwhile that is refused to the other, given up, and replaced.
        """
        world, parked = self.world, self.world.crew.parked
        about_to_ask = self._about_to_ask()
        sleeper, other = world.random.choice(about_to_ask or parked), world.random.choice(world.crew.idle)
        if about_to_ask:
            world.weather.set_balance(0)
        await world.scene.time.pass_by(LEASE + SECOND)
        for _ in range(ROUNDS):
            await world.crew.start(other, world.crew.ask_channels)
            while awake := [each for each in world.crew.parked if each.worker is other]:
                await world.crew.let_go(awake[0])
        await world.people.give_up_what_failed()
        world.weather.set_balance(10**9)
        if sleeper in world.crew.parked:
            world.met["slept beyond its lease"] += 1
            await world.crew.let_go(sleeper)

    def _about_to_ask(self) -> list[Parked]:
        return [each for each in self.world.crew.parked if each.point == ABOUT_TO_ASK]

    async def _time_passes(self) -> None:
        await self.world.scene.time.pass_by(self.world.random.choices(PAUSES, (4, 4, 4, 4, 3, 3, 2, 1))[0])

    async def _notices_come(self) -> None:
        for channel, notice in self.world.weather.notices(self.world.scene.paid):
            await self._said(channel, notice)
            self.world.met["notice"] += 1

    async def _somebody_forges(self) -> None:
        before = await books(self.world.scene)
        for channel, notice in self.world.weather.forged(self.world.scene.paid):
            await self._said(channel, notice)
            self.world.met["forged notice"] += 1
        if await books(self.world.scene) != before:
            self.world.found.append("a forged notice changed something")

    async def _said(self, channel: Channel, notice: Notice) -> None:
        account = self.world.scene.accounts[channel].account_id
        with contextlib.suppress(Busy):
            async with transaction(self.world.scene.engine) as connection:
                await channel_notices.take_in(
                    connection, self.world.scene.keyring, self.world.scene.site_id, account, notice
                )

    async def _something_changes(self) -> None:
        weather = self.world.weather
        weather.wechat.ends_next = self.world.random.choice(ENDS)
        weather.wechat.settles_after = self.world.random.choice((SECOND, 3 * MINUTE, 5 * HOUR, 2 * DAY))
        weather.set_balance(self.world.random.choice((0, 10**9, 10**9)))
        lag = self.world.random.choice((timedelta(0), 20 * SECOND, HOUR))
        weather.v1.shows_after = weather.v2.shows_after = lag
        weather.misquotes(self.world.random.random() < 0.3)
        if self.world.random.random() < 0.3:
            weather.wechat.gone.add(self.world.random.choice(list(weather.wechat.payments)))

    async def _somebody_refunds(self) -> None:
        self.world.people.refund_by_hand()
