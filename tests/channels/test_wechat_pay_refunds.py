"""Refunds and queries against a gateway that behaves as documented, and against one that does not."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from app.outbound.channels.adapter import Adapter
from app.outbound.channels.exchange import Reply, Request
from app.outbound.channels.said import NotNow, Told, Unclear, Unknown
from app.outbound.channels.wechat_pay import WechatPay
from app.rules.settlement import FailureCode, RefundState
from tests.channels.wechat_pay_faults import Fault, error, says
from tests.channels.wechat_pay_scene import DAY, MINUTE, NOON, PAYMENT, Scene, our_credentials, part, scene

SECOND = timedelta(seconds=1)


def failed(said: object) -> FailureCode:
    assert isinstance(said, Told)
    assert said.state is RefundState.FAILED
    assert said.failure is not None
    assert (said.amount, said.channel_refund_no) == (None, None)
    return said.failure.code


class Fixed:
    """An exchange with one answer."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    async def send(self, request: Request) -> Reply:
        del request
        return self.reply


def answering(reply: Reply) -> WechatPay:
    return WechatPay(our_credentials(), Fixed(reply), nonce=lambda: "n" * 32)


async def shown(made: Scene) -> dict[str, object]:
    """The true answer to a query, to be spoilt."""
    await made.adapter.submit(PAYMENT, made.now)
    return made.gateway._shown(made.gateway.refunds[PAYMENT.refund_no], made.now)


def test_it_is_an_adapter() -> None:
    adapter: Adapter = scene().adapter
    assert adapter.next_query(0) == MINUTE


async def test_a_refund_is_taken_and_later_paid() -> None:
    made = scene()
    taken = await made.adapter.submit(PAYMENT, made.now)
    assert isinstance(taken, Told)
    assert taken == Told(RefundState.PROCESSING, 20_000, "CNY", taken.channel_refund_no)
    assert made.gateway.paid_out("P-1001") == 0
    begun = made.now
    paid = await made.adapter.query(PAYMENT, made.pass_by(3 * MINUTE))
    ends_at = (begun + 3 * MINUTE).replace(microsecond=0)
    assert paid == Told(RefundState.SUCCEEDED, 20_000, "CNY", taken.channel_refund_no, ends_at)
    assert made.gateway.paid_out("P-1001") == 20_000


async def test_what_is_sent_is_what_the_documentation_asks_for() -> None:
    made = scene()
    await made.adapter.submit(PAYMENT, made.now)
    (asked,) = made.gateway.requests
    assert (asked.method, asked.url) == ("POST", "https://api.mch.weixin.qq.com/v3/refund/domestic/refunds")
    assert json.loads(asked.body) == {
        "out_trade_no": "P-1001",
        "out_refund_no": PAYMENT.refund_no,
        "reason": "卡密无法使用",
        "notify_url": PAYMENT.notify_url,
        "amount": {"refund": 20_000, "total": 50_000, "currency": "CNY"},
    }


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("退" * 27, "退" * 26),
        ("a" + "退" * 27, "a" + "退" * 26),
        ("ab" + "退" * 27, "ab" + "退" * 26),
        ("x" * 81, "x" * 80),
        ("一\n二\x00\u202e三", "一二三"),
        ("😀" * 21, "😀" * 20),
        ("\ud800", None),
        ("", None),
    ],
)
async def test_a_reason_is_cut_between_characters(text: str, sent: str | None) -> None:
    made = scene()
    assert isinstance(await made.adapter.submit(replace(PAYMENT, reason_text=text), made.now), Told)
    assert json.loads(made.gateway.requests[0].body).get("reason") == sent


@pytest.mark.parametrize("url", [None, "https://shop.example.com/?a=1", "https://shop.example.com/" + "x" * 256])
async def test_a_notify_url_that_would_spoil_the_refund_is_left_out(url: str | None) -> None:
    made = scene()
    said = await made.adapter.submit(replace(PAYMENT, notify_url=url), made.now)
    assert isinstance(said, Told)
    assert said.state is RefundState.PROCESSING
    assert "notify_url" not in json.loads(made.gateway.requests[0].body)


