"""Cases filed a second over HTTP with durable commits, beside the same rows written without the service."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from app.sealing import Sealer
from app.store.engine import SETTINGS, create_engine
from benchmarks.claims import FILED, JUDGED, NOT_FOUND, Claims
from benchmarks.in_process import NOWHERE, file_one, listen_at, store_records
from benchmarks.plan import Plan, turns
from benchmarks.processor import seconds_of, seconds_of_server
from benchmarks.series import Series
from benchmarks.stage import Shop, Stage, api_of, opened
from benchmarks.table import Table, compared, figure
from benchmarks.wire import Run, drive
from benchmarks.writers import RowWriter, StatementWriter, Write, listened, rows_of, writers_of

WIDTH = 8  # connections to the database, as many as the service's pool has
WIDTHS = (1, 8, 32)
AT_ONCE = f"asyncpg, the rows in one statement, {WIDTH} connections"
ONE_BY_ONE = f"asyncpg, a statement a row, {WIDTH} connections"
AS_THE_SERVICE = f"asyncpg, the service's statements, {WIDTH} connections"
NO_HTTP = f"the use case without HTTP, {WIDTH} tasks in one process"
SENT_BEFORE = f"HTTP, records sent before, {WIDTH} connections"
JUDGE = f"POST /v1/adjudications, {WIDTH} connections"
EMPTY = f"authorised 404, {WIDTH} connections"

Figure = Callable[[], Awaitable[float]]


def over_http(width: int) -> str:
    """The name of filing over so many connections, records inline."""
    return f"HTTP, records inline, {width} connection{'s' if width > 1 else ''}"


def measure(stage: Stage, plan: Plan) -> list[Table]:
    """Rates, delays, and where the processor's time goes."""
    with opened(stage) as shop, api_of(shop) as api:
        return uvloop.run(_measure(shop, api.process.pid, plan))


async def _measure(shop: Shop, api: int, plan: Plan) -> list[Table]:
    async with _bench(shop, api) as bench:
        for warm_up in bench.ways(plan.small).values():
            await warm_up()
        bench.forget()
        found: dict[str, list[float]] = {name: [] for name in bench.ways(plan)}
        for _ in turns(plan.rounds, plan.longest):
            for name, way in bench.ways(plan).items():
                found[name].append(await way())
    series = {name: Series(name, tuple(figures)) for name, figures in found.items()}
    return [_filed(series, bench), _delays(bench), _judged(series)]


