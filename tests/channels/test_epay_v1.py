"""易支付 V1: the call that pays again each time is made only where the order says that nothing went back."""

from datetime import timedelta

import pytest

from app.outbound.channels.said import NotNow, PaymentSeen, Said, Told, Unclear, Unknown
from app.rules.settlement import FailureCode, RefundState
from tests.channels.epay_faults import Fault
from tests.channels.epay_scene import PAYMENT, Scene, changing, instruction


@pytest.fixture
def scene() -> Scene:
    return Scene("v1")


def _failure(said: Said | None) -> tuple[RefundState, FailureCode]:
    assert isinstance(said, Told)
    assert said.failure is not None
    return said.state, said.failure.code


async def test_a_full_refund_is_paid_once_and_settled_by_the_order(scene: Scene) -> None:
    said = await scene.adapter().submit(instruction(), scene.clock.now())
    assert said == Told(RefundState.SUCCEEDED, 10_000, "CNY")
    assert scene.gateway.paid_out(PAYMENT) == 10_000
    assert scene.gateway.calls == ["v1/order", "v1/refund", "v1/order"]


async def test_a_newer_server_acknowledges_with_0(scene: Scene) -> None:
    scene.gateway.acknowledges_with = 0
    assert await scene.adapter().submit(instruction(), scene.clock.now()) == Told(RefundState.SUCCEEDED, 10_000, "CNY")


@pytest.mark.parametrize("tells", [True, False])
async def test_a_repeated_submission_pays_nothing(scene: Scene, tells: bool) -> None:
    scene.gateway.tells_refunded = tells
    for _ in range(3):
        await scene.adapter().submit(instruction(7_000), scene.clock.now())
    assert scene.refund_calls == 1
    assert scene.gateway.paid_out(PAYMENT) == 7_000


@pytest.mark.parametrize(
    "fault", [Fault.LOST_AFTER, Fault.DOWN_AFTER, Fault.HTML_AFTER, Fault.GARBAGE_AFTER, Fault.EMPTY_AFTER]
)
async def test_a_success_whose_answer_is_lost_is_found_at_the_order(scene: Scene, fault: Fault) -> None:
    scene.gateway.tells_refunded = True
    scene.gateway.faults["v1/refund"].append(fault)
    assert isinstance(await scene.adapter().submit(instruction(), scene.clock.now()), Unclear)
    assert await scene.adapter().submit(instruction(), scene.clock.now()) == Told(RefundState.SUCCEEDED, 10_000, "CNY")
    assert (scene.refund_calls, scene.gateway.paid_out(PAYMENT)) == (1, 10_000)


async def test_where_the_order_tells_no_amount_a_lost_answer_is_left_to_a_person(scene: Scene) -> None:
    scene.gateway.faults["v1/refund"].append(Fault.LOST_AFTER)
    assert await scene.adapter().submit(instruction(), scene.clock.now()) == Unclear("timed_out")
    for said in (
        await scene.adapter().query(instruction(), scene.clock.now()),
        await scene.adapter().submit(instruction(), scene.clock.now()),
    ):
        assert _failure(said) == (RefundState.ABNORMAL, FailureCode.OTHER)
    assert scene.refund_calls == 1


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.DOWN_BEFORE, Fault.HTML_BEFORE, Fault.RATE_LIMITED])
async def test_a_call_that_never_arrived_is_made_again(scene: Scene, fault: Fault) -> None:
    scene.gateway.faults["v1/refund"].append(fault)
    assert isinstance(await scene.adapter().submit(instruction(), scene.clock.now()), Unclear)
    assert await scene.adapter().query(instruction(), scene.clock.now()) == Unknown()
    await scene.adapter().submit(instruction(), scene.clock.now())
    assert scene.gateway.paid_out(PAYMENT) == 10_000


@pytest.mark.parametrize("fault", list(Fault)[:9])
async def test_without_a_clear_look_at_the_order_nothing_is_paid(scene: Scene, fault: Fault) -> None:
    scene.gateway.faults["v1/order"].append(fault)
    assert isinstance(await scene.adapter().submit(instruction(), scene.clock.now()), Unclear)
    assert scene.refund_calls == 0


