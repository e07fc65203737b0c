"""易支付 V2: one number, one refund; only signed answers are believed."""

from datetime import UTC, datetime, timedelta

import pytest

from app.outbound.channels.said import PaymentSeen, Said, Told, Unclear, Unknown
from app.rules.settlement import FailureCode, RefundState
from tests.channels.epay_faults import Fault
from tests.channels.epay_scene import PAYMENT, REFUND, Scene, changing, instruction


@pytest.fixture
def scene() -> Scene:
    return Scene("v2")


async def _settled(scene: Scene, **changed: object) -> Said:
    return await scene.adapter().query(instruction(**changed), scene.clock.now())  # type: ignore[arg-type]


async def test_the_acknowledgement_is_not_the_settlement(scene: Scene) -> None:
    said = await scene.adapter().submit(instruction(3_000), scene.clock.now())
    number = scene.gateway.orders[PAYMENT].made[0].refund_no
    assert said == Told(RefundState.PROCESSING, 3_000, "CNY", number)
    settled = await _settled(scene, amount=3_000)
    assert settled == Told(RefundState.SUCCEEDED, 3_000, "CNY", number, datetime(2026, 3, 1, 4, 0, tzinfo=UTC))


async def test_a_refund_that_is_confirmed_later_is_under_way_until_then(scene: Scene) -> None:
    scene.gateway.shows_after = timedelta(hours=2)
    await scene.adapter().submit(instruction(), scene.clock.now())
    pending = await _settled(scene)
    assert isinstance(pending, Told)
    assert (pending.state, pending.at) == (RefundState.PROCESSING, None)
    scene.clock.pass_by(timedelta(hours=2))
    settled = await _settled(scene)
    assert isinstance(settled, Told)
    assert settled.state is RefundState.SUCCEEDED


async def test_a_repeated_submission_pays_nothing(scene: Scene) -> None:
    for _ in range(3):
        await scene.adapter().submit(instruction(2_000), scene.clock.now())
    assert scene.gateway.paid_out(PAYMENT) == 2_000


async def test_several_parts_of_a_payment_are_told_apart_by_number(scene: Scene) -> None:
    numbers = [f"rf01jd8r6s000000000000000{n}" for n in range(3)]
    for earlier, number in enumerate(numbers):
        part = instruction(2_000, refund_no=number, earlier=earlier)
        assert isinstance(await scene.adapter().submit(part, scene.clock.now()), Told)
    assert [scene.gateway.paid_under(number) for number in numbers] == [2_000, 2_000, 2_000]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.LOST_AFTER,
        Fault.DOWN_AFTER,
        Fault.HTML_AFTER,
        Fault.GARBAGE_AFTER,
        Fault.EMPTY_AFTER,
        Fault.WRONG_SIGNATURE_AFTER,
        Fault.UNSIGNED_AFTER,
        Fault.STALE_AFTER,
    ],
)
async def test_a_success_whose_answer_is_no_use_is_found_by_number(scene: Scene, fault: Fault) -> None:
    scene.gateway.faults["v2/refund"].append(fault)
    assert isinstance(await scene.adapter().submit(instruction(2_000), scene.clock.now()), Unclear)
    said = await scene.adapter().submit(instruction(2_000), scene.clock.now())
    assert isinstance(said, Told)
    assert (said.state, said.amount) == (RefundState.SUCCEEDED, 2_000)
    assert (scene.refund_calls, scene.gateway.paid_out(PAYMENT)) == (1, 2_000)


@pytest.mark.parametrize("kind", ["v2/refundquery", "v2/query"])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.WRONG_SIGNATURE_AFTER, "bad_signature"),
        (Fault.UNSIGNED_AFTER, "bad_signature"),
        (Fault.STALE_AFTER, "stale_answer"),
    ],
)
async def test_an_answer_without_a_fresh_right_signature_is_never_believed(
    scene: Scene, kind: str, fault: Fault, code: str
) -> None:
    if kind == "v2/refundquery":
        await scene.adapter().submit(instruction(), scene.clock.now())
    scene.gateway.faults[kind].append(fault)
    assert await _settled(scene) == Unclear(code)


async def test_a_forged_success_over_an_unsigned_line_changes_nothing(scene: Scene) -> None:
    forged = {"code": 0, "out_refund_no": REFUND, "out_trade_no": PAYMENT, "money": "100.00", "status": 1}
    scene.gateway.change = changing("v2/refundquery", **forged, sign="AAAA")
    assert await _settled(scene) == Unclear("bad_signature")


async def test_an_error_with_a_wrong_signature_is_not_believed_either(scene: Scene) -> None:
    scene.gateway.change = changing("v2/refundquery", sign="AAAA")
    assert await _settled(scene) == Unclear("bad_signature")


async def test_a_refund_is_unknown_only_where_the_signed_order_agrees(scene: Scene) -> None:
    assert await _settled(scene) == Unknown()
    assert scene.gateway.calls == ["v2/refundquery", "v2/query"]
    scene.gateway.refund_by_hand(PAYMENT, 9_999)
    assert await _settled(scene) == Unknown()
    scene.gateway.refund_by_hand(PAYMENT, 1)
    assert await _settled(scene) == Unclear("order_shows_refunds")


