"""The channels' own bills, day by day, held against our refunds: what was made behind our back comes to light there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app import ids
from app.errors import Busy, Unavailable
from app.logs import logger
from app.models.closed_sets import BillState
from app.outbound.channels.adapter import Adapter
from app.outbound.channels.opening import WITH_BILLS
from app.rules.calendar import in_shanghai
from app.rules.decision import instant
from app.services.channel_accounts import ACCOUNT, Channels
from app.services.reconciling import take_in_bill
from app.store.bills import BillRow, BillStore, ClaimedBill
from app.store.channels import AccountRow, ChannelStore
from app.store.engine import Engine, transaction
from app.store.sites import SiteStore, all_sites, database_now

# What is older is no longer offered by the channels, or was looked at by people long ago.
MOST_DAYS: Final = 14
PATIENCE: Final = timedelta(days=4)
# Long enough to read any bill; also how long one that is not there is left alone.
LEASE: Final = timedelta(hours=1)

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Billed:
    """An account whose bills are read; `mode` is its site's."""

    site_id: UUID
    mode: str
    account: AccountRow

    def told(self, day: date) -> dict[str, str]:
        """For a line of the log."""
        return {"site_id": str(self.site_id), "channel": self.account.channel.value, "day": day.isoformat()}


async def read_bills(engine: Engine, channels: Channels) -> int:
    """Reads every bill that is there and was not read before; answers with how many. Raises Unavailable and Busy.

    Whoever else reads at the same time takes other days, or none.
    """
    async with transaction(engine) as connection:
        sites, now = await all_sites(connection), await database_now(connection)
    read = 0
    for site_id in sites:
        mode, accounts = await _accounts_of(engine, site_id)
        for account in accounts:
            read += await _guarded(engine, channels, Billed(site_id, mode, account), now)
    return read


async def _accounts_of(engine: Engine, site_id: UUID) -> tuple[str, Sequence[AccountRow]]:
    async with transaction(engine) as connection:
        accounts = [each for each in await ChannelStore(connection, site_id).all() if each.kind in WITH_BILLS]
        site = await SiteStore(connection, site_id).get() if accounts else None
    return "live" if site is None else site.mode, accounts


async def _guarded(engine: Engine, channels: Channels, billed: Billed, now: datetime) -> int:
    """A fault of ours with one account holds up no other."""
    try:
        return await _read_of(engine, channels, billed, now)
    except (Busy, Unavailable):
        raise
    except Exception:
        log.exception("bill_not_read", site_id=str(billed.site_id), channel=billed.account.channel.value)
        return 0


async def _read_of(engine: Engine, channels: Channels, billed: Billed, now: datetime) -> int:
    """In the order of days. One that is not there yet ends the round; one that never comes is passed over some day."""
    account = billed.account
    read = 0
    while (claimed := await _claimed(engine, billed, now)) is not None:
        adapter = channels.adapter(billed.site_id, account.kind, account.credentials, billed.mode)
        if not await _is_done(engine, billed, adapter, claimed, now):
            break
        read += 1
    return read


async def _claimed(engine: Engine, billed: Billed, now: datetime) -> ClaimedBill | None:
    first = max(in_shanghai(billed.account.created_at).date(), first_readable(now))
    last = in_shanghai(now).date() - timedelta(days=1)
    async with transaction(engine) as connection:
        bills = BillStore(connection, billed.site_id)
        return await bills.claim(billed.account.account_id, first=first, last=last, now=now, until=now + LEASE)


async def _is_done(engine: Engine, billed: Billed, adapter: Adapter, claimed: ClaimedBill, now: datetime) -> bool:
    """Whether the day needs no further look: its bill was read, or has been asked for in vain for long enough."""
    day = claimed.day
    bill = await adapter.refunds_of_day(day, now)
    if isinstance(bill, tuple):
        await take_in_bill(engine, billed.site_id, bill, now)
        log.info("bill_read", **billed.told(day), count=len(bill))
        await _end(engine, billed, day, BillState.READ, len(bill))
        return True
    if now < claimed.first_asked_at + PATIENCE:
        log.info("bill_not_there", **billed.told(day))
        return False
    log.warning("bill_missing", **billed.told(day))
    await _end(engine, billed, day, BillState.MISSING, None)
    return True


async def _end(engine: Engine, billed: Billed, day: date, state: BillState, refunds: int | None) -> None:
    async with transaction(engine) as connection:
        ended_at = await database_now(connection)
        bills = BillStore(connection, billed.site_id)
        await bills.end(billed.account.account_id, day, state, refunds=refunds, ended_at=ended_at)


def first_readable(now: datetime) -> date:
    """The earliest day whose bill is still asked for."""
    return in_shanghai(now).date() - timedelta(days=MOST_DAYS)


def bill_document(row: BillRow, day: date, now: datetime) -> dict[str, Any]:
    """How an account stands with its bill of a day."""
    state = row.state or BillState.AWAITED
    if state is BillState.AWAITED and day < first_readable(now):
        state = BillState.MISSING
    return {
        "account_id": ids.show(ACCOUNT, row.account_id),
        "channel": row.channel.value,
        "state": state.value,
        "refunds": row.refunds,
        "read_at": None if row.ended_at is None or state is not BillState.READ else instant(row.ended_at),
    }
