"""The life of a case: what parties did, deadlines, files, signals.

Every column that is added may be null, so that the version before goes on writing cases while this one is prepared.

Revision: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COURSE = ("evidence_requested_at", "review_started_at", "resumed_at", "appealed_at", "decided_at")
TABLES = (
    """CREATE TABLE case_payments (
        site_id uuid NOT NULL,
        case_id uuid NOT NULL,
        payment_no text NOT NULL,
        CONSTRAINT pk_case_payments PRIMARY KEY (site_id, case_id, payment_no),
        CONSTRAINT fk_case_payments_cases FOREIGN KEY(site_id, case_id) REFERENCES cases (site_id, case_id)
    )""",
    """CREATE INDEX ix_case_payments_site_id_payment_no
        ON case_payments (site_id, payment_no)""",
    """CREATE TABLE case_acts (
        site_id uuid NOT NULL,
        case_id uuid NOT NULL,
        n integer NOT NULL,
        kind text NOT NULL,
        by text,
        details jsonb NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_case_acts PRIMARY KEY (site_id, case_id, n),
        CONSTRAINT fk_case_acts_cases FOREIGN KEY(site_id, case_id) REFERENCES cases (site_id, case_id),
        CONSTRAINT ck_case_acts_kind CHECK (kind IN ('merchant_response', 'ruling', 'ruling_proposal', 'appeal',
            'withdrawal', 'escalation'))
    )""",
    """CREATE INDEX ix_case_acts_site_id_kind_created_at
        ON case_acts (site_id, kind, created_at)""",
    """CREATE TABLE case_timers (
        site_id uuid NOT NULL,
        case_id uuid NOT NULL,
        name text NOT NULL,
        kind text NOT NULL,
        due_at timestamptz NOT NULL,
        provisional boolean NOT NULL,
        state text NOT NULL,
        attempts integer NOT NULL,
        next_attempt_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        settled_at timestamptz,
        CONSTRAINT pk_case_timers PRIMARY KEY (site_id, case_id, name, kind, due_at),
        CONSTRAINT fk_case_timers_cases FOREIGN KEY(site_id, case_id) REFERENCES cases (site_id, case_id),
        CONSTRAINT ck_case_timers_kind CHECK (kind IN ('approaching', 'due')),
        CONSTRAINT ck_case_timers_state CHECK (state IN ('pending', 'fired', 'kept', 'void'))
    )""",
    """CREATE INDEX ix_case_timers_due
        ON case_timers (site_id, next_attempt_at) WHERE state = 'pending'""",
    """CREATE INDEX ix_case_timers_site_id_name_settled_at
        ON case_timers (site_id, name, settled_at) WHERE state <> 'pending'""",
    """CREATE TABLE signals (
        site_id uuid NOT NULL,
        signal_id uuid NOT NULL,
        subject text NOT NULL,
        subject_id text NOT NULL,
        kind text NOT NULL,
        rule text NOT NULL,
        case_id uuid NOT NULL,
        order_no text,
        facts jsonb NOT NULL,
        strike boolean NOT NULL,
        seen_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        CONSTRAINT pk_signals PRIMARY KEY (site_id, signal_id),
        CONSTRAINT fk_signals_cases FOREIGN KEY(site_id, case_id) REFERENCES cases (site_id, case_id),
        CONSTRAINT uq_signals_site_id_case_id_subject_kind UNIQUE (site_id, case_id, subject, kind),
        CONSTRAINT ck_signals_subject CHECK (subject IN ('buyer', 'merchant')),
        CONSTRAINT ck_signals_kind CHECK (kind IN ('contradicted_by_log', 'claim_after_use', 'file_reused', 'silent',
            'contest_contradicted', 'card_sold_twice', 'high_refund_rate'))
    )""",
    """CREATE INDEX ix_signals_site_id_subject_subject_id_signal_id
        ON signals (site_id, subject, subject_id, signal_id)""",
    """CREATE INDEX ix_signals_site_id_kind_signal_id
        ON signals (site_id, kind, signal_id)""",
    """CREATE TABLE evidence_files (
        site_id uuid NOT NULL,
        file_id uuid NOT NULL,
        case_id uuid NOT NULL,
        state text NOT NULL,
        name text NOT NULL,
        declared_type text NOT NULL,
        declared_size bigint NOT NULL,
        declared_sha256 text,
        stored_key text,
        media_type text,
        size bigint,
        sha256 text,
        expires_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        stored_at timestamptz,
        CONSTRAINT pk_evidence_files PRIMARY KEY (site_id, file_id),
        CONSTRAINT fk_evidence_files_cases FOREIGN KEY(site_id, case_id) REFERENCES cases (site_id, case_id),
        CONSTRAINT ck_evidence_files_state CHECK (state IN ('awaited', 'stored')),
        CONSTRAINT ck_evidence_files_stored_key CHECK ((state = 'stored') = (stored_key IS NOT NULL))
    )""",
    """CREATE INDEX ix_evidence_files_site_id_case_id
        ON evidence_files (site_id, case_id)""",
    """CREATE INDEX ix_orders_site_id_merchant_id_placed_at
        ON orders (site_id, merchant_id, placed_at) WHERE merchant_id <> ''""",
)
MADE = ("signals", "case_timers", "case_acts", "case_payments")


def upgrade() -> None:
    """Columns first, since new tables point to nothing that they change."""
    for column in COURSE:
        op.execute(f"ALTER TABLE cases ADD COLUMN {column} timestamptz")
    for table in TABLES:
        op.execute(table)
    op.execute("ALTER TABLE case_evidence ADD COLUMN file_id uuid")
    # Checked without holding up writers: the column is new, so nothing can be in breach of it.
    op.execute(
        "ALTER TABLE case_evidence ADD CONSTRAINT fk_case_evidence_evidence_files FOREIGN KEY (site_id, file_id)"
        " REFERENCES evidence_files (site_id, file_id) NOT VALID"
    )
    op.execute("ALTER TABLE case_evidence VALIDATE CONSTRAINT fk_case_evidence_evidence_files")


def downgrade() -> None:
    """What was added goes, and what was written into it."""
    op.execute("DROP INDEX ix_orders_site_id_merchant_id_placed_at")
    op.execute("ALTER TABLE case_evidence DROP COLUMN file_id")
    op.execute("DROP TABLE evidence_files")
    for table in MADE:
        op.execute(f"DROP TABLE {table}")
    for column in COURSE:
        op.execute(f"ALTER TABLE cases DROP COLUMN {column}")