async def test_a_server_that_ignores_our_numbers_is_not_asked_twice(scene: Scene) -> None:
    scene.gateway.ignores_numbers = True
    for _ in range(3):
        await scene.adapter().submit(instruction(2_000), scene.clock.now())
    assert scene.gateway.paid_out(PAYMENT) == 2_000


async def test_an_empty_balance_fails_and_can_be_tried_again(scene: Scene) -> None:
    scene.gateway.balance = 0
    said = await scene.adapter().submit(instruction(), scene.clock.now())
    assert isinstance(said, Told)
    assert said.failure is not None
    assert (said.state, said.failure.code) == (RefundState.FAILED, FailureCode.INSUFFICIENT_BALANCE)
    scene.gateway.balance = 10_000
    await scene.adapter().submit(instruction(), scene.clock.now())
    assert scene.gateway.paid_under(REFUND) == 10_000


async def test_a_refusal_of_what_was_paid_all_the_same_is_not_believed(scene: Scene) -> None:
    scene.gateway.change = changing("v2/refund", code=-1, msg="系统繁忙")
    said = await scene.adapter().submit(instruction(2_000), scene.clock.now())
    assert isinstance(said, Told)
    assert (said.state, said.amount) == (RefundState.SUCCEEDED, 2_000)


async def test_a_refusal_that_speaks_of_a_refund_is_unclear(scene: Scene) -> None:
    scene.gateway.change = changing("v2/refund", code=-2, msg="网关退款未确认，禁止自动重试")
    scene.gateway.balance = 0
    assert await scene.adapter().submit(instruction(), scene.clock.now()) == Unclear("refund_may_be_under_way")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"out_refund_no": "rf-another"}, "other_refund"),
        ({"out_refund_no": None}, "other_refund"),
        ({"out_trade_no": "another"}, "other_order"),
        ({"money": "-1.00"}, "odd_amount"),
        ({"money": "0.00"}, "odd_amount"),
        ({"money": None}, "odd_amount"),
        ({"status": 30}, "odd_status"),
        ({"status": None}, "odd_status"),
    ],
)
async def test_an_odd_record_is_unclear(scene: Scene, changed: dict[str, object], code: str) -> None:
    await scene.adapter().submit(instruction(), scene.clock.now())
    scene.gateway.change = changing("v2/refundquery", **changed)
    assert await _settled(scene) == Unclear(code)


async def test_another_amount_in_the_record_is_passed_on(scene: Scene) -> None:
    await scene.adapter().submit(instruction(), scene.clock.now())
    scene.gateway.change = changing("v2/refundquery", money="1.00")
    said = await _settled(scene)
    assert isinstance(said, Told)
    assert said.amount == 100


async def test_a_record_that_went_wrong_is_for_a_person(scene: Scene) -> None:
    await scene.adapter().submit(instruction(), scene.clock.now())
    scene.gateway.change = changing("v2/refundquery", status=2, endtime="not a time")
    said = await _settled(scene)
    assert isinstance(said, Told)
    assert said.state is RefundState.ABNORMAL


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"out_refund_no": "rf-another"}, "other_refund"), ({"money": "lots"}, "odd_amount")],
)
async def test_an_odd_acknowledgement_is_unclear(scene: Scene, changed: dict[str, object], code: str) -> None:
    scene.gateway.change = changing("v2/refund", **changed)
    assert await scene.adapter().submit(instruction(), scene.clock.now()) == Unclear(code)


async def test_a_wrong_clock_of_ours_is_refused_there_and_pays_nothing(scene: Scene) -> None:
    said = await scene.adapter().submit(instruction(), scene.clock.now() + timedelta(minutes=6))
    assert said == Unclear("refused")
    assert scene.gateway.paid_out(PAYMENT) == 0


async def test_a_payment_is_looked_at(scene: Scene) -> None:
    adapter = scene.adapter()
    assert await adapter.look_at_payment(PAYMENT, 10_000, scene.clock.now()) == PaymentSeen(0)
    scene.gateway.refund_by_hand(PAYMENT, 3_000)
    assert await adapter.look_at_payment(PAYMENT, 10_000, scene.clock.now()) == PaymentSeen(3_000)
    unknown = await adapter.look_at_payment("another", 10_000, scene.clock.now())
    assert unknown == Unclear("order_unknown")
    assert await adapter.look_at_payment(PAYMENT, 9_999, scene.clock.now()) == Unclear("other_amount")


async def test_numbers_may_come_as_text(scene: Scene) -> None:
    scene.gateway.numbers_as_text = True
    await scene.adapter().submit(instruction(), scene.clock.now())
    said = await _settled(scene)
    assert isinstance(said, Told)
    assert said.state is RefundState.SUCCEEDED


def test_parts_and_repetitions_are_no_obstacle(scene: Scene) -> None:
    part = instruction(1, earlier=40, last_begun_at=scene.clock.now())
    assert scene.adapter().obstacle(part, scene.clock.now()) is None
