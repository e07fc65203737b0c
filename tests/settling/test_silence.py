"""A channel that does not answer any more, or only contradicts: every refund comes into somebody's hands in the end."""

from uuid import UUID

import pytest

from app.outbound.channels.exchange import Reply, Request, Unanswered
from app.rules.settlement import FailureCode, RefundState
from app.services import repair, settling
from app.services.channel_answers import ASKED_IN_VAIN
from app.services.repair import GivenUp
from app.store.case_rows import RefundRow
from app.store.cases import CaseStore
from app.store.engine import transaction
from app.store.settling import SettlingStore
from tests.channels import wechat_pay_faults
from tests.settling.gateways import KINDS
from tests.settling.scene import DAY, HOUR, MINUTE, Scene

WECHAT, _, _, V2 = (kind.channel for kind in KINDS)
FEN = 10_000


async def dead(_: Request) -> Reply:
    raise Unanswered("connect_failed")


async def refund(scene: Scene, refund_id: UUID) -> RefundRow:
    return (await scene.view(refund_id)).refund


async def under_way(scene: Scene) -> UUID:
    """A refund that the channel has."""
    [refund_id] = await scene.granted((WECHAT, FEN))
    await scene.step()
    assert await scene.state(refund_id) is RefundState.PROCESSING
    return refund_id


async def test_what_the_channel_has_comes_to_a_person_when_it_falls_silent(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund_id = await under_way(scene)
    with monkeypatch.context() as patched:
        patched.setattr(scene.gateways, "send", dead)
        await scene.steps(30 * DAY, every=12 * HOUR)
        assert await scene.state(refund_id) is RefundState.ABNORMAL
        assert len(await scene.told(refund_id, "refund.abnormal")) == 1
    await scene.steps(2 * DAY, every=12 * HOUR)
    assert await scene.state(refund_id) is RefundState.SUCCEEDED


async def test_a_person_may_close_it_then(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    refund_id = await under_way(scene)
    monkeypatch.setattr(scene.gateways, "send", dead)
    await scene.steps(30 * DAY, every=12 * HOUR)
    async with transaction(scene.engine) as connection:
        wish = GivenUp("op-1", FailureCode.OTHER, "商户号已注销")
        await repair.close(CaseStore(connection, scene.site_id), refund_id, wish)
    assert await scene.state(refund_id) is RefundState.CLOSED


async def test_a_channel_that_only_contradicts_has_settled_nothing(scene: Scene) -> None:
    refund_id = await under_way(scene)
    scene.gateways.wechat.refunds[(await refund(scene, refund_id)).refund_no].amount = FEN - 1
    await scene.steps(HOUR, every=MINUTE)
    row = await refund(scene, refund_id)
    assert (row.state, row.last_said is None) == (RefundState.PROCESSING, False)
    await scene.steps(30 * DAY, every=12 * HOUR)
    assert await scene.state(refund_id) is RefundState.ABNORMAL


async def test_a_retry_that_meets_a_question_is_not_put_off(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.gateways.wechat.faults.append(wechat_pay_faults.Fault.TIME_OUT_BEFORE)
    [refund_id] = await scene.granted((WECHAT, FEN))
    with monkeypatch.context() as patched:
        patched.setattr(scene.gateways, "send", dead)
        await scene.steps(5 * DAY, every=6 * HOUR)
        row = await refund(scene, refund_id)
        assert (row.state, row.next_step_at is None) == (RefundState.ABNORMAL, False)
        await scene.steps(DAY, every=HOUR)
        while not (leased := await settling.lease_due(scene.engine, limit=8, elapsed=scene.time.elapsed)):
            await scene.time.pass_by(HOUR)
        await scene.retry(refund_id)
        await settling.step(scene.engine, scene.channels, leased[0])
    await scene.steps(HOUR, every=MINUTE)
    row = await refund(scene, refund_id)
    assert row.state is RefundState.SUCCEEDED
    assert row.asked < ASKED_IN_VAIN


async def test_hints_wear_nobody_s_patience_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """An aggregator's signed notice is in the buyer's browser too, and never too old: it may come at any time."""
    [refund_id] = await scene.granted((V2, FEN))
    monkeypatch.setattr(scene.gateways, "send", dead)
    await scene.steps(5 * MINUTE)
    before = await refund(scene, refund_id)
    account_id, payment_no = scene.accounts[V2].account_id, before.payment_no
    for _ in range(2 * ASKED_IN_VAIN):
        async with transaction(scene.engine) as connection:
            store = SettlingStore(connection, scene.site_id)
            await store.hurry(account_id, refund_no=None, payment_no=payment_no, now=scene.time.at)
        await scene.step()
    after = await refund(scene, refund_id)
    assert after.state is RefundState.REQUESTED
    assert after.asked - before.asked <= 1
