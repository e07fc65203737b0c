"""What answers of 微信支付 to a refund and to a query mean, and which of them are believed.

Sources: pay.weixin.qq.com/doc/v3/merchant/4012587971 (refund), /4012556562 (query), "应答参数" and "错误码".
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.outbound.channels.exchange import Reply
from app.outbound.channels.said import Instruction, Said, Told, Unclear, Unknown
from app.outbound.channels.wechat_pay.reading import STATES, number_at, read_object, read_told, text_at
from app.outbound.channels.wechat_pay.signing import BAD_SIGNATURE, UNSIGNED, signature_fault
from app.rules.settlement import Failure, FailureCode, RefundState

MALFORMED: Final = "malformed_answer"
NOT_FOUND: Final = "RESOURCE_NOT_EXISTS"
# What refuses a refund for now. The number stays good, since the documentation asks to retry under the same one;
# everything else that is not 200 leaves the refund where it was: a wrong key or a rate limit says nothing about it.
REFUSALS: Final = {
    "NOT_ENOUGH": FailureCode.INSUFFICIENT_BALANCE,
    "USER_ACCOUNT_ABNORMAL": FailureCode.ACCOUNT_GONE,
    "INVALID_REQUEST": FailureCode.REJECTED,
    "PARAM_ERROR": FailureCode.REJECTED,
    NOT_FOUND: FailureCode.REJECTED,
}
# 「频率限制，1个月之前的订单请降低申请频率再重试」: said of old orders in the message alone, whatever the code.
FREQUENCY: Final = "频率限制"
ERROR_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
SECONDS: Final = re.compile(r"[0-9]{1,9}")
LONGEST_WAIT: Final = timedelta(days=1)
MESSAGE_CHARACTERS: Final = 200


def doubt(reply: Reply, *, keys: Mapping[str, RSAPublicKey], now: datetime) -> Unclear | None:
    """Why an answer is not believed; None for one to be read.

    What stands before WeChat Pay (a proxy, a limiter) cannot sign, nor does 401: unsigned, these say that it did not
    work, and no more. Unsigned success is forged.
    """
    fault = signature_fault(reply.headers, reply.body, keys=keys, now=now)
    if fault == UNSIGNED and (reply.status >= 500 or reply.status in {401, 429}):
        return unclear(reply)
    return None if fault is None else Unclear(BAD_SIGNATURE if fault == UNSIGNED else fault)


def read_submitted(reply: Reply, instruction: Instruction) -> Said:
    """What was said to the instruction."""
    if reply.status == 200:
        return _told(reply, instruction)
    code, message = _error(reply)
    failure = REFUSALS.get(code)
    if failure is None or reply.status >= 500 or reply.status == 429 or FREQUENCY in message:
        return unclear(reply)
    return Told(RefundState.FAILED, failure=Failure(failure, f"{code}: {message}"[:MESSAGE_CHARACTERS]))


def read_queried(reply: Reply, instruction: Instruction) -> Said:
    """What was said to the question: only that there is no such refund is an error that answers it."""
    if reply.status == 200:
        return _told(reply, instruction)
    if reply.status == 404 and _error(reply)[0] == NOT_FOUND:
        return Unknown()
    return unclear(reply)


def unclear(reply: Reply) -> Unclear:
    """An error that answers nothing, under the channel's own code for it."""
    code, _ = _error(reply)
    wait = reply.headers.get("retry-after", "")
    return Unclear(
        code.lower() or f"http_{reply.status}",
        min(timedelta(seconds=int(wait)), LONGEST_WAIT) if SECONDS.fullmatch(wait) else None,
    )


def _told(reply: Reply, instruction: Instruction) -> Told | Unclear:
    try:
        document = read_object(reply.body)
        state = STATES[text_at(document, "status")]
        if number_at(document, "out_refund_no") != instruction.refund_no:
            return Unclear("another_refund")
        if number_at(document, "out_trade_no") != instruction.payment_no:
            return Unclear("another_payment")
        return read_told(document, state, None)
    except (ValueError, KeyError):
        return Unclear(MALFORMED)


def _error(reply: Reply) -> tuple[str, str]:
    """Code and message, as far as they can be read; empty otherwise."""
    try:
        document = read_object(reply.body)
        code, message = text_at(document, "code"), text_at(document, "message")
    except ValueError:
        return "", ""
    printable = "".join(character for character in message if character.isprintable())
    return (code, printable) if ERROR_CODE.fullmatch(code) else ("", printable)
