"""What waits for a person, the oldest promise first.

The queue is read whole, without a look at any case that waits for nobody: it is as long as people leave it. What each
entry shows besides is read for the entries of the page alone.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.closed_sets import ActKind
from app.rules.facts import Reason
from app.rules.lifecycle import AT_THE_DESK, CaseStatus
from app.store.case_rows import ActRow, CaseRow
from app.store.statement import statement

_BEFORE_ALL: Final = datetime(2000, 1, 1, tzinfo=UTC)
_AFTER_ALL: Final = datetime(2200, 1, 1, tzinfo=UTC)

# A case without a promise of its own is shown as one that was promised when it came to wait: at the front.
_QUEUE = statement(f"""
    WITH waiting AS (
        SELECT c.*, coalesce(t.due_at, c.review_started_at, c.created_at) AS promised_by
        FROM cases c CROSS JOIN LATERAL (
            SELECT max(t.due_at) AS due_at FROM case_timers t
            WHERE t.site_id = c.site_id AND t.case_id = c.case_id AND t.kind = 'due' AND t.state IN ('pending', 'fired')
              AND t.name = CASE c.status WHEN '{CaseStatus.REFUND_FAILED}' THEN 'money_back' ELSE 'review' END
        ) t
        WHERE c.site_id = :site_id AND c.status IN ({", ".join(f"'{status}'" for status in AT_THE_DESK)})
          AND (:merchant_id IS NULL OR c.merchant_id = :merchant_id) AND (:reason IS NULL OR c.reason = :reason)
    ),
    page AS MATERIALIZED (
        SELECT * FROM waiting
        WHERE promised_by >= :since AND promised_by < :until AND (promised_by, case_id) > (:at, :case_id)
        ORDER BY promised_by, case_id LIMIT :limit
    )
    SELECT CAST(coalesce(jsonb_agg(jsonb_build_object(
        'case', to_jsonb(p), 'promised_by', p.promised_by, 'decisive_rule', d.decisive_rule, 'facts', d.facts,
        'proposal', (
            SELECT to_jsonb(a) FROM case_acts a
            WHERE a.site_id = p.site_id AND a.case_id = p.case_id AND a.kind = '{ActKind.RULING_PROPOSAL}'
              AND a.created_at >= p.review_started_at
            ORDER BY a.n DESC LIMIT 1
        )
    ) ORDER BY p.promised_by, p.case_id), '[]') AS text)
    FROM page p LEFT JOIN LATERAL (
        SELECT d.decisive_rule, d.facts FROM decisions d WHERE d.site_id = p.site_id AND d.case_id = p.case_id
        ORDER BY d.n DESC LIMIT 1
    ) d ON true""")  # noqa: S608 - the names of states are ours


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A case that waits for a person. `facts`: the canonical text that the latest decision was made on."""

    case: CaseRow
    promised_by: datetime
    decisive_rule: str | None
    facts: str | None
    proposal: ActRow | None


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which cases to list; None is no restriction. `overdue`: whether the promise is broken at `now`."""

    now: datetime
    merchant_id: str | None = None
    reason: Reason | None = None
    overdue: bool | None = None


@dataclass(frozen=True, slots=True)
class ReviewPosition:
    """Where a page ended: the last case shown."""

    promised_by: datetime
    case_id: UUID


_START: Final = ReviewPosition(_BEFORE_ALL, UUID(int=0))
_ROWS = TypeAdapter(tuple[ReviewRow, ...])


class ReviewStore:
    """The queue of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def page(
        self, wanted: ReviewFilter, *, limit: int, after: ReviewPosition | None = None
    ) -> tuple[ReviewRow, ...]:
        """The next `limit` cases after the one named: the oldest promise first, then in the order of their ids."""
        start = after or _START
        parameters = {
            "site_id": self._site_id,
            "merchant_id": wanted.merchant_id,
            "reason": None if wanted.reason is None else wanted.reason.value,
            "since": wanted.now if wanted.overdue is False else _BEFORE_ALL,
            "until": wanted.now if wanted.overdue else _AFTER_ALL,
            "at": start.promised_by,
            "case_id": start.case_id,
            "limit": limit,
        }
        return _ROWS.validate_json(await self._connection.scalar(_QUEUE, parameters))
