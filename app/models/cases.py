"""Cases, what was put forward in them, and how they were decided."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, belongs_to, one_of, table_args
from app.models.closed_sets import FILED_AGAIN_AFTER, ActKind
from app.rules.facts import ChatChannel, EvidenceKind, Party, Reason, Side
from app.rules.lifecycle import CaseStatus

_ENDED = ", ".join(f"'{status}'" for status in FILED_AGAIN_AFTER)


class OfCase(OfSite):
    """A child: keyed by its case, so that one index serves it."""

    case_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-9)


class Case(OfSite, Base):
    """案件. `claim` as it was filed; `next_sequence` is the number of its next event.

    Limits count from when evidence was asked for, when a person's turn began, and when the case came back from waiting
    for the buyer (`resumed_at`). `decided_at` is when it first came to an end.
    """

    __tablename__ = "cases"
    __table_args__ = table_args(
        one_of("reason", Reason),
        one_of("status", CaseStatus),
        Index(
            "uq_cases_open",
            "site_id",
            "order_no",
            "reason",
            unique=True,
            postgresql_where=text(f"status NOT IN ({_ENDED})"),
        ),
        Index(None, "site_id", "order_no"),
        Index(None, "site_id", "created_at", "case_id"),
        Index(None, "site_id", "status", "created_at", "case_id"),
        Index(None, "site_id", "merchant_id", "created_at", "case_id"),
    )

    case_id: Mapped[UUID] = mapped_column(primary_key=True)
    order_no: Mapped[str | None]
    merchant_id: Mapped[str | None]
    buyer_id: Mapped[str | None]
    reason: Mapped[str]
    status: Mapped[str]
    claim: Mapped[dict[str, Any]] = mapped_column(JSONB)
    policy_name: Mapped[str]
    policy_version: Mapped[int]
    filed_at: Mapped[datetime]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int]
    next_sequence: Mapped[int]
    evidence_requested_at: Mapped[datetime | None]
    review_started_at: Mapped[datetime | None]
    resumed_at: Mapped[datetime | None]
    appealed_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]


class CasePayment(OfCase, Base):
    """A payment that a claim names although it is not its order's: a charge may have no order at all."""

    __tablename__ = "case_payments"
    __table_args__ = table_args(belongs_to("cases", "case_id"), Index(None, "site_id", "payment_no"))

    payment_no: Mapped[str] = mapped_column(primary_key=True)


class CaseEvidence(OfCase, Base):
    """证据, as it was put forward. `reused`: the service's own finding at that time."""

    __tablename__ = "case_evidence"
    __table_args__ = table_args(
        belongs_to("cases", "case_id"),
        belongs_to("evidence_files", "file_id"),
        one_of("kind", EvidenceKind),
        one_of("party", Party),
        one_of("channel", ChatChannel),
        one_of("supports", Side),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256"),
        Index(None, "site_id", "sha256", postgresql_where=text("sha256 IS NOT NULL")),
    )

    n: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    party: Mapped[str]
    captured_at: Mapped[datetime]
    order_no: Mapped[str | None]
    channel: Mapped[str | None]
    composite: Mapped[bool]
    stamped: Mapped[bool]
    reused: Mapped[bool]
    sha256: Mapped[str | None]
    supports: Mapped[str | None]
    created_at: Mapped[datetime]
    file_id: Mapped[UUID | None]


class Act(OfCase, Base):
    """行为: what a party did in a case, as it was done. Never updated."""

    __tablename__ = "case_acts"
    __table_args__ = table_args(
        belongs_to("cases", "case_id"),
        one_of("kind", ActKind),
        Index(None, "site_id", "kind", "created_at"),
    )

    n: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    by: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime]


class Decision(OfCase, Base):
    """裁定, never updated. `facts` and `body` are kept as text: jsonb would reorder the bytes that were hashed."""

    __tablename__ = "decisions"
    __table_args__ = table_args(belongs_to("cases", "case_id"))

    n: Mapped[int] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    decisive_rule: Mapped[str | None]
    policy_name: Mapped[str]
    policy_version: Mapped[int]
    engine: Mapped[str]
    facts: Mapped[str]
    body: Mapped[str]
    judged_at: Mapped[datetime]
