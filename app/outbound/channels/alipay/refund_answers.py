"""What Alipay's answers say of a refund, and of a payment."""

from typing import Final

from app.outbound.channels.alipay.answers import BUSINESS_FAILED, SUCCESS, Answer
from app.outbound.channels.alipay.numbers import channel_refund_no
from app.outbound.channels.alipay.refusals import failure_of, plain_code, unclear_of
from app.outbound.channels.alipay.wall_clock import instant
from app.outbound.channels.said import Instruction, PaymentSeen, Said, Told, Unclear, Unknown
from app.rules.settlement import RefundState

_CNY: Final = "CNY"


def of_submission(answer: Answer, instruction: Instruction) -> Said:
    """`fund_change` Y: this call moved the money. N, or none: a repeated call, or one still at work, or nothing moved.

    The query decides; and since it may know of nothing, N is no proof that the channel has the refund. The amount is
    left out: `refund_fee` is what was refunded of the trade in all.
    """
    if answer.code != SUCCESS:
        failed = failure_of(answer.sub_code, answer.text("sub_msg")) if answer.code == BUSINESS_FAILED else None
        return failed or unclear_of(answer.code, answer.sub_code)
    if answer.text("out_trade_no") != instruction.payment_no:
        return Unclear("another_payment")
    if answer.text("fund_change") != "Y":
        return Told(RefundState.ACCEPTED)
    trade_no, refunded_in_all = answer.text("trade_no"), answer.fen("refund_fee")
    if trade_no is None or refunded_in_all is None or refunded_in_all < instruction.amount:
        return Unclear("odd_answer")
    return Told(
        RefundState.SUCCEEDED,
        channel_refund_no=channel_refund_no(trade_no, instruction.refund_no),
        at=instant(answer.text("gmt_refund_pay")),
    )


def of_query(answer: Answer, instruction: Instruction) -> Said:
    """REFUND_SUCCESS: the refund is through. No status: it was not received, or it failed, or it is still at work."""
    if answer.code != SUCCESS:
        if plain_code(answer.sub_code) == "ACQ.TRADE_NOT_EXIST":
            return Unknown()
        return unclear_of(answer.code, answer.sub_code)
    status = answer.text("refund_status")
    if status is None and answer.text("refund_amount") is None:
        return Unknown()
    if status != "REFUND_SUCCESS":
        return Unclear("no_refund_status" if status is None else "unknown_refund_status")
    return _through(answer, instruction)


def _through(answer: Answer, instruction: Instruction) -> Told | Unclear:
    """The amount is Alipay's, whether it is the one that was asked for or not."""
    if answer.text("out_trade_no") != instruction.payment_no:
        return Unclear("another_payment")
    if answer.text("out_request_no") != instruction.refund_no:
        return Unclear("another_refund")
    trade_no, amount = answer.text("trade_no"), answer.fen("refund_amount")
    if trade_no is None or amount is None:
        return Unclear("odd_answer")
    return Told(
        RefundState.SUCCEEDED,
        amount,
        _CNY,
        channel_refund_no(trade_no, instruction.refund_no),
        instant(answer.text("gmt_refund_pay")),
    )


def of_payment(answer: Answer, payment_no: str) -> PaymentSeen | Unclear | None:
    """TRADE_CLOSED is a trade that was never paid, or one refunded in full: `send_pay_date` tells them apart."""
    if answer.code != SUCCESS:
        return unclear_of(answer.code, answer.sub_code)
    if answer.text("out_trade_no") != payment_no:
        return Unclear("another_payment")
    if answer.text("trade_status") != "TRADE_CLOSED":
        return None
    if answer.text("send_pay_date") is None:
        return Unclear("never_paid")
    total = answer.fen("total_amount")
    return Unclear("odd_answer") if total is None else PaymentSeen(total)
