"""The statements that lock a case and read what bears on it."""

from sqlalchemy import TextClause

from app.models.closed_sets import FILED_AGAIN_AFTER, Chore
from app.store.statement import statement

CHORES_NAMED = ", ".join(f"'{name}'" for name in Chore)
ENDED = ", ".join(f"'{status}'" for status in FILED_AGAIN_AFTER)


# The order is locked before its payments, those in the order of their numbers, and the case last: whoever touches any
# of them takes them in this order. With SKIP LOCKED a case that somebody is busy with is let be.
def _lock(skip: str) -> TextClause:
    return statement(f"""
    WITH subject AS MATERIALIZED (
        SELECT order_no FROM cases WHERE site_id = :site_id AND case_id = :case_id
    ),
    concerned AS MATERIALIZED (
        SELECT order_no FROM orders WHERE site_id = :site_id AND order_no = ANY(ARRAY({_ORDER_NOS}))
    ),
    ordered AS MATERIALIZED (
        SELECT order_no FROM orders WHERE site_id = :site_id AND order_no = ANY(ARRAY(SELECT order_no FROM concerned))
        ORDER BY order_no FOR UPDATE {skip}
    ),
    paid AS MATERIALIZED (
        SELECT payment_no FROM payments
        WHERE site_id = :site_id AND payment_no = ANY(ARRAY({_PAYMENT_NOS}))
          AND (SELECT count(*) FROM ordered) = (SELECT count(*) FROM concerned)
        ORDER BY payment_no FOR UPDATE
    ),
    held AS MATERIALIZED (
        SELECT case_id FROM cases
        WHERE site_id = :site_id AND case_id = :case_id AND (SELECT count(*) FROM paid) >= 0
          AND (SELECT count(*) FROM ordered) = (SELECT count(*) FROM concerned)
        FOR UPDATE {skip}
    )
    SELECT count(*) = 1 FROM held""")  # noqa: S608 - no value is among the parts


_ORDER_NOS = """
            SELECT order_no FROM subject
            UNION SELECT p.order_no FROM case_payments n
            JOIN payments p ON p.site_id = n.site_id AND p.payment_no = n.payment_no
            WHERE n.site_id = :site_id AND n.case_id = :case_id
        """
_PAYMENT_NOS = """
            SELECT payment_no FROM payments WHERE site_id = :site_id AND order_no = (SELECT order_no FROM subject)
            UNION ALL SELECT payment_no FROM case_payments WHERE site_id = :site_id AND case_id = :case_id
        """
LOCK = _lock("")
LOCK_IF_FREE = _lock("SKIP LOCKED")
LOCK_ORDER = statement("SELECT FROM orders WHERE site_id = :site_id AND order_no = :order_no FOR UPDATE")


# What bears on a claim, from `ordered` and `paid`; `order_no` and `case_id` are terms of SQL.
def _on_file(order_no: str, case_id: str) -> str:
    return f"""
        'order', (SELECT to_jsonb(ordered) FROM ordered),
        'payments', (SELECT coalesce(jsonb_agg(to_jsonb(paid) ORDER BY payment_no), '[]') FROM paid),
        'deliveries', (
            SELECT coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('times_sold', greatest(d.times_sold, (
                SELECT count(DISTINCT same.order_no) FROM deliveries same
                WHERE same.site_id = :site_id AND same.card_fingerprint = d.card_fingerprint
            ))) ORDER BY d.delivery_no), '[]')
            FROM deliveries d WHERE d.site_id = :site_id AND d.order_no = {order_no}
        ),
        'merchant', (
            SELECT to_jsonb(m) || jsonb_build_object('deposit', greatest(0, m.deposit + coalesce((
                SELECT a.available - a.told FROM deposit_accounts a
                WHERE a.site_id = m.site_id AND a.merchant_id = m.merchant_id
            ), 0) + coalesce((
                SELECT sum(e.held) FROM deposit_entries e
                WHERE e.site_id = m.site_id AND e.case_id = {case_id} AND e.merchant_id = m.merchant_id
            ), 0)))
            FROM merchants m
            WHERE m.site_id = :site_id AND m.merchant_id = (SELECT merchant_id FROM ordered)
        ),
        'accounts', (
            SELECT coalesce(jsonb_object_agg(a.channel, a.account_id), '{{}}') FROM channel_accounts a
            WHERE a.site_id = :site_id AND a.enabled
        ),
        'reused', (
            SELECT coalesce(jsonb_agg(DISTINCT e.sha256), '[]') FROM case_evidence e
            WHERE e.site_id = :site_id AND e.sha256 = ANY(:hashes) AND {order_no} IS DISTINCT FROM (
                SELECT c.order_no FROM cases c WHERE c.site_id = e.site_id AND c.case_id = e.case_id)
        ),
        'strikes', (
            SELECT count(*) FROM signals s
            WHERE s.site_id = :site_id AND s.subject = 'buyer' AND s.subject_id = (SELECT buyer_id FROM ordered)
              AND s.strike AND s.revoked_at IS NULL AND s.expires_at > now() AND s.case_id IS DISTINCT FROM {case_id}
        )"""  # noqa: S608 - as above


