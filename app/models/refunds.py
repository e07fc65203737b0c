"""Money on its way back: instructions, what was reported of them, and what others refunded."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, amount_in_range, belongs_to, one_of, table_args
from app.models.closed_sets import ReportSource
from app.rules.facts import Channel
from app.rules.settlement import ConflictCode, FailureCode, RefundState, ReportVerdict


class Refund(OfSite, Base):
    """退款: one instruction to move money back over one payment of a case. `refund_no` never changes.

    `overdue_at`: when it will be overdue, None once that was told or nothing is awaited any more. `account_id`: the
    channel account that the service itself asks; None: an adapter is instructed. `next_step_at`: when it is asked next.
    """

    __tablename__ = "refunds"
    __table_args__ = table_args(
        belongs_to("cases", "case_id"),
        belongs_to("payments", "payment_no"),
        belongs_to("channel_accounts", "account_id"),
        UniqueConstraint("site_id", "refund_no"),
        # Only what is closed may be replaced.
        Index(
            "uq_refunds_open",
            "site_id",
            "case_id",
            "payment_no",
            unique=True,
            postgresql_where=text("state <> 'closed'"),
        ),
        Index(
            "uq_refunds_channel_refund_no",
            "site_id",
            "channel",
            "channel_refund_no",
            unique=True,
            postgresql_where=text("channel_refund_no IS NOT NULL"),
        ),
        Index(None, "site_id", "case_id"),
        Index(None, "site_id", "payment_no"),
        Index(None, "site_id", "state", "refund_id"),
        Index("ix_refunds_overdue", "site_id", "overdue_at", postgresql_where=text("overdue_at IS NOT NULL")),
        Index("ix_refunds_next_step", "site_id", "next_step_at", postgresql_where=text("next_step_at IS NOT NULL")),
        Index(
            "ix_refunds_reported",
            "site_id",
            "reported_at",
            "refund_id",
            postgresql_where=text("reported_at IS NOT NULL"),
        ),
        amount_in_range("amount"),
        one_of("channel", Channel),
        one_of("state", RefundState),
        one_of("failure_code", FailureCode),
    )

    refund_id: Mapped[UUID] = mapped_column(primary_key=True)
    refund_no: Mapped[str]
    case_id: Mapped[UUID]
    payment_no: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    channel: Mapped[str]
    state: Mapped[str]
    expected_by: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default=text("1"))
    channel_refund_no: Mapped[str | None]
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None]
    reported_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    instructed_at: Mapped[datetime | None]
    overdue_at: Mapped[datetime | None]
    replaces: Mapped[UUID | None]
    other_account: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    account_id: Mapped[UUID | None]
    next_step_at: Mapped[datetime | None]
    submitted_at: Mapped[datetime | None]
    asked: Mapped[int] = mapped_column(server_default=text("0"))
    asked_at: Mapped[datetime | None]
    last_said: Mapped[str | None]
    gone_before: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class RefundReport(OfSite, Base):
    """What was said of a refund, each thing once: `times` counts how often, `digest` is of its content."""

    __tablename__ = "refund_reports"
    __table_args__ = table_args(
        belongs_to("refunds", "refund_id"),
        UniqueConstraint("site_id", "refund_id", "digest"),
        Index(None, "site_id", "received_at", postgresql_where=text("verdict = 'conflict'")),
        one_of("source", ReportSource),
        one_of("channel", Channel),
        one_of("state", RefundState),
        one_of("failure_code", FailureCode),
        one_of("verdict", ReportVerdict),
        one_of("conflict", ConflictCode),
    )

    refund_id: Mapped[UUID] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str]
    source: Mapped[str]
    state: Mapped[str]
    amount: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None]
    channel_refund_no: Mapped[str | None]
    payment_no: Mapped[str | None]
    channel: Mapped[str | None]
    at: Mapped[datetime]
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None]
    verdict: Mapped[str]
    conflict: Mapped[str | None]
    times: Mapped[int] = mapped_column(server_default=text("1"))
    received_at: Mapped[datetime]
    last_received_at: Mapped[datetime]


class FoundRefund(OfSite, Base):
    """A refund that somebody else made over a payment, as the channel told it; `reference` is the channel's number."""

    __tablename__ = "found_refunds"
    __table_args__ = table_args(
        belongs_to("payments", "payment_no"),
        amount_in_range("amount"),
        Index(None, "site_id", "found_at", postgresql_where=text("reference <> ''")),
        Index("ix_found_refunds_refunded", "site_id", "refunded_at", postgresql_where=text("refunded_at IS NOT NULL")),
    )

    payment_no: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)
    refunded_at: Mapped[datetime | None]
    found_at: Mapped[datetime]
