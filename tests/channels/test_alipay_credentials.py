"""Keys of Alipay as shops paste them."""

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.outbound.channels.alipay import AlipayCredentials, read_credentials
from app.outbound.channels.credentials import CredentialsInvalid
from tests.channels.alipay_keys import APP_ID, credentials_document, private_text, public_text, rsa_key

PEM, DER = form.Encoding.PEM, form.Encoding.DER
PKCS1, PKCS8 = form.PrivateFormat.TraditionalOpenSSL, form.PrivateFormat.PKCS8
PLAIN = form.NoEncryption()


def private_pem(layout: form.PrivateFormat) -> str:
    return rsa_key("merchant").private_bytes(PEM, layout, PLAIN).decode()


def public_pem(layout: form.PublicFormat) -> str:
    return rsa_key("alipay").public_key().public_bytes(PEM, layout).decode()


def bare(pem: str) -> str:
    return "".join(line for line in pem.splitlines() if "-----" not in line)


def read(**changed: object) -> AlipayCredentials:
    return read_credentials(credentials_document() | changed)


@pytest.mark.parametrize("layout", [PKCS1, PKCS8])
@pytest.mark.parametrize(
    "write", [str, bare, lambda pem: pem.replace("\n", " "), lambda pem: pem.replace("\n", "\r\n")]
)
def test_a_private_key_is_read_in_every_writing(layout: form.PrivateFormat, write: object) -> None:
    assert callable(write)
    read_key = read(private_key=write(private_pem(layout))).private_key
    assert read_key.private_numbers() == rsa_key("merchant").private_numbers()


@pytest.mark.parametrize("layout", [form.PublicFormat.SubjectPublicKeyInfo, form.PublicFormat.PKCS1])
@pytest.mark.parametrize("write", [str, bare])
def test_a_public_key_is_read_in_every_writing(layout: form.PublicFormat, write: object) -> None:
    assert callable(write)
    read_key = read(alipay_public_key=write(public_pem(layout))).alipay_public_key
    assert read_key.public_numbers() == rsa_key("alipay").public_key().public_numbers()


def short_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return key.private_bytes(PEM, PKCS8, PLAIN).decode()


def other_kind() -> str:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PKCS8, PLAIN).decode()


def locked() -> str:
    return rsa_key("merchant").private_bytes(PEM, PKCS8, form.BestAvailableEncryption(b"secret")).decode()


@pytest.mark.parametrize(
    "text",
    ["", "   ", "not a key", "AAAA", "密钥", None, 7, public_text("alipay"), short_key(), other_kind(), locked()],
)
def test_what_is_no_private_key_is_refused_by_its_name(text: object) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        read(private_key=text)
    assert caught.value.field == "private_key"
    assert not isinstance(text, str) or not text.strip() or text not in caught.value.en + caught.value.zh


@pytest.mark.parametrize("text", ["", "not a key", "AAAA", None, private_text("alipay")])
def test_what_is_no_public_key_is_refused_by_its_name(text: object) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        read(alipay_public_key=text)
    assert caught.value.field == "alipay_public_key"


def test_the_shops_own_public_key_is_not_taken_for_that_of_alipay() -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        read(alipay_public_key=public_text("merchant"))
    assert caught.value.field == "alipay_public_key"
    assert "支付宝公钥" in caught.value.zh


@pytest.mark.parametrize(
    "app_id", ["", "abc", "2021-00000", "2021000000000000\u0660", "1" * 33, 2021000000000001, None]
)
def test_an_app_id_is_digits(app_id: object) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        read(app_id=app_id)
    assert caught.value.field == "app_id"


def test_a_secret_shows_nowhere() -> None:
    shown = repr(read())
    assert shown == f"AlipayCredentials(app_id='{APP_ID}')"
