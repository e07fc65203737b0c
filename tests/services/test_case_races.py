"""Two parties at once, over connections of their own: one winner, one end of the case, one refund, and no deadlock."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import Conflict, Invalid
from app.files.cabinet import Cabinet, open_cabinet
from app.ids import Mint
from app.rules.facts import (
    Claim,
    EvidenceKind,
    MerchantStatus,
    Party,
    PaymentStatus,
    Position,
    Reason,
    Ruled,
    RulingCode,
    Usage,
    UsedBy,
)
from app.rules.lifecycle import CaseStatus
from app.services import evidence_files, parties, timing
from app.services.assembling import PutForward
from app.services.deadlines import take_effect
from app.services.filing import Filing
from app.services.parties import Because
from app.services.records import put_record
from app.services.ruling import Wish, rule
from app.services.steps import Target
from app.store.case_rows import CaseView
from app.store.cases import CaseStore
from app.store.engine import Connection, transaction
from app.store.record_rows import DeliveryRow, Told
from app.store.records import RecordStore
from app.store.sites import database_now
from app.store.timers import DueTimer
from tests.database_clock import DatabaseClock
from tests.files.samples import png
from tests.services.test_evidence_files import awaited, blocks, kept_in
from tests.services.test_filing import CHAT, FILED_AT, ORDER, PAYMENT, filed
from tests.store.rows import MERCHANT, SITE, until_somebody_waits

SHOT = replace(CHAT, kind=EvidenceKind.ERROR_SCREENSHOT, channel=None)
FEN = PAYMENT.amount
ROUNDS = 30
AT_ONCE = 6
REFUSED = (Conflict, Invalid)

Step: TypeAlias = Callable[[CaseStore, Target], Awaitable[CaseView]]


def _as_of(order_no: str, *kinds: EvidenceKind) -> tuple[PutForward, ...]:
    return tuple(PutForward(replace(SHOT, kind=kind, order_no=order_no)) for kind in kinds)


async def asked(engine: AsyncEngine, order_no: str = "A-1", reason: Reason = Reason.NOT_WORKING) -> UUID:
    """A case in which the merchant is asked; for another reason, one that a person has to look at."""
    told = Told(
        (replace(ORDER, order_no=order_no),),
        (replace(PAYMENT, order_no=order_no, payment_no=f"P-{order_no}"),),
        (),
        (MERCHANT,),
    )
    evidence = (PutForward(replace(CHAT, order_no=order_no)), PutForward(replace(SHOT, order_no=order_no)))
    return (await filed(engine, Filing(Claim(reason, FILED_AT), order_no, (), evidence, told, None))).case.case_id


async def reviewed(engine: AsyncEngine, order_no: str = "A-1") -> UUID:
    """A case in which the merchant contests."""
    case_id = await asked(engine, order_no)
    assert await status_of(engine, case_id) == "awaiting_merchant"
    await taken(engine, case_id, contest)
    return case_id


async def refused(engine: AsyncEngine, order_no: str = "A-1") -> UUID:
    """A case that a person refused."""
    case_id = await reviewed(engine, order_no)
    await taken(engine, case_id, reject)
    return case_id


async def bare(engine: AsyncEngine, order_no: str = "A-1") -> UUID:
    """A case that waits for evidence."""
    payment = replace(PAYMENT, order_no=order_no, payment_no=f"P-{order_no}")
    told = Told((replace(ORDER, order_no=order_no),), (payment,), (), (MERCHANT,))
    view = await filed(engine, Filing(Claim(Reason.NOT_WORKING, FILED_AT), order_no, (), (), told, None))
    assert view.case.status is CaseStatus.AWAITING_EVIDENCE
    return view.case.case_id


async def withdraw(cases: CaseStore, target: Target) -> CaseView:
    return await parties.withdraw(cases, target, Because.RESOLVED, None)


async def grant(cases: CaseStore, target: Target) -> CaseView:
    return await rule(cases, target, Wish(Ruled.APPROVE, RulingCode.OTHER, "支持", None, "op-1"))


async def reject(cases: CaseStore, target: Target) -> CaseView:
    return await rule(cases, target, Wish(Ruled.REJECT, RulingCode.OTHER, "驳回", None, "op-2"))


async def accept(cases: CaseStore, target: Target) -> CaseView:
    return await parties.respond(cases, target, Position.ACCEPT, None, ())


async def contest(cases: CaseStore, target: Target) -> CaseView:
    return await parties.respond(cases, target, Position.CONTEST, None, ())


async def add_evidence(cases: CaseStore, target: Target) -> CaseView:
    kinds = (EvidenceKind.CHAT_LOG, EvidenceKind.ERROR_SCREENSHOT)
    pieces = [PutForward(replace(CHAT, kind=kind, order_no=None)) for kind in kinds]
    return await parties.supply_evidence(cases, target, pieces)


async def appeal(cases: CaseStore, target: Target) -> CaseView:
    news = replace(SHOT, kind=EvidenceKind.SCREEN_RECORDING, party=Party.BUYER, order_no=None)
    return await parties.appeal(cases, target, "另有录屏", [PutForward(news)])


async def taken(engine: AsyncEngine, case_id: UUID, step: Step) -> CaseView:
    """A step in a transaction of its own, as a request takes it: a deadlock would be Busy, and is not tried again."""
    async with transaction(engine) as connection:
        return await step(CaseStore(connection, SITE), Target(case_id))


async def status_of(engine: AsyncEngine, case_id: UUID) -> str:
    async with engine.connect() as connection:
        query = text("SELECT status FROM cases WHERE case_id = :case_id")
        return str(await connection.scalar(query, {"case_id": case_id}))


@dataclass(frozen=True, slots=True)
class Trace:
    """What is left of a case: its status, what it told in order, and what it pays back by payment.

    What it told of its merchant's deposit was booked, once.
    """

    status: str
    told: tuple[str, ...]
    refunds: tuple[int, ...]


async def trace(engine: AsyncEngine, case_id: UUID) -> Trace:
    """Read from the tables, after checking that nothing in them has a gap or a double."""
    async with engine.connect() as connection:
        own = {"case_id": case_id}
        case = (await connection.execute(text("SELECT * FROM cases WHERE case_id = :case_id"), own)).one()
        events = (
            await connection.execute(
                text("SELECT type, sequence FROM events WHERE case_id = :case_id ORDER BY sequence"), own
            )
        ).all()
        for table in ("decisions", "case_acts", "case_evidence"):
            query = text(f"SELECT coalesce(array_agg(n ORDER BY n), '{{}}') FROM {table} WHERE case_id = :case_id")
            numbers = await connection.scalar(query, own)
            assert numbers == list(range(1, len(numbers) + 1)), table
        refunds = (await connection.scalars(text("SELECT amount FROM refunds WHERE case_id = :case_id"), own)).all()
        query = text("SELECT refunds FROM deposit_entries WHERE case_id = :case_id")
        deducted = (await connection.scalars(query, own)).all()
        overdrawn = await connection.scalar(
            text("""
                SELECT count(*) FROM payments p WHERE p.reserved_amount > p.amount OR p.reserved_amount <> (
                    SELECT coalesce(sum(r.amount), 0) FROM refunds r
                    WHERE r.site_id = p.site_id AND r.payment_no = p.payment_no)""")
        )
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert case.next_sequence == len(events) + 1
    assert overdrawn == 0
    assert list(deducted) == [sum(refunds)] * [event.type for event in events].count("merchant.deposit_deducted")
    return Trace(case.status, tuple(event.type for event in events), tuple(refunds))


async def one_after_the_other(
    engine: AsyncEngine, case_id: UUID, first: Step, second: Step
) -> tuple[CaseView, CaseView | BaseException]:
    """`first` has the case and has not committed when `second` comes and has to wait for it."""
    async with transaction(engine) as connection:
        view = await first(CaseStore(connection, SITE), Target(case_id))
        waiting = asyncio.create_task(taken(engine, case_id, second))
        await until_somebody_waits(engine)
        assert not waiting.done()
    [came] = await asyncio.gather(waiting, return_exceptions=True)
    return view, came


ENDS: dict[str, tuple[Any, Step, Step]] = {
    "withdrawal, ruling": (reviewed, withdraw, grant),
    "ruling, withdrawal": (reviewed, grant, withdraw),
    "two rulings": (reviewed, grant, grant),
    "ruling for, ruling against": (reviewed, grant, reject),
    "ruling against, ruling for": (reviewed, reject, grant),
    "two withdrawals": (reviewed, withdraw, withdraw),
    "two appeals": (refused, appeal, appeal),
    "answer, withdrawal": (asked, accept, withdraw),
    "withdrawal, answer": (asked, withdraw, accept),
    "ruling, evidence": (reviewed, grant, add_evidence),
    "withdrawal, evidence": (bare, withdraw, add_evidence),
    "two that accept": (asked, accept, accept),
}
PAID_BY_THE_DEPOSIT = ("case.approved", "refund.requested", "merchant.deposit_deducted")
OF_THE_WINNER: dict[Step, tuple[str, tuple[str, ...], tuple[int, ...]]] = {
    withdraw: ("withdrawn", ("case.withdrawn",), ()),
    grant: ("approved", PAID_BY_THE_DEPOSIT, (FEN,)),
    accept: ("approved", ("case.approved", "refund.requested"), (FEN,)),  # whoever accepts pays it
    reject: ("rejected", ("case.rejected",), ()),
    appeal: ("appealed", ("case.appealed",), ()),
}


def _is_of(winner: Step, left: Trace, before: Trace) -> bool:
    """Whether this is what the winner alone leaves behind."""
    status, told, refunds = OF_THE_WINNER[winner]
    new = left.told[len(before.told) :]
    return (left.status, new[: len(told)], left.refunds) == (status, told, refunds) and len(new) <= max(2, len(told))


@pytest.mark.parametrize("name", ENDS)
async def test_who_comes_second_finds_the_case_decided(engine: AsyncEngine, name: str) -> None:
    start, first, second = ENDS[name]
    case_id = await start(engine)
    before = await trace(engine, case_id)
    view, came = await one_after_the_other(engine, case_id, first, second)
    assert isinstance(came, Conflict), came
    left = await trace(engine, case_id)
    assert _is_of(first, left, before), left
    assert left.status == view.case.status


@pytest.mark.parametrize("name", ENDS)
async def test_of_two_at_once_exactly_one_wins_each_time(engine: AsyncEngine, name: str) -> None:
    start, *steps = ENDS[name]
    case_ids = [await start(engine, f"A-{n}") for n in range(ROUNDS)]
    before = {case_id: await trace(engine, case_id) for case_id in case_ids}
    turns = asyncio.Semaphore(AT_ONCE)

    async def race(case_id: UUID, pair: Sequence[Step]) -> list[CaseView | BaseException]:
        async with turns:
            return await asyncio.gather(*(taken(engine, case_id, step) for step in pair), return_exceptions=True)

    pairs = [steps if n % 2 else steps[::-1] for n in range(ROUNDS)]
    outcomes = await asyncio.gather(*map(race, case_ids, pairs))
    for case_id, pair, came in zip(case_ids, pairs, outcomes, strict=True):
        won = [step for step, each in zip(pair, came, strict=True) if isinstance(each, CaseView)]
        lost = [each for each in came if not isinstance(each, CaseView)]
        left = await trace(engine, case_id)
        if add_evidence in won:  # evidence decides nothing here, so whoever comes next may still win
            won.remove(add_evidence)
        else:
            assert len(lost) == 1, came
        assert all(isinstance(each, Conflict) for each in lost), lost
        assert len(won) == 1, came
        assert left.status == OF_THE_WINNER[won[0]][0]
        assert left.refunds == OF_THE_WINNER[won[0]][2]
        assert left.told.count(OF_THE_WINNER[won[0]][1][0]) == before[case_id].told.count(
            OF_THE_WINNER[won[0]][1][0]
        ) + 1  # fmt: skip


async def test_a_case_with_neither_order_nor_payment_is_locked_by_itself(engine: AsyncEngine) -> None:
    claim = Claim(Reason.CHARGED_WITHOUT_ORDER, FILED_AT)
    view = await filed(engine, Filing(claim, None, (), (), Told(), None))
    assert view.case.status is CaseStatus.REJECTED
    _, came = await one_after_the_other(engine, view.case.case_id, appeal, appeal)
    assert isinstance(came, Conflict), came
    assert (await trace(engine, view.case.case_id)).told.count("case.appealed") == 1


async def test_a_step_waits_for_who_tells_of_a_delivery_and_knows_it_then(engine: AsyncEngine) -> None:
    case_id = await asked(engine)
    delivery = DeliveryRow("D-1", "A-1", delivered_at=ORDER.placed_at, usage=Usage.CONSUMED, used_by=UsedBy.BUYER)
    async with transaction(engine) as connection:
        await put_record(connection, SITE, delivery, await database_now(connection))
        waiting = asyncio.create_task(taken(engine, case_id, add_evidence))
        await until_somebody_waits(engine)
    view = await waiting
    assert view.decision is not None
    assert '"delivery_no":"D-1"' in view.decision.facts.replace(" ", "")


async def test_no_case_moves_while_somebody_has_its_order(engine: AsyncEngine) -> None:
    case_id = await asked(engine)
    async with transaction(engine) as connection:
        await CaseStore(connection, SITE).lock_order("A-1")
        waiting = asyncio.create_task(taken(engine, case_id, withdraw))
        await until_somebody_waits(engine)
        assert await status_of(engine, case_id) == "awaiting_merchant"
        async with transaction(engine) as worker:
            assert not await CaseStore(worker, SITE).lock(case_id, wait=False)
    assert (await waiting).case.status is CaseStatus.WITHDRAWN


async def test_evidence_of_two_parties_at_once_is_all_kept_in_order(engine: AsyncEngine) -> None:
    case_id = await reviewed(engine)
    came = await asyncio.gather(*(taken(engine, case_id, add_evidence) for _ in range(8)), return_exceptions=True)
    views = [each for each in came if isinstance(each, CaseView)]
    assert len(views) == len(came), came
    assert sorted(view.case.version for view in views) == list(range(3, 11))
    await trace(engine, case_id)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM case_evidence")) == 2 + 16


class Halted:
    """A deadline's effect that has happened and is not committed until somebody says so."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, connection: Connection, site_id: UUID, timer: DueTimer, mint: Mint) -> None:
        await take_effect(connection, site_id, timer, mint)
        self.reached.set()
        await self.go_on.wait()


