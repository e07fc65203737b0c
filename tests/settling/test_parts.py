"""Several refunds over one payment: the pause that a channel wants between them is kept, however they become due."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from app.outbound.channels.exchange import Reply, Request
from app.rules.facts import Channel
from app.rules.settlement import RefundState
from app.services import settling
from tests.settling.gateways import KINDS
from tests.settling.scene import HOUR, MINUTE, SECOND, Scene

WECHAT, ALIPAY, _, _ = (kind.channel for kind in KINDS)
FEN = 10_000
PAUSES = pytest.mark.parametrize(("channel", "pause"), [(WECHAT, MINUTE), (ALIPAY, 3 * SECOND)])


@pytest.fixture
def asked_at(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[datetime]]:
    """When the channels were asked to pay."""
    moments: list[datetime] = []
    send = scene.gateways.send

    async def noting(request: Request) -> Reply:
        before = scene.gateways.asked_to_pay()
        reply = await send(request)
        moments.extend([scene.time.at] * (scene.gateways.asked_to_pay() - before))
        return reply

    with monkeypatch.context() as patched:
        patched.setattr(scene.gateways, "send", noting)
        yield moments


def shortest(moments: list[datetime]) -> timedelta:
    return min(later - earlier for earlier, later in pairwise(moments))


@PAUSES
async def test_two_that_are_due_at_once_take_turns(
    scene: Scene, asked_at: list[datetime], channel: Channel, pause: timedelta
) -> None:
    both = await scene.granted((channel, FEN), parts=(4_000, 3_000))
    await scene.step()
    assert len(asked_at) == 1
    await scene.steps(pause + MINUTE, every=SECOND)
    await scene.steps(HOUR, every=MINUTE)
    assert shortest(asked_at) >= pause
    assert [await scene.state(each) for each in both] == [RefundState.SUCCEEDED] * 2


@PAUSES
async def test_two_workers_at_once_ask_for_one(
    scene: Scene, asked_at: list[datetime], channel: Channel, pause: timedelta
) -> None:
    await scene.granted((channel, FEN), parts=(4_000, 3_000))
    leased = await settling.lease_due(scene.engine, limit=8, elapsed=scene.time.elapsed)
    await asyncio.gather(*(settling.step(scene.engine, scene.channels, each) for each in leased))
    assert (len(leased), len(asked_at)) == (2, 1)
    await scene.steps(pause + MINUTE, every=SECOND)
    assert shortest(asked_at) >= pause


@PAUSES
async def test_one_that_is_asked_for_again_counts_like_a_new_one(
    scene: Scene, asked_at: list[datetime], channel: Channel, pause: timedelta
) -> None:
    scene.gateways.set_balance(0)
    both = await scene.granted((channel, FEN), parts=(4_000, 3_000))
    await scene.steps(10 * MINUTE)
    assert [await scene.state(each) for each in both] == [RefundState.FAILED] * 2
    scene.gateways.set_balance(FEN)
    asked_at.clear()
    for each in both:
        await scene.retry(each)
    await scene.steps(pause + MINUTE, every=SECOND)
    await scene.steps(HOUR, every=MINUTE)
    assert len(asked_at) == 2
    assert shortest(asked_at) >= pause
    assert [await scene.state(each) for each in both] == [RefundState.SUCCEEDED] * 2