READ = statement(f"""
    WITH ordered AS MATERIALIZED (
        SELECT * FROM orders WHERE site_id = :site_id AND order_no = :order_no FOR UPDATE
    ),
    paid AS MATERIALIZED (
        SELECT * FROM payments
        WHERE site_id = :site_id AND payment_no = ANY(ARRAY(
            SELECT payment_no FROM payments WHERE site_id = :site_id AND order_no = :order_no
            UNION ALL SELECT unnest(:payment_nos)
        ))
          AND (SELECT count(*) FROM ordered) >= 0
        ORDER BY payment_no FOR UPDATE
    )
    SELECT CAST(jsonb_build_object(
        'now', now(),
        {_on_file(":order_no", "NULL")},
        'policy', (
            SELECT jsonb_build_object('name', a.policy_name, 'version', a.policy_version) FROM policy_activations a
            WHERE a.site_id = :site_id AND a.effective_from <= coalesce((SELECT placed_at FROM ordered), :at, now())
            ORDER BY a.effective_from DESC LIMIT 1
        ),
        'open_case_id', (
            SELECT c.case_id FROM cases c
            WHERE c.site_id = :site_id AND c.order_no = :order_no AND c.reason = :reason AND c.status NOT IN ({ENDED})
        )
    ) AS text)""")  # noqa: S608 - the names of states are ours

_VIEW = """
        'now', greatest(now(), c.updated_at),
        'case', to_jsonb(c),
        'decision', (
            SELECT to_jsonb(d) FROM decisions d WHERE d.site_id = c.site_id AND d.case_id = c.case_id
            ORDER BY d.n DESC LIMIT 1
        ),
        'evidence', (
            SELECT coalesce(jsonb_agg(to_jsonb(e) || jsonb_build_object('file', (
                SELECT jsonb_build_object(
                    'file_id', f.file_id, 'state', f.state, 'name', f.name,
                    'media_type', coalesce(f.media_type, f.declared_type), 'size', coalesce(f.size, f.declared_size),
                    'sha256', coalesce(f.sha256, f.declared_sha256), 'expires_at', f.expires_at)
                FROM evidence_files f WHERE f.site_id = e.site_id AND f.file_id = e.file_id
            )) ORDER BY e.n), '[]')
            FROM case_evidence e WHERE e.site_id = c.site_id AND e.case_id = c.case_id
        ),
        'refunds', (
            SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.created_at, r.refund_id), '[]') FROM refunds r
            WHERE r.site_id = c.site_id AND r.case_id = c.case_id
        ),
        'timeline', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                'event_id', t.event_id, 'type', t.type, 'sequence', t.sequence, 'created_at', t.created_at
            ) ORDER BY t.sequence), '[]')
            FROM events t WHERE t.site_id = c.site_id AND t.case_id = c.case_id
        ),
        'filed_again', EXISTS (
            SELECT FROM cases o
            WHERE o.site_id = c.site_id AND o.order_no = c.order_no AND o.reason = c.reason
              AND o.case_id <> c.case_id AND o.status NOT IN ({ended})
        ),
        'acts', (
            SELECT coalesce(jsonb_agg(to_jsonb(a) ORDER BY a.n), '[]') FROM case_acts a
            WHERE a.site_id = c.site_id AND a.case_id = c.case_id
        ),
        'timers', (
            SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY t.due_at, t.name, t.kind), '[]') FROM case_timers t
            WHERE t.site_id = c.site_id AND t.case_id = c.case_id AND t.name NOT IN ({chores})
        )""".replace("{chores}", CHORES_NAMED).replace("{ended}", ENDED)

GET = statement(f"""
    SELECT CAST(jsonb_build_object({_VIEW}) AS text)
    FROM cases c WHERE c.site_id = :site_id AND c.case_id = :case_id""")  # noqa: S608 - as above

# Only what is locked may be read for a step; whoever waited for the lock sees what the one before has written.
HOLD = statement(f"""
    WITH subject AS MATERIALIZED (
        SELECT * FROM cases WHERE site_id = :site_id AND case_id = :case_id
    ),
    ordered AS MATERIALIZED (
        SELECT * FROM orders WHERE site_id = :site_id AND order_no = (SELECT order_no FROM subject)
    ),
    paid AS MATERIALIZED (
        SELECT * FROM payments WHERE site_id = :site_id AND payment_no = ANY(ARRAY({_PAYMENT_NOS}))
    )
    SELECT CAST(jsonb_build_object(
        'view', jsonb_build_object({_VIEW}),
        'on_file', jsonb_build_object(
            'now', greatest(now(), c.updated_at), 'policy', NULL, 'open_case_id', NULL,
            {_on_file("(SELECT order_no FROM subject)", ":case_id")}
        ),
        'signals', (
            SELECT coalesce(jsonb_object_agg(s.kind, s.strike), '{{}}') FROM signals s
            WHERE s.site_id = :site_id AND s.case_id = :case_id AND s.subject = 'buyer' AND s.revoked_at IS NULL
        )
    ) AS text)
    FROM subject c""")  # noqa: S608 - as above

DECISIONS = statement("""
    SELECT n, body FROM decisions WHERE site_id = :site_id AND case_id = :case_id ORDER BY n""")