async def test_the_same_number_pays_once_and_another_amount_under_it_is_refused() -> None:
    made = scene()
    first = await made.adapter.submit(PAYMENT, made.now)
    assert await made.adapter.submit(PAYMENT, made.now) == first
    assert failed(await made.adapter.submit(replace(PAYMENT, amount=1), made.now)) is FailureCode.REJECTED
    made.pass_by(DAY)
    assert made.gateway.paid_out("P-1001") == 20_000


@pytest.mark.parametrize(
    ("status", "state", "failure"),
    [
        ("ABNORMAL", RefundState.ABNORMAL, FailureCode.ACCOUNT_GONE),
        ("CLOSED", RefundState.CLOSED, FailureCode.REJECTED),
    ],
)
async def test_a_refund_that_does_not_arrive(status: str, state: RefundState, failure: FailureCode) -> None:
    made = scene()
    await made.adapter.submit(PAYMENT, made.now)
    made.gateway.end(PAYMENT.refund_no, status)
    for said in (await made.adapter.query(PAYMENT, made.now), await made.adapter.submit(PAYMENT, made.now)):
        assert isinstance(said, Told)
        assert (said.state, said.at) == (state, None)
        assert said.failure is not None
        assert said.failure.code is failure
    assert made.gateway.paid_out("P-1001") == 0


async def test_a_refund_that_nobody_asked_for_is_unknown() -> None:
    made = scene()
    assert await made.adapter.query(PAYMENT, made.now) == Unknown()


async def test_no_balance_fails_and_the_same_number_may_be_tried_again() -> None:
    made = scene()
    made.gateway.balance = 19_999
    assert failed(await made.adapter.submit(PAYMENT, made.now)) is FailureCode.INSUFFICIENT_BALANCE
    made.gateway.balance = 20_000
    again = await made.adapter.submit(PAYMENT, made.now)
    assert isinstance(again, Told)
    assert again.state is RefundState.PROCESSING


async def test_refusals_of_the_gateway_fail_the_refund_in_its_words() -> None:
    made = scene()
    made.gateway.account_gone = True
    assert failed(await made.adapter.submit(PAYMENT, made.now)) is FailureCode.ACCOUNT_GONE
    made.gateway.account_gone = False
    for asked in (
        replace(PAYMENT, amount=50_001, payment_amount=50_001),
        replace(PAYMENT, amount=50_001),
        replace(PAYMENT, payment_no="P-1002"),
        replace(PAYMENT, refund_no="rf 1"),
        replace(PAYMENT, currency="USD"),
    ):
        assert failed(await made.adapter.submit(asked, made.now)) is FailureCode.REJECTED
    said = await made.adapter.submit(replace(PAYMENT, amount=50_001), made.now)
    assert isinstance(said, Told)
    assert said.failure is not None
    assert said.failure.message == "INVALID_REQUEST: 申请退款金额大于订单可退金额"


async def test_the_gateway_keeps_its_own_limits() -> None:
    """Of the fake: it refuses what the adapter's restraint would have kept back."""
    made = scene()
    for place in range(50):
        assert isinstance(await made.adapter.submit(part(place, 1), made.now), Told)
        if place == 0:
            early = await made.adapter.submit(part(99, 1), made.pass_by(59 * SECOND))
            assert early == Unclear("frequency_limited")
        made.pass_by(MINUTE)
    assert failed(await made.adapter.submit(part(50, 1), made.now)) is FailureCode.REJECTED
    made.gateway.pay("P-old", 100, NOON - 366 * DAY)
    old = replace(PAYMENT, refund_no="rf2", payment_no="P-old", amount=1, payment_amount=100)
    assert failed(await made.adapter.submit(old, made.now)) is FailureCode.REJECTED


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"paid_at": NOON - 365 * DAY - SECOND}, FailureCode.TOO_LATE),
        ({"earlier": 50}, FailureCode.TOO_MANY),
        ({"earlier": 73}, FailureCode.TOO_MANY),
        ({"currency": "USD"}, FailureCode.REJECTED),
    ],
)
def test_what_can_never_work_is_known_before_asking(change: dict[str, object], code: FailureCode) -> None:
    made = scene()
    assert failed(made.adapter.obstacle(replace(PAYMENT, **change), NOON)) is code  # type: ignore[arg-type]
    assert made.gateway.requests == []


