"""Workers, channels, people and time under a seed: lost, doubled, late, reordered, forged, ended between any two steps.

python -m tests.settling.simulation                 20 seeds, the first of them printed
python -m tests.settling.simulation --seeds N       that many
python -m tests.settling.simulation --first S       from that seed on

Ends with 1 and the red seeds if money, states or events are ever at odds with what the channels really paid.
"""

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Final
from unittest.mock import patch
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import ids
from app.models.base import Base
from app.services.channel_accounts import Keyring
from app.store.channels import AccountRow, ChannelStore
from app.store.engine import create_engine, transaction
from launcher.postgres import running
from tests.conftest import _database, _migrate
from tests.database_clock import DatabaseClock, database_clock
from tests.settling.endings import POINTS, share_of
from tests.settling.points import Points
from tests.settling.scene import NOON, SEALER, Scene, Time
from tests.settling.story import told
from tests.settling.weather import Weather
from tests.settling.world import World
from tests.store.rows import SITE, config_of, open_site

SEEDS: Final = 20


@dataclass
class Tally:
    """What was met in all seeds; `red`: what was at odds, by seed."""

    seen: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    red: dict[int, list[str]] = field(default_factory=dict)

    @property
    def unlisted(self) -> list[str]:
        """Points that are new, and not in the list."""
        return sorted(self.seen.keys() - set(POINTS))

    @property
    def unharmed(self) -> list[str]:
        """Points of the list where nobody ended."""
        return sorted(set(POINTS) - self.crashed.keys())


@dataclass
class Ground:
    """A database that one seed after another begins on, empty; `rows`: accounts as they are registered."""

    engine: AsyncEngine
    hands: DatabaseClock
    rows: list[AccountRow] = field(default_factory=list)
    keyring: Keyring = field(default_factory=lambda: Keyring(SEALER))

    async def begin(self, weather: Callable[[Time], Weather]) -> tuple[Scene, Weather]:
        """A site at noon, with all accounts."""
        if not self.rows:  # sealing takes long, and is the same each time
            await self.clear()
            time = Time(self.hands, NOON)
            registered = Scene(self.engine, time, Weather(time.now))
            await registered.register()
            self.rows = list(registered.accounts.values())
        await self.clear()
        time = Time(self.hands, NOON)
        gateways = weather(time)
        made = Scene(self.engine, time, gateways, keyring=self.keyring)
        accounts = _counted(Random("accounts"))
        for row in self.rows:
            made.accounts[row.channel] = replace(row, account_id=accounts())
            async with transaction(self.engine) as connection:
                await ChannelStore(connection, SITE).add(made.accounts[row.channel])
        return made, gateways

    async def clear(self) -> None:
        """Nothing is left but a site, and it is noon."""
        await self.hands.freeze(NOON)
        async with transaction(self.engine) as connection:
            tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
            await connection.execute(text(f"TRUNCATE {tables}"))
            await open_site(connection, SITE)


async def simulate(ground: Ground, seeds: Sequence[int], *, say: Callable[[str], object] = lambda _: None) -> Tally:
    """All seeds; each ends workers at some points of the list, so that together they do at all."""
    tally = Tally()
    for seed in seeds:
        await _tell(ground, seed, tally, share_of(seed), say)
    return tally


async def simulate_until_unharmed(
    ground: Ground, tally: Tally, seeds: Iterable[int], *, say: Callable[[str], object]
) -> None:
    """Further seeds, for points that are reached too seldom: none, unless a point is left where nobody has ended."""
    for seed in seeds:
        if not tally.unharmed:
            return
        await _tell(ground, seed, tally, tally.unharmed, say)


async def _tell(ground: Ground, seed: int, tally: Tally, todo: Iterable[str], say: Callable[[str], object]) -> None:
    points = Points(Random(f"{seed} points"), todo=set(todo))

    def weather(time: Time) -> Weather:
        return Weather(time.now, random=Random(f"{seed} weather"), points=points, passes=time.pass_by)

    scene, gateways = await ground.begin(weather)
    with patch.object(ids, "uuid7", _counted(Random(f"{seed} ids"))):
        found = await told(World(scene, gateways, Random(f"{seed} events"), tally.met))
    tally.seen += points.seen
    tally.crashed += points.crashed
    if found:
        tally.red[seed] = found
    say(f"seed {seed}: {'; '.join(found) or 'green'}\n")


def _counted(random: Random) -> Callable[[], UUID]:
    """Ids that rise, and are the same each time."""
    milliseconds = count(int(NOON.timestamp() * 1_000))
    return lambda: UUID(int=next(milliseconds) << 80 | 7 << 76 | 2 << 62 | random.getrandbits(62))


@asynccontextmanager
async def own_ground() -> AsyncIterator[Callable[[], Ground]]:
    """Grounds in a server that is started for it, all on one database."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "postgres", throwaway=True) as server:
        async with _database(server, "kmr_settling") as name:
            _migrate(server.url(name))
            engine = create_engine(config_of(server.url(name)))
            async with database_clock(server.url(name)) as hands:
                yield lambda: Ground(engine, hands)
            await engine.dispose()


async def _run(seeds: Sequence[int]) -> Tally:
    async with own_ground() as ground:
        return await simulate(ground(), seeds, say=sys.stdout.write)


def _report(tally: Tally) -> Iterator[str]:
    yield from (f"{times:>6}  {word}" for word, times in sorted(tally.met.items()))
    yield from (f"{tally.crashed[point]:>6} of {tally.seen[point]:>6}  {point}" for point in POINTS)
    yield f"not in the list: {tally.unlisted}"
    yield f"red: {sorted(tally.red)}"


def main() -> int:
    """0: green."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--seeds", type=int, default=SEEDS)
    asked.add_argument("--first", type=int, default=0)
    wanted = asked.parse_args()
    tally = asyncio.run(_run(range(wanted.first, wanted.first + wanted.seeds)))
    sys.stdout.write("\n".join([*_report(tally), ""]))
    return int(bool(tally.red))


if __name__ == "__main__":
    sys.exit(main())
