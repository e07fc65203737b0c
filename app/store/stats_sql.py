"""The statement that counts a period.

The work is bounded by the number of cases in the period, of which no more than a limit are taken: they are found in the
order of their index, and everything else is looked up case by case. `OFFSET 0` keeps the planner from turning such a
look-up into a join with all that the site ever had. Orders are counted in their index, for the merchants shown.
"""

from functools import cache
from typing import Final

from sqlalchemy import TextClause

from app.models.closed_sets import ActKind, TimerKind, TimerState
from app.rules.lifecycle import CaseStatus
from app.rules.reasons import MERCHANT_FAULT
from app.store.signals import GRANTED
from app.store.statement import statement

MOST_MERCHANTS: Final = 100
PROMISES: Final = ("review", "first_answer", "merchant_turn", "evidence_supplement", "money_back")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


_GRANTED: Final = _listed(GRANTED)
_FAULTS: Final = _listed(tuple(sorted(MERCHANT_FAULT)))

_COUNTED = f"""
    counted AS MATERIALIZED (
        SELECT p.*, p.status IN ({_GRANTED}) AS approved, p.status = '{CaseStatus.REJECTED}' AS rejected,
               r.amount, d.outcome
        FROM period p
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(r.amount), 0) AS amount FROM refunds r
            WHERE r.site_id = :site_id AND r.case_id = p.case_id AND NOT EXISTS (
                SELECT FROM refunds o
                WHERE o.site_id = :site_id AND o.case_id = p.case_id AND o.replaces = r.refund_id)
        ) r
        LEFT JOIN LATERAL (
            SELECT d.outcome FROM decisions d WHERE d.site_id = :site_id AND d.case_id = p.case_id
            ORDER BY d.n DESC LIMIT 1
        ) d ON true
        WHERE :reason IS NULL OR p.reason = :reason
    )"""  # noqa: S608 - the names are ours

# A promise that was kept too late was broken, whether or not anybody was there to notice in time.
_DEADLINES = f"""
    deadlines AS (
        SELECT t.name,
               count(*) FILTER (WHERE t.state = '{TimerState.KEPT}' AND t.settled_at <= t.due_at) AS kept,
               count(*) FILTER (WHERE t.state = '{TimerState.FIRED}'
                   OR t.state = '{TimerState.KEPT}' AND t.settled_at > t.due_at
                   OR t.state = '{TimerState.PENDING}' AND t.due_at < now()) AS missed,
               count(*) FILTER (WHERE t.state = '{TimerState.PENDING}' AND t.due_at >= now()) AS running
        FROM counted c CROSS JOIN LATERAL (
            SELECT t.name, t.state, t.due_at, t.settled_at FROM case_timers t
            WHERE t.site_id = :site_id AND t.case_id = c.case_id AND t.kind = '{TimerKind.DUE}'
              AND t.name IN ({_listed(PROMISES)}) AND t.state <> '{TimerState.VOID}'
            OFFSET 0
        ) t
        GROUP BY t.name
    )"""  # noqa: S608 - as above

_RULINGS = f"""
    rulings AS MATERIALIZED (
        SELECT a.outcome, a.overturned FROM counted c CROSS JOIN LATERAL (
            SELECT a.details ->> 'outcome' AS outcome, a.details ->> 'overturned' AS overturned FROM case_acts a
            WHERE a.site_id = :site_id AND a.case_id = c.case_id AND a.kind = '{ActKind.RULING}'
            OFFSET 0
        ) a
    )"""  # noqa: S608 - as above

_TALLY = """count(*) AS cases, count(*) FILTER (WHERE approved) AS approved,
               count(*) FILTER (WHERE rejected) AS rejected, sum(amount) AS amount_granted"""
_TALLIES = f"""
    merchants AS MATERIALIZED (
        SELECT merchant_id AS key, {_TALLY},
               count(DISTINCT order_no) FILTER (WHERE approved AND reason IN ({_FAULTS})) AS orders_refunded
        FROM counted WHERE merchant_id IS NOT NULL GROUP BY merchant_id
        ORDER BY count(*) DESC, merchant_id LIMIT {MOST_MERCHANTS}
    ),
    reasons AS (SELECT reason AS key, {_TALLY} FROM counted GROUP BY reason)"""  # noqa: S608 - as above

_ANSWER = """
    SELECT CAST(jsonb_build_object(
        'scanned', (SELECT count(*) FROM period),
        'by_status', (
            SELECT coalesce(jsonb_object_agg(status, n), '{}')
            FROM (SELECT status, count(*) AS n FROM counted GROUP BY status) g
        ),
        'by_outcome', (
            SELECT coalesce(jsonb_object_agg(outcome, n), '{}')
            FROM (SELECT outcome, count(*) AS n FROM counted WHERE outcome IS NOT NULL GROUP BY outcome) g
        ),
        'deadlines', (
            SELECT coalesce(jsonb_object_agg(name, to_jsonb(d)), '{}') FROM deadlines d
        ),
        'rulings', (
            SELECT coalesce(jsonb_object_agg(outcome, n), '{}')
            FROM (SELECT outcome, count(*) AS n FROM rulings GROUP BY outcome) g
        ),
        'overturned', (
            SELECT coalesce(jsonb_object_agg(overturned, n), '{}')
            FROM (SELECT overturned, count(*) AS n FROM rulings WHERE overturned IS NOT NULL GROUP BY overturned) g
        ),
        'merchants', (
            SELECT coalesce(jsonb_agg(to_jsonb(m) || jsonb_build_object('orders', (
                SELECT count(*) FROM orders o
                WHERE o.site_id = :site_id AND o.merchant_id <> '' AND o.merchant_id = m.key
                  AND o.placed_at >= :since AND o.placed_at < :until
            )) ORDER BY m.cases DESC, m.key), '[]') FROM merchants m
        ),
        'reasons', (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.cases DESC, r.key), '[]') FROM reasons r)
    ) || (
        SELECT jsonb_build_object(
            'cases', count(*),
            'approved', count(*) FILTER (WHERE approved),
            'rejected', count(*) FILTER (WHERE rejected),
            'median_seconds', floor(percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds)),
            'p90_seconds', floor(percentile_disc(0.9) WITHIN GROUP (ORDER BY seconds)),
            'amount_granted', coalesce(sum(amount), 0),
            'appeals', count(*) FILTER (WHERE appealed_at IS NOT NULL),
            'appeals_granted', count(*) FILTER (WHERE appealed_at IS NOT NULL AND approved)
        )
        FROM (
            SELECT *, CASE WHEN approved OR rejected THEN extract(epoch FROM decided_at - created_at) END AS seconds
            FROM counted
        ) c
    ) AS text)"""


@cache
def counting(of_merchant: str) -> TextClause:
    """The statement; `of_merchant`: a further condition, so that each question finds its own index."""
    return statement(f"""
    WITH period AS MATERIALIZED (
        SELECT c.case_id, c.order_no, c.merchant_id, c.reason, c.status, c.created_at, c.decided_at, c.appealed_at
        FROM cases c
        WHERE c.site_id = :site_id AND c.created_at >= :since AND c.created_at < :until {of_merchant}
        LIMIT :limit
    ), {_COUNTED}, {_DEADLINES}, {_RULINGS}, {_TALLIES} {_ANSWER}""")  # noqa: S608 - as above
