"""Accounts at channels of one site; their credentials stay sealed here."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, Row, delete, exc, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict, NotFound, Stale
from app.models.channels import ChannelAccount, ChannelBill
from app.models.closed_sets import ChannelKind
from app.rules.facts import Channel
from app.store.engine import constraint_of


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account at a channel; `credentials` are sealed, `identity` says of what."""

    account_id: UUID
    kind: ChannelKind
    channel: Channel
    label: str
    identity: str
    credentials: bytes
    enabled: bool
    created_at: datetime
    updated_at: datetime
    version: int


_COLUMNS = [ChannelAccount.__table__.c[field.name] for field in fields(AccountRow)]


class ChannelStore:
    """The channel accounts of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def add(self, account: AccountRow) -> None:
        """Registers an account. Conflict where another one is enabled for the channel."""
        await self._write(insert(ChannelAccount).values(site_id=self._site_id, **_values(account)))

    async def get(self, account_id: UUID, *, lock: bool = False) -> AccountRow:
        """One account, on request locked until the transaction ends; NotFound."""
        query = select(*_COLUMNS).where(*self._named(account_id))
        found = (await self._connection.execute(query.with_for_update() if lock else query)).one_or_none()
        if found is None:
            raise NotFound
        return _account(found)

    async def all(self) -> Sequence[AccountRow]:
        """In the order of registration; there are few."""
        query = select(*_COLUMNS).where(ChannelAccount.site_id == self._site_id).order_by(ChannelAccount.account_id)
        return [_account(row) for row in await self._connection.execute(query)]

    async def replace(self, account: AccountRow, *, expected: int) -> AccountRow:
        """Writes an account over its version `expected`; Stale. Conflict as for a new one."""
        changed = replace(account, version=expected + 1)
        here = update(ChannelAccount).where(*self._named(account.account_id), ChannelAccount.version == expected)
        if await self._write(here.values(_values(changed))) == 0:
            raise Stale
        return changed

    async def delete(self, account_id: UUID) -> None:
        """Removes an account; NotFound. Conflict where refunds were asked for by it: they may have to be followed."""
        await self.get(account_id, lock=True)  # or a bill might be claimed in between
        bills = ChannelBill.site_id == self._site_id, ChannelBill.account_id == account_id
        await self._connection.execute(delete(ChannelBill).where(*bills))
        await self._write(delete(ChannelAccount).where(*self._named(account_id)))

    async def _write(self, statement: Any) -> int:
        try:
            written: CursorResult[Any] = await self._connection.execute(statement)
        except exc.IntegrityError as error:
            raise _conflict(error) or error from error
        return written.rowcount

    def _named(self, account_id: UUID) -> tuple[ColumnElement[bool], ...]:
        return ChannelAccount.site_id == self._site_id, ChannelAccount.account_id == account_id


def _values(account: AccountRow) -> dict[str, Any]:
    return {field.name: getattr(account, field.name) for field in fields(AccountRow)}


def _account(row: Row[Any]) -> AccountRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    return AccountRow(**{**values, "kind": ChannelKind(values["kind"]), "channel": Channel(values["channel"])})


def _conflict(error: exc.IntegrityError) -> Conflict | None:
    match constraint_of(error):
        case "uq_channel_accounts_enabled":
            return Conflict(
                "channel_taken",
                en="Another account is enabled for this channel. Disable it first.",
                zh="该渠道已有启用的账户，请先停用。",
            )
        case "fk_refunds_channel_accounts":
            return Conflict(
                "account_in_use",
                en="Refunds were asked for by this account, so it stays on record. Disable it instead.",
                zh="已有退款通过该账户发起，账户须保留。请改为停用。",
            )
        case _:
            return None