async def test_an_acknowledged_refund_that_does_not_show_yet_is_under_way(scene: Scene) -> None:
    scene.gateway.shows_after = timedelta(hours=1)
    scene.gateway.tells_refunded = True
    said = await scene.adapter().submit(instruction(), scene.clock.now())
    assert said == Told(RefundState.PROCESSING, 10_000, "CNY")
    again = await scene.adapter().submit(instruction(), scene.clock.now())
    assert again == Unclear("refund_may_be_under_way")
    scene.clock.pass_by(timedelta(hours=1))
    assert await scene.adapter().query(instruction(), scene.clock.now()) == Told(RefundState.SUCCEEDED, 10_000, "CNY")
    assert scene.gateway.paid_out(PAYMENT) == 10_000


async def test_an_order_that_lags_behind_cannot_make_us_pay_twice_even_with_a_surcharge(scene: Scene) -> None:
    scene.gateway.add_order(PAYMENT, 10_000, surcharge=600)
    scene.gateway.shows_after = timedelta(days=1)
    for _ in range(5):
        await scene.adapter().submit(instruction(6_667), scene.clock.now())
    assert scene.refund_calls > 1
    assert scene.gateway.paid_out(PAYMENT) == 6_667


@pytest.mark.parametrize("amount", [1, 5_000, 6_666])
async def test_a_small_part_is_never_called_for(scene: Scene, amount: int) -> None:
    asked = instruction(amount)
    for said in (
        scene.adapter().obstacle(asked, scene.clock.now()),
        await scene.adapter().submit(asked, scene.clock.now()),
        await scene.adapter().query(asked, scene.clock.now()),
    ):
        assert _failure(said) == (RefundState.ABNORMAL, FailureCode.OTHER)
    assert scene.refund_calls == 0


async def test_a_small_part_that_a_person_refunded_by_hand_is_settled_by_the_order(scene: Scene) -> None:
    scene.gateway.tells_refunded = True
    scene.gateway.refund_by_hand(PAYMENT, 2_000)
    said = await scene.adapter().query(instruction(2_000), scene.clock.now())
    assert said == Told(RefundState.SUCCEEDED, 2_000, "CNY")


@pytest.mark.parametrize("tells", [True, False])
async def test_a_second_refund_over_a_payment_is_for_a_person(scene: Scene, tells: bool) -> None:
    scene.gateway.tells_refunded = tells
    second = instruction(9_000, earlier=1, last_begun_at=scene.clock.now())
    assert _failure(scene.adapter().obstacle(second, scene.clock.now()))[1] is FailureCode.TOO_MANY
    assert _failure(await scene.adapter().submit(second, scene.clock.now()))[0] is RefundState.ABNORMAL
    scene.gateway.refund_by_hand(PAYMENT, 9_000)
    assert _failure(await scene.adapter().query(second, scene.clock.now()))[0] is RefundState.ABNORMAL
    assert scene.refund_calls == 0


@pytest.mark.parametrize(("tells", "by_hand"), [(True, 3_000), (False, 3_000), (False, 10_000)])
async def test_what_somebody_else_refunded_stops_the_call(scene: Scene, tells: bool, by_hand: int) -> None:
    scene.gateway.tells_refunded = tells
    scene.gateway.refund_by_hand(PAYMENT, by_hand)
    said = await scene.adapter().submit(instruction(), scene.clock.now())
    assert _failure(said) == (RefundState.ABNORMAL, FailureCode.OTHER)
    assert scene.gateway.paid_out(PAYMENT) == by_hand


async def test_exactly_this_amount_refunded_by_somebody_else_is_as_good(scene: Scene) -> None:
    scene.gateway.tells_refunded = True
    scene.gateway.refund_by_hand(PAYMENT, 10_000)
    assert await scene.adapter().submit(instruction(), scene.clock.now()) == Told(RefundState.SUCCEEDED, 10_000, "CNY")
    assert scene.refund_calls == 0


async def test_an_empty_balance_fails_and_can_be_tried_again(scene: Scene) -> None:
    scene.gateway.balance = 0
    said = await scene.adapter().submit(instruction(), scene.clock.now())
    assert _failure(said) == (RefundState.FAILED, FailureCode.INSUFFICIENT_BALANCE)
    scene.gateway.balance = 10_000
    said = await scene.adapter().submit(instruction(), scene.clock.now())
    assert said == Told(RefundState.SUCCEEDED, 10_000, "CNY")


async def test_a_refusal_for_another_reason_keeps_the_words(scene: Scene) -> None:
    scene.gateway.balance = 0
    scene.gateway.change = changing("v1/refund", code=-2, msg="商户未开启订单退款API接口\x07" + "长" * 300)
    said = await scene.adapter().submit(instruction(), scene.clock.now())
    assert _failure(said) == (RefundState.FAILED, FailureCode.REJECTED)
    assert isinstance(said, Told)
    assert said.failure is not None
    assert len(said.failure.message) == 200
    assert said.failure.message.isprintable()


