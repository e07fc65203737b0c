"""Deposits as rows: a merchant's accounts, and the entries that they are the sum of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.rules.deposits import Balances, DepositKind


@dataclass(frozen=True, slots=True)
class Account:
    """A merchant's accounts as they stand. `told`: the deposit that its record told last; `entries`: how many."""

    merchant_id: str
    told: int
    entries: int
    balances: Balances
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A booking, and what it is about."""

    kind: DepositKind
    moved: Balances
    case_id: UUID | None = None
    refund_id: UUID | None = None
    reference: str | None = None
    by: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow(NewEntry):
    """A booking as it is kept: `n` counts the merchant's from 1."""

    n: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OfCase:
    """What a case has moved so far; the refunds that were taken back, and those that took another's place."""

    moved: Balances
    reversed: frozenset[UUID]
    replacing: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Locked:
    """Accounts that nobody else can change, with what one case has moved in them."""

    account: Account
    of_case: OfCase


@dataclass(frozen=True, slots=True)
class Difference:
    """Accounts that are not the sum of their entries, or whose entries are not numbered from 1 without a gap."""

    merchant_id: str
    kept: Balances
    summed: Mapping[str, int]
    last_entry: int
    entries: int