async def fire(engine: AsyncEngine) -> int:
    return await timing.fire_due(engine, limit=10)


async def the_deadline_first(engine: AsyncEngine, case_id: UUID, step: Step) -> CaseView | BaseException:
    """The deadline takes effect, and before that is committed a party takes a step."""
    halted = Halted()
    firing = asyncio.create_task(timing.fire_due(engine, limit=1, effect=halted))
    await halted.reached.wait()
    stepping = asyncio.create_task(taken(engine, case_id, step))
    await until_somebody_waits(engine)
    halted.go_on.set()
    assert await firing == 1
    [came] = await asyncio.gather(stepping, return_exceptions=True)
    return came


async def the_deadline_second(
    engine: AsyncEngine, clock: DatabaseClock, case_id: UUID, step: Step, late: timedelta
) -> None:
    """A step is taken in time; before it is committed the time is over, and the worker comes."""
    async with transaction(engine) as connection:
        await step(CaseStore(connection, SITE), Target(case_id))
        await clock.advance(late)
        assert await fire(engine) == 0
    await fire(engine)


async def _drop_reminders(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text("DELETE FROM case_timers WHERE kind = 'approaching'"))


async def _at_the_limit(engine: AsyncEngine, clock: DatabaseClock, name: str) -> None:
    await _drop_reminders(engine)
    async with engine.connect() as connection:
        query = text("SELECT due_at FROM case_timers WHERE name = :name")
        await clock.freeze(await connection.scalar(query, {"name": name}))


