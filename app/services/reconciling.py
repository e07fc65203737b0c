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
from app.store.case_rows import RefundRow
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
        if held is None or not await _keep(connection, site_id, held, seen):
            return 0
    return await raise_overdrawn(engine, site_id, payment_no)


async def raise_overdrawn(engine: Engine, site_id: UUID, payment_no: str) -> int:
    """Raises every promise of ours over a payment that has not so much left; how many. Told once for each amount."""
    async with transaction(engine) as connection:
        held = await FoundStore(connection, site_id).lock(payment_no)
    if held is None or not held.overdrawn:
        return 0
    open_ones = [each for each in held.refunds if each.state not in FINAL]
    for each in open_ones:
        async with transaction(engine) as connection:
            await refunds.refunded_elsewhere(CaseStore(connection, site_id), each.refund_id, held.overdrawn)
    return len(open_ones)


async def _keep(connection: Connection, site_id: UUID, held: PaymentHeld, seen: PaymentSeen) -> bool:
    """Whether there is anything: raised each time, in case that a crash has kept it from being told."""
    now = await database_now(connection)
    foreign = list(foreign_refunds(held, seen))
    if not foreign:
        return False
    kept = await FoundStore(connection, site_id).keep(held.payment_no, foreign, now)
    if kept.is_new:
        log.info("refunds_found", site_id=str(site_id), count=len(foreign), overdrawn=kept.overdrawn)
        await RejudgingStore(connection, site_id).enqueue_payment(held.payment_no, now)
    return True


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
        ours = await _ours(engine, site_id, found)
        if ours is not None:
            await _compare(engine, site_id, ours, _bill_says(ours, payment_no, found, now))
        # Our number over a payment that is not to be paid back by it: both have to be known.
        if ours is None or ours.payment_no != payment_no:
            await take_in(engine, site_id, payment_no, PaymentSeen(None, (found,)))


async def _ours(engine: Engine, site_id: UUID, found: FoundRefund) -> RefundRow | None:
    if found.refund_no is None:
        return None
    async with transaction(engine) as connection:
        return await CaseStore(connection, site_id).refunds.by_number(found.refund_no)


def _bill_says(ours: RefundRow, payment_no: str, found: FoundRefund, now: datetime) -> Report:
    """It is known by our number. What an adapter calls it need not be what the bill does."""
    number = None if ours.account_id is None and ours.channel_refund_no is not None else found.channel_refund_no
    return Report(found.state, found.at or now, found.amount, channel_refund_no=number, payment_no=payment_no)


async def _compare(engine: Engine, site_id: UUID, ours: RefundRow, said: Report) -> None:
    if (ours.state, ours.amount, ours.payment_no) == (said.state, said.amount, said.payment_no):
        return
    try:
        async with transaction(engine) as connection:
            cases = CaseStore(connection, site_id)
            taken = await refunds.report(cases, ours.refund_id, said, ReportSource.RECONCILIATION)
    except Invalid:
        log.warning("bill_tells_an_odd_moment", site_id=str(site_id), refund_id=str(ours.refund_id))
        return
    if taken.conflict is not None:
        await raise_overdrawn(engine, site_id, ours.payment_no)
