"""Requests that must not take effect twice."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, table_args


class IdempotencyKey(OfSite, Base):
    """A key, what it was first used for, and the answer that was given then (sealed, as it may show secrets)."""

    __tablename__ = "idempotency_keys"
    __table_args__ = table_args(Index(None, "site_id", "created_at"))

    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
