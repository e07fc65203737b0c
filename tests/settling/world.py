"""A site with all that are at work on its refunds: workers, channels, an adapter and people."""

from collections import Counter
from random import Random
from typing import Final

from tests.settling.books import Books, books
from tests.settling.cashier import Cashier
from tests.settling.checking import faults_now
from tests.settling.checking_money import Truth
from tests.settling.checking_words import lost
from tests.settling.crew import Crew
from tests.settling.gateways import KINDS
from tests.settling.people import People
from tests.settling.scene import Scene
from tests.settling.weather import Weather

WECHAT, ALIPAY, V1, V2 = (kind.channel for kind in KINDS)
PARTS: Final = (0.2, 0.35, 0.7)


class World:
    """`met` counts what happened, for all seeds together; `found`: what was at odds."""

    def __init__(self, scene: Scene, weather: Weather, random: Random, met: Counter[str]) -> None:
        self.scene, self.weather, self.random, self.met = scene, weather, random, met
        self.points, self.found = weather.points, list[str]()
        self.crew = Crew(scene, self.points, random, self.found)
        self.cashier = Cashier(scene, random, met=met)
        self.people = People(scene, self.cashier, random, met, self.found)
        self.truth = Truth(weather, self.cashier, self.people.closings)
        self.seen: Books | None = None

    async def begin(self) -> None:
        """Whole refunds and parts, over one payment and over several."""
        for channel in (WECHAT, ALIPAY, V1, V2):
            await self.scene.granted((channel, self.random.randint(5_000, 20_000)))
        for channel in (WECHAT, ALIPAY, V2, V1):
            paid = self.random.randint(10_000, 20_000)
            parts = (int(paid * self.random.choice(PARTS)), int(paid * self.random.uniform(0.1, 0.29)))
            await self.scene.granted((channel, paid), parts=parts)
        shares = [
            (channel, self.random.randint(1_000, 9_000)) for channel in self.random.sample((WECHAT, ALIPAY, V2), 2)
        ]
        await self.scene.granted(*shares)

    async def look(self) -> Books:
        """What we have written down, held against what was paid, and against what was written down before."""
        now = await books(self.scene)
        self.found += faults_now(now, self.truth)
        self.found += [] if self.seen is None else lost(self.seen, now)
        self.seen = now
        return now
