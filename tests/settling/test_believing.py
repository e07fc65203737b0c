"""What a channel says under a number of ours is believed of the payment that it was given for, and of no other."""

from uuid import UUID

import pytest

from app.models.closed_sets import ReportSource
from app.outbound.channels.said import FoundRefund
from app.rules.settlement import RefundState, Report
from app.services import channel_notices, refunds, repair
from app.services.reconciling import take_in_bill
from app.services.repair import OtherAccount, Repair
from app.store.case_rows import RefundRow
from app.store.cases import CaseStore
from app.store.engine import transaction
from tests.settling.gateways import BY_CHANNEL, KINDS
from tests.settling.scene import DAY, HOUR, Scene

WECHAT, ALIPAY, _, _ = (kind.channel for kind in KINDS)
FEN = 10_000


async def refund(scene: Scene, refund_id: UUID) -> RefundRow:
    return (await scene.view(refund_id)).refund


async def two(scene: Scene) -> tuple[RefundRow, RefundRow]:
    """A refund, and one of another order."""
    [first] = await scene.granted((WECHAT, FEN))
    [second] = await scene.granted((WECHAT, FEN))
    return await refund(scene, first), await refund(scene, second)


async def conflicts(scene: Scene, refund_id: UUID) -> list[str]:
    return [each["conflict"] for each in await scene.told(refund_id, "refund.conflict")]


@pytest.mark.parametrize("ours", [True, False])
async def test_a_notice_about_another_payment_is_raised(scene: Scene, ours: bool) -> None:
    row, other = await two(scene)
    await scene.step()
    wechat = scene.gateways.wechat
    await scene.time.pass_by(HOUR)
    if not ours:
        wechat.refunds[row.refund_no].payment_no = other.payment_no
    notice, account_id = wechat.notice(row.refund_no), scene.accounts[WECHAT].account_id
    async with transaction(scene.engine) as connection:
        heard = await channel_notices.take_in(connection, scene.keyring, scene.site_id, account_id, notice)
    assert heard.reply.status == 204
    state = (await refund(scene, row.refund_id)).state
    assert (state is RefundState.SUCCEEDED) is ours
    assert await conflicts(scene, row.refund_id) == ([] if ours else ["payment_no"])


async def test_a_bill_s_line_about_another_payment_is_raised_and_found_over_that_one(scene: Scene) -> None:
    row, other = await two(scene)
    line = FoundRefund("5001", row.refund_no, FEN, RefundState.SUCCEEDED, scene.time.at)
    for _ in range(2):
        await take_in_bill(scene.engine, scene.site_id, [(other.payment_no, line)], scene.time.at)
    assert (await refund(scene, row.refund_id)).state is RefundState.REQUESTED
    assert await conflicts(scene, row.refund_id) == ["payment_no"]
    assert (await scene.payment(other.payment_no))["found_amount"] == FEN
    assert (await scene.payment(row.payment_no))["found_amount"] == 0


async def test_alipay_s_own_bill_is_believed_whatever_an_adapter_calls_the_refund(bare: Scene) -> None:
    """支付宝 gives refunds no number of their own: an adapter may have told the trade's."""
    [refund_id] = await bare.granted((ALIPAY, FEN))
    row = await refund(bare, refund_id)
    async with transaction(bare.engine) as connection:
        said = Report(RefundState.PROCESSING, bare.time.at, FEN, "CNY", "2026031022001")
        await refunds.report(CaseStore(connection, bare.site_id), refund_id, said, ReportSource.ADAPTER)
    await bare.register(BY_CHANNEL[ALIPAY])
    line = FoundRefund(f"2026031022001:{row.refund_no}", row.refund_no, FEN, RefundState.SUCCEEDED, bare.time.at)
    await take_in_bill(bare.engine, bare.site_id, [(row.payment_no, line)], bare.time.at)
    assert (await refund(bare, refund_id)).state is RefundState.SUCCEEDED
    assert await conflicts(bare, refund_id) == []


async def paid_elsewhere(scene: Scene) -> RefundRow:
    """A refund whose account is gone; a person has it paid to another one, by an adapter."""
    scene.gateways.wechat.ends_next = "ABNORMAL"
    [refund_id] = await scene.granted((WECHAT, FEN))
    await scene.steps(DAY, every=HOUR)
    assert await scene.state(refund_id) is RefundState.ABNORMAL
    account = OtherAccount("acct-1", "招商银行 1234", scene.time.at, "chat-1")
    async with transaction(scene.engine) as connection:
        cases = CaseStore(connection, scene.site_id)
        await repair.retry(cases, refund_id, Repair("op-1", other_account=account))
    return await refund(scene, refund_id)


@pytest.mark.parametrize(
    "state", [RefundState.PROCESSING, RefundState.ABNORMAL, RefundState.FAILED, RefundState.CLOSED]
)
async def test_how_the_old_way_ended_does_not_end_what_goes_another(scene: Scene, state: RefundState) -> None:
    row = await paid_elsewhere(scene)
    await scene.time.pass_by(HOUR)
    line = FoundRefund("5001", row.refund_no, FEN, state, scene.time.at)
    await take_in_bill(scene.engine, scene.site_id, [(row.payment_no, line)], scene.time.at)
    assert await scene.state(row.refund_id) is RefundState.REQUESTED
    assert (await scene.payment(row.payment_no))["reserved_amount"] == FEN
    assert await conflicts(scene, row.refund_id) == []
    async with transaction(scene.engine) as connection:
        said = Report(RefundState.SUCCEEDED, scene.time.at, FEN, "CNY", "elsewhere-1")
        await refunds.report(CaseStore(connection, scene.site_id), row.refund_id, said, ReportSource.ADAPTER)
    assert await scene.state(row.refund_id) is RefundState.SUCCEEDED


async def test_money_that_came_by_the_old_way_after_all_is_there(scene: Scene) -> None:
    row = await paid_elsewhere(scene)
    await scene.time.pass_by(HOUR)
    line = FoundRefund("5001", row.refund_no, FEN, RefundState.SUCCEEDED, scene.time.at)
    await take_in_bill(scene.engine, scene.site_id, [(row.payment_no, line)], scene.time.at)
    assert await scene.state(row.refund_id) is RefundState.SUCCEEDED
