"""The statements that write a case: one when it is filed, one for each step afterwards."""

from app.models.closed_sets import PROMISES
from app.store.case_reading import CHORES_NAMED, ENDED
from app.store.statement import statement

# A promise that is over is missed, also by what was done too late: it stays to be told.
PROMISES_NAMED = ", ".join(f"'{name}'" for name in sorted(PROMISES))

HEARD = """w.enabled
    AND CASE WHEN w.event_types IS NULL THEN w.role = ANY(e.heard_by) ELSE e.type = ANY(w.event_types) END
    AND (w.role <> 'merchant' OR w.merchant_id = e.merchant_id)
    AND (w.role <> 'channel'
         OR ('channel' = ANY(e.heard_by) AND (w.channels IS NULL OR e.channel = ANY(w.channels))))"""

# `changed` is the case: no row of it, no effect at all.
_CHILDREN = f"""
    announced AS (
        INSERT INTO evidence_files (site_id, file_id, case_id, state, name, declared_type, declared_size,
                                    declared_sha256, expires_at, created_at)
        SELECT c.site_id, (e.file ->> 'file_id')::uuid, c.case_id, e.file ->> 'state', e.file ->> 'name',
               e.file ->> 'media_type', (e.file ->> 'size')::bigint, e.file ->> 'sha256',
               (e.file ->> 'expires_at')::timestamptz, :now
        FROM changed c, jsonb_to_recordset(CAST(:evidence AS jsonb)) AS e(file jsonb)
        WHERE jsonb_typeof(e.file) = 'object'
    ),
    proof AS (
        INSERT INTO case_evidence (site_id, case_id, n, kind, party, captured_at, order_no, channel, composite, stamped,
                                   reused, sha256, supports, created_at, file_id)
        SELECT c.site_id, c.case_id, c.evidence_before + e.ordinality, e.kind, e.party, e.captured_at, e.order_no,
               e.channel, e.composite, e.stamped, e.reused, e.sha256, e.supports, :now, (e.file ->> 'file_id')::uuid
        FROM changed c, ROWS FROM (jsonb_to_recordset(CAST(:evidence AS jsonb)) AS (
            kind text, party text, captured_at timestamptz, order_no text, channel text, composite boolean,
            stamped boolean, reused boolean, sha256 text, supports text, file jsonb)) WITH ORDINALITY AS e
    ),
    acted AS (
        INSERT INTO case_acts (site_id, case_id, n, kind, by, details, created_at)
        SELECT c.site_id, c.case_id, c.acts_before + a.ordinality, a.kind, a.by, a.details, a.created_at
        FROM changed c, ROWS FROM (jsonb_to_recordset(CAST(:acts AS jsonb)) AS (
            kind text, by text, details jsonb, created_at timestamptz)) WITH ORDINALITY AS a
    ),
    named AS (
        INSERT INTO case_payments (site_id, case_id, payment_no)
        SELECT c.site_id, c.case_id, number FROM changed c, unnest(:payment_nos) AS number
        ON CONFLICT DO NOTHING
    ),
    wanted AS MATERIALIZED (
        SELECT c.site_id, c.case_id, t.name, t.kind, t.due_at, t.provisional
        FROM changed c, jsonb_to_recordset(CAST(:timers AS jsonb)) AS t(
            name text, kind text, due_at timestamptz, provisional boolean)
    ),
    awaited AS (
        INSERT INTO case_timers AS t (site_id, case_id, name, kind, due_at, provisional, state, attempts,
                                      next_attempt_at, created_at)
        SELECT w.site_id, w.case_id, w.name, w.kind, w.due_at, w.provisional, 'pending', 0, w.due_at, :now FROM wanted w
        ON CONFLICT (site_id, case_id, name, kind, due_at) DO UPDATE
        SET state = 'pending', settled_at = NULL, attempts = 0, next_attempt_at = EXCLUDED.due_at,
            provisional = EXCLUDED.provisional
        WHERE t.state IN ('kept', 'void') OR (t.state = 'pending' AND t.provisional <> EXCLUDED.provisional)
    ),
    seen AS (
        INSERT INTO signals (site_id, signal_id, subject, subject_id, kind, rule, case_id, order_no, facts, strike,
                             seen_at, expires_at)
        SELECT c.site_id, s.signal_id, s.subject, s.subject_id, s.kind, s.rule, c.case_id, c.order_no, s.facts,
               s.strike, :now, s.expires_at
        FROM changed c, jsonb_to_recordset(CAST(:signals AS jsonb)) AS s(
            signal_id uuid, subject text, subject_id text, kind text, rule text, facts jsonb, strike boolean,
            expires_at timestamptz)
        ON CONFLICT (site_id, case_id, subject, kind) DO NOTHING
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
                             expected_by, created_at, updated_at, instructed_at, overdue_at, account_id, next_step_at,
                             replaces, other_account, gone_before)
        SELECT c.site_id, r.refund_id, r.refund_no, c.case_id, r.payment_no, r.amount, r.currency, r.channel,
               'requested', r.expected_by, :now, :now, :now, r.overdue_at, r.account_id,
               CASE WHEN r.account_id IS NOT NULL THEN CAST(:now AS timestamptz) END, r.replaces,
               nullif(r.other_account, 'null'), (
                   SELECT greatest(p.refunded_amount, p.found_amount) FROM payments p
                   WHERE p.site_id = c.site_id AND p.payment_no = r.payment_no)
        FROM changed c, jsonb_to_recordset(CAST(:refunds AS jsonb)) AS r(
            refund_id uuid, refund_no text, payment_no text, amount bigint, currency text, channel text,
            expected_by timestamptz, overdue_at timestamptz, account_id uuid, replaces uuid, other_account jsonb)
        RETURNING site_id, payment_no, amount
    ),
    reserved AS (
        UPDATE payments p SET reserved_amount = p.reserved_amount + asked.amount
        FROM asked WHERE p.site_id = :site_id AND p.payment_no = asked.payment_no
          AND p.payment_no = ANY(ARRAY(SELECT payment_no FROM asked))
    )"""  # noqa: S608 - no value is among the parts

