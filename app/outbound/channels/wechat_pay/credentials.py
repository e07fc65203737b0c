"""What a merchant of 微信支付 holds: the number, the own key with its certificate's serial, and WeChat Pay's keys.

Keys are parsed once, when the credentials are read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from app.outbound.channels.credentials import CredentialsInvalid, text_field

API_V3_KEY_BYTES: Final = 32
LEAST_KEY_BITS: Final = 2048
MOST_PLATFORM_KEYS: Final = 16
PUBLIC_KEY_PREFIX: Final = "PUB_KEY_ID_"
MCH_ID: Final = re.compile(r"[0-9]{6,32}")
SERIAL: Final = re.compile(r"[0-9A-Fa-f]{8,64}")
PLATFORM_SERIAL: Final = re.compile(r"PUB_KEY_ID_[0-9A-Za-z]{1,64}|[0-9A-Fa-f]{8,64}")


@dataclass(frozen=True, slots=True)
class WechatPayCredentials:
    """One merchant account. `platform_keys`: by what `Wechatpay-Serial` says, `PUB_KEY_ID_…` or a certificate's."""

    mch_id: str
    certificate_serial: str
    private_key: RSAPrivateKey = field(repr=False)
    api_v3_key: bytes = field(repr=False)
    platform_keys: Mapping[str, RSAPublicKey] = field(repr=False)

    @property
    def identity(self) -> str:
        """What makes it this account and no other, whatever its keys are."""
        return self.mch_id

    def answering_serial(self) -> str | None:
        """The public key that answers are to be signed for; None where only certificates are known."""
        return next((serial for serial in self.platform_keys if serial.startswith(PUBLIC_KEY_PREFIX)), None)


def read_credentials(document: Mapping[str, object]) -> WechatPayCredentials:
    """`{mch_id, certificate_serial, private_key, api_v3_key, platform_keys: {serial: PEM}}`; CredentialsInvalid."""
    return WechatPayCredentials(
        mch_id=_matching(document, "mch_id", MCH_ID),
        certificate_serial=_matching(document, "certificate_serial", SERIAL).upper(),
        private_key=_private_key(text_field(document, "private_key")),
        api_v3_key=_api_v3_key(text_field(document, "api_v3_key")),
        platform_keys=_platform_keys(document.get("platform_keys")),
    )


def _matching(document: Mapping[str, object], name: str, pattern: re.Pattern[str]) -> str:
    value = text_field(document, name)
    if not pattern.fullmatch(value):
        raise CredentialsInvalid(name, en="This has another form.", zh="格式不正确。")
    return value


def _api_v3_key(text: str) -> bytes:
    if not text.isascii() or len(text) != API_V3_KEY_BYTES:
        raise CredentialsInvalid(
            "api_v3_key", en="An APIv3 key is 32 letters and digits.", zh="APIv3 密钥为 32 位字母和数字。"
        )
    return text.encode("ascii")


def _private_key(pem: str) -> RSAPrivateKey:
    # TypeError: the key is locked with a password.
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unreadable("private_key") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < LEAST_KEY_BITS:
        raise _unreadable("private_key")
    return key


def _platform_keys(value: object) -> Mapping[str, RSAPublicKey]:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= MOST_PLATFORM_KEYS:
        raise CredentialsInvalid(
            "platform_keys",
            en="At least one WeChat Pay public key is needed, under its id or serial number.",
            zh="至少需要一个微信支付公钥或平台证书，以公钥 ID 或证书序列号为键。",
        )
    return dict(_platform_key(serial, pem) for serial, pem in value.items())


def _platform_key(serial: object, pem: object) -> tuple[str, RSAPublicKey]:
    if not isinstance(serial, str) or not isinstance(pem, str) or not PLATFORM_SERIAL.fullmatch(serial):
        raise _unreadable("platform_keys")
    try:
        key = _public_key(serial, pem.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise _unreadable("platform_keys") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_KEY_BITS:
        raise _unreadable("platform_keys")
    return serial if serial.startswith(PUBLIC_KEY_PREFIX) else serial.upper(), key


def _public_key(serial: str, pem: bytes) -> object:
    """A bare public key, or the one in a certificate, whose serial number must then be this one."""
    if b"BEGIN CERTIFICATE" not in pem:
        return load_pem_public_key(pem)
    certificate = load_pem_x509_certificate(pem)
    if certificate.serial_number != int(serial, 16):
        raise ValueError("another certificate")
    return certificate.public_key()


def _unreadable(name: str) -> CredentialsInvalid:
    return CredentialsInvalid(
        name, en="This is not an RSA key of 2048 bits or more in PEM form.", zh="不是 PEM 格式的 2048 位以上 RSA 密钥。"
    )
