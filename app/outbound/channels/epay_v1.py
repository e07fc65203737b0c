"""易支付 V1: unsigned answers, and a refund call without a number of its own, which pays again each time it is made.

What keeps it from paying twice, without any memory of earlier attempts:

1. Every submission looks at the order first, and calls only where the order says that nothing went back at all.
2. An order can lag behind the money, so that this look alone proves too little. Therefore only refunds of more than
   two thirds of the payment are made by call: a second one goes over what is left, and whoever holds the money
   refuses it. A smaller part is for a person to refund at the aggregator (`abnormal`).
3. Nor is there a call for a payment over which another refund was begun: the order cannot tell the two apart.

Only the order settles a refund: it says that exactly this amount went back; or it said that nothing had, the call was
acknowledged, and it says now that money went back. An order that is refunded with no amount told, and with no
acknowledgement just before, may be somebody else's doing: `abnormal`, so that a person looks.
"""

from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from app.outbound.channels.epay_answers import (
    Answer,
    OrderSeen,
    OrderStatus,
    failure_of,
    money_may_move,
    read_answer,
    read_order,
)
from app.outbound.channels.epay_credentials import EpayCredentials
from app.outbound.channels.exchange import Exchange, Request, Unanswered
from app.outbound.channels.said import Instruction, NotNow, PaymentSeen, Said, Told, Unclear, Unknown
from app.outbound.channels.yuan import fen, yuan
from app.rules.settlement import Failure, FailureCode, RefundState

_DONE: Final = "1"
# Newer servers acknowledge a refund with 0, documents and other servers with 1.
_ACKNOWLEDGED: Final = frozenset({"0", "1"})
_CREDENTIALS_REFUSED: Final = "-3"

_TOO_MANY: Final = Failure(
    FailureCode.TOO_MANY,
    "该支付已有其他退款，易支付 V1 无法区分，请人工处理。"
    " Another refund was begun over this payment, and 易支付 V1 cannot tell them apart: refund it by hand.",
)
_SMALL_PART: Final = Failure(
    FailureCode.OTHER,
    "易支付 V1 的退款没有单号，小额部分退款可能重复，请在易支付后台人工退款。"
    " 易支付 V1 has no refund number, so that a small part could be paid twice: refund it by hand at the aggregator.",
)
_WHOSE: Final = Failure(
    FailureCode.OTHER,
    "易支付订单显示已有退款，但金额或来源不明，请人工核对。"
    " The order shows money that went back, but not that it was this refund: compare by hand.",
)
_UNPAID: Final = Failure(
    FailureCode.REJECTED, "易支付显示该订单未支付。 The aggregator says that this order has not been paid."
)
_FROZEN: Final = Failure(
    FailureCode.REJECTED, "易支付已冻结该订单，请人工处理。 The aggregator has frozen this order: a person has to ask."
)