def test_a_minute_lies_between_refunds_of_one_payment() -> None:
    adapter, begun = scene().adapter, NOON - 59 * SECOND
    second = replace(PAYMENT, earlier=1, last_begun_at=begun)
    assert adapter.obstacle(second, NOON) == NotNow(begun + MINUTE)
    assert adapter.obstacle(second, begun + MINUTE) is None


@pytest.mark.parametrize("change", [{}, {"paid_at": NOON - 365 * DAY}, {"earlier": 49}])
def test_otherwise_nothing_stands_in_the_way(change: dict[str, object]) -> None:
    assert scene().adapter.obstacle(replace(PAYMENT, **change), NOON) is None  # type: ignore[arg-type]


UNCLEAR = {
    Fault.TIME_OUT_BEFORE: Unclear("timed_out"),
    Fault.SERVER_ERROR: Unclear("system_error"),
    Fault.BAD_GATEWAY: Unclear("http_502"),
    Fault.RATE_LIMITED: Unclear("frequency_limited", 30 * SECOND),
    Fault.OLD_ORDER_LIMITED: Unclear("invalid_request"),
    Fault.SIGN_ERROR: Unclear("sign_error"),
    Fault.NO_AUTH: Unclear("no_auth"),
    Fault.FORGED_SUCCESS: Unclear("bad_signature"),
    Fault.FORGED_ABSENCE: Unclear("bad_signature"),
    Fault.TIME_OUT_AFTER: Unclear("timed_out"),
    Fault.SERVER_ERROR_AFTER: Unclear("system_error"),
    Fault.GARBAGE_AFTER: Unclear("malformed_answer"),
    Fault.TRUNCATED_AFTER: Unclear("bad_signature"),
    Fault.WRONG_SIGNATURE_AFTER: Unclear("bad_signature"),
    Fault.SIGNTEST_AFTER: Unclear("bad_signature"),
    Fault.UNSIGNED_AFTER: Unclear("bad_signature"),
    Fault.STALE_AFTER: Unclear("stale_signature"),
    Fault.UNKNOWN_SERIAL_AFTER: Unclear("bad_signature"),
}


def test_every_fault_is_tried() -> None:
    assert set(UNCLEAR) | {Fault.NONE, Fault.NOT_ENOUGH} == set(Fault)


@pytest.mark.parametrize("fault", UNCLEAR)
async def test_trouble_concludes_nothing_and_the_next_question_finds_the_truth(fault: Fault) -> None:
    made = scene()
    made.gateway.faults.append(fault)
    assert await made.adapter.submit(PAYMENT, made.now) == UNCLEAR[fault]
    took_effect = fault.endswith("_after")
    known = await made.adapter.query(PAYMENT, made.now)
    assert isinstance(known, Told) is took_effect
    assert (known == Unknown()) is not took_effect
    made.gateway.faults.append(fault)
    assert await made.adapter.query(PAYMENT, made.now) == UNCLEAR[fault]
    await made.adapter.submit(PAYMENT, made.now)
    made.pass_by(DAY)
    assert made.gateway.paid_out("P-1001") == 20_000