DEADLINES: dict[str, tuple[Any, Step, str, str, str]] = {
    "merchant's answer": (asked, contest, "merchant_turn", "in_review", "approved"),
    "evidence": (bare, add_evidence, "evidence_supplement", "awaiting_merchant", "lapsed"),
    "withdrawal": (asked, withdraw, "merchant_turn", "withdrawn", "approved"),
}


@pytest.mark.parametrize("name", DEADLINES)
async def test_a_step_in_time_that_ends_late_wins_over_its_deadline(
    engine: AsyncEngine, clock: DatabaseClock, name: str
) -> None:
    start, step, timer, stays, _ = DEADLINES[name]
    case_id = await start(engine)
    before = await trace(engine, case_id)
    await _at_the_limit(engine, clock, timer)
    await the_deadline_second(engine, clock, case_id, step, timedelta(microseconds=1))
    left = await trace(engine, case_id)
    assert (left.status, len(left.told) - len(before.told), left.refunds) == (stays, 1, ())


@pytest.mark.parametrize("name", DEADLINES)
async def test_a_deadline_that_took_effect_wins_over_a_step(
    engine: AsyncEngine, clock: DatabaseClock, name: str
) -> None:
    start, step, timer, _, becomes = DEADLINES[name]
    case_id = await start(engine)
    before = await trace(engine, case_id)
    await _at_the_limit(engine, clock, timer)
    await clock.advance(timedelta(microseconds=1))
    came = await the_deadline_first(engine, case_id, step)
    assert isinstance(came, Conflict), came
    left = await trace(engine, case_id)
    assert left.status == becomes
    assert left.told[len(before.told) :] == {"approved": PAID_BY_THE_DEPOSIT, "lapsed": ("case.lapsed",)}[becomes]


