"""退款结果通知: what is proved, and everything that is not."""

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from app.outbound.channels.said import Notice, NoticeRefused, Proof, Told
from app.outbound.channels.wechat_pay import WechatPay
from app.rules.settlement import FailureCode, RefundState
from tests.channels.wechat_pay_keys import API_V3_KEY, CERTIFICATE_SERIAL, MCH_ID, hidden, signed_headers
from tests.channels.wechat_pay_scene import MINUTE, NOON, PAYMENT, Scene, part, scene

RESOURCE = {
    "mchid": MCH_ID,
    "out_trade_no": "P-1001",
    "transaction_id": "4200000000",
    "out_refund_no": PAYMENT.refund_no,
    "refund_id": "5000000001",
    "refund_status": "SUCCESS",
    "success_time": "2026-03-10T12:00:00+08:00",
    "user_received_account": "招商银行信用卡0403",
    "amount": {"total": 50_000, "refund": 20_000, "payer_total": 50_000, "payer_refund": 20_000},
}
OUTSIDE = {
    "id": "EV-1",
    "create_time": "2026-03-10T12:00:01+08:00",
    "resource_type": "encrypt-resource",
    "event_type": "REFUND.SUCCESS",
    "summary": "退款成功",
    "resource": hidden(json.dumps(RESOURCE).encode()),
}
ADAPTER = scene().adapter


def signed(body: bytes) -> Notice:
    return Notice("POST", signed_headers(body, NOON), {}, body)


def holding(resource: object, /, **outside: object) -> Notice:
    document = {**OUTSIDE, "resource": hidden(json.dumps(resource).encode()), **outside}
    return signed(json.dumps(document).encode())


def refusal(notice: Notice, adapter: WechatPay = ADAPTER, after: timedelta = timedelta()) -> str:
    with pytest.raises(NoticeRefused) as refused:
        adapter.read_notice(notice, NOON + after)
    return refused.value.code


async def ended(status: str) -> Scene:
    made = scene()
    await made.adapter.submit(PAYMENT, made.now)
    made.gateway.end(PAYMENT.refund_no, status)
    return made


def test_the_pattern_that_is_spoilt_below_is_good() -> None:
    proof = ADAPTER.read_notice(holding(RESOURCE), NOON)
    told = Told(RefundState.SUCCEEDED, 20_000, None, "5000000001", NOON.replace(microsecond=0))
    assert proof == Proof(PAYMENT.refund_no, PAYMENT.payment_no, told)


@pytest.mark.parametrize(
    ("status", "state", "failure"),
    [
        ("SUCCESS", RefundState.SUCCEEDED, None),
        ("ABNORMAL", RefundState.ABNORMAL, FailureCode.ACCOUNT_GONE),
        ("CLOSED", RefundState.CLOSED, FailureCode.REJECTED),
    ],
)
async def test_each_end_is_notified_and_proved(status: str, state: RefundState, failure: FailureCode | None) -> None:
    made = await ended(status)
    (notice,) = made.gateway.notices()
    proof = made.adapter.read_notice(notice, made.now)
    asked = await made.adapter.query(PAYMENT, made.now)
    assert isinstance(asked, Told)
    assert (proof.refund_no, proof.told.state, proof.told.amount) == (PAYMENT.refund_no, state, 20_000)
    assert proof.told.channel_refund_no == asked.channel_refund_no
    assert proof.told.at == NOON.replace(microsecond=0)
    assert (proof.told.failure.code if proof.told.failure else None) is failure


async def test_the_same_notice_comes_again_under_another_signature_and_reads_the_same() -> None:
    made = await ended("SUCCESS")
    (first,) = made.gateway.notices()
    assert made.gateway.notices() == []
    made.pass_by(timedelta(hours=6))
    (late,) = made.gateway.notices(again=True)
    assert late.headers != first.headers
    assert made.adapter.read_notice(late, made.now) == made.adapter.read_notice(first, NOON)


async def test_notices_out_of_order_each_say_which_refund_and_when() -> None:
    made = scene()
    for place in range(3):
        await made.adapter.submit(part(place, 100 + place), made.now)
        made.pass_by(MINUTE)
    made.pass_by(MINUTE * 10)
    proofs = [made.adapter.read_notice(notice, made.now) for notice in reversed(made.gateway.notices())]
    assert [proof.refund_no for proof in proofs] == [part(place, 1).refund_no for place in (2, 1, 0)]
    moments = [proof.told.at for proof in proofs if proof.told.at]
    assert moments == sorted(moments, reverse=True)


async def test_an_abnormal_refund_may_still_succeed_and_its_first_notice_come_last() -> None:
    made = await ended("ABNORMAL")
    first = made.gateway.notice(PAYMENT.refund_no)
    made.pass_by(MINUTE)
    made.gateway.end(PAYMENT.refund_no, "SUCCESS")
    (second,) = made.gateway.notices()
    proved = [made.adapter.read_notice(notice, made.now).told for notice in (second, first)]
    assert [told.state for told in proved] == [RefundState.SUCCEEDED, RefundState.ABNORMAL]
    assert proved[0].at == made.now.replace(microsecond=0)
    assert proved[1].at == NOON.replace(microsecond=0)


async def test_a_probe_is_refused() -> None:
    made = await ended("SUCCESS")
    assert refusal(made.gateway.probe(PAYMENT.refund_no)) == "bad_signature"


def test_a_replay_is_refused() -> None:
    assert refusal(holding(RESOURCE), after=timedelta(minutes=5, seconds=1)) == "stale_signature"


def test_platform_certificates_sign_too() -> None:
    good = holding(RESOURCE)
    notice = replace(good, headers=signed_headers(good.body, NOON, serial=CERTIFICATE_SERIAL))
    assert ADAPTER.read_notice(notice, NOON).refund_no == PAYMENT.refund_no


