"""Deadlines as rows, so that each takes effect once, after a crash too."""

from datetime import datetime

from sqlalchemy import Boolean, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, belongs_to, one_of, table_args
from app.models.cases import OfCase
from app.models.closed_sets import TimerKind, TimerState


class Timer(OfCase, Base):
    """计时. `next_attempt_at` is `due_at` until an attempt has failed. `rejudge` is not a deadline, but a task."""

    __tablename__ = "case_timers"
    __table_args__ = table_args(
        belongs_to("cases", "case_id"),
        one_of("kind", TimerKind),
        one_of("state", TimerState),
        Index("ix_case_timers_due", "site_id", "next_attempt_at", postgresql_where=text("state = 'pending'")),
        Index(None, "site_id", "name", "settled_at", postgresql_where=text("state <> 'pending'")),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    provisional: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[str]
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
