"""Notices of Alipay: proven by their signature, and even then no more than a reason to ask."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from alipay import AliPay  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from app.outbound.channels.alipay import Alipay, read_credentials
from app.outbound.channels.said import Hint, Notice, NoticeRefused
from tests.channels.alipay_gateway import AlipayGateway
from tests.channels.alipay_keys import APP_ID, credentials_document, private_text, public_text

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
GATEWAY = AlipayGateway(lambda: NOW)
ADAPTER = Alipay(read_credentials(credentials_document()), GATEWAY)


def read(notice: Notice) -> object:
    return ADAPTER.read_notice(notice, NOW)


def refused(notice: Notice) -> str:
    with pytest.raises(NoticeRefused) as caught:
        read(notice)
    return caught.value.code


def of_refund(**changed: str) -> Notice:
    told = {"out_trade_no": "P-1", "out_biz_no": "rf1", "refund_fee": "12.34", "gmt_refund": "2026-11-20 12:00:00.123"}
    return GATEWAY.notice(**{**told, **changed})


def with_body(notice: Notice, body: bytes) -> Notice:
    return Notice("POST", notice.headers, {}, body)


def oracle_believes(notice: Notice) -> bool:
    client: Any = AliPay(
        appid=APP_ID,
        app_private_key_string=f"-----BEGIN PRIVATE KEY-----\n{private_text('merchant')}\n-----END PRIVATE KEY-----",
        alipay_public_key_string=f"-----BEGIN PUBLIC KEY-----\n{public_text('alipay')}\n-----END PUBLIC KEY-----",
    )
    fields = dict(parse_qsl(notice.body.decode(), keep_blank_values=True))
    return bool(client.verify(fields, fields.pop("sign")))


async def test_a_refund_is_hinted_at_by_its_number() -> None:
    gateway = AlipayGateway(lambda: NOW)
    gateway.pay("P-1", 5000)
    gateway.refund_by_hand("P-1", 100, "hand-1")
    notice = gateway.notices[0]
    assert oracle_believes(notice)
    assert read(notice) == Hint("hand-1", "P-1")


def test_a_notice_of_a_payment_names_no_refund() -> None:
    notice = GATEWAY.notice(out_trade_no="P-1", trade_status="TRADE_SUCCESS", out_biz_no="not-a-refund")
    assert oracle_believes(notice)
    assert read(notice) == Hint(None, "P-1")


def test_a_notice_said_again_is_the_same_hint() -> None:
    notice = of_refund()
    assert read(notice) == read(notice) == Hint("rf1", "P-1")


def test_a_notice_in_the_query_is_read_alike() -> None:
    notice = of_refund()
    query = dict(parse_qsl(notice.body.decode(), keep_blank_values=True))
    assert read(Notice("GET", {}, query, b"")) == Hint("rf1", "P-1")


def test_parameters_of_our_own_address_do_not_disturb_the_form() -> None:
    notice = of_refund()
    assert read(Notice("POST", notice.headers, {"sign": "x", "site": "s"}, notice.body)) == Hint("rf1", "P-1")


def test_a_shop_that_pays_in_gbk_is_understood() -> None:
    assert read(GATEWAY.notice(charset="gbk", out_trade_no="P-1", body="赠品：点卡")) == Hint(None, "P-1")


def test_an_empty_value_is_signed_like_any_other() -> None:
    notice = of_refund(passback_params="")
    assert oracle_believes(notice)
    assert read(notice) == Hint("rf1", "P-1")


@pytest.mark.parametrize("name", ["out_trade_no", "out_biz_no", "app_id", "subject", "refund_fee"])
def test_any_changed_value_breaks_the_signature(name: str) -> None:
    fields = dict(parse_qsl(of_refund().body.decode(), keep_blank_values=True))
    fields[name] += "1"
    assert refused(with_body(of_refund(), urlencode(fields).encode())) == "bad_signature"


def test_an_added_or_a_missing_value_breaks_the_signature() -> None:
    notice = of_refund()
    assert refused(with_body(notice, notice.body + b"&extra=1")) == "bad_signature"
    fields = dict(parse_qsl(notice.body.decode()))
    del fields["refund_fee"]
    assert refused(with_body(notice, urlencode(fields).encode())) == "bad_signature"


def test_a_stranger_is_refused_and_so_is_no_signature() -> None:
    assert refused(GATEWAY.notice(by="stranger", out_trade_no="P-1")) == "bad_signature"
    assert refused(with_body(of_refund(), b"app_id=" + APP_ID.encode() + b"&out_trade_no=P-1")) == "bad_signature"


@pytest.mark.parametrize("kind", ["RSA", "", "rsa2"])
def test_another_kind_of_signature_is_refused(kind: str) -> None:
    fields = dict(parse_qsl(of_refund().body.decode(), keep_blank_values=True)) | {"sign_type": kind}
    assert refused(with_body(of_refund(), urlencode(fields).encode())) == "bad_signature"


def test_a_true_notice_to_another_application_is_refused() -> None:
    assert refused(of_refund(app_id="2021999999999999")) == "other_app"


def test_a_parameter_that_stands_twice_is_refused() -> None:
    notice = of_refund()
    assert refused(with_body(notice, notice.body + b"&out_trade_no=P-2")) == "duplicate_parameter"
    assert refused(with_body(notice, b"%6fut_trade_no=P-1&" + notice.body)) == "duplicate_parameter"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"x" * 70_000, "oversize"),
        (b"a=1&&b=2", "malformed"),
        (b"novalue", "malformed"),
        ("订单=1".encode(), "malformed"),
        (b"&".join(b"a%d=1" % n for n in range(200)), "malformed"),
        (b"", "bad_signature"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, code: str) -> None:
    assert refused(Notice("POST", {}, {}, body)) == code


def test_a_query_that_is_too_long_is_refused() -> None:
    assert refused(Notice("GET", {}, {"a": "x" * 70_000}, b"")) == "oversize"
    assert refused(Notice("GET", {}, {"a": "\ud800"}, b"")) == "malformed"


@pytest.mark.parametrize("number", ["", "P" * 65, "订单一", "P\n1"])
def test_a_number_that_is_none_of_ours_is_refused(number: str) -> None:
    assert refused(of_refund(out_trade_no=number)) == "malformed"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.dictionaries(st.text(max_size=5), st.text(max_size=10), max_size=3))
def test_no_forgery_gets_through(junk: bytes, query: dict[str, str]) -> None:
    assert refused(Notice("POST", {}, query, junk))
    assert refused(Notice("POST", {}, query, b"sign_type=RSA2&sign=" + quote(junk).encode()))
