"""Deposits (保证金) by double entry: each entry moves money between a merchant's accounts; none is ever changed.

`external`: the world outside, less what came in. `available`, `held`: the deposit, free and frozen for a case.
`refunds`: what went to buyers. `recourse`: less what the merchant owes for money that the platform advanced.
`platform`: less what the platform bears itself.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, belongs_to, one_of, table_args
from app.rules.deposits import DepositKind

ACCOUNTS = ("external", "available", "held", "refunds", "recourse", "platform")


class OfMerchant(OfSite):
    """What a merchant has in each account, or what moves there, in fen; together always nothing."""

    merchant_id: Mapped[str] = mapped_column(primary_key=True, sort_order=-9)
    external: Mapped[int] = mapped_column(BigInteger)
    available: Mapped[int] = mapped_column(BigInteger)
    held: Mapped[int] = mapped_column(BigInteger)
    refunds: Mapped[int] = mapped_column(BigInteger)
    recourse: Mapped[int] = mapped_column(BigInteger)
    platform: Mapped[int] = mapped_column(BigInteger)


class DepositAccount(OfMerchant, Base):
    """The sum of a merchant's entries, kept beside them. `told`: the deposit that the site's record told last."""

    __tablename__ = "deposit_accounts"
    __table_args__ = table_args(
        belongs_to("sites"),
        CheckConstraint(f"{' + '.join(ACCOUNTS)} = 0", name="balanced"),
        CheckConstraint("available >= 0 AND held >= 0 AND recourse <= 0", name="in_order"),
    )

    told: Mapped[int] = mapped_column(BigInteger)
    last_entry: Mapped[int]
    updated_at: Mapped[datetime]


class DepositEntry(OfMerchant, Base):
    """One entry; `n` counts a merchant's from 1. `reference`: the number under which a site told it."""

    __tablename__ = "deposit_entries"
    __table_args__ = table_args(
        belongs_to("deposit_accounts", "merchant_id"),
        one_of("kind", DepositKind),
        CheckConstraint(f"{' + '.join(ACCOUNTS)} = 0", name="balanced"),
        Index(
            "uq_deposit_entries_reference",
            "site_id",
            "merchant_id",
            "reference",
            unique=True,
            postgresql_where=text("reference IS NOT NULL"),
        ),
        Index(None, "site_id", "case_id", postgresql_where=text("case_id IS NOT NULL")),
    )

    n: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    case_id: Mapped[UUID | None]
    refund_id: Mapped[UUID | None]
    reference: Mapped[str | None]
    by: Mapped[str | None]
    note: Mapped[str | None]
    created_at: Mapped[datetime]
