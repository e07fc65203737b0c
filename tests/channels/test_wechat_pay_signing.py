"""Signatures and encryption, held against `wechatpayv3`, which was written by others."""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from wechatpayv3 import core, utils  # type: ignore[import-untyped]

from app.outbound.channels.said import NoticeRefused
from app.outbound.channels.wechat_pay.signing import authorization, opened, signature_fault
from tests.channels.wechat_pay_keys import (
    API_V3_KEY,
    CERTIFICATE_SERIAL,
    MCH_ID,
    MERCHANT_SERIAL,
    PUBLIC_KEY_SERIAL,
    hidden,
    private_pem,
    public_pem,
    rsa_key,
    signed_headers,
)
from tests.channels.wechat_pay_scene import MINUTE, NOON, PAYMENT, our_credentials, scene

BODY = '{"out_refund_no":"rf1","reason":"卡密无法使用"}'.encode()


def the_other() -> core.Core:
    return core.Core(
        MCH_ID,
        MERCHANT_SERIAL,
        private_pem("merchant"),
        API_V3_KEY,
        public_key=public_pem(PUBLIC_KEY_SERIAL),
        public_key_id=PUBLIC_KEY_SERIAL,
    )


def fault(headers: Mapping[str, str], body: bytes = BODY, after: timedelta = timedelta()) -> str | None:
    return signature_fault(headers, body, keys=our_credentials().platform_keys, now=NOON + after)


@pytest.mark.parametrize(("method", "body"), [("POST", BODY), ("GET", b"")])
def test_the_authorization_is_the_one_that_the_other_implementation_builds(
    monkeypatch: pytest.MonkeyPatch, method: str, body: bytes
) -> None:
    monkeypatch.setattr(utils, "time", SimpleNamespace(time=NOON.timestamp))
    target, nonce = "/v3/refund/domestic/refunds?a=%2F", "593BEC0C930BF1AFEB40B4A08C8FB242"
    theirs = utils.build_authorization(
        target, method, MCH_ID, MERCHANT_SERIAL, rsa_key("merchant"), data=body.decode(), nonce_str=nonce
    )
    assert theirs == authorization(our_credentials(), method=method, target=target, body=body, now=NOON, nonce=nonce)


@pytest.mark.parametrize("serial", [PUBLIC_KEY_SERIAL, CERTIFICATE_SERIAL])
def test_an_answer_verifies_here_and_there(serial: str) -> None:
    headers = signed_headers(BODY, NOON, serial=serial)
    assert fault(headers) is None
    assert utils.rsa_verify(
        headers["wechatpay-timestamp"],
        headers["wechatpay-nonce"],
        BODY.decode(),
        headers["wechatpay-signature"],
        utils.load_public_key(public_pem(serial)),
    )


def test_every_byte_and_every_header_counts() -> None:
    good = signed_headers(BODY, NOON)
    assert fault(good, BODY + b" ") == "bad_signature"
    assert fault({**good, "wechatpay-nonce": "another"}) == "bad_signature"
    assert fault({**good, "wechatpay-timestamp": str(int(good["wechatpay-timestamp"]) + 1)}) == "bad_signature"
    assert fault({**good, "wechatpay-serial": CERTIFICATE_SERIAL}) == "bad_signature"
    assert fault({**good, "wechatpay-serial": "PUB_KEY_ID_0"}) == "bad_signature"
    assert fault({**good, "wechatpay-signature-type": "WECHATPAY2-SM2-WITH-SM3"}) == "bad_signature"


@pytest.mark.parametrize("name", ["timestamp", "nonce", "serial", "signature"])
@pytest.mark.parametrize("value", ["", "x", "1e9", "-1", "０", "9" * 400, "é\ud800", "a, a", "\x00"])
def test_an_odd_header_is_a_bad_signature(name: str, value: str) -> None:
    assert fault({**signed_headers(BODY, NOON), f"wechatpay-{name}": value}) == "bad_signature"


@pytest.mark.parametrize("name", ["timestamp", "nonce", "serial", "signature"])
def test_a_header_that_is_missing_or_came_twice_is_no_signature(name: str) -> None:
    good = signed_headers(BODY, NOON)
    twice = {**good, f"wechatpay-{name}": f"{good[f'wechatpay-{name}']}, {good[f'wechatpay-{name}']}"}
    assert fault(twice) == "bad_signature"
    del good[f"wechatpay-{name}"]
    assert fault(good) in {"bad_signature", "unsigned"}


