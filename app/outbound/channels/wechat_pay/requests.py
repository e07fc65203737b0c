"""The body of 申请退款. Source: pay.weixin.qq.com/doc/v3/merchant/4012587971, "请求参数"."""

import json
from collections.abc import Mapping
from typing import Final

from app.outbound.channels.said import Instruction

REASON_BYTES: Final = 80
NOTIFY_URL_CHARACTERS: Final = 256


def refund_body(instruction: Instruction) -> bytes:
    """What asks for a refund, as it is signed and sent."""
    document = {
        "out_trade_no": instruction.payment_no,
        "out_refund_no": instruction.refund_no,
        **_reason(instruction.reason_text),
        **_notify_url(instruction.notify_url),
        "amount": {
            "refund": instruction.amount,
            "total": instruction.payment_amount,
            "currency": instruction.currency,
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _reason(text: str) -> Mapping[str, str]:
    """At most 80 bytes of UTF-8, cut between characters."""
    cut = "".join(character for character in text if character.isprintable()).encode("utf-8")[:REASON_BYTES]
    reason = cut.decode("utf-8", errors="ignore").strip()
    return {"reason": reason} if reason else {}


def _notify_url(url: str | None) -> Mapping[str, str]:
    """Left out where WeChat Pay would refuse the whole refund for it: queries find the end too."""
    if url is None or len(url) > NOTIFY_URL_CHARACTERS or "?" in url:
        return {}
    return {"notify_url": url}
