"""An account at a 易支付 aggregator."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from app.outbound.channels.credentials import CredentialsInvalid, text_field

_PID: Final = re.compile(r"[0-9A-Za-z_-]{1,32}", re.ASCII)
_KEY: Final = re.compile(r"[!-~]{8,128}", re.ASCII)
_LEAST_BITS: Final = 2048


class EpayVersion(StrEnum):
    """V1 signs notices with MD5 and answers unsigned; V2 signs everything with RSA but its errors."""

    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class EpayCredentials:
    """`url`: the aggregator's base, no slash at the end. V1 has a `key`, V2 the two RSA keys; nothing else is set."""

    url: str
    pid: str
    version: EpayVersion
    key: str = field(default="", repr=False)
    private_key: RSAPrivateKey | None = field(default=None, repr=False)
    platform_public_key: RSAPublicKey | None = field(default=None, repr=False)

    @property
    def identity(self) -> str:
        """What makes it this account and no other, whatever its keys are. V2 knows nothing of what V1 was asked for."""
        return f"{self.url} {self.pid} {self.version}"


def read_credentials(document: Mapping[str, object]) -> EpayCredentials:
    """Raises CredentialsInvalid."""
    url, pid = _url(text_field(document, "url")), text_field(document, "pid")
    if not _PID.fullmatch(pid):
        raise CredentialsInvalid(
            "pid", en="A merchant id has 1 to 32 letters and digits.", zh="商户 ID 应为 1 至 32 位字母或数字。"
        )
    match text_field(document, "version").lower():
        case EpayVersion.V1:
            return EpayCredentials(url, pid, EpayVersion.V1, key=_key(document))
        case EpayVersion.V2:
            private, public = _key_pair(document)
            return EpayCredentials(url, pid, EpayVersion.V2, private_key=private, platform_public_key=public)
    raise CredentialsInvalid("version", en="The version is v1 or v2.", zh="版本应为 v1 或 v2。")


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        plain = not (parts.username or parts.password or parts.query or parts.fragment) and parts.port != 0
    except ValueError:
        parts, plain = SplitResult("", "", "", "", ""), False
    if not plain or not parts.hostname or parts.path.endswith(".php") or not text.isascii() or re.search(r"\s", text):
        raise CredentialsInvalid(
            "url",
            en="The base address is needed, such as https://pay.example.com, without a user, a query or a file name.",
            zh="请填写接口根地址，例如 https://pay.example.com，不带用户名、参数或文件名。",
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise CredentialsInvalid("url", en="Only https is safe for this channel.", zh="该渠道只允许 https 地址。")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(document: Mapping[str, object]) -> str:
    key = text_field(document, "key")
    if not _KEY.fullmatch(key):
        raise CredentialsInvalid(
            "key",
            en="An MD5 key has 8 to 128 visible ASCII characters.",
            zh="MD5 密钥应为 8 至 128 位可见 ASCII 字符。",
        )
    return key


def _key_pair(document: Mapping[str, object]) -> tuple[RSAPrivateKey, RSAPublicKey]:
    private = _private_key(text_field(document, "private_key"))
    public = _public_key(text_field(document, "platform_public_key"))
    if public.public_numbers() == private.public_key().public_numbers():
        raise CredentialsInvalid(
            "platform_public_key",
            en="This is the public half of your own key; the platform's public key is needed.",
            zh="这是商户自己的公钥，请填写平台公钥。",
        )
    return private, public


def _private_key(text: str) -> RSAPrivateKey:
    """PEM, or the bare base64 that merchant consoles show."""
    try:
        pem = "-----BEGIN" in text
        key = load_pem_private_key(text.encode(), None) if pem else load_der_private_key(_der(text), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _LEAST_BITS:
        raise CredentialsInvalid(
            "private_key",
            en="An RSA private key of at least 2048 bits without a password is needed, as PEM or base64.",
            zh="需要至少 2048 位、无密码的 RSA 私钥（PEM 或 base64）。",
        )
    return key


def _public_key(text: str) -> RSAPublicKey:
    try:
        key = load_pem_public_key(text.encode()) if "-----BEGIN" in text else load_der_public_key(_der(text))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_BITS:
        raise CredentialsInvalid(
            "platform_public_key",
            en="An RSA public key of at least 2048 bits is needed, as PEM or base64.",
            zh="需要至少 2048 位的 RSA 公钥（PEM 或 base64）。",
        )
    return key


def _der(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
