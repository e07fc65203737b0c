"""The channels' own bills, day by day, held against our refunds: what was made behind our back comes to light there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from app.errors import Busy, Unavailable
from app.logs import logger
from app.outbound.channels.adapter import Adapter
from app.rules.calendar import in_shanghai
from app.services.channel_accounts import Channels
from app.services.reconciling import take_in_bill
from app.store.channels import AccountRow, ChannelStore
from app.store.engine import Engine, transaction
from app.store.sites import SiteStore, all_sites, database_now

# What is older is no longer offered by the channels, or was looked at by people long ago.
MOST_DAYS: Final = 14
PATIENCE: Final = 4

log = logger(__name__)


async def read_bills(engine: Engine, channels: Channels) -> int:
    """Reads every bill that is there and was not read before; answers with how many. Raises Unavailable and Busy."""
    async with transaction(engine) as connection:
        sites, now = await all_sites(connection), await database_now(connection)
    read = 0
    for site_id in sites:
        mode, accounts = await _accounts_of(engine, site_id)
        for account in accounts:
            read += await _guarded(engine, channels, Billed(site_id, mode, account), now)
    return read


@dataclass(frozen=True, slots=True)
class Billed:
    """An account whose bills are read; `mode` is its site's."""

    site_id: UUID
    mode: str
    account: AccountRow


async def _guarded(engine: Engine, channels: Channels, billed: Billed, now: datetime) -> int:
    """A fault of ours with one account holds up no other."""
    try:
        adapter = channels.adapter(billed.site_id, billed.account.kind, billed.account.credentials, billed.mode)
        return await _read_of(engine, billed.site_id, billed.account, adapter, now)
    except (Busy, Unavailable):
        raise
    except Exception:
        log.exception("bill_not_read", site_id=str(billed.site_id), channel=billed.account.channel.value)
        return 0


async def _accounts_of(engine: Engine, site_id: UUID) -> tuple[str, Sequence[AccountRow]]:
    async with transaction(engine) as connection:
        accounts = await ChannelStore(connection, site_id).all()
        site = await SiteStore(connection, site_id).get() if accounts else None
    return "live" if site is None else site.mode, accounts


async def _read_of(engine: Engine, site_id: UUID, account: AccountRow, adapter: Adapter, now: datetime) -> int:
    """In the order of days. One that is not there yet ends the round; one that never comes is passed over some day."""
    read = 0
    for day in _days(account, now):
        bill = await adapter.refunds_of_day(day, now)
        if not isinstance(bill, tuple):
            log.warning("bill_not_there", site_id=str(site_id), channel=account.channel.value, day=day.isoformat())
            if (in_shanghai(now).date() - day).days <= PATIENCE:
                break
            bill = ()
        await take_in_bill(engine, site_id, bill, now)
        async with transaction(engine) as connection:
            await ChannelStore(connection, site_id).billed(account.account_id, day)
        log.info("bill_read", site_id=str(site_id), channel=account.channel.value, day=day.isoformat(), count=len(bill))
        read += 1
    return read


def _days(account: AccountRow, now: datetime) -> list[date]:
    yesterday = in_shanghai(now).date() - timedelta(days=1)
    first = yesterday - timedelta(days=MOST_DAYS - 1)
    if account.bills_until is not None:
        first = max(first, account.bills_until + timedelta(days=1))
    return [first + timedelta(days=n) for n in range((yesterday - first).days + 1)]
