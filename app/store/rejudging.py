"""Which cases are judged anew because a record has changed: each becomes work for the worker, at once and once."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Text, TextClause, Uuid, bindparam, exc, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime

from app.errors import Busy
from app.models.closed_sets import Chore, RecordKind
from app.rules.lifecycle import UNDECIDED
from app.store.engine import LOCK_NOT_AVAILABLE, Collided, sqlstate
from app.store.record_rows import Change, Put

_TRIES: Final = 4
_LATEST: Final = 2**31 - 1
_PUTS = TypeAdapter(Sequence[Put])
_STATUSES: Final = ", ".join(f"'{status}'" for status in UNDECIDED)

# A case whose order is locked waits to be judged or does not; one that is only the merchant's may be judged on what the
# merchant was before at this very moment, so that it is enqueued for sure.
# The two latest versions of a record say where it belongs and where it belonged before. A limit keeps the search one
# look into an index for each record, where a join might read the history of all.
# What comes to light late is out of turn: whoever finds it taken begins anew, and takes it in turn.
_ENQUEUE = f"""
    WITH told AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:records AS jsonb)) AS told(kind text, record_no text, version integer)
    ),
    stood AS MATERIALIZED ({{stood}}),
    touched AS MATERIALIZED (
        SELECT record_no AS order_no FROM told WHERE kind = 'order'
        UNION SELECT order_no FROM stood WHERE order_no IS NOT NULL
        UNION SELECT order_no FROM deliveries WHERE site_id = :site_id AND card_fingerprint = ANY(ARRAY(
            SELECT card_fingerprint FROM stood WHERE card_fingerprint IS NOT NULL))
    ),
    late AS MATERIALIZED (
        SELECT order_no FROM orders WHERE site_id = :site_id AND order_no = ANY(ARRAY(
            SELECT order_no FROM touched EXCEPT SELECT unnest(:locked)))
        ORDER BY order_no FOR UPDATE NOWAIT
    ),
    borne AS (
        SELECT case_id, false AS for_sure FROM cases
        WHERE site_id = :site_id AND order_no = ANY(ARRAY(SELECT order_no FROM touched)) AND status IN ({_STATUSES})
        UNION ALL
        SELECT case_id, false FROM cases WHERE site_id = :site_id AND case_id = ANY(ARRAY(
            SELECT case_id FROM case_payments WHERE site_id = :site_id AND payment_no = ANY(ARRAY(
                SELECT record_no FROM told WHERE kind = 'payment')))) AND status IN ({_STATUSES})
        UNION ALL
        SELECT case_id, true FROM cases WHERE site_id = :site_id AND merchant_id = ANY(ARRAY(
            SELECT record_no FROM told WHERE kind = 'merchant')) AND status IN ({_STATUSES})
    ),
    enqueued AS (
        INSERT INTO case_timers (site_id, case_id, name, kind, due_at, provisional, state, attempts, next_attempt_at,
                                 created_at)
        SELECT :site_id, case_id, '{Chore.REJUDGE}', 'due', :now, false, 'pending', 0, :now, :now
        FROM (SELECT case_id, bool_or(for_sure) AS for_sure FROM borne GROUP BY case_id) AS each
        WHERE for_sure OR NOT EXISTS (
            SELECT FROM case_timers t WHERE t.site_id = :site_id AND t.case_id = each.case_id
            AND t.name = '{Chore.REJUDGE}' AND t.kind = 'due' AND t.state = 'pending')
        ORDER BY case_id
        ON CONFLICT (site_id, case_id, name, kind, due_at) DO UPDATE
        SET state = 'pending', attempts = 0, next_attempt_at = EXCLUDED.next_attempt_at, settled_at = NULL
    )
    SELECT coalesce(array_agg(order_no), '{{{{}}}}') FROM late"""  # noqa: S608 - no value is among the parts
_AS_TOLD: Final = """
        SELECT v.record ->> 'order_no' AS order_no, v.record ->> 'card_fingerprint' AS card_fingerprint
        FROM told CROSS JOIN LATERAL (
            SELECT record FROM record_versions
            WHERE site_id = :site_id AND kind = told.kind AND record_no = told.record_no AND version <= told.version
            ORDER BY version DESC LIMIT 2
        ) AS v
        WHERE told.kind IN ('payment', 'delivery')"""
_AS_IT_STANDS: Final = """
        SELECT order_no, NULL AS card_fingerprint FROM payments
        WHERE site_id = :site_id AND payment_no = ANY(ARRAY(SELECT record_no FROM told))"""


def _enqueue(stood: str) -> TextClause:
    return text(_ENQUEUE.format(stood=stood)).bindparams(
        bindparam("site_id", type_=Uuid()),
        bindparam("records", type_=Text()),
        bindparam("locked", type_=ARRAY(Text())),
        bindparam("now", type_=DateTime(timezone=True)),
    )


_ENQUEUE_TOLD: Final = _enqueue(_AS_TOLD)
_ENQUEUE_PAYMENT: Final = _enqueue(_AS_IT_STANDS)


class RejudgingStore:
    """What is to be judged anew in one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def enqueue_payment(self, payment_no: str, now: datetime, *, locked: Collection[str] = ()) -> None:
        """The same for a payment of which more, or less, is left than before, although nobody told it anew.

        It is locked, so that where it belonged before does not matter any more.
        """
        put = Put(RecordKind.PAYMENT, payment_no, _LATEST, Change.UPDATED)
        await self._search(_ENQUEUE_PAYMENT, [put], now, set(locked))

    async def enqueue(self, puts: Sequence[Put], now: datetime, *, locked: Collection[str] = ()) -> None:
        """Every undecided case that a changed record bears on is due now, unless it waits to be judged anyway.

        To be called after the records were written, as a statement of its own: it then sees the case of a filing for
        which the writing had to wait. `locked`: the orders that the writing locked. An order that has come to light
        only since then is locked here, and the search made again, since a claim on it may have been filed meanwhile.
        Collided where somebody has it: to wait for it would be out of turn. Busy if that does not come to an end.
        """
        changed = [put for put in puts if put.change is not Change.UNCHANGED]
        if not changed:
            return
        held = {*locked, *(put.record_no for put in changed if put.kind is RecordKind.ORDER)}
        await self._search(_ENQUEUE_TOLD, changed, now, held)

    async def _search(self, statement: TextClause, puts: Sequence[Put], now: datetime, held: set[str]) -> None:
        parameters = {"site_id": self._site_id, "records": _PUTS.dump_json(puts).decode(), "now": now}
        for _ in range(_TRIES):
            late = await self._late(statement, {**parameters, "locked": list(held)})
            if not late:
                return
            held.update(late)
        raise Busy

    async def _late(self, statement: TextClause, parameters: Mapping[str, Any]) -> Sequence[str]:
        try:
            found: Sequence[str] = await self._connection.scalar(statement, parameters)
        except exc.DBAPIError as error:
            if sqlstate(error) == LOCK_NOT_AVAILABLE:
                raise Collided from error
            raise
        return found
