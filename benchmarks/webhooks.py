"""Events delivered a second by one worker, beside the same bodies posted by plain httpx with no outbox."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
import uvloop
from sqlalchemy import select

from app.models.webhooks import Event
from app.sealing import Sealer
from app.services.example_cases import example_cases
from app.services.filing import Filing
from app.store.engine import create_engine, transaction
from app.store.sites import database_now
from benchmarks.claims import Claims
from benchmarks.in_process import file_one, listen_at, the_caller
from benchmarks.plan import Plan, turns
from benchmarks.series import Series
from benchmarks.stage import Shop, Stage, opened, process
from benchmarks.table import Table, compared
from launcher import steps
from launcher.ports import free_port

WIDTH = 8  # attempts at once, as many as the worker has for one endpoint
ENDPOINTS = 4
KEPT = f"httpx, {WIDTH} at once, connections kept"
CLOSED = f"httpx, {WIDTH} at once, a connection each"
ONE = "the worker, one endpoint"
SEVERAL = f"the worker, {ENDPOINTS} endpoints"
_LONGEST_S = 60.0


def measure(stage: Stage, plan: Plan) -> Table:
    """From the first event that arrives to the last; a worker finds its queue full when it starts."""
    found: dict[str, list[float]] = {KEPT: [], CLOSED: [], ONE: [], SEVERAL: []}
    port = free_port()
    with _receiver(stage, port):
        for turn in turns(plan.rounds, plan.longest / 2):
            with opened(stage) as shop:
                claims, urls = Claims.begin(), [f"http://127.0.0.1:{port}/{turn}/{n}" for n in range(ENDPOINTS)]
                bodies = uvloop.run(_queue(shop, claims.filings(plan.told), urls[:1]))
                found[ONE].append(_delivered(shop, urls[:1], len(bodies)))
            with opened(stage) as shop:
                urls = [f"{url}/again" for url in urls]
                bodies = uvloop.run(_queue(shop, claims.filings(plan.told), urls))
                found[SEVERAL].append(_delivered(shop, urls, len(bodies)))
            for name, limits in ((KEPT, None), (CLOSED, httpx.Limits(max_keepalive_connections=0))):
                found[name].append(uvloop.run(_posted(f"http://127.0.0.1:{port}/plain", bodies, limits)))
    series = {name: Series(name, tuple(rates)) for name, rates in found.items()}
    return Table(
        title="Delivering events on loopback · 投递 webhook",
        columns=("how", "events/s", "least–most", "ratio", "least–most"),
        rows=compared(list(series.values()), series[CLOSED]),
        notes=(
            f"{len(bodies)} events a round to each endpoint, of {plan.told} cases; a case's events go in their order.",
        ),
    )


@contextmanager
def _receiver(stage: Stage, port: int) -> Iterator[None]:
    with process(stage, "benchmarks.receiver", {**os.environ, "PORT": str(port)}) as receiver:
        steps.wait_until_ready(f"http://127.0.0.1:{port}", [receiver])
        yield


async def _queue(shop: Shop, filings: Sequence[Filing], urls: Sequence[str]) -> list[bytes]:
    """Files cases that the endpoints hear of; answers with the events' bodies, about as they are sent."""
    engine, sealer = create_engine(shop.config), Sealer(shop.config.sealing_key)
    try:
        for url in urls:
            await listen_at(engine, sealer, url)
        waiting = iter(filings)

        async def some() -> None:
            for each in waiting:
                await file_one(engine, sealer, each)

        await asyncio.gather(*(some() for _ in range(WIDTH)))
        async with transaction(engine) as connection:
            site_id = (await the_caller(connection)).site.site_id
            # The sandbox's examples were told before anybody listened.
            examples = [each.case_id for each in example_cases(await database_now(connection))]
            heard = (Event.site_id == site_id, Event.case_id.not_in(examples))
            told = await connection.scalars(select(Event.full_data).where(*heard))
            return [text.encode() for text in told]
    finally:
        await engine.dispose()


def _delivered(shop: Shop, urls: Sequence[str], events: int) -> float:
    """Events a second, all endpoints together."""
    with process(shop.stage, "app.worker", shop.environ):
        return uvloop.run(_watched(urls, events))


async def _watched(urls: Sequence[str], events: int) -> float:
    give_up = time.monotonic() + _LONGEST_S
    seen = str(httpx.URL(urls[0]).copy_with(raw_path=b"/seen"))
    paths = [httpx.URL(url).path for url in urls]
    async with httpx.AsyncClient(trust_env=False) as client:
        while time.monotonic() < give_up:
            found: dict[str, tuple[int, float, float]] = (await client.get(seen)).json()
            mine = [found[path] for path in paths if path in found]
            if sum(number for number, _, _ in mine) >= events * len(urls):
                return events * len(urls) / (max(last for *_, last in mine) - min(first for _, first, _ in mine))
            await asyncio.sleep(0.05)
    raise TimeoutError(f"the worker had not delivered {events} events to {len(urls)} endpoints in {_LONGEST_S:.0f} s")


async def _posted(url: str, bodies: Sequence[bytes], limits: httpx.Limits | None) -> float:
    waiting = iter(bodies)
    headers = {"Content-Type": "application/json"} | ({} if limits is None else {"Connection": "close"})

    async def some(client: httpx.AsyncClient) -> None:
        for body in waiting:
            (await client.post(url, content=body, headers=headers)).raise_for_status()

    async with httpx.AsyncClient(trust_env=False, limits=limits or httpx.Limits()) as client:
        await client.post(url, content=b"{}", headers=headers)
        started = time.perf_counter()
        await asyncio.gather(*(some(client) for _ in range(WIDTH)))
        return len(bodies) / (time.perf_counter() - started)
