"""The keys of one Alipay application: 应用私钥 and 支付宝公钥, in the public key mode (公钥模式).

The certificate mode (公钥证书模式: app_cert_sn, alipay_root_cert_sn) is not built in; an application that uses it
can be switched to keys on the open platform.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from app.outbound.channels.credentials import CredentialsInvalid, text_field

# RSA2 asks for this length (密钥长度, opendocs.alipay.com/common/02kipl).
SHORTEST_KEY_BITS: Final = 2048
_APP_ID: Final = re.compile(r"[0-9]{10,32}")
_PEM_MARK: Final = re.compile(r"-----(?:BEGIN|END) [A-Z ]+-----")
_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class AlipayCredentials:
    """`private_key` signs what we send, `alipay_public_key` proves what Alipay says."""

    app_id: str
    private_key: RSAPrivateKey = field(repr=False)
    alipay_public_key: RSAPublicKey = field(repr=False)

    @property
    def identity(self) -> str:
        """What makes it this account and no other, whatever its keys are."""
        return self.app_id


def read_credentials(document: Mapping[str, object]) -> AlipayCredentials:
    """`app_id`, `private_key`, `alipay_public_key`; keys as PEM, or as the bare base64 that Alipay's key tool gives,
    PKCS#1 or PKCS#8. Raises CredentialsInvalid.
    """
    app_id = text_field(document, "app_id")
    if not _APP_ID.fullmatch(app_id):
        raise CredentialsInvalid("app_id", en="An app id is 10 to 32 digits.", zh="应用 APPID 为 10 至 32 位数字。")
    private = _private_key(text_field(document, "private_key"))
    public = _public_key(text_field(document, "alipay_public_key"))
    if public.public_numbers() == private.public_key().public_numbers():
        raise CredentialsInvalid(
            "alipay_public_key",
            en="This is the application's own public key; what is needed is the one that Alipay shows for it.",
            zh="此为应用公钥；请填写开放平台上显示的支付宝公钥。",
        )
    return AlipayCredentials(app_id, private, public)


def _private_key(text: str) -> RSAPrivateKey:
    try:
        key = load_der_private_key(_der(text), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SHORTEST_KEY_BITS:
        raise _unusable("private_key", "private", "私钥")
    return key


def _public_key(text: str) -> RSAPublicKey:
    try:
        key = load_der_public_key(_der(text))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < SHORTEST_KEY_BITS:
        raise _unusable("alipay_public_key", "public", "公钥")
    return key


def _der(text: str) -> bytes:
    """What a PEM block holds, whether its marks and line breaks survived the copying or not; ValueError."""
    return base64.b64decode(_SPACE.sub("", _PEM_MARK.sub("", text)), validate=True)


def _unusable(name: str, kind: str, kind_zh: str) -> CredentialsInvalid:
    return CredentialsInvalid(
        name,
        en=f"This is not an unencrypted RSA {kind} key of {SHORTEST_KEY_BITS} bits or more, as PEM or base64.",
        zh=f"不是 {SHORTEST_KEY_BITS} 位以上、未加密的 RSA {kind_zh}（PEM 或 base64）。",
    )
