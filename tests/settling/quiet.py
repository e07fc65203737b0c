"""After the storm: what was left is done while workers still end; then nothing goes wrong any more, till all ends."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text

from tests.settling.books import Books, Row, books
from tests.settling.people import NO_WAY_BACK
from tests.settling.scene import DAY, HOUR, SECOND
from tests.settling.world import WECHAT, World

DAYS_TO_END: Final = 16
MOST_ROUNDS: Final = 400
MOST_AT_ONCE: Final = 100
_DUE: Final = text(
    "SELECT min(next_step_at) AS due FROM refunds WHERE state IN ('requested', 'accepted', 'processing')"
)


@dataclass
class Quiet:
    """`repairs`: how often people looked after each refund."""

    world: World
    repairs: Counter[UUID] = field(default_factory=Counter)

    async def aftermath(self) -> None:
        """Whoever is held goes on; all that comes back is done once more, by a site that was down for days meanwhile.

        So a bill may be the first to tell of a refund's end. Workers still end.
        """
        crew = self.world.crew
        self.world.points.holds, self.world.weather.foul = 0.0, 0.05
        while crew.parked:
            await crew.let_go(crew.parked[0])
        self.world.weather.wechat.settles_after = 5 * HOUR
        for pause in (HOUR, DAY + 10 * HOUR, DAY):
            self.world.people.refund_by_hand()
            await self.world.scene.granted((WECHAT, self.world.random.randint(1_000, 9_000)))
            await crew.start(crew.workers[0], crew.ask_channels)
            await self.world.scene.time.pass_by(pause)
            for chore in (crew.read_bills, crew.read_bills, crew.ask_channels, crew.raise_overdue, crew.read_bills):
                await crew.start(crew.workers[0], chore)
                await self.world.scene.time.pass_by(HOUR)
            await self.world.cashier.works()
        await self.world.look()

    async def fall(self) -> None:
        """Nothing goes wrong any more, people see to what has stopped, and time goes on."""
        self.world.points.todo.clear()
        self.world.points.in_turn = False
        self.world.points.breaks = self.world.weather.foul = self.world.weather.doubles = self.world.cashier.foul = 0.0
        self.world.weather.wechat.ends_next = "SUCCESS"
        self.world.weather.misquotes(False)
        self.world.weather.set_balance(10**9)
        until = self.world.scene.time.at + DAYS_TO_END * DAY
        bills_at = self.world.scene.time.at
        for _ in range(MOST_ROUNDS):
            if not await self._round():
                break
            if self.world.scene.time.at >= bills_at:
                await self.world.crew.read_bills()
                bills_at = self.world.scene.time.at + DAY
            if self.world.scene.time.at >= until:
                return
            due = await self._next_due()
            if due is None and not await self._repaired():
                due = timedelta(days=2)
            await self.world.scene.time.pass_by(min(due or SECOND, 12 * HOUR))
        self.world.found.append("channels are asked without end")

    async def _round(self) -> bool:
        """What there is to do now; False where it does not come to an end."""
        for _ in range(MOST_AT_ONCE):
            if not await self.world.crew.ask_channels():
                break
        else:
            return False
        await self.world.cashier.works()
        await self.world.crew.raise_overdue()
        return True

    async def _next_due(self) -> timedelta | None:
        """Until somebody asks a channel again; None: nobody will before long."""
        [row] = await self.world.scene.all(_DUE)
        return None if row["due"] is None else max(SECOND, row["due"] - self.world.scene.time.at)

    async def _repaired(self) -> bool:
        """People do what they can about each refund: send it elsewhere or retry it twice, and then give it up."""
        now, done = await books(self.world.scene), False
        for row in now.refunds:
            if row["state"] in ("failed", "closed", "abnormal") and not self.world.people.closings[row["refund_id"]]:
                done |= await self._repair(row, now)
        return done

    async def _repair(self, row: Row, now: Books) -> bool:
        self.repairs[row["refund_id"]] += 1
        if row["failure_code"] in NO_WAY_BACK and await self.world.people.send_elsewhere(row, now):
            return True
        if self.repairs[row["refund_id"]] > 2:
            return await self.world.people.close(row, now)
        if row["state"] == "abnormal" and row["refund_no"] in self.world.weather.wechat.refunds:
            self.world.weather.wechat.end(row["refund_no"], "SUCCESS")
        return await self.world.people.retry(row, now)