def test_what_is_not_signed_by_wechat_pay_is_refused() -> None:
    good = holding(RESOURCE)
    forged = signed_headers(good.body, NOON, owner="somebody else")
    for headers in ({}, forged, {**good.headers, "wechatpay-signature": ""}):
        assert refusal(replace(good, headers=headers)) == "bad_signature"
    assert refusal(replace(good, body=good.body + b" ")) == "bad_signature"
    assert refusal(replace(good, method="GET")) == "wrong_method"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mchid": "1900000110"}, "other_merchant"),
        ({"mchid": 1900000109}, "malformed"),
        ({"refund_status": "CLOSED"}, "contradictory"),
        ({"refund_status": "PROCESSING"}, "contradictory"),
        ({"out_refund_no": ""}, "malformed"),
        ({"out_refund_no": ["rf"]}, "malformed"),
        ({"refund_id": None}, "malformed"),
        ({"success_time": ""}, "malformed"),
        ({"success_time": "2026-03-10T12:00:00"}, "malformed"),
        ({"success_time": "2026-03-10T24:00:01+08:00"}, "malformed"),
        ({"amount": {}}, "malformed"),
        ({"amount": {"refund": 200.0}}, "malformed"),
        ({"amount": {"refund": -1}}, "malformed"),
        ({"amount": [20_000]}, "malformed"),
    ],
)
def test_a_resource_of_another_form_is_refused(change: dict[str, object], code: str) -> None:
    assert refusal(holding({**RESOURCE, **change})) == code


@pytest.mark.parametrize(
    ("outside", "code"),
    [
        ({"event_type": "TRANSACTION.SUCCESS"}, "other_event"),
        ({"event_type": "REFUND.PROCESSING"}, "other_event"),
        ({"event_type": "REFUND.ABNORMAL"}, "contradictory"),
        ({"event_type": None}, "malformed"),
        ({"create_time": "yesterday"}, "malformed"),
        ({"resource": None}, "malformed"),
        ({"resource": {**hidden(b"{}"), "algorithm": "AES-256-ECB"}}, "other_algorithm"),
        ({"resource": {**hidden(b"{}"), "nonce": "short"}}, "undecryptable"),
        ({"resource": {**hidden(b"{}"), "nonce": "é" * 6}}, "undecryptable"),
        ({"resource": {**hidden(b"{}"), "nonce": "\ud800"}}, "undecryptable"),
        ({"resource": {**hidden(b"{}"), "ciphertext": "not base64!"}}, "undecryptable"),
        ({"resource": {**hidden(b"{}"), "ciphertext": ""}}, "undecryptable"),
        ({"resource": {**hidden(b"{}"), "associated_data": "transaction"}}, "undecryptable"),
        ({"resource": {**hidden(b"{}"), "associated_data": 5}}, "malformed"),
        ({"resource": hidden(b"{}", key="another-key-of-exactly-32-bytes!")}, "undecryptable"),
        ({"resource": hidden(b"\xff")}, "malformed"),
        ({"resource": hidden(b"[]")}, "malformed"),
    ],
)
def test_a_notice_of_another_form_is_refused(outside: dict[str, object], code: str) -> None:
    assert refusal(holding(RESOURCE, **outside)) == code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"event_type":1,"event_type":2}',
        b"NaN",
        b"[" * 30_000,
    ],
)
def test_a_body_that_is_no_notice_is_refused(body: bytes) -> None:
    assert refusal(signed(body)) == "malformed"


@pytest.mark.parametrize("name", ["mchid", "out_refund_no", "refund_status"])
def test_a_name_that_stands_twice_is_refused_even_with_the_same_value(name: str) -> None:
    once = json.dumps(RESOURCE)
    twice = once.replace("{", f'{{"{name}": {json.dumps(RESOURCE[name])}, ', 1).encode()
    assert refusal(signed(json.dumps({**OUTSIDE, "resource": hidden(twice)}).encode())) == "malformed"


def test_an_amount_of_ten_thousand_digits_is_refused() -> None:
    long = json.dumps(RESOURCE).replace("20000", "2" * 10_000).encode()
    assert refusal(signed(json.dumps({**OUTSIDE, "resource": hidden(long)}).encode())) == "malformed"


def test_a_large_notice_is_not_even_looked_at() -> None:
    assert refusal(signed(b" " * (64 * 1024 + 1))) == "too_large"


def test_an_empty_associated_data_may_be_left_out() -> None:
    resource = hidden(json.dumps(RESOURCE).encode(), associated="")
    assert ADAPTER.read_notice(holding(RESOURCE, resource=resource), NOON).refund_no == PAYMENT.refund_no
    del resource["associated_data"]
    assert ADAPTER.read_notice(holding(RESOURCE, resource=resource), NOON).refund_no == PAYMENT.refund_no


def test_what_is_hidden_is_as_long_as_it_says() -> None:
    """Cut anywhere, the tag does not fit any more."""
    resource = hidden(json.dumps(RESOURCE).encode())
    cut = base64.b64encode(base64.b64decode(resource["ciphertext"])[:-1]).decode()
    assert refusal(holding(RESOURCE, resource={**resource, "ciphertext": cut})) == "undecryptable"
    assert len(API_V3_KEY) == 32


def test_the_gateway_hears_what_it_wants_to_hear() -> None:
    assert ADAPTER.answer_to_notice(accepted=True).status in {200, 204}
    refused = ADAPTER.answer_to_notice(accepted=False)
    assert refused.status == 401
    assert json.loads(refused.body)["code"] == "FAIL"
