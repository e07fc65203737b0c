"""Alipay as a channel adapter, against a gateway that behaves as documented."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outbound.channels.adapter import Adapter
from app.outbound.channels.alipay import Alipay, read_credentials
from app.outbound.channels.exchange import Reply
from app.outbound.channels.said import Instruction, NotNow, PaymentSeen, Told, Unclear, Unknown
from app.outbound.channels.yuan import fen, yuan
from app.rules.settlement import FailureCode, RefundState
from tests.channels.alipay_gateway import AlipayGateway, Fault
from tests.channels.alipay_keys import credentials_document

START = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
SHORT = timedelta(seconds=20)
ORDER = Instruction(
    refund_no="rf01jd0000000000000000000a",
    payment_no="P-1",
    amount=1234,
    payment_amount=5000,
    currency="CNY",
    reason_text="卡密无效",
    paid_at=START - timedelta(days=1),
    notify_url="https://kmr.example.com/v1/channels/notices/x",
)


class Scene:
    """A gateway with one payment, the adapter, and the time."""

    def __init__(self) -> None:
        self.now = START
        self.gateway = AlipayGateway(lambda: self.now)
        self.trade = self.gateway.pay("P-1", 5000, ORDER.paid_at)
        self.adapter: Adapter = Alipay(read_credentials(credentials_document()), self.gateway, nonce=lambda: "n")

    async def submit(self, order: Instruction = ORDER) -> object:
        return await self.adapter.submit(order, self.now)

    async def query(self, order: Instruction = ORDER) -> object:
        return await self.adapter.query(order, self.now)

    def wait(self, length: timedelta = SHORT) -> None:
        self.now += length


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_money_that_moved_with_the_call_has_gone_back(scene: Scene) -> None:
    number = f"{scene.trade.trade_no}:{ORDER.refund_no}"
    assert await scene.submit() == Told(RefundState.SUCCEEDED, channel_refund_no=number, at=START)
    assert scene.gateway.paid_out("P-1") == 1234


async def test_the_call_says_what_is_documented_and_no_more(scene: Scene) -> None:
    await scene.submit(replace(ORDER, reason_text="因" * 300))
    method, content = scene.gateway.called[0]
    assert method == "alipay.trade.refund"
    assert content == {
        "out_trade_no": "P-1",
        "out_request_no": ORDER.refund_no,
        "refund_amount": "12.34",
        "refund_reason": "因" * 256,
    }
    assert scene.gateway.requests[0].url == "https://openapi.alipay.com/gateway.do"
    assert "notify_url" not in dict(parse_qsl(scene.gateway.requests[0].body.decode()))


async def test_the_same_call_again_moves_nothing_and_proves_nothing(scene: Scene) -> None:
    await scene.submit()
    scene.wait()
    assert await scene.submit() == Told(RefundState.ACCEPTED)
    assert scene.gateway.paid_out("P-1") == 1234


async def test_the_query_says_success_with_its_amount_and_time(scene: Scene) -> None:
    submitted = await scene.submit()
    assert isinstance(submitted, Told)
    scene.wait()
    told = await scene.query()
    assert told == Told(RefundState.SUCCEEDED, 1234, "CNY", submitted.channel_refund_no, START)
    assert scene.gateway.called[-1][1]["query_options"] == ["gmt_refund_pay"]


async def test_a_query_that_comes_too_early_knows_nothing(scene: Scene) -> None:
    await scene.submit()
    scene.wait(timedelta(seconds=2))
    assert await scene.query() == Unknown()
    assert scene.adapter.next_query(0) >= timedelta(seconds=10)


async def test_a_number_that_was_never_submitted_is_unknown(scene: Scene) -> None:
    assert await scene.query() == Unknown()
    assert await scene.query(replace(ORDER, payment_no="P-other")) == Unknown()


async def test_a_yes_without_a_movement_is_followed_until_the_money_moves(scene: Scene) -> None:
    scene.gateway.faults.append(Fault.NOTHING_MOVED)
    assert await scene.submit() == Told(RefundState.ACCEPTED)
    scene.wait()
    assert await scene.query() == Unknown()
    assert scene.gateway.paid_out("P-1") == 0
    await scene.submit()
    assert scene.gateway.paid_out("P-1") == 1234


async def test_a_fund_change_that_is_left_out_proves_nothing(scene: Scene) -> None:
    scene.gateway.says = {"fund_change": None}
    assert await scene.submit() == Told(RefundState.ACCEPTED)


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ({"out_trade_no": "P-2"}, "another_payment"),
        ({"out_trade_no": None}, "another_payment"),
        ({"trade_no": ""}, "odd_answer"),
        ({"refund_fee": "0.01"}, "odd_answer"),
        ({"refund_fee": 12.34}, "odd_answer"),
        ({"refund_fee": "1e3"}, "odd_answer"),
    ],
)
async def test_a_success_that_does_not_fit_is_not_taken_for_one(
    scene: Scene, odd: dict[str, object], code: str
) -> None:
    scene.gateway.says = odd
    assert await scene.submit() == Unclear(code)


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ({"out_trade_no": "P-2"}, "another_payment"),
        ({"out_request_no": "rf-other"}, "another_refund"),
        ({"refund_amount": "1e3"}, "odd_answer"),
        ({"refund_amount": 12.34}, "odd_answer"),
        ({"trade_no": None}, "odd_answer"),
        ({"refund_status": None}, "no_refund_status"),
        ({"refund_status": "REFUND_FAIL"}, "unknown_refund_status"),
    ],
)
async def test_a_queried_success_that_does_not_fit_is_none(scene: Scene, odd: dict[str, object], code: str) -> None:
    await scene.submit()
    scene.wait()
    scene.gateway.says = odd
    assert await scene.query() == Unclear(code)


async def test_another_amount_is_passed_on_as_alipay_says_it(scene: Scene) -> None:
    await scene.submit()
    scene.wait()
    scene.gateway.says = {"refund_amount": "12.3"}
    told = await scene.query()
    assert isinstance(told, Told)
    assert (told.state, told.amount) == (RefundState.SUCCEEDED, 1230)


FAILED = [
    ("ACQ.SELLER_BALANCE_NOT_ENOUGH", FailureCode.INSUFFICIENT_BALANCE),
    ("aop.ACQ.SELLER_BALANCE_NOT_ENOUGH", FailureCode.INSUFFICIENT_BALANCE),
    ("ACQ.TRADE_HAS_FINISHED", FailureCode.TOO_LATE),
    ("ACQ.BUYER_NOT_EXIST", FailureCode.ACCOUNT_GONE),
    ("ACQ.BUYER_ERROR", FailureCode.ACCOUNT_GONE),
    ("ACQ.BUYER_ENABLE_STATUS_FORBID", FailureCode.ACCOUNT_GONE),
    ("ACQ.CUSTOMER_VALIDATE_ERROR", FailureCode.ACCOUNT_GONE),
    ("ACQ.TRADE_NOT_EXIST", FailureCode.REJECTED),
    ("ACQ.TRADE_STATUS_ERROR", FailureCode.REJECTED),
    ("ACQ.TRADE_HAS_CLOSE", FailureCode.REJECTED),
    ("ACQ.REASON_TRADE_REFUND_FEE_ERR", FailureCode.REJECTED),
    ("ACQ.REASON_TRADE_BEEN_FREEZEN", FailureCode.REJECTED),
    ("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", FailureCode.REJECTED),
    ("ACQ.DISCORDANT_REPEAT_REQUEST", FailureCode.REJECTED),
    ("ACQ.NOT_ALLOW_PARTIAL_REFUND", FailureCode.REJECTED),
    ("ACQ.INVALID_PARAMETER", FailureCode.OTHER),
]


@pytest.mark.parametrize(("sub_code", "code"), FAILED)
async def test_a_documented_refusal_fails_with_its_reason(scene: Scene, sub_code: str, code: FailureCode) -> None:
    scene.gateway.refusals.append(sub_code)
    told = await scene.submit()
    assert isinstance(told, Told)
    assert told.failure is not None
    assert (told.state, told.failure.code) == (RefundState.FAILED, code)
    assert told.failure.message == f"{sub_code.removeprefix('aop.')} 业务处理失败"


@pytest.mark.parametrize(("sub_code", "_code"), FAILED)
async def test_no_refusal_of_a_query_says_that_a_refund_failed(scene: Scene, sub_code: str, _code: FailureCode) -> None:
    await scene.submit()
    scene.wait()
    scene.gateway.refusals.append(sub_code)
    assert isinstance(await scene.query(), Unknown if sub_code == "ACQ.TRADE_NOT_EXIST" else Unclear)


@pytest.mark.parametrize(
    ("sub_code", "code"),
    [
        ("ACQ.SYSTEM_ERROR", "acq_system_error"),
        ("ACQ.REFUND_CHARGE_ERROR", "acq_refund_charge_error"),
        ("ACQ.NEVER_HEARD_OF", "acq_never_heard_of"),
        ("卡密 0001", "code_40004"),
        ("", "code_40004"),
    ],
)
async def test_an_open_or_unheard_of_refusal_is_unclear(scene: Scene, sub_code: str, code: str) -> None:
    scene.gateway.refusals.append(sub_code)
    assert await scene.submit() == Unclear(code)


async def test_an_empty_purse_can_be_filled_and_the_same_refund_tried_again(scene: Scene) -> None:
    scene.gateway.balance = 100
    told = await scene.submit()
    assert isinstance(told, Told)
    assert told.failure is not None
    assert told.failure.code is FailureCode.INSUFFICIENT_BALANCE
    scene.gateway.balance = 10_000
    again = await scene.submit()
    assert isinstance(again, Told)
    assert again.state is RefundState.SUCCEEDED
    assert scene.gateway.paid_out("P-1") == 1234


async def test_more_than_what_is_left_is_refused_and_nothing_is_paid(scene: Scene) -> None:
    scene.gateway.refund_by_hand("P-1", 4000)
    told = await scene.submit()
    assert isinstance(told, Told)
    assert told.failure is not None
    assert (told.state, told.failure.code) == (RefundState.FAILED, FailureCode.REJECTED)
    assert scene.gateway.paid_out("P-1") == 4000


async def test_a_number_that_paid_another_amount_is_told_with_that_amount(scene: Scene) -> None:
    """The refusal says that the number has paid already; what it paid is asked at once, so that it can be weighed."""
    await scene.submit(replace(ORDER, amount=1000))
    scene.wait()
    told = await scene.submit()
    assert isinstance(told, Told)
    assert (told.state, told.amount) == (RefundState.SUCCEEDED, 1000)
    assert scene.gateway.paid_out("P-1") == 1000


async def test_a_refusal_that_our_own_unheard_success_caused_is_no_failure(scene: Scene) -> None:
    scene.gateway.faults.append(Fault.TIME_OUT_AFTER)
    assert await scene.submit() == Unclear("timeout")
    scene.wait()
    scene.gateway.refusals.append("ACQ.TRADE_HAS_CLOSE")
    told = await scene.submit()
    assert isinstance(told, Told)
    assert (told.state, told.amount) == (RefundState.SUCCEEDED, 1234)


async def test_a_refusal_whose_cause_cannot_be_asked_stays_open(scene: Scene) -> None:
    scene.gateway.refusals.append("ACQ.TRADE_HAS_CLOSE")
    scene.gateway.faults.extend([Fault.NONE, Fault.TIME_OUT_BEFORE])
    assert await scene.submit() == Unclear("timeout")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.TIME_OUT_BEFORE, "timeout"),
        (Fault.TIME_OUT_AFTER, "timeout"),
        (Fault.SERVER_ERROR, "http_502"),
        (Fault.SERVER_ERROR_AFTER, "http_500"),
        (Fault.HTML, "garbage"),
        (Fault.GARBAGE_AFTER, "garbage"),
        (Fault.TRUNCATED_AFTER, "garbage"),
        (Fault.WRONG_SIGNATURE_AFTER, "bad_signature"),
        (Fault.NO_SIGNATURE_AFTER, "bad_signature"),
        (Fault.FORGED, "bad_signature"),
        (Fault.RATE_LIMITED, "rate_limited"),
        (Fault.UNAVAILABLE, "isp_unknow_error"),
        (Fault.SYSTEM_ERROR, "acq_system_error"),
        (Fault.SYSTEM_ERROR_AFTER, "acq_system_error"),
    ],
)
async def test_every_fault_is_unclear_on_every_way(scene: Scene, fault: Fault, code: str) -> None:
    ask: list[Callable[[], Awaitable[object]]] = [
        scene.submit,
        scene.query,
        lambda: scene.adapter.look_at_payment("P-1", 5000, scene.now),
        lambda: scene.adapter.refunds_of_day(START.date() - timedelta(days=1), scene.now),
    ]
    for question in ask:
        scene.gateway.faults.append(fault)
        said = await question()
        assert isinstance(said, Unclear)
        assert said.code == code
        assert (said.retry_after is not None) == (fault is Fault.RATE_LIMITED)


async def test_wrong_keys_are_a_fault_to_be_mended_and_no_failure() -> None:
    scene = Scene()
    strange = read_credentials(credentials_document() | {"app_id": "2021999999999999"})
    adapter = Alipay(strange, scene.gateway)
    assert await adapter.submit(ORDER, START) == Unclear("isv_invalid_app_id")


async def test_a_call_far_from_alipays_clock_is_refused_by_its_own_code(scene: Scene) -> None:
    assert await scene.adapter.submit(ORDER, START - timedelta(hours=2)) == Unclear("isv_invalid_timestamp")


async def test_two_refunds_of_one_trade_pay_what_each_is_of(scene: Scene) -> None:
    other = replace(ORDER, refund_no="rf02", amount=3766, earlier=1, last_begun_at=START)
    await scene.submit()
    assert scene.adapter.obstacle(other, START + timedelta(seconds=2)) == NotNow(START + timedelta(seconds=3))
    scene.wait(timedelta(seconds=3))
    assert scene.adapter.obstacle(other, scene.now) is None
    await scene.submit(other)
    scene.wait()
    told = await scene.query(other)
    assert isinstance(told, Told)
    assert (told.amount, scene.gateway.paid_out("P-1")) == (3766, 5000)


def test_a_trade_can_be_refunded_for_a_year_and_not_a_second_longer(scene: Scene) -> None:
    last = ORDER.paid_at + timedelta(days=365)
    assert scene.adapter.obstacle(ORDER, last) is None
    told = scene.adapter.obstacle(ORDER, last + timedelta(seconds=1))
    assert isinstance(told, Told)
    assert told.failure is not None
    assert (told.state, told.failure.code) == (RefundState.FAILED, FailureCode.TOO_LATE)


def test_only_yuan_can_be_refunded(scene: Scene) -> None:
    told = scene.adapter.obstacle(replace(ORDER, currency="USD"), START)
    assert isinstance(told, Told)
    assert told.failure is not None
    assert told.failure.code is FailureCode.REJECTED


async def test_a_trade_of_more_than_a_year_is_refused_by_alipay_too(scene: Scene) -> None:
    scene.trade.paid_at = START - timedelta(days=366)
    told = await scene.submit()
    assert isinstance(told, Told)
    assert told.failure is not None
    assert told.failure.code is FailureCode.TOO_LATE


async def test_a_payment_that_went_back_in_full_is_seen_whoever_did_it(scene: Scene) -> None:
    assert await scene.adapter.look_at_payment("P-1", 5000, START) is None
    scene.gateway.refund_by_hand("P-1", 1000)
    assert await scene.adapter.look_at_payment("P-1", 5000, START) is None
    scene.gateway.refund_by_hand("P-1", 4000)
    assert await scene.adapter.look_at_payment("P-1", 5000, START) == PaymentSeen(5000)


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ({"send_pay_date": None}, "never_paid"),
        ({"out_trade_no": "P-2"}, "another_payment"),
        ({"total_amount": "x"}, "odd_answer"),
    ],
)
async def test_a_closed_trade_that_tells_otherwise_is_unclear(scene: Scene, odd: dict[str, object], code: str) -> None:
    scene.gateway.refund_by_hand("P-1", 5000)
    scene.gateway.says = odd
    assert await scene.adapter.look_at_payment("P-1", 5000, START) == Unclear(code)


async def test_a_payment_that_alipay_does_not_know_is_unclear(scene: Scene) -> None:
    assert await scene.adapter.look_at_payment("P-9", 5000, START) == Unclear("acq_trade_not_exist")


def test_the_query_plan_grows_and_ends_in_a_steady_pace(scene: Scene) -> None:
    plan = [scene.adapter.next_query(asked) for asked in range(40)]
    assert plan == sorted(plan)
    assert plan[-1] == plan[-2] > timedelta(hours=1)


def test_alipay_hears_the_word_that_it_waits_for(scene: Scene) -> None:
    heard, missed = scene.adapter.answer_to_notice(accepted=True), scene.adapter.answer_to_notice(accepted=False)
    assert isinstance(heard, Reply)
    assert (heard.status, heard.body, missed.body) == (200, b"success", b"failure")


@given(st.integers(0, 10**12))
def test_an_amount_survives_the_way_to_yuan_and_back(amount: int) -> None:
    assert fen(yuan(amount)) == amount
    assert Decimal(yuan(amount)) * 100 == amount


async def test_the_amount_on_the_wire_is_exact_for_every_amount(scene: Scene) -> None:
    scene.gateway.pay("P-big", 10**10, ORDER.paid_at)
    scene.gateway.balance = 10**13
    paid = 0
    for step, amount in enumerate((1, 10, 99, 100, 101, 1010, 123456789, 9_000_000_000)):
        scene.wait()
        order = replace(ORDER, payment_no="P-big", refund_no=f"rf{step}", amount=amount)
        assert isinstance(await scene.submit(order), Told)
        paid += amount
    assert scene.gateway.paid_out("P-big") == paid


async def test_reasons_in_any_script_leave_as_ascii(scene: Scene) -> None:
    await scene.submit(replace(ORDER, reason_text="卡密 🂡 & = ? \ud800 \n"))
    body = scene.gateway.requests[0].body
    assert body.isascii()
    assert json.loads(dict(parse_qsl(body.decode()))["biz_content"])["refund_reason"].startswith("卡密")
