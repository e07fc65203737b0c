"""Sending what is due: leased in one transaction, sent in none, recorded in another.

A worker that dies between leasing and recording has perhaps sent; the lease runs out and the event goes out again under
the same id. Whoever receives it tells the two apart by that id: at least once, never silently not at all.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, assert_never
from uuid import UUID

from app import ids
from app.logs import logger
from app.models.closed_sets import DispatchState
from app.outbound import signing
from app.outbound.answer import Answer
from app.outbound.catalogue import EndpointRole, EventType
from app.outbound.envelope import envelope_for
from app.outbound.schedule import STEPS, Delivered, Disable, DisableReason, GiveUp, Retry, next_attempt, should_disable
from app.sealing import Sealer
from app.services import idempotency, webhook_secrets
from app.store.dispatches import DispatchStore, Due, Result, sites_due
from app.store.endpoints import EndpointStore
from app.store.engine import Engine, transaction
from app.store.sites import all_sites, database_now

# Longer than the longest attempt (20 s) and its recording; what a crash leaves behind waits this long.
LEASE: Final = timedelta(seconds=60)
SITES_AT_ONCE: Final = 16
UNSENDABLE: Final = "unsendable"

log = logger(__name__)


class Outlet(Protocol):
    """Makes one attempt; see `app.outbound.sender.Sender`."""

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """Trouble on the way is an answer and never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Leased:
    """An attempt that is ours to make until the lease ends; `claimed_at` by the database's clock."""

    site_id: UUID
    due: Due
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What an attempt came to, and whether its endpoint is to be switched off for it."""

    site_id: UUID
    result: Result
    disable: DisableReason | None = None
    failing_since: datetime | None = None


async def lease_due(engine: Engine, *, limit: int, per_endpoint: int, busy: Collection[UUID] = ()) -> list[Leased]:
    """Up to `limit` attempts that are due, site by site, each site in a transaction of its own."""
    async with transaction(engine) as connection:
        sites = await sites_due(connection, busy=busy, limit=SITES_AT_ONCE)
    leased: list[Leased] = []
    # Each site its share, so that one with a long queue does not take every place.
    for place, site_id in enumerate(sites):
        share = -(-(limit - len(leased)) // (len(sites) - place))
        if share > 0:
            leased += await _lease_of(engine, site_id, limit=share, per_endpoint=per_endpoint, busy=busy)
    return leased


async def _lease_of(
    engine: Engine, site_id: UUID, *, limit: int, per_endpoint: int, busy: Collection[UUID]
) -> list[Leased]:
    async with transaction(engine) as connection:
        now = await database_now(connection)
        dues = await DispatchStore(connection, site_id).claim(
            now, lease=LEASE, limit=limit, per_endpoint=per_endpoint, busy=busy
        )
    return [Leased(site_id, due, now) for due in dues]


async def attempt(
    leased: Leased, outlet: Outlet, sealer: Sealer, *, elapsed: Callable[[], timedelta], jitter: float
) -> Settled:
    """Makes one attempt. `elapsed`: the time since the lease, so that signatures carry the database's clock."""
    due = leased.due
    started_at = leased.claimed_at + elapsed()
    if due.attempt > len(STEPS):  # every attempt so far has ended its worker
        return _unsendable(leased, started_at, GiveUp())
    try:
        headers, body = _signed(leased, sealer, started_at)
    except Exception:  # one event that cannot be built must not stop the others
        log.exception("webhook_unsendable", event_id=str(due.event_id), attempt=due.attempt)
        nothing = Answer(status=None, error=None, retry_after=None, duration=timedelta(0), excerpt="")
        return _unsendable(leased, started_at, next_attempt(due.attempt, nothing, now=started_at, jitter=jitter))
    answer = await outlet.send(due.url, headers=headers, body=body)
    ended_at = leased.claimed_at + elapsed()
    outcome = next_attempt(due.attempt, answer, now=ended_at, jitter=jitter)
    settled = _settled(leased, started_at, answer, outcome)
    if settled.disable is None and not answer.succeeded and should_disable(due.first_failure_at, ended_at):
        return Settled(leased.site_id, settled.result, DisableReason.FAILING, due.first_failure_at)
    return settled


async def record(engine: Engine, site_id: UUID, settled: Sequence[Settled]) -> None:
    """Records attempts of one site in one transaction, and switches off the endpoints that call for it."""
    off = {each.result.endpoint_id: each for each in settled if each.disable is not None}
    async with transaction(engine) as connection:
        now = await database_now(connection)
        await DispatchStore(connection, site_id).record([each.result for each in settled], now)
        for endpoint_id, each in sorted(off.items()):
            if each.disable is not None and await EndpointStore(connection, site_id).disable(
                endpoint_id, each.disable.value, now, failing_since=each.failing_since
            ):
                log.warning("webhook_endpoint_disabled", endpoint_id=str(endpoint_id), reason=each.disable.value)


async def purge_idempotency_keys(engine: Engine) -> int:
    """Forgets keys older than 48 hours, one batch a site; answers with how many."""
    async with transaction(engine) as connection:
        sites = await all_sites(connection)
    purged = 0
    for site_id in sites:
        async with transaction(engine) as connection:
            purged += await idempotency.purge(connection, site_id, await database_now(connection))
    return purged


def _signed(leased: Leased, sealer: Sealer, at: datetime) -> tuple[Mapping[str, str], bytes]:
    due = leased.due
    event_id = ids.show("evt", due.event_id)
    body = envelope_for(
        EndpointRole(due.role),
        event_id=event_id,
        type=EventType(due.type),
        created_at=due.created_at,
        site=ids.show("site", leased.site_id),
        sequence=due.sequence,
        full=json.loads(due.full_data),
        thin=json.loads(due.thin_data),
    )
    secrets = webhook_secrets.valid(webhook_secrets.unseal(sealer, leased.site_id, due.secrets), at)
    return signing.sign([secret.text for secret in secrets], message_id=event_id, at=at, body=body), body


def _settled(
    leased: Leased, started_at: datetime, answer: Answer, outcome: Delivered | Retry | GiveUp | Disable
) -> Settled:
    due = leased.due
    state, again_at = _state_after(outcome)
    result = Result(
        event_id=due.event_id,
        endpoint_id=due.endpoint_id,
        attempt=due.attempt,
        state=state,
        next_attempt_at=again_at,
        started_at=started_at,
        duration_ms=answer.duration // timedelta(milliseconds=1),
        status_code=answer.status,
        error=answer.error.value if answer.error else None,
        excerpt=answer.excerpt,
    )
    return Settled(leased.site_id, result, outcome.reason if isinstance(outcome, Disable) else None)


def _state_after(outcome: Delivered | Retry | GiveUp | Disable) -> tuple[DispatchState, datetime | None]:
    match outcome:
        case Delivered():
            return DispatchState.DELIVERED, None
        case Retry(at=at):
            return DispatchState.PENDING, at
        case GiveUp() | Disable():
            return DispatchState.FAILED, None
        case _:
            assert_never(outcome)


def _unsendable(leased: Leased, at: datetime, outcome: Delivered | Retry | GiveUp | Disable) -> Settled:
    """A fault of ours: tried again as often as any other, since the next version may know how; then parked."""
    nothing = Answer(status=None, error=None, retry_after=None, duration=timedelta(0), excerpt="")
    settled = _settled(leased, at, nothing, outcome)
    return Settled(settled.site_id, replace(settled.result, error=UNSENDABLE))
