"""Refunds that are late: nobody took the instruction, or the money is not back by the time that was promised."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from app.errors import Busy, Unavailable
from app.logs import logger
from app.services.refunds import raise_overdue
from app.store.cases import CaseStore
from app.store.engine import Engine, transaction
from app.store.refunds import RefundStore, sites_overdue

SITES_AT_ONCE: Final = 16
AFTER_A_FAULT: Final = timedelta(minutes=10)

log = logger(__name__)


async def raise_due(engine: Engine, *, limit: int) -> int:
    """Tells of up to `limit` refunds of a site that are overdue, each in one transaction; how many were told.

    A case that is busy is left for the next round. Raises Unavailable, and Busy while looking.
    """
    async with transaction(engine) as connection:
        sites = await sites_overdue(connection, SITES_AT_ONCE)
    told = 0
    for site_id in sites:
        async with transaction(engine) as connection:
            due = await RefundStore(connection, site_id).overdue(limit)
        told += sum([await _raise(engine, site_id, refund_id, case_id) for refund_id, case_id in due])
    return told


async def _raise(engine: Engine, site_id: UUID, refund_id: UUID, case_id: UUID) -> bool:
    try:
        async with transaction(engine) as connection:
            cases = CaseStore(connection, site_id)
            if not await cases.lock(case_id, wait=False) or not await cases.refunds.is_still_overdue(refund_id):
                return False
            await raise_overdue(cases, await cases.hold(case_id), refund_id)
    except Unavailable:
        raise
    except Busy:  # the case was free, but not all that it touches
        return False
    except Exception:
        log.exception("overdue_not_told", site_id=str(site_id), refund_id=str(refund_id))
        await _postpone(engine, site_id, refund_id)
        return False
    return True


async def _postpone(engine: Engine, site_id: UUID, refund_id: UUID) -> None:
    async with transaction(engine) as connection:
        await RefundStore(connection, site_id).postpone_overdue(refund_id, AFTER_A_FAULT)
