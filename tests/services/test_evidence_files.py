"""Bytes and rows go together: what failed leaves neither, what a crash left is purged, what is pointed to stays."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import ids
from app.errors import Conflict, Invalid, NotFound, Refusal, Unavailable, UnsupportedFile, UploadExpired
from app.files.cabinet import Cabinet, open_cabinet
from app.ids import Mint
from app.models.closed_sets import FileState, TimerKind, TimerState
from app.rules.facts import Claim, EvidenceKind, PaymentStatus, Reason
from app.rules.lifecycle import UNDECIDED, CaseStatus
from app.services import evidence_files, steps
from app.services.assembling import PutForward
from app.services.deadlines import take_effect
from app.services.evidence_files import announced, file_of_evidence, keep, purge_orphans, take_in
from app.services.filing import Filing, file_case
from app.services.showing import CASE, FILE
from app.services.timing import fire_due
from app.store.case_rows import CaseView, FileRow, Held
from app.store.cases import CaseStore
from app.store.engine import in_transaction, transaction
from app.store.evidence_files import Announced, Kept
from app.store.record_rows import Told
from app.store.sites import database_now
from app.store.timers import DueTimer
from tests.database_clock import DatabaseClock
from tests.files.samples import HTML, png
from tests.services.test_filing import CHAT, FILED_AT, ORDER, PAYMENT
from tests.store.rows import MERCHANT, OTHER_SITE, SITE, until_somebody_waits

DAY = timedelta(days=1)
SHOT = EvidenceKind.ERROR_SCREENSHOT
PENDING = replace(PAYMENT, status=PaymentStatus.PENDING)
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def cabinet(tmp_path: Path) -> Cabinet:
    """A folder of this test's own."""
    return open_cabinet(tmp_path.as_uri())


async def blocks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 50):
        yield content[at : at + 50]


async def awaited(
    engine: AsyncEngine, content: bytes, order_no: str | None = "A-1", site_id: UUID = SITE, sha256: str | None = None
) -> Announced:
    """A case that waits for evidence: its second piece announces a file, without which nothing can be decided."""
    async with transaction(engine) as connection:
        now = await database_now(connection)
        file = FileRow(ids.new_uuid(), FileState.AWAITED, "a.png", "image/png", len(content), sha256, now + DAY)
        view = await file_case(_claim(order_no, file), connection, site_id, now=now)
        assert view.case.status in UNDECIDED
        return await announced(connection, site_id, ids.show(FILE, file.file_id))


def _claim(order_no: str | None, file: FileRow) -> Filing:
    """About an order of this number, or about a charge, still on its way, that became none."""
    pieces = PutForward(replace(CHAT, order_no=order_no)), PutForward(replace(CHAT, kind=SHOT, channel=None), file)
    if order_no is None:
        told, reason = Told((), (replace(PENDING, order_no=None),), (), ()), Reason.CHARGED_WITHOUT_ORDER
    else:
        payment = replace(PAYMENT, payment_no=f"P-{order_no}", order_no=order_no)
        told, reason = Told((replace(ORDER, order_no=order_no),), (payment,), (), (MERCHANT,)), Reason.NOT_WORKING
    return Filing(Claim(reason, FILED_AT), order_no, (told.payments[0].payment_no,), pieces, told, None)


async def sent(
    engine: AsyncEngine, cabinet: Cabinet, expected: Announced, content: bytes, site_id: UUID = SITE
) -> Kept:
    found = await take_in(cabinet, site_id, expected, blocks(content))
    return await keep(engine, cabinet, site_id, expected, found)


async def read(cabinet: Cabinet, key: str) -> bytes:
    return b"".join([block async for block in cabinet.read(key)])


def kept_in(cabinet: Cabinet) -> list[Path]:
    assert cabinet.folder is not None
    return [path for path in cabinet.folder.rglob("*") if path.is_file()]


async def test_what_came_becomes_the_file_of_its_evidence(engine: AsyncEngine, cabinet: Cabinet) -> None:
    expected = await awaited(engine, png())
    kept = await sent(engine, cabinet, expected, png())
    async with transaction(engine) as connection:
        found = await file_of_evidence(connection, SITE, ids.show(CASE, expected.case_id), 2)
        view = await CaseStore(connection, SITE).get(expected.case_id)
    assert view is not None
    digest = hashlib.sha256(png()).hexdigest()
    assert found == kept
    assert (found.file.state, found.file.size, found.file.sha256) == (FileState.STORED, len(png()), digest)
    assert [piece.sha256 for piece in view.evidence] == [None, digest]
    assert (view.case.status, view.case.version) == (CaseStatus.AWAITING_MERCHANT, 2)
    assert await read(cabinet, found.stored_key) == png()


