"""What the service asks a channel, when, and what it makes of the answers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.errors import Busy, Conflict, Unavailable
from app.outbound.channels.exchange import Reply, Request, Unanswered
from app.outbound.channels.wechat_pay.adapter import PLAN
from app.rules.facts import Channel
from app.rules.settlement import FailureCode, RefundState
from app.services import refunds, settling
from app.services.settling import AFTER_A_FAULT
from app.store.case_rows import RefundRow
from app.store.refund_sql import LEASE
from tests.channels import alipay_gateway, wechat_pay_faults
from tests.channels.wechat_pay_books import Refunding
from tests.settling.gateways import BY_CHANNEL, KINDS, Kind
from tests.settling.scene import DAY, HOUR, MINUTE, SECOND, Scene
from tests.store.rows import OTHER_SITE

WECHAT, ALIPAY, V1, V2 = (kind.channel for kind in KINDS)
FEN = 10_000


async def refund(scene: Scene, refund_id: UUID) -> RefundRow:
    return (await scene.view(refund_id)).refund


async def one(scene: Scene, channel: Channel = WECHAT) -> UUID:
    """A refund that nobody has asked for yet."""
    [refund_id] = await scene.granted((channel, FEN))
    return refund_id


async def begun(scene: Scene, channel: Channel = WECHAT) -> UUID:
    """One that the channel has."""
    refund_id = await one(scene, channel)
    assert await scene.step() == 1
    return refund_id


def at_wechat(scene: Scene, row: RefundRow) -> Refunding:
    return scene.gateways.wechat.refunds[row.refund_no]


def kinds(told: Sequence[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in told]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_granted_refund_is_paid_once_and_told_once(scene: Scene, kind: Kind) -> None:
    refund_id = await one(scene, kind.channel)
    await scene.steps(20 * MINUTE)
    row = await refund(scene, refund_id)
    assert (row.state, row.next_step_at, row.account_id) == (
        RefundState.SUCCEEDED,
        None,
        scene.accounts[kind.channel].account_id,
    )
    assert scene.gateways.paid_out(kind.channel, row.payment_no) == FEN
    assert scene.gateways.asked_to_pay() == 1
    assert kinds(await scene.told(refund_id)) == ["refund.requested", "refund.succeeded"]
    asked = scene.gateways.asked_to_pay()
    await scene.steps(2 * DAY, every=6 * HOUR)
    assert scene.gateways.asked_to_pay() == asked


async def test_each_payment_of_an_order_goes_its_own_way(scene: Scene) -> None:
    ids = await scene.granted((WECHAT, 3_000), (ALIPAY, 2_000), (V1, 1_000), (V2, 4_000))
    await scene.steps(20 * MINUTE)
    assert [await scene.state(each) for each in ids] == [RefundState.SUCCEEDED] * 4
    assert scene.gateways.asked_to_pay() == 4


async def test_questions_follow_the_channel_s_plan(scene: Scene) -> None:
    scene.gateways.wechat.settles_after = 30 * DAY
    refund_id = await begun(scene)
    for pause in (*PLAN, PLAN[-1], PLAN[-1]):
        due = (await refund(scene, refund_id)).next_step_at
        assert due == scene.time.at + pause
        await scene.time.pass_by(pause - SECOND)
        assert await scene.step() == 0
        await scene.time.pass_by(SECOND)
        assert await scene.step() == 1
    assert scene.gateways.asked_to_pay() == 1


async def test_a_second_part_waits_as_the_channel_wants(scene: Scene) -> None:
    first, second = await scene.granted((WECHAT, FEN), parts=(4_000, 3_000))
    assert await scene.step(limit=1) == 1
    await scene.time.pass_by(SECOND)
    assert await scene.step() == 1
    rows = [await refund(scene, each) for each in (first, second)]
    waiting = next(row for row in rows if row.last_said == "not_now")
    asked = next(row for row in rows if row.last_said is None)
    assert waiting.next_step_at == scene.time.at - SECOND + MINUTE
    assert asked.state is RefundState.PROCESSING
    assert scene.gateways.asked_to_pay() == 1
    await scene.steps(HOUR, every=MINUTE)
    assert [await scene.state(each) for each in (first, second)] == [RefundState.SUCCEEDED] * 2
    assert scene.gateways.paid_out(WECHAT, waiting.payment_no) == 7_000


async def test_a_channel_that_is_asked_too_often_is_given_the_time_that_it_wants(scene: Scene) -> None:
    scene.gateways.alipay.faults.append(alipay_gateway.Fault.RATE_LIMITED)
    refund_id = await begun(scene, ALIPAY)
    row = await refund(scene, refund_id)
    assert (row.state, row.last_said) == (RefundState.REQUESTED, "rate_limited")
    assert row.next_step_at == scene.time.at + MINUTE


async def test_the_plan_s_own_pause_stands_where_it_is_the_longer_one(scene: Scene) -> None:
    scene.gateways.wechat.faults.append(wechat_pay_faults.Fault.RATE_LIMITED)  # Retry-After: 30
    refund_id = await begun(scene)
    assert (await refund(scene, refund_id)).next_step_at == scene.time.at + MINUTE


async def test_a_refund_that_the_channel_has_is_not_asked_for_again_when_it_does_not_know_it(scene: Scene) -> None:
    refund_id = await begun(scene)
    row = await refund(scene, refund_id)
    assert row.state is RefundState.PROCESSING
    kept = scene.gateways.wechat.refunds.pop(row.refund_no)
    await scene.time.pass_by(MINUTE)
    assert await scene.step() == 1
    row = await refund(scene, refund_id)
    assert (row.state, row.last_said, row.asked) == (RefundState.PROCESSING, "unknown_to_the_channel", 1)
    assert scene.gateways.asked_to_pay() == 1
    scene.gateways.wechat.refunds[row.refund_no] = kept
    await scene.steps(HOUR, every=MINUTE)
    assert await scene.state(refund_id) is RefundState.SUCCEEDED


async def test_what_the_channel_does_not_know_is_submitted_again_under_the_same_number(scene: Scene) -> None:
    scene.gateways.wechat.faults.append(wechat_pay_faults.Fault.TIME_OUT_BEFORE)
    refund_id = await begun(scene)
    row = await refund(scene, refund_id)
    assert (row.state, row.last_said, row.asked) == (RefundState.REQUESTED, "timed_out", 0)
    assert row.submitted_at == scene.time.at
    await scene.time.pass_by(MINUTE)
    await scene.step()
    after = await refund(scene, refund_id)
    assert (after.state, after.refund_no) == (RefundState.PROCESSING, row.refund_no)
    assert after.submitted_at == scene.time.at
    assert scene.gateways.asked_to_pay() == 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_that_it_is_asked_for_is_written_down_before(
    scene: Scene, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund_id, heard, send = await one(scene, kind.channel), [], scene.gateways.send

    async def look(request: Request) -> Reply:
        heard.append((await refund(scene, refund_id)).submitted_at)
        return await send(request)

    monkeypatch.setattr(scene.gateways, "send", look)
    await scene.step()
    assert heard
    assert all(at == scene.time.at for at in heard)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_after_an_answer_that_nobody_heard_the_channel_is_asked_first(
    scene: Scene, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund_id, send = await one(scene, kind.channel), scene.gateways.send

    async def lost(request: Request) -> Reply:
        reply = await send(request)
        if scene.gateways.asked_to_pay():
            raise Unanswered("timed_out")
        return reply

    with monkeypatch.context() as patched:
        patched.setattr(scene.gateways, "send", lost)
        await scene.step()
    assert await scene.state(refund_id) is RefundState.REQUESTED
    await scene.steps(20 * MINUTE)
    row = await refund(scene, refund_id)
    assert row.state is RefundState.SUCCEEDED
    assert scene.gateways.paid_out(kind.channel, row.payment_no) == FEN
    assert scene.gateways.asked_to_pay() == 1


async def test_what_is_being_asked_for_is_left_alone_until_the_lease_ends(scene: Scene) -> None:
    refund_id = await one(scene)
    [leased] = await settling.lease_due(scene.engine, limit=8, elapsed=scene.time.elapsed)
    assert leased.due.refund.refund_id == refund_id
    await scene.time.pass_by(LEASE - SECOND)
    assert leased.now == scene.time.at
    assert await settling.lease_due(scene.engine, limit=8, elapsed=scene.time.elapsed) == []
    await scene.time.pass_by(SECOND)
    assert len(await settling.lease_due(scene.engine, limit=8, elapsed=scene.time.elapsed)) == 1


async def test_a_fault_of_ours_waits_ten_minutes_and_the_others_go_on(scene: Scene) -> None:
    broken, sound = await one(scene, ALIPAY), await one(scene, WECHAT)
    await scene.run("UPDATE channel_accounts SET credentials = 'x' WHERE channel = 'alipay'")
    assert await scene.step() == 2
    row = await refund(scene, broken)
    assert (row.state, row.last_said, row.next_step_at) == (
        RefundState.REQUESTED,
        "fault",
        scene.time.at + AFTER_A_FAULT,
    )
    assert row.submitted_at is None
    assert await scene.state(sound) is RefundState.PROCESSING


@pytest.mark.parametrize("trouble", [Busy, Unavailable])
async def test_what_the_database_did_not_take_comes_round_again(
    scene: Scene, trouble: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    refund_id = await one(scene)

    async def refuse(*_: Any, **__: Any) -> None:
        raise trouble

    with monkeypatch.context() as patched:
        patched.setattr(refunds, "report", refuse)
        assert await scene.step() == 1
    row = await refund(scene, refund_id)
    assert (row.state, row.next_step_at) == (RefundState.REQUESTED, scene.time.at + LEASE)
    await scene.steps(10 * MINUTE)
    assert await scene.state(refund_id) is RefundState.SUCCEEDED
    assert scene.gateways.asked_to_pay() == 1


async def test_one_site_s_many_refunds_leave_others_their_share(scene: Scene) -> None:
    many = [await one(scene) for _ in range(9)]
    other = replace(scene, site_id=OTHER_SITE, accounts={})
    await other.register(BY_CHANNEL[ALIPAY])
    theirs = await one(other, ALIPAY)
    taken = await scene.step(limit=4)
    assert await other.state(theirs) is RefundState.SUCCEEDED
    # Sites are looked at in no order: what the smaller one leaves is taken up in this round or in the next.
    assert taken in (3, 4)
    assert [await scene.state(each) for each in many].count(RefundState.PROCESSING) == taken - 1


async def test_an_account_that_is_disabled_is_followed_on(scene: Scene) -> None:
    refund_id = await begun(scene)
    await scene.run("UPDATE channel_accounts SET enabled = false")
    await scene.steps(HOUR, every=MINUTE)
    assert await scene.state(refund_id) is RefundState.SUCCEEDED
    [new] = await scene.granted((WECHAT, FEN))
    assert (await refund(scene, new)).account_id is None
    assert await scene.step() == 0


async def test_a_success_before_the_payment_is_not_believed(scene: Scene) -> None:
    refund_id = await begun(scene)
    gateway = at_wechat(scene, await refund(scene, refund_id))
    gateway.settles_at = scene.time.at - 2 * DAY
    await scene.time.pass_by(MINUTE)
    await scene.step()
    row = await refund(scene, refund_id)
    assert (row.state, row.last_said) == (RefundState.PROCESSING, "odd_moment")
    assert row.next_step_at == scene.time.at + PLAN[1]


async def test_another_amount_is_kept_and_told_once_and_believed_never(scene: Scene) -> None:
    refund_id = await begun(scene)
    gateway = at_wechat(scene, await refund(scene, refund_id))
    gateway.amount = FEN - 1
    await scene.steps(HOUR, every=MINUTE)
    assert await scene.state(refund_id) is RefundState.PROCESSING
    # Said under way, and then as settled: two contradictions, however often each is said.
    conflicts = await scene.told(refund_id, "refund.conflict")
    assert [each["reported"]["state"] for each in conflicts] == ["processing", "succeeded"]
    assert {each["conflict"] for each in conflicts} == {"amount"}
    gateway.amount = FEN
    await scene.steps(DAY, every=HOUR)
    assert await scene.state(refund_id) is RefundState.SUCCEEDED


async def test_a_channel_without_money_fails_the_refund_until_a_person_asks_again(scene: Scene) -> None:
    scene.gateways.set_balance(0)
    refund_id = await begun(scene)
    row = await refund(scene, refund_id)
    assert (row.state, row.failure_code, row.next_step_at) == (
        RefundState.FAILED,
        FailureCode.INSUFFICIENT_BALANCE,
        None,
    )
    await scene.steps(DAY, every=HOUR)
    assert kinds(await scene.told(refund_id)) == ["refund.requested", "refund.failed"]
    scene.gateways.set_balance(FEN)
    assert await scene.retry(refund_id) == refund_id
    await scene.steps(HOUR, every=MINUTE)
    after = await refund(scene, refund_id)
    assert (after.state, after.refund_no) == (RefundState.SUCCEEDED, row.refund_no)
    assert kinds(await scene.told(refund_id)) == [
        "refund.requested",
        "refund.failed",
        "refund.requested",
        "refund.succeeded",
    ]


async def test_only_a_closed_refund_is_replaced_by_another(scene: Scene) -> None:
    scene.gateways.wechat.ends_next = "CLOSED"
    refund_id = await begun(scene)
    await scene.steps(HOUR, every=MINUTE)
    closed = await refund(scene, refund_id)
    assert closed.state is RefundState.CLOSED
    assert (await scene.payment(closed.payment_no))["reserved_amount"] == 0
    scene.gateways.wechat.ends_next = "SUCCESS"
    again = await scene.retry(refund_id)
    await scene.steps(HOUR, every=MINUTE)
    new = await refund(scene, again)
    assert (new.state, new.replaces) == (RefundState.SUCCEEDED, refund_id)
    assert new.refund_no != closed.refund_no
    assert scene.gateways.paid_out(WECHAT, new.payment_no) == FEN
    with pytest.raises(Conflict):
        await scene.retry(refund_id)


async def test_abnormal_waits_for_a_person_and_can_still_succeed(scene: Scene) -> None:
    scene.gateways.wechat.ends_next = "ABNORMAL"
    refund_id = await begun(scene)
    await scene.steps(2 * DAY, every=HOUR)
    row = await refund(scene, refund_id)
    assert (row.state, row.failure_code) == (RefundState.ABNORMAL, FailureCode.ACCOUNT_GONE)
    scene.gateways.wechat.end(row.refund_no, "SUCCESS")
    await scene.steps(2 * DAY, every=HOUR)
    assert kinds(await scene.told(refund_id))[:3] == ["refund.requested", "refund.abnormal", "refund.succeeded"]


async def test_a_person_who_asks_again_is_not_kept_waiting(scene: Scene) -> None:
    scene.gateways.wechat.ends_next = "ABNORMAL"
    refund_id = await begun(scene)
    await scene.steps(2 * DAY, every=HOUR)
    row = await refund(scene, refund_id)
    scene.gateways.wechat.end(row.refund_no, "SUCCESS")
    await scene.retry(refund_id)
    await scene.steps(timedelta(minutes=3))
    assert await scene.state(refund_id) is RefundState.SUCCEEDED


async def test_too_late_fails_without_asking(scene: Scene) -> None:
    refund_id = await one(scene, ALIPAY)
    await scene.time.pass_by(366 * DAY)
    await scene.step()
    row = await refund(scene, refund_id)
    assert (row.state, row.failure_code, row.submitted_at) == (RefundState.FAILED, FailureCode.TOO_LATE, None)
    assert scene.gateways.asked_to_pay() == 0


async def test_money_that_somebody_paid_back_before_comes_to_a_person(scene: Scene) -> None:
    """At an aggregator nobody can tell whose it was: the refund must not wait for ever."""
    [refund_id] = await scene.granted((V2, FEN), parts=(3_000,))
    scene.gateways.refund_by_hand(V2, (await refund(scene, refund_id)).payment_no, 4_000)
    await scene.steps(10 * DAY, every=HOUR)
    assert await scene.state(refund_id) in (RefundState.ABNORMAL, RefundState.FAILED, RefundState.SUCCEEDED)
