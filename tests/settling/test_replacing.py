"""A closed refund is replaced under a new number, for which channels pay again: the old one must not have been paid."""

from uuid import UUID

import pytest

from app.outbound.channels.exchange import Reply, Request, Unanswered
from app.outbound.channels.said import FoundRefund
from app.rules.facts import Channel, Reason
from app.rules.settlement import FailureCode, RefundState
from app.services import channel_notices, repair
from app.services.reconciling import raise_overdrawn, take_in_bill
from app.services.repair import GivenUp
from app.store.cases import CaseStore
from app.store.engine import transaction
from app.store.record_rows import Told
from tests.settling.gateways import KINDS
from tests.settling.scene import DAY, HOUR, MINUTE, Scene

WECHAT, ALIPAY, _, V2 = (kind.channel for kind in KINDS)
WITH_NUMBERS = pytest.mark.parametrize("channel", [WECHAT, ALIPAY, V2])
FEN, PART = 10_000, 4_000


async def given_up(scene: Scene, refund_id: UUID) -> None:
    """A person closes it."""
    async with transaction(scene.engine) as connection:
        wish = GivenUp("op-1", FailureCode.OTHER, "渠道没有答复")
        await repair.close(CaseStore(connection, scene.site_id), refund_id, wish)


async def unheard(scene: Scene, channel: Channel, monkeypatch: pytest.MonkeyPatch, *, paid: bool) -> UUID:
    """A refund whose channel fell silent when it was asked to pay, until a person gave it up."""
    [refund_id] = await scene.granted((channel, FEN), parts=(PART,))
    send, silent = scene.gateways.send, False

    async def lost(request: Request) -> Reply:
        nonlocal silent
        before = scene.gateways.asked_to_pay()
        if silent and not paid:
            raise Unanswered("timed_out")
        reply = await send(request)
        silent = silent or scene.gateways.asked_to_pay() > before
        if silent:
            raise Unanswered("timed_out")
        return reply

    with monkeypatch.context() as patched:
        patched.setattr(scene.gateways, "send", lost)
        await scene.steps(5 * DAY, every=6 * HOUR)
    assert await scene.state(refund_id) is RefundState.ABNORMAL
    await given_up(scene, refund_id)
    return refund_id


