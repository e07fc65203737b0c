"""Deposits (保证金) of one site: each merchant's accounts, and the journal that they are the sum of.

An account is the last lock that a transaction takes: order, payments, case, account. Entries are only ever added.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import BigInteger, ColumnElement, RowMapping, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.deposits import ACCOUNTS, DepositAccount, DepositEntry
from app.models.records import Merchant
from app.rules import deposits
from app.rules.deposits import Balances, DepositKind
from app.store.deposit_rows import Account, Difference, EntryRow, Locked, NewEntry, OfCase
from app.store.deposit_sql import APPEND, DIFFERING, LOCK, OPEN, READ

_ROWS: Final = TypeAdapter(list[dict[str, Any]])
_OF_CASE: Final = TypeAdapter(OfCase)
_TOLD: Final = tuple(each.name for each in fields(NewEntry) if each.name != "moved")
_ENTRY: Final = [DepositEntry.__table__.c[name] for name in ("n", "created_at", *_TOLD, *ACCOUNTS)]


class DepositStore:
    """The deposits of one site's merchants."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def lock(self, merchant_id: str, now: datetime, *, case_id: UUID | None = None) -> Locked:
        """A merchant's accounts, locked until the transaction ends; opened, if there were none.

        What a record told and nobody booked, since an earlier version of the service took it, is booked first.
        """
        own = [merchant_id]
        [locked] = await self._lock(own, now, case_id) or await self._open_and_lock(own, now, case_id)
        return locked

    async def catch_up(self, merchant_ids: Collection[str], now: datetime) -> None:
        """Books what the records of these merchants tell, where it is not booked. Locks the accounts of those alone."""
        given = {"site_id": self._site_id, "merchant_ids": sorted(set(merchant_ids))}
        differing = (await self._connection.scalars(DIFFERING, given)).all()
        if differing:
            await self._open_and_lock(sorted(differing), now, None)

    async def append(self, account: Account, entries: Sequence[NewEntry], now: datetime) -> Account:
        """Adds entries to accounts that are locked, and what they move to the balances, in one statement.

        Raises NotEnough, before anything is written, for an entry that takes more than there is.
        """
        if not entries:
            return account
        after = _appended(account, entries, now)
        await self._write([(after, entries)], now)
        return after

    async def get(self, merchant_id: str) -> Account | None:
        """A merchant's accounts as they are once all that was told is booked; None for a merchant that nobody told."""
        account, merchant = DepositAccount.__table__, Merchant.__table__
        own = (account.c.site_id == self._site_id, account.c.merchant_id == merchant_id)
        known = select(merchant.c.deposit, merchant.c.updated_at)
        known = known.where(merchant.c.site_id == self._site_id, merchant.c.merchant_id == merchant_id)
        kept = (await self._connection.execute(select(account).where(*own))).mappings().one_or_none()
        record = (await self._connection.execute(known)).mappings().one_or_none()
        if record is None:
            return None if kept is None else _account(kept)
        told_at = record["updated_at"]
        stands = Account(merchant_id, 0, 0, Balances(), told_at) if kept is None else _account(kept)
        return _caught_up(stands, record["deposit"], told_at)[0]

    async def page(self, merchant_id: str, *, limit: int, before: int | None = None) -> list[EntryRow]:
        """The latest `limit` entries of a merchant, newest first, from before the one named."""
        of_merchant = (DepositEntry.site_id == self._site_id, DepositEntry.merchant_id == merchant_id)
        earlier: tuple[ColumnElement[bool], ...] = () if before is None else (DepositEntry.n < before,)
        query = select(*_ENTRY).where(*of_merchant, *earlier).order_by(DepositEntry.n.desc()).limit(limit)
        return [_entry(row) for row in (await self._connection.execute(query)).mappings()]

    async def under(self, merchant_id: str, reference: str) -> EntryRow | None:
        """The entry that a site told under a number of its own."""
        query = select(*_ENTRY).where(
            DepositEntry.site_id == self._site_id,
            DepositEntry.merchant_id == merchant_id,
            DepositEntry.reference == reference,
        )
        found = (await self._connection.execute(query)).mappings().one_or_none()
        return None if found is None else _entry(found)

    async def differences(self) -> list[Difference]:
        """Every merchant whose accounts cannot be rebuilt from the entries. For an operator: it reads the journal."""
        entry = DepositEntry.__table__.c
        summed = [func.coalesce(func.sum(entry[name]), 0).cast(BigInteger).label(f"summed_{name}") for name in ACCOUNTS]
        totals = (
            select(func.count(entry.n).label("entries"), func.coalesce(func.max(entry.n), 0).label("highest"), *summed)
            .where(entry.site_id == DepositAccount.site_id, entry.merchant_id == DepositAccount.merchant_id)
            .lateral()
        )
        query = select(DepositAccount.__table__, *totals.c).where(DepositAccount.site_id == self._site_id)
        query = query.join(totals, text("true")).order_by(DepositAccount.merchant_id)
        rows = (await self._connection.execute(query)).mappings()
        return [_difference(row) for row in rows if not _is_in_order(row)]

    async def _open_and_lock(self, merchant_ids: Sequence[str], now: datetime, case_id: UUID | None) -> list[Locked]:
        """Opens before it locks anything: who waits for an opening and holds a lock already may be waited for by it."""
        await self._connection.execute(OPEN, {"site_id": self._site_id, "merchant_ids": list(merchant_ids), "now": now})
        return await self._lock(merchant_ids, now, case_id)

    async def _lock(self, merchant_ids: Sequence[str], now: datetime, case_id: UUID | None) -> list[Locked]:
        """Those that are open, in the order of their ids, which whoever locks several of them has to keep to."""
        given = {"site_id": self._site_id, "merchant_ids": list(merchant_ids)}
        kept = (await self._connection.execute(LOCK, given)).mappings().all()
        if not kept:
            return []
        read = (await self._connection.execute(READ, {**given, "case_id": case_id})).all()
        found = {row.merchant_id: row for row in read}
        late = []
        locked = []
        for account in map(_account, kept):
            row = found[account.merchant_id]
            stands, entries = (account, ()) if row.deposit is None else _caught_up(account, row.deposit, now)
            late += [(stands, entries)] if entries else []
            locked.append(Locked(stands, _OF_CASE.validate_json(row.of_case)))
        await self._write(late, now)
        return locked

    async def _write(self, written: Sequence[tuple[Account, Sequence[NewEntry]]], now: datetime) -> None:
        if not written:
            return
        parameters = {
            "site_id": self._site_id,
            "merchant_ids": [account.merchant_id for account, _ in written],
            "accounts": json.dumps([_account_document(account) for account, _ in written]),
            "entries": _ROWS.dump_json([row for each in written for row in _entry_documents(*each)]).decode(),
            "now": now,
        }
        await self._connection.execute(APPEND, parameters)


