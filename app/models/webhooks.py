"""Who listens, what happened, and what became of telling them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, belongs_to, one_of, table_args
from app.models.closed_sets import DispatchState


class WebhookEndpoint(OfSite, Base):
    """An adapter's address. `secrets` is a sealed list, newest first: older ones sign too until they expire."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = table_args(
        belongs_to("sites"),
        one_of("role", ("site", "merchant", "channel")),
        CheckConstraint("(role = 'merchant') = (merchant_id IS NOT NULL)", name="merchant_id"),
        CheckConstraint("enabled = (disabled_at IS NULL)", name="disabled_at"),
    )

    endpoint_id: Mapped[UUID] = mapped_column(primary_key=True)
    url: Mapped[str]
    role: Mapped[str]
    merchant_id: Mapped[str | None]
    event_types: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    channels: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    secrets: Mapped[bytes] = mapped_column(LargeBinary)
    description: Mapped[str]
    enabled: Mapped[bool] = mapped_column(Boolean)
    disabled_reason: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    first_failure_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int]


class Event(OfSite, Base):
    """Something that happened, as it is told: whole to the site, thin to merchants and channels."""

    __tablename__ = "events"
    __table_args__ = table_args(
        belongs_to("cases", "case_id"),
        Index(None, "site_id", "case_id", "sequence", unique=True, postgresql_where=text("case_id IS NOT NULL")),
    )

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str]
    case_id: Mapped[UUID | None]
    sequence: Mapped[int | None]
    merchant_id: Mapped[str | None]
    channel: Mapped[str | None]
    created_at: Mapped[datetime]
    full_data: Mapped[str]
    thin_data: Mapped[str]


class OfDispatch(OfSite):
    """Keyed by what is told and to whom."""

    event_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-9)
    endpoint_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-8)


class Dispatch(OfDispatch, Base):
    """One event on its way to one endpoint. `attempts` counts those begun: one that kills its worker ends, too."""

    __tablename__ = "dispatches"
    __table_args__ = table_args(
        belongs_to("events", "event_id"),
        one_of("state", DispatchState),
        Index(
            "ix_dispatches_due",
            "site_id",
            "endpoint_id",
            "next_attempt_at",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_dispatches_of_case",
            "site_id",
            "endpoint_id",
            "case_id",
            "sequence",
            postgresql_where=text("state = 'pending' AND case_id IS NOT NULL"),
        ),
    )

    case_id: Mapped[UUID | None]
    sequence: Mapped[int | None]
    state: Mapped[str]
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


class WebhookAttempt(OfDispatch, Base):
    """One attempt, and what came back."""

    __tablename__ = "webhook_attempts"
    __table_args__ = table_args(
        belongs_to("dispatches", "event_id", "endpoint_id"),
        Index(None, "site_id", "endpoint_id", "started_at"),
    )

    n: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    duration_ms: Mapped[int]
    status_code: Mapped[int | None]
    error: Mapped[str | None]
    excerpt: Mapped[str]
