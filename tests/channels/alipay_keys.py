"""Keys and signatures of a shop, of Alipay, and of a stranger; made here, and good nowhere else."""

import base64
from collections.abc import Mapping
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

APP_ID = "2021000000000001"


@cache
def rsa_key(owner: str) -> rsa.RSAPrivateKey:
    """A key for each owner, made once a run; making one takes a while."""
    assert owner
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def sha256_rsa(owner: str, content: bytes) -> str:
    """The signature of `owner`."""
    return base64.b64encode(rsa_key(owner).sign(content, padding.PKCS1v15(), hashes.SHA256())).decode()


def verified(owner: str, content: bytes, signature: str) -> bool:
    """Whether `owner` signed these bytes."""
    try:
        rsa_key(owner).public_key().verify(
            base64.b64decode(signature, validate=True), content, padding.PKCS1v15(), hashes.SHA256()
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def private_text(owner: str) -> str:
    """The bare base64 of PKCS#8 that Alipay's key tool shows."""
    der = rsa_key(owner).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return base64.b64encode(der).decode()


def public_text(owner: str) -> str:
    """The bare base64 that the open platform shows."""
    der = (
        rsa_key(owner)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return base64.b64encode(der).decode()


def credentials_document() -> dict[str, object]:
    """What a shop enters for this gateway."""
    return {"app_id": APP_ID, "private_key": private_text("merchant"), "alipay_public_key": public_text("alipay")}


def joined(fields: Mapping[str, str]) -> bytes:
    """The text that a signature over a form is of."""
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields)).encode()
