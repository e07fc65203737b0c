"""Refunds that somebody else made over our payments, as channels told them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from app.rules.settlement import FailureCode, RefundState
from app.store.statement import statement

# Where a channel tells only how much went back in all, what no refund of ours explains stands under this reference. It
# may be made up of refunds that are also known by themselves. No number of a channel's has a blank in it.
TOTAL: Final = "in total"

# In the order in which everybody locks: the order first, then its payment.
_LOCK = statement("""
    WITH subject AS MATERIALIZED (
        SELECT order_no FROM payments WHERE site_id = :site_id AND payment_no = :payment_no
    ),
    ordered AS MATERIALIZED (
        SELECT order_no FROM orders WHERE site_id = :site_id AND order_no = (SELECT order_no FROM subject) FOR UPDATE
    )
    SELECT payment_no FROM payments
    WHERE site_id = :site_id AND payment_no = :payment_no AND (SELECT count(*) FROM ordered) >= 0
    FOR UPDATE""")

_READ = statement("""
    SELECT CAST(jsonb_build_object(
        'payment_no', p.payment_no, 'order_no', p.order_no, 'amount', p.amount, 'overdrawn', p.overdrawn_amount,
        'refunds', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                'refund_id', r.refund_id, 'refund_no', r.refund_no, 'amount', r.amount, 'state', r.state,
                'channel_refund_no', r.channel_refund_no,
                'begun', r.account_id IS NULL OR r.submitted_at IS NOT NULL) ORDER BY r.refund_id), '[]')
            FROM refunds r WHERE r.site_id = p.site_id AND r.payment_no = p.payment_no
        )) AS text)
    FROM payments p WHERE p.site_id = :site_id AND p.payment_no = :payment_no""")

_KEEP = statement("""
    INSERT INTO found_refunds AS f (site_id, payment_no, reference, amount, refunded_at, found_at)
    SELECT :site_id, :payment_no, g.reference, g.amount, g.refunded_at, :now
    FROM jsonb_to_recordset(CAST(:refunds AS jsonb)) AS g(reference text, amount bigint, refunded_at timestamptz)
    ON CONFLICT (site_id, payment_no, reference) DO UPDATE SET amount = EXCLUDED.amount, found_at = EXCLUDED.found_at
    WHERE f.amount < EXCLUDED.amount
    RETURNING f.reference""")

# The only statement that may raise what is overdrawn: what others have done is a fact, whatever was promised.
_LOWER = statement(f"""
    UPDATE payments p
    SET found_amount = s.found,
        overdrawn_amount = greatest(0, greatest(p.refunded_amount, s.found) + p.reserved_amount - p.amount)
    FROM (
        SELECT coalesce(greatest(sum(f.amount) FILTER (WHERE f.reference <> '{TOTAL}'),
                                 max(f.amount) FILTER (WHERE f.reference = '{TOTAL}')), 0) AS found
        FROM found_refunds f WHERE f.site_id = :site_id AND f.payment_no = :payment_no
    ) s
    WHERE p.site_id = :site_id AND p.payment_no = :payment_no
    RETURNING p.overdrawn_amount""")  # noqa: S608 - the reference is ours


# Of refunds that were closed since the money went back by another way, nobody says which way that was. It was not what
# had gone back already when the refund was made; but that may have been what closed another one before.
_ELSEWHERE = statement(f"""
    WITH closed AS (
        SELECT refund_id, amount, gone_before, created_at, settled_at FROM refunds
        WHERE site_id = :site_id AND payment_no = :payment_no
          AND state = '{RefundState.CLOSED}' AND failure_code = '{FailureCode.REFUNDED_ELSEWHERE}'
    )
    SELECT max(c.gone_before + (
        SELECT sum(o.amount) FROM closed o WHERE o.refund_id = c.refund_id OR o.settled_at > c.created_at
    )) FROM closed c""")  # noqa: S608 - the names are ours


@dataclass(frozen=True, slots=True)
class OurRefund:
    """A refund of ours over a payment; `begun`: the channel may have been asked for it."""

    refund_id: UUID
    refund_no: str
    amount: int
    state: RefundState
    channel_refund_no: str | None
    begun: bool


@dataclass(frozen=True, slots=True)
class PaymentHeld:
    """A payment that is locked, with our refunds over it."""

    payment_no: str
    order_no: str | None
    amount: int
    overdrawn: int
    refunds: tuple[OurRefund, ...]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A refund by somebody else; `reference` is the channel's number of it."""

    reference: str
    amount: int
    refunded_at: datetime | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of it: whether any of it was new, and by how many fen the promises are overdrawn."""

    is_new: bool
    overdrawn: int


_HELD = TypeAdapter(PaymentHeld)
_FOREIGN = TypeAdapter(Sequence[Foreign])


class FoundStore:
    """What was found over the payments of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def lock(self, payment_no: str) -> PaymentHeld | None:
        """The payment, its order locked before it; None for one that the site never told."""
        parameters = {"site_id": self._site_id, "payment_no": payment_no}
        if await self._connection.scalar(_LOCK, parameters) is None:
            return None
        return _HELD.validate_json(await self._connection.scalar(_READ, parameters))

    async def keep(self, payment_no: str, found: Sequence[Foreign], now: datetime) -> Kept:
        """Keeps what is new of it, and lowers what may still be paid. The payment is locked."""
        parameters = {"site_id": self._site_id, "payment_no": payment_no}
        kept = {"refunds": _FOREIGN.dump_json(found).decode(), "now": now}
        is_new = bool((await self._connection.scalars(_KEEP, {**parameters, **kept})).all())
        return Kept(is_new, int(await self._connection.scalar(_LOWER, parameters) or 0))

    async def keep_elsewhere(self, payment_no: str, now: datetime) -> None:
        """Keeps what went back by other ways than the refunds that were closed for it. The payment is locked."""
        parameters = {"site_id": self._site_id, "payment_no": payment_no}
        amount = int(await self._connection.scalar(_ELSEWHERE, parameters) or 0)
        await self.keep(payment_no, [Foreign(TOTAL, amount, None)], now)
