"""What others paid back: found, kept once, never promised a second time, and raised where it overdraws a promise."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.errors import Conflict, Invalid
from app.outbound.channels.said import FoundRefund, PaymentSeen
from app.rules.facts import Channel, Reason
from app.rules.settlement import RefundState
from app.services import refunds
from app.services.reconciling import take_in, take_in_bill
from app.services.records import put_record
from app.services.timing import fire_due
from app.store.case_rows import RefundRow
from app.store.engine import transaction
from app.store.record_rows import PaymentRow, Told
from app.store.records import RecordStore
from tests.settling.gateways import KINDS
from tests.settling.scene import DAY, HOUR, MINUTE, SECOND, Scene

WECHAT, ALIPAY, V1, V2 = (kind.channel for kind in KINDS)
FEN = 10_000
JUDGED = text("SELECT decisive_rule FROM decisions WHERE case_id = :case_id ORDER BY n")
FOUND = text("SELECT reference, amount FROM found_refunds ORDER BY reference")


async def part(scene: Scene, amount: int, channel: Channel = WECHAT) -> RefundRow:
    """A refund over a part of 100 yuan."""
    [refund_id] = await scene.granted((channel, FEN), parts=(amount,))
    return (await scene.view(refund_id)).refund


def listed(scene: Scene, reference: str, amount: int, **changes: Any) -> FoundRefund:
    fields = {"refund_no": None, "state": RefundState.SUCCEEDED, "at": scene.time.at, **changes}
    return FoundRefund(reference, fields["refund_no"], amount, fields["state"], fields["at"])


async def amounts(scene: Scene, payment_no: str) -> tuple[int, int, int]:
    """Reserved, found, and overdrawn."""
    row = await scene.payment(payment_no)
    return row["reserved_amount"], row["found_amount"], row["overdrawn_amount"]


async def seen(scene: Scene, row: RefundRow, total: int | None, *single: FoundRefund) -> int:
    return await take_in(scene.engine, scene.site_id, row.payment_no, PaymentSeen(total, single))


async def conflicts(scene: Scene, refund_id: UUID) -> list[tuple[str, int]]:
    told = await scene.told(refund_id, "refund.conflict")
    return [(each["conflict"], each["reported"]["amount"]) for each in told]


async def told_anew(scene: Scene, payment_no: str, **changes: Any) -> None:
    """The site tells the payment otherwise."""
    async with transaction(scene.engine) as connection:
        stored = await RecordStore(connection, scene.site_id).get(PaymentRow, payment_no)
        assert stored is not None
        await put_record(connection, scene.site_id, replace(stored.record, **changes), scene.time.at)


async def test_what_was_overdrawn_of_a_payment_that_is_larger_is_overdrawn_less(scene: Scene) -> None:
    row = await part(scene, 6_000)
    await seen(scene, row, None, listed(scene, "h1", 7_000))
    assert await amounts(scene, row.payment_no) == (6_000, 7_000, 3_000)
    for amount, overdrawn in ((FEN + 1_000, 2_000), (FEN + 5_000, 0), (FEN + 3_000, 0)):
        await told_anew(scene, row.payment_no, amount=amount)
        assert await amounts(scene, row.payment_no) == (6_000, 7_000, overdrawn)
    with pytest.raises(Conflict):  # telling it overdraws nothing
        await told_anew(scene, row.payment_no, amount=FEN + 2_999)
    with pytest.raises(Conflict):
        await told_anew(scene, row.payment_no, refunded_amount=7_001)


async def test_what_was_found_beyond_a_payment_counts_once_it_is_larger(scene: Scene) -> None:
    row = await part(scene, 1_000)
    await seen(scene, row, None, listed(scene, "h1", FEN + 2_000))
    assert await amounts(scene, row.payment_no) == (1_000, FEN + 2_000, 3_000)
    await told_anew(scene, row.payment_no, amount=FEN + 4_000)
    assert await amounts(scene, row.payment_no) == (1_000, FEN + 2_000, 0)
    told = Told((scene.orders[row.payment_no],))
    view = await scene.filed(told, Reason.OTHER, None)
    with pytest.raises(Invalid):
        await scene.ruled(view.case.case_id, 1_001)
    assert sum(each.amount for each in (await scene.ruled(view.case.case_id, 1_000)).refunds) == 1_000


async def test_each_refund_of_others_is_kept_once(scene: Scene) -> None:
    row = await part(scene, 3_000)
    for _ in range(3):
        assert await seen(scene, row, None, listed(scene, "h1", 2_000), listed(scene, "h2", 1_500)) == 0
    assert await amounts(scene, row.payment_no) == (3_000, 3_500, 0)
    assert await conflicts(scene, row.refund_id) == []


async def test_our_own_refund_is_not_foreign(scene: Scene) -> None:
    row = await part(scene, 3_000)
    await scene.steps(HOUR, every=MINUTE)
    ours = (await scene.view(row.refund_id)).refund
    assert ours.channel_refund_no
    by_number = listed(scene, "other", 3_000, refund_no=ours.refund_no)
    await seen(scene, row, 3_000, by_number, listed(scene, ours.channel_refund_no, 3_000))
    assert await amounts(scene, row.payment_no) == (3_000, 0, 0)


async def test_of_a_total_only_what_is_beyond_ours_is_foreign(scene: Scene) -> None:
    row = await part(scene, 3_000)
    await seen(scene, row, 2_000)
    assert (await amounts(scene, row.payment_no))[1] == 2_000, "nothing of it can be ours: nobody was asked"
    await scene.step()
    await seen(scene, row, 4_500)
    assert await amounts(scene, row.payment_no) == (3_000, 2_000, 0)
    await seen(scene, row, 6_000)
    assert await amounts(scene, row.payment_no) == (3_000, 3_000, 0)


async def test_what_is_listed_and_in_the_total_counts_once(scene: Scene) -> None:
    row = await part(scene, 3_000)
    await seen(scene, row, 2_500, listed(scene, "h1", 2_000))
    assert await amounts(scene, row.payment_no) == (3_000, 2_500, 0)
    await seen(scene, row, None, listed(scene, "h2", 1_500))
    assert await amounts(scene, row.payment_no) == (3_000, 3_500, 0)


@pytest.mark.parametrize("state", [RefundState.FAILED, RefundState.CLOSED, RefundState.ABNORMAL])
async def test_what_did_not_move_is_nothing(scene: Scene, state: RefundState) -> None:
    row = await part(scene, 3_000)
    await seen(scene, row, None, listed(scene, "h1", 2_000, state=state))
    assert (await amounts(scene, row.payment_no))[1] == 0


async def test_a_payment_that_nobody_told_is_none_of_our_business(scene: Scene) -> None:
    assert await take_in(scene.engine, scene.site_id, "P-unheard-of", PaymentSeen(5, ())) == 0
    assert await scene.all(FOUND) == []


async def test_a_promise_that_is_overdrawn_is_raised_once(scene: Scene) -> None:
    row = await part(scene, 8_000)
    for _ in range(3):
        await seen(scene, row, None, listed(scene, "h1", 5_000))
    assert await amounts(scene, row.payment_no) == (8_000, 5_000, 3_000)
    assert await conflicts(scene, row.refund_id) == [("refunded_elsewhere", 3_000)]
    await seen(scene, row, None, listed(scene, "h2", 1_000))
    assert await conflicts(scene, row.refund_id) == [("refunded_elsewhere", 3_000), ("refunded_elsewhere", 4_000)]


async def test_every_open_promise_hears_of_it_and_no_settled_one(scene: Scene) -> None:
    first, second = await scene.granted((ALIPAY, FEN), parts=(4_000, 3_000))
    await scene.step(limit=1)
    rows = [(await scene.view(each)).refund for each in (first, second)]
    paid = next(row for row in rows if row.state is RefundState.SUCCEEDED)
    waiting = next(row for row in rows if row.state is not RefundState.SUCCEEDED)
    assert await seen(scene, paid, None, listed(scene, "h1", 5_000)) == 1
    assert await conflicts(scene, waiting.refund_id) == [("refunded_elsewhere", 2_000)]
    assert await conflicts(scene, paid.refund_id) == []


async def test_a_crash_between_keeping_and_raising_loses_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await part(scene, 8_000)

    class Crash(BaseException):
        pass

    async def crash(*_: Any, **__: Any) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(refunds, "refunded_elsewhere", crash)
        with pytest.raises(Crash):
            await seen(scene, row, None, listed(scene, "h1", 5_000))
    await seen(scene, row, None, listed(scene, "h1", 5_000))
    assert await conflicts(scene, row.refund_id) == [("refunded_elsewhere", 3_000)]


async def test_two_at_once_are_as_one(scene: Scene) -> None:
    row = await part(scene, 8_000)
    single = listed(scene, "h1", 5_000)
    await asyncio.gather(*(seen(scene, row, None, single) for _ in range(4)))
    assert await amounts(scene, row.payment_no) == (8_000, 5_000, 3_000)
    assert await conflicts(scene, row.refund_id) == [("refunded_elsewhere", 3_000)]
    assert [tuple(each.values()) for each in await scene.all(FOUND)] == [("h1", 5_000)]


async def test_what_is_left_is_what_can_be_granted(scene: Scene) -> None:
    """A case that nobody has decided is judged anew; nobody, and no person, can grant more than is left."""
    row = await part(scene, 2_000)
    told = Told((scene.orders[row.payment_no],))
    view = await scene.filed(told, Reason.WRONG_ACCOUNT, 4_000)
    await seen(scene, row, None, listed(scene, "h1", 6_500))
    await scene.time.pass_by(SECOND)
    await fire_due(scene.engine, limit=10)
    judged = [row["decisive_rule"] for row in await scene.all(JUDGED, case_id=view.case.case_id)]
    assert judged == ["amount-differs-from-order", "amount-exceeds-paid"]
    less = await scene.filed(told, Reason.OTHER, 1_500)
    with pytest.raises(Invalid) as refused:
        await scene.ruled(less.case.case_id, 1_501)
    assert [fault.code for fault in refused.value.faults] == ["more_than_grantable"]
    await scene.ruled(less.case.case_id, 1_500)
    assert await amounts(scene, row.payment_no) == (3_500, 6_500, 0)


async def test_a_bill_settles_what_nobody_answered(scene: Scene) -> None:
    row = await part(scene, 3_000)
    found = listed(scene, "5001", 3_000, refund_no=row.refund_no)
    await take_in_bill(scene.engine, scene.site_id, [(row.payment_no, found)], scene.time.at)
    view = await scene.view(row.refund_id)
    assert (view.refund.state, view.refund.channel_refund_no) == (RefundState.SUCCEEDED, "5001")
    assert [each.source.value for each in view.reports] == ["reconciliation"]
    assert await amounts(scene, row.payment_no) == (3_000, 0, 0)


async def test_a_closed_refund_that_was_paid_all_the_same_is_raised(scene: Scene) -> None:
    scene.gateways.wechat.ends_next = "CLOSED"
    row = await part(scene, 3_000)
    await scene.steps(HOUR, every=MINUTE)
    assert await scene.state(row.refund_id) is RefundState.CLOSED
    found = listed(scene, "5001", 3_000, refund_no=row.refund_no)
    for _ in range(2):
        await take_in_bill(scene.engine, scene.site_id, [(row.payment_no, found)], scene.time.at)
    assert len(await conflicts(scene, row.refund_id)) == 1


async def test_what_a_person_paid_for_us_is_ours(scene: Scene) -> None:
    """An aggregator that cannot be asked safely: a person refunds in its console, and the question finds it."""
    row = await part(scene, 3_000, V1)
    await scene.steps(MINUTE)
    assert await scene.state(row.refund_id) is RefundState.ABNORMAL
    scene.gateways.refund_by_hand(V1, row.payment_no, 3_000)
    await scene.steps(10 * DAY, every=HOUR)
    assert await scene.state(row.refund_id) is RefundState.SUCCEEDED
    await seen(scene, row, 3_000)
    assert await amounts(scene, row.payment_no) == (3_000, 0, 0)


async def test_a_later_question_finds_what_others_did(scene: Scene) -> None:
    row = await part(scene, 3_000, V2)
    scene.gateways.v2.shows_after = 10 * HOUR
    await scene.steps(MINUTE)
    scene.gateways.v2.shows_after = 0 * HOUR
    scene.gateways.v2.orders[row.payment_no].made[0].at += 20 * HOUR  # ours is not confirmed for a long time
    scene.gateways.refund_by_hand(V2, row.payment_no, 2_000)
    scene.gateways.v2.orders[row.payment_no].made[1].at -= HOUR
    await scene.steps(20 * HOUR, every=10 * MINUTE)
    assert (await scene.payment(row.payment_no))["found_amount"] == 0, "ours may be all of it"
    scene.gateways.refund_by_hand(V2, row.payment_no, 2_000)
    await take_in(scene.engine, scene.site_id, row.payment_no, PaymentSeen(7_000))
    assert await amounts(scene, row.payment_no) == (3_000, 4_000, 0)
