"""退款结果通知: a notice is proof once its signature holds and its resource opens with our key.

Source: pay.weixin.qq.com/doc/v3/merchant/4012082053.
"""

from datetime import datetime
from typing import Final

from app.outbound.channels.exchange import Reply
from app.outbound.channels.said import Notice, NoticeRefused, Proof
from app.outbound.channels.wechat_pay.credentials import WechatPayCredentials
from app.outbound.channels.wechat_pay.reading import (
    STATES,
    moment,
    number_at,
    object_at,
    read_object,
    read_told,
    text_at,
)
from app.outbound.channels.wechat_pay.signing import BAD_SIGNATURE, UNSIGNED, opened, signature_fault

NOTICE_BYTES: Final = 64 * 1024
# What ends or stops a refund; nothing is ever notified of one still under way.
EVENTS: Final = {f"REFUND.{word}": word for word in ("SUCCESS", "ABNORMAL", "CLOSED")}
ALGORITHM: Final = "AEAD_AES_256_GCM"
TAKEN: Final = Reply(204)
# Anything but 200 and 204 is sent again, with pauses, over a day.
REFUSED: Final = Reply(401, {"content-type": "application/json"}, '{"code":"FAIL","message":"失败"}'.encode())


def read_proof(credentials: WechatPayCredentials, notice: Notice, now: datetime) -> Proof:
    """What a notice proves; raises NoticeRefused for everything that does not."""
    if notice.method != "POST":
        raise NoticeRefused("wrong_method")
    if len(notice.body) > NOTICE_BYTES:
        raise NoticeRefused("too_large")
    fault = signature_fault(notice.headers, notice.body, keys=credentials.platform_keys, now=now)
    if fault is not None:
        raise NoticeRefused(BAD_SIGNATURE if fault == UNSIGNED else fault)
    try:
        return _proof(credentials, notice.body)
    except ValueError:
        raise NoticeRefused("malformed") from None


def _proof(credentials: WechatPayCredentials, body: bytes) -> Proof:
    document = read_object(body)
    word = EVENTS.get(text_at(document, "event_type"))
    if word is None:
        raise NoticeRefused("other_event")
    refund = _resource(credentials, document)
    if text_at(refund, "mchid") != credentials.mch_id:
        raise NoticeRefused("other_merchant")
    if text_at(refund, "refund_status") != word:
        raise NoticeRefused("contradictory")
    at = moment(text_at(document, "create_time"))
    told = read_told(refund, STATES[word], at)
    return Proof(number_at(refund, "out_refund_no"), number_at(refund, "out_trade_no"), told)


def _resource(credentials: WechatPayCredentials, document: dict[str, object]) -> dict[str, object]:
    resource = object_at(document, "resource")
    if text_at(resource, "algorithm") != ALGORITHM:
        raise NoticeRefused("other_algorithm")
    nonce, ciphertext = text_at(resource, "nonce"), text_at(resource, "ciphertext")
    associated = text_at(resource, "associated_data") if "associated_data" in resource else ""
    try:
        plain = opened(credentials.api_v3_key, nonce=nonce, associated=associated, ciphertext=ciphertext)
    except ValueError:
        raise NoticeRefused("undecryptable") from None
    return read_object(plain)
