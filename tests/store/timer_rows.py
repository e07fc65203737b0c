"""Cases with timers, as bare rows: no decision stands behind them."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.closed_sets import TimerKind
from tests.store.rows import NOW, SITE

_CASES = text("""
    INSERT INTO cases (site_id, case_id, reason, status, claim, policy_name, policy_version, filed_at, created_at,
                       updated_at, version, next_sequence)
    SELECT :site_id, gen_random_uuid(), 'other', 'waiting', '{}', 'standard', 1, :now, :now, :now, 1, 1
    FROM generate_series(1, :count) RETURNING case_id""")
_TIMER = text("""
    INSERT INTO case_timers (site_id, case_id, name, kind, due_at, provisional, state, attempts, next_attempt_at,
                             created_at)
    VALUES (:site_id, :case_id, :name, :kind, :due_at, :provisional, 'pending', 0, :due_at, :due_at)""")
_STATES = text("""
    SELECT t.state, t.attempts, t.next_attempt_at, t.settled_at FROM case_timers t
    WHERE t.case_id = :case_id ORDER BY t.due_at, t.name, t.kind""")


async def add_cases(connection: AsyncConnection, count: int, site_id: UUID = SITE) -> list[UUID]:
    """Cases without an order."""
    return list((await connection.scalars(_CASES, {"site_id": site_id, "now": NOW, "count": count})).all())


async def add_case(connection: AsyncConnection, site_id: UUID = SITE) -> UUID:
    """One of them."""
    [case_id] = await add_cases(connection, 1, site_id)
    return case_id


async def add_timer(
    connection: AsyncConnection,
    case_id: UUID,
    due_at: datetime,
    *,
    name: str = "review",
    kind: TimerKind = TimerKind.DUE,
    provisional: bool = False,
    site_id: UUID = SITE,
) -> None:
    """A timer that nobody has tried."""
    timer = {"site_id": site_id, "case_id": case_id, "name": name, "kind": kind.value, "due_at": due_at}
    await connection.execute(_TIMER, {**timer, "provisional": provisional})


async def add_due_cases(connection: AsyncConnection, now: datetime, count: int, site_id: UUID = SITE) -> list[UUID]:
    """Cases, each with a timer that is due; the first is due the longest, the others a second apart."""
    case_ids = await add_cases(connection, count, site_id)
    timers = [
        {"site_id": site_id, "case_id": case_id, "name": "review", "kind": "due", "provisional": False,
         "due_at": now - timedelta(seconds=count - place)}
        for place, case_id in enumerate(case_ids)
    ]  # fmt: skip
    await connection.execute(_TIMER, timers)
    return case_ids


async def timers_of(connection: AsyncConnection, case_id: UUID) -> list[tuple[str, int, datetime, datetime | None]]:
    """State, attempts, next attempt, and when it was settled, in the order of the deadlines."""
    rows = await connection.execute(_STATES, {"case_id": case_id})
    return [(row.state, row.attempts, row.next_attempt_at, row.settled_at) for row in rows]
