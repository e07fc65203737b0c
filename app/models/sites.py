"""Tenants, their keys, and which policy is in force for them since when."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, OfSite, belongs_to, one_of, table_args


class Site(OfSite, Base):
    """One world of one account: a platform's test data and live data are two sites.

    `reporting_secrets`: a sealed list; while there are any, results of refunds must be signed with one of them.
    """

    __tablename__ = "sites"
    __table_args__ = table_args(one_of("mode", ("test", "live")))

    name: Mapped[str]
    mode: Mapped[str]
    created_at: Mapped[datetime]
    reporting_secrets: Mapped[bytes | None] = mapped_column(LargeBinary)


class ApiKey(OfSite, Base):
    """A key by its hash; the key itself was shown once."""

    __tablename__ = "api_keys"
    __table_args__ = table_args(
        belongs_to("sites"),
        # Who calls is asked before the site is known, so this one index does not begin with it.
        Index("ix_api_keys_key_hash", "key_hash"),
    )

    key_id: Mapped[UUID] = mapped_column(primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    label: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class PolicyActivation(OfSite, Base):
    """The policy at an instant is that of the latest row not after it."""

    __tablename__ = "policy_activations"
    __table_args__ = table_args(
        belongs_to("sites"),
        CheckConstraint("policy_version >= 1", name="policy_version"),
    )

    effective_from: Mapped[datetime] = mapped_column(primary_key=True)
    policy_name: Mapped[str]
    policy_version: Mapped[int]