def _caught_up(account: Account, deposit: int, at: datetime) -> tuple[Account, tuple[NewEntry, ...]]:
    """The accounts once the deposit that the site's record tells now is booked, and the entry that it takes."""
    if account.told == deposit:
        return account, ()
    entry = deposits.told(account.balances, account.told, deposit)
    entries = (NewEntry(entry.kind, entry.moved),)
    return replace(_appended(account, entries, at), told=deposit), entries


def _appended(account: Account, entries: Iterable[NewEntry], now: datetime) -> Account:
    balances, count = account.balances, account.entries
    for entry in entries:
        balances, count = deposits.after(balances, deposits.Entry(entry.kind, entry.moved)), count + 1
    return replace(account, balances=balances, entries=count, updated_at=now)


def _account_document(account: Account) -> dict[str, Any]:
    named = {"merchant_id": account.merchant_id, "told": account.told, "last_entry": account.entries}
    return {**named, **asdict(account.balances)}


def _entry_documents(account: Account, entries: Sequence[NewEntry]) -> Iterable[dict[str, Any]]:
    """Numbered so that the last one has the account's number of entries."""
    for n, entry in enumerate(entries, start=account.entries - len(entries) + 1):
        told = {name: getattr(entry, name) for name in _TOLD}
        yield {**told, "merchant_id": account.merchant_id, "n": n, **asdict(entry.moved)}


def _account(row: RowMapping) -> Account:
    return Account(row["merchant_id"], row["told"], row["last_entry"], _balances(row), row["updated_at"])


def _entry(row: RowMapping) -> EntryRow:
    named = {name: value for name, value in row.items() if name not in ACCOUNTS}
    return EntryRow(**{**named, "kind": DepositKind(row["kind"]), "moved": _balances(row)})


def _balances(row: RowMapping) -> Balances:
    return Balances(*(row[name] for name in ACCOUNTS))


def _is_in_order(row: RowMapping) -> bool:
    balanced = all(row[name] == row[f"summed_{name}"] for name in ACCOUNTS)
    return balanced and row["last_entry"] == row["entries"] == row["highest"]


def _difference(row: RowMapping) -> Difference:
    summed = {name: row[f"summed_{name}"] for name in ACCOUNTS}
    return Difference(row["merchant_id"], _balances(row), summed, row["last_entry"], row["entries"])
