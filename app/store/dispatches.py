"""What is due to be sent, site by site: leased for an attempt, and its result recorded."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.closed_sets import DispatchState
from app.store.statement import statement

# A case's next event waits for its earlier one. It is looked at again when that one is, or is let go by its result.
RECHECK = timedelta(seconds=1)

_DUE = """d.site_id = w.site_id AND d.endpoint_id = w.endpoint_id AND d.state = 'pending'
    AND d.next_attempt_at <= now() AND (d.leased_until IS NULL OR d.leased_until <= now())"""

# One look into the index for each endpoint, however long its queue is.
_SITES_DUE = statement(f"""
    SELECT DISTINCT w.site_id
    FROM webhook_endpoints w CROSS JOIN LATERAL (
        SELECT FROM dispatches d WHERE {_DUE} ORDER BY d.next_attempt_at LIMIT 1
    ) due
    WHERE w.enabled AND w.endpoint_id <> ALL(:busy)
    LIMIT :limit""")  # noqa: S608 - no value is among the parts

# The lease is part of what is locked: a row that another worker leased a moment ago is looked at anew, and passed over.
_CLAIM = statement(f"""
    WITH due AS MATERIALIZED (
        SELECT d.event_id, d.endpoint_id, d.case_id, d.sequence
        FROM webhook_endpoints w CROSS JOIN LATERAL (
            SELECT d.event_id, d.endpoint_id, d.case_id, d.sequence FROM dispatches d WHERE {_DUE}
            ORDER BY d.next_attempt_at LIMIT :per_endpoint FOR UPDATE OF d SKIP LOCKED
        ) d
        WHERE w.site_id = :site_id AND w.enabled AND w.endpoint_id <> ALL(:busy)
        LIMIT :limit
    ),
    waiting AS MATERIALIZED (
        SELECT due.event_id, due.endpoint_id, earlier.next_attempt_at, earlier.leased_until
        FROM due CROSS JOIN LATERAL (
            SELECT e.next_attempt_at, e.leased_until FROM dispatches e
            WHERE e.site_id = :site_id AND e.endpoint_id = due.endpoint_id AND e.case_id = due.case_id
              AND e.sequence < due.sequence AND e.state = 'pending'
            ORDER BY e.sequence LIMIT 1
        ) earlier
    ),
    deferred AS (
        UPDATE dispatches d
        SET next_attempt_at = greatest(waiting.next_attempt_at, waiting.leased_until, CAST(:at AS timestamptz))
        FROM waiting
        WHERE d.site_id = :site_id AND d.event_id = waiting.event_id AND d.endpoint_id = waiting.endpoint_id
    ),
    leased AS (
        UPDATE dispatches d SET leased_until = :leased_until, attempts = d.attempts + 1
        FROM due
        WHERE d.site_id = :site_id AND d.event_id = due.event_id AND d.endpoint_id = due.endpoint_id
          AND (due.event_id, due.endpoint_id) NOT IN (SELECT event_id, endpoint_id FROM waiting)
        RETURNING d.event_id, d.endpoint_id, d.attempts
    )
    SELECT l.event_id, l.endpoint_id, l.attempts AS attempt, e.type, e.sequence, e.created_at, e.full_data, e.thin_data,
           w.url, w.role, w.secrets, w.first_failure_at, s.mode
    FROM leased l
    JOIN events e ON e.site_id = :site_id AND e.event_id = l.event_id
    JOIN webhook_endpoints w ON w.site_id = :site_id AND w.endpoint_id = l.endpoint_id
    JOIN sites s ON s.site_id = :site_id
    ORDER BY e.event_id""")  # noqa: S608 - as above

# The endpoints come before their dispatches, as for who switches one off and cancels what was on its way.
# A result that comes after its lease ran out and the event was leased again changes nothing, unless it is a success.
_RECORD = statement("""
    WITH given AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:results AS jsonb)) AS g(
            event_id uuid, endpoint_id uuid, attempt integer, state text, next_attempt_at timestamptz,
            started_at timestamptz, duration_ms integer, status_code integer, error text, excerpt text)
    ),
    held AS MATERIALIZED (
        SELECT endpoint_id FROM webhook_endpoints
        WHERE site_id = :site_id AND endpoint_id = ANY(ARRAY(SELECT endpoint_id FROM given))
        ORDER BY endpoint_id FOR UPDATE
    ),
    tried AS (
        INSERT INTO webhook_attempts (site_id, event_id, endpoint_id, n, started_at, duration_ms, status_code, error,
                                      excerpt)
        SELECT :site_id, g.event_id, g.endpoint_id, 1 + (
                   SELECT coalesce(max(a.n), 0) FROM webhook_attempts a
                   WHERE a.site_id = :site_id AND a.event_id = g.event_id AND a.endpoint_id = g.endpoint_id),
               g.started_at, g.duration_ms, g.status_code, g.error, g.excerpt
        FROM given g WHERE (SELECT count(*) FROM held) >= 0
        ON CONFLICT DO NOTHING
    ),
    done AS (
        UPDATE dispatches d SET state = g.state, leased_until = NULL,
                                next_attempt_at = coalesce(g.next_attempt_at, d.next_attempt_at)
        FROM given g
        WHERE d.site_id = :site_id AND d.event_id = g.event_id AND d.endpoint_id = g.endpoint_id
          AND d.state = 'pending' AND (d.attempts = g.attempt OR g.state = 'delivered')
          AND (SELECT count(*) FROM held) >= 0
        RETURNING d.event_id, d.endpoint_id, d.case_id, d.sequence, d.state
    ),
    released AS (
        UPDATE dispatches d SET next_attempt_at = least(d.next_attempt_at, :now)
        FROM done
        WHERE done.state <> 'pending' AND d.site_id = :site_id AND d.endpoint_id = done.endpoint_id
          AND d.case_id = done.case_id AND d.state = 'pending' AND d.attempts = 0
          AND (d.event_id, d.endpoint_id) NOT IN (SELECT event_id, endpoint_id FROM given)
          AND d.sequence = (
              SELECT min(n.sequence) FROM dispatches n
              WHERE n.site_id = :site_id AND n.endpoint_id = done.endpoint_id AND n.case_id = done.case_id
                AND n.state = 'pending' AND n.sequence > done.sequence)
    ),
    health AS MATERIALIZED (
        SELECT w.endpoint_id, results.succeeded, results.began
        FROM webhook_endpoints w JOIN (
            SELECT endpoint_id, bool_or(state = 'delivered') AS succeeded, min(started_at) AS began
            FROM given GROUP BY endpoint_id
        ) results ON results.endpoint_id = w.endpoint_id
        WHERE w.site_id = :site_id AND results.succeeded <> (w.first_failure_at IS NULL)
        ORDER BY w.endpoint_id FOR UPDATE OF w
    ),
    noted AS (
        UPDATE webhook_endpoints w SET first_failure_at = CASE WHEN health.succeeded THEN NULL ELSE health.began END
        FROM health WHERE w.site_id = :site_id AND w.endpoint_id = health.endpoint_id
    )
    SELECT count(*) FROM done""")


@dataclass(frozen=True, slots=True)
class Due:
    """One attempt to make, leased to us. `attempt` counts from 1; `secrets` is sealed; `mode` is the site's."""

    event_id: UUID
    endpoint_id: UUID
    attempt: int
    type: str
    sequence: int | None
    created_at: datetime
    full_data: str
    thin_data: str
    url: str
    role: str
    secrets: bytes
    first_failure_at: datetime | None
    mode: str


