"""A refund's way from instruction to money back: what a report changes, what it only repeats, what it contradicts.

A report that is late or contradicts changes nothing. Success is final, and so is `closed`: only then may another refund
take this one's place.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from app.rules.facts import Channel
from app.rules.lifecycle import CaseEvent


class RefundState(StrEnum):
    """退款状态."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    ABNORMAL = "abnormal"
    FAILED = "failed"
    CLOSED = "closed"


FINAL: Final = frozenset({RefundState.SUCCEEDED, RefundState.CLOSED})
# Somebody has to do something before the money can arrive.
STOPPED: Final = frozenset({RefundState.ABNORMAL, RefundState.FAILED, RefundState.CLOSED})
# A person may give up what has stopped, unless the channel has closed it.
GIVEN_UP_FROM: Final = STOPPED - FINAL
# What can be reported; `requested` is our own word.
REPORTABLE: Final = frozenset(RefundState) - {RefundState.REQUESTED}
# How far a refund has come; a report of less than this is late.
_PROGRESS: Final = {RefundState.REQUESTED: 0, RefundState.ACCEPTED: 1, RefundState.PROCESSING: 2}
# By when somebody is to have taken an instruction: a queue that nobody reads is noticed within the hour.
ACCEPTED_WITHIN: Final = timedelta(hours=1)


class FailureCode(StrEnum):
    """失败原因. `account_gone`: the account that the money came from does not exist any more.

    `refunded_elsewhere`: the buyer has the money back by another way.
    """

    ACCOUNT_GONE = "account_gone"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    TOO_LATE = "too_late"
    TOO_MANY = "too_many"
    REFUNDED_ELSEWHERE = "refunded_elsewhere"
    REJECTED = "rejected"
    OTHER = "other"


# Where the money cannot go the way that it came, whatever the channel is asked.
NO_WAY_BACK: Final = frozenset({FailureCode.ACCOUNT_GONE, FailureCode.TOO_LATE, FailureCode.TOO_MANY})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a refund does not go on, in the channel's words."""

    code: FailureCode
    message: str = ""


class ConflictCode(StrEnum):
    """报告矛盾: what a report says otherwise than the refund."""

    AMOUNT = "amount"
    CURRENCY = "currency"
    PAYMENT_NO = "payment_no"
    CHANNEL = "channel"
    CHANNEL_REFUND_NO = "channel_refund_no"
    CHANNEL_REFUND_NO_TAKEN = "channel_refund_no_taken"
    AFTER_SUCCESS = "after_success"
    AFTER_CLOSED = "after_closed"
    REFUNDED_ELSEWHERE = "refunded_elsewhere"


