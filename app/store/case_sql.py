"""The statements of a case: one reads all that bears on a claim, one writes all that filing it causes."""

from app.models.closed_sets import FILED_AGAIN_AFTER
from app.store.statement import statement

_ENDED = ", ".join(f"'{status}'" for status in FILED_AGAIN_AFTER)

# The order is locked before its payments, and those in the order of their numbers, as in writing records.
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
        'order', (SELECT to_jsonb(ordered) FROM ordered),
        'payments', (SELECT coalesce(jsonb_agg(to_jsonb(paid) ORDER BY payment_no), '[]') FROM paid),
        'deliveries', (
            SELECT coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('times_sold', greatest(d.times_sold, (
                SELECT count(DISTINCT same.order_no) FROM deliveries same
                WHERE same.site_id = :site_id AND same.card_fingerprint = d.card_fingerprint
            ))) ORDER BY d.delivery_no), '[]')
            FROM deliveries d WHERE d.site_id = :site_id AND d.order_no = :order_no
        ),
        'merchant', (
            SELECT to_jsonb(m) FROM merchants m
            WHERE m.site_id = :site_id AND m.merchant_id = coalesce((SELECT merchant_id FROM ordered), :merchant_id)
        ),
        'policy', (
            SELECT jsonb_build_object('name', a.policy_name, 'version', a.policy_version) FROM policy_activations a
            WHERE a.site_id = :site_id AND a.effective_from <= coalesce((SELECT placed_at FROM ordered), :at, now())
            ORDER BY a.effective_from DESC LIMIT 1
        ),
        'reused', (
            SELECT coalesce(jsonb_agg(DISTINCT e.sha256), '[]') FROM case_evidence e
            WHERE e.site_id = :site_id AND e.sha256 = ANY(:hashes) AND :order_no IS DISTINCT FROM (
                SELECT c.order_no FROM cases c WHERE c.site_id = e.site_id AND c.case_id = e.case_id)
        ),
        'open_case_id', (
            SELECT c.case_id FROM cases c
            WHERE c.site_id = :site_id AND c.order_no = :order_no AND c.reason = :reason AND c.status NOT IN ({_ENDED})
        )
    ) AS text)""")  # noqa: S608 - the names of states are ours

HEARD = """w.enabled
    AND CASE WHEN w.event_types IS NULL THEN w.role = ANY(e.heard_by) ELSE e.type = ANY(w.event_types) END
    AND (w.role <> 'merchant' OR w.merchant_id = e.merchant_id)
    AND (w.role <> 'channel' OR w.channels IS NULL OR e.channel = ANY(w.channels))"""

# `changed` is the case: no row of it, no effect at all.
_CHILDREN = f"""
    proof AS (
        INSERT INTO case_evidence (site_id, case_id, n, kind, party, captured_at, order_no, channel, composite, stamped,
                                   reused, sha256, supports, created_at)
        SELECT c.site_id, c.case_id, c.evidence_before + e.ordinality, e.kind, e.party, e.captured_at, e.order_no,
               e.channel, e.composite, e.stamped, e.reused, e.sha256, e.supports, :now
        FROM changed c, ROWS FROM (jsonb_to_recordset(CAST(:evidence AS jsonb)) AS (
            kind text, party text, captured_at timestamptz, order_no text, channel text, composite boolean,
            stamped boolean, reused boolean, sha256 text, supports text)) WITH ORDINALITY AS e
    ),
    judged AS (
        INSERT INTO decisions (site_id, case_id, n, outcome, decisive_rule, policy_name, policy_version, engine, facts,
                               body, judged_at)
        SELECT c.site_id, c.case_id, c.decisions_before + d.ordinality, d.outcome, d.decisive_rule, d.policy_name,
               d.policy_version, d.engine, d.facts, d.body, d.judged_at
        FROM changed c, ROWS FROM (jsonb_to_recordset(CAST(:decisions AS jsonb)) AS (
            outcome text, decisive_rule text, policy_name text, policy_version integer, engine text, facts text,
            body text, judged_at timestamptz)) WITH ORDINALITY AS d
    ),
    happened AS MATERIALIZED (
        SELECT c.site_id, c.case_id, c.events_before + e.ordinality AS sequence, e.event_id, e.type, e.merchant_id,
               e.channel, e.full_data, e.thin_data, e.heard_by
        FROM changed c, ROWS FROM (jsonb_to_recordset(CAST(:events AS jsonb)) AS (
            event_id uuid, type text, merchant_id text, channel text, full_data text, thin_data text, heard_by text[]
        )) WITH ORDINALITY AS e
    ),
    told AS (
        INSERT INTO events (site_id, event_id, type, case_id, sequence, merchant_id, channel, created_at, full_data,
                            thin_data)
        SELECT site_id, event_id, type, case_id, sequence, merchant_id, channel, :now, full_data, thin_data
        FROM happened
    ),
    sent AS (
        INSERT INTO dispatches (site_id, event_id, endpoint_id, case_id, sequence, state, attempts, next_attempt_at,
                                created_at)
        SELECT e.site_id, e.event_id, w.endpoint_id, e.case_id, e.sequence, 'pending', 0, :now, :now
        FROM happened e JOIN webhook_endpoints w ON w.site_id = e.site_id AND {HEARD}
    ),
    asked AS (
        INSERT INTO refunds (site_id, refund_id, refund_no, case_id, payment_no, amount, currency, channel, state,
                             expected_by, created_at, updated_at)
        SELECT c.site_id, r.refund_id, r.refund_no, c.case_id, r.payment_no, r.amount, r.currency, r.channel,
               'requested', r.expected_by, :now, :now
        FROM changed c, jsonb_to_recordset(CAST(:refunds AS jsonb)) AS r(
            refund_id uuid, refund_no text, payment_no text, amount bigint, currency text, channel text,
            expected_by timestamptz)
        RETURNING site_id, payment_no, amount
    ),
    reserved AS (
        UPDATE payments p SET reserved_amount = p.reserved_amount + asked.amount
        FROM asked WHERE p.site_id = :site_id AND p.payment_no = asked.payment_no
          AND p.payment_no = ANY(ARRAY(SELECT payment_no FROM asked))
    )
    SELECT count(*) FROM changed"""  # noqa: S608 - no value is among the parts

FILE = statement(f"""
    WITH changed AS (
        INSERT INTO cases (site_id, case_id, order_no, merchant_id, buyer_id, reason, status, claim, policy_name,
                           policy_version, filed_at, created_at, updated_at, version, next_sequence)
        SELECT :site_id, f.case_id, f.order_no, f.merchant_id, f.buyer_id, f.reason, f.status, f.claim, f.policy_name,
               f.policy_version, f.filed_at, :now, :now, 1, :events_told + 1
        FROM jsonb_to_record(CAST(:case AS jsonb)) AS f(
            case_id uuid, order_no text, merchant_id text, buyer_id text, reason text, status text, claim jsonb,
            policy_name text, policy_version integer, filed_at timestamptz)
        ON CONFLICT (site_id, order_no, reason) WHERE status NOT IN ({_ENDED}) DO NOTHING
        RETURNING site_id, case_id, 0 AS evidence_before, 0 AS decisions_before, 0 AS events_before
    ), {_CHILDREN}""")  # noqa: S608 - as above

ADVANCE = statement(f"""
    WITH changed AS (
        UPDATE cases c SET status = :new_status, version = c.version + 1, updated_at = :now,
                           next_sequence = c.next_sequence + :events_told
        WHERE c.site_id = :site_id AND c.case_id = :case_id AND c.version = :expected
        RETURNING c.site_id, c.case_id, c.next_sequence - :events_told - 1 AS events_before,
            (SELECT coalesce(max(n), 0) FROM case_evidence e WHERE e.site_id = c.site_id AND e.case_id = c.case_id)
                AS evidence_before,
            (SELECT coalesce(max(n), 0) FROM decisions d WHERE d.site_id = c.site_id AND d.case_id = c.case_id)
                AS decisions_before
    ), {_CHILDREN}""")  # noqa: S608 - as above

GET = statement("""
    SELECT CAST(jsonb_build_object(
        'case', to_jsonb(c),
        'decision', (
            SELECT to_jsonb(d) FROM decisions d WHERE d.site_id = c.site_id AND d.case_id = c.case_id
            ORDER BY d.n DESC LIMIT 1
        ),
        'evidence', (
            SELECT coalesce(jsonb_agg(to_jsonb(e) ORDER BY e.n), '[]') FROM case_evidence e
            WHERE e.site_id = c.site_id AND e.case_id = c.case_id
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
        )
    ) AS text)
    FROM cases c WHERE c.site_id = :site_id AND c.case_id = :case_id""")
