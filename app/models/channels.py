"""Accounts at payment channels that the service itself asks for refunds, and the bills of them that it has read."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Boolean, Date, Index, Integer, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, belongs_to, one_of, table_args
from app.models.closed_sets import BillState, ChannelKind
from app.rules.facts import Channel


class ChannelAccount(OfSite, Base):
    """渠道账户. `credentials` are sealed; `identity` is what they are credentials of, whatever the keys."""

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
    identity: Mapped[str]
    credentials: Mapped[bytes] = mapped_column(LargeBinary)
    enabled: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int]


class ChannelBill(OfSite, Base):
    """渠道账单 of a day of Shanghai. `refunds`: how many it listed; `leased_until`: when it may be asked for again."""

    __tablename__ = "channel_bills"
    __table_args__ = table_args(belongs_to("channel_accounts", "account_id"), one_of("state", BillState))

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    state: Mapped[str]
    first_asked_at: Mapped[datetime]
    leased_until: Mapped[datetime]
    refunds: Mapped[int | None] = mapped_column(Integer)
    ended_at: Mapped[datetime | None]
