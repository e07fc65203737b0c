"""What a person does about a refund that has stopped: it goes on, perhaps another way, or it is closed."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from app.errors import Conflict, Fault, Invalid
from app.ids import Mint, mint_refund_no, new_uuid
from app.models.closed_sets import ActKind, ReportSource
from app.outbound.catalogue import EventType
from app.rules.calendar import STATUTORY
from app.rules.decision import instant
from app.rules.lengths import end_of
from app.rules.lifecycle import CaseEvent
from app.rules.settlement import (
    GIVEN_UP_FROM,
    NO_WAY_BACK,
    STOPPED,
    Failure,
    FailureCode,
    RefundState,
    Report,
    first_overdue,
    is_back,
    weigh,
)
from app.services.consequences import Step
from app.services.deposits import book_replaced, deduction_document
from app.services.filing import CLOCK_SKEW
from app.services.policies import policy_of_case
from app.services.progress import moved
from app.services.refund_steps import applied_step, standing_of, status_after
from app.services.refunds import give_back, hold_refund, new_report
from app.services.steps import act, allow, write
from app.services.telling import RefundTold
from app.store.case_rows import CaseView, Held, RefundRow
from app.store.cases import CaseStore, Settled


@dataclass(frozen=True, slots=True)
class OtherAccount:
    """Where the money goes when the account that it came from is gone, and the buyer's consent to that.

    `account_ref` is the site's own name for the account: its number never comes here. `display` is what people see.
    """

    account_ref: str
    display: str
    consented_at: datetime
    consent: str


@dataclass(frozen=True, slots=True)
class Repair:
    """What a person decides about a refund that has stopped: that it goes on, perhaps to another account.

    `despite_dispute`: although it was also reported as paid, since that was found to be untrue.
    """

    by: str
    note: str | None = None
    other_account: OtherAccount | None = None
    despite_dispute: bool = False


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Why a person ends a refund that has stopped."""

    by: str
    code: FailureCode
    note: str


async def retry(
    cases: CaseStore, refund_id: UUID | None, repair: Repair, *, version: int | None = None, mint: Mint = new_uuid
) -> UUID:
    """A refund that has stopped is asked for again; answers with the refund that goes on.

    Under the same number, since the channel then gives the old refund for an old number. Only a closed one is replaced
    by another with a number of its own: reserved anew, and refused where the payment has not that much left.
    Conflict where nothing has stopped.
    """
    held, refund = await hold_refund(cases, refund_id, version=version)
    allow(CaseEvent.REFUND_RETRIED, held.view)
    _require_stopped(refund, held.view)
    pays_anew = refund.state is RefundState.CLOSED or repair.other_account is not None
    if pays_anew and not repair.despite_dispute and await cases.refunds.is_disputed(refund_id):
        raise _disputed()
    _refuse_an_early_consent(repair, held)
    _require_no_way_back(refund, repair)
    again = _again(refund, repair, held)
    step = _retried(held, refund, again, repair)
    if step.asked:
        booked = await book_replaced(cases.deposits, held.view, again.refund_id, again.amount, held.view.now)
        step = replace(step, deducted=None if booked is None else deduction_document(step.after, booked))
    await write(cases, held, step, mint)
    return again.refund_id


async def close(
    cases: CaseStore, refund_id: UUID | None, given_up: GivenUp, *, version: int | None = None, mint: Mint = new_uuid
) -> None:
    """A person ends a refund that has stopped: what it was promised is free again. Conflict where nothing has stopped.

    For what the channel is known never to pay. Should it pay after all, that is a conflict, and is raised.
    """
    held, refund = await hold_refund(cases, refund_id, version=version)
    allow(CaseEvent.REFUND_GIVEN_UP, held.view)
    if refund.state not in GIVEN_UP_FROM:
        raise _not_stopped(refund)
    said = Report(RefundState.CLOSED, held.view.now, failure=Failure(given_up.code, given_up.note))
    weighed = weigh(standing_of(refund), said)
    await cases.refunds.note(refund.refund_id, new_report(said, ReportSource.PERSON, weighed), held.view.now)
    details = {"refund_no": refund.refund_no, "failure": given_up.code.value, "note": given_up.note}
    step = replace(
        applied_step(held.view, refund, weighed), acts=(act(ActKind.REFUND_CLOSING, given_up.by, details, held),)
    )
    await write(cases, held, step, mint)
    await give_back(cases, held, step.settled[0].refund)


