"""Sending: what goes out, what comes of each answer, and what a worker does about time and trouble."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from standardwebhooks import Webhook

from app import ids
from app.outbound.answer import Answer, SendError
from app.outbound.catalogue import EventType
from app.outbound.schedule import FAILING_FOR
from app.sealing import Sealer
from app.services import dispatching, webhook_secrets
from app.services.dispatching import Leased, Settled, lease_due
from app.services.webhook_secrets import Secret
from app.store.case_rows import NewEvent
from app.store.cases import CaseStore, Consequences
from app.store.endpoints import EndpointRow, EndpointStore
from app.store.engine import transaction
from app.store.events import AttemptRow, EventStore
from app.store.sites import database_now
from app.worker.sending import Outlets
from app.worker.worker import Worker
from tests.services.no_channels import no_channels
from tests.store.rows import ENDPOINT, NOW, OTHER_SITE, SITE, add_endpoint, new_case, new_event

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SEALER = Sealer(bytes(32))  # what `config_of` seals with
SECRET = "whsec_" + "QUJD" * 8
OK = Answer(200, None, None, timedelta(milliseconds=7), "thanks")


@dataclass
class Receiver:
    """Answers as told, and remembers."""

    answer: Callable[[str], Answer] = lambda _: OK
    seen: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
        self.seen.append((url, headers, body))
        return self.answer(url)


def answers(status: int | None = None, error: SendError | None = None) -> Receiver:
    return Receiver(lambda _: Answer(status, error, None, timedelta(0), ""))


@pytest.mark.parametrize(("role", "full"), [("site", True), ("merchant", False)])
async def test_what_goes_out_verifies_and_suits_its_role(engine: AsyncEngine, role: str, full: bool) -> None:
    receiver = Receiver()
    async with transaction(engine) as connection:
        await _endpoint(connection, replace(ENDPOINT, role=role, merchant_id=None if role == "site" else "m-7"))
        [event] = await _tell(connection, "A-1")
    await _once(engine, receiver)
    [(url, headers, body)] = receiver.seen
    assert (url, headers["webhook-id"]) == (ENDPOINT.url, ids.show("evt", event.event_id))
    verified = Webhook(SECRET).verify(body, dict(headers))
    assert verified["data"] == {"full": full}
    assert (verified["type"], verified["site"], verified["sequence"]) == ("case.filed", ids.show("site", SITE), 1)


async def test_each_secret_that_has_not_ended_signs(engine: AsyncEngine) -> None:
    receiver, older, ended = Receiver(), "whsec_" + "REVG" * 8, "whsec_" + "R0hJ" * 8
    async with transaction(engine) as connection:
        now = await database_now(connection)
        hour = timedelta(hours=1)
        secrets = [Secret(SECRET, None), Secret(older, now + hour), Secret(ended, now - hour)]
        await add_endpoint(connection, replace(ENDPOINT, secrets=webhook_secrets.seal(SEALER, SITE, secrets)))
        await _tell(connection, "A-1")
    await _once(engine, receiver)
    [(_, headers, body)] = receiver.seen
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (SECRET, older):
        assert Webhook(secret).verify(body, dict(headers))


async def test_no_transaction_is_open_while_something_is_sent(engine: AsyncEngine) -> None:
    held: list[int] = []
    pool: Any = engine.pool
    receiver = Receiver(lambda _: held.append(pool.checkedout()) or OK)  # type: ignore[func-returns-value]
    async with transaction(engine) as connection:
        await _endpoint(connection)
        await _tell(connection, "A-1")
    await _once(engine, receiver)
    assert held == [0]


@pytest.mark.parametrize(
    ("receiver", "state", "status", "error"),
    [
        (answers(204), "delivered", 204, None),
        (answers(301), "pending", 301, None),
        (answers(500), "pending", 500, None),
        (answers(None, SendError.TIMED_OUT), "pending", None, "timed_out"),
        (answers(410), "failed", 410, None),
    ],
)
async def test_an_answer_settles_the_attempt(
    engine: AsyncEngine, receiver: Receiver, state: str, status: int | None, error: str | None
) -> None:
    async with transaction(engine) as connection:
        await _endpoint(connection)
        await _tell(connection, "A-1")
    await _once(engine, receiver)
    async with transaction(engine) as connection:
        row = (await connection.execute(text("SELECT state, next_attempt_at > now() AS later FROM dispatches"))).one()
        [attempt] = await _attempts(connection)
    assert (row.state, attempt.status_code, attempt.error) == (state, status, error)
    assert row.later == (state == "pending")


async def test_gone_disables_at_once_and_cancels_the_rest(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        gone = await _endpoint(connection, replace(ENDPOINT, url="https://gone.example.com/"))
        well = await _endpoint(connection)
        await _tell(connection, "A-1", events=2)
    receiver = Receiver(lambda url: replace(OK, status=410 if "gone" in url else 200))
    await _once(engine, receiver)
    async with transaction(engine) as connection:
        store = EndpointStore(connection, SITE)
        assert (await store.get(gone)).disabled_reason == "gone"
        assert (await store.get(well)).enabled
        states = await connection.execute(text("SELECT state, count(*) FROM dispatches GROUP BY 1 ORDER BY 1"))
    assert [tuple(row) for row in states] == [("cancelled", 1), ("delivered", 1), ("failed", 1), ("pending", 1)]


@pytest.mark.parametrize(("short_of", "disabled"), [(timedelta(0), True), (timedelta(minutes=1), False)])
async def test_five_days_of_failure_disable(engine: AsyncEngine, short_of: timedelta, disabled: bool) -> None:
    async with transaction(engine) as connection:
        since = await database_now(connection) - FAILING_FOR + short_of
        endpoint_id = await _endpoint(connection, replace(ENDPOINT, first_failure_at=since))
        await _tell(connection, "A-1")
    await _once(engine, answers(500))
    async with transaction(engine) as connection:
        endpoint = await EndpointStore(connection, SITE).get(endpoint_id)
    assert endpoint.enabled != disabled
    assert endpoint.disabled_reason == ("failing" if disabled else None)


async def test_a_success_after_five_days_forgives(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        since = await database_now(connection) - 2 * FAILING_FOR
        endpoint_id = await _endpoint(connection, replace(ENDPOINT, first_failure_at=since))
        await _tell(connection, "A-1")
    await _once(engine, Receiver())
    async with transaction(engine) as connection:
        endpoint = await EndpointStore(connection, SITE).get(endpoint_id)
    assert (endpoint.enabled, endpoint.first_failure_at) == (True, None)


async def test_the_tenth_failure_is_the_last(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await _endpoint(connection)
        await _tell(connection, "A-1")
    for _ in range(10):
        assert len(await _once(engine, answers(500))) == 1
        await _make_all_due(engine)
    async with transaction(engine) as connection:
        assert (await connection.scalars(text("SELECT state FROM dispatches"))).all() == ["failed"]
        assert sorted(each.n for each in await _attempts(connection)) == list(range(1, 11))


async def test_a_crash_between_sending_and_recording_sends_again_under_the_same_id(engine: AsyncEngine) -> None:
    receiver = Receiver()
    async with transaction(engine) as connection:
        await _endpoint(connection)
        await _tell(connection, "A-1")
    [leased] = await lease_due(engine, limit=9, per_endpoint=9)
    await _attempt(leased, receiver)
    assert await _once(engine, receiver) == []
    await _make_all_due(engine)
    await _once(engine, receiver)
    [first, second] = [headers["webhook-id"] for _, headers, _ in receiver.seen]
    bodies = {body for _, _, body in receiver.seen}
    assert first == second
    assert len(bodies) == 1


async def test_an_event_that_kills_its_worker_each_time_is_parked(engine: AsyncEngine) -> None:
    receiver = Receiver()
    async with transaction(engine) as connection:
        await _endpoint(connection)
        await _tell(connection, "A-1")
    for _ in range(10):
        assert len(await lease_due(engine, limit=9, per_endpoint=9)) == 1
        await _make_all_due(engine)
    await _once(engine, receiver)
    async with transaction(engine) as connection:
        assert (await connection.scalars(text("SELECT state FROM dispatches"))).all() == ["failed"]
    assert receiver.seen == []


@pytest.mark.parametrize("poison", [{"full_data": "not JSON"}, {"type": "case.of_a_newer_version"}])
async def test_an_event_that_cannot_be_built_is_tried_later_and_the_others_flow(
    engine: AsyncEngine, poison: dict[str, str]
) -> None:
    receiver = Receiver()
    async with transaction(engine) as connection:
        await _endpoint(connection)
        bad = replace(new_event(), heard_by=("site",), **poison)  # type: ignore[arg-type]
        await CaseStore(connection, SITE).file(new_case("A-1"), Consequences(events=[bad]), NOW)
        [good] = await _tell(connection, "A-2")
    await _once(engine, receiver)
    async with transaction(engine) as connection:
        [attempt] = [each for each in await _attempts(connection) if each.event_id == bad.event_id]
        states = {row[0]: row[1] for row in await connection.execute(text("SELECT event_id, state FROM dispatches"))}
    assert attempt.error == "unsendable"
    assert states == {bad.event_id: "pending", good.event_id: "delivered"}
    assert len(receiver.seen) == 1


async def test_secrets_that_do_not_open_stop_their_endpoint_only(engine: AsyncEngine) -> None:
    receiver = Receiver()
    async with transaction(engine) as connection:
        foreign = webhook_secrets.seal(SEALER, OTHER_SITE, [Secret(SECRET, None)])
        await add_endpoint(connection, replace(ENDPOINT, secrets=foreign))
        await _endpoint(connection)
        await _tell(connection, "A-1")
    settled = await _once(engine, receiver)
    assert sorted(str(each.result.error) for each in settled) == ["None", "unsendable"]


async def test_each_site_gets_its_share(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await _endpoint(connection)
        await _endpoint(connection, site_id=OTHER_SITE)
        for n in range(20):
            await _tell(connection, f"A-{n}")
        for n in range(2):
            await _tell(connection, f"A-{n}", site_id=OTHER_SITE)
    leased = await lease_due(engine, limit=10, per_endpoint=100)
    assert 2 <= len([each for each in leased if each.site_id == SITE]) <= 8
    assert len([each for each in leased if each.site_id == OTHER_SITE]) == 2


async def test_old_idempotency_keys_are_forgotten_at_every_site(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        for site_id in (SITE, OTHER_SITE):
            await connection.execute(
                text("""
                INSERT INTO idempotency_keys (site_id, key, fingerprint, created_at)
                VALUES (:site, 'old', '', now() - interval '49 h'), (:site, 'new', '', now() - interval '47 h')"""),
                {"site": site_id},
            )
    assert await dispatching.purge_idempotency_keys(engine) == 2
    async with transaction(engine) as connection:
        assert (await connection.scalars(text("SELECT DISTINCT key FROM idempotency_keys"))).all() == ["new"]


async def test_a_worker_sends_a_cases_events_in_order_while_another_endpoint_hangs(engine: AsyncEngine) -> None:
    told, hang = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    class Mixed:
        async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
            if "slow" in url:
                await hang.wait()
            else:
                seen.append(json.loads(body)["sequence"])
                if len(seen) == 5:
                    told.set()
            return OK

    async with transaction(engine) as connection:
        await _endpoint(connection, replace(ENDPOINT, url="https://slow.example.com/"))
        await _endpoint(connection)
        for n in range(20):  # more for the slow one than there are places
            await _tell(connection, f"B-{n}", event_type=EventType.POLICY_ACTIVATED)
        await connection.execute(text("DELETE FROM dispatches d USING webhook_endpoints w"
                                      " WHERE w.endpoint_id = d.endpoint_id AND w.url NOT LIKE '%slow%'"))  # fmt: skip
        await _tell(connection, "A-1", events=5)
    async with _working(engine, [Mixed() for _ in range(16)]):
        async with asyncio.timeout(20):
            await told.wait()
        hang.set()
    assert seen == [1, 2, 3, 4, 5]


async def test_a_worker_that_stops_lets_attempts_end_and_records_them(engine: AsyncEngine) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    class Slow:
        async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
            begun.set()
            await end.wait()
            return OK

    async with transaction(engine) as connection:
        await _endpoint(connection)
        await _tell(connection, "A-1")
    async with _working(engine, [Slow()]):
        await begun.wait()
        asyncio.get_running_loop().call_later(0.2, end.set)  # when the worker has long been told to stop
    async with transaction(engine) as connection:
        assert (await connection.scalars(text("SELECT state FROM dispatches"))).all() == ["delivered"]


async def test_the_worker_process_delivers_to_a_real_receiver_and_ends_on_sigterm(
    engine: AsyncEngine, database_url: str
) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        received.put_nowait(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with transaction(engine) as connection:
            await _endpoint(connection, replace(ENDPOINT, url=f"http://127.0.0.1:{port}/hooks"))
            await _tell(connection, "A-1")
        environment = {
            **os.environ, "DATABASE_URL": database_url, "KMR_SEALING_KEY": "A" * 43, "KMR_ALLOW_LOOPBACK_WEBHOOKS": "1",
        }  # fmt: skip
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.worker", cwd=CHECKOUT, env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(30):
                request = await received.get()
            worker.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                assert await worker.wait() == 0
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
    head, _, body = request.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert Webhook(SECRET).verify(body, headers)["type"] == "case.filed"
    async with transaction(engine) as connection:
        assert (await connection.scalars(text("SELECT state FROM dispatches"))).all() == ["delivered"]


async def _endpoint(connection: AsyncConnection, endpoint: EndpointRow = ENDPOINT, *, site_id: UUID = SITE) -> UUID:
    sealed = webhook_secrets.seal(SEALER, site_id, [Secret(SECRET, None)])
    return await add_endpoint(connection, replace(endpoint, secrets=sealed), site_id)


async def _tell(
    connection: AsyncConnection,
    order_no: str,
    *,
    events: int = 1,
    site_id: UUID = SITE,
    event_type: EventType = EventType.CASE_FILED,
) -> list[NewEvent]:
    told, now = [new_event(event_type) for _ in range(events)], await database_now(connection)
    await CaseStore(connection, site_id).file(new_case(order_no), Consequences(events=told), now)
    return told


async def _once(engine: AsyncEngine, receiver: Receiver) -> list[Settled]:
    settled = [await _attempt(leased, receiver) for leased in await lease_due(engine, limit=99, per_endpoint=99)]
    for site_id in {each.site_id for each in settled}:
        await dispatching.record(engine, site_id, [each for each in settled if each.site_id == site_id])
    return settled


async def _attempt(leased: Leased, receiver: Receiver) -> Settled:
    return await dispatching.attempt(leased, receiver, SEALER, elapsed=timedelta, jitter=0.0)


async def _make_all_due(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text("UPDATE dispatches SET next_attempt_at = now(), leased_until = NULL"))


async def _attempts(connection: AsyncConnection) -> list[AttemptRow]:
    return await EventStore(connection, SITE).attempts(limit=99)


@asynccontextmanager
async def _working(engine: AsyncEngine, outlets: list[Any]) -> AsyncIterator[None]:
    """A worker over these outlets; told to stop at the end of the block, and awaited."""
    stop = asyncio.Event()
    both = [Outlets(each, each) for each in outlets]
    worker = asyncio.create_task(Worker(engine, SEALER, both, no_channels(SEALER)).run(stop))
    try:
        yield
    finally:
        stop.set()
        await worker