# What a case had before. It is named by its id as given: joined with `changed`, all of a site's timers would be read.
_WHAT_ENDS = f"""
    ended AS (
        UPDATE case_timers t
        SET state = CASE WHEN t.kind = 'due' AND t.name = ANY(:kept) THEN 'kept' ELSE 'void' END, settled_at = :now
        WHERE :sets_timers AND t.site_id = :site_id AND t.case_id = :case_id AND t.state = 'pending'
          AND (SELECT count(*) FROM changed) = 1
          AND t.name NOT IN ({CHORES_NAMED})
          AND NOT (t.kind = 'due' AND t.name IN ({PROMISES_NAMED}) AND t.due_at < :now)
          AND NOT EXISTS (SELECT FROM wanted w WHERE (w.name, w.kind, w.due_at) = (t.name, t.kind, t.due_at))
    ),
    revoked AS (
        UPDATE signals s SET revoked_at = :now
        WHERE s.site_id = :site_id AND s.case_id = :case_id AND s.subject = 'buyer' AND s.rule = :overturned
          AND s.revoked_at IS NULL AND (SELECT count(*) FROM changed) = 1
    )"""  # noqa: S608 - as above

_ANSWER = "SELECT count(*) FROM changed"

FILE = statement(f"""
    WITH changed AS (
        INSERT INTO cases (site_id, case_id, order_no, merchant_id, buyer_id, reason, status, claim, policy_name,
                           policy_version, filed_at, created_at, updated_at, version, next_sequence,
                           evidence_requested_at, review_started_at, decided_at)
        SELECT :site_id, f.case_id, f.order_no, f.merchant_id, f.buyer_id, f.reason, f.status, f.claim, f.policy_name,
               f.policy_version, f.filed_at, :now, :now, 1, :events_told + 1, f.evidence_requested_at,
               f.review_started_at, f.decided_at
        FROM jsonb_to_record(CAST(:case AS jsonb)) AS f(
            case_id uuid, order_no text, merchant_id text, buyer_id text, reason text, status text, claim jsonb,
            policy_name text, policy_version integer, filed_at timestamptz, evidence_requested_at timestamptz,
            review_started_at timestamptz, decided_at timestamptz)
        ON CONFLICT (site_id, order_no, reason) WHERE status NOT IN ({ENDED}) DO NOTHING
        RETURNING site_id, case_id, order_no, 0 AS evidence_before, 0 AS decisions_before, 0 AS acts_before,
                  0 AS events_before
    ), {_CHILDREN} {_ANSWER}""")  # noqa: S608 - as above

ADVANCE = statement(f"""
    WITH changed AS (
        UPDATE cases c SET status = :new_status, version = c.version + 1, updated_at = :now,
                           next_sequence = c.next_sequence + :events_told,
                           evidence_requested_at = f.evidence_requested_at, review_started_at = f.review_started_at,
                           resumed_at = f.resumed_at, appealed_at = f.appealed_at, decided_at = f.decided_at
        FROM jsonb_to_record(CAST(:case AS jsonb)) AS f(
            evidence_requested_at timestamptz, review_started_at timestamptz, resumed_at timestamptz,
            appealed_at timestamptz, decided_at timestamptz)
        WHERE c.site_id = :site_id AND c.case_id = :case_id AND c.version = :expected
        RETURNING c.site_id, c.case_id, c.order_no, c.next_sequence - :events_told - 1 AS events_before,
            (SELECT coalesce(max(n), 0) FROM case_acts a WHERE a.site_id = c.site_id AND a.case_id = c.case_id)
                AS acts_before,
            (SELECT coalesce(max(n), 0) FROM case_evidence e WHERE e.site_id = c.site_id AND e.case_id = c.case_id)
                AS evidence_before,
            (SELECT coalesce(max(n), 0) FROM decisions d WHERE d.site_id = c.site_id AND d.case_id = c.case_id)
                AS decisions_before
    ), {_CHILDREN}, {_WHAT_ENDS} {_ANSWER}""")  # noqa: S608 - as above
