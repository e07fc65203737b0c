"""Bills of a site's channel accounts: which day is read next, by whom, and what came of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Date, DateTime, Uuid, and_, bindparam, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.channels import ChannelAccount, ChannelBill
from app.models.closed_sets import BillState, ChannelKind
from app.rules.facts import Channel

# A day that two claim at once is given to one of them: the other's insert waits, and then finds it leased, or ended.
_CLAIM: Final = text(
    f"""
    INSERT INTO channel_bills (site_id, account_id, day, state, first_asked_at, leased_until)
    SELECT :site_id, :account_id, next.day, '{BillState.AWAITED}', :now, :until FROM (
        SELECT greatest(:first, max(day) + 1) AS day FROM channel_bills
        WHERE site_id = :site_id AND account_id = :account_id AND state <> '{BillState.AWAITED}'
    ) AS next WHERE next.day <= :last
    ON CONFLICT (site_id, account_id, day) DO UPDATE SET leased_until = excluded.leased_until
    WHERE channel_bills.state = '{BillState.AWAITED}' AND channel_bills.leased_until <= :now
    RETURNING day, first_asked_at"""  # noqa: S608 - the names are ours
).bindparams(
    bindparam("site_id", type_=Uuid()),
    bindparam("account_id", type_=Uuid()),
    bindparam("first", type_=Date()),
    bindparam("last", type_=Date()),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("until", type_=DateTime(timezone=True)),
)


@dataclass(frozen=True, slots=True)
class ClaimedBill:
    """A day whose bill is the caller's to ask for, and since when it has been asked for."""

    day: date
    first_asked_at: datetime


@dataclass(frozen=True, slots=True)
class BillRow:
    """An account, and how it stands with its bill of a day. `state` None: nobody has asked for it."""

    account_id: UUID
    channel: Channel
    state: BillState | None
    refunds: int | None
    ended_at: datetime | None


class BillStore:
    """The bills of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def claim(
        self, account_id: UUID, *, first: date, last: date, now: datetime, until: datetime
    ) -> ClaimedBill | None:
        """The day after those that are done with, the caller's alone until `until`; None while it is somebody's."""
        given = {"site_id": self._site_id, "account_id": account_id, "first": first, "last": last}
        found = (await self._connection.execute(_CLAIM, {**given, "now": now, "until": until})).one_or_none()
        return None if found is None else ClaimedBill(found.day, found.first_asked_at)

    async def end(
        self, account_id: UUID, day: date, state: BillState, *, refunds: int | None, ended_at: datetime
    ) -> None:
        """What came of a day that was claimed."""
        own = (ChannelBill.site_id == self._site_id, ChannelBill.account_id == account_id, ChannelBill.day == day)
        values = {"state": state.value, "refunds": refunds, "ended_at": ended_at}
        await self._connection.execute(update(ChannelBill).where(*own).values(values))

    async def of_day(
        self, day: date, *, kinds: Collection[ChannelKind], since: datetime, channel: Channel | None = None
    ) -> Sequence[BillRow]:
        """Of each account of these kinds that was there before `since`, in the order of their registration."""
        account, bill = ChannelAccount.__table__.c, ChannelBill.__table__.c
        of_account = and_(bill.site_id == account.site_id, bill.account_id == account.account_id, bill.day == day)
        query = (
            select(account.account_id, account.channel, bill.state, bill.refunds, bill.ended_at)
            .join_from(ChannelAccount.__table__, ChannelBill.__table__, of_account, isouter=True)
            .where(account.site_id == self._site_id, account.kind.in_(kinds), account.created_at < since)
            .order_by(account.account_id)
        )
        if channel is not None:
            query = query.where(account.channel == channel.value)
        return [
            BillRow(
                row.account_id,
                Channel(row.channel),
                None if row.state is None else BillState(row.state),
                row.refunds,
                row.ended_at,
            )
            for row in await self._connection.execute(query)
        ]