@dataclass(slots=True)
class Bench:
    """All that the ways of filing need, and what was seen on the way."""

    api: int
    backend: int
    engine: AsyncEngine
    sealer: Sealer
    pool: Sequence[asyncpg.Connection]
    address: tuple[str, int]
    claims: Claims
    rows: RowWriter
    statements: StatementWriter
    runs: dict[int, list[Run]] = field(default_factory=dict)
    spent: dict[str, list[float]] = field(default_factory=dict)

    def ways(self, plan: Plan) -> dict[str, Figure]:
        """Each measures one round."""
        size = plan.cases
        return {
            AT_ONCE: lambda: self._written(self.rows.at_once, 2 * size),
            ONE_BY_ONE: lambda: self._written(self.rows.one_by_one, size),
            AS_THE_SERVICE: lambda: self._written(self.statements.as_the_service, size),
            NO_HTTP: lambda: self._in_process(size),
            **{over_http(width): self._filing(width, size) for width in WIDTHS},
            SENT_BEFORE: lambda: self._sent_before(size),
            JUDGE: lambda: self._asked(self.claims.judgements(plan.judged), JUDGED),
            EMPTY: lambda: self._asked(self.claims.nothing(plan.judged), NOT_FOUND),
        }

    def forget(self) -> None:
        """What was seen while everything warmed up."""
        self.runs.clear()
        self.spent.clear()

    def _filing(self, width: int, size: int) -> Figure:
        async def filed() -> float:
            return await self._inline(width, size if width > 1 else size // 2)

        return filed

    async def _written(self, write: Write, size: int) -> float:
        turns = iter(range(size))

        async def some(connection: asyncpg.Connection) -> None:
            for _ in turns:
                await write(connection)

        return size / await _elapsed(*map(some, self.pool))

    async def _in_process(self, size: int) -> float:
        waiting = iter(self.claims.filings(size))

        async def some() -> None:
            for each in waiting:
                await file_one(self.engine, self.sealer, each)

        return size / await _elapsed(*(some() for _ in range(WIDTH)))

    async def _inline(self, width: int, size: int) -> float:
        requests = self.claims.inline(size)
        before = self._spent()
        run = await drive(self.address, width, requests, FILED)
        if width == WIDTH:
            for (who, now), then in zip(self._spent().items(), before.values(), strict=True):
                self.spent.setdefault(who, []).append((now - then) / size)
        self.runs.setdefault(width, []).append(run)
        return run.rate

    async def _sent_before(self, size: int) -> float:
        told, requests = self.claims.sent_before(size)
        await store_records(self.engine, told)
        return await self._asked(requests, FILED)

    async def _asked(self, requests: Sequence[bytes], status: int) -> float:
        return (await drive(self.address, WIDTH, requests, status)).rate

    def _spent(self) -> dict[str, float]:
        return {
            "the API": seconds_of(self.api),
            "Postgres": seconds_of_server(self.backend),
            "the client": time.process_time(),
        }


@asynccontextmanager
async def _bench(shop: Shop, api: int) -> AsyncIterator[Bench]:
    config, claims = shop.config, Claims.begin()
    engine, sealer = create_engine(config), Sealer(config.sealing_key)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        # Nobody listens there, and no worker runs: the events stay where they are.
        await listen_at(engine, sealer, NOWHERE)
        pool = await pool_of(shop, stack, SETTINGS)
        rows, statements = await copied_writers(engine, sealer, claims, pool[0])
        backend = await pool[0].fetchval("SELECT pg_backend_pid()")
        yield Bench(api, backend, engine, sealer, pool, shop.address, claims, rows, statements)


async def pool_of(shop: Shop, stack: AsyncExitStack, settings: Mapping[str, str]) -> list[asyncpg.Connection]:
    """Connections that are closed with the stack."""
    pool = []
    for _ in range(WIDTH):
        connection = await asyncpg.connect(shop.dsn, server_settings=dict(settings))
        stack.push_async_callback(connection.close)
        pool.append(connection)
    return pool


async def copied_writers(
    engine: AsyncEngine, sealer: Sealer, claims: Claims, connection: asyncpg.Connection
) -> tuple[RowWriter, StatementWriter]:
    """Files one claim, and takes down what it wrote and how. The first claim also makes the merchant known."""
    first, second = claims.filings(2)
    await file_one(engine, sealer, first)
    with listened(engine) as sent:
        await file_one(engine, sealer, second)
    assert second.order_no is not None
    return writers_of(await rows_of(connection, second.order_no), sent)


async def _elapsed(*works: Awaitable[None]) -> float:
    started = time.perf_counter()
    await asyncio.gather(*works)
    return time.perf_counter() - started


def _filed(series: Mapping[str, Series], bench: Bench) -> Table:
    ways = [each for name, each in series.items() if name not in {JUDGE, EMPTY}]
    rows = sum(len(each.values) for each in bench.rows.rows)
    return Table(
        title="Filing a case, every commit synced · 提交退款申请",
        columns=("how", "cases/s", "least–most", "ratio", "least–most"),
        rows=compared(ways, series[AT_ONCE]),
        notes=(
            f"{rows} rows a case; {len(bench.statements.sent)} statements of the service, BEGIN and COMMIT.",
            *_processor(bench),
        ),
    )


def _processor(bench: Bench) -> list[str]:
    means = {who: 1e3 * sum(seconds) / len(seconds) for who, seconds in bench.spent.items()}
    told = ", ".join(f"{who} {figure(ms)} ms" for who, ms in means.items())
    return [f"Processor time for one case over HTTP, {WIDTH} connections: {told}."]


def _delays(bench: Bench) -> Table:
    alone = Series("", tuple(run.percentile(50) for run in bench.runs[1]))
    series = [
        Series(f"{over_http(width)}: p{percent}", tuple(run.percentile(percent) for run in runs))
        for width, runs in sorted(bench.runs.items())
        for percent in (50, 99)
    ]
    return Table(
        title="How long a filing takes, against the median over one connection · 延迟之比",
        columns=("how", "ratio", "least–most"),
        rows=tuple((each.name, *compared([each], alone)[0][3:]) for each in series),
    )


def _judged(series: Mapping[str, Series]) -> Table:
    return Table(
        title="Judging over HTTP, nothing stored · 试算",
        columns=("what", "requests/s", "least–most", "ratio", "least–most"),
        rows=compared([series[EMPTY], series[JUDGE]], series[EMPTY]),
    )