async def test_what_is_not_there_has_no_file(engine: AsyncEngine) -> None:
    expected = await awaited(engine, png())
    async with transaction(engine) as connection:
        for site_id, case_id, n in (
            (SITE, ids.show(CASE, expected.case_id), 2),
            (SITE, ids.show(CASE, expected.case_id), 1),
            (OTHER_SITE, ids.show(CASE, expected.case_id), 2),
            (SITE, "case_x", 2),
        ):
            with pytest.raises(NotFound):
                await file_of_evidence(connection, site_id, case_id, n)


async def test_an_upload_is_its_sites_alone_and_ends(engine: AsyncEngine, clock: DatabaseClock) -> None:
    expected = await awaited(engine, png())
    upload_id = ids.show(FILE, expected.file.file_id)
    async with transaction(engine) as connection:
        with pytest.raises(NotFound):
            await announced(connection, OTHER_SITE, upload_id)
    await clock.freeze(expected.file.expires_at)
    async with transaction(engine) as connection:
        assert await announced(connection, SITE, upload_id) == expected
    await clock.advance(timedelta(microseconds=1))
    async with transaction(engine) as connection:
        with pytest.raises(UploadExpired):
            await announced(connection, SITE, upload_id)


@pytest.mark.parametrize(
    ("expects", "content", "refusal"),
    [(png(), png() + b"x", Invalid), (png(), png()[:-1], Invalid), (HTML, HTML, UnsupportedFile)],
)
async def test_bytes_that_were_not_announced_are_not_kept(
    engine: AsyncEngine, cabinet: Cabinet, expects: bytes, content: bytes, refusal: type[Refusal]
) -> None:
    expected = await awaited(engine, expects)
    with pytest.raises(refusal):
        await take_in(cabinet, SITE, expected, blocks(content))
    assert kept_in(cabinet) == []


async def test_an_announced_hash_must_be_met(engine: AsyncEngine, cabinet: Cabinet) -> None:
    expected = await awaited(engine, png(), sha256="0" * 64)
    with pytest.raises(Invalid) as refused:
        await take_in(cabinet, SITE, expected, blocks(png()))
    assert [fault.code for fault in refused.value.faults] == ["sha256_differs"]
    assert kept_in(cabinet) == []


async def test_of_many_at_once_one_is_kept(engine: AsyncEngine, cabinet: Cabinet) -> None:
    expected = await awaited(engine, png())
    found = [await take_in(cabinet, SITE, expected, blocks(png())) for _ in range(6)]
    assert len(kept_in(cabinet)) == 6
    ended = await asyncio.gather(
        *(keep(engine, cabinet, SITE, expected, each) for each in found), return_exceptions=True
    )
    won = [each for each in ended if isinstance(each, Kept)]
    assert len(won) == 1
    assert {each.code for each in ended if isinstance(each, Conflict)} == {"file_stored"}
    assert len(ended) == 6
    assert [path.name for path in kept_in(cabinet)] == [won[0].stored_key.split("/")[-1]]


async def test_a_judgement_that_fails_leaves_neither_bytes_nor_row(
    engine: AsyncEngine, cabinet: Cabinet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object) -> None:
        raise RuntimeError("judged")

    expected = await awaited(engine, png())
    with monkeypatch.context() as patched:
        patched.setattr(steps, "take_in", failing)
        with pytest.raises(RuntimeError, match="judged"):
            await sent(engine, cabinet, expected, png())
    assert kept_in(cabinet) == []
    await sent(engine, cabinet, expected, png())
    assert len(kept_in(cabinet)) == 1


