"""微信支付, API v3, domestic refunds of a merchant of its own (普通商户).

Source: pay.weixin.qq.com/doc/v3/merchant/4012587971 and the pages beside it. What is sent again under the same number
pays once; the synchronous answer is acceptance, and the end comes with a query or a notice.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Final
from urllib.parse import quote

from app.outbound.channels.exchange import Exchange, Reply, Request, Unanswered
from app.outbound.channels.said import (
    FoundRefund,
    Instruction,
    Notice,
    NotNow,
    PaymentSeen,
    Proof,
    Said,
    Told,
    Unclear,
)
from app.outbound.channels.wechat_pay.answers import MALFORMED, doubt, read_queried, read_submitted, unclear
from app.outbound.channels.wechat_pay.bill import DAYS, TARGET, is_whole, read_address, read_bill, ready_at
from app.outbound.channels.wechat_pay.credentials import WechatPayCredentials
from app.outbound.channels.wechat_pay.notices import REFUSED, TAKEN, read_proof
from app.outbound.channels.wechat_pay.requests import refund_body
from app.outbound.channels.wechat_pay.signing import authorization
from app.rules.settlement import Failure, FailureCode, RefundState

BASE_URL: Final = "https://api.mch.weixin.qq.com"
REFUNDS: Final = "/v3/refund/domestic/refunds"
REFUNDABLE: Final = timedelta(days=365)
MOST_PARTIALS: Final = 50
BETWEEN_PARTIALS: Final = timedelta(minutes=1)
CURRENCY: Final = "CNY"
NO_BILL: Final = "no_statement_exist"
# Wallets within minutes, bank cards within three working days; afterwards once a day until somebody ends it.
PLAN: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(days=1),
)


class WechatPay:
    """An Adapter for one merchant account. `nonce` gives a fresh text of 32 letters and digits at every call."""

    def __init__(
        self,
        credentials: WechatPayCredentials,
        exchange: Exchange,
        *,
        base_url: str = BASE_URL,
        nonce: Callable[[], str],
    ) -> None:
        self._credentials = credentials
        self._exchange = exchange
        self._base_url = base_url.rstrip("/")
        self._nonce = nonce

    def obstacle(self, instruction: Instruction, now: datetime) -> Told | NotNow | None:
        """365 days, 50 refunds a payment, a minute between them, renminbi alone.

        `failed` and not `closed`, since it is not known here whether the number reached the channel before.
        """
        if instruction.currency != CURRENCY:
            return _refused(FailureCode.REJECTED, "only CNY can be refunded")
        if now - instruction.paid_at > REFUNDABLE:
            return _refused(FailureCode.TOO_LATE, "paid more than 365 days ago")
        if instruction.earlier >= MOST_PARTIALS:
            return _refused(FailureCode.TOO_MANY, "50 refunds over this payment")
        begun = instruction.last_begun_at
        if begun is not None and now < begun + BETWEEN_PARTIALS:
            return NotNow(begun + BETWEEN_PARTIALS)
        return None

    async def submit(self, instruction: Instruction, now: datetime) -> Said:
        """See Adapter."""
        body = refund_body(instruction)
        reply = await self._believed("POST", REFUNDS, now, body)
        return reply if isinstance(reply, Unclear) else read_submitted(reply, instruction)

    async def query(self, instruction: Instruction, now: datetime) -> Said:
        """See Adapter."""
        reply = await self._believed("GET", f"{REFUNDS}/{quote(instruction.refund_no, safe='')}", now)
        return reply if isinstance(reply, Unclear) else read_queried(reply, instruction)

    async def look_at_payment(
        self,
        payment_no: str,
        payment_amount: int,
        now: datetime,
    ) -> PaymentSeen | Unclear | None:
        """None: API v3 lists no payment's refunds. Those of others are found in the day's bill."""
        return None

    async def refunds_of_day(self, day: date, now: datetime) -> tuple[tuple[str, FoundRefund], ...] | Unclear | None:
        """The day's 交易账单; none in it once WeChat Pay still has no bill a day after it was due."""
        due = ready_at(day)
        if now < due:
            return Unclear("bill_not_ready", due - now)
        address = await self._believed("GET", TARGET.format(day=day.isoformat()), now)
        if isinstance(address, Unclear):
            return address
        if address.status != 200:
            said = unclear(address)
            return () if said.code == NO_BILL and now >= due + DAYS else said
        return await self._bill(address, now)

    async def _bill(self, address: Reply, now: datetime) -> tuple[tuple[str, FoundRefund], ...] | Unclear:
        """A bill's download is not signed: the hash in the signed answer stands for it."""
        try:
            target, digest = read_address(address.body)
        except ValueError:
            return Unclear(MALFORMED)
        reply = await self._answer("GET", target, now)
        if isinstance(reply, Unclear):
            return reply
        if reply.status != 200:
            return unclear(reply)
        if not is_whole(reply.body, digest):
            return Unclear("bill_hash_differs")
        try:
            return read_bill(reply.body)
        except (ValueError, LookupError):
            return Unclear("malformed_bill")

    def next_query(self, asked: int) -> timedelta:
        """See Adapter."""
        return PLAN[min(asked, len(PLAN) - 1)]

    def read_notice(self, notice: Notice, now: datetime) -> Proof:
        """See Adapter."""
        return read_proof(self._credentials, notice, now)

    def answer_to_notice(self, *, accepted: bool) -> Reply:
        """See Adapter. Anything but 200 and 204 makes WeChat Pay send the notice again."""
        return TAKEN if accepted else REFUSED

    async def _believed(self, method: str, target: str, now: datetime, body: bytes = b"") -> Reply | Unclear:
        reply = await self._answer(method, target, now, body)
        if isinstance(reply, Unclear):
            return reply
        return doubt(reply, keys=self._credentials.platform_keys, now=now) or reply

    async def _answer(self, method: str, target: str, now: datetime, body: bytes = b"") -> Reply | Unclear:
        headers = self._headers(method, target, now, body)
        try:
            return await self._exchange.send(Request(method, self._base_url + target, headers, body))
        except Unanswered as silence:
            return Unclear(silence.reason)

    def _headers(self, method: str, target: str, now: datetime, body: bytes) -> Mapping[str, str]:
        serial = self._credentials.answering_serial()
        return {
            "Authorization": authorization(
                self._credentials, method=method, target=target, body=body, now=now, nonce=self._nonce()
            ),
            "Accept": "application/json",
            **({"Content-Type": "application/json"} if body else {}),
            **({} if serial is None else {"Wechatpay-Serial": serial}),
        }


def _refused(code: FailureCode, message: str) -> Told:
    return Told(RefundState.FAILED, failure=Failure(code, message))
