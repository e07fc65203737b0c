"""What somebody else paid back over our payments: found at the channel, kept, and never promised a second time."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from app.errors import Invalid
from app.logs import logger
from app.models.closed_sets import ReportSource
from app.outbound.channels.said import FoundRefund, PaymentSeen
from app.rules.settlement import FINAL, RefundState, Report
from app.services import refunds
from app.store.cases import CaseStore
from app.store.engine import Connection, Engine, transaction
from app.store.found import TOTAL, Foreign, FoundStore, OurRefund, PaymentHeld
from app.store.rejudging import RejudgingStore
from app.store.sites import database_now

_MOVED: Final = frozenset({RefundState.SUCCEEDED, RefundState.PROCESSING})

log = logger(__name__)


async def take_in(engine: Engine, site_id: UUID, payment_no: str, seen: PaymentSeen) -> int:
    """Keeps what others paid back, and raises every promise of ours that it overdraws; how many refunds were raised."""
    async with transaction(engine) as connection:
        held = await FoundStore(connection, site_id).lock(payment_no)
        overdrawn = 0 if held is None else await _keep(connection, site_id, held, seen)
    if held is None or not overdrawn:
        return 0
    open_ones = [each for each in held.refunds if each.state not in FINAL]
    for each in open_ones:
        async with transaction(engine) as connection:
            await refunds.refunded_elsewhere(CaseStore(connection, site_id), each.refund_id, overdrawn)
    return len(open_ones)


async def _keep(connection: Connection, site_id: UUID, held: PaymentHeld, seen: PaymentSeen) -> int:
    """By how much the promises are overdrawn: raised each time, in case that a crash has kept it from being told."""
    now = await database_now(connection)
    foreign = list(foreign_refunds(held, seen))
    if not foreign:
        return 0
    kept = await FoundStore(connection, site_id).keep(held.payment_no, foreign, now)
    if kept.is_new:
        log.info("refunds_found", site_id=str(site_id), count=len(foreign), overdrawn=kept.overdrawn)
        locked = [] if held.order_no is None else [held.order_no]
        await RejudgingStore(connection, site_id).enqueue_payment(held.payment_no, now, locked=locked)
    return kept.overdrawn


def foreign_refunds(held: PaymentHeld, seen: PaymentSeen) -> Iterator[Foreign]:
    """What no refund of ours explains. Of a total, only what is beyond everything that may be ours."""
    for each in seen.refunds:
        if each.state in _MOVED and not _is_ours(each, held.refunds):
            yield Foreign(each.channel_refund_no, each.amount, each.at)
    if seen.refunded_amount is None:
        return
    ours = sum(each.amount for each in held.refunds if _may_have_been_paid(each))
    if seen.refunded_amount > ours:
        yield Foreign(TOTAL, seen.refunded_amount - ours, None)


def _is_ours(found: FoundRefund, ours: Iterable[OurRefund]) -> bool:
    return any(found.refund_no == each.refund_no or found.channel_refund_no == each.channel_refund_no for each in ours)


def _may_have_been_paid(refund: OurRefund) -> bool:
    return refund.state is RefundState.SUCCEEDED or (refund.begun and refund.state is not RefundState.CLOSED)


async def take_in_bill(engine: Engine, site_id: UUID, bill: Sequence[tuple[str, FoundRefund]], now: datetime) -> None:
    """Holds a channel's own list against our refunds: what it knows of ours is a report, anything else is found."""
    for payment_no, found in bill:
        async with transaction(engine) as connection:
            ours = (
                None
                if found.refund_no is None
                else await CaseStore(connection, site_id).refunds.by_number(found.refund_no)
            )
        if ours is None:
            await take_in(engine, site_id, payment_no, PaymentSeen(None, (found,)))
        elif (ours.state, ours.amount) != (found.state, found.amount):
            await _report(engine, site_id, ours.refund_id, found, now)


async def _report(engine: Engine, site_id: UUID, refund_id: UUID, found: FoundRefund, now: datetime) -> None:
    said = Report(found.state, found.at or now, found.amount, channel_refund_no=found.channel_refund_no)
    try:
        async with transaction(engine) as connection:
            await refunds.report(CaseStore(connection, site_id), refund_id, said, ReportSource.RECONCILIATION)
    except Invalid:
        log.warning("bill_tells_an_odd_moment", site_id=str(site_id), refund_id=str(refund_id))