@WITH_NUMBERS
async def test_the_old_number_is_asked_after_first(
    scene: Scene, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await unheard(scene, channel, monkeypatch, paid=True)
    payment_no = (await scene.view(old)).refund.payment_no
    new = await scene.retry(old)
    await scene.steps(2 * DAY, every=2 * HOUR)
    assert scene.gateways.paid_out(channel, payment_no) == PART
    assert [each["conflict"] for each in await scene.told(old, "refund.conflict")] == ["after_closed"]
    assert await scene.state(new) is RefundState.ABNORMAL
    assert len(await scene.told(new, "refund.abnormal")) == 1


@WITH_NUMBERS
async def test_the_new_one_waits_until_the_old_number_is_answered_for(
    scene: Scene, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await unheard(scene, channel, monkeypatch, paid=True)
    payment_no, new = (await scene.view(old)).refund.payment_no, await scene.retry(old)
    asked = scene.gateways.asked_to_pay()

    async def dead(_: Request) -> Reply:
        raise Unanswered("connect_failed")

    with monkeypatch.context() as patched:
        patched.setattr(scene.gateways, "send", dead)
        await scene.steps(HOUR, every=5 * MINUTE)
        assert (await scene.view(new)).refund.submitted_at is None
    await scene.steps(2 * DAY, every=2 * HOUR)
    assert scene.gateways.paid_out(channel, payment_no) == PART
    assert scene.gateways.asked_to_pay() == asked


async def test_one_that_was_paid_at_an_odd_moment_was_paid_all_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await unheard(scene, WECHAT, monkeypatch, paid=True)
    row = (await scene.view(old)).refund
    scene.gateways.wechat.refunds[row.refund_no].settles_at = scene.time.at - 30 * DAY
    new = await scene.retry(old)
    await scene.steps(2 * DAY, every=2 * HOUR)
    assert scene.gateways.paid_out(WECHAT, row.payment_no) == PART
    assert await scene.state(new) is not RefundState.SUCCEEDED


async def test_so_was_one_that_was_paid_with_another_amount(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone from the payment, too."""
    old = await unheard(scene, WECHAT, monkeypatch, paid=True)
    row = (await scene.view(old)).refund
    scene.gateways.wechat.refunds[row.refund_no].amount = PART - 1
    new = await scene.retry(old)
    await scene.steps(2 * DAY, every=2 * HOUR)
    assert scene.gateways.paid_out(WECHAT, row.payment_no) == PART - 1
    assert await scene.state(new) is RefundState.ABNORMAL
    assert (await scene.payment(row.payment_no))["found_amount"] >= PART - 1


async def test_what_never_reached_the_channel_is_replaced(scene: Scene) -> None:
    scene.gateways.set_balance(0)
    [old] = await scene.granted((ALIPAY, FEN), parts=(PART,))
    await scene.step()
    await given_up(scene, old)
    scene.gateways.set_balance(FEN)
    new = await scene.retry(old)
    await scene.steps(HOUR, every=5 * MINUTE)
    assert await scene.state(new) is RefundState.SUCCEEDED
    assert scene.gateways.paid_out(ALIPAY, (await scene.view(new)).refund.payment_no) == PART


async def test_word_that_the_old_one_was_paid_holds_the_new_one_back(scene: Scene) -> None:
    scene.gateways.set_balance(0)
    [old] = await scene.granted((ALIPAY, FEN), parts=(PART,))
    await scene.step()
    await given_up(scene, old)
    scene.gateways.set_balance(FEN)
    row, new = (await scene.view(old)).refund, await scene.retry(old)
    paid = FoundRefund("t:1", row.refund_no, PART, RefundState.SUCCEEDED, scene.time.at)
    await take_in_bill(scene.engine, scene.site_id, [(row.payment_no, paid)], scene.time.at)
    asked = scene.gateways.asked_to_pay()
    await scene.steps(HOUR, every=5 * MINUTE)
    assert scene.gateways.asked_to_pay() == asked
    assert await scene.state(new) is RefundState.ABNORMAL


async def switched_off(scene: Scene) -> None:
    await scene.run("UPDATE channel_accounts SET enabled = false WHERE site_id = :site", site=scene.site_id)


async def promised_to_another(scene: Scene, old: UUID) -> UUID:
    """What a closed refund set free, in another case: by now adapters are asked."""
    await switched_off(scene)
    payment_no = (await scene.view(old)).refund.payment_no
    [other] = await scene.claimed(Told((scene.orders[payment_no],)), Reason.OTHER, FEN)
    return other


async def is_raised(scene: Scene, old: UUID, other: UUID) -> bool:
    """With everybody who was promised the same money: an adapter may be about to pay it."""
    payment = await scene.payment((await scene.view(old)).refund.payment_no)
    told = [[each["conflict"] for each in await scene.told(one, "refund.conflict")] for one in (old, other)]
    return (told, payment["found_amount"], payment["overdrawn_amount"]) == (
        [["after_closed"], ["refunded_elsewhere"]],
        PART,
        PART,
    )


async def test_another_promise_hears_from_a_bill_that_a_closed_refund_was_paid(scene: Scene) -> None:
    scene.gateways.set_balance(0)
    [old] = await scene.granted((ALIPAY, FEN), parts=(PART,))
    await scene.step()
    await given_up(scene, old)
    other, row = await promised_to_another(scene, old), (await scene.view(old)).refund
    paid = FoundRefund("t:1", row.refund_no, row.amount, RefundState.SUCCEEDED, scene.time.at)
    for _ in range(2):
        await take_in_bill(scene.engine, scene.site_id, [(row.payment_no, paid)], scene.time.at)
    assert await is_raised(scene, old, other)


async def test_another_promise_hears_from_a_notice_that_a_closed_refund_was_paid(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await unheard(scene, WECHAT, monkeypatch, paid=True)
    other, row = await promised_to_another(scene, old), (await scene.view(old)).refund
    notice, account_id = scene.gateways.wechat.notice(row.refund_no), scene.accounts[WECHAT].account_id
    for _ in range(2):
        async with transaction(scene.engine) as connection:
            heard = await channel_notices.take_in(connection, scene.keyring, scene.site_id, account_id, notice)
        assert heard.contradicted == row.payment_no
        await raise_overdrawn(scene.engine, scene.site_id, heard.contradicted)
    assert await is_raised(scene, old, other)
