"""RSA2: SHA-256 with RSA (PKCS#1 v1.5), in base64."""

import base64
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256


def signed_text(parameters: Iterable[tuple[str, str]]) -> str:
    """`a=1&b=2`, sorted by name, values as they are before any URL encoding."""
    return "&".join(f"{name}={value}" for name, value in sorted(parameters))


def sign(text: str, key: RSAPrivateKey) -> str:
    """The `sign` of a text in UTF-8."""
    return base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode("ascii")


def is_signed(content: bytes, signature: str, key: RSAPublicKey) -> bool:
    """Whether the holder of the key's other half signed exactly these bytes."""
    try:
        key.verify(base64.b64decode(signature, validate=True), content, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True
