"""What nobody took, or what is not back in time, is told: once for each, and however few listen."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.models.closed_sets import ReportSource
from app.rules.settlement import ACCEPTED_WITHIN, RefundState, Report
from app.services import overdue, refunds
from app.services.overdue import AFTER_A_FAULT, raise_due
from app.store.case_rows import RefundRow
from app.store.cases import CaseStore
from app.store.engine import transaction
from tests.settling.gateways import KINDS
from tests.settling.scene import DAY, HOUR, MINUTE, SECOND, Scene, held
from tests.store.rows import add_endpoint

WECHAT, ALIPAY, V1, V2 = (kind.channel for kind in KINDS)
FEN = 10_000
TICK = timedelta(microseconds=1)
SENT = text("SELECT state FROM events JOIN dispatches USING (event_id) WHERE type = 'refund.overdue'")


async def granted(scene: Scene) -> RefundRow:
    [refund_id] = await scene.granted((ALIPAY, FEN))
    return (await scene.view(refund_id)).refund


async def late(scene: Scene, refund_id: UUID) -> list[str]:
    return [each["awaited"] for each in await scene.told(refund_id, "refund.overdue")]


async def told(scene: Scene, state: RefundState, refund_id: UUID) -> None:
    async with transaction(scene.engine) as connection:
        said = Report(state, scene.time.at)
        await refunds.report(CaseStore(connection, scene.site_id), refund_id, said, ReportSource.ADAPTER)


async def rounds(scene: Scene) -> int:
    return await raise_due(scene.engine, limit=50)


async def test_nobody_took_it_within_the_hour(bare: Scene) -> None:
    row = await granted(bare)
    await bare.time.pass_by(ACCEPTED_WITHIN)
    assert await rounds(bare) == 0, "the instant of the limit is still in time"
    await bare.time.pass_by(TICK)
    assert await rounds(bare) == 1
    assert await rounds(bare) == 0
    [event] = await bare.told(row.refund_id, "refund.overdue")
    assert (event["awaited"], event["since"]) == ("acceptance", event["accept_by"])


async def test_the_money_is_not_back_by_the_day_that_was_promised(bare: Scene) -> None:
    row = await granted(bare)
    assert row.expected_by is not None
    await told(bare, RefundState.PROCESSING, row.refund_id)
    await bare.time.pass_by(row.expected_by - bare.time.at)
    assert await rounds(bare) == 0
    await bare.time.pass_by(TICK)
    assert await rounds(bare) == 1
    assert await rounds(bare) == 0
    [event] = await bare.told(row.refund_id, "refund.overdue")
    assert (event["awaited"], event["since"]) == ("arrival", event["expected_by"])


async def test_both_are_told_each_once(bare: Scene) -> None:
    row = await granted(bare)
    for _ in range(40):
        await bare.time.pass_by(12 * HOUR)
        await rounds(bare)
    assert await late(bare, row.refund_id) == ["acceptance", "arrival"]
    assert (await bare.view(row.refund_id)).refund.overdue_at is None


async def test_taken_late_it_is_awaited_from_then_on(bare: Scene) -> None:
    row = await granted(bare)
    await bare.time.pass_by(2 * HOUR)
    assert await rounds(bare) == 1
    await told(bare, RefundState.ACCEPTED, row.refund_id)
    await bare.time.pass_by(20 * DAY)
    assert await rounds(bare) == 1
    assert await late(bare, row.refund_id) == ["acceptance", "arrival"]
    await told(bare, RefundState.PROCESSING, row.refund_id)
    await bare.time.pass_by(20 * DAY)
    assert await rounds(bare) == 0


@pytest.mark.parametrize("state", [RefundState.SUCCEEDED, RefundState.CLOSED])
async def test_what_is_over_is_not_late(bare: Scene, state: RefundState) -> None:
    row = await granted(bare)
    await told(bare, state, row.refund_id)
    await bare.time.pass_by(40 * DAY)
    assert await rounds(bare) == 0


async def test_one_that_the_service_itself_asks_for_is_late_as_well(scene: Scene) -> None:
    row = await granted(scene)
    await scene.run("UPDATE channel_accounts SET credentials = 'x'")
    await scene.steps(2 * HOUR, every=10 * MINUTE)
    assert await rounds(scene) == 1
    assert await late(scene, row.refund_id) == ["acceptance"]


@pytest.mark.parametrize("endpoints", [0, 1])
async def test_whoever_listens_or_nobody_it_is_told(bare: Scene, endpoints: int) -> None:
    """N100: an instruction with no channel endpoint left is no silence."""
    for _ in range(endpoints):
        async with transaction(bare.engine) as connection:
            await add_endpoint(connection)
    row = await granted(bare)
    await bare.time.pass_by(ACCEPTED_WITHIN + SECOND)
    assert await rounds(bare) == 1
    assert await late(bare, row.refund_id) == ["acceptance"]
    sent = await bare.all(SENT)
    assert len(sent) == endpoints


async def test_a_case_that_is_busy_is_left_for_the_next_round(bare: Scene) -> None:
    first, second = await granted(bare), await granted(bare)
    await bare.time.pass_by(2 * HOUR)
    lock = "SELECT FROM cases WHERE case_id = :case_id FOR UPDATE"
    async with held(bare.engine, lock, case_id=first.case_id):
        assert await rounds(bare) == 1
        assert await late(bare, second.refund_id) == ["acceptance"]
    assert await rounds(bare) == 1
    assert await late(bare, first.refund_id) == ["acceptance"]


async def test_told_by_two_workers_at_once_it_is_told_once(bare: Scene) -> None:
    row = await granted(bare)
    await bare.time.pass_by(2 * HOUR)
    async with transaction(bare.engine) as connection:
        # Looked up by the one; told by the other before the one gets to it.
        [(refund_id, case_id)] = await CaseStore(connection, bare.site_id).refunds.overdue(50)
    assert await rounds(bare) == 1
    assert not await overdue._raise(bare.engine, bare.site_id, refund_id, case_id)
    assert await late(bare, row.refund_id) == ["acceptance"]


async def test_a_fault_of_ours_is_tried_later_and_the_others_go_on(
    bare: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = await granted(bare), await granted(bare)
    raise_overdue = refunds.raise_overdue

    async def fails(cases: Any, case: Any, refund_id: UUID) -> None:
        if refund_id == broken.refund_id:
            raise KeyError
        await raise_overdue(cases, case, refund_id)

    await bare.time.pass_by(2 * HOUR)
    with monkeypatch.context() as patched:
        patched.setattr(overdue, "raise_overdue", fails)
        assert await rounds(bare) == 1
        assert await late(bare, sound.refund_id) == ["acceptance"]
        assert await rounds(bare) == 0
    await bare.time.pass_by(AFTER_A_FAULT + SECOND)
    assert await rounds(bare) == 1
    assert await late(bare, broken.refund_id) == ["acceptance"]