def test_a_probe_is_refused_like_any_bad_signature() -> None:
    good = signed_headers(BODY, NOON)
    probe = {**good, "wechatpay-signature": "WECHATPAY/SIGNTEST/" + good["wechatpay-signature"]}
    assert fault(probe) == "bad_signature"


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (5 * MINUTE - timedelta(seconds=1), None),
        (5 * MINUTE, "stale_signature"),
        (-5 * MINUTE, None),
        (-5 * MINUTE - timedelta(seconds=1), "stale_signature"),
        (timedelta(days=365), "stale_signature"),
    ],
)
def test_a_signature_counts_for_five_minutes(after: timedelta, expected: str | None) -> None:
    """Signatures are stamped in whole seconds, a quarter of one before noon here."""
    assert fault(signed_headers(BODY, NOON), after=after) == expected


async def test_a_notice_of_2020_is_accepted_there_and_refused_here() -> None:
    made = scene()
    await made.adapter.submit(PAYMENT, made.now)
    made.gateway.end(PAYMENT.refund_no, "SUCCESS")
    old = made.gateway.notice(PAYMENT.refund_no, signed_at=NOON.replace(year=2020))
    assert the_other().decrypt_callback(old.headers, old.body) is not None
    with pytest.raises(NoticeRefused, match="stale_signature"):
        made.adapter.read_notice(old, made.now)


async def test_a_notice_reads_alike_here_and_there() -> None:
    made = scene()
    await made.adapter.submit(PAYMENT, made.now)
    made.gateway.end(PAYMENT.refund_no, "SUCCESS")
    (notice,) = made.gateway.notices()
    theirs = json.loads(the_other().decrypt_callback(notice.headers, notice.body))
    ours = made.adapter.read_notice(notice, made.now)
    assert (theirs["out_refund_no"], theirs["refund_id"], theirs["amount"]["refund"]) == (
        ours.refund_no,
        ours.told.channel_refund_no,
        ours.told.amount,
    )


async def test_the_other_implementation_would_send_a_request_that_the_gateway_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fake is no echo of the adapter: it takes a signature that the adapter had no part in."""
    made = scene()
    await made.adapter.submit(PAYMENT, made.now)
    asked = made.gateway.requests.pop()
    monkeypatch.setattr(utils, "time", SimpleNamespace(time=made.now.timestamp))
    target = asked.url.removeprefix("https://api.mch.weixin.qq.com")
    theirs = utils.build_authorization(
        target, "POST", MCH_ID, MERCHANT_SERIAL, rsa_key("merchant"), data=asked.body.decode(), nonce_str="n" * 32
    )
    again = type(asked)(asked.method, asked.url, {**asked.headers, "Authorization": theirs}, asked.body)
    assert (await made.gateway.send(again)).status == 200
    spoilt = type(asked)(asked.method, asked.url, asked.headers, asked.body.replace(b"20000", b"20001"))
    assert (await made.gateway.send(spoilt)).status == 401


def test_what_is_hidden_opens_here_and_there_and_only_with_the_key() -> None:
    resource = hidden("退款".encode())
    parts = {"nonce": resource["nonce"], "ciphertext": resource["ciphertext"]}
    ours = opened(API_V3_KEY.encode(), associated="refund", **parts)
    assert ours.decode() == utils.aes_decrypt(associated_data="refund", apiv3_key=API_V3_KEY, **parts) == "退款"
    for key, associated in ((b"x" * 32, "refund"), (API_V3_KEY.encode(), "")):
        with pytest.raises(ValueError, match="another key"):
            opened(key, associated=associated, **parts)


def test_the_authorization_verifies_with_the_public_key_alone() -> None:
    header = authorization(our_credentials(), method="GET", target="/v3/x?y=1", body=b"", now=NOON, nonce="n" * 32)
    fields = dict(part.split("=", 1) for part in header.split(" ", 1)[1].split(","))
    signed = f"GET\n/v3/x?y=1\n{int(NOON.timestamp())}\n{'n' * 32}\n\n".encode()
    signature = base64.b64decode(fields["signature"].strip('"'))
    rsa_key("merchant").public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())
