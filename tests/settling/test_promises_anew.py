"""What a retry has promised stands, though the case's deadlines are computed anew by a calendar that knows more."""

from app.rules.calendar import STATUTORY
from app.rules.settlement import RefundState
from app.services.deadlines import recompute
from app.store.case_rows import RefundRow
from app.store.cases import CaseStore
from app.store.engine import transaction
from tests.settling.gateways import KINDS
from tests.settling.scene import DAY, HOUR, MINUTE, Scene

WECHAT, _, _, _ = (kind.channel for kind in KINDS)
FEN = 10_000


async def recomputed(scene: Scene, row: RefundRow) -> RefundRow:
    async with transaction(scene.engine) as connection:
        await CaseStore(connection, scene.site_id).lock(row.case_id)
        await recompute(connection, scene.site_id, row.case_id, STATUTORY)
    return (await scene.view(row.refund_id)).refund


async def test_a_retry_s_promise_is_its_own(scene: Scene) -> None:
    scene.gateways.set_balance(0)
    [refund_id] = await scene.granted((WECHAT, FEN))
    await scene.step()
    assert await scene.state(refund_id) is RefundState.FAILED
    await scene.time.pass_by(10 * DAY)
    await scene.retry(refund_id)
    promised = (await scene.view(refund_id)).refund
    after = await recomputed(scene, promised)
    assert promised.expected_by is not None
    assert promised.expected_by > scene.time.at
    assert (after.expected_by, after.overdue_at) == (promised.expected_by, promised.overdue_at)


async def test_so_is_that_of_a_refund_in_another_s_place(scene: Scene) -> None:
    scene.gateways.wechat.ends_next = "CLOSED"
    [closed] = await scene.granted((WECHAT, FEN))
    await scene.steps(HOUR, every=5 * MINUTE)
    await scene.time.pass_by(10 * DAY)
    promised = (await scene.view(await scene.retry(closed))).refund
    assert (await recomputed(scene, promised)).expected_by == promised.expected_by