def _require_stopped(refund: RefundRow, view: CaseView) -> None:
    if refund.state not in STOPPED or is_back(refund.state, refund.failure_code):
        raise _not_stopped(refund)
    if any(row.replaces == refund.refund_id for row in view.refunds):
        raise Conflict(
            "refund_replaced",
            en="Another refund has taken this one's place already.",
            zh="该退款已被另一笔退款取代。",
        )


def _not_stopped(refund: RefundRow) -> Conflict:
    return Conflict(
        "refund_not_stopped",
        en=f"The refund is {refund.state.value}: it goes on without anybody's help, or is over.",
        zh=f"该退款状态为 {refund.state.value}，无需处理或已完成。",
    )


def _disputed() -> Conflict:
    """Another refund in its place, or to another account, might be the second one for the same money."""
    return Conflict(
        "refund_disputed",
        en="It was also reported as paid. Find out from the channel; if it was not, say despite_dispute.",
        zh="该退款也曾被报告为已到账。请先向渠道核实，以免重复退款；确认未付款后，可注明 despite_dispute 重试。",
    )


def _refuse_an_early_consent(repair: Repair, held: Held) -> None:
    account = repair.other_account
    if account is not None and account.consented_at > held.view.now + CLOCK_SKEW:
        en, zh = "consented_at lies in the future.", "consented_at 晚于当前时间。"
        raise Invalid(Fault("/other_account/consented_at", "in_the_future", en=en, zh=zh))


def _require_no_way_back(refund: RefundRow, repair: Repair) -> None:
    """Money goes the way that it came as long as it can."""
    is_open = refund.state is not RefundState.CLOSED and refund.failure_code not in NO_WAY_BACK
    if repair.other_account is not None and is_open:
        raise Conflict(
            "original_route_open",
            en="The money can still go the way that it came: the channel has not said that the account is gone.",
            zh="原路退回仍可进行：渠道未告知原账户已失效，不能改退其他账户。",
        )


def _again(refund: RefundRow, repair: Repair, held: Held) -> RefundRow:
    """The refund as it is asked for again. Nobody but a person can pay to another account: an adapter is told."""
    now = held.view.now
    expected_by = end_of(now, policy_of_case(held.view.case).arrival[refund.channel], STATUTORY).at
    account = repair.other_account
    again = replace(
        refund,
        state=RefundState.REQUESTED,
        version=refund.version + 1,
        updated_at=now,
        instructed_at=now,
        expected_by=expected_by,
        overdue_at=first_overdue(now, expected_by),
        failure_code=None,
        failure_message=None,
        other_account=refund.other_account if account is None else _account_document(account),
        # What is paid to another account bears another number of the channel's.
        channel_refund_no=refund.channel_refund_no if account is None else None,
        asked=0,
        last_said=None,
    )
    if refund.state is RefundState.CLOSED:
        again = _in_its_place(again, refund)
    return _routed(again, held)


def _routed(again: RefundRow, held: Held) -> RefundRow:
    """By whom the channel is asked: as long as no account has begun it, by the one that is switched on now, if any."""
    if again.account_id is None or again.submitted_at is not None:
        account_id = again.account_id
    else:
        account_id = held.on_file.accounts.get(again.channel)
    if again.other_account is not None:
        account_id = None
    return replace(again, account_id=account_id, next_step_at=None if account_id is None else again.updated_at)


def _in_its_place(again: RefundRow, closed: RefundRow) -> RefundRow:
    return replace(
        again,
        refund_id=new_uuid(),
        refund_no=mint_refund_no(),
        created_at=again.updated_at,
        version=1,
        channel_refund_no=None,
        reported_at=None,
        settled_at=None,
        submitted_at=None,
        replaces=closed.refund_id,
    )


def _account_document(account: OtherAccount) -> dict[str, Any]:
    return {
        "account_ref": account.account_ref,
        "display": account.display,
        "consented_at": instant(account.consented_at),
        "consent": account.consent,
    }


def _retried(held: Held, refund: RefundRow, again: RefundRow, repair: Repair) -> Step:
    view = held.view
    details = {
        "refund_no": refund.refund_no,
        "state": refund.state.value,
        "new_refund_no": None if again.refund_no == refund.refund_no else again.refund_no,
        "other_account": again.other_account,
        "despite_dispute": repair.despite_dispute or None,
        "note": repair.note,
    }
    is_new = again.refund_id != refund.refund_id
    return Step(
        after=moved(view.case, status_after(view, again), view.now),
        acts=(act(ActKind.REFUND_RETRY, repair.by, details, held),),
        asked=(again,) if is_new else (),
        settled=() if is_new else (Settled(again),),
        refunds_told=() if is_new else (RefundTold(EventType.REFUND_REQUESTED, again),),
    )
