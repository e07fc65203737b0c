"""What a shop enters, good and bad."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.outbound.channels.credentials import CredentialsInvalid
from app.outbound.channels.wechat_pay import read_credentials
from tests.channels.wechat_pay_keys import (
    API_V3_KEY,
    CERTIFICATE_SERIAL,
    PUBLIC_KEY_SERIAL,
    credentials_document,
    private_pem,
    public_pem,
    rsa_key,
)

PRIVATE = serialization.PrivateFormat.PKCS8
PEM = serialization.Encoding.PEM


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(PEM, PRIVATE, lock).decode()


def certificate() -> x509.Certificate:
    key, now = rsa_key(CERTIFICATE_SERIAL), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com sign")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int(CERTIFICATE_SERIAL, 16))
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def test_nothing_secret_is_shown() -> None:
    shown = repr(read_credentials(credentials_document()))
    assert API_V3_KEY not in shown
    assert "key" not in shown.lower()
    assert "1900000109" in shown


def test_keys_are_parsed_once_and_serials_are_upper_case() -> None:
    document = credentials_document() | {"certificate_serial": "1dde55ad98ed71d6"}
    document["platform_keys"] = {CERTIFICATE_SERIAL.lower(): public_pem(CERTIFICATE_SERIAL)}
    read = read_credentials(document)
    assert read.certificate_serial == "1DDE55AD98ED71D6"
    assert list(read.platform_keys) == [CERTIFICATE_SERIAL]
    assert read.answering_serial() is None
    assert read_credentials(credentials_document()).answering_serial() == PUBLIC_KEY_SERIAL


def test_a_certificate_does_for_its_key_under_its_own_serial_alone() -> None:
    pem = certificate().public_bytes(PEM).decode()
    read = read_credentials(credentials_document() | {"platform_keys": {CERTIFICATE_SERIAL: pem}})
    assert read.platform_keys[CERTIFICATE_SERIAL] == rsa_key(CERTIFICATE_SERIAL).public_key()
    for serial in ("AABBCCDD", PUBLIC_KEY_SERIAL):
        with pytest.raises(CredentialsInvalid):
            read_credentials(credentials_document() | {"platform_keys": {serial: pem}})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mch_id", None),
        ("mch_id", ""),
        ("mch_id", 1900000109),
        ("mch_id", '1900000109",x="'),
        ("certificate_serial", "xyz"),
        ("certificate_serial", "1DDE55AD\r\nX: y"),
        ("private_key", "-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----"),
        ("private_key", public_pem("merchant")),
        ("private_key", pem_of(rsa_key("merchant"), b"password")),
        ("private_key", pem_of(ec.generate_private_key(ec.SECP256R1()))),
        ("private_key", pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024))),
        ("private_key", "\ud800"),
        ("api_v3_key", "short"),
        ("api_v3_key", "x" * 33),
        ("api_v3_key", "密" * 32),
        ("platform_keys", None),
        ("platform_keys", {}),
        ("platform_keys", []),
        ("platform_keys", {"x": public_pem("a")}),
        ("platform_keys", {PUBLIC_KEY_SERIAL: private_pem("merchant")}),
        ("platform_keys", {PUBLIC_KEY_SERIAL: 5}),
        ("platform_keys", {PUBLIC_KEY_SERIAL: "no key"}),
        ("platform_keys", {f"PUB_KEY_ID_{place}": public_pem("merchant") for place in range(17)}),
    ],
)
def test_what_cannot_be_used_is_named_and_not_repeated(field: str, value: object) -> None:
    with pytest.raises(CredentialsInvalid) as refused:
        read_credentials(credentials_document() | {field: value})
    assert refused.value.field == field
    if isinstance(value, str) and value:
        assert value not in refused.value.en + refused.value.zh
