"""An account that is switched off, or gone, while refunds are granted over it."""

from typing import Any
from uuid import UUID

import pytest

from app.errors import Busy
from app.rules.settlement import RefundState
from app.store.case_rows import RefundRow
from app.store.cases import CaseStore
from app.store.channels import ChannelStore
from app.store.engine import transaction
from tests.channels.wechat_pay_faults import Fault
from tests.settling.gateways import BY_CHANNEL, KINDS
from tests.settling.scene import HOUR, MINUTE, Scene

WECHAT, ALIPAY, _, _ = (kind.channel for kind in KINDS)
FEN = 10_000


async def refund(scene: Scene, refund_id: UUID) -> RefundRow:
    return (await scene.view(refund_id)).refund


async def switched_off(scene: Scene) -> None:
    await scene.run("UPDATE channel_accounts SET enabled = false WHERE site_id = :site", site=scene.site_id)


def is_in_other_hands(row: RefundRow) -> bool:
    """An adapter's, or a person's."""
    return row.account_id is None or row.state is RefundState.ABNORMAL


async def test_what_was_not_begun_is_not_begun_by_an_account_that_was_switched_off(scene: Scene) -> None:
    [refund_id] = await scene.granted((WECHAT, FEN))
    await switched_off(scene)
    await scene.steps(HOUR, every=5 * MINUTE)
    assert scene.gateways.asked_to_pay() == 0
    assert is_in_other_hands(await refund(scene, refund_id))


async def test_nor_is_a_new_number_asked_for_by_it(scene: Scene) -> None:
    scene.gateways.wechat.ends_next = "CLOSED"
    [closed] = await scene.granted((WECHAT, FEN))
    await scene.steps(HOUR, every=5 * MINUTE)
    assert await scene.state(closed) is RefundState.CLOSED
    await switched_off(scene)
    new, asked = await scene.retry(closed), scene.gateways.asked_to_pay()
    await scene.steps(HOUR, every=5 * MINUTE)
    assert scene.gateways.asked_to_pay() == asked
    assert is_in_other_hands(await refund(scene, new))


@pytest.mark.parametrize("fault", [Fault.TIME_OUT_BEFORE, Fault.TIME_OUT_AFTER])
async def test_what_was_begun_is_followed_to_its_end_by_it(scene: Scene, fault: Fault) -> None:
    scene.gateways.wechat.faults.append(fault)
    [refund_id] = await scene.granted((WECHAT, FEN))
    await scene.step()
    row = await refund(scene, refund_id)
    assert (row.state, row.last_said) == (RefundState.REQUESTED, "timed_out")
    await switched_off(scene)
    await scene.steps(HOUR, every=5 * MINUTE)
    assert await scene.state(refund_id) is RefundState.SUCCEEDED
    assert scene.gateways.paid_out(WECHAT, row.payment_no) == FEN


async def test_a_person_may_have_it_go_on_there(scene: Scene) -> None:
    """The payment is at this account and at no other."""
    scene.gateways.set_balance(0)
    [refund_id] = await scene.granted((WECHAT, FEN))
    await scene.step()
    assert await scene.state(refund_id) is RefundState.FAILED
    await switched_off(scene)
    scene.gateways.set_balance(FEN)
    await scene.retry(refund_id)
    await scene.steps(HOUR, every=5 * MINUTE)
    assert await scene.state(refund_id) is RefundState.SUCCEEDED


async def test_a_grant_whose_account_goes_at_that_moment_is_made_again(
    bare: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bare.register(BY_CHANNEL[ALIPAY])
    file = CaseStore.file

    async def just_after_it_was_deleted(store: CaseStore, *given: Any, **named: Any) -> Any:
        async with transaction(bare.engine) as connection:
            accounts = ChannelStore(connection, bare.site_id)
            await accounts.delete(bare.accounts[ALIPAY].account_id)
        return await file(store, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(CaseStore, "file", just_after_it_was_deleted)
        with pytest.raises(Busy):
            await bare.granted((ALIPAY, FEN))
    [refund_id] = await bare.granted((ALIPAY, FEN))
    assert (await refund(bare, refund_id)).amount == FEN