async def _merchant_gone(engine: AsyncEngine) -> None:
    gone = Told(merchants=(replace(MERCHANT, status=MerchantStatus.UNREACHABLE),))
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(gone, await database_now(connection))


async def _enqueue(engine: AsyncEngine, case_id: UUID) -> None:
    query = text("""
        INSERT INTO case_timers (site_id, case_id, name, kind, due_at, provisional, state, attempts, next_attempt_at,
                                 created_at)
        VALUES (:site_id, :case_id, 'rejudge', 'due', now() - interval '1 s', false, 'pending', 0, now(), now())""")
    async with transaction(engine) as connection:
        await connection.execute(query, {"site_id": SITE, "case_id": case_id})


async def test_a_new_judgement_and_a_withdrawal(engine: AsyncEngine) -> None:
    case_id = await asked(engine)
    await _merchant_gone(engine)
    await _enqueue(engine, case_id)
    came = await the_deadline_first(engine, case_id, withdraw)
    assert isinstance(came, Conflict), came
    left = await trace(engine, case_id)
    assert (left.status, left.refunds) == ("approved", (FEN,))


async def test_a_withdrawal_and_a_new_judgement(engine: AsyncEngine) -> None:
    case_id = await asked(engine)
    await _merchant_gone(engine)
    await _enqueue(engine, case_id)
    async with transaction(engine) as connection:
        await withdraw(CaseStore(connection, SITE), Target(case_id))
        assert await fire(engine) == 0
    assert await fire(engine) == 1
    left = await trace(engine, case_id)
    assert (left.status, left.told[-1], left.refunds) == ("withdrawn", "case.withdrawn", ())


