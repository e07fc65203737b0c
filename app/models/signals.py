"""What the records showed about a buyer's or a merchant's good faith."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, belongs_to, one_of, table_args
from app.rules.signals import SignalKind, Subject


class Signal(OfSite, Base):
    """信号. `rule` saw it in `case_id`. A strike counts until it expires or is revoked."""

    __tablename__ = "signals"
    __table_args__ = table_args(
        belongs_to("cases", "case_id"),
        UniqueConstraint("site_id", "case_id", "subject", "kind"),
        one_of("subject", Subject),
        one_of("kind", SignalKind),
        Index(None, "site_id", "subject", "subject_id", "signal_id"),
        Index(None, "site_id", "kind", "signal_id"),
    )

    signal_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str]
    subject_id: Mapped[str]
    kind: Mapped[str]
    rule: Mapped[str]
    case_id: Mapped[UUID]
    order_no: Mapped[str | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    strike: Mapped[bool] = mapped_column(Boolean)
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
