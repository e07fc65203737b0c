"""易支付 V2: requests and answers signed with RSA, refunds under a number of ours, repeated calls recognised by it.

Servers sign what they carry out and leave an error unsigned. An unsigned answer is never believed to say that
something was done; that a refund is not known is believed only together with the signed order.

Source: 彩虹易支付, `/api/pay/refund`, `/api/pay/refundquery`, `/api/pay/query`.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from app.outbound.channels.epay_answers import Answer, OrderSeen, failure_of, money_may_move, read_answer, read_order
from app.outbound.channels.epay_signing import rsa_holds, rsa_signature
from app.outbound.channels.exchange import Exchange, Request, Unanswered
from app.outbound.channels.said import Instruction, PaymentSeen, Said, Told, Unclear, Unknown
from app.outbound.channels.yuan import fen, yuan
from app.rules.settlement import Failure, FailureCode, RefundState

_DONE: Final = "0"
_SHANGHAI: Final = timezone(timedelta(hours=8))
# The aggregators hold our requests to the same.
_FRESH_FOR: Final = timedelta(minutes=5)
_STAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
# A record that is 0 is begun and not confirmed; some servers keep it so until a person has compared.
_STATES: Final = {
    "0": RefundState.PROCESSING,
    "1": RefundState.SUCCEEDED,
    "2": RefundState.ABNORMAL,
}
_NOT_CARRIED_OUT: Final = Failure(
    FailureCode.OTHER,
    "易支付显示该退款未成功，请人工核对。 The aggregator says that this refund did not go through: compare by hand.",
)


class EpayV2:
    """The V2 side of `Epay`."""

    __slots__ = ("_exchange", "_pid", "_platform_key", "_private_key", "_url")

    def __init__(
        self, url: str, pid: str, private_key: RSAPrivateKey, platform_key: RSAPublicKey, exchange: Exchange
    ) -> None:
        self._url = url
        self._pid = pid
        self._private_key = private_key
        self._platform_key = platform_key
        self._exchange = exchange

    async def submit(self, instruction: Instruction, now: datetime) -> Said:
        """Asks under our number, unless it is known already; what has become of it is settled by `query` alone.

        The number makes repetition harmless as documented. Asking first protects also where a server ignores it.
        """
        known = await self.query(instruction, now)
        if not isinstance(known, Unknown):
            return known
        asked = {
            "out_trade_no": instruction.payment_no,
            "out_refund_no": instruction.refund_no,
            "money": yuan(instruction.amount),
        }
        answer = await self._ask("refund", asked, now)
        if isinstance(answer, Unclear):
            return answer
        if answer.code == _DONE:
            return _acknowledged(answer, instruction)
        said = await self.query(instruction, now)
        if not isinstance(said, Unknown):
            return said
        if money_may_move(answer):
            return Unclear("refund_may_be_under_way")
        return Told(RefundState.FAILED, failure=failure_of(answer))

    async def query(self, instruction: Instruction, now: datetime) -> Said:
        """The refund's own record; Unknown where there is none and the order does not speak against that."""
        answer = await self._ask("refundquery", {"out_refund_no": instruction.refund_no}, now)
        if isinstance(answer, Unclear):
            return answer
        if answer.code == _DONE:
            return _recorded(answer, instruction)
        if "不存在" not in answer.message:
            return Unclear("refused")
        order = await self._order(instruction.payment_no, instruction.payment_amount, now)
        if isinstance(order, Unclear):
            return order
        return _unknown_unless_paid(order, instruction)

    async def look_at_payment(self, payment_no: str, payment_amount: int, now: datetime) -> PaymentSeen | Unclear:
        """What went back over the order by anybody's doing."""
        order = await self._order(payment_no, payment_amount, now)
        return order if isinstance(order, Unclear) else PaymentSeen(order.went_back)

    async def _order(self, payment_no: str, payment_amount: int, now: datetime) -> OrderSeen | Unclear:
        answer = await self._ask("query", {"out_trade_no": payment_no}, now)
        if isinstance(answer, Unclear):
            return answer
        if answer.code != _DONE:
            return Unclear("order_unknown" if "不存在" in answer.message else "refused")
        return read_order(answer, pid=self._pid, payment_no=payment_no, payment_amount=payment_amount)

    async def _ask(self, method: str, asked: Mapping[str, str], now: datetime) -> Answer | Unclear:
        form = {"pid": self._pid, **asked, "timestamp": str(int(now.timestamp())), "sign_type": "RSA"}
        form["sign"] = rsa_signature(form, self._private_key)
        headers = {"content-type": "application/x-www-form-urlencoded"}
        request = Request("POST", f"{self._url}/api/pay/{method}", headers, urlencode(form).encode())
        try:
            answer = read_answer(await self._exchange.send(request))
        except Unanswered as trouble:
            return Unclear(trouble.reason)
        return answer if isinstance(answer, Unclear) else self._believed(answer, now)

    def _believed(self, answer: Answer, now: datetime) -> Answer | Unclear:
        if answer.code != _DONE and not answer.fields.get("sign"):
            return answer
        if not rsa_holds(answer.fields, self._platform_key, answer.encoding):
            return Unclear("bad_signature")
        stamp = answer.fields.get("timestamp", "")
        if not _STAMP.fullmatch(stamp) or abs(int(stamp) - now.timestamp()) > _FRESH_FOR.total_seconds():
            return Unclear("stale_answer")
        return answer


def _acknowledged(answer: Answer, instruction: Instruction) -> Told | Unclear:
    """The channel's yes is not yet a settlement. Servers leave our number out of it at times."""
    if answer.fields.get("out_refund_no", instruction.refund_no) != instruction.refund_no:
        return Unclear("other_refund")
    told = answer.fields.get("money", "")
    amount = fen(told) if told else None
    if told and amount is None:
        return Unclear("odd_amount")
    return Told(RefundState.PROCESSING, amount, "CNY", answer.fields.get("refund_no") or None)


def _recorded(answer: Answer, instruction: Instruction) -> Told | Unclear:
    fields = answer.fields
    if fields.get("out_refund_no") != instruction.refund_no:
        return Unclear("other_refund")
    if fields.get("out_trade_no", instruction.payment_no) != instruction.payment_no:
        return Unclear("other_order")
    amount, state = fen(fields.get("money", "")), _STATES.get(fields.get("status", ""))
    if not amount:
        return Unclear("odd_amount")
    if state is None:
        return Unclear("odd_status")
    at = _instant(fields.get("endtime", "")) if state is RefundState.SUCCEEDED else None
    failure = _NOT_CARRIED_OUT if state is RefundState.ABNORMAL else None
    return Told(state, amount, "CNY", fields.get("refund_no") or None, at, failure)


def _unknown_unless_paid(order: OrderSeen, instruction: Instruction) -> Unknown | Unclear:
    """Money that went back and could be this refund: a server that forgets our numbers would pay a second time.

    With earlier refunds the sum says nothing, and the number has to be trusted.
    """
    explained = instruction.gone + instruction.amount
    if instruction.earlier == 0 and (order.went_back is None or order.went_back >= explained):
        return Unclear("order_shows_refunds")
    return Unknown()


def _instant(text: str) -> datetime | None:
    """The servers' own time is Shanghai's, without saying so."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_SHANGHAI)
    except ValueError:
        return None