async def test_workers_and_parties_at_once_leave_every_case_with_one_end(engine: AsyncEngine) -> None:
    case_ids = [await asked(engine, f"A-{n}") for n in range(ROUNDS)]
    await _merchant_gone(engine)
    for case_id in case_ids:
        await _enqueue(engine, case_id)
    workers = [asyncio.create_task(timing.fire_due(engine, limit=100)) for _ in range(2)]
    turns = asyncio.Semaphore(AT_ONCE)

    async def give_up(case_id: UUID) -> CaseView:
        async with turns:
            return await taken(engine, case_id, withdraw)

    came = await asyncio.gather(*map(give_up, case_ids), return_exceptions=True)
    await asyncio.gather(*workers)
    while await fire(engine):
        pass
    for case_id, each in zip(case_ids, came, strict=True):
        left = await trace(engine, case_id)
        if isinstance(each, CaseView):
            assert (left.status, left.refunds) == ("withdrawn", ())
        else:
            assert isinstance(each, Conflict), each
            assert (left.status, left.refunds) == ("approved", (FEN,))


@pytest.mark.parametrize("together", [15_000, 10_001, None])
async def test_two_cases_on_one_payment_ruled_on_at_once_get_no_more_than_was_paid(
    engine: AsyncEngine, together: int | None
) -> None:
    """Two claims on one order for two reasons; each ruling alone would fit."""

    async def part(cases: CaseStore, target: Target) -> CaseView:
        return await rule(cases, target, Wish(Ruled.APPROVE, RulingCode.OTHER, "支持", together, "op-1"))

    for n in range(10):
        pair = [await reviewed(engine, f"A-{n}"), await asked(engine, f"A-{n}", Reason.OTHER)]
        came = await asyncio.gather(*(taken(engine, case_id, part) for case_id in pair), return_exceptions=True)
        [lost] = [each for each in came if not isinstance(each, CaseView)]
        assert isinstance(lost, REFUSED), lost
        traces = [await trace(engine, case_id) for case_id in pair]
        assert sorted(sum(each.refunds) for each in traces) == [0, together or FEN]
        assert sorted(each.status for each in traces) == ["approved", "in_review"]


