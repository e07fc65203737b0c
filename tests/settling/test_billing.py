"""Bills of channels are read day by day, each once, and what they show is held against our refunds."""

import asyncio
from datetime import date, timedelta

import pytest

from app.errors import Busy
from app.outbound.channels.exchange import Reply, Request
from app.rules.settlement import RefundState
from app.services import billing
from app.services.billing import LEASE, MOST_DAYS, PATIENCE, read_bills
from app.store.bills import BillStore
from app.store.engine import transaction
from tests.channels import alipay_gateway, wechat_pay_faults
from tests.channels.wechat_pay_books import SHANGHAI
from tests.settling.gateways import BY_CHANNEL, KINDS
from tests.settling.scene import DAY, HOUR, MINUTE, NOON, Scene

WECHAT, ALIPAY, V1, V2 = (kind.channel for kind in KINDS)
FEN = 10_000
TODAY = date(2026, 3, 10)


@pytest.fixture
async def wechat(bare: Scene) -> Scene:
    """A site with one account, at noon."""
    await bare.register(BY_CHANNEL[WECHAT])
    return bare


async def read(scene: Scene) -> int:
    return await read_bills(scene.engine, scene.channels)


async def ended(scene: Scene) -> list[tuple[date, str, int | None]]:
    """The days that are done with, in their order: what came of them, and how many refunds there were."""
    async with scene.engine.connect() as connection:
        found = await connection.exec_driver_sql(
            "SELECT day, state, refunds FROM channel_bills WHERE state <> 'awaited' ORDER BY day, account_id"
        )
        return [(row.day, row.state, row.refunds) for row in found]


def days_asked(scene: Scene) -> list[str]:
    asked = [request.url for request in scene.gateways.wechat.requests if "tradebill?" in request.url]
    return [url.partition("bill_date=")[2].partition("&")[0] for url in asked]


async def test_a_new_account_begins_with_the_day_of_its_registration(wechat: Scene) -> None:
    assert await read(wechat) == 0
    assert days_asked(wechat) == []
    await wechat.time.pass_by(DAY)
    await read(wechat)
    assert days_asked(wechat) == [TODAY.isoformat()]


async def test_days_are_read_in_order_and_each_once(wechat: Scene) -> None:
    [refund_id] = await wechat.granted((WECHAT, FEN), parts=(3_000,))
    payment_no = (await wechat.view(refund_id)).refund.payment_no
    for amount in (1_000, 2_000, 4_000):
        wechat.gateways.refund_by_hand(WECHAT, payment_no, amount)
        await wechat.time.pass_by(DAY)
    assert await read(wechat) == 3
    assert days_asked(wechat) == ["2026-03-10", "2026-03-11", "2026-03-12"]
    assert await ended(wechat) == [(TODAY + timedelta(days=n), "read", 1) for n in range(3)]
    found = await wechat.payment(payment_no)
    assert (found["found_amount"], found["overdrawn_amount"]) == (7_000, 0)
    assert await read(wechat) == 0
    assert len(days_asked(wechat)) == 3


async def test_a_bill_that_is_not_there_yet_is_asked_for_later(wechat: Scene) -> None:
    [refund_id] = await wechat.granted((WECHAT, FEN), parts=(3_000,))
    wechat.gateways.refund_by_hand(WECHAT, (await wechat.view(refund_id)).refund.payment_no, 1_000)
    await wechat.time.pass_by(20 * HOUR)  # 08:00 of the next day
    assert await read(wechat) == 0
    assert await ended(wechat) == []
    await wechat.time.pass_by(3 * HOUR)
    assert await read(wechat) == 1


