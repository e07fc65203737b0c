"""The statements about refunds. A refund is written whole, over the version that was read."""

from datetime import timedelta
from typing import Final

from app.models.closed_sets import ReportSource
from app.rules.settlement import ACCEPTED_WITHIN, FINAL, RefundState, ReportVerdict
from app.store.statement import statement

# Whoever sends another word each time must not fill the table; what a refund can be told honestly is far less.
MOST_REPORTS: Final = 100
# What moves a refund is kept beyond that. An honest end comes through after however many odd reports, and so does the
# first word against one; the channel itself is always heard.
MOST_MOVES: Final = 1_000
LEASE: Final = timedelta(seconds=120)
_FINAL: Final = ", ".join(f"'{state}'" for state in sorted(FINAL))
_LEASE: Final = f"make_interval(secs => {LEASE.total_seconds()})"
_ACCEPTED_WITHIN: Final = f"make_interval(secs => {ACCEPTED_WITHIN.total_seconds()})"

GET = statement("""
    SELECT CAST(jsonb_build_object(
        'refund', to_jsonb(r),
        'order_no', (SELECT c.order_no FROM cases c WHERE c.site_id = r.site_id AND c.case_id = r.case_id),
        'reports', (
            SELECT coalesce(jsonb_agg(to_jsonb(p) ORDER BY p.n), '[]') FROM refund_reports p
            WHERE p.site_id = r.site_id AND p.refund_id = r.refund_id
        )
    ) AS text)
    FROM refunds r WHERE r.site_id = :site_id AND r.refund_id = :refund_id""")

PAGE = statement(f"""
    SELECT CAST(coalesce(jsonb_agg(to_jsonb(page) ORDER BY page.refund_id DESC), '[]') AS text) FROM (
        SELECT * FROM refunds r
        WHERE r.site_id = :site_id
          AND (:states IS NULL OR r.state = ANY(:states))
          AND (:channel IS NULL OR r.channel = :channel)
          AND (:payment_no IS NULL OR r.payment_no = :payment_no)
          AND (:case_id IS NULL OR r.case_id = :case_id)
          AND (:after IS NULL OR r.refund_id < :after)
          AND (:overdue IS NULL OR :overdue = (
              r.state NOT IN ('{RefundState.SUCCEEDED}', '{RefundState.CLOSED}')
              AND (r.expected_by < :now OR (r.state = '{RefundState.REQUESTED}'
                   AND r.instructed_at < :now - {_ACCEPTED_WITHIN}))))
        ORDER BY r.refund_id DESC LIMIT :limit
    ) AS page""")  # noqa: S608 - the names of states are ours

CASE_OF = statement("SELECT case_id FROM refunds WHERE site_id = :site_id AND refund_id = :refund_id")

BY_NUMBER = statement("""
    SELECT CAST(to_jsonb(r) AS text) FROM refunds r WHERE r.site_id = :site_id AND r.refund_no = :refund_no""")

NUMBER_TAKEN = statement("""
    SELECT EXISTS (
        SELECT FROM refunds
        WHERE site_id = :site_id AND channel = :channel AND channel_refund_no = :channel_refund_no
          AND refund_id <> :refund_id)""")

# Whatever does not match about it, and whenever it came: a word of a success may be true.
_IS_DISPUTED: Final = f"""EXISTS (
           SELECT FROM refund_reports o
           WHERE o.site_id = :site_id AND o.refund_id = :refund_id AND o.state = '{RefundState.SUCCEEDED}'
             AND o.verdict = '{ReportVerdict.CONFLICT}')"""

NOTE = statement(f"""
    INSERT INTO refund_reports AS p (site_id, refund_id, n, digest, source, state, amount, currency, channel_refund_no,
                                     payment_no, channel, at, failure_code, failure_message, verdict, conflict, times,
                                     received_at, last_received_at)
    SELECT :site_id, :refund_id, b.count + 1, f.digest, f.source, f.state, f.amount, f.currency, f.channel_refund_no,
           f.payment_no, f.channel, f.at, f.failure_code, f.failure_message, f.verdict, f.conflict, 1, :now, :now
    FROM jsonb_to_record(CAST(:report AS jsonb)) AS f(
        digest text, source text, state text, amount bigint, currency text, channel_refund_no text, payment_no text,
        channel text, at timestamptz, failure_code text, failure_message text, verdict text, conflict text),
    (SELECT count(*) AS count FROM refund_reports WHERE site_id = :site_id AND refund_id = :refund_id) AS b
    WHERE b.count < {MOST_REPORTS} OR f.source <> '{ReportSource.ADAPTER}'
       OR (f.verdict = '{ReportVerdict.APPLIED}' AND (b.count < {MOST_MOVES} OR f.state IN ({_FINAL})))
       OR (f.verdict = '{ReportVerdict.CONFLICT}' AND f.state = '{RefundState.SUCCEEDED}' AND NOT ({_IS_DISPUTED}))
       OR EXISTS (
           SELECT FROM refund_reports p
           WHERE p.site_id = :site_id AND p.refund_id = :refund_id AND p.digest = f.digest)
    ON CONFLICT (site_id, refund_id, digest) DO UPDATE
    SET times = p.times + 1, last_received_at = EXCLUDED.last_received_at
    RETURNING p.times""")  # noqa: S608 - the limit is ours

