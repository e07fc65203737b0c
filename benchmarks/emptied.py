"""A fresh deployment: its tables are analysed while they are empty, and then the cases come.

A plan that was made for empty tables and is kept for the life of a connection turns into a scan of all rows, and each
case takes longer than the one before. So the last quarter of a load is compared with the first.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise

import asyncpg
import uvloop

from app.sealing import Sealer
from app.store.engine import SETTINGS, create_engine
from benchmarks.claims import FILED, Claims
from benchmarks.filing import WIDTH, copied_writers, pool_of
from benchmarks.in_process import NOWHERE, listen_at
from benchmarks.plan import Plan, turns
from benchmarks.series import spread
from benchmarks.stage import Shop, Stage, api_of, opened
from benchmarks.table import Table, shown
from benchmarks.wire import drive

OVER_HTTP = f"the service over HTTP, {WIDTH} connections"
WITH_SETTINGS = "asyncpg, the rows in one statement, the service's settings"
WITHOUT = "the same without enable_seqscan=off"
_PLAIN = {name: value for name, value in SETTINGS.items() if name != "enable_seqscan"}


def measure(stage: Stage, plan: Plan) -> Table:
    """The rate of the last quarter of a load, divided by that of the first."""
    found: dict[str, list[float]] = {OVER_HTTP: [], WITH_SETTINGS: [], WITHOUT: []}
    for _ in turns(plan.loads, plan.longest / 2):
        with opened(stage, analysed_while_empty=True) as shop, api_of(shop):
            found[OVER_HTTP].append(uvloop.run(_over_http(shop, plan.loaded)))
        for name, settings in ((WITH_SETTINGS, SETTINGS), (WITHOUT, _PLAIN)):
            with opened(stage, analysed_while_empty=True) as shop:
                found[name].append(uvloop.run(_written(shop, settings, 3 * plan.loaded)))
    return Table(
        title="Tables analysed while empty: last quarter of a load against the first · 空表统计后的写入",
        columns=("how", "ratio", "least–most"),
        rows=tuple((name, *shown(spread(ratios))) for name, ratios in found.items()),
        notes=(
            f"{plan.loaded} cases over HTTP, {3 * plan.loaded} by asyncpg. Far below 1: it slows down as it fills.",
        ),
    )


async def _over_http(shop: Shop, size: int) -> float:
    run = await drive(shop.address, WIDTH, Claims.begin().inline(size), FILED)
    return last_against_first(run.ended_at)


async def _written(shop: Shop, settings: Mapping[str, str], size: int) -> float:
    config = shop.config
    engine, sealer = create_engine(config), Sealer(config.sealing_key)
    ended_at: list[float] = []
    turns = iter(range(size))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        await listen_at(engine, sealer, NOWHERE)
        pool = await pool_of(shop, stack, settings)
        rows, _ = await copied_writers(engine, sealer, Claims.begin(), pool[0])

        async def some(connection: asyncpg.Connection) -> None:
            for _ in turns:
                await rows.at_once(connection)
                ended_at.append(time.perf_counter())

        await asyncio.gather(*map(some, pool))
    return last_against_first(ended_at)


def last_against_first(ended_at: Sequence[float]) -> float:
    """Of the instants at which equal pieces of work ended: the rate in the last quarter over that in the first.

    The very first eighth is left out, as it warms everything up.
    """
    ordered = sorted(ended_at)[len(ended_at) // 8 :]
    quarter = len(ordered) // 4
    marks = [ordered[n * quarter] for n in range(4)] + [ordered[-1]]
    first, *_, last = [later - earlier for earlier, later in pairwise(marks)]
    return first / last * (len(ordered) - 1 - 3 * quarter) / quarter