async def test_a_bill_that_never_comes_is_missing_and_holds_up_the_others_for_some_days(wechat: Scene) -> None:
    [refund_id] = await wechat.granted((WECHAT, FEN), parts=(3_000,))
    payment_no = (await wechat.view(refund_id)).refund.payment_no
    wechat.gateways.refund_by_hand(WECHAT, payment_no, 1_000)
    await wechat.time.pass_by(DAY)
    wechat.gateways.refund_by_hand(WECHAT, payment_no, 2_000)
    for pause in (timedelta(0), LEASE, PATIENCE - LEASE - timedelta(microseconds=1)):
        await wechat.time.pass_by(pause)
        wechat.gateways.wechat.faults.append(wechat_pay_faults.Fault.SERVER_ERROR)
        assert await read(wechat) == 0
    await wechat.time.pass_by(LEASE)
    wechat.gateways.wechat.faults.append(wechat_pay_faults.Fault.SERVER_ERROR)
    assert await read(wechat) == 4  # yesterday's empty one may still come
    assert [state for _, state, _ in await ended(wechat)] == ["missing", "read", "read", "read"]
    assert (await wechat.payment(payment_no))["found_amount"] == 2_000


async def test_who_looks_late_for_a_bill_does_not_give_it_up_at_once(wechat: Scene) -> None:
    [refund_id] = await wechat.granted((WECHAT, FEN), parts=(3_000,))
    payment_no = (await wechat.view(refund_id)).refund.payment_no
    wechat.gateways.refund_by_hand(WECHAT, payment_no, 1_000)
    await wechat.time.pass_by(10 * DAY)
    wechat.gateways.wechat.faults.append(wechat_pay_faults.Fault.SERVER_ERROR)
    assert await read(wechat) == 0
    await wechat.time.pass_by(LEASE)
    assert await read(wechat) > 1
    assert (await wechat.payment(payment_no))["found_amount"] == 1_000


async def test_of_two_who_read_at_once_each_day_is_asked_for_once(wechat: Scene) -> None:
    [refund_id] = await wechat.granted((WECHAT, FEN), parts=(3_000,))
    payment_no = (await wechat.view(refund_id)).refund.payment_no
    for amount in (1_000, 2_000, 3_000):
        wechat.gateways.refund_by_hand(WECHAT, payment_no, amount)
        await wechat.time.pass_by(DAY)
    counts = await asyncio.gather(*(read(wechat) for _ in range(4)))
    assert sum(counts) == 3
    assert days_asked(wechat) == ["2026-03-10", "2026-03-11", "2026-03-12"]


async def test_who_reads_for_longer_than_the_lease_is_read_after(wechat: Scene) -> None:
    await wechat.time.pass_by(2 * DAY)
    account_id = wechat.accounts[WECHAT].account_id

    async def claimed() -> date | None:
        async with transaction(wechat.engine) as connection:
            bills = BillStore(connection, wechat.site_id)
            until = wechat.time.at + LEASE
            found = await bills.claim(account_id, first=TODAY, last=TODAY, now=wechat.time.at, until=until)
            return None if found is None else found.day

    assert await claimed() == TODAY
    assert await claimed() is None
    await wechat.time.pass_by(LEASE - timedelta(microseconds=1))
    assert await claimed() is None
    await wechat.time.pass_by(timedelta(microseconds=1))
    assert await claimed() == TODAY


async def test_what_cannot_be_read_holds_up_the_days_after_it(wechat: Scene) -> None:
    [refund_id] = await wechat.granted((WECHAT, FEN), parts=(3_000,))
    payment_no = (await wechat.view(refund_id)).refund.payment_no
    for amount in (1_000, 2_000):
        wechat.gateways.refund_by_hand(WECHAT, payment_no, amount)
        await wechat.time.pass_by(DAY)
    wechat.gateways.wechat.faults.append(wechat_pay_faults.Fault.SERVER_ERROR)
    assert await read(wechat) == 0
    assert days_asked(wechat) == ["2026-03-10"]
    await wechat.time.pass_by(LEASE - timedelta(microseconds=1))
    assert await read(wechat) == 0
    await wechat.time.pass_by(timedelta(microseconds=1))
    assert await read(wechat) == 2


async def test_no_more_than_a_fortnight_is_caught_up_with(wechat: Scene) -> None:
    await wechat.time.pass_by(40 * DAY)
    today = wechat.time.at.astimezone(SHANGHAI).date()
    # Yesterday's empty bill may still come.
    assert await read(wechat) == MOST_DAYS - 1
    assert days_asked(wechat)[0] == (today - timedelta(days=MOST_DAYS)).isoformat()
    assert (await ended(wechat))[-1] == (today - timedelta(days=2), "read", 0)


