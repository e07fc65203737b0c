"""The account and the keys of a merchant and an aggregator, and signatures made by other code than the adapter's."""

import base64
from collections.abc import Mapping
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

URL = "https://pay.example.com"
PID = "1001"
KEY = "89unJUB8HZ54Hj7x4nUj56HN4nUzUJ8i"


@cache
def merchant_key() -> rsa.RSAPrivateKey:
    """The merchant's key pair, made once a run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def platform_key() -> rsa.RSAPrivateKey:
    """The aggregator's."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def v1_document() -> dict[str, str]:
    """Credentials as a site gives them."""
    return {"url": URL, "pid": PID, "version": "v1", "key": KEY}


def v2_document() -> dict[str, str]:
    """Bare base64, as merchant consoles show it."""
    private = merchant_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = platform_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "url": URL + "/",
        "pid": PID,
        "version": "v2",
        "private_key": base64.b64encode(private).decode(),
        "platform_public_key": base64.b64encode(public).decode(),
    }


def text_to_sign(fields: Mapping[str, object]) -> str:
    """`a=1&b=2` by name, without blanks and the signature itself."""
    names = [name for name in fields if name not in ("sign", "sign_type") and str(fields[name]).strip() != ""]
    return "&".join([name + "=" + str(fields[name]) for name in sorted(names)])


def platform_signature(fields: Mapping[str, object], encoding: str = "utf-8") -> str:
    """SHA256withRSA with the aggregator's key."""
    signed = text_to_sign(fields).encode(encoding)
    return base64.b64encode(platform_key().sign(signed, padding.PKCS1v15(), hashes.SHA256())).decode()
