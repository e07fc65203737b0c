"""交易账单 of 微信支付: the refunds of a day, in a table of its own making.

A head, lines whose every field begins with a backquote, and two lines of totals; yuan, and the time of Shanghai.
Sources: pay.weixin.qq.com/doc/v3/merchant/4012556654 (申请交易账单) and
pay.weixin.qq.com/docs/partner/apis/combine-payment-identity/bill-download/download-fund-bill.html (下载账单).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

from app.outbound.channels.said import FoundRefund
from app.outbound.channels.wechat_pay.reading import NUMBER, read_object, text_at
from app.rules.settlement import RefundState

SHANGHAI: Final = timezone(timedelta(hours=8))
# 「微信支付在每日10点后生成昨日交易账单文件」
READY_AT: Final = time(10, tzinfo=SHANGHAI)
DAYS: Final = timedelta(days=1)
TARGET: Final = "/v3/bill/tradebill?bill_date={day}&bill_type=REFUND"
# Only the path and the query of the address are taken, so that a signed request goes nowhere but to the base URL.
DOWNLOAD: Final = re.compile(r"https?://[A-Za-z0-9.:-]+(/v3/bill[A-Za-z0-9/_-]*\?[A-Za-z0-9._~%=&+/-]{1,1500})")
SHA1: Final = re.compile(r"[0-9a-fA-F]{40}")
YUAN: Final = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,2}))?")
READ: Final = frozenset({"商户订单号", "微信退款单号", "商户退款单号", "退款金额", "退款成功时间", "退款状态"})
TEXTS_FROM: Final = "商品名称"
TOTALS: Final = "总"
# A state that is none of these may yet take money: it counts as under way.
BILL_STATES: Final = {
    "SUCCESS": RefundState.SUCCEEDED,
    "PROCESSING": RefundState.PROCESSING,
    "FAIL": RefundState.FAILED,
    "ABNORMAL": RefundState.ABNORMAL,
    "CHANGE": RefundState.ABNORMAL,
    "CLOSED": RefundState.CLOSED,
    "REFUNDCLOSE": RefundState.CLOSED,
}


def ready_at(day: date) -> datetime:
    """When a day's bill can be had."""
    return datetime.combine(day + DAYS, READY_AT)


def read_address(body: bytes) -> tuple[str, str]:
    """Where the bill lies (path and query) and its SHA-1; raises ValueError."""
    document = read_object(body)
    found, digest = DOWNLOAD.fullmatch(text_at(document, "download_url")), text_at(document, "hash_value")
    if found is None or text_at(document, "hash_type") != "SHA1" or not SHA1.fullmatch(digest):
        raise ValueError("not the address of a bill")
    return found[1], digest.lower()


def is_whole(bill: bytes, digest: str) -> bool:
    """Whether this is the bill that the signed answer described; the download itself is not signed."""
    return hmac.compare_digest(hashlib.sha1(bill, usedforsecurity=False).hexdigest(), digest)


def read_bill(bill: bytes) -> tuple[tuple[str, FoundRefund], ...]:
    """The refunds, each with its payment; raises ValueError."""
    head, *lines = bill.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    columns = {name.strip(): place for place, name in enumerate(head.split(","))}
    if READ - columns.keys():
        raise ValueError("not a bill of refunds")
    return tuple(_found(_fields(line, columns)) for line in lines[: _totals(lines)])


def _totals(lines: list[str]) -> int:
    """Where the head of the totals stands, the first line without a backquote; a bill cut short has none."""
    place = next((place for place, line in enumerate(lines) if not line.startswith("`")), len(lines))
    if place == len(lines) or not lines[place].startswith(TOTALS):
        raise ValueError("a bill without totals")
    return place


def _fields(line: str, columns: Mapping[str, int]) -> Mapping[str, str]:
    """By name. What a shop wrote into its goods' names may hold commas and backquotes, so that what stands behind
    them is counted from the end."""
    fields = line.removeprefix("`").split(",`")
    if len(fields) < len(columns):
        raise ValueError("a line too short")
    texts = columns[TEXTS_FROM] if TEXTS_FROM in columns else len(columns)
    return {name: fields[place if place < texts else place - len(columns)] for name, place in columns.items()}


def _found(row: Mapping[str, str]) -> tuple[str, FoundRefund]:
    # 申请退款金额 is what was asked for; 退款金额 is less by vouchers that nobody gets back.
    amount = row["申请退款金额"] if "申请退款金额" in row else row["退款金额"]
    success = row["退款成功时间"].strip()
    refund = FoundRefund(
        channel_refund_no=_number(row["微信退款单号"]),
        refund_no=None if row["商户退款单号"].strip() in {"", "0"} else _number(row["商户退款单号"]),
        amount=_fen(amount),
        state=BILL_STATES.get(row["退款状态"].strip(), RefundState.PROCESSING),
        at=_moment(success) if success else None,
    )
    return _number(row["商户订单号"]), refund


def _number(text: str) -> str:
    if not NUMBER.fullmatch(text.strip()):
        raise ValueError("not a number")
    return text.strip()


def _fen(text: str) -> int:
    parts = YUAN.fullmatch(text.strip())
    if parts is None:
        raise ValueError("not an amount")
    return int(parts[1]) * 100 + int((parts[2] or "").ljust(2, "0"))


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI).astimezone(UTC)
