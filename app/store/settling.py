"""Refunds that the service itself asks channels for: which are due, and what was said last.

A claim moves the next step away from now, so that nobody else asks meanwhile; after a crash the step comes round again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.closed_sets import ChannelKind
from app.rules.facts import Reason
from app.rules.settlement import RefundState
from app.store.case_rows import RefundRow
from app.store.refund_sql import LEASE
from app.store.statement import statement

_LEASE: Final = f"make_interval(secs => {LEASE.total_seconds()})"
_DUE: Final = "r.next_step_at <= now() AND r.account_id IS NOT NULL"

# One look into the index for each site. In no order, so that sites beyond the limit get their turn in another round.
_SITES_DUE = statement(f"""
    SELECT s.site_id FROM sites s CROSS JOIN LATERAL (
        SELECT FROM refunds r WHERE r.site_id = s.site_id AND {_DUE} ORDER BY r.next_step_at LIMIT 1
    ) due
    ORDER BY random() LIMIT :limit""")  # noqa: S608 - no value is among the parts

_CLAIM = statement(f"""
    UPDATE refunds SET next_step_at = :leased_until
    WHERE site_id = :site_id AND refund_id = ANY(ARRAY(
        SELECT r.refund_id FROM refunds r WHERE r.site_id = :site_id AND {_DUE}
        ORDER BY r.next_step_at LIMIT :limit FOR UPDATE SKIP LOCKED))
    RETURNING refund_id""")  # noqa: S608 - as above

_READ = statement("""
    SELECT CAST(coalesce(jsonb_agg(jsonb_build_object(
        'refund', to_jsonb(r), 'payment_amount', p.amount, 'overdrawn', p.overdrawn_amount, 'paid_at', p.paid_at,
        'reason', c.reason,
        'decisive_rule', coalesce((
            SELECT d.decisive_rule FROM decisions d WHERE d.site_id = r.site_id AND d.case_id = r.case_id
            ORDER BY d.n DESC LIMIT 1), ''),
        'earlier', coalesce(o.earlier, 0), 'last_begun_at', o.last_begun_at,
        'kind', a.kind, 'credentials', encode(a.credentials, 'base64'), 'mode', s.mode
    ) ORDER BY r.refund_id), '[]') AS text)
    FROM refunds r
    JOIN payments p ON p.site_id = r.site_id AND p.payment_no = r.payment_no
    JOIN cases c ON c.site_id = r.site_id AND c.case_id = r.case_id
    JOIN channel_accounts a ON a.site_id = r.site_id AND a.account_id = r.account_id
    JOIN sites s ON s.site_id = r.site_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS earlier, max(o.submitted_at) AS last_begun_at FROM refunds o
        WHERE o.site_id = r.site_id AND o.payment_no = r.payment_no AND o.refund_id <> r.refund_id
          AND o.submitted_at IS NOT NULL
    ) o
    WHERE r.site_id = :site_id AND r.refund_id = ANY(:busy)""")

# Written before the channel is asked: whoever comes after a crash asks what has become of it first.
_SUBMITTING = statement(f"""
    UPDATE refunds SET submitted_at = coalesce(submitted_at, now())
    WHERE site_id = :site_id AND refund_id = :refund_id AND account_id IS NOT NULL
      AND state IN ('{RefundState.REQUESTED}', '{RefundState.ACCEPTED}')
    RETURNING true""")  # noqa: S608 - the names of states are ours

_SCHEDULE = statement("""
    UPDATE refunds SET next_step_at = :next_step_at, asked = :asked, last_said = :last_said
    WHERE site_id = :site_id AND refund_id = :refund_id AND next_step_at IS NOT NULL""")

_HURRY = statement(f"""
    UPDATE refunds SET next_step_at = least(next_step_at, :now)
    WHERE site_id = :site_id AND account_id = :account_id AND next_step_at IS NOT NULL AND submitted_at IS NOT NULL
      AND next_step_at > :now + {_LEASE}
      AND (refund_no = :refund_no OR payment_no = :payment_no)""")  # noqa: S608 - the length is ours


@dataclass(frozen=True, slots=True)
class DueRefund:
    """A refund that is ours to ask for until the lease ends, and what the channel has to know of it.

    `credentials` are sealed, in base64. `overdrawn`: by how many fen others went beyond what is promised. `earlier`:
    how many refunds over the same payment were begun, the last of them at `last_begun_at`.
    """

    refund: RefundRow
    payment_amount: int
    overdrawn: int
    paid_at: datetime
    reason: Reason
    decisive_rule: str
    earlier: int
    last_begun_at: datetime | None
    kind: ChannelKind
    credentials: str
    mode: str


_MANY = TypeAdapter(Sequence[DueRefund])


async def sites_due(connection: AsyncConnection, limit: int) -> list[UUID]:
    """Some of the sites where a channel is to be asked. Reads only: no lock spans two sites."""
    return list((await connection.scalars(_SITES_DUE, {"limit": limit})).all())


class SettlingStore:
    """The refunds of one site that the service itself asks for."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def claim(self, leased_until: datetime, limit: int) -> Sequence[DueRefund]:
        """Those that are due, the oldest first; nobody else gets them until then."""
        parameters = {"site_id": self._site_id, "leased_until": leased_until, "limit": limit}
        claimed = (await self._connection.scalars(_CLAIM, parameters)).all()
        if not claimed:
            return []
        found = await self._connection.scalar(_READ, {"site_id": self._site_id, "busy": list(claimed)})
        return _MANY.validate_json(found)

    async def submitting(self, refund_id: UUID) -> bool:
        """Puts down that the channel is asked now; False where the refund is not to be asked for any more."""
        parameters = {"site_id": self._site_id, "refund_id": refund_id}
        return bool(await self._connection.scalar(_SUBMITTING, parameters))

    async def schedule(self, refund_id: UUID, next_step_at: datetime, asked: int, last_said: str | None) -> None:
        """When to ask again, unless there is nothing more to ask."""
        parameters = {"refund_id": refund_id, "next_step_at": next_step_at, "asked": asked, "last_said": last_said}
        await self._connection.execute(_SCHEDULE, {"site_id": self._site_id, **parameters})

    async def hurry(self, account_id: UUID, *, refund_no: str | None, payment_no: str | None, now: datetime) -> None:
        """Asks now for what would be asked for later; what is being asked for already is left alone."""
        parameters = {"account_id": account_id, "refund_no": refund_no, "payment_no": payment_no, "now": now}
        await self._connection.execute(_HURRY, {"site_id": self._site_id, **parameters})
