"""Money back: what is reported of refunds, channel accounts, refunds by others, deposits by double entry.

Every column that is added may be null or has a default, so that the version before goes on writing cases and records
while this one is prepared. A deposit that it tells meanwhile is booked with the merchant's next record.

Revision: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    """CREATE TABLE channel_accounts (
        site_id uuid NOT NULL,
        account_id uuid NOT NULL,
        kind text NOT NULL,
        channel text NOT NULL,
        label text NOT NULL,
        identity text NOT NULL,
        credentials bytea NOT NULL,
        enabled boolean NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version integer NOT NULL,
        CONSTRAINT pk_channel_accounts PRIMARY KEY (site_id, account_id),
        CONSTRAINT fk_channel_accounts_sites FOREIGN KEY(site_id) REFERENCES sites (site_id),
        CONSTRAINT ck_channel_accounts_kind CHECK (kind IN ('wechat_pay', 'alipay', 'epay')),
        CONSTRAINT ck_channel_accounts_channel CHECK (channel IN ('alipay', 'wechat_pay', 'bank_card',
            'unionpay', 'balance'))
    )""",
    """CREATE UNIQUE INDEX uq_channel_accounts_enabled
        ON channel_accounts (site_id, channel) WHERE enabled""",
    """CREATE TABLE channel_bills (
        site_id uuid NOT NULL,
        account_id uuid NOT NULL,
        day date NOT NULL,
        state text NOT NULL,
        first_asked_at timestamptz NOT NULL,
        leased_until timestamptz NOT NULL,
        refunds integer,
        ended_at timestamptz,
        CONSTRAINT pk_channel_bills PRIMARY KEY (site_id, account_id, day),
        CONSTRAINT fk_channel_bills_channel_accounts FOREIGN KEY(site_id, account_id)
            REFERENCES channel_accounts (site_id, account_id),
        CONSTRAINT ck_channel_bills_state CHECK (state IN ('awaited', 'read', 'missing'))
    )""",
    """CREATE TABLE refund_reports (
        site_id uuid NOT NULL,
        refund_id uuid NOT NULL,
        n integer NOT NULL,
        digest text NOT NULL,
        source text NOT NULL,
        state text NOT NULL,
        amount bigint,
        currency text,
        channel_refund_no text,
        payment_no text,
        channel text,
        at timestamptz NOT NULL,
        failure_code text,
        failure_message text,
        verdict text NOT NULL,
        conflict text,
        times integer DEFAULT 1 NOT NULL,
        received_at timestamptz NOT NULL,
        last_received_at timestamptz NOT NULL,
        CONSTRAINT pk_refund_reports PRIMARY KEY (site_id, refund_id, n),
        CONSTRAINT fk_refund_reports_refunds FOREIGN KEY(site_id, refund_id) REFERENCES refunds (site_id, refund_id),
        CONSTRAINT uq_refund_reports_site_id_refund_id_digest UNIQUE (site_id, refund_id, digest),
        CONSTRAINT ck_refund_reports_source CHECK (source IN ('adapter', 'channel', 'notice', 'reconciliation',
            'person')),
        CONSTRAINT ck_refund_reports_channel CHECK (channel IN ('alipay', 'wechat_pay', 'bank_card', 'unionpay',
            'balance')),
        CONSTRAINT ck_refund_reports_state CHECK (state IN ('requested', 'accepted', 'processing', 'succeeded',
            'abnormal', 'failed', 'closed')),
        CONSTRAINT ck_refund_reports_failure_code CHECK (failure_code IN ('account_gone',
            'insufficient_balance', 'too_late', 'too_many', 'refunded_elsewhere', 'rejected', 'other')),
        CONSTRAINT ck_refund_reports_verdict CHECK (verdict IN ('applied', 'repeated', 'late', 'conflict')),
        CONSTRAINT ck_refund_reports_conflict CHECK (conflict IN ('amount', 'currency', 'payment_no',
            'channel', 'channel_refund_no', 'channel_refund_no_taken', 'after_success', 'after_closed',
            'refunded_elsewhere'))
    )""",
    """CREATE INDEX ix_refund_reports_site_id_received_at
        ON refund_reports (site_id, received_at) WHERE verdict = 'conflict'""",
    """CREATE TABLE found_refunds (
        site_id uuid NOT NULL,
        payment_no text NOT NULL,
        reference text NOT NULL,
        amount bigint NOT NULL,
        refunded_at timestamptz,
        found_at timestamptz NOT NULL,
        CONSTRAINT pk_found_refunds PRIMARY KEY (site_id, payment_no, reference),
        CONSTRAINT fk_found_refunds_payments FOREIGN KEY(site_id, payment_no) REFERENCES payments (site_id,
            payment_no),
        CONSTRAINT ck_found_refunds_amount CHECK (amount BETWEEN 0 AND 1000000000000)
    )""",
    """CREATE INDEX ix_found_refunds_site_id_found_at
        ON found_refunds (site_id, found_at) WHERE reference <> ''""",
    """CREATE INDEX ix_found_refunds_refunded
        ON found_refunds (site_id, refunded_at) WHERE refunded_at IS NOT NULL""",
    """CREATE TABLE deposit_accounts (
        site_id uuid NOT NULL,
        merchant_id text NOT NULL,
        told bigint NOT NULL,
        last_entry integer NOT NULL,
        updated_at timestamptz NOT NULL,
        external bigint NOT NULL,
        available bigint NOT NULL,
        held bigint NOT NULL,
        refunds bigint NOT NULL,
        recourse bigint NOT NULL,
        platform bigint NOT NULL,
        CONSTRAINT pk_deposit_accounts PRIMARY KEY (site_id, merchant_id),
        CONSTRAINT fk_deposit_accounts_sites FOREIGN KEY(site_id) REFERENCES sites (site_id),
        CONSTRAINT ck_deposit_accounts_balanced CHECK (
            external + available + held + refunds + recourse + platform = 0),
        CONSTRAINT ck_deposit_accounts_in_order CHECK (available >= 0 AND held >= 0 AND recourse <= 0)
    )""",
    """CREATE TABLE deposit_entries (
        site_id uuid NOT NULL,
        merchant_id text NOT NULL,
        n integer NOT NULL,
        kind text NOT NULL,
        case_id uuid,
        refund_id uuid,
        reference text,
        by text,
        note text,
        created_at timestamptz NOT NULL,
        external bigint NOT NULL,
        available bigint NOT NULL,
        held bigint NOT NULL,
        refunds bigint NOT NULL,
        recourse bigint NOT NULL,
        platform bigint NOT NULL,
        CONSTRAINT pk_deposit_entries PRIMARY KEY (site_id, merchant_id, n),
        CONSTRAINT fk_deposit_entries_deposit_accounts FOREIGN KEY(site_id,
            merchant_id) REFERENCES deposit_accounts (site_id, merchant_id),
        CONSTRAINT ck_deposit_entries_kind CHECK (kind IN ('told', 'top_up', 'withdrawal', 'hold', 'release',
            'deduction', 'advance', 'reversal', 'recourse_paid', 'recourse_written_off')),
        CONSTRAINT ck_deposit_entries_balanced CHECK (
            external + available + held + refunds + recourse + platform = 0)
    )""",
    """CREATE INDEX ix_deposit_entries_site_id_case_id
        ON deposit_entries (site_id, case_id) WHERE case_id IS NOT NULL""",
    """CREATE UNIQUE INDEX uq_deposit_entries_reference
        ON deposit_entries (site_id, merchant_id, reference) WHERE reference IS NOT NULL""",
)
MADE = ("deposit_entries", "deposit_accounts", "found_refunds", "refund_reports", "channel_bills", "channel_accounts")
REFUNDS = {
    "version": "integer NOT NULL DEFAULT 1",
    "channel_refund_no": "text",
    "failure_code": "text",
    "failure_message": "text",
    "reported_at": "timestamptz",
    "settled_at": "timestamptz",
    "instructed_at": "timestamptz",
    "overdue_at": "timestamptz",
    "replaces": "uuid",
    "other_account": "jsonb",
    "account_id": "uuid",
    "next_step_at": "timestamptz",
    "submitted_at": "timestamptz",
    "asked": "integer NOT NULL DEFAULT 0",
    "asked_at": "timestamptz",
    "last_said": "text",
    "gone_before": "bigint NOT NULL DEFAULT 0",
}
REFUND_INDEXES = (
    """CREATE INDEX ix_refunds_next_step
        ON refunds (site_id, next_step_at) WHERE next_step_at IS NOT NULL""",
    """CREATE INDEX ix_refunds_overdue
        ON refunds (site_id, overdue_at) WHERE overdue_at IS NOT NULL""",
    """CREATE INDEX ix_refunds_reported
        ON refunds (site_id, reported_at, refund_id) WHERE reported_at IS NOT NULL""",
    """CREATE INDEX ix_refunds_site_id_case_id
        ON refunds (site_id, case_id)""",
    """CREATE INDEX ix_refunds_site_id_payment_no
        ON refunds (site_id, payment_no)""",
    """CREATE INDEX ix_refunds_site_id_state_refund_id
        ON refunds (site_id, state, refund_id)""",
    """CREATE UNIQUE INDEX uq_refunds_channel_refund_no
        ON refunds (site_id, channel, channel_refund_no) WHERE channel_refund_no IS NOT NULL""",
    """CREATE UNIQUE INDEX uq_refunds_open
        ON refunds (site_id, case_id, payment_no) WHERE state <> 'closed'""",
)
FAILURES = "'account_gone', 'insufficient_balance', 'too_late', 'too_many', 'refunded_elsewhere', 'rejected', 'other'"
ACTS = "'merchant_response', 'ruling', 'ruling_proposal', 'appeal', 'withdrawal', 'escalation'"
WITHIN = "greatest(refunded_amount, found_amount) + reserved_amount <= amount + overdrawn_amount"
WITHIN_BEFORE = "refunded_amount + reserved_amount <= amount"
# What a merchant paid in before there was a ledger is its first entry.
OPENING = (
    """INSERT INTO deposit_accounts (site_id, merchant_id, told, last_entry, updated_at, external, available, held,
                                     refunds, recourse, platform)
       SELECT site_id, merchant_id, deposit, 1, updated_at, -deposit, deposit, 0, 0, 0, 0 FROM merchants
       WHERE deposit > 0""",
    """INSERT INTO deposit_entries (site_id, merchant_id, n, kind, created_at, external, available, held, refunds,
                                    recourse, platform)
       SELECT site_id, merchant_id, 1, 'told', updated_at, external, available, 0, 0, 0, 0 FROM deposit_accounts""",
)


def upgrade() -> None:
    """Tables first, since columns of older ones point to them."""
    for statement in TABLES:
        op.execute(statement)
    for column, kind in REFUNDS.items():
        op.execute(f"ALTER TABLE refunds ADD COLUMN {column} {kind}")
    _check("refunds", "ck_refunds_failure_code", f"CHECK (failure_code IN ({FAILURES}))")
    _check(
        "refunds",
        "fk_refunds_channel_accounts",
        "FOREIGN KEY (site_id, account_id) REFERENCES channel_accounts (site_id, account_id)",
    )
    for statement in REFUND_INDEXES:
        op.execute(statement)
    op.execute("ALTER TABLE refunds DROP CONSTRAINT uq_refunds_site_id_case_id_payment_no")
    op.execute("ALTER TABLE sites ADD COLUMN reporting_secrets bytea")
    for column in ("found_amount", "overdrawn_amount"):
        op.execute(f"ALTER TABLE payments ADD COLUMN {column} bigint NOT NULL DEFAULT 0")
        _check("payments", f"ck_payments_{column}", f"CHECK ({column} BETWEEN 0 AND 1000000000000)")
    _replace("payments", "ck_payments_within_amount", f"CHECK ({WITHIN})")
    op.execute("CREATE INDEX ix_payments_overdrawn ON payments (site_id, payment_no) WHERE overdrawn_amount > 0")
    _replace("case_acts", "ck_case_acts_kind", f"CHECK (kind IN ({ACTS}, 'refund_retry', 'refund_closing'))")
    for statement in OPENING:
        op.execute(statement)


def downgrade() -> None:
    """What was added goes, and what was written into it."""
    op.execute("DELETE FROM case_acts WHERE kind IN ('refund_retry', 'refund_closing')")
    _replace("case_acts", "ck_case_acts_kind", f"CHECK (kind IN ({ACTS}))")
    _replace("payments", "ck_payments_within_amount", f"CHECK ({WITHIN_BEFORE})")
    for column in ("overdrawn_amount", "found_amount"):
        op.execute(f"ALTER TABLE payments DROP COLUMN {column}")
    op.execute("ALTER TABLE sites DROP COLUMN reporting_secrets")
    op.execute(
        "ALTER TABLE refunds ADD CONSTRAINT uq_refunds_site_id_case_id_payment_no UNIQUE (site_id, case_id, payment_no)"
    )
    for statement in REFUND_INDEXES:
        op.execute(f"DROP INDEX {statement.split(' ON ')[0].split()[-1]}")
    for column in reversed(REFUNDS):
        op.execute(f"ALTER TABLE refunds DROP COLUMN {column}")
    for table in MADE:
        op.execute(f"DROP TABLE {table}")


def _check(table: str, name: str, rule: str) -> None:
    """Checked without holding up writers for long: new rows at once, those that are there afterwards."""
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {rule} NOT VALID")
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def _replace(table: str, name: str, rule: str) -> None:
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    _check(table, name, rule)
