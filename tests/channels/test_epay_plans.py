"""Under any plan of faults and crashes a refund is paid at most once, and found where it was paid."""

import random
from datetime import timedelta

import pytest

from app.outbound.channels.said import Said, Told, Unclear, Unknown
from app.rules.settlement import RefundState
from tests.channels.epay_faults import Crash, Fault
from tests.channels.epay_scene import PAYMENT, Scene, instruction

_PLANS = 150
_ENDS = {RefundState.SUCCEEDED, RefundState.ABNORMAL}


def _faulty(scene: Scene, chance: random.Random) -> None:
    """Eight calls in which anything can happen, then a good day."""
    left = [chance.randint(1, 8)]

    def plan(kind: str) -> Fault | None:
        del kind
        left[0] -= 1
        return chance.choice(list(Fault)) if left[0] >= 0 and chance.random() < 0.7 else None

    scene.gateway.plan = plan


async def _drive(scene: Scene, chance: random.Random, amount: int) -> Said:
    """As a worker that forgets everything at each crash, and rather submits once too often than not."""
    said: Said = Unclear("not_asked")
    for _ in range(40):
        submitting = isinstance(said, Unknown) or chance.random() < 0.5
        adapter = scene.adapter()
        try:
            ask = adapter.submit if submitting else adapter.query
            said = await ask(instruction(amount), scene.clock.now())
        except Crash:
            said = Unclear("crashed")
        if isinstance(said, Told) and said.state in _ENDS:
            return said
        scene.clock.pass_by(timedelta(minutes=chance.randint(0, 30)))
    return said


def _scene(version: str, chance: random.Random) -> Scene:
    scene = Scene(version)
    scene.gateway.add_order(PAYMENT, 10_000, surcharge=chance.choice([0, 300]))
    scene.gateway.shows_after = timedelta(minutes=chance.choice([0, 0, 20, 200]))
    scene.gateway.tells_refunded = chance.random() < 0.5
    scene.gateway.acknowledges_with = chance.randint(0, 1)
    scene.gateway.balance = chance.choice([10**9, 10_000])
    _faulty(scene, chance)
    return scene


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_nothing_is_ever_paid_twice(version: str) -> None:
    for seed in range(_PLANS):
        chance = random.Random(seed)
        amount = chance.choice([10_000, 9_000, 6_667, 5_000, 100])
        scene = _scene(version, chance)
        said = await _drive(scene, chance, amount)
        paid = scene.gateway.paid_out(PAYMENT)
        assert paid in (0, amount), seed
        if isinstance(said, Told) and said.state is RefundState.SUCCEEDED:
            assert paid == amount, seed


async def test_with_numbers_every_refund_ends_and_is_paid() -> None:
    for seed in range(_PLANS):
        chance = random.Random(seed)
        scene = _scene("v2", chance)
        said = await _drive(scene, chance, 4_000)
        assert isinstance(said, Told), seed
        assert (said.state, said.amount) == (RefundState.SUCCEEDED, 4_000), seed
        assert scene.gateway.paid_out(PAYMENT) == 4_000, seed


async def test_where_the_order_tells_amounts_a_whole_refund_ends_on_v1() -> None:
    for seed in range(_PLANS):
        chance = random.Random(seed)
        scene = _scene("v1", chance)
        scene.gateway.tells_refunded = True
        said = await _drive(scene, chance, 10_000)
        assert said == Told(RefundState.SUCCEEDED, 10_000, "CNY"), seed
        assert scene.gateway.paid_out(PAYMENT) == 10_000, seed


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_somebody_else_at_work_does_not_make_us_pay_twice(version: str) -> None:
    for seed in range(_PLANS):
        chance = random.Random(seed)
        scene, by_hand = _scene(version, chance), chance.choice([1_000, 3_000])
        scene.gateway.balance = 10**9
        if chance.random() < 0.5:
            scene.gateway.refund_by_hand(PAYMENT, by_hand)
            said = await _drive(scene, chance, 7_000)
        else:
            said = await _drive(scene, chance, 7_000)
            if scene.gateway.paid_out(PAYMENT) <= 7_000:
                scene.gateway.refund_by_hand(PAYMENT, by_hand)
            await _drive(scene, chance, 7_000)
        assert scene.gateway.paid_out(PAYMENT) in (by_hand, by_hand + 7_000), seed
        if isinstance(said, Told) and said.state is RefundState.SUCCEEDED:
            assert scene.gateway.paid_out(PAYMENT) == by_hand + 7_000, seed