class EpayV1:
    """The V1 side of `Epay`."""

    __slots__ = ("_credentials", "_exchange")

    def __init__(self, credentials: EpayCredentials, exchange: Exchange) -> None:
        self._credentials = credentials
        self._exchange = exchange

    def obstacle(self, instruction: Instruction, now: datetime) -> Told | NotNow | None:
        """What this interface cannot do safely."""
        del now
        if instruction.earlier > 0 or instruction.gone > 0:
            return Told(RefundState.ABNORMAL, failure=_TOO_MANY)
        if 3 * instruction.amount <= 2 * instruction.payment_amount:
            return Told(RefundState.ABNORMAL, failure=_SMALL_PART)
        return None

    async def submit(self, instruction: Instruction, now: datetime) -> Said:
        """Looks at the order, calls at most once, and looks again."""
        before = await self._order(instruction.payment_no, instruction.payment_amount)
        if isinstance(before, Unclear):
            return before
        standing = _shown(before, instruction) or self.obstacle(instruction, now)
        if standing is not None:
            return standing
        if before.status is not OrderStatus.PAID:
            return Told(RefundState.ABNORMAL, failure=_FROZEN)
        answer = await self._call_refund(instruction)
        if isinstance(answer, Unclear):
            return answer
        after = await self._order(instruction.payment_no, instruction.payment_amount)
        if answer.code in _ACKNOWLEDGED:
            return _after_acknowledgement(answer, after, instruction)
        return after if isinstance(after, Unclear) else _after_refusal(answer, after, instruction)

    async def query(self, instruction: Instruction, now: datetime) -> Said:
        """Unknown: nothing has gone back over this payment, so that a submission does no harm."""
        order = await self._order(instruction.payment_no, instruction.payment_amount)
        if isinstance(order, Unclear):
            return order
        return _shown(order, instruction) or self.obstacle(instruction, now) or Unknown()

    async def look_at_payment(self, payment_no: str, payment_amount: int, now: datetime) -> PaymentSeen | Unclear:
        """What the order says; the amount is None where it only says that money went back."""
        del now
        order = await self._order(payment_no, payment_amount)
        return order if isinstance(order, Unclear) else PaymentSeen(order.went_back)

    async def _order(self, payment_no: str, payment_amount: int) -> OrderSeen | Unclear:
        """The address holds the key, as this interface wants it: it must never be logged."""
        own = self._credentials
        asked = urlencode({"act": "order", "pid": own.pid, "key": own.key, "out_trade_no": payment_no})
        answer = await self._ask(Request("GET", f"{own.url}/api.php?{asked}"))
        if isinstance(answer, Unclear):
            return answer
        if answer.code != _DONE:
            return Unclear(_refusal_code(answer))
        return read_order(answer, pid=own.pid, payment_no=payment_no, payment_amount=payment_amount)

    async def _call_refund(self, instruction: Instruction) -> Answer | Unclear:
        own = self._credentials
        form = {
            "pid": own.pid,
            "key": own.key,
            "out_trade_no": instruction.payment_no,
            "money": yuan(instruction.amount),
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await self._ask(Request("POST", f"{own.url}/api.php?act=refund", headers, urlencode(form).encode()))

    async def _ask(self, request: Request) -> Answer | Unclear:
        try:
            return read_answer(await self._exchange.send(request))
        except Unanswered as trouble:
            return Unclear(trouble.reason)


def _refusal_code(answer: Answer) -> str:
    if answer.code == _CREDENTIALS_REFUSED:
        return "credentials_refused"
    return "order_unknown" if "不存在" in answer.message else "refused"


def _shown(order: OrderSeen, instruction: Instruction) -> Told | None:
    """What the order alone proves of the refund; None: nothing went back."""
    if order.status in {OrderStatus.UNPAID, OrderStatus.AUTHORISED}:
        return Told(RefundState.ABNORMAL, failure=_UNPAID)
    if order.went_back == 0:
        return None
    if order.went_back == instruction.amount and instruction.earlier == instruction.gone == 0:
        return Told(RefundState.SUCCEEDED, order.went_back, "CNY")
    return Told(RefundState.ABNORMAL, failure=_WHOSE)


def _after_acknowledgement(answer: Answer, after: OrderSeen | Unclear, instruction: Instruction) -> Said:
    """Before the call nothing had gone back; what has now is this refund, unless the order tells another amount."""
    told = answer.fields.get("money", "")
    amount = fen(told) if told else None
    if told and amount is None:
        return Unclear("odd_amount")
    if isinstance(after, Unclear) or after.went_back == 0:
        return Told(RefundState.PROCESSING, amount, "CNY")
    if after.went_back is None:
        return Told(RefundState.SUCCEEDED, amount, "CNY")
    return _shown(after, instruction) or Told(RefundState.PROCESSING, amount, "CNY")


def _after_refusal(answer: Answer, after: OrderSeen, instruction: Instruction) -> Said:
    shown = _shown(after, instruction)
    if shown is not None:
        return shown
    if money_may_move(answer):
        return Unclear("refund_may_be_under_way")
    return Told(RefundState.FAILED, failure=failure_of(answer))
