"""Files of evidence: what was announced, and where the bytes are."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, belongs_to, one_of, table_args
from app.models.closed_sets import FileState


class EvidenceFile(OfSite, Base):
    """文件. `name`, `declared_*` as announced; `media_type`, `size` (bytes), `sha256` as found in the bytes."""

    __tablename__ = "evidence_files"
    __table_args__ = table_args(
        belongs_to("cases", "case_id"),
        one_of("state", FileState),
        CheckConstraint("(state = 'stored') = (stored_key IS NOT NULL)", name="stored_key"),
        Index(None, "site_id", "case_id"),
    )

    file_id: Mapped[UUID] = mapped_column(primary_key=True)
    case_id: Mapped[UUID]
    state: Mapped[str]
    name: Mapped[str]
    declared_type: Mapped[str]
    declared_size: Mapped[int] = mapped_column(BigInteger)
    declared_sha256: Mapped[str | None]
    stored_key: Mapped[str | None]
    media_type: Mapped[str | None]
    size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    stored_at: Mapped[datetime | None]
