"""What a 易支付 account needs, and what is turned down before it is stored."""

import base64
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from app.outbound.channels.credentials import CredentialsInvalid
from app.outbound.channels.epay import Epay, EpayCredentials, EpayVersion, read_credentials
from tests.channels.epay_gateway import EpayGateway
from tests.channels.epay_keys import KEY, PID, URL, merchant_key, platform_key, v1_document, v2_document
from tests.channels.epay_scene import Clock


def test_v1_needs_a_key() -> None:
    assert read_credentials(v1_document()) == EpayCredentials(URL, PID, EpayVersion.V1, key=KEY)


@pytest.mark.parametrize("private_format", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_v2_keys_are_read_as_pem_or_bare_base64(private_format: PrivateFormat, encoding: Encoding) -> None:
    private = merchant_key().private_bytes(encoding, private_format, NoEncryption())
    public = platform_key().public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    given = [
        raw.decode() if encoding is Encoding.PEM else base64.encodebytes(raw).decode() for raw in (private, public)
    ]
    read = read_credentials(v2_document() | {"private_key": given[0], "platform_public_key": given[1]})
    assert read.url == URL
    assert read.private_key is not None
    assert read.private_key.private_numbers() == merchant_key().private_numbers()
    assert read.platform_public_key is not None
    assert read.platform_public_key.public_numbers() == platform_key().public_key().public_numbers()


def test_secrets_are_not_shown() -> None:
    for document in (v1_document(), v2_document()):
        shown = repr(read_credentials(document))
        assert KEY not in shown
        assert "RSA" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "http://pay.example.com",
        "http://127.0.0.1.example.com",
        "ftp://pay.example.com",
        "pay.example.com",
        "https://",
        "https://user:word@pay.example.com",
        "https://pay.example.com/?a=1",
        "https://pay.example.com/#a",
        "https://pay.example.com/submit.php",
        "https://pay.example.com/a b",
        "https://支付.example.com",
        "https://pay.example.com:99999",
        "https://[::1",
        "",
    ],
)
def test_an_address_that_is_not_a_plain_https_base_is_refused(url: str) -> None:
    assert _refused(v1_document() | {"url": url}) == "url"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:80", "https://a.example/epay/"]
)
def test_loopback_needs_no_tls(url: str) -> None:
    assert read_credentials(v1_document() | {"url": url}).url == url.rstrip("/")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"pid": "1 1"}, "pid"),
        ({"pid": 1001}, "pid"),
        ({"pid": "1" * 33}, "pid"),
        ({"version": "v3"}, "version"),
        ({"version": ""}, "version"),
        ({"key": "short"}, "key"),
        ({"key": "密" * 16}, "key"),
        ({"key": "a" * 129}, "key"),
        ({"key": None}, "key"),
    ],
)
def test_what_cannot_be_used_is_named(changed: dict[str, object], field: str) -> None:
    assert _refused(v1_document() | changed) == field


def _private(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, locked: bool = False) -> str:
    lock = BestAvailableEncryption(b"word") if locked else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()


def _public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_v2_keys_that_cannot_be_used_are_refused() -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    locked = _private(merchant_key(), locked=True)
    for text in ("", "nonsense", "AAAA", _private(curve), _private(short), _public(platform_key()), locked):
        assert _refused(v2_document() | {"private_key": text}) == "private_key"
    for text in ("", "nonsense", "AAAA", _public(curve), _public(short), _private(platform_key())):
        assert _refused(v2_document() | {"platform_public_key": text}) == "platform_public_key"


def test_our_own_public_key_in_the_platforms_place_is_noticed() -> None:
    assert _refused(v2_document() | {"platform_public_key": _public(merchant_key())}) == "platform_public_key"


def test_the_message_never_repeats_what_was_given() -> None:
    with pytest.raises(CredentialsInvalid) as refusal:
        read_credentials(v1_document() | {"key": "secret!"})
    assert "secret!" not in refusal.value.en + refusal.value.zh + str(refusal.value)


def test_v2_without_its_keys_is_no_adapter() -> None:
    with pytest.raises(ValueError, match="keys"):
        Epay(EpayCredentials(URL, PID, EpayVersion.V2), EpayGateway(Clock().now), nonce=str)


def _refused(document: Mapping[str, object]) -> str:
    with pytest.raises(CredentialsInvalid) as refusal:
        read_credentials(document)
    assert refusal.value.en
    assert refusal.value.zh
    return refusal.value.field
