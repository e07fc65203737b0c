"""The first tables.

Every primary key, unique index and foreign key begins with the site, and there are no triggers and no sequences, so
that the database can be split by site.

Revision: 0001
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """CREATE TABLE sites (
        site_id uuid NOT NULL,
        name text NOT NULL,
        mode text NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_sites PRIMARY KEY (site_id),
        CONSTRAINT ck_sites_mode CHECK (mode IN ('test', 'live'))
    )""",
    """CREATE TABLE api_keys (
        site_id uuid NOT NULL,
        key_id uuid NOT NULL,
        key_hash bytea NOT NULL,
        scopes text[] NOT NULL,
        label text DEFAULT '' NOT NULL,
        created_at timestamptz NOT NULL,
        revoked_at timestamptz,
        CONSTRAINT pk_api_keys PRIMARY KEY (site_id, key_id),
        CONSTRAINT fk_api_keys_sites FOREIGN KEY(site_id) REFERENCES sites (site_id)
    )""",
    """CREATE INDEX ix_api_keys_key_hash
        ON api_keys (key_hash)""",
    """CREATE TABLE policy_activations (
        site_id uuid NOT NULL,
        effective_from timestamptz NOT NULL,
        policy_name text NOT NULL,
        policy_version integer NOT NULL,
        CONSTRAINT pk_policy_activations PRIMARY KEY (site_id, effective_from),
        CONSTRAINT fk_policy_activations_sites FOREIGN KEY(site_id) REFERENCES sites (site_id),
        CONSTRAINT ck_policy_activations_policy_version CHECK (policy_version >= 1)
    )""",
    """CREATE TABLE orders (
        site_id uuid NOT NULL,
        order_no text NOT NULL,
        merchant_id text NOT NULL,
        buyer_id text NOT NULL,
        amount bigint NOT NULL,
        currency text NOT NULL,
        status text NOT NULL,
        placed_at timestamptz NOT NULL,
        cancelled_by text,
        cancelled_at timestamptz,
        sku text NOT NULL,
        goods_name text NOT NULL,
        goods_kind text NOT NULL,
        delivery_mode text NOT NULL,
        promised_at timestamptz,
        card_use text NOT NULL,
        face_value bigint,
        traits text[] NOT NULL,
        report_window interval,
        refundable boolean,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_orders PRIMARY KEY (site_id, order_no),
        CONSTRAINT ck_orders_amount CHECK (amount BETWEEN 0 AND 1000000000000),
        CONSTRAINT ck_orders_face_value CHECK (face_value BETWEEN 0 AND 1000000000000),
        CONSTRAINT ck_orders_status CHECK (status IN ('pending_payment', 'paying', 'payment_failed', 'paid',
            'delivered', 'completed', 'cancelled')),
        CONSTRAINT ck_orders_cancelled_by CHECK (cancelled_by IN ('buyer', 'merchant', 'platform')),
        CONSTRAINT ck_orders_goods_kind CHECK (goods_kind IN ('game_card', 'game_currency', 'phone_topup',
            'membership', 'software_license', 'account', 'custom_service', 'other')),
        CONSTRAINT ck_orders_delivery_mode CHECK (delivery_mode IN ('instant', 'scheduled')),
        CONSTRAINT ck_orders_card_use CHECK (card_use IN ('single_use', 'shared', 'unknown'))
    )""",
    """CREATE TABLE payments (
        site_id uuid NOT NULL,
        payment_no text NOT NULL,
        order_no text,
        channel text NOT NULL,
        status text NOT NULL,
        amount bigint NOT NULL,
        refunded_amount bigint NOT NULL,
        paid_at timestamptz NOT NULL,
        reserved_amount bigint DEFAULT 0 NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_payments PRIMARY KEY (site_id, payment_no),
        CONSTRAINT ck_payments_amount CHECK (amount BETWEEN 0 AND 1000000000000),
        CONSTRAINT ck_payments_refunded_amount CHECK (refunded_amount BETWEEN 0 AND 1000000000000),
        CONSTRAINT ck_payments_reserved_amount CHECK (reserved_amount BETWEEN 0 AND 1000000000000),
        CONSTRAINT ck_payments_within_amount CHECK (refunded_amount + reserved_amount <= amount),
        CONSTRAINT ck_payments_channel CHECK (channel IN ('alipay', 'wechat_pay', 'bank_card', 'unionpay',
            'balance')),
        CONSTRAINT ck_payments_status CHECK (status IN ('succeeded', 'pending', 'failed'))
    )""",
    """CREATE INDEX ix_payments_site_id_order_no
        ON payments (site_id, order_no)
        WHERE order_no IS NOT NULL""",
    """CREATE TABLE deliveries (
        site_id uuid NOT NULL,
        delivery_no text NOT NULL,
        order_no text NOT NULL,
        delivered_at timestamptz,
        face_value bigint,
        recipient text,
        usage text NOT NULL,
        used_at timestamptz,
        used_by text NOT NULL,
        card_status text NOT NULL,
        times_sold integer NOT NULL,
        card_fingerprint text,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_deliveries PRIMARY KEY (site_id, delivery_no),
        CONSTRAINT ck_deliveries_face_value CHECK (face_value BETWEEN 0 AND 1000000000000),
        CONSTRAINT ck_deliveries_times_sold CHECK (times_sold >= 1),
        CONSTRAINT ck_deliveries_card_fingerprint CHECK (card_fingerprint ~ '^[0-9a-f]{64}$'),
        CONSTRAINT ck_deliveries_usage CHECK (usage IN ('unused', 'activated', 'consumed', 'unknown')),
        CONSTRAINT ck_deliveries_used_by CHECK (used_by IN ('buyer', 'other', 'unknown')),
        CONSTRAINT ck_deliveries_card_status CHECK (card_status IN ('unknown', 'valid', 'invalid',
            'expired'))
    )""",
    """CREATE INDEX ix_deliveries_site_id_card_fingerprint
        ON deliveries (site_id, card_fingerprint)
        WHERE card_fingerprint IS NOT NULL""",
    """CREATE INDEX ix_deliveries_site_id_order_no
        ON deliveries (site_id, order_no)""",
    """CREATE TABLE merchants (
        site_id uuid NOT NULL,
        merchant_id text NOT NULL,
        status text NOT NULL,
        identity_verified boolean NOT NULL,
        deposit bigint NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_merchants PRIMARY KEY (site_id, merchant_id),
        CONSTRAINT ck_merchants_deposit CHECK (deposit BETWEEN 0 AND 1000000000000),
        CONSTRAINT ck_merchants_status CHECK (status IN ('active', 'suspended', 'unreachable'))
    )""",
    """CREATE TABLE record_versions (
        site_id uuid NOT NULL,
        kind text NOT NULL,
        record_no text NOT NULL,
        version integer NOT NULL,
        record jsonb NOT NULL,
        recorded_at timestamptz NOT NULL,
        CONSTRAINT pk_record_versions PRIMARY KEY (site_id, kind, record_no, version),
        CONSTRAINT ck_record_versions_kind CHECK (kind IN ('order', 'payment', 'delivery', 'merchant'))
    )""",
    """CREATE TABLE cases (
        site_id uuid NOT NULL,
        case_id uuid NOT NULL,
        order_no text,
        merchant_id text,
        buyer_id text,
        reason text NOT NULL,
        status text NOT NULL,
        claim jsonb NOT NULL,
        policy_name text NOT NULL,
        policy_version integer NOT NULL,
        filed_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version integer NOT NULL,
        next_sequence integer NOT NULL,
        CONSTRAINT pk_cases PRIMARY KEY (site_id, case_id),
        CONSTRAINT ck_cases_reason CHECK (reason IN ('not_delivered', 'delivered_late', 'short_delivery',
            'invalid_goods', 'not_working', 'not_as_described', 'duplicate_charge', 'charged_without_order',
            'payment_info_error', 'wrong_target', 'wrong_account', 'wrong_item', 'change_of_mind',
            'order_cancelled', 'other')),
        CONSTRAINT ck_cases_status CHECK (status IN ('filed', 'awaiting_merchant', 'awaiting_evidence',
            'waiting', 'in_review', 'approved', 'rejected', 'appealed', 'refunding', 'refund_failed',
            'refunded', 'withdrawn', 'lapsed'))
    )""",
    """CREATE INDEX ix_cases_site_id_created_at_case_id
        ON cases (site_id, created_at, case_id)""",
    """CREATE INDEX ix_cases_site_id_merchant_id_created_at_case_id
        ON cases (site_id, merchant_id, created_at, case_id)""",
    """CREATE INDEX ix_cases_site_id_order_no
        ON cases (site_id, order_no)""",
    """CREATE INDEX ix_cases_site_id_status_created_at_case_id
        ON cases (site_id, status, created_at, case_id)""",
    """CREATE UNIQUE INDEX uq_cases_open
        ON cases (site_id, order_no, reason)
        WHERE status NOT IN ('rejected', 'withdrawn', 'lapsed')""",
    """CREATE TABLE case_evidence (
        site_id uuid NOT NULL,
        case_id uuid NOT NULL,
        n integer NOT NULL,
        kind text NOT NULL,
        party text NOT NULL,
        captured_at timestamptz NOT NULL,
        order_no text,
        channel text,
        composite boolean NOT NULL,
        stamped boolean NOT NULL,
        reused boolean NOT NULL,
        sha256 text,
        supports text,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_case_evidence PRIMARY KEY (site_id, case_id, n),
        CONSTRAINT fk_case_evidence_cases FOREIGN KEY(site_id, case_id) REFERENCES cases (site_id, case_id),
        CONSTRAINT ck_case_evidence_kind CHECK (kind IN ('order_record', 'payment_proof', 'chat_log',
            'delivery_anomaly', 'error_screenshot', 'listing_snapshot', 'received_proof', 'failure_page',
            'network_log', 'operation_record', 'merchant_statement', 'third_party_statement',
            'bank_statement', 'screen_recording', 'notarised_record', 'other')),
        CONSTRAINT ck_case_evidence_party CHECK (party IN ('buyer', 'merchant', 'platform', 'third_party')),
        CONSTRAINT ck_case_evidence_channel CHECK (channel IN ('in_platform', 'off_platform')),
        CONSTRAINT ck_case_evidence_supports CHECK (supports IN ('buyer', 'merchant')),
        CONSTRAINT ck_case_evidence_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$')
    )""",
    """CREATE INDEX ix_case_evidence_site_id_sha256
        ON case_evidence (site_id, sha256)
        WHERE sha256 IS NOT NULL""",
    """CREATE TABLE decisions (
        site_id uuid NOT NULL,
        case_id uuid NOT NULL,
        n integer NOT NULL,
        outcome text NOT NULL,
        decisive_rule text,
        policy_name text NOT NULL,
        policy_version integer NOT NULL,
        engine text NOT NULL,
        facts text NOT NULL,
        body text NOT NULL,
        judged_at timestamptz NOT NULL,
        CONSTRAINT pk_decisions PRIMARY KEY (site_id, case_id, n),
        CONSTRAINT fk_decisions_cases FOREIGN KEY(site_id, case_id) REFERENCES cases (site_id, case_id)
    )""",
    """CREATE TABLE refunds (
        site_id uuid NOT NULL,
        refund_id uuid NOT NULL,
        refund_no text NOT NULL,
        case_id uuid NOT NULL,
        payment_no text NOT NULL,
        amount bigint NOT NULL,
        currency text NOT NULL,
        channel text NOT NULL,
        state text NOT NULL,
        expected_by timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_refunds PRIMARY KEY (site_id, refund_id),
        CONSTRAINT fk_refunds_cases FOREIGN KEY(site_id, case_id) REFERENCES cases (site_id, case_id),
        CONSTRAINT fk_refunds_payments FOREIGN KEY(site_id, payment_no) REFERENCES payments (site_id,
            payment_no),
        CONSTRAINT uq_refunds_site_id_refund_no UNIQUE (site_id, refund_no),
        CONSTRAINT uq_refunds_site_id_case_id_payment_no UNIQUE (site_id, case_id, payment_no),
        CONSTRAINT ck_refunds_amount CHECK (amount BETWEEN 0 AND 1000000000000),
        CONSTRAINT ck_refunds_channel CHECK (channel IN ('alipay', 'wechat_pay', 'bank_card', 'unionpay',
            'balance')),
        CONSTRAINT ck_refunds_state CHECK (state IN ('requested', 'accepted', 'processing', 'succeeded',
            'abnormal', 'failed', 'closed'))
    )""",
    """CREATE TABLE idempotency_keys (
        site_id uuid NOT NULL,
        key text NOT NULL,
        fingerprint bytea NOT NULL,
        status integer,
        headers jsonb,
        answer bytea,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_idempotency_keys PRIMARY KEY (site_id, key)
    )""",
    """CREATE INDEX ix_idempotency_keys_site_id_created_at
        ON idempotency_keys (site_id, created_at)""",
    """CREATE TABLE webhook_endpoints (
        site_id uuid NOT NULL,
        endpoint_id uuid NOT NULL,
        url text NOT NULL,
        role text NOT NULL,
        merchant_id text,
        event_types text[],
        channels text[],
        secrets bytea NOT NULL,
        description text NOT NULL,
        enabled boolean NOT NULL,
        disabled_reason text,
        disabled_at timestamptz,
        first_failure_at timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version integer NOT NULL,
        CONSTRAINT pk_webhook_endpoints PRIMARY KEY (site_id, endpoint_id),
        CONSTRAINT fk_webhook_endpoints_sites FOREIGN KEY(site_id) REFERENCES sites (site_id),
        CONSTRAINT ck_webhook_endpoints_role CHECK (role IN ('site', 'merchant', 'channel')),
        CONSTRAINT ck_webhook_endpoints_merchant_id CHECK ((role = 'merchant') = (merchant_id IS NOT NULL)),
        CONSTRAINT ck_webhook_endpoints_disabled_at CHECK (enabled = (disabled_at IS NULL))
    )""",
    """CREATE TABLE events (
        site_id uuid NOT NULL,
        event_id uuid NOT NULL,
        type text NOT NULL,
        case_id uuid,
        sequence integer,
        merchant_id text,
        channel text,
        created_at timestamptz NOT NULL,
        full_data text NOT NULL,
        thin_data text NOT NULL,
        CONSTRAINT pk_events PRIMARY KEY (site_id, event_id),
        CONSTRAINT fk_events_cases FOREIGN KEY(site_id, case_id) REFERENCES cases (site_id, case_id)
    )""",
    """CREATE UNIQUE INDEX ix_events_site_id_case_id_sequence
        ON events (site_id, case_id, sequence)
        WHERE case_id IS NOT NULL""",
    """CREATE TABLE dispatches (
        site_id uuid NOT NULL,
        event_id uuid NOT NULL,
        endpoint_id uuid NOT NULL,
        case_id uuid,
        sequence integer,
        state text NOT NULL,
        attempts integer NOT NULL,
        next_attempt_at timestamptz NOT NULL,
        leased_until timestamptz,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_dispatches PRIMARY KEY (site_id, event_id, endpoint_id),
        CONSTRAINT fk_dispatches_events FOREIGN KEY(site_id, event_id) REFERENCES events (site_id,
            event_id),
        CONSTRAINT ck_dispatches_state CHECK (state IN ('pending', 'delivered', 'failed', 'cancelled'))
    )""",
    """CREATE INDEX ix_dispatches_due
        ON dispatches (site_id, endpoint_id, next_attempt_at)
        WHERE state = 'pending'""",
    """CREATE INDEX ix_dispatches_of_case
        ON dispatches (site_id, endpoint_id, case_id, sequence)
        WHERE state = 'pending' AND case_id IS NOT NULL""",
    """CREATE TABLE webhook_attempts (
        site_id uuid NOT NULL,
        event_id uuid NOT NULL,
        endpoint_id uuid NOT NULL,
        n integer NOT NULL,
        started_at timestamptz NOT NULL,
        duration_ms integer NOT NULL,
        status_code integer,
        error text,
        excerpt text NOT NULL,
        CONSTRAINT pk_webhook_attempts PRIMARY KEY (site_id, event_id, endpoint_id, n),
        CONSTRAINT fk_webhook_attempts_dispatches FOREIGN KEY(site_id, event_id, endpoint_id) REFERENCES
            dispatches (site_id, event_id, endpoint_id)
    )""",
    """CREATE INDEX ix_webhook_attempts_site_id_endpoint_id_started_at
        ON webhook_attempts (site_id, endpoint_id, started_at)""",
)

NAMES = (
    "sites",
    "api_keys",
    "policy_activations",
    "orders",
    "payments",
    "deliveries",
    "merchants",
    "record_versions",
    "cases",
    "case_evidence",
    "decisions",
    "refunds",
    "idempotency_keys",
    "webhook_endpoints",
    "events",
    "dispatches",
    "webhook_attempts",
)


def upgrade() -> None:
    """From an empty schema."""
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Drops everything, children first."""
    for name in reversed(NAMES):
        op.execute(f"DROP TABLE {name}")
