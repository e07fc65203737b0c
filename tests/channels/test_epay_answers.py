"""Answers as 易支付 servers really give them: BOMs, GBK, numbers as text, HTML, and nonsense."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outbound.channels.epay_answers import Answer, OrderSeen, OrderStatus, read_answer, read_order
from app.outbound.channels.exchange import Reply
from app.outbound.channels.said import Told, Unclear
from app.rules.settlement import RefundState
from tests.channels.epay_scene import Scene, instruction


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_refund_works_in_any_dress(version: str, encoding: str, as_text: bool) -> None:
    scene = Scene(version)
    scene.gateway.encoding = encoding
    scene.gateway.numbers_as_text = as_text
    scene.gateway.tells_refunded = True
    await scene.adapter().submit(instruction(), scene.clock.now())
    said = await scene.adapter().query(instruction(), scene.clock.now())
    assert isinstance(said, Told)
    assert (said.state, said.amount) == (RefundState.SUCCEEDED, 10_000)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"code"',
        b"{",
        b"{}{}",
        b"<html>",
        b"\xff\xfe",
        b'{"code":1,"code":-1}',
        b'{"code":NaN}',
        b'{"code":1,"money":Infinity}',
        b'{"code":1}trailing',
        b'{"code":' + b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_plain_object_is_garbled(body: bytes) -> None:
    assert read_answer(Reply(200, {}, body)) == Unclear("garbled")


@pytest.mark.parametrize("code", ["", " 1", "1 ", "+1", "1.0", "１", "true", "9" * 30])
def test_a_code_that_is_no_whole_number_is_odd(code: str) -> None:
    assert read_answer(Reply(200, {}, json.dumps({"code": code}).encode())) == Unclear("odd_code")


@pytest.mark.parametrize("code", [None, [1], {"a": 1}, False])
def test_a_code_of_another_kind_is_odd(code: object) -> None:
    assert read_answer(Reply(200, {}, json.dumps({"code": code}).encode())) == Unclear("odd_code")


@pytest.mark.parametrize("status", [204, 301, 302, 400, 403, 404, 500, 502, 503, 504])
def test_another_http_status_is_unclear_whatever_the_body_says(status: int) -> None:
    assert read_answer(Reply(status, {}, b'{"code":1,"status":2}')) == Unclear(f"http_{status}")


@given(st.binary(max_size=200))
def test_no_body_makes_the_reader_fail(body: bytes) -> None:
    assert isinstance(read_answer(Reply(200, {}, body)), Answer | Unclear)


_ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.lists(st.integers()))


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("out_trade_no", "pid", "money", "status", "refundmoney"), _ODD))
)
def test_no_odd_order_says_that_money_went_back(changed: dict[str, object]) -> None:
    order = {"code": 1, "out_trade_no": "p", "pid": 1, "money": "1.00", "status": 1} | changed
    answer = read_answer(Reply(200, {}, json.dumps(order).encode()))
    if isinstance(answer, Unclear):
        return
    seen = read_order(answer, pid="1", payment_no="p", payment_amount=100)
    if isinstance(seen, OrderSeen) and seen.went_back != 0:
        assert seen.status is OrderStatus.REFUNDED or changed.get("refundmoney") not in (None, "", False)
