"""Signatures of 微信支付 API v3, ours on requests and theirs on answers and notices, and what they encrypt.

Sources: pay.weixin.qq.com/doc/global/v3/zh/4012354982 (签名) and
pay.weixin.qq.com/docs/merchant/development/interface-rules/signature-verification.html (如何使用微信支付公钥验签).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from app.outbound.channels.wechat_pay.credentials import WechatPayCredentials

SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"
# Older than this, or further ahead, is a replay, whoever signed it.
WINDOW: Final = timedelta(minutes=5)
TIMESTAMP: Final = re.compile(r"[1-9][0-9]{0,10}")
NONCE: Final = re.compile(r"[!-~]{1,128}")
GCM_NONCE_BYTES: Final = 12
UNSIGNED: Final = "unsigned"
BAD_SIGNATURE: Final = "bad_signature"
STALE: Final = "stale_signature"


def authorization(
    credentials: WechatPayCredentials, *, method: str, target: str, body: bytes, now: datetime, nonce: str
) -> str:
    """The `Authorization` of a request; `target` is the path with its query, as it goes over the wire."""
    seconds = int(now.timestamp())
    signed = f"{method}\n{target}\n{seconds}\n{nonce}\n".encode() + body + b"\n"
    signature = base64.b64encode(credentials.private_key.sign(signed, PKCS1v15(), SHA256())).decode("ascii")
    return (
        f'{SCHEME} mchid="{credentials.mch_id}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{seconds}",serial_no="{credentials.certificate_serial}"'
    )


def signature_fault(
    headers: Mapping[str, str], body: bytes, *, keys: Mapping[str, RSAPublicKey], now: datetime
) -> str | None:
    """What is wrong with WeChat Pay's signature over an answer or a notice; None when it holds.

    `unsigned`, `bad_signature` (a probe that begins with `WECHATPAY/SIGNTEST/` is no exception), or
    `stale_signature`: rightly signed, but not within five minutes of now.
    """
    if "wechatpay-signature" not in headers:
        return UNSIGNED
    at = _signed_at(headers, body, keys)
    if at is None:
        return BAD_SIGNATURE
    return None if abs(now - at) <= WINDOW else STALE


def _signed_at(headers: Mapping[str, str], body: bytes, keys: Mapping[str, RSAPublicKey]) -> datetime | None:
    timestamp, nonce = headers.get("wechatpay-timestamp", ""), headers.get("wechatpay-nonce", "")
    key = keys.get(headers.get("wechatpay-serial", ""))
    if key is None or headers.get("wechatpay-signature-type", SCHEME) != SCHEME:
        return None
    if not TIMESTAMP.fullmatch(timestamp) or not NONCE.fullmatch(nonce):
        return None
    signed = f"{timestamp}\n{nonce}\n".encode("ascii") + body + b"\n"
    if not _verifies(key, headers["wechatpay-signature"], signed):
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(timestamp))


def _verifies(key: RSAPublicKey, signature: str, signed: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), signed, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def opened(key: bytes, *, nonce: str, associated: str, ciphertext: str) -> bytes:
    """What AEAD_AES_256_GCM hides, tag at the end of `ciphertext` (base64); raises ValueError."""
    iv = nonce.encode()
    if len(iv) != GCM_NONCE_BYTES:
        raise ValueError("a nonce is twelve bytes")
    try:
        return AESGCM(key).decrypt(iv, base64.b64decode(ciphertext, validate=True), associated.encode())
    except InvalidTag:
        raise ValueError("encrypted under another key") from None