DISPUTED = statement(f"SELECT {_IS_DISPUTED}")

HEARD_AGAIN = statement("""
    UPDATE refunds SET reported_at = :at WHERE site_id = :site_id AND refund_id = :refund_id AND reported_at < :at""")

# Somebody may be asking the channel at this very moment.
SETTLE = statement(f"""
    WITH changed AS (
        UPDATE refunds r
        SET state = f.state, version = f.version, updated_at = :now, expected_by = f.expected_by,
            channel_refund_no = f.channel_refund_no, failure_code = f.failure_code,
            failure_message = f.failure_message, reported_at = f.reported_at, settled_at = f.settled_at,
            instructed_at = f.instructed_at, overdue_at = f.overdue_at, other_account = nullif(f.other_account, 'null'),
            account_id = f.account_id, asked = f.asked, last_said = f.last_said,
            next_step_at = CASE
                WHEN f.next_step_at IS NULL THEN NULL
                WHEN r.next_step_at <= :now + {_LEASE} THEN greatest(r.next_step_at, f.next_step_at)
                ELSE f.next_step_at END
        FROM jsonb_to_record(CAST(:refund AS jsonb)) AS f(
            refund_id uuid, state text, version integer, expected_by timestamptz, channel_refund_no text,
            failure_code text, failure_message text, reported_at timestamptz, settled_at timestamptz,
            instructed_at timestamptz, overdue_at timestamptz, other_account jsonb, account_id uuid,
            next_step_at timestamptz, asked integer, last_said text)
        WHERE r.site_id = :site_id AND r.refund_id = f.refund_id AND r.version = f.version - 1
        RETURNING r.payment_no
    ),
    released AS (
        UPDATE payments p
        SET reserved_amount = p.reserved_amount - :released,
            overdrawn_amount = greatest(
                0, greatest(p.refunded_amount, p.found_amount) + p.reserved_amount - :released - p.amount)
        WHERE :released > 0 AND p.site_id = :site_id AND p.payment_no = (SELECT payment_no FROM changed)
    )
    SELECT count(*) FROM changed""")  # noqa: S608 - the length is ours

EXPECT = statement("""
    UPDATE refunds
    SET expected_by = :expected_by, updated_at = :now, version = version + 1,
        overdue_at = CASE WHEN overdue_at IS NULL THEN NULL
                          WHEN state = 'requested' THEN least(overdue_at, :expected_by) ELSE :expected_by END
    WHERE site_id = :site_id AND case_id = :case_id AND payment_no = :payment_no
      AND state NOT IN ('succeeded', 'closed') AND replaces IS NULL
      AND coalesce(instructed_at, created_at) = created_at""")

OVERDUE = statement("""
    SELECT CAST(jsonb_agg(jsonb_build_array(due.refund_id, due.case_id) ORDER BY due.overdue_at) AS text) FROM (
        SELECT refund_id, case_id, overdue_at FROM refunds
        WHERE site_id = :site_id AND overdue_at < now() ORDER BY overdue_at LIMIT :limit
    ) AS due""")

STILL_OVERDUE = statement("""
    SELECT EXISTS (
        SELECT FROM refunds WHERE site_id = :site_id AND refund_id = :refund_id AND overdue_at < now())""")

# One look into the index for each site.
SITES_OVERDUE = statement("""
    SELECT s.site_id FROM sites s CROSS JOIN LATERAL (
        SELECT FROM refunds r WHERE r.site_id = s.site_id AND r.overdue_at < now() ORDER BY r.overdue_at LIMIT 1
    ) due
    ORDER BY random() LIMIT :limit""")

POSTPONE_OVERDUE = statement("""
    UPDATE refunds SET overdue_at = now() + make_interval(secs => :seconds)
    WHERE site_id = :site_id AND refund_id = :refund_id AND overdue_at IS NOT NULL""")
