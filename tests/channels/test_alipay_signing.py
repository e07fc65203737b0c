"""What we sign and what we believe, held against an independent implementation: python-alipay-sdk."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import pytest
from alipay import AliPay  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from app.outbound.channels.alipay import read_credentials
from app.outbound.channels.alipay.answers import Answer, members, read_answer
from app.outbound.channels.alipay.calls import request_of
from app.outbound.channels.alipay.signing import is_signed, sign, signed_text
from app.outbound.channels.exchange import Reply
from app.outbound.channels.said import Unclear
from tests.channels.alipay_gateway import GATEWAY_URL
from tests.channels.alipay_keys import APP_ID, credentials_document, private_text, public_text, rsa_key, sha256_rsa

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
METHOD = "alipay.trade.refund"
ALIPAY = rsa_key("alipay").public_key()


def pem(kind: str, text: str) -> str:
    return f"-----BEGIN {kind}-----\n{text}\n-----END {kind}-----"


@cache
def oracle(public: str = "alipay") -> Any:
    """The other implementation, with the merchant's private key and somebody's public one."""
    return AliPay(
        appid=APP_ID,
        app_private_key_string=pem("PRIVATE KEY", private_text("merchant")),
        alipay_public_key_string=pem("PUBLIC KEY", public_text(public)),
    )


def posted(content: Mapping[str, object]) -> dict[str, str]:
    request = request_of(
        METHOD, content, NOW, credentials=read_credentials(credentials_document()), base_url=GATEWAY_URL
    )
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))


def answered(
    node: str, *, signature: str | None = None, name: str = "alipay_trade_refund_response"
) -> Answer | Unclear:
    signature = sha256_rsa("alipay", node.encode()) if signature is None else signature
    return read_answer(Reply(200, {}, f'{{"{name}":{node},"sign":"{signature}"}}'.encode()), METHOD, ALIPAY)


def test_our_signature_is_the_one_that_the_other_implementation_makes() -> None:
    content = {"out_trade_no": "P-1", "refund_amount": "0.01", "refund_reason": "卡密无效 & 已退=100%"}
    ours = posted(content)
    theirs = oracle().sign_data({name: value for name, value in ours.items() if name != "sign"})
    assert dict(parse_qsl(theirs, keep_blank_values=True)) == ours


def test_the_other_implementation_believes_our_signature() -> None:
    ours = posted({"out_trade_no": "P-1"})
    signature = ours.pop("sign")
    text = "&".join(f"{name}={value}" for name, value in oracle()._ordered_data(ours))
    assert oracle("merchant")._verify(text, signature)
    assert not oracle("merchant")._verify(text.replace("12:00:00", "12:00:01"), signature)


def test_a_call_carries_the_wall_clock_of_shanghai() -> None:
    assert posted({})["timestamp"] == "2026-11-20 12:00:00"


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))))
def test_any_parameters_are_signed_alike(parameters: dict[str, str]) -> None:
    key = read_credentials(credentials_document()).private_key
    text = signed_text(parameters.items())
    assert text == "&".join(f"{name}={value}" for name, value in oracle()._ordered_data(dict(parameters)))
    assert sign(text, key) == oracle()._sign(text)


@pytest.mark.parametrize(
    "node",
    [
        '{"code":"10000","msg":"Success"}',
        '{ "msg" : "成功" ,\t"code": "10000" }',
        '{"code":"10000","url":"http:\\/\\/a.alipay.com\\/x"}',
        '{"code":"10000","zeichen":"\\u4e2d"}',
        '{"code":"10000","list":[{"amount":"0.01"},{"amount":"1e5"}],"n":1.10}',
    ],
)
def test_an_answer_is_proven_over_the_bytes_that_were_sent(node: str) -> None:
    assert isinstance(answered(node), Answer)
    signature = sha256_rsa("alipay", node.encode())
    raw = f'{{"alipay_trade_refund_response":{node},"sign":"{signature}"}}'
    assert oracle()._verify_and_return_sync_response(raw, "alipay_trade_refund_response")["code"] == "10000"


def test_braces_and_names_inside_texts_do_not_move_the_node() -> None:
    node = '{"code":"10000","msg":"}\\"alipay_trade_refund_response\\":{","sign":"x"}'
    assert isinstance(answered(node), Answer)


def test_an_answer_that_was_signed_before_its_slashes_were_escaped_is_read_as_it_was_signed() -> None:
    signed = '{"code":"10000","bill_download_url":"http://a.alipay.com/x"}'
    answer = answered(signed.replace("/", "\\/"), signature=sha256_rsa("alipay", signed.encode()))
    assert isinstance(answer, Answer)
    assert answer.text("bill_download_url") == "http://a.alipay.com/x"


def test_what_is_read_is_what_was_signed_and_not_what_was_sent() -> None:
    r"""Sent as `\\/`, an escaped backslash, the text reads otherwise than the `\/` that the signature is of."""
    signed = r'{"code":"10000","x":"a\/b"}'
    answer = answered(r'{"code":"10000","x":"a\\/b"}', signature=sha256_rsa("alipay", signed.encode()))
    assert isinstance(answer, Answer)
    assert answer.text("x") == "a/b"


@pytest.mark.parametrize("signature", ["", "AAAA", "???", sha256_rsa("stranger", b'{"code":"10000"}')])
def test_a_wrong_signature_is_never_believed(signature: str) -> None:
    assert answered('{"code":"10000"}', signature=signature) == Unclear("bad_signature")


def test_one_changed_character_is_not_believed() -> None:
    signature = sha256_rsa("alipay", b'{"code":"10000","fund_change":"N"}')
    assert answered('{"code":"10000","fund_change":"Y"}', signature=signature) == Unclear("bad_signature")
    assert answered('{"code":"10000", "fund_change":"N"}', signature=signature) == Unclear("bad_signature")


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ('{"code":"10000"}', "bad_signature"),
        ('{"code":"40004","sub_code":"ACQ.SELLER_BALANCE_NOT_ENOUGH"}', "bad_signature"),
        ('{"code":"40002","sub_code":"isv.invalid-signature"}', "isv_invalid_signature"),
        ('{"code":"40002","sub_code":"isv.invalid-app-id"}', "isv_invalid_app_id"),
        ('{"code":"40003","sub_code":"isv.missing-signature-config"}', "isv_missing_signature_config"),
        ('{"code":"20000","sub_code":"<script>卡密"}', "code_20000"),
        ('{"code":"卡密","sub_code":""}', "refused"),
        ('{"msg":"x"}', "bad_signature"),
    ],
)
def test_an_unsigned_answer_keeps_at_most_the_code_of_a_fault_of_the_gateway(node: str, expected: str) -> None:
    for name in ("alipay_trade_refund_response", "error_response"):
        reply = Reply(200, {}, f'{{"{name}":{node}}}'.encode())
        assert read_answer(reply, METHOD, ALIPAY) == Unclear(expected)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b'{"alipay_trade_refund_response":{"code":"10000"},"sign":"x"} trailing',
        b'{"alipay_trade_refund_response":{"code":"10000"},"alipay_trade_refund_response":{"code":"10000"},"sign":"x"}',
        b'{"alipay_trade_refund_response":{"code":"10000"},"error_response":{"code":"10000"},"sign":"x"}',
        b'{"alipay_trade_query_response":{"code":"10000"},"sign":"x"}',
        b'{"alipay_trade_refund_response":{"code":NaN},"sign":"x"}',
        b'{"alipay_trade_refund_response":{"code":"1","code":"10000"},"sign":"x"}',
        b'{"alipay_trade_refund_response":{"code":"10000"},"sign":"x"',
        b'{"alipay_trade_refund_response":{"code":"10000"},,"sign":"x"}',
        b"\xff\xfe{",
        b'{"alipay_trade_refund_response":' + b"[" * 100_000,
        b'{"alipay_trade_refund_response":{"n":' + b"9" * 10_000 + b'},"sign":"x"}',
    ],
)
def test_what_is_no_answer_is_garbage(body: bytes) -> None:
    assert read_answer(Reply(200, {}, body), METHOD, ALIPAY) == Unclear("garbage")


@pytest.mark.parametrize("node", ['"text"', "[]", "null", "7", '{"code":10000}', '{"msg":"x"}'])
def test_a_signed_node_that_is_no_answer_is_garbage(node: str) -> None:
    assert answered(node) == Unclear("garbage")


def test_an_answer_that_is_far_too_long_is_not_read() -> None:
    body = b'{"alipay_trade_refund_response":"' + b"x" * 1024 * 1024 + b'"}'
    assert read_answer(Reply(200, {}, body), METHOD, ALIPAY) == Unclear("oversize")


@pytest.mark.parametrize(("status", "code"), [(500, "http_500"), (302, "http_302"), (204, "http_204")])
def test_another_status_is_unclear_whatever_the_body_says(status: int, code: str) -> None:
    node = '{"code":"10000","fund_change":"Y"}'
    body = f'{{"alipay_trade_refund_response":{node},"sign":"{sha256_rsa("alipay", node.encode())}"}}'.encode()
    assert read_answer(Reply(status, {}, body), METHOD, ALIPAY) == Unclear(code)


def test_too_many_requests_is_a_limit_that_says_when_to_come_back() -> None:
    said = read_answer(Reply(429, {}, b""), METHOD, ALIPAY)
    assert isinstance(said, Unclear)
    assert (said.code, said.retry_after is not None) == ("rate_limited", True)


def test_members_are_kept_to_the_character() -> None:
    assert members(' {"a" : {"b": 1.10} , "c":[ 1,2 ]}\n') == {"a": '{"b": 1.10}', "c": "[ 1,2 ]"}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_no_body_raises(body: bytes) -> None:
    whole = b'{"alipay_trade_refund_response":' + body
    for said in (read_answer(Reply(200, {}, text), METHOD, ALIPAY) for text in (body, whole, whole + b"}")):
        assert isinstance(said, Unclear)


def test_a_signature_with_line_breaks_is_no_signature_of_ours() -> None:
    signature = sha256_rsa("alipay", b"x")
    assert is_signed(b"x", signature, ALIPAY)
    assert not is_signed(b"x", signature[:76] + "\n" + signature[76:], ALIPAY)
    assert not is_signed(b"x", "é", ALIPAY)
