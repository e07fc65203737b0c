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
from app.rules.settlement import RefundState, ReportVerdict
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

_READ = statement(f"""
    SELECT CAST(coalesce(jsonb_agg(jsonb_build_object(
        'refund', to_jsonb(r), 'payment_amount', p.amount, 'overdrawn', p.overdrawn_amount, 'paid_at', p.paid_at,
        'gone', greatest(p.refunded_amount, p.found_amount) + coalesce(o.gone, 0),
        'disputed', coalesce(o.disputed, false), 'enabled', a.enabled,
        'closed', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                'refund_id', c.refund_id, 'refund_no', c.refund_no, 'amount', c.amount,
                'kind', b.kind, 'credentials', encode(b.credentials, 'base64')) ORDER BY c.refund_id), '[]')
            FROM refunds c JOIN channel_accounts b ON b.site_id = c.site_id AND b.account_id = c.account_id
            WHERE c.site_id = r.site_id AND c.payment_no = r.payment_no AND c.case_id = r.case_id
              AND c.state = '{RefundState.CLOSED}' AND c.submitted_at IS NOT NULL
              AND r.replaces IS NOT NULL AND r.submitted_at IS NULL
        ),
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
        SELECT count(o.submitted_at) AS earlier, max(o.submitted_at) AS last_begun_at,
            sum(o.amount) FILTER (WHERE o.state = '{RefundState.SUCCEEDED}' OR (
                o.state <> '{RefundState.CLOSED}' AND (o.account_id IS NULL OR o.submitted_at IS NOT NULL))) AS gone,
            bool_or(o.state = '{RefundState.CLOSED}' AND EXISTS (
                SELECT FROM refund_reports s
                WHERE s.site_id = o.site_id AND s.refund_id = o.refund_id AND s.state = '{RefundState.SUCCEEDED}'
                  AND s.verdict = '{ReportVerdict.CONFLICT}' AND s.last_received_at >= r.instructed_at)) AS disputed
        FROM refunds o
        WHERE o.site_id = r.site_id AND o.payment_no = r.payment_no AND o.refund_id <> r.refund_id
    ) o
    WHERE r.site_id = :site_id AND r.refund_id = ANY(:busy)""")  # noqa: S608 - the names of states are ours

# What is written of a payment's refunds is written while the payment is locked: what is read next is as it stands.
_HOLD = statement("""
    SELECT p.payment_no FROM payments p
    WHERE p.site_id = :site_id AND p.payment_no = (
        SELECT r.payment_no FROM refunds r WHERE r.site_id = :site_id AND r.refund_id = :refund_id
    )
    FOR UPDATE""")

# Written before the channel is asked: whoever comes after a crash asks what has become of it first.
_SUBMITTING = statement("""
    UPDATE refunds SET submitted_at = now() WHERE site_id = :site_id AND refund_id = :refund_id""")

_SCHEDULE = statement("""
    UPDATE refunds SET next_step_at = :next_step_at, asked = :asked, asked_at = now(), last_said = :last_said
    WHERE site_id = :site_id AND refund_id = :refund_id AND next_step_at IS NOT NULL
      AND instructed_at IS NOT DISTINCT FROM :instructed_at""")

_HURRY = statement(f"""
    UPDATE refunds SET next_step_at = least(next_step_at, :now)
    WHERE site_id = :site_id AND refund_id = ANY(ARRAY(
        SELECT refund_id FROM refunds
        WHERE site_id = :site_id AND account_id = :account_id AND next_step_at IS NOT NULL AND submitted_at IS NOT NULL
          AND next_step_at > :now + {_LEASE} AND (asked_at IS NULL OR asked_at <= :now - {_LEASE})
          AND (refund_no = :refund_no OR payment_no = :payment_no)
        ORDER BY payment_no, refund_id FOR UPDATE))""")  # noqa: S608 - the length is ours


@dataclass(frozen=True, slots=True)
class ClosedRefund:
    """A refund that was begun by an account and closed, before another took its place."""

    refund_id: UUID
    refund_no: str
    amount: int
    kind: ChannelKind
    credentials: str


@dataclass(frozen=True, slots=True)
class DueRefund:
    """A refund that is ours to ask for until the lease ends, and what the channel has to know of it.

    `credentials` are sealed, in base64. `overdrawn`: by how many fen others went beyond what is promised. `gone`,
    `earlier`, `last_begun_at` as in an `Instruction`. `disputed`: since this refund was asked for, a closed one over
    the same payment was said to have been paid. `closed`: those in whose place it stands, until it is begun itself.
    """

    refund: RefundRow
    payment_amount: int
    overdrawn: int
    paid_at: datetime
    reason: Reason
    decisive_rule: str
    gone: int
    disputed: bool
    earlier: int
    last_begun_at: datetime | None
    enabled: bool
    kind: ChannelKind
    credentials: str
    mode: str
    closed: tuple[ClosedRefund, ...]


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
        return await self._read(claimed)

    async def hold(self, leased: RefundRow) -> DueRefund | None:
        """The refund as it stands, its payment locked until the transaction ends; None where it was asked for anew.

        Whoever submits another refund over the same payment waits, and then sees that this one was submitted.
        """
        await self._connection.execute(_HOLD, {"site_id": self._site_id, "refund_id": leased.refund_id})
        found = await self._read([leased.refund_id])
        is_the_same = found and (found[0].refund.instructed_at, found[0].refund.account_id) == (
            leased.instructed_at,
            leased.account_id,
        )
        return found[0] if is_the_same else None

    async def submitting(self, refund_id: UUID) -> None:
        """Puts down that the channel is asked now."""
        await self._connection.execute(_SUBMITTING, {"site_id": self._site_id, "refund_id": refund_id})

    async def schedule(self, leased: RefundRow, next_step_at: datetime, asked: int, last_said: str | None) -> None:
        """When to ask again, unless there is nothing more to ask, or it was asked for anew meanwhile."""
        parameters = {
            "site_id": self._site_id,
            "refund_id": leased.refund_id,
            "instructed_at": leased.instructed_at,
            "next_step_at": next_step_at,
            "asked": asked,
            "last_said": last_said,
        }
        await self._connection.execute(_SCHEDULE, parameters)

    async def _read(self, refund_ids: Sequence[UUID]) -> Sequence[DueRefund]:
        found = await self._connection.scalar(_READ, {"site_id": self._site_id, "busy": list(refund_ids)})
        return _MANY.validate_json(found)

    async def hurry(self, account_id: UUID, *, refund_no: str | None, payment_no: str | None, now: datetime) -> None:
        """Asks now for what would be asked for later; what is being asked for, or was just now, is left alone.

        A hint may come any number of times, and from a buyer's own browser.
        """
        parameters = {"account_id": account_id, "refund_no": refund_no, "payment_no": payment_no, "now": now}
        await self._connection.execute(_HURRY, {"site_id": self._site_id, **parameters})
