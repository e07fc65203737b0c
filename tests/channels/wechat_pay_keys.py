"""The keys of a fake 微信支付 and of its merchant, and the rules by which both sign and hide."""

import base64
from datetime import datetime
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MCH_ID = "1900000109"
MERCHANT_SERIAL = "1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C"
PUBLIC_KEY_SERIAL = "PUB_KEY_ID_0119000001092024111100000000000001"
CERTIFICATE_SERIAL = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
API_V3_KEY = "an-api-v3-key-of-32-ascii-bytes!"
ASSOCIATED = "refund"


@cache
def rsa_key(owner: str) -> rsa.RSAPrivateKey:
    """A key for each owner, made once a run."""
    assert owner
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(owner: str) -> str:
    """PKCS#8, as `apiclient_key.pem` is."""
    return (
        rsa_key(owner)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def public_pem(owner: str) -> str:
    """As `pub_key.pem` is."""
    key = rsa_key(owner).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def credentials_document() -> dict[str, object]:
    """What a shop enters for this gateway."""
    return {
        "mch_id": MCH_ID,
        "certificate_serial": MERCHANT_SERIAL,
        "private_key": private_pem("merchant"),
        "api_v3_key": API_V3_KEY,
        "platform_keys": {
            PUBLIC_KEY_SERIAL: public_pem(PUBLIC_KEY_SERIAL),
            CERTIFICATE_SERIAL: public_pem(CERTIFICATE_SERIAL),
        },
    }


def signature(owner: str, text: bytes) -> str:
    return base64.b64encode(rsa_key(owner).sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def is_signed(owner: str, text: bytes, signed: str) -> bool:
    try:
        rsa_key(owner).public_key().verify(base64.b64decode(signed), text, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def signed_headers(body: bytes, at: datetime, *, serial: str = PUBLIC_KEY_SERIAL, owner: str = "") -> dict[str, str]:
    """The headers over an answer or a notice; `owner`: whose key it really is."""
    seconds, nonce = str(int(at.timestamp())), f"n{at.timestamp():.0f}x{len(body)}"
    return {
        "content-type": "application/json",
        "request-id": f"08{seconds}",
        "wechatpay-timestamp": seconds,
        "wechatpay-nonce": nonce,
        "wechatpay-signature": signature(owner or serial, f"{seconds}\n{nonce}\n".encode() + body + b"\n"),
        "wechatpay-signature-type": "WECHATPAY2-SHA256-RSA2048",
        "wechatpay-serial": serial,
    }


def hidden(
    plain: bytes, nonce: str = "fdasflkja484", key: str = API_V3_KEY, associated: str = ASSOCIATED
) -> dict[str, str]:
    """The `resource` of a notice."""
    ciphertext = AESGCM(key.encode()).encrypt(nonce.encode(), plain, associated.encode())
    return {
        "original_type": "refund",
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "associated_data": associated,
        "nonce": nonce,
    }
