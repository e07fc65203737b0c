"""A 易支付 aggregator in memory, as 彩虹易支付 behaves in V1 and V2, with the faults that are met in the wild.

V1 pays again on every refund call, up to what was paid: that is its danger. V2 knows a refund by `out_refund_no`.
The signatures are made and checked here by other code than the adapter's.
"""

import base64
import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from app.outbound.channels.exchange import Reply, Request
from app.outbound.channels.said import Notice
from tests.channels.epay_faults import BEFORE, Fault, broken
from tests.channels.epay_keys import KEY, PID, merchant_key, platform_signature, text_to_sign

_SHANGHAI = timezone(timedelta(hours=8))


@dataclass
class Made:
    """A refund that was paid; `out_refund_no` is empty on V1 and by hand."""

    refund_no: str
    out_refund_no: str
    amount: int
    at: datetime


@dataclass
class Order:
    """An order at the aggregator; the payer paid `money` and a surcharge."""

    out_trade_no: str
    trade_no: str
    money: int
    surcharge: int = 0
    status: int = 1
    made: list[Made] = field(default_factory=list)


@dataclass
class EpayGateway:
    """An Exchange. `shows_after`: how long records lag behind the money; `tells_refunded`: V1 tells `refundmoney`."""

    now: Callable[[], datetime]
    tells_refunded: bool = False
    shows_after: timedelta = timedelta(0)
    balance: int = 10**12
    ignores_numbers: bool = False
    numbers_as_text: bool = False
    acknowledges_with: int = 1
    change: Callable[[str, dict[str, object]], dict[str, object]] = lambda kind, fields: fields
    encoding: str = "utf-8"
    plan: Callable[[str], Fault | None] = lambda kind: None
    orders: dict[str, Order] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    faults: defaultdict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))

    def add_order(self, out_trade_no: str, money: int, *, surcharge: int = 0, status: int = 1) -> None:
        """A payment that was made (1), or was not (0), or is frozen (3)."""
        self.orders[out_trade_no] = Order(out_trade_no, f"20260101{len(self.orders):011d}", money, surcharge, status)

    def paid_out(self, out_trade_no: str) -> int:
        """Fen that really went back."""
        return sum(made.amount for made in self.orders[out_trade_no].made)

    def paid_under(self, refund_no: str) -> int:
        """Fen that really went back under a number of ours."""
        return sum(m.amount for order in self.orders.values() for m in order.made if m.out_refund_no == refund_no)

    def refund_by_hand(self, out_trade_no: str, amount: int) -> None:
        """Somebody else refunds, in the aggregator's console."""
        assert self._pay(self.orders[out_trade_no], amount, "") is not None

    async def send(self, request: Request) -> Reply:
        """As the adapter's exchange."""
        kind, form = _asked(request)
        self.calls.append(kind)
        fault = self.faults[kind].popleft() if self.faults[kind] else self.plan(kind)
        if fault in BEFORE:
            return broken(fault)
        signed = not kind.startswith("v1")
        fields = self._v2(kind, form) if signed else self._v1(kind, form)
        if fault is not None and fault not in (Fault.WRONG_SIGNATURE_AFTER, Fault.UNSIGNED_AFTER, Fault.STALE_AFTER):
            return broken(fault)
        return self._reply(kind, self.change(kind, fields), fault, signed=signed)

    def _reply(self, kind: str, fields: dict[str, object], fault: Fault | None, *, signed: bool) -> Reply:
        if signed and fields.pop("signable", True):
            late = timedelta(minutes=6) if fault is Fault.STALE_AFTER else timedelta(0)
            fields = {"timestamp": str(int((self.now() - late).timestamp())), "sign_type": "RSA"} | fields
            fields.setdefault("sign", platform_signature(fields, self.encoding.removesuffix("-sig")))
            if fault is Fault.UNSIGNED_AFTER:
                del fields["sign"]
            elif fault is Fault.WRONG_SIGNATURE_AFTER:
                fields["sign"] = platform_signature(fields | {"money": "0.01"})
        if self.numbers_as_text:
            fields = {name: str(value) for name, value in fields.items()}
        return Reply(200, {"content-type": "text/html"}, json.dumps(fields, ensure_ascii=False).encode(self.encoding))

    def _v1(self, kind: str, form: Mapping[str, str]) -> dict[str, object]:
        if form.get("pid") != PID or form.get("key") != KEY:
            return {"code": -3, "msg": "商户密钥错误"}
        order = self.orders.get(form.get("out_trade_no", ""))
        if order is None:
            return {"code": -1, "msg": "订单号不存在"}
        if kind == "v1/order":
            return {"code": 1, "msg": "succ"} | self._shown(order, told=self.tells_refunded)
        made = self._pay_or_refuse(order, _fen(form["money"]), "")
        if isinstance(made, str):
            return {"code": -1, "msg": made}
        return {"code": self.acknowledges_with, "msg": "退款成功！", "money": form["money"]}

    def _v2(self, kind: str, form: Mapping[str, str]) -> dict[str, object]:
        refusal = self._request_refused(form)
        if refusal is not None:
            return refusal
        if kind == "v2/refundquery":
            return self._record(form["out_refund_no"])
        order = self.orders.get(form["out_trade_no"])
        if order is None:
            return _error("订单号不存在")
        if kind == "v2/query":
            return {"code": 0} | self._shown(order, told=True)
        return self._refund_by_number(order, form)

    def _request_refused(self, form: Mapping[str, str]) -> dict[str, object] | None:
        if form["pid"] != PID or abs(int(form["timestamp"]) - self.now().timestamp()) > 300:
            return _error("时间戳字段不正确，请检查服务器时间", -3)
        try:
            signature = base64.b64decode(form["sign"])
            key = merchant_key().public_key()
            key.verify(signature, text_to_sign(form).encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return _error("RSA签名校验失败", -3)
        return None

    def _refund_by_number(self, order: Order, form: Mapping[str, str]) -> dict[str, object]:
        number, amount = form["out_refund_no"], _fen(form["money"])
        known = None if self.ignores_numbers else self._known(number)
        if known is not None and (known[0] is not order or known[1].amount != amount):
            return {"code": -1, "msg": "退款单号已用于不同请求"}
        made = known[1] if known else self._pay_or_refuse(order, amount, number)
        if isinstance(made, str):
            return {"code": -1, "msg": made}
        return {"code": 0, "msg": "退款成功！", "money": _yuan(made.amount)} | {
            "refund_no": made.refund_no,
            "out_refund_no": number,
            "trade_no": order.trade_no,
        }

    def _record(self, number: str) -> dict[str, object]:
        known = None if self.ignores_numbers else self._known(number)
        if known is None:
            return _error("退款记录不存在")
        order, made = known
        shown = self._is_shown(made)
        return {
            "code": 0,
            "refund_no": made.refund_no,
            "out_refund_no": number,
            "trade_no": order.trade_no,
            "out_trade_no": order.out_trade_no,
            "uid": 1001,
            "money": _yuan(made.amount),
            "status": 1 if shown else 0,
            "addtime": f"{made.at.astimezone(_SHANGHAI):%Y-%m-%d %H:%M:%S}",
            "endtime": f"{made.at.astimezone(_SHANGHAI):%Y-%m-%d %H:%M:%S}" if shown else "",
        }

    def _shown(self, order: Order, *, told: bool) -> dict[str, object]:
        refunded = sum(made.amount for made in order.made if self._is_shown(made))
        shown: dict[str, object] = {
            "trade_no": order.trade_no,
            "out_trade_no": order.out_trade_no,
            "type": "alipay",
            "pid": int(PID),
            "name": "月卡",
            "money": _yuan(order.money),
            "status": 2 if refunded else order.status,
        }
        return shown | {"refundmoney": _yuan(refunded)} if told else shown

    def _is_shown(self, made: Made) -> bool:
        return self.now() >= made.at + self.shows_after

    def _known(self, number: str) -> tuple[Order, Made] | None:
        found = [(order, made) for order in self.orders.values() for made in order.made if made.out_refund_no == number]
        return found[0] if found else None

    def _pay_or_refuse(self, order: Order, amount: int, number: str) -> Made | str:
        if order.status not in (1, 3):
            return "该订单状态不支持退款！"
        if amount > self.balance:
            return "商户余额不足，请先充值"
        return self._pay(order, amount, number) or "退款金额不能超过剩余可退款金额"

    def _pay(self, order: Order, amount: int, number: str) -> Made | None:
        if amount + sum(made.amount for made in order.made) > order.money + order.surcharge:
            return None
        at = self.now().replace(microsecond=0)
        order.made.append(Made(f"R{order.trade_no}{len(order.made)}", number, amount, at))
        self.balance -= amount
        return order.made[-1]

    def notice(self, out_trade_no: str, *, key: str = KEY, method: str = "GET", **changed: str) -> Notice:
        """A V1 notice about a payment, rightly signed unless `key` is another."""
        fields = self._notice_fields(out_trade_no) | changed
        sign = hashlib.md5((text_to_sign(fields) + key).encode()).hexdigest()
        return _notice({"sign_type": "MD5", "sign": sign} | fields, method)

    def signed_notice(self, out_trade_no: str, *, method: str = "GET", **changed: str) -> Notice:
        """The same of V2."""
        fields = self._notice_fields(out_trade_no) | {"timestamp": str(int(self.now().timestamp()))} | changed
        return _notice({"sign_type": "RSA", "sign": platform_signature(fields)} | fields, method)

    def _notice_fields(self, out_trade_no: str) -> dict[str, str]:
        order = self.orders.get(out_trade_no, Order(out_trade_no, "2026010100000000000", 100))
        return {
            "pid": PID,
            "trade_no": order.trade_no,
            "out_trade_no": out_trade_no,
            "type": "alipay",
            "name": "月卡",
            "money": _yuan(order.money),
            "trade_status": "TRADE_SUCCESS",
        }


def _notice(fields: dict[str, str], method: str) -> Notice:
    if method == "GET":
        return Notice("GET", {}, fields, b"")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Notice(method, headers, {}, urlencode(fields).encode())


def _asked(request: Request) -> tuple[str, dict[str, str]]:
    """`v1/order`, `v1/refund`, `v2/query`, `v2/refund`, `v2/refundquery`; whatever else is asked is a bug of ours."""
    parts = urlsplit(request.url)
    query, form = dict(parse_qsl(parts.query)), dict(parse_qsl(request.body.decode()))
    match request.method, parts.path, query.get("act"):
        case "GET", "/api.php", "order":
            return "v1/order", query
        case "POST", "/api.php", "refund":
            return "v1/refund", form
        case "POST", "/api/pay/query" | "/api/pay/refund" | "/api/pay/refundquery", None:
            return f"v2/{parts.path.rsplit('/', 1)[1]}", form
    raise AssertionError(request.method, parts.path)


def _error(message: str, code: int = -1) -> dict[str, object]:
    """Errors are not signed."""
    return {"code": code, "msg": message, "signable": False}


def _fen(text: str) -> int:
    whole, _, part = text.partition(".")
    assert len(part) == 2
    return int(whole) * 100 + int(part)


def _yuan(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02d}"
