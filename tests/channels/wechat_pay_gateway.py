"""A gateway that behaves as 微信支付's API v3 is documented to, in memory, on a clock that is given to it.

It proves our signatures with the merchant's public key and signs what it sends. Each call takes the next of `faults`.
"""

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit

from app.outbound.channels.exchange import Reply, Request
from app.outbound.channels.said import Notice
from tests.channels.wechat_pay_books import SHANGHAI, Paid, Refunding, bill_of, rfc3339
from tests.channels.wechat_pay_faults import PROBE, Fault, error, instead, says, spoilt, without_signature
from tests.channels.wechat_pay_keys import (
    MCH_ID,
    MERCHANT_SERIAL,
    PUBLIC_KEY_SERIAL,
    hidden,
    is_signed,
    signed_headers,
)

BASE_URL = "https://api.mch.weixin.qq.com"
REFUNDS = "/v3/refund/domestic/refunds"
DAY = timedelta(days=1)
MOST_FEN = 10**11
REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
AUTHORIZATION = re.compile(
    r'WECHATPAY2-SHA256-RSA2048 mchid="(\d+)",nonce_str="([^"]{1,32})",signature="([^"]+)",timestamp="(\d+)",'
    r'serial_no="([0-9A-F]+)"'
)


class WechatPayGateway:
    """One merchant's side of it. `balance`: fen that refunds can be paid from; `account_gone`: the payer's is.

    `ends_next`: what becomes of the refunds that begin from now on.
    """

    def __init__(self, clock: Callable[[], datetime], *, settles_after: timedelta = timedelta(minutes=3)) -> None:
        self.clock = clock
        self.settles_after = settles_after
        self.balance = MOST_FEN
        self.account_gone = False
        self.faults: deque[Fault] = deque()
        self.requests: list[Request] = []
        self.payments: dict[str, Paid] = {}
        self.refunds: dict[str, Refunding] = {}
        self.ends_next = "SUCCESS"
        self.goods = "点卡, 100 元`,`假的"
        self._told: dict[str, str] = {}
        self._bills: dict[str, bytes] = {}
        self._ids = count(1)

    def pay(self, payment_no: str, amount: int, paid_at: datetime) -> None:
        """The buyer's payment."""
        self.payments[payment_no] = Paid(payment_no, amount, paid_at)

    def paid_out(self, payment_no: str) -> int:
        """Fen that have gone back over a payment, by anybody's doing."""
        now = self.clock()
        return sum(one.amount for one in self.payments[payment_no].refunds if one.status(now) == "SUCCESS")

    def refund_by_hand(self, payment_no: str, amount: int) -> str:
        """Somebody refunds in the merchant's console."""
        number = f"hand{next(self._ids):08}"
        self._begin(self.payments[payment_no], number, amount, None)
        return number

    def end(self, refund_no: str, status: str) -> None:
        """The refund's end, now."""
        self.refunds[refund_no].ends = status
        self.refunds[refund_no].settles_at = self.clock()

    async def send(self, request: Request) -> Reply:
        """Exchange."""
        self.requests.append(request)
        fault, now = self.faults.popleft() if self.faults else Fault.NONE, self.clock()
        reply = instead(fault, now, self._imagined(request))
        return spoilt(fault, self._answered(request), now) if reply is None else reply

    def notices(self, *, again: bool = False) -> list[Notice]:
        """What became of refunds since the last call; `again`: all of it, since nobody has answered 200."""
        now, news = self.clock(), []
        for refund in self.refunds.values():
            status = refund.status(now)
            if refund.notify_url is None or status == "PROCESSING":
                continue
            if again or self._told.get(refund.refund_no) != status:
                self._told[refund.refund_no] = status
                news.append(self.notice(refund.refund_no))
        return news

    def notice(self, refund_no: str, *, status: str | None = None, signed_at: datetime | None = None) -> Notice:
        """退款结果通知; `status` and `signed_at` in place of what is true now."""
        now, refund = self.clock(), self.refunds[refund_no]
        word = status or refund.status(now)
        plain = json.dumps(self._resource(refund, word), ensure_ascii=False).encode()
        document = {
            "id": f"EV-{refund_no}",
            "create_time": rfc3339(refund.settles_at),
            "resource_type": "encrypt-resource",
            "event_type": f"REFUND.{word}",
            "summary": "退款结果",
            "resource": hidden(plain),
        }
        body = json.dumps(document, ensure_ascii=False).encode()
        return Notice("POST", signed_headers(body, signed_at or now), {}, body)

    def probe(self, refund_no: str) -> Notice:
        """A notice by which WeChat Pay finds out whether signatures are checked."""
        notice = self.notice(refund_no)
        spoilt_signature = PROBE + notice.headers["wechatpay-signature"]
        return Notice("POST", {**notice.headers, "wechatpay-signature": spoilt_signature}, {}, notice.body)

    def _resource(self, refund: Refunding, status: str) -> Mapping[str, object]:
        total = self.payments[refund.payment_no].amount
        return {
            "mchid": MCH_ID,
            "out_trade_no": refund.payment_no,
            "transaction_id": f"42{refund.refund_id}",
            "out_refund_no": refund.refund_no,
            "refund_id": refund.refund_id,
            "refund_status": status,
            **({"success_time": rfc3339(refund.settles_at)} if status == "SUCCESS" else {}),
            "user_received_account": "招商银行信用卡0403",
            "amount": {"total": total, "refund": refund.amount, "payer_total": total, "payer_refund": refund.amount},
        }

    def _shown(self, refund: Refunding, now: datetime) -> dict[str, object]:
        status, total = refund.status(now), self.payments[refund.payment_no].amount
        return {
            "refund_id": refund.refund_id,
            "out_refund_no": refund.refund_no,
            "transaction_id": f"42{refund.refund_id}",
            "out_trade_no": refund.payment_no,
            "channel": "ORIGINAL",
            "user_received_account": "招商银行信用卡0403",
            **({"success_time": rfc3339(refund.settles_at)} if status == "SUCCESS" else {}),
            "create_time": rfc3339(refund.begun_at),
            "status": status,
            "funds_account": "AVAILABLE",
            "amount": {
                "total": total,
                "refund": refund.amount,
                "payer_total": total,
                "payer_refund": refund.amount,
                "settlement_refund": refund.amount,
                "settlement_total": total,
                "discount_refund": 0,
                "currency": "CNY",
            },
        }

    def _imagined(self, request: Request) -> Mapping[str, object]:
        """What somebody between us would answer who saw the request and holds no key."""
        asked = json.loads(request.body) if request.body else {}
        number = asked.get("out_refund_no") or unquote(request.url.rsplit("/", 1)[-1])
        known = self.refunds.get(number)
        payment_no = asked.get("out_trade_no") or (known.payment_no if known else next(iter(self.payments), ""))
        amount = asked.get("amount") or {"refund": known.amount if known else 1, "currency": "CNY"}
        return {
            "refund_id": "50000000000000000000",
            "out_refund_no": number,
            "out_trade_no": payment_no,
            "success_time": rfc3339(self.clock()),
            "amount": amount,
        }

    def _answered(self, request: Request) -> Reply:
        now, address = self.clock(), urlsplit(request.url)
        target = address.path + (f"?{address.query}" if address.query else "")
        if not self._is_ours(request, target, now):
            return without_signature(error(401, "SIGN_ERROR", "签名错误", now))
        if request.method == "POST" and address.path == REFUNDS:
            return self._refunded(json.loads(request.body), now)
        if request.method == "GET" and address.path.startswith(f"{REFUNDS}/"):
            return self._queried(unquote(address.path.removeprefix(f"{REFUNDS}/")), now)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if request.method == "GET" and address.path == "/v3/bill/tradebill":
            return self._bill(query, now)
        if request.method == "GET" and address.path == "/v3/billdownload/file":
            return Reply(200, {"content-type": "text/plain"}, self._bills[query["token"]])
        return error(404, "NOT_FOUND", "接口不存在", now)

    def _is_ours(self, request: Request, target: str, now: datetime) -> bool:
        headers = {name.lower(): value for name, value in request.headers.items()}
        parts = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if parts is None or headers.get("accept") != "application/json":
            return False
        mchid, nonce, signed, seconds, serial = parts.groups()
        text = f"{request.method}\n{target}\n{seconds}\n{nonce}\n".encode() + request.body + b"\n"
        fresh = abs(now.timestamp() - int(seconds)) <= 300
        known = (mchid, serial, headers.get("wechatpay-serial")) == (MCH_ID, MERCHANT_SERIAL, PUBLIC_KEY_SERIAL)
        return fresh and known and is_signed("merchant", text, signed)

    def _queried(self, refund_no: str, now: datetime) -> Reply:
        refund = self.refunds.get(refund_no)
        if refund is None:
            return error(404, "RESOURCE_NOT_EXISTS", "退款单不存在", now)
        return says(200, self._shown(refund, now), now)

    def _refunded(self, asked: dict[str, object], now: datetime) -> Reply:
        fault = _form_fault(asked)
        if fault:
            return error(400, "PARAM_ERROR", fault, now)
        amount: dict[str, int] = asked["amount"]  # type: ignore[assignment]
        payment = self.payments.get(str(asked["out_trade_no"]))
        if payment is None:
            return error(404, "RESOURCE_NOT_EXISTS", "订单不存在", now)
        number, wanted = str(asked["out_refund_no"]), amount["refund"]
        known = self.refunds.get(number)
        if known is not None and (known.payment_no, known.amount) == (payment.payment_no, wanted):
            return says(200, self._shown(known, now), now)
        for refusal in self._refusals(payment, amount, known, now):
            return refusal
        url = asked.get("notify_url")
        refund = self._begin(payment, number, wanted, None if url is None else str(url))
        return says(200, self._shown(refund, now), now)

    def _refusals(
        self, payment: Paid, amount: Mapping[str, int], known: Refunding | None, now: datetime
    ) -> Iterator[Reply]:
        begun = [one for one in payment.refunds if one.status(now) != "CLOSED"]
        if known is not None:
            yield error(400, "INVALID_REQUEST", "此退款单号已存在，但参数不一致", now)
        if amount["total"] != payment.amount:
            yield error(400, "INVALID_REQUEST", "订单金额不一致", now)
        if now - payment.paid_at > 365 * DAY:
            yield error(400, "INVALID_REQUEST", "订单已超过可退款的最大期限", now)
        if len(payment.refunds) >= 50:
            yield error(400, "INVALID_REQUEST", "部分退款次数已达上限", now)
        if sum(one.amount for one in begun) + amount["refund"] > payment.amount:
            yield error(400, "INVALID_REQUEST", "申请退款金额大于订单可退金额", now)
        if any(now - one.begun_at < timedelta(minutes=1) for one in payment.refunds):
            yield error(429, "FREQUENCY_LIMITED", "同一笔订单多次退款的请求需相隔1分钟", now)
        if self.account_gone:
            yield error(403, "USER_ACCOUNT_ABNORMAL", "用户账户异常", now)
        if amount["refund"] > self.balance:
            yield error(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起", now)

    def _begin(self, payment: Paid, refund_no: str, amount: int, notify_url: str | None) -> Refunding:
        now = self.clock()
        refund_id = f"50{next(self._ids):018}"
        refund = Refunding(
            refund_no, refund_id, payment.payment_no, amount, now, now + self.settles_after, notify_url, self.ends_next
        )
        payment.refunds.append(refund)
        self.refunds[refund_no] = refund
        self.balance -= amount
        return refund

    def _bill(self, query: Mapping[str, str], now: datetime) -> Reply:
        day = date.fromisoformat(query["bill_date"])
        if query["bill_type"] != "REFUND" or now < datetime.combine(day + DAY, time(9), SHANGHAI):
            return error(400, "STATEMENT_CREATING", "账单生成中", now)
        rows = [one for one in self.refunds.values() if one.begun_at.astimezone(SHANGHAI).date() == day]
        if not rows:
            return error(400, "NO_STATEMENT_EXIST", "账单文件不存在", now)
        bill = bill_of([(one, self.payments[one.payment_no]) for one in rows], now, self.goods)
        digest = hashlib.sha1(bill, usedforsecurity=False).hexdigest()
        token = f"t{len(self._bills)}_{day}"
        self._bills[token] = bill
        url = f"{BASE_URL}/v3/billdownload/file?token={token}"
        return says(200, {"hash_type": "SHA1", "hash_value": digest, "download_url": url}, now)


def _form_fault(asked: dict[str, object]) -> str | None:
    amount = asked.get("amount")
    if not isinstance(amount, dict) or amount.get("currency") != "CNY":
        return "amount"
    if any(type(amount.get(name)) is not int or amount[name] < 1 for name in ("refund", "total")):
        return "amount"
    if not REFUND_NO.fullmatch(str(asked.get("out_refund_no"))) or not 1 <= len(str(asked.get("out_trade_no"))) <= 32:
        return "out_refund_no"
    if len(str(asked.get("reason", "x")).encode()) > 80:
        return "reason"
    url = str(asked.get("notify_url", "https://a.example"))
    return "notify_url" if "?" in url or len(url) > 256 else None