async def show_the_page(cases: CaseStore, target: Target) -> CaseView:
    page = replace(SHOT, kind=EvidenceKind.FAILURE_PAGE, order_no=None)
    return await parties.supply_evidence(cases, target, [PutForward(page)])


async def test_two_charges_without_an_order_on_one_payment(engine: AsyncEngine) -> None:
    """Nothing but the payment connects the two cases, and it is the payment that lets only one of them have it."""
    paid, claim = replace(PAYMENT, order_no=None), Claim(Reason.CHARGED_WITHOUT_ORDER, FILED_AT)
    told = Told(payments=(replace(paid, status=PaymentStatus.PENDING),))
    views = [await filed(engine, Filing(claim, None, (PAYMENT.payment_no,), (), told, None)) for _ in range(2)]
    first, second = (view.case.case_id for view in views)
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(Told(payments=(paid,)), await database_now(connection))
    async with transaction(engine) as connection:
        view = await show_the_page(CaseStore(connection, SITE), Target(first))
        waiting = asyncio.create_task(taken(engine, second, show_the_page))
        await until_somebody_waits(engine)
    came = await waiting
    assert (view.case.status, came.refunds) == (CaseStatus.APPROVED, ())
    assert [(await trace(engine, case_id)).refunds for case_id in (first, second)] == [(FEN,), ()]


async def test_an_appeal_and_the_same_claim_filed_anew(engine: AsyncEngine) -> None:
    """One open case for an order and a reason, whichever comes first."""
    case_ids = [await refused(engine, f"A-{n}") for n in range(10)]

    for n, case_id in enumerate(case_ids):
        both = taken(engine, case_id, appeal), asked(engine, f"A-{n}")
        came: Sequence[object] = await asyncio.gather(*both, return_exceptions=True)
        [lost] = [each for each in came if isinstance(each, BaseException)]
        assert isinstance(lost, Conflict)
        assert lost.code == "case_open"
        await trace(engine, case_id)


@pytest.fixture
def cabinet(tmp_path: Path) -> Cabinet:
    """A folder of its own for the files."""
    return open_cabinet(tmp_path.as_uri())


async def test_a_file_that_comes_when_the_case_has_ended_is_refused(engine: AsyncEngine, cabinet: Cabinet) -> None:
    expected = await awaited(engine, png())
    found = await evidence_files.take_in(cabinet, SITE, expected, blocks(png()))
    async with transaction(engine) as connection:
        await withdraw(CaseStore(connection, SITE), Target(expected.case_id))
        keeping = asyncio.create_task(evidence_files.keep(engine, cabinet, SITE, expected, found))
        await until_somebody_waits(engine)
    with pytest.raises(Conflict):
        await keeping
    left = await trace(engine, expected.case_id)
    assert (left.status, left.told[-1]) == ("withdrawn", "case.withdrawn")
    assert kept_in(cabinet) == []


async def test_a_file_that_comes_first_counts_in_the_step_that_waited(engine: AsyncEngine, cabinet: Cabinet) -> None:
    expected = await awaited(engine, png())
    found = await evidence_files.take_in(cabinet, SITE, expected, blocks(png()))
    both = evidence_files.keep(engine, cabinet, SITE, expected, found), taken(engine, expected.case_id, add_evidence)
    await asyncio.gather(*both)
    await trace(engine, expected.case_id)
    async with engine.connect() as connection:
        query = text("SELECT facts FROM decisions WHERE case_id = :case_id ORDER BY n DESC LIMIT 1")
        latest = str(await connection.scalar(query, {"case_id": expected.case_id}))
    assert latest.count('"kind"') - latest.count('"game_card"') == 4