async def test_our_own_refund_is_settled_by_the_bill_and_not_found(wechat: Scene) -> None:
    [refund_id] = await wechat.granted((WECHAT, FEN), parts=(3_000,))
    await wechat.step()
    await wechat.time.pass_by(DAY)
    assert await read(wechat) == 1
    row = (await wechat.view(refund_id)).refund
    assert (row.state, row.next_step_at) == (RefundState.SUCCEEDED, None)
    assert (await wechat.payment(row.payment_no))["found_amount"] == 0
    assert len(await wechat.told(refund_id, "refund.succeeded")) == 1


async def test_a_refund_by_hand_over_what_is_promised_is_raised(scene: Scene) -> None:
    [refund_id] = await scene.granted((ALIPAY, FEN), parts=(8_000,))
    scene.gateways.alipay.faults += [alipay_gateway.Fault.TIME_OUT_BEFORE]
    await scene.step()
    row = (await scene.view(refund_id)).refund
    scene.gateways.refund_by_hand(ALIPAY, row.payment_no, 5_000)
    await scene.steps(2 * DAY, every=6 * HOUR)
    await read(scene)
    payment = await scene.payment(row.payment_no)
    assert (payment["found_amount"], payment["overdrawn_amount"]) == (5_000, 3_000)
    [conflict] = await scene.told(refund_id, "refund.conflict")
    assert (conflict["conflict"], conflict["reported"]["amount"]) == ("refunded_elsewhere", 3_000)
    assert scene.gateways.paid_out(ALIPAY, row.payment_no) == 5_000


async def test_one_account_that_cannot_be_opened_holds_up_no_other(scene: Scene) -> None:
    [refund_id] = await scene.granted((WECHAT, FEN), parts=(3_000,))
    payment_no = (await scene.view(refund_id)).refund.payment_no
    scene.gateways.refund_by_hand(WECHAT, payment_no, 1_000)
    await scene.run("UPDATE channel_accounts SET credentials = 'x' WHERE channel = 'alipay'")
    # Whichever comes first.
    await scene.run("UPDATE channel_accounts SET account_id = gen_random_uuid() WHERE channel = 'alipay'")
    await scene.time.pass_by(DAY)
    await read(scene)
    assert (await scene.payment(payment_no))["found_amount"] == 1_000


async def test_a_disabled_account_is_read_on(wechat: Scene) -> None:
    """What was begun by it, and what others do at it, is to be known as long as it is there."""
    await wechat.run("UPDATE channel_accounts SET enabled = false")
    await wechat.time.pass_by(3 * DAY)
    assert await read(wechat) == 2
    assert days_asked(wechat)[:2] == ["2026-03-10", "2026-03-11"]


async def test_a_day_that_was_not_taken_in_is_read_again(wechat: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    [refund_id] = await wechat.granted((WECHAT, FEN), parts=(3_000,))
    payment_no = (await wechat.view(refund_id)).refund.payment_no
    wechat.gateways.refund_by_hand(WECHAT, payment_no, 1_000)
    await wechat.time.pass_by(DAY)

    async def busy(*_: object) -> None:
        raise Busy

    with monkeypatch.context() as patched:
        patched.setattr(billing, "take_in_bill", busy)
        with pytest.raises(Busy):
            await read(wechat)
    assert await ended(wechat) == []
    await wechat.time.pass_by(LEASE)
    assert await read(wechat) == 1
    assert (await wechat.payment(payment_no))["found_amount"] == 1_000


async def test_no_transaction_is_open_while_a_channel_is_asked(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that takes its time must not hold a lock, or a connection of the few that there are."""
    for kind in KINDS:
        await scene.granted((kind.channel, FEN))
    send, open_ones = scene.gateways.send, set()

    async def look(request: Request) -> Reply:
        open_ones.add(scene.engine.pool.checkedout())  # type: ignore[attr-defined]
        return await send(request)

    monkeypatch.setattr(scene.gateways, "send", look)
    for _ in range(30):
        await scene.step(limit=1)
        await scene.time.pass_by(MINUTE)
    await scene.time.pass_by(NOON + 2 * DAY - scene.time.at)
    assert await read(scene) > 0
    assert open_ones == {0}