@pytest.mark.parametrize(("status", "code"), [(0, FailureCode.REJECTED), (3, FailureCode.REJECTED)])
async def test_an_order_unpaid_or_frozen_there_is_for_a_person(scene: Scene, status: int, code: FailureCode) -> None:
    scene.gateway.add_order(PAYMENT, 10_000, status=status)
    assert _failure(await scene.adapter().submit(instruction(), scene.clock.now())) == (RefundState.ABNORMAL, code)
    assert scene.refund_calls == 0


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"out_trade_no": "another"}, "other_order"),
        ({"out_trade_no": None}, "other_order"),
        ({"pid": 1002}, "other_merchant"),
        ({"pid": None}, "other_merchant"),
        ({"money": "99.99"}, "other_amount"),
        ({"money": "-100.00"}, "other_amount"),
        ({"money": None}, "other_amount"),
        ({"status": 9}, "odd_status"),
        ({"status": None}, "odd_status"),
        ({"status": [1]}, "odd_status"),
        ({"refundmoney": "-1.00"}, "odd_amount"),
        ({"refundmoney": "1e3"}, "odd_amount"),
        ({"refundmoney": "200.01"}, "odd_amount"),
        ({"status": 0, "refundmoney": "1.00"}, "odd_status"),
        ({"code": -1, "msg": "订单号不存在"}, "order_unknown"),
        ({"code": "-3"}, "credentials_refused"),
        ({"code": -5, "msg": "No Act!"}, "refused"),
        ({"code": None}, "odd_code"),
        ({"code": "ok"}, "odd_code"),
        ({"code": 1.0}, "odd_code"),
    ],
)
async def test_an_odd_order_is_unclear_and_stops_everything(
    scene: Scene, changed: dict[str, object], code: str
) -> None:
    scene.gateway.change = changing("v1/order", **changed)
    for said in (
        await scene.adapter().submit(instruction(), scene.clock.now()),
        await scene.adapter().query(instruction(), scene.clock.now()),
        await scene.adapter().look_at_payment(PAYMENT, 10_000, scene.clock.now()),
    ):
        assert said == Unclear(code)
    assert scene.refund_calls == 0


async def test_an_absurd_amount_in_the_acknowledgement_is_unclear(scene: Scene) -> None:
    scene.gateway.change = changing("v1/refund", money="-100.00")
    assert await scene.adapter().submit(instruction(), scene.clock.now()) == Unclear("odd_amount")


async def test_another_amount_in_the_acknowledgement_is_passed_on(scene: Scene) -> None:
    scene.gateway.change = changing("v1/refund", money="1.00")
    assert await scene.adapter().submit(instruction(), scene.clock.now()) == Told(RefundState.SUCCEEDED, 100, "CNY")


async def test_a_payment_is_looked_at(scene: Scene) -> None:
    adapter = scene.adapter()
    assert await adapter.look_at_payment(PAYMENT, 10_000, scene.clock.now()) == PaymentSeen(0)
    scene.gateway.refund_by_hand(PAYMENT, 3_000)
    assert await adapter.look_at_payment(PAYMENT, 10_000, scene.clock.now()) == PaymentSeen(None)
    scene.gateway.tells_refunded = True
    assert await adapter.look_at_payment(PAYMENT, 10_000, scene.clock.now()) == PaymentSeen(3_000)


async def test_another_currency_is_never_asked_for(scene: Scene) -> None:
    foreign = instruction(currency="USD")
    assert _failure(scene.adapter().obstacle(foreign, scene.clock.now()))[0] is RefundState.ABNORMAL
    assert _failure(await scene.adapter().submit(foreign, scene.clock.now()))[0] is RefundState.ABNORMAL
    assert scene.gateway.calls == []


def test_nothing_stands_in_the_way_of_a_full_refund(scene: Scene) -> None:
    said: Told | NotNow | None = scene.adapter().obstacle(instruction(), scene.clock.now())
    assert said is None


def test_questions_become_rarer_but_never_end(scene: Scene) -> None:
    pauses = [scene.adapter().next_query(asked) for asked in range(30)]
    assert pauses == sorted(pauses)
    assert timedelta(0) < pauses[0] < pauses[-1] <= timedelta(days=1)


async def test_there_is_no_bill(scene: Scene) -> None:
    assert await scene.adapter().refunds_of_day(scene.clock.now().date(), scene.clock.now()) is None
