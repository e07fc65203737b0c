"""Accounts at payment channels that the service itself asks for refunds."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Boolean, Date, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, belongs_to, one_of, table_args
from app.models.closed_sets import ChannelKind
from app.rules.facts import Channel


class ChannelAccount(OfSite, Base):
    """渠道账户. `credentials` are sealed. `bills_until`: the last day whose bill was held against our refunds."""

    __tablename__ = "channel_accounts"
    __table_args__ = table_args(
        belongs_to("sites"),
        one_of("kind", ChannelKind),
        one_of("channel", Channel),
        Index("uq_channel_accounts_enabled", "site_id", "channel", unique=True, postgresql_where=text("enabled")),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    channel: Mapped[str]
    label: Mapped[str]
    credentials: Mapped[bytes] = mapped_column(LargeBinary)
    enabled: Mapped[bool] = mapped_column(Boolean)
    bills_until: Mapped[date | None] = mapped_column(Date)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int]
