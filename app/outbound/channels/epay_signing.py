"""How 易支付 signs: V1 with MD5 and a shared key, V2 with SHA256withRSA. Both over the same text."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

_UNSIGNED: Final = frozenset({"sign", "sign_type"})


def signed_text(fields: Mapping[str, str]) -> str:
    """What is signed: the fields that are not blank, by name, as `a=1&b=2`, nothing escaped."""
    kept = sorted((name, value) for name, value in fields.items() if name not in _UNSIGNED and value.strip())
    return "&".join(f"{name}={value}" for name, value in kept)


def md5_signature(fields: Mapping[str, str], key: str) -> str:
    """Lower-case hex; the key follows the text without a separator."""
    return hashlib.md5((signed_text(fields) + key).encode(), usedforsecurity=False).hexdigest()


def md5_holds(fields: Mapping[str, str], key: str) -> bool:
    """Whether `sign` is right; in constant time, since the key could be guessed at otherwise."""
    given = fields.get("sign", "").lower().encode()
    return hmac.compare_digest(given, md5_signature(fields, key).encode())


def rsa_signature(fields: Mapping[str, str], key: RSAPrivateKey) -> str:
    """SHA256withRSA, in base64."""
    return base64.b64encode(key.sign(signed_text(fields).encode(), PKCS1v15(), SHA256())).decode()


def rsa_holds(fields: Mapping[str, str], key: RSAPublicKey, encoding: str = "utf-8") -> bool:
    """Whether `sign` is right for the text in the encoding that it came in."""
    try:
        signature = base64.b64decode(fields.get("sign", ""), validate=True)
        key.verify(signature, signed_text(fields).encode(encoding), PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
