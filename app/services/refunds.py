"""Refunds on their way: what is reported of them, by whomever, and what is late.

Everything happens in a step of the refund's case, so that reports, retries and rulings of one case take turns.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.errors import Conflict, Fault, Invalid, NotFound, Stale
from app.ids import Mint, new_uuid
from app.models.closed_sets import ReportSource
from app.rules.decision import instant
from app.rules.settlement import FINAL, ConflictCode, RefundState, Report, ReportVerdict, Weighed, is_back, weigh
from app.services.deposits import book_closed
from app.services.filing import CLOCK_SKEW
from app.services.refund_steps import applied_step, contradicted_step, overdue_step, standing_of
from app.services.steps import Target, hold, write
from app.store.case_rows import CaseView, Held, RefundRow
from app.store.cases import CaseStore
from app.store.found import TOTAL, Foreign
from app.store.refunds import NewReport, RefundView

# What these say, the channel itself has said: an answer or a notice that is proven, and its bill.
_CHANNELS_WORD: Final = frozenset({ReportSource.CHANNEL, ReportSource.NOTICE, ReportSource.RECONCILIATION})


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a report. `conflict` names what it contradicts; `kept` False: one too many to look at."""

    verdict: ReportVerdict
    conflict: ConflictCode | None = None
    kept: bool = True


async def report(
    cases: CaseStore, refund_id: UUID | None, said: Report, source: ReportSource, *, mint: Mint = new_uuid
) -> Taken:
    """Takes in what is said of a refund: applied, or kept beside it. NotFound for a refund that is not this site's.

    Invalid for a moment that cannot be: in the future, or before the payment.
    """
    held, refund = await hold_refund(cases, refund_id)
    _refuse_an_odd_moment(said, refund, held)
    weighed = await _weighed(cases, refund, said, source)
    times = await cases.refunds.note(refund.refund_id, new_report(said, source, weighed), held.view.now)
    if times is None:
        return Taken(weighed.verdict, weighed.conflict, kept=False)
    if weighed.verdict is ReportVerdict.APPLIED:
        step = applied_step(held.view, refund, weighed)
        await write(cases, held, step, mint)
        if step.settled[0].released:
            await give_back(cases, held, step.settled[0].refund)
    elif weighed.verdict is ReportVerdict.REPEATED:
        await cases.refunds.heard(refund.refund_id, weighed.after.reported_at or said.at)
    elif weighed.conflict is not None and times == 1:
        await write(cases, held, contradicted_step(held.view, refund, said, source, weighed.conflict), mint)
        if _was_paid_though_closed(refund, said, source, weighed.conflict):
            await _keep_as_found(cases, held, refund, said)
    return Taken(weighed.verdict, weighed.conflict)


def _was_paid_though_closed(refund: RefundRow, said: Report, source: ReportSource, conflict: ConflictCode) -> bool:
    is_paid = refund.state is RefundState.CLOSED and said.state is RefundState.SUCCEEDED
    return is_paid and source in _CHANNELS_WORD and conflict is not ConflictCode.PAYMENT_NO


async def _keep_as_found(cases: CaseStore, held: Held, refund: RefundRow, said: Report) -> None:
    """A channel has paid what was closed, and promised to others perhaps: it went back, and is nobody's to promise."""
    reference = said.channel_refund_no or refund.channel_refund_no or TOTAL
    went_back = Foreign(reference, said.amount or refund.amount, said.at)
    if (await cases.found.keep(refund.payment_no, [went_back], held.view.now)).is_new:
        await cases.rejudging.enqueue_payment(refund.payment_no, held.view.now)


async def refunded_elsewhere(cases: CaseStore, refund_id: UUID, overdrawn: int, *, mint: Mint = new_uuid) -> None:
    """Raises that others paid back what this refund was promised, by `overdrawn` fen; told once for each amount."""
    held, refund = await hold_refund(cases, refund_id)
    if refund.state in FINAL:
        return
    code, source = ConflictCode.REFUNDED_ELSEWHERE, ReportSource.RECONCILIATION
    said = Report(RefundState.SUCCEEDED, held.view.now, overdrawn)
    weighed = Weighed(ReportVerdict.CONFLICT, standing_of(refund), code)
    if await cases.refunds.note(refund_id, new_report(said, source, weighed), held.view.now) == 1:
        await write(cases, held, contradicted_step(held.view, refund, said, source, code), mint)


async def raise_overdue(cases: CaseStore, held: Held, refund_id: UUID, *, mint: Mint = new_uuid) -> None:
    """Tells that a refund was not taken, or not settled, in its time. The case is locked."""
    await write(cases, held, overdue_step(held.view, _of(held.view, refund_id)), mint)


