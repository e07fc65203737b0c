"""A gateway that behaves as Alipay's is documented to, in memory, on a clock that is given to it.

It proves our signatures with the merchant's public key and signs what it sends with a key of its own, over the exact
bytes. Faults are switched on one by one: each call takes the next from `faults`.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode, urlsplit

from app.outbound.channels.exchange import Reply, Request, Unanswered
from app.outbound.channels.said import Notice
from tests.channels.alipay_books import SHANGHAI, Refunded, Trade, bill_row, bill_zip, wall_clock_of, yuan_of
from tests.channels.alipay_keys import APP_ID, joined, sha256_rsa, verified

GATEWAY_URL = "https://openapi.alipay.com/gateway.do"
REFUNDABLE_FOR = timedelta(days=365)
BETWEEN_REFUNDS = timedelta(seconds=3)
CLOCKS_APART = timedelta(minutes=15)


class Fault(StrEnum):
    """What goes wrong with one call."""

    NONE = "none"
    TIME_OUT_BEFORE = "time_out_before"
    TIME_OUT_AFTER = "time_out_after"
    SERVER_ERROR = "server_error"
    SERVER_ERROR_AFTER = "server_error_after"
    HTML = "html"
    GARBAGE_AFTER = "garbage_after"
    TRUNCATED_AFTER = "truncated_after"
    WRONG_SIGNATURE_AFTER = "wrong_signature_after"
    NO_SIGNATURE_AFTER = "no_signature_after"
    FORGED = "forged"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    SYSTEM_ERROR = "system_error"
    SYSTEM_ERROR_AFTER = "system_error_after"
    NOTHING_MOVED = "nothing_moved"


class Refusal(Exception):
    """A business refusal."""

    def __init__(self, sub_code: str, words: str = "业务处理失败") -> None:
        super().__init__(sub_code)
        self.sub_code = sub_code
        self.words = words


class AlipayGateway:
    """`visible_after`: how long the query does not see a refund that was made. `balance`: the seller's, in fen."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        *,
        visible_after: timedelta = timedelta(seconds=8),
        balance: int = 10**9,
        bill_url: str = "http://dwbillcenter.alipay.com/downloadBillFile.resource",
    ) -> None:
        self.clock = clock
        self.visible_after = visible_after
        self.balance = balance
        self.bill_url = bill_url
        self.trades: dict[str, Trade] = {}
        self.faults: deque[Fault] = deque()
        self.refusals: deque[str] = deque()
        self.requests: list[Request] = []
        self.called: list[tuple[str, dict[str, object]]] = []
        self.notices: list[Notice] = []
        self.bill_archive: bytes | None = None
        self.escapes_slashes_after_signing = False
        self.says: dict[str, object] = {}

    def pay(self, payment_no: str, amount: int, paid_at: datetime | None = None) -> Trade:
        """A payment that went through."""
        trade_no = f"2026{len(self.trades):024d}"
        self.trades[payment_no] = Trade(payment_no, trade_no, amount, paid_at or self.clock())
        return self.trades[payment_no]

    def paid_out(self, payment_no: str) -> int:
        """What really went back over a payment, in fen."""
        return self.trades[payment_no].refunded

    def refund_by_hand(self, payment_no: str, amount: int, refund_no: str = "") -> None:
        """Somebody refunds in the merchant's back office."""
        trade = self.trades[payment_no]
        assert trade.refunded + amount <= trade.amount
        trade.refunds.append(Refunded(refund_no, amount, self.clock(), by="hand"))
        self._note(trade, trade.refunds[-1])

    async def send(self, request: Request) -> Reply:
        """One call, with the next fault."""
        self.requests.append(request)
        fault = self.faults.popleft() if self.faults else Fault.NONE
        early = self._before(fault)
        if early is not None:
            return early
        if request.method == "GET":
            return self._late(
                fault, Reply(200, {"content-type": "application/octet-stream"}, self._bill_of(request.url))
            )
        return self._late(fault, self._called(request, fault))

    def _before(self, fault: Fault) -> Reply | None:
        """What goes wrong before anything took effect."""
        match fault:
            case Fault.TIME_OUT_BEFORE:
                raise Unanswered("timeout")
            case Fault.SERVER_ERROR:
                return Reply(502, {}, b"Bad Gateway")
            case Fault.HTML:
                return Reply(200, {"content-type": "text/html"}, "<html>系统繁忙</html>".encode())
            case _:
                return None

    def _late(self, fault: Fault, reply: Reply) -> Reply:
        """What goes wrong after it took effect."""
        match fault:
            case Fault.TIME_OUT_AFTER:
                raise Unanswered("timeout")
            case Fault.SERVER_ERROR_AFTER:
                return Reply(500, {}, reply.body)
            case Fault.GARBAGE_AFTER:
                return Reply(200, {}, b"\xff\x00" + reply.body)
            case Fault.TRUNCATED_AFTER:
                return Reply(200, reply.headers, reply.body[: len(reply.body) // 2])
            case _:
                return reply

    def _called(self, request: Request, fault: Fault) -> Reply:
        pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        parameters = dict(pairs)
        method = parameters.get("method", "")
        trouble = self._faulty(request, parameters, len(pairs))
        if trouble is not None:
            return self._unsigned(method, "40002", trouble)
        content = json.loads(parameters["biz_content"])
        self.called.append((method, content))
        return self._gateway_trouble(method, fault, content) or self._served(method, content, fault)

    def _faulty(self, request: Request, parameters: Mapping[str, str], count: int) -> str | None:
        """The gateway's own checks, by the documentation of the public parameters."""
        signed = {name: value for name, value in parameters.items() if name != "sign" and value}
        wrong = {
            "isv.suspected-attack": len(parameters) != count or request.method != "POST",
            "isv.invalid-app-id": parameters.get("app_id") != APP_ID,
            "isv.invalid-signature-type": parameters.get("sign_type") != "RSA2",
            "isv.invalid-charset": parameters.get("charset") not in {"utf-8", "UTF-8"},
            "isv.invalid-format": parameters.get("format", "JSON").upper() != "JSON",
            "isv.missing-version": parameters.get("version") != "1.0",
            "isv.invalid-timestamp": not self._timely(parameters.get("timestamp", "")),
            "isv.invalid-signature": not verified("merchant", joined(signed), parameters.get("sign", "")),
        }
        return next((code for code, is_wrong in wrong.items() if is_wrong), None)

    def _timely(self, text: str) -> bool:
        try:
            at = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
        except ValueError:
            return False
        return abs(at - self.clock()) <= CLOCKS_APART

    def _gateway_trouble(self, method: str, fault: Fault, content: dict[str, object]) -> Reply | None:
        match fault:
            case Fault.RATE_LIMITED:
                return self._signed(method, _refused("40005", "isv.app-call-limited", "应用调用次数超限"))
            case Fault.UNAVAILABLE:
                return self._signed(method, _refused("20000", "isp.unknow-error", "服务暂不可用"))
            case Fault.SYSTEM_ERROR:
                return self._signed(method, _refused("40004", "ACQ.SYSTEM_ERROR", "系统错误"))
            case Fault.NOTHING_MOVED if method == "alipay.trade.refund":
                taken = {"out_trade_no": content["out_trade_no"], "fund_change": "N", "refund_fee": "0.00"}
                return self._signed(method, {"code": "10000", "msg": "Success", **taken})
            case Fault.FORGED:
                forged = {
                    "code": "10000",
                    "msg": "Success",
                    "out_trade_no": content.get("out_trade_no"),
                    "out_request_no": content.get("out_request_no"),
                    "trade_no": "20260000000000000000000000ff",
                    "fund_change": "Y",
                    "refund_fee": content.get("refund_amount", "0.01"),
                    "refund_amount": content.get("refund_amount", "0.01"),
                    "refund_status": "REFUND_SUCCESS",
                }
                return self._signed(method, forged, by="stranger")
            case _:
                return None

    def _served(self, method: str, content: dict[str, object], fault: Fault) -> Reply:
        serve = {
            "alipay.trade.refund": self._refund,
            "alipay.trade.fastpay.refund.query": self._refund_query,
            "alipay.trade.query": self._trade_query,
            "alipay.data.dataservice.bill.downloadurl.query": self._bill_query,
        }.get(method)
        if serve is None:
            return self._unsigned(method, "40002", "isv.invalid-method")
        try:
            self._refuse_as_told()
            answer = {"code": "10000", "msg": "Success", **serve(content), **self.says}
        except Refusal as refusal:
            answer = _refused("40004", refusal.sub_code, refusal.words)
        if fault is Fault.SYSTEM_ERROR_AFTER:
            answer = _refused("40004", "ACQ.SYSTEM_ERROR", "系统错误")
        if fault is Fault.NO_SIGNATURE_AFTER:
            return self._signed(method, answer, by=None)
        return self._signed(method, answer, by="stranger" if fault is Fault.WRONG_SIGNATURE_AFTER else "alipay")

    def _refuse_as_told(self) -> None:
        if self.refusals:
            raise Refusal(self.refusals.popleft())

    def _refund(self, content: Mapping[str, object]) -> dict[str, object]:
        unknown = set(content) - {"out_trade_no", "out_request_no", "refund_amount", "refund_reason", "query_options"}
        assert not unknown, f"undocumented parameters can make a refund fail or pay twice: {unknown}"
        trade, refund_no = self._trade(content), str(content["out_request_no"])
        amount = _fen(content["refund_amount"])
        assert len(str(content.get("refund_reason", ""))) <= 256
        made = next((refund for refund in trade.refunds if refund.refund_no == refund_no), None)
        if made is None:
            self._make(trade, refund_no, amount)
        elif made.amount != amount:
            raise Refusal("ACQ.DISCORDANT_REPEAT_REQUEST", "请求信息不一致")
        return {
            "buyer_logon_id": "159****5620",
            "fund_change": "N" if made else "Y",
            "gmt_refund_pay": wall_clock_of((made or trade.refunds[-1]).at),
            "out_trade_no": trade.payment_no,
            "refund_fee": yuan_of(trade.refunded),
            "send_back_fee": "0.00" if made else yuan_of(amount),
            "trade_no": trade.trade_no,
        }

    def _make(self, trade: Trade, refund_no: str, amount: int) -> None:
        now = self.clock()
        api_times = [refund.at for refund in trade.refunds if refund.by == "api"]
        if trade.status == "TRADE_CLOSED":
            raise Refusal("ACQ.TRADE_HAS_CLOSE", "交易已关闭")
        if now - trade.paid_at > REFUNDABLE_FOR:
            raise Refusal("ACQ.TRADE_HAS_FINISHED", "交易已完结")
        if amount <= 0 or trade.refunded + amount > trade.amount:
            raise Refusal("ACQ.REASON_TRADE_REFUND_FEE_ERR", "退款金额无效")
        if api_times and now - max(api_times) < BETWEEN_REFUNDS:
            raise Refusal("ACQ.SYSTEM_ERROR", "系统错误")
        if amount > self.balance:
            raise Refusal("ACQ.SELLER_BALANCE_NOT_ENOUGH", "卖家余额不足")
        self.balance -= amount
        trade.refunds.append(Refunded(refund_no, amount, now))
        self._note(trade, trade.refunds[-1])

    def _refund_query(self, content: Mapping[str, object]) -> dict[str, object]:
        trade = self._trade(content)
        made = next((refund for refund in trade.refunds if refund.refund_no == content["out_request_no"]), None)
        if made is None or self.clock() - made.at < self.visible_after:
            return {}
        told: dict[str, object] = {
            "out_request_no": made.refund_no,
            "out_trade_no": trade.payment_no,
            "refund_amount": yuan_of(made.amount),
            "refund_status": "REFUND_SUCCESS",
            "total_amount": yuan_of(trade.amount),
            "trade_no": trade.trade_no,
        }
        options = content.get("query_options", [])
        assert isinstance(options, list)
        return told | ({"gmt_refund_pay": wall_clock_of(made.at)} if "gmt_refund_pay" in options else {})

    def _trade_query(self, content: Mapping[str, object]) -> dict[str, object]:
        trade = self._trade(content)
        return {
            "buyer_logon_id": "159****5620",
            "out_trade_no": trade.payment_no,
            "send_pay_date": wall_clock_of(trade.paid_at),
            "total_amount": yuan_of(trade.amount),
            "trade_no": trade.trade_no,
            "trade_status": trade.status,
        }

    def _bill_query(self, content: Mapping[str, object]) -> dict[str, object]:
        day = date.fromisoformat(str(content["bill_date"]))
        if content["bill_type"] != "trade" or day >= self.clock().astimezone(SHANGHAI).date():
            raise Refusal("isv.invalid_arguments", "参数不合法")
        if not self._happened(day) and self.bill_archive is None:
            raise Refusal("isp.bill_not_exist", "账单不存在")
        return {
            "bill_download_url": f"{self.bill_url}?bizType=trade&fileType=csv.zip&bizDates={day:%Y%m%d}&fileId=%2Ftrade"
        }

    def _trade(self, content: Mapping[str, object]) -> Trade:
        trade = self.trades.get(str(content["out_trade_no"]))
        if trade is None:
            raise Refusal("ACQ.TRADE_NOT_EXIST", "交易不存在")
        return trade

    def _signed(self, method: str, answer: Mapping[str, object], by: str | None = "alipay") -> Reply:
        node = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
        signed = node
        node = node.replace("/", "\\/")
        if not self.escapes_slashes_after_signing:
            signed = node
        name = method.replace(".", "_") + "_response"
        sign = f',"sign":"{sha256_rsa(by, signed.encode())}"' if by else ""
        return Reply(200, {"content-type": "text/html;charset=utf-8"}, f'{{"{name}":{node}{sign}}}'.encode())

    def _unsigned(self, method: str, code: str, sub_code: str) -> Reply:
        """For an application that it cannot tell, the gateway has no key to sign for."""
        return self._signed(method, _refused(code, sub_code, "非法的参数"), by=None)

    def _note(self, trade: Trade, refund: Refunded) -> None:
        """A refund makes Alipay send a notice to where the shop wanted to hear of the payment."""
        self.notices.append(
            self.notice(
                gmt_refund=wall_clock_of(refund.at) + ".123",
                out_biz_no=refund.refund_no or trade.payment_no,
                out_trade_no=trade.payment_no,
                refund_fee=yuan_of(trade.refunded),
                total_amount=yuan_of(trade.amount),
                trade_no=trade.trade_no,
                trade_status=trade.status,
            )
        )

    def notice(self, by: str = "alipay", charset: str = "utf-8", **fields: str) -> Notice:
        """A signed notice with the fields that each has, and others that are given."""
        told = {
            "app_id": APP_ID,
            "charset": charset,
            "notify_id": f"2026{len(self.notices):032d}",
            "notify_time": wall_clock_of(self.clock()),
            "notify_type": "trade_status_sync",
            "subject": "点卡 100 元 & 赠品",
            "version": "1.0",
        } | fields
        content = "&".join(f"{name}={told[name]}" for name in sorted(told)).encode(charset)
        whole = {**told, "sign_type": "RSA2", "sign": sha256_rsa(by, content)}
        headers = {"content-type": f"application/x-www-form-urlencoded; charset={charset}"}
        return Notice("POST", headers, {}, urlencode(whole, encoding=charset).encode("ascii"))

    def _happened(self, day: date) -> list[str]:
        """The rows of a day: payments, and refunds with negative amounts."""
        rows = []
        for trade in self.trades.values():
            if trade.paid_at.astimezone(SHANGHAI).date() == day:
                rows.append(bill_row(trade, "交易", yuan_of(trade.amount), trade.paid_at, ""))
            rows += [
                bill_row(trade, "退款", f"-{yuan_of(refund.amount)}", refund.at, refund.refund_no)
                for refund in trade.refunds
                if refund.at.astimezone(SHANGHAI).date() == day
            ]
        return rows

    def _bill_of(self, url: str) -> bytes:
        if self.bill_archive is not None:
            return self.bill_archive
        day = datetime.strptime(dict(parse_qsl(urlsplit(url).query))["bizDates"], "%Y%m%d").date()  # noqa: DTZ007
        return bill_zip(self._happened(day))


def _refused(code: str, sub_code: str, words: str) -> dict[str, object]:
    return {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": words}


def _fen(text: object) -> int:
    """By Decimal, so that it is not our own reading that is tested against itself."""
    assert isinstance(text, str)
    fen = Decimal(text) * 100
    if fen != int(fen):
        raise Refusal("ACQ.INVALID_PARAMETER", "参数无效")
    return int(fen)
