"""What Alipay's refusals mean for a refund.

Source: alipay.trade.refund, 业务错误码, and 公共错误码. No refusal closes a refund: a call that failed may be repeated
under its number at any time ("一笔退款失败后重新提交，要保证重试时退款请求号不能变更"), so that it can always still
pay. Nor is any of them `abnormal`: after a refusal nothing is under way that could
succeed by itself.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from app.outbound.channels.said import Told, Unclear
from app.rules.settlement import Failure, FailureCode, RefundState

ASK_AGAIN_LATER: Final = timedelta(minutes=1)
_CALL_LIMITED: Final = "40005"
_LIMITED: Final = frozenset(
    {"isv.app-call-limited", "isv.method-call-limited", "app-call-limited", "method-call-limited"}
)
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_LONGEST_MESSAGE: Final = 200

FAILURES: Final[Mapping[str, FailureCode]] = MappingProxyType(
    {
        "ACQ.SELLER_BALANCE_NOT_ENOUGH": FailureCode.INSUFFICIENT_BALANCE,
        "ACQ.TRADE_HAS_FINISHED": FailureCode.TOO_LATE,
        "ACQ.BUYER_NOT_EXIST": FailureCode.ACCOUNT_GONE,
        "ACQ.BUYER_ERROR": FailureCode.ACCOUNT_GONE,
        "ACQ.BUYER_ENABLE_STATUS_FORBID": FailureCode.ACCOUNT_GONE,
        "ACQ.CUSTOMER_VALIDATE_ERROR": FailureCode.ACCOUNT_GONE,
        "ACQ.TRADE_NOT_EXIST": FailureCode.REJECTED,
        "ACQ.TRADE_STATUS_ERROR": FailureCode.REJECTED,
        "ACQ.TRADE_HAS_CLOSE": FailureCode.REJECTED,
        "ACQ.TRADE_NOT_ALLOW_REFUND": FailureCode.REJECTED,
        "ACQ.REASON_TRADE_STATUS_INVALID": FailureCode.REJECTED,
        "ACQ.REASON_TRADE_BEEN_FREEZEN": FailureCode.REJECTED,
        "ACQ.REASON_TRADE_REFUND_FEE_ERR": FailureCode.REJECTED,
        "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": FailureCode.REJECTED,
        "ACQ.REFUND_FEE_ERROR": FailureCode.REJECTED,
        "ACQ.DISCORDANT_REPEAT_REQUEST": FailureCode.REJECTED,
        "ACQ.NOT_ALLOW_PARTIAL_REFUND": FailureCode.REJECTED,
        "ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND": FailureCode.REJECTED,
        "ACQ.CURRENCY_NOT_SUPPORT": FailureCode.REJECTED,
        "ACQ.USER_NOT_MATCH_ERR": FailureCode.REJECTED,
        "ACQ.REFUND_ACCOUNT_NOT_EXIST": FailureCode.OTHER,
        "ACQ.REFUNDALLOC_UNAUTH_LIMIT": FailureCode.OTHER,
        "ACQ.REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST": FailureCode.OTHER,
        "ACQ.ALLOC_AMOUNT_VALIDATE_ERROR": FailureCode.OTHER,
        "ACQ.ENTERPRISE_PAY_BIZ_ERROR": FailureCode.OTHER,
        "ACQ.TRADE_SETTLE_ERROR": FailureCode.OTHER,
        "ACQ.INVALID_PARAMETER": FailureCode.OTHER,
    }
)
# These are also said when an earlier call under the same number has paid, and nobody heard of it.
PERHAPS_PAID: Final = frozenset(
    {
        "ACQ.DISCORDANT_REPEAT_REQUEST",
        "ACQ.REASON_TRADE_REFUND_FEE_ERR",
        "ACQ.REASON_TRADE_STATUS_INVALID",
        "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
        "ACQ.REFUND_FEE_ERROR",
        "ACQ.TRADE_HAS_CLOSE",
        "ACQ.TRADE_HAS_FINISHED",
        "ACQ.TRADE_NOT_ALLOW_REFUND",
        "ACQ.TRADE_STATUS_ERROR",
    }
)


def plain_code(sub_code: str) -> str:
    """The sub code without the prefix that the gateway puts before some."""
    return sub_code.removeprefix("aop.") if sub_code.startswith("aop.ACQ.") else sub_code


def failure_of(sub_code: str, message: str | None) -> Told | None:
    """What a business refusal (40004) means for good; None where it means nothing yet, or is not documented."""
    code = FAILURES.get(plain_code(sub_code))
    if code is None:
        return None
    words = f"{plain_code(sub_code)} {message or ''}".strip()
    return Told(RefundState.FAILED, failure=Failure(code, words[:_LONGEST_MESSAGE]))


def unclear_of(code: str, sub_code: str) -> Unclear:
    """A refusal from which nothing follows, a fault in our settings (`isv.invalid-signature`) included."""
    if code == _CALL_LIMITED or sub_code in _LIMITED:
        return Unclear("rate_limited", ASK_AGAIN_LATER)
    named = plain_code(sub_code)
    if not _CODE.fullmatch(named):
        named = f"code_{code}" if code.isascii() and code.isdigit() and len(code) == 5 else "refused"
    return Unclear(re.sub(r"[._-]", "_", named).lower())
