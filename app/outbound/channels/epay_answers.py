"""What a 易支付 aggregator answers, read strictly: whatever is odd is Unclear, and never a state.

Source: the answers of 彩虹易支付 `api.php` (act=order, act=refund) and `/api/pay/query|refund|refundquery`. Its kin
differ in spelling: numbers as numbers or as text, a BOM, GBK, HTML pages with status 200.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Never

from app.outbound.channels.exchange import Reply
from app.outbound.channels.said import Unclear
from app.outbound.channels.yuan import fen
from app.rules.settlement import Failure, FailureCode

_INTEGER: Final = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_LONGEST_MESSAGE: Final = 200
# Looked for in this order in a refusal; the aggregators have no codes for them.
_REASONS: Final = (
    (FailureCode.INSUFFICIENT_BALANCE, ("余额不足", "可用余额")),
    (FailureCode.TOO_LATE, ("超过退款期限", "退款期限", "已过期", "超过一年")),
    (FailureCode.ACCOUNT_GONE, ("账户已注销", "账号已注销", "用户已注销")),
)
# A refusal in these words says that money went back, or may be on its way.
_MONEY_MAY_MOVE: Final = (
    "已退款",
    "已全额",
    "重复",
    "处理中",
    "待核对",
    "未确认",
    "超过剩余",
    "超出",
    "不能大于",
    "不能超过",
)


class OrderStatus(StrEnum):
    """订单状态, as V1 and V2 number it."""

    UNPAID = "0"
    PAID = "1"
    REFUNDED = "2"
    FROZEN = "3"
    AUTHORISED = "4"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's plain fields, each as it was written: a signature is over the digits, not over the number."""

    fields: Mapping[str, str]
    encoding: str

    @property
    def code(self) -> str:
        """`0`, `1`, `-1`…; the reader has seen to it that it is there."""
        return self.fields["code"]

    @property
    def message(self) -> str:
        """The channel's words, cut to what a record may carry."""
        words = "".join(letter if letter.isprintable() else " " for letter in self.fields.get("msg", ""))
        return words.strip()[:_LONGEST_MESSAGE]


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """An order at the aggregator; `went_back`: fen, None where it says that money went back, but not how much."""

    status: OrderStatus
    went_back: int | None


class _Garbled(ValueError):
    pass


def read_answer(reply: Reply) -> Answer | Unclear:
    """An answer that is JSON and has a code, whatever the code says."""
    if reply.status == 429:
        return Unclear("rate_limited", timedelta(minutes=1))
    if reply.status != 200:
        return Unclear(f"http_{reply.status}")
    try:
        text, encoding = _decoded(reply.body)
        document = json.loads(
            text, parse_int=str, parse_float=str, parse_constant=_refused, object_pairs_hook=_without_doubles
        )
    except (ValueError, RecursionError):
        return Unclear("garbled")
    if not isinstance(document, dict):
        return Unclear("garbled")
    fields = {name: plain for name, value in document.items() if (plain := _as_text(value)) is not None}
    return Answer(fields, encoding) if _INTEGER.fullmatch(fields.get("code", "")) else Unclear("odd_code")


def read_order(answer: Answer, *, pid: str, payment_no: str, payment_amount: int) -> OrderSeen | Unclear:
    """The order that was asked about, and no other."""
    fields = answer.fields
    if fields.get("out_trade_no") != payment_no:
        return Unclear("other_order")
    if fields.get("pid") != pid:
        return Unclear("other_merchant")
    if fen(fields.get("money", "")) != payment_amount:
        return Unclear("other_amount")
    try:
        status = OrderStatus(fields.get("status", ""))
    except ValueError:
        return Unclear("odd_status")
    return _order(status, fields.get("refundmoney", ""), payment_amount)


def _order(status: OrderStatus, refunded: str, payment_amount: int) -> OrderSeen | Unclear:
    back = fen(refunded) if refunded.strip() else 0
    # A payer may have paid a little more than the order's amount (a surcharge), and gets that back too.
    if back is None or back > 2 * payment_amount:
        return Unclear("odd_amount")
    if status is OrderStatus.UNPAID and back:
        return Unclear("odd_status")
    if status is OrderStatus.REFUNDED and not back:
        return OrderSeen(status, None)
    return OrderSeen(status, back)


def failure_of(answer: Answer) -> Failure:
    """Why an aggregator refuses, as far as its words tell."""
    message = answer.message
    code = next((code for code, words in _REASONS if any(word in message for word in words)), FailureCode.REJECTED)
    return Failure(code, message)


def money_may_move(answer: Answer) -> bool:
    """Whether a refusal's words leave open that this very refund was made, or is being made."""
    return any(word in answer.message for word in _MONEY_MAY_MOVE)


def _decoded(body: bytes) -> tuple[str, str]:
    try:
        return body.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        return body.decode("gb18030"), "gb18030"


def _refused(constant: str) -> Never:
    raise _Garbled(constant)


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A name given twice can mean two things to two readers."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Garbled
    return found


def _as_text(value: object) -> str | None:
    """As PHP writes a value into the text that it signs; lists and objects are left out there."""
    if isinstance(value, bool):
        return "1" if value else ""
    return value if isinstance(value, str) else None