async def test_bytes_stay_where_the_commit_may_have_happened(
    engine: AsyncEngine, cabinet: Cabinet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer_lost(engine: AsyncEngine, work: Callable[..., Awaitable[object]]) -> None:
        await in_transaction(engine, work)
        raise Unavailable

    expected = await awaited(engine, png())
    monkeypatch.setattr(evidence_files, "in_transaction", answer_lost)
    with pytest.raises(Unavailable):
        await sent(engine, cabinet, expected, png())
    async with transaction(engine) as connection:
        kept = await file_of_evidence(connection, SITE, ids.show(CASE, expected.case_id), 2)
    assert await read(cabinet, kept.stored_key) == png()


@pytest.mark.parametrize(
    ("earlier", "site_id", "reused"),
    [("A-2", SITE, True), (None, SITE, True), ("A-2", OTHER_SITE, False)],
    ids=["another order", "no order", "another site"],
)
async def test_bytes_of_another_orders_case_are_found(
    engine: AsyncEngine, cabinet: Cabinet, earlier: str | None, site_id: UUID, *, reused: bool
) -> None:
    await sent(engine, cabinet, await awaited(engine, png(), earlier, site_id), png(), site_id)
    assert (await sent(engine, cabinet, await awaited(engine, png()), png())).reused is reused


async def test_an_order_may_show_its_file_again(engine: AsyncEngine, cabinet: Cabinet) -> None:
    """In another case of its own, for another reason."""
    await tell_the_hash(engine, "A-1", png())
    expected = await awaited(engine, png())
    assert not (await sent(engine, cabinet, expected, png())).reused
    assert "abuse-suspected" not in rules_of(await view_of(engine, expected))


async def test_a_hash_that_was_only_told_counts_as_well(engine: AsyncEngine, cabinet: Cabinet) -> None:
    await tell_the_hash(engine, "A-2", png())
    assert (await sent(engine, cabinet, await awaited(engine, png()), png())).reused


async def test_bytes_that_another_order_showed_count_against_the_buyer_as_they_come(
    engine: AsyncEngine, cabinet: Cabinet
) -> None:
    """No hash was told with the claim, so it is the upload that finds them; the judgement on it knows."""
    await tell_the_hash(engine, "A-2", png())
    expected = await awaited(engine, png())
    assert "abuse-suspected" not in rules_of(await view_of(engine, expected))
    await sent(engine, cabinet, expected, png())
    view = await view_of(engine, expected)
    assert view.evidence[1].reused
    assert "abuse-suspected" in rules_of(view)


async def tell_the_hash(engine: AsyncEngine, order_no: str, content: bytes) -> None:
    """In a case of that order, with a piece whose file is kept elsewhere."""
    told = Told((replace(ORDER, order_no=order_no),), (), (), (MERCHANT,))
    piece = PutForward(replace(CHAT, order_no=order_no, sha256=hashlib.sha256(content).hexdigest()))
    async with transaction(engine) as connection:
        claim = Filing(Claim(Reason.OTHER, FILED_AT), order_no, (), (piece,), told, None)
        await file_case(claim, connection, SITE, now=await database_now(connection))


async def view_of(engine: AsyncEngine, expected: Announced) -> CaseView:
    async with transaction(engine) as connection:
        view = await CaseStore(connection, SITE).get(expected.case_id)
    assert view is not None
    return view


def rules_of(view: CaseView) -> set[str]:
    """Those that found something in the latest judgement."""
    assert view.decision is not None
    return {finding["rule"] for finding in json.loads(view.decision.body)["findings"]}


async def limit_of(engine: AsyncEngine, expected: Announced) -> datetime:
    """The end of the time for evidence."""
    [limit] = {
        row.due_at
        for row in (await view_of(engine, expected)).timers
        if row.name == "evidence_supplement" and row.kind is TimerKind.DUE
    }
    return limit


async def told_of(engine: AsyncEngine, expected: Announced) -> list[str]:
    return [each.type for each in (await view_of(engine, expected)).timeline]


async def test_bytes_that_end_at_the_very_limit_are_in_time(
    engine: AsyncEngine, cabinet: Cabinet, clock: DatabaseClock
) -> None:
    expected = await awaited(engine, png())
    await clock.freeze(await limit_of(engine, expected))
    await sent(engine, cabinet, expected, png())
    view = await view_of(engine, expected)
    assert view.case.status is CaseStatus.AWAITING_MERCHANT
    assert [row.state for row in view.timers if row.name == "evidence_supplement" and row.kind is TimerKind.DUE] == [
        TimerState.KEPT
    ]
    assert await told_of(engine, expected) == ["case.filed", "case.evidence_requested", "case.merchant_turn"]


async def test_bytes_that_began_in_time_and_end_too_late_are_refused_and_change_nothing(
    engine: AsyncEngine, cabinet: Cabinet, clock: DatabaseClock
) -> None:
    expected = await awaited(engine, png())
    limit = await limit_of(engine, expected)
    await clock.freeze(limit)
    found = await take_in(cabinet, SITE, expected, blocks(png()))
    before = await view_of(engine, expected)
    await clock.freeze(limit + INSTANT)
    with pytest.raises(Conflict) as refused:
        await keep(engine, cabinet, SITE, expected, found)
    assert refused.value.code == "deadline_passed"
    assert kept_in(cabinet) == []
    assert await view_of(engine, expected) == replace(before, now=limit + INSTANT)


async def test_an_upload_that_holds_the_case_is_not_overtaken_by_the_end_of_its_time(
    engine: AsyncEngine, cabinet: Cabinet, clock: DatabaseClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await awaited(engine, png())
    limit = await limit_of(engine, expected)
    await clock.freeze(limit)
    await fire_due(engine, limit=10)  # what reminds of the limit
    judging, over, take_in_now = asyncio.Event(), asyncio.Event(), steps.take_in

    async def slowly(cases: CaseStore, held: Held) -> CaseView:
        judging.set()
        await over.wait()
        return await take_in_now(cases, held)

    monkeypatch.setattr(steps, "take_in", slowly)
    upload = asyncio.create_task(sent(engine, cabinet, expected, png()))
    await judging.wait()
    await clock.freeze(limit + INSTANT)
    assert await fire_due(engine, limit=10) == 0
    over.set()
    await upload
    assert await fire_due(engine, limit=10) == 0
    assert (await view_of(engine, expected)).case.status is CaseStatus.AWAITING_MERCHANT
    assert "case.lapsed" not in await told_of(engine, expected)
    assert len(kept_in(cabinet)) == 1


async def test_an_upload_that_waits_while_the_case_lapses_is_refused(
    engine: AsyncEngine, cabinet: Cabinet, clock: DatabaseClock
) -> None:
    expected = await awaited(engine, png())
    limit = await limit_of(engine, expected)
    await clock.freeze(limit)
    await fire_due(engine, limit=10)  # what reminds of the limit
    lapsing, asked = asyncio.Event(), asyncio.Event()

    async def slowly(connection: AsyncConnection, site_id: UUID, timer: DueTimer, mint: Mint) -> None:
        lapsing.set()
        await asked.wait()
        await take_effect(connection, site_id, timer, mint)

    await clock.freeze(limit + INSTANT)
    firing = asyncio.create_task(fire_due(engine, limit=10, effect=slowly))
    await lapsing.wait()
    upload = asyncio.create_task(sent(engine, cabinet, expected, png()))
    await until_somebody_waits(engine)
    asked.set()
    assert await firing == 1
    with pytest.raises(Conflict) as refused:
        await upload
    assert refused.value.code == "not_allowed_now"
    view = await view_of(engine, expected)
    assert (view.case.status, view.evidence[1].sha256) == (CaseStatus.LAPSED, None)
    assert (await told_of(engine, expected))[-1] == "case.lapsed"
    assert kept_in(cabinet) == []


async def test_orphans_are_purged_when_they_are_a_day_old(
    engine: AsyncEngine, cabinet: Cabinet, clock: DatabaseClock
) -> None:
    expected = await awaited(engine, png())
    orphan = await take_in(cabinet, SITE, expected, blocks(png()))
    kept = await sent(engine, cabinet, expected, png())
    nobodys = f"{ids.new_uuid()}/{ids.new_uuid()}/{ids.new_uuid()}/{ids.new_uuid()}"
    for key in (nobodys, "not/ours", "1/2/3/4"):
        await cabinet.write(key, blocks(png()))
    assert cabinet.folder is not None
    (cabinet.folder / "half#1").write_bytes(b"half")

    await clock.advance(DAY - timedelta(minutes=5))
    assert await purge_orphans(engine, cabinet) == 0
    await clock.advance(timedelta(minutes=10))
    assert await purge_orphans(engine, cabinet) == 3

    left = {path.relative_to(cabinet.folder).as_posix() for path in kept_in(cabinet)}
    assert left == {kept.stored_key, "not/ours", "1/2/3/4"}
    assert orphan.stored_key not in left
    assert await purge_orphans(engine, cabinet) == 0


async def test_a_purge_is_bounded(
    engine: AsyncEngine, cabinet: Cabinet, clock: DatabaseClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_files, "MOST_PURGED", 2)
    monkeypatch.setattr("app.files.cabinet.LISTED_AT_ONCE", 1)
    for _ in range(5):
        await cabinet.write("/".join(str(ids.new_uuid()) for _ in range(4)), blocks(png()))
    await clock.advance(2 * DAY)
    assert [await purge_orphans(engine, cabinet) for _ in range(4)] == [2, 2, 1, 0]