@pytest.mark.parametrize(("wait", "kept"), [("0", timedelta()), ("90000", DAY), ("9" * 400, None), ("Wed", None)])
async def test_a_wait_is_taken_over_within_reason(wait: str, kept: timedelta | None) -> None:
    reply = error(429, "FREQUENCY_LIMITED", "频率限制", NOON, **{"retry-after": wait})
    assert await answering(reply).submit(PAYMENT, NOON) == Unclear("frequency_limited", kept)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "PAID"},
        {"status": None},
        {"refund_id": 5},
        {"refund_id": ""},
        {"refund_id": "5" * 65},
        {"success_time": None},
        {"success_time": "2026-03-10T12:00:00"},
        {"success_time": "2026-03-10 12:00:00+08:00"},
        {"success_time": "2026-02-30T12:00:00+08:00"},
        {"success_time": "0001-01-01T00:00:00+14:00"},
        {"amount": None},
        {"amount": {"refund": 200.0, "currency": "CNY"}},
        {"amount": {"refund": "20000", "currency": "CNY"}},
        {"amount": {"refund": True, "currency": "CNY"}},
        {"amount": {"refund": 0, "currency": "CNY"}},
        {"amount": {"refund": 10**400, "currency": "CNY"}},
        {"amount": {"refund": 20_000, "currency": "cny"}},
        {"amount": {"refund": 20_000, "currency": 156}},
    ],
)
async def test_an_answer_of_another_form_is_not_read_into(change: dict[str, object]) -> None:
    document = {**await shown(scene()), "status": "SUCCESS", "success_time": "2026-03-10T12:00:00+08:00", **change}
    adapter = answering(says(200, document, NOON))
    assert await adapter.query(PAYMENT, NOON) == Unclear("malformed_answer")
    assert await adapter.submit(PAYMENT, NOON) == Unclear("malformed_answer")


async def test_the_change_is_what_made_the_answer_unreadable() -> None:
    document = {**await shown(scene()), "status": "SUCCESS", "success_time": "2026-03-10T12:00:00+08:00"}
    assert isinstance(await answering(says(200, document, NOON)).query(PAYMENT, NOON), Told)


@pytest.mark.parametrize("change", [{"out_refund_no": "rf2"}, {"out_trade_no": "P-9"}])
async def test_an_answer_about_another_refund_is_not_ours(change: dict[str, object]) -> None:
    said = await answering(says(200, {**await shown(scene()), **change}, NOON)).query(PAYMENT, NOON)
    assert isinstance(said, Unclear)
    assert said.code.startswith("another_")


async def test_another_amount_and_currency_are_passed_on_for_others_to_weigh() -> None:
    document = {**await shown(scene()), "amount": {"refund": 1, "total": 50_000, "currency": "HKD"}}
    said = await answering(says(200, document, NOON)).query(PAYMENT, NOON)
    assert isinstance(said, Told)
    assert (said.amount, said.currency) == (1, "HKD")


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "MCH_NOT_EXISTS"), (403, "REQUEST_BLOCKED"), (400, "SOMETHING_NEW"), (301, "MOVED"), (202, "ACCEPTED")],
)
async def test_an_error_that_says_nothing_of_the_refund_leaves_it_where_it_is(status: int, code: str) -> None:
    adapter = answering(error(status, code, "…", NOON))
    assert await adapter.submit(PAYMENT, NOON) == Unclear(code.lower())
    assert await adapter.query(PAYMENT, NOON) == Unclear(code.lower())


@pytest.mark.parametrize("code", ["NOT_ENOUGH", "USER_ACCOUNT_ABNORMAL", "INVALID_REQUEST", "PARAM_ERROR"])
async def test_a_question_is_never_answered_by_an_error(code: str) -> None:
    assert await answering(error(400, code, "…", NOON)).query(PAYMENT, NOON) == Unclear(code.lower())


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b'{"code":"A","code":"B"}', b"[" * 100_000])
async def test_odd_bodies_are_unclear(body: bytes) -> None:
    for status in (500, 503):
        assert await answering(Reply(status, {}, body)).submit(PAYMENT, NOON) == Unclear(f"http_{status}")
    for status in (200, 204, 400, 404):
        assert await answering(Reply(status, {}, body)).query(PAYMENT, NOON) == Unclear("bad_signature")


def test_questions_come_ever_more_rarely_and_never_end() -> None:
    plan = [scene().adapter.next_query(asked) for asked in range(20)]
    assert plan == sorted(plan)
    assert (plan[0], plan[1], max(plan)) == (MINUTE, 5 * MINUTE, DAY)


async def test_a_payment_cannot_be_looked_at() -> None:
    assert await scene().adapter.look_at_payment("P-1001", 50_000, NOON) is None