class ReportVerdict(StrEnum):
    """报告处理结果."""

    APPLIED = "applied"
    REPEATED = "repeated"
    LATE = "late"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Report:
    """What an adapter or a channel says of a refund, `at` when; `amount` in fen. What it leaves out is None."""

    state: RefundState
    at: datetime
    amount: int | None = None
    currency: str | None = None
    channel_refund_no: str | None = None
    failure: Failure | None = None
    payment_no: str | None = None
    channel: Channel | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A refund as it stands; `reported_at`: the moment that the last report which counted is of."""

    payment_no: str
    channel: Channel
    amount: int
    currency: str
    state: RefundState
    reported_at: datetime | None = None
    channel_refund_no: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """What becomes of a report. `after`: the refund as it stands then; a repetition may only move `reported_at`."""

    verdict: ReportVerdict
    after: Standing
    conflict: ConflictCode | None = None


def is_back(state: RefundState, failure: FailureCode | None) -> bool:
    """Whether the buyer has the money, by this refund or by another way."""
    by_others = state is RefundState.CLOSED and failure is FailureCode.REFUNDED_ELSEWHERE
    return state is RefundState.SUCCEEDED or by_others


def first_overdue(instructed_at: datetime, expected_by: datetime | None) -> datetime:
    """When an instruction that nobody has taken is overdue."""
    within = instructed_at + ACCEPTED_WITHIN
    return within if expected_by is None else min(within, expected_by)


def event_of(states: Collection[RefundState], *, under_way: bool) -> CaseEvent | None:
    """What the refunds of a case come to, those left out whose place another has taken; None while nobody has moved.

    One that was closed since the money is back by another way is as good as one that succeeded. `under_way`: the case
    was beyond its approval before.
    """
    if all(state is RefundState.SUCCEEDED for state in states):
        return CaseEvent.REFUNDS_SETTLED
    if any(state in STOPPED for state in states):
        return CaseEvent.REFUND_STOPPED
    moved = any(state is not RefundState.REQUESTED for state in states)
    return CaseEvent.REFUND_UNDER_WAY if moved or under_way else None


def weigh(refund: Standing, report: Report) -> Weighed:
    """Holds a report against the refund: what does not match the instruction first, then what is final, then time."""
    mismatch = _mismatch(refund, report)
    if mismatch is not None:
        return Weighed(ReportVerdict.CONFLICT, refund, mismatch)
    if refund.state in FINAL:
        return _after_the_end(refund, report)
    if _is_repeated(refund, report):
        return Weighed(ReportVerdict.REPEATED, replace(refund, reported_at=_heard_at(refund, report)))
    if report.state not in FINAL and _is_late(refund, report):
        return Weighed(ReportVerdict.LATE, refund)
    return Weighed(ReportVerdict.APPLIED, _applied(refund, report))


def _mismatch(refund: Standing, report: Report) -> ConflictCode | None:
    pairs = (
        (ConflictCode.AMOUNT, refund.amount, report.amount),
        (ConflictCode.CURRENCY, refund.currency, report.currency),
        (ConflictCode.PAYMENT_NO, refund.payment_no, report.payment_no),
        (ConflictCode.CHANNEL, refund.channel, report.channel),
        (ConflictCode.CHANNEL_REFUND_NO, refund.channel_refund_no, report.channel_refund_no),
    )
    return next((code for code, ours, said in pairs if None not in (ours, said) and ours != said), None)


def _after_the_end(refund: Standing, report: Report) -> Weighed:
    """The end said again is a repetition; word of an earlier step is late; anything else contradicts."""
    if report.state is refund.state:
        return Weighed(ReportVerdict.REPEATED, refund)
    if report.state in _PROGRESS:
        return Weighed(ReportVerdict.LATE, refund)
    if refund.state is RefundState.SUCCEEDED:
        return Weighed(ReportVerdict.CONFLICT, refund, ConflictCode.AFTER_SUCCESS)
    if report.state is RefundState.SUCCEEDED:
        return Weighed(ReportVerdict.CONFLICT, refund, ConflictCode.AFTER_CLOSED)
    return Weighed(ReportVerdict.LATE, refund)


def _is_repeated(refund: Standing, report: Report) -> bool:
    adds_number = refund.channel_refund_no is None and report.channel_refund_no is not None
    return report.state is refund.state and not adds_number and not _gives_another_reason(refund, report)


def _gives_another_reason(refund: Standing, report: Report) -> bool:
    """Whoever acts on a refund that has stopped goes by the last reason."""
    told = report.failure
    return told is not None and (refund.failure is None or refund.failure.code != told.code)


def _heard_at(refund: Standing, report: Report) -> datetime:
    """The latest moment that anything is known of, so that nothing counts twice."""
    return report.at if refund.reported_at is None else max(report.at, refund.reported_at)


def _is_late(refund: Standing, report: Report) -> bool:
    """What was said before the last word, or of a step that is behind.

    Back from `failed` or `abnormal`, or on from a new instruction, leads only what is younger than the last word: with
    clocks of whole seconds an earlier step could else be taken for a new attempt.
    """
    if refund.reported_at is None:
        return False
    if refund.state is RefundState.REQUESTED or (refund.state in STOPPED and report.state in _PROGRESS):
        return report.at <= refund.reported_at
    return _is_before(report.at, refund.reported_at) or _PROGRESS.get(report.state, 9) < _PROGRESS.get(refund.state, 0)


def _is_before(at: datetime, heard_at: datetime) -> bool:
    """What is told in whole seconds may be of any moment in its second."""
    return at < (heard_at if at.microsecond else heard_at.replace(microsecond=0))


def _applied(refund: Standing, report: Report) -> Standing:
    return replace(
        refund,
        state=report.state,
        reported_at=report.at if report.state in FINAL else _heard_at(refund, report),
        channel_refund_no=refund.channel_refund_no or report.channel_refund_no,
        failure=report.failure if report.state in STOPPED else None,
    )
