"""What can go wrong between us and a fake 微信支付, one call at a time."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from app.outbound.channels.exchange import Reply, Unanswered
from tests.channels.wechat_pay_keys import signed_headers


class Fault(StrEnum):
    """With `_after`, the call takes effect before its answer is spoilt; the others come instead of it."""

    NONE = "none"
    TIME_OUT_BEFORE = "time_out_before"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    RATE_LIMITED = "rate_limited"
    OLD_ORDER_LIMITED = "old_order_limited"
    SIGN_ERROR = "sign_error"
    NO_AUTH = "no_auth"
    NOT_ENOUGH = "not_enough"
    FORGED_SUCCESS = "forged_success"
    FORGED_ABSENCE = "forged_absence"
    TIME_OUT_AFTER = "time_out_after"
    SERVER_ERROR_AFTER = "server_error_after"
    GARBAGE_AFTER = "garbage_after"
    TRUNCATED_AFTER = "truncated_after"
    WRONG_SIGNATURE_AFTER = "wrong_signature_after"
    SIGNTEST_AFTER = "signtest_after"
    UNSIGNED_AFTER = "unsigned_after"
    STALE_AFTER = "stale_after"
    UNKNOWN_SERIAL_AFTER = "unknown_serial_after"


PROBE = "WECHATPAY/SIGNTEST/"


def says(status: int, document: Mapping[str, object], at: datetime, **headers: str) -> Reply:
    """A signed answer."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return Reply(status, {**signed_headers(body, at), **headers}, body)


def error(status: int, code: str, message: str, at: datetime, **headers: str) -> Reply:
    return says(status, {"code": code, "message": message}, at, **headers)


def without_signature(reply: Reply) -> Reply:
    kept = {name: value for name, value in reply.headers.items() if not name.startswith("wechatpay-")}
    return Reply(reply.status, kept, reply.body)


ERRORS = {
    Fault.SERVER_ERROR: (500, "SYSTEM_ERROR", "系统超时"),
    Fault.RATE_LIMITED: (429, "FREQUENCY_LIMITED", "频率限制"),
    Fault.OLD_ORDER_LIMITED: (400, "INVALID_REQUEST", "频率限制，1个月之前的订单请降低申请频率再重试"),
    Fault.NO_AUTH: (403, "NO_AUTH", "没有退款权限"),
    Fault.NOT_ENOUGH: (403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起"),
}


def instead(fault: Fault, at: datetime, refund: Mapping[str, object]) -> Reply | None:
    """What comes in place of an answer; None where the call goes through. `refund`: what a forger would make of it."""
    if fault in ERRORS:
        status, code, message = ERRORS[fault]
        wait = {"retry-after": "30"} if fault is Fault.RATE_LIMITED else {}
        return error(status, code, message, at, **wait)
    match fault:
        case Fault.TIME_OUT_BEFORE:
            raise Unanswered("timed_out")
        case Fault.BAD_GATEWAY:
            return Reply(502, {"content-type": "text/html"}, b"<html>Bad Gateway</html>")
        case Fault.SIGN_ERROR:
            return without_signature(error(401, "SIGN_ERROR", "签名错误", at))
        case Fault.FORGED_SUCCESS:
            return _forged(says(200, {**refund, "status": "SUCCESS"}, at), at)
        case Fault.FORGED_ABSENCE:
            return _forged(error(404, "RESOURCE_NOT_EXISTS", "退款单不存在", at), at)
    return None


def spoilt(fault: Fault, reply: Reply, at: datetime) -> Reply:
    """What is left of an answer on its way back."""
    match fault:
        case Fault.TIME_OUT_AFTER:
            raise Unanswered("timed_out")
        case Fault.SERVER_ERROR_AFTER:
            return error(500, "SYSTEM_ERROR", "系统超时", at)
        case Fault.GARBAGE_AFTER:
            return Reply(reply.status, signed_headers(b"\xff{]", at), b"\xff{]")
        case Fault.TRUNCATED_AFTER:
            return Reply(reply.status, reply.headers, reply.body[: len(reply.body) // 2])
        case Fault.WRONG_SIGNATURE_AFTER:
            return _forged(reply, at)
        case Fault.SIGNTEST_AFTER:
            probe = PROBE + reply.headers.get("wechatpay-signature", "")
            return Reply(reply.status, {**reply.headers, "wechatpay-signature": probe}, reply.body)
        case Fault.UNSIGNED_AFTER:
            return without_signature(reply)
        case Fault.STALE_AFTER:
            return Reply(reply.status, signed_headers(reply.body, at - timedelta(minutes=6)), reply.body)
        case Fault.UNKNOWN_SERIAL_AFTER:
            unknown = signed_headers(reply.body, at, serial="PUB_KEY_ID_0000000000", owner="somebody else")
            return Reply(reply.status, unknown, reply.body)
    return reply


def _forged(reply: Reply, at: datetime) -> Reply:
    """Under the right serial number, with another's key."""
    return Reply(reply.status, signed_headers(reply.body, at, owner="somebody else"), reply.body)