@dataclass(frozen=True, slots=True)
class Result:
    """What an attempt came to. `state` pending: again at `next_attempt_at`."""

    event_id: UUID
    endpoint_id: UUID
    attempt: int
    state: DispatchState
    next_attempt_at: datetime | None
    started_at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    excerpt: str


_RESULTS = TypeAdapter(Sequence[Result])


async def sites_due(connection: AsyncConnection, *, busy: Collection[UUID], limit: int) -> list[UUID]:
    """Sites that have something to send now, to endpoints other than `busy`. Reads only: no lock spans two sites."""
    found = await connection.scalars(_SITES_DUE, {"busy": list(busy), "limit": limit})
    return list(found.all())


class DispatchStore:
    """The dispatches of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def claim(
        self, now: datetime, *, lease: timedelta, limit: int, per_endpoint: int, busy: Collection[UUID] = ()
    ) -> list[Due]:
        """Leases what is due, at most `per_endpoint` for each endpoint that is not `busy`; `now` is the database's.

        An attempt counts from here, so that an event which kills its worker runs out of attempts, too.
        """
        parameters = {
            "site_id": self._site_id,
            "leased_until": now + lease,
            "at": now + RECHECK,
            "limit": limit,
            "per_endpoint": per_endpoint,
            "busy": list(busy),
        }
        return [Due(**row) for row in (await self._connection.execute(_CLAIM, parameters)).mappings()]

    async def record(self, results: Sequence[Result], now: datetime) -> int:
        """Records attempts, and what follows from them; answers with how many still were ours to settle."""
        parameters = {"site_id": self._site_id, "now": now, "results": _RESULTS.dump_json(results).decode()}
        return int(await self._connection.scalar(_RECORD, parameters))
