"""支付宝 as a channel adapter."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Final

from app.outbound.channels.alipay import bill, notices, refund_answers
from app.outbound.channels.alipay.answers import SUCCESS, Answer, read_answer
from app.outbound.channels.alipay.calls import request_of
from app.outbound.channels.alipay.credentials import AlipayCredentials
from app.outbound.channels.alipay.refusals import PERHAPS_PAID, plain_code, unclear_of
from app.outbound.channels.exchange import Exchange, Reply, Request, Unanswered
from app.outbound.channels.said import (
    FoundRefund,
    Hint,
    Instruction,
    Notice,
    NotNow,
    PaymentSeen,
    Said,
    Told,
    Unclear,
    Unknown,
)
from app.outbound.channels.yuan import yuan
from app.rules.calendar import SHANGHAI
from app.rules.settlement import Failure, FailureCode, RefundState

GATEWAY: Final = "https://openapi.alipay.com/gateway.do"
# How long a trade can be refunded is agreed in the contract (签约时设置的可退款时间): a year, unless agreed otherwise.
# Where a contract says less, Alipay answers ACQ.TRADE_HAS_FINISHED.
REFUNDABLE_FOR: Final = timedelta(days=365)
# "同一笔交易的退款至少间隔3s后发起"
BETWEEN_REFUNDS: Final = timedelta(seconds=3)
# "建议商户在退款发起后间隔10秒以上再发起退款查询请求": a query that comes earlier may see nothing.
QUERY_PLAN: Final = (
    timedelta(seconds=15),
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
)
LONGEST_REASON: Final = 256
# The bill of a day is made in the next morning.
BILL_READY_AT: Final = time(10, tzinfo=SHANGHAI)
# A day of which there is still no bill by then had no trade.
BILL_GIVEN_UP_AFTER: Final = timedelta(days=3)
_NO_BILL: Final = frozenset({"isp.bill_not_exist", "BILL_NOT_EXIST"})


class Alipay:
    """One application at Alipay. `nonce`: adapters are built alike, though this form carries nothing random."""

    def __init__(
        self,
        credentials: AlipayCredentials,
        exchange: Exchange,
        *,
        base_url: str = GATEWAY,
        nonce: Callable[[], str] | None = None,
    ) -> None:
        self._credentials = credentials
        self._exchange = exchange
        self._base_url = base_url

    def obstacle(self, instruction: Instruction, now: datetime) -> Told | NotNow | None:
        """Another currency, a trade beyond its year, or a refund of the same trade less than 3 s ago."""
        if instruction.currency != "CNY":
            return _failed(FailureCode.REJECTED, "ACQ.CURRENCY_NOT_SUPPORT 退款币种不支持")
        if now - instruction.paid_at > REFUNDABLE_FOR:
            return _failed(FailureCode.TOO_LATE, "超过可退款时间")
        free_at = instruction.last_begun_at + BETWEEN_REFUNDS if instruction.last_begun_at else now
        return NotNow(free_at) if now < free_at else None

    async def submit(self, instruction: Instruction, now: datetime) -> Said:
        """alipay.trade.refund: the same number and amount pay once, however often they are sent.

        `notify_url` is not sent: parameters that are not documented for this call can make it fail or pay twice.
        """
        content = {
            "out_trade_no": instruction.payment_no,
            "out_request_no": instruction.refund_no,
            "refund_amount": yuan(instruction.amount),
            "refund_reason": instruction.reason_text[:LONGEST_REASON],
        }
        answer = await self._ask("alipay.trade.refund", content, now)
        if isinstance(answer, Unclear):
            return answer
        said = refund_answers.of_submission(answer, instruction)
        if plain_code(answer.sub_code) in PERHAPS_PAID:
            return await self._unless_paid(instruction, now, refused=said)
        return said

    async def _unless_paid(self, instruction: Instruction, now: datetime, *, refused: Said) -> Said:
        """A refusal that an earlier call under this number may have caused by paying: the query decides."""
        seen = await self.query(instruction, now)
        return refused if isinstance(seen, Unknown) else seen

    async def query(self, instruction: Instruction, now: datetime) -> Said:
        """alipay.trade.fastpay.refund.query, not to be asked before 10 s after submitting.

        Unknown: not received, or failed, or asked too early. In all three cases the remedy is to submit again under the
        same number; never a new number, since the old one may still be at work.
        """
        content = {
            "out_trade_no": instruction.payment_no,
            "out_request_no": instruction.refund_no,
            "query_options": ["gmt_refund_pay"],
        }
        answer = await self._ask("alipay.trade.fastpay.refund.query", content, now)
        return answer if isinstance(answer, Unclear) else refund_answers.of_query(answer, instruction)

    async def look_at_payment(
        self, payment_no: str, payment_amount: int, now: datetime
    ) -> PaymentSeen | Unclear | None:
        """alipay.trade.query tells no refunded amounts, only that all went back: None for anything less."""
        answer = await self._ask("alipay.trade.query", {"out_trade_no": payment_no}, now)
        return answer if isinstance(answer, Unclear) else refund_answers.of_payment(answer, payment_no)

    async def refunds_of_day(self, day: date, now: datetime) -> tuple[tuple[str, FoundRefund], ...] | Unclear | None:
        """The day's 业务明细, from the next morning on; refunds made by hand or by others are in it too."""
        ready_at = datetime.combine(day + timedelta(days=1), BILL_READY_AT)
        if now < ready_at:
            return Unclear("bill_not_ready", ready_at - now)
        content = {"bill_type": "trade", "bill_date": day.isoformat()}
        answer = await self._ask("alipay.data.dataservice.bill.downloadurl.query", content, now)
        if isinstance(answer, Unclear):
            return answer
        if answer.sub_code in _NO_BILL:
            return () if now - ready_at > BILL_GIVEN_UP_AFTER else Unclear("bill_not_ready", timedelta(hours=1))
        if answer.code != SUCCESS:
            return unclear_of(answer.code, answer.sub_code)
        return await self._fetch_bill(answer.text("bill_download_url") or "")

    async def _fetch_bill(self, told: str) -> tuple[tuple[str, FoundRefund], ...] | Unclear:
        """The address holds for 30 s. Unpacking is left to a thread: a large bill takes a second."""
        address = bill.bill_address(told, self._base_url)
        if address is None:
            return Unclear("bill_address_refused")
        try:
            reply = await self._exchange.send(Request("GET", address))
            if reply.status != 200:
                return Unclear(f"http_{reply.status}")
            return await asyncio.to_thread(bill.refunds_in, reply.body)
        except Unanswered as unanswered:
            return Unclear(unanswered.reason)
        except bill.BillUnreadable as unreadable:
            return Unclear(unreadable.code)

    def next_query(self, asked: int) -> timedelta:
        """15 s after submitting, then ever more seldom, in the end every six hours."""
        return QUERY_PLAN[min(asked, len(QUERY_PLAN) - 1)]

    def read_notice(self, notice: Notice, now: datetime) -> Hint:
        """Raises NoticeRefused. A notice said again is only a reason to ask again, so that none is too old."""
        return notices.read_notice(notice, self._credentials)

    def answer_to_notice(self, *, accepted: bool) -> Reply:
        """Alipay repeats a notice, for a day or so, until it hears "success"."""
        return Reply(200, {"content-type": "text/plain; charset=utf-8"}, b"success" if accepted else b"failure")

    async def _ask(self, method: str, content: Mapping[str, object], now: datetime) -> Answer | Unclear:
        request = request_of(method, content, now, credentials=self._credentials, base_url=self._base_url)
        try:
            reply = await self._exchange.send(request)
        except Unanswered as unanswered:
            return Unclear(unanswered.reason)
        return read_answer(reply, method, self._credentials.alipay_public_key)


def _failed(code: FailureCode, message: str) -> Told:
    return Told(RefundState.FAILED, failure=Failure(code, message))
