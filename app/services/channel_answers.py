"""What a channel's answer comes to: what is held back, when a person has to look, when to ask again. No I/O."""

from datetime import datetime, timedelta
from typing import Final, assert_never

from app.outbound.channels.adapter import Adapter
from app.outbound.channels.said import NotNow, Said, Told, Unclear, Unknown
from app.rules.settlement import Failure, FailureCode, RefundState
from app.store.case_rows import RefundRow
from app.store.settling import DueRefund

ASKED_IN_VAIN: Final = 8
# Hints may have it asked more often than planned.
IN_VAIN_FOR: Final = timedelta(hours=10)
UNKNOWN_WHILE_PROCESSING: Final = "unknown_to_the_channel"
CONTRADICTED: Final = Unclear("contradicts_the_refund")
# As far as the channel has told.
NOT_BEGUN: Final = frozenset({RefundState.REQUESTED, RefundState.ACCEPTED})


def _for_a_person(message: str) -> Told:
    return Told(RefundState.ABNORMAL, failure=Failure(FailureCode.OTHER, message))


_PAID_BY_OTHERS: Final = _for_a_person(
    "该支付已由他人退款，超出可退余额，请人工核实。"
    " Others paid back what this refund was promised: a person has to look."
)
_PAID_BEFORE: Final = _for_a_person(
    "同一支付的一笔已关闭退款被报告为已到账，请先核实，以免重复退款。"
    " A closed refund over this payment is said to have been paid: find out first, or it is paid twice."
)
_SWITCHED_OFF: Final = _for_a_person(
    "渠道账户已停用，尚未向渠道发起。 The channel account was switched off before the channel was asked."
)


def block_of(held: DueRefund) -> Told | None:
    """What is known here, of all that was paid over the payment, and keeps the channel from being asked."""
    if held.overdrawn:
        return _PAID_BY_OTHERS
    if held.disputed:
        return _PAID_BEFORE
    return None if held.enabled or held.refund.submitted_at is not None else _SWITCHED_OFF


def is_given_up(said: Unclear, asked: int, refund: RefundRow, now: datetime) -> bool:
    """Whether a person has to find out what the channel does not say; it goes on being asked.

    What the channel is known to have is waited for until its time is over, and then until two answers say nothing.
    """
    since = refund.instructed_at or refund.created_at
    if asked < ASKED_IN_VAIN or now < since + IN_VAIN_FOR or refund.state is RefundState.ABNORMAL:
        return False
    is_late = refund.expected_by is not None and refund.expected_by < now and refund.last_said is not None
    return refund.state in NOT_BEGUN or said.code == UNKNOWN_WHILE_PROCESSING or is_late


def without_answer(said: Unclear) -> Told:
    """What is told of a refund that is given up to a person."""
    return _for_a_person(f"渠道多次未给出明确结果（{said.code}）。 The channel gave no clear answer ({said.code}).")


def next_step(adapter: Adapter, said: Said, asked: int, now: datetime) -> datetime:
    """When to ask again: by the adapter's plan, and not before the channel wants to be asked."""
    match said:
        case NotNow(until=until):
            return until
        case Unclear(retry_after=pause) if pause is not None:
            return now + max(pause, adapter.next_query(asked))
        case Told() | Unknown() | Unclear():
            return now + adapter.next_query(asked)
        case _:
            assert_never(said)


def word(said: Said) -> str | None:
    """What stays of it for people to see."""
    match said:
        case Unclear(code=code):
            return code
        case Unknown():
            return "unknown"
        case NotNow():
            return "not_now"
        case Told():
            return None
        case _:
            assert_never(said)
