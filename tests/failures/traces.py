"""What a request leaves behind in the database, told so that the same request on another order leaves the same."""

import json
from typing import Any, Final

import asyncpg

# Every name of a record contains the number of its order, which is taken out; ids and instants are left out.
_TRACES: Final = """
    WITH subject AS (
        SELECT c.* FROM cases c
        WHERE c.order_no = $1 OR EXISTS (
            SELECT FROM case_payments p
            WHERE p.site_id = c.site_id AND p.case_id = c.case_id AND p.payment_no LIKE 'P-' || $1 || '%')
    )
    SELECT replace(CAST(jsonb_build_object(
        'cases', (SELECT jsonb_agg(jsonb_build_array(reason, status, version, next_sequence) ORDER BY case_id)
                  FROM subject),
        'events', (SELECT jsonb_agg(jsonb_build_array(e.sequence, e.type) ORDER BY e.case_id, e.sequence, e.event_id)
                   FROM events e JOIN subject USING (site_id, case_id)),
        'dispatches', (SELECT count(*) FROM dispatches d JOIN subject USING (site_id, case_id)),
        'decisions', (SELECT jsonb_agg(jsonb_build_array(d.n, d.outcome, d.decisive_rule) ORDER BY d.case_id, d.n)
                      FROM decisions d JOIN subject USING (site_id, case_id)),
        'evidence', (SELECT count(*) FROM case_evidence d JOIN subject USING (site_id, case_id)),
        'acts', (SELECT jsonb_agg(jsonb_build_array(a.n, a.kind) ORDER BY a.case_id, a.n)
                 FROM case_acts a JOIN subject USING (site_id, case_id)),
        'timers', (SELECT jsonb_agg(jsonb_build_array(t.name, t.kind, t.state) ORDER BY t.name, t.kind, t.state)
                   FROM case_timers t JOIN subject USING (site_id, case_id)),
        'signals', (SELECT count(*) FROM signals s JOIN subject USING (site_id, case_id)),
        'refunds', (SELECT jsonb_agg(jsonb_build_array(r.payment_no, r.amount, r.state)
                                     ORDER BY r.payment_no, r.amount, r.state)
                    FROM refunds r JOIN subject USING (site_id, case_id)),
        'reports', (SELECT jsonb_agg(jsonb_build_array(p.n, p.state, p.verdict, p.times) ORDER BY p.refund_id, p.n)
                    FROM refund_reports p JOIN refunds USING (site_id, refund_id)
                         JOIN subject USING (site_id, case_id)),
        'deposit', (SELECT jsonb_agg(jsonb_build_array(n, kind, available, held) ORDER BY n)
                    FROM deposit_entries WHERE merchant_id = 'm-' || $1),
        'payments', (SELECT jsonb_agg(jsonb_build_array(payment_no, amount, refunded_amount, reserved_amount, version)
                                      ORDER BY payment_no)
                     FROM payments WHERE payment_no LIKE 'P-' || $1 || '%'),
        'versions', (SELECT jsonb_agg(jsonb_build_array(kind, record_no, version) ORDER BY kind, record_no, version)
                     FROM record_versions WHERE record_no LIKE '%' || $1)
    ) AS text), $1, '*')"""

# What must never be seen, at any moment, of any payment; all of it in one look.
_OVERDRAWN: Final = """
    SELECT payment_no FROM payments p
    WHERE refunded_amount + reserved_amount > amount
       OR reserved_amount <> (SELECT coalesce(sum(r.amount), 0) FROM refunds r
                              WHERE r.site_id = p.site_id AND r.payment_no = p.payment_no AND r.state <> 'closed')"""


async def traces(database: asyncpg.Connection, order_no: str) -> str:
    """All that bears on this order, as one text to compare with another order's."""
    found: str = await database.fetchval(_TRACES, order_no)
    return found


def difference(found: str, expected: str) -> list[str]:
    """Where two texts of traces are not the same, one line for each kind of trace."""
    left, right = json.loads(found), json.loads(expected)
    return [f"left behind {name} {left[name]}, not {right[name]}" for name in left if left[name] != right[name]]


async def at_odds(database: asyncpg.Connection) -> list[str]:
    """Payments on which more is refunded and promised than was paid, or not what their refunds add up to."""
    rows: list[Any] = await database.fetch(_OVERDRAWN)
    return [row["payment_no"] for row in rows]