async def require_adapter(cases: CaseStore, refund_id: UUID | None, refund_no: str | None = None) -> None:
    """Conflict for a refund that the service itself asks the channel for: of that, the channel alone is believed.

    Invalid where the report names another refund. NotFound.
    """
    refund = (await get(cases, refund_id)).refund
    if refund_no not in (None, refund.refund_no):
        en, zh = "The report is of another refund.", "上报内容属于另一笔退款。"
        raise Invalid(Fault("/refund_no", "another_refund", en=en, zh=zh))
    if refund.account_id is not None:
        raise Conflict(
            "handled_by_service",
            en="The service itself asks the channel for this refund, and believes the channel alone.",
            zh="该退款由本服务直接向渠道发起，只以渠道的答复为准。",
        )


async def get(cases: CaseStore, refund_id: UUID | None) -> RefundView:
    """One refund with all that was said of it; NotFound."""
    found = None if refund_id is None else await cases.refunds.get(refund_id)
    if found is None:
        raise NotFound
    return found


async def hold_refund(
    cases: CaseStore, refund_id: UUID | None, *, version: int | None = None
) -> tuple[Held, RefundRow]:
    """A refund of this site, its case locked. NotFound for another's, Stale for a newer one."""
    case_id = None if refund_id is None else await cases.refunds.case_of(refund_id)
    if case_id is None or refund_id is None:
        raise NotFound
    held = await hold(cases, Target(case_id))
    refund = _of(held.view, refund_id)
    if version not in (None, refund.version):
        raise Stale
    return held, refund


async def give_back(cases: CaseStore, held: Held, refund: RefundRow) -> None:
    """What a closed refund was promised is free again: for other cases, and in the merchant's deposit, locked last.

    Not for other cases where the money went back by another way: then it is gone from the payment all the same.
    """
    order_no, now = held.view.case.order_no, held.view.now
    if is_back(refund.state, refund.failure_code):
        await cases.found.keep_elsewhere(refund.payment_no, now)
    await cases.rejudging.enqueue_payment(refund.payment_no, now, locked=[] if order_no is None else [order_no])
    await book_closed(cases.deposits, held.view, refund.refund_id, refund.amount, now)


def _of(view: CaseView, refund_id: UUID) -> RefundRow:
    return next(row for row in view.refunds if row.refund_id == refund_id)


def _refuse_an_odd_moment(said: Report, refund: RefundRow, held: Held) -> None:
    paid_at = [row.paid_at for row in held.on_file.payments if row.payment_no == refund.payment_no]
    if said.at > held.view.now + CLOCK_SKEW:
        raise Invalid(Fault("/at", "in_the_future", en="at lies in the future.", zh="at 晚于当前时间。"))
    if any(said.at < at for at in paid_at):
        en, zh = "at lies before the payment.", "at 早于支付时间。"
        raise Invalid(Fault("/at", "before_the_payment", en=en, zh=zh))


def _is_of_the_old_way(refund: RefundRow, said: Report, source: ReportSource) -> bool:
    """A person lets the money go to another account: the channel's word of the old way counts if it was paid there."""
    return refund.other_account is not None and source in _CHANNELS_WORD and said.state is not RefundState.SUCCEEDED


async def _weighed(cases: CaseStore, refund: RefundRow, said: Report, source: ReportSource) -> Weighed:
    if _is_of_the_old_way(refund, said, source):
        return Weighed(ReportVerdict.LATE, standing_of(refund))
    weighed = weigh(standing_of(refund), said)
    number = weighed.after.channel_refund_no
    if number is None or number == refund.channel_refund_no:
        return weighed
    if await cases.refunds.number_is_taken(refund.channel, number, refund.refund_id):
        return Weighed(ReportVerdict.CONFLICT, standing_of(refund), ConflictCode.CHANNEL_REFUND_NO_TAKEN)
    return weighed


def new_report(said: Report, source: ReportSource, weighed: Weighed) -> NewReport:
    failure = said.failure
    return NewReport(
        digest=_digest(said, source, weighed),
        source=source,
        state=said.state,
        amount=said.amount,
        currency=said.currency,
        channel_refund_no=said.channel_refund_no,
        payment_no=said.payment_no,
        channel=said.channel,
        at=said.at,
        failure_code=None if failure is None else failure.code,
        failure_message=None if failure is None else failure.message,
        verdict=weighed.verdict,
        conflict=weighed.conflict,
    )


def _digest(said: Report, source: ReportSource, weighed: Weighed) -> str:
    """What makes two reports the same: all but the moment, unless they moved the refund."""
    moment = instant(said.at) if weighed.verdict is ReportVerdict.APPLIED else None
    content = [
        said.state,
        said.amount,
        said.currency,
        said.channel_refund_no,
        said.payment_no,
        said.channel,
        None if said.failure is None else said.failure.code,
        source,
        weighed.verdict,
        weighed.conflict,
        moment,
    ]
    return hashlib.sha256(json.dumps(content).encode("utf-8", "surrogatepass")).hexdigest()
