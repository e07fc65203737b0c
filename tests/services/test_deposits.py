"""Deposits along the life of cases: what each step books, what two at once can take, and that it always adds up."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeAlias
from uuid import UUID

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import Conflict, Invalid, NotFound
from app.ids import new_uuid, show
from app.rules.deposits import STATED, Balances, DepositKind
from app.rules.facts import Claim, EvidenceKind, Position, Reason, Ruled, RulingCode
from app.rules.lifecycle import UNDECIDED, CaseStatus
from app.services import parties
from app.services.assembling import PutForward
from app.services.deposits import (
    Booked,
    Statement,
    book_closed,
    book_replaced,
    book_statement,
    book_step,
    book_told,
    deduction_document,
)
from app.services.filing import Filing, file_case, nothing_yet
from app.services.parties import Because
from app.services.ruling import Wish, rule
from app.services.steps import Target
from app.store.case_rows import CaseView
from app.store.cases import CaseStore
from app.store.deposit_rows import Account, EntryRow
from app.store.deposits import DepositStore
from app.store.engine import transaction
from app.store.record_rows import Told
from app.store.records import RecordStore, kind_of
from app.store.sites import database_now
from tests.services.test_filing import CHAT, FILED_AT, ORDER, PAYMENT
from tests.store.rows import MERCHANT, SITE, until_somebody_waits
from tests.store.test_deposits import BrokeOff, is_sound
from tests.store.test_statement_counts import counted

FEN = PAYMENT.amount
SHOT = replace(CHAT, kind=EvidenceKind.ERROR_SCREENSHOT, channel=None)
STANDARD, FREEZING, ADVANCING = "standard", "binghui", "consumption"
ASKED_FOR, CONCLUSIVE = Reason.NOT_WORKING, Reason.NOT_DELIVERED
Step: TypeAlias = Callable[[CaseStore, Target], Awaitable[CaseView]]


@dataclass(slots=True)
class Shop:
    """A site whose merchant m-7 has a deposit; each claim is about an order of its own."""

    engine: AsyncEngine
    orders: list[str] = field(default_factory=list)

    async def agree(self, deposit: int) -> None:
        """The merchant's record tells this deposit."""
        async with transaction(self.engine) as connection:
            now, row = await database_now(connection), replace(MERCHANT, deposit=deposit)
            await RecordStore(connection, SITE).put(kind_of(row), [row], now)
            await book_told(DepositStore(connection, SITE), ["m-7"], now)

    async def file(
        self, policy: str, reason: Reason = ASKED_FOR, *, proven: bool = True, amount: int | None = None
    ) -> CaseView:
        """A claim for 20,000 fen."""
        async with transaction(self.engine) as connection:
            claim = self.claim(policy, reason, proven=proven, amount=amount)
            return await file_case(claim, connection, SITE, now=await database_now(connection))

    def claim(self, policy: str, reason: Reason, *, proven: bool = True, amount: int | None = None) -> Filing:
        self.orders.append(f"A-{len(self.orders) + 1}")
        order_no = self.orders[-1]
        order, payment = replace(ORDER, order_no=order_no), replace(PAYMENT, payment_no=f"P-{order_no}")
        told = Told((order,), (replace(payment, order_no=order_no),))
        pieces = (replace(CHAT, order_no=order_no), replace(SHOT, order_no=order_no)) if proven else ()
        return Filing(
            Claim(reason, FILED_AT, amount=amount), order_no, (), tuple(map(PutForward, pieces)), told, policy
        )

    async def take(self, view: CaseView, step: Step) -> CaseView:
        async with transaction(self.engine) as connection:
            return await step(CaseStore(connection, SITE), Target(view.case.case_id))

    async def state(self, kind: DepositKind, amount: int, reference: str = "R-1", by: str = "op-3") -> EntryRow:
        async with transaction(self.engine) as connection:
            now = await database_now(connection)
            deposits = DepositStore(connection, SITE)
            return (await book_statement(deposits, "m-7", Statement(kind, amount, reference, by, None), now))[0]

    async def account(self) -> Account:
        async with transaction(self.engine) as connection:
            found = await DepositStore(connection, SITE).get("m-7")
        assert found is not None
        return found

    async def balances(self) -> Balances:
        return (await self.account()).balances

    async def entries(self, view: CaseView | None = None) -> list[EntryRow]:
        """The merchant's, or one case's, the first one first."""
        async with transaction(self.engine) as connection:
            rows = await DepositStore(connection, SITE).page("m-7", limit=10_000)
        return [row for row in rows[::-1] if view is None or row.case_id == view.case.case_id]

    async def kinds(self, view: CaseView) -> list[str]:
        return [row.kind.value for row in await self.entries(view)]

    async def told(self, view: CaseView) -> list[dict[str, Any]]:
        """What was told of deductions in a case."""
        query = text("""
            SELECT full_data FROM events WHERE case_id = :case_id AND type = 'merchant.deposit_deducted'
            ORDER BY sequence""")
        async with self.engine.connect() as connection:
            found = await connection.scalars(query, {"case_id": view.case.case_id})
            return [json.loads(each) for each in found.all()]


@pytest.fixture
async def shop(engine: AsyncEngine) -> Shop:
    """A shop whose merchant has paid in 50,000 fen."""
    shop = Shop(engine)
    await shop.agree(50_000)
    return shop


async def withdraw(cases: CaseStore, target: Target) -> CaseView:
    return await parties.withdraw(cases, target, Because.RESOLVED, None)


async def accept(cases: CaseStore, target: Target) -> CaseView:
    return await parties.respond(cases, target, Position.ACCEPT, None, ())


async def contest(cases: CaseStore, target: Target) -> CaseView:
    return await parties.respond(cases, target, Position.CONTEST, None, ())


async def reject(cases: CaseStore, target: Target) -> CaseView:
    return await rule(cases, target, Wish(Ruled.REJECT, RulingCode.OTHER, "驳回", None, "op-1"))


async def grant(cases: CaseStore, target: Target) -> CaseView:
    return await rule(cases, target, Wish(Ruled.APPROVE, RulingCode.OTHER, "支持", None, "op-1"))


async def grant_a_part(cases: CaseStore, target: Target) -> CaseView:
    return await rule(cases, target, Wish(Ruled.APPROVE, RulingCode.OTHER, "支持", FEN // 4, "op-1"))


async def appeal(cases: CaseStore, target: Target) -> CaseView:
    recording = replace(SHOT, kind=EvidenceKind.SCREEN_RECORDING, order_no=None)
    return await parties.appeal(cases, target, "另有录屏", [PutForward(recording)])


async def supply(cases: CaseStore, target: Target) -> CaseView:
    pieces = [replace(piece, order_no=None) for piece in (CHAT, SHOT)]
    return await parties.supply_evidence(cases, target, [PutForward(piece) for piece in pieces])


def funding(view: CaseView) -> str | None:
    """Whose money the latest decision gives back."""
    assert view.decision is not None
    refund = json.loads(view.decision.body)["refund"]
    return None if refund is None else str(refund["funding"])


# --- one case


async def test_a_refund_from_the_deposit_is_deducted_and_told_once(shop: Shop) -> None:
    view = await shop.file(STANDARD, CONCLUSIVE)
    assert funding(view) == "deposit"
    assert await shop.kinds(view) == ["deduction"]
    assert await shop.balances() == Balances(external=-50_000, available=30_000, refunds=20_000)
    assert await shop.told(view) == [
        {
            "merchant_id": "m-7", "case_id": show("case", view.case.case_id), "order_no": "A-1", "currency": "CNY",
            "deducted": 20_000, "advanced": 0, "available": 30_000, "held": 0, "owed": 0, "told": 50_000,
            "top_up_due": 20_000,
        }
    ]  # fmt: skip
    [entry] = await shop.entries(view)
    assert (entry.created_at, entry.refund_id) == (view.case.updated_at, None)


async def test_a_case_that_freezes_first_holds_until_it_ends(shop: Shop) -> None:
    view = await shop.file(FREEZING)
    assert view.case.status is CaseStatus.AWAITING_MERCHANT
    assert await shop.balances() == Balances(external=-50_000, available=30_000, held=20_000)
    await shop.take(view, contest)
    assert (await shop.balances()).held == 20_000
    await shop.take(view, grant_a_part)
    assert await shop.kinds(view) == ["hold", "deduction", "release"]
    assert await shop.balances() == Balances(external=-50_000, available=45_000, refunds=5_000)
    [told] = await shop.told(view)
    assert (told["deducted"], told["available"], told["held"], told["top_up_due"]) == (5_000, 45_000, 0, 5_000)


@pytest.mark.parametrize("steps", [(withdraw,), (contest, reject), (accept,), (contest, withdraw)])
async def test_a_case_that_takes_nothing_from_the_deposit_frees_what_it_froze(
    shop: Shop, steps: tuple[Step, ...]
) -> None:
    view = await shop.file(FREEZING)
    for step in steps:
        last = await shop.take(view, step)
    assert last.case.status not in UNDECIDED
    assert await shop.kinds(view) == ["hold", "release"]
    assert await shop.balances() == Balances(external=-50_000, available=50_000)
    assert await shop.told(view) == []


async def test_an_appeal_freezes_again(shop: Shop) -> None:
    view = await shop.file(FREEZING)
    for step in (contest, reject, appeal):
        last = await shop.take(view, step)
    assert last.case.status is CaseStatus.APPEALED
    assert await shop.kinds(view) == ["hold", "release", "hold"]
    await shop.take(view, grant)
    assert await shop.kinds(view) == ["hold", "release", "hold", "deduction"]
    assert await shop.balances() == Balances(external=-50_000, available=30_000, refunds=20_000)


async def test_a_claim_that_names_an_amount_freezes_no_more(shop: Shop) -> None:
    view = await shop.file(FREEZING, amount=FEN)
    smaller = await shop.file("chargeback", amount=FEN // 2)
    assert (await shop.balances()).held == FEN
    assert await shop.kinds(view) == ["hold"]
    assert await shop.kinds(smaller) == []  # this policy deducts, and freezes nothing before


async def test_where_less_is_there_a_case_freezes_that_and_is_paid_by_others(shop: Shop) -> None:
    await shop.agree(5_000)
    view = await shop.file(FREEZING)
    assert await shop.balances() == Balances(external=-5_000, held=5_000)
    for step in (contest, grant):
        last = await shop.take(view, step)
    assert funding(last) == "merchant"  # the policy advances nothing
    assert await shop.kinds(view) == ["hold", "release"]
    assert await shop.balances() == Balances(external=-5_000, available=5_000)


async def test_what_a_case_holds_counts_for_it_and_for_no_other(shop: Shop) -> None:
    await shop.agree(FEN)
    first, second = await shop.file(FREEZING), await shop.file(FREEZING)
    for view, paid_by in ((second, "merchant"), (first, "deposit")):
        await shop.take(view, contest)
        assert funding(await shop.take(view, grant)) == paid_by
    assert await shop.balances() == Balances(external=-FEN, refunds=FEN)


async def test_what_the_platform_advances_is_owed(shop: Shop) -> None:
    await shop.agree(FEN - 1)
    view = await shop.file(ADVANCING)
    await shop.take(view, contest)
    last = await shop.take(view, grant)
    assert funding(last) == "platform_advance"
    assert await shop.kinds(view) == ["advance"]
    assert await shop.balances() == Balances(external=1 - FEN, available=FEN - 1, refunds=FEN, recourse=-FEN)
    [told] = await shop.told(view)
    assert (told["deducted"], told["advanced"], told["owed"], told["top_up_due"]) == (0, FEN, FEN, 0)


async def test_where_the_policy_asks_for_nothing_no_statement_is_sent(shop: Shop) -> None:
    filed = await shop.file(STANDARD)
    platforms = await shop.file(FREEZING, Reason.CHANGE_OF_MIND)
    granted = await shop.file(STANDARD, CONCLUSIVE)
    async with transaction(shop.engine) as connection:
        deposits = DepositStore(connection, SITE)
        with counted(shop.engine) as seen:
            for view, status in (
                (filed, CaseStatus.IN_REVIEW), (filed, CaseStatus.REJECTED), (filed, CaseStatus.WITHDRAWN),
                (platforms, CaseStatus.REJECTED), (granted, CaseStatus.REFUNDING), (granted, CaseStatus.REFUNDED),
            ):  # fmt: skip
                after = replace(view.case, status=status)
                assert await book_step(deposits, view, after, None) is None
            assert await book_step(deposits, nothing_yet(filed.case), filed.case, None) is None
            nobody = replace(filed.case, merchant_id=None)
            assert await book_step(deposits, nothing_yet(nobody), nobody, None) is None
            await book_closed(deposits, filed, new_uuid(), FEN, FILED_AT)
            assert await book_replaced(deposits, filed, new_uuid(), FEN, FILED_AT) is None
            await book_told(deposits, [], FILED_AT)
    assert seen == []


# --- refunds that are not paid after all


async def closed(shop: Shop, view: CaseView, refund_id: UUID, amount: int) -> None:
    async with transaction(shop.engine) as connection:
        now = await database_now(connection)
        await book_closed(DepositStore(connection, SITE), view, refund_id, amount, now)


async def replaced(shop: Shop, view: CaseView, refund_id: UUID, amount: int) -> Booked | None:
    async with transaction(shop.engine) as connection:
        now = await database_now(connection)
        return await book_replaced(DepositStore(connection, SITE), view, refund_id, amount, now)


async def test_a_closed_refund_gives_back_what_it_took_once_and_another_takes_its_place_once(shop: Shop) -> None:
    view = await shop.file(STANDARD, CONCLUSIVE)
    [refund] = view.refunds
    for _ in range(2):
        await closed(shop, view, refund.refund_id, FEN)
    assert await shop.kinds(view) == ["deduction", "reversal"]
    assert await shop.balances() == Balances(external=-50_000, available=50_000)
    await shop.agree(15_000)
    instead = new_uuid()
    booked = await replaced(shop, view, instead, FEN)
    assert booked is not None
    assert (booked.deducted, booked.advanced) == (15_000, 5_000)
    assert deduction_document(view.case, booked)["owed"] == 5_000
    assert await replaced(shop, view, instead, FEN) is None
    assert await shop.kinds(view) == ["deduction", "reversal", "deduction", "advance"]
    assert [row.refund_id for row in await shop.entries(view)] == [None, refund.refund_id, instead, instead]
    await closed(shop, view, instead, FEN)
    assert await shop.balances() == Balances(external=-15_000, available=15_000)
    assert await is_sound(shop.engine)


async def test_of_several_refunds_each_gives_back_its_own_part(shop: Shop) -> None:
    view = await shop.file(STANDARD, CONCLUSIVE)
    one, other = new_uuid(), new_uuid()
    for refund_id, amount, left in ((one, 5_000, 15_000), (one, 5_000, 15_000), (other, 15_000, 0)):
        await closed(shop, view, refund_id, amount)
        assert (await shop.balances()).refunds == left
    assert await shop.kinds(view) == ["deduction", "reversal", "reversal"]


async def test_an_advance_that_is_not_paid_out_is_not_owed(shop: Shop) -> None:
    await shop.agree(0)
    view = await shop.file(ADVANCING)
    await shop.take(view, contest)
    view = await shop.take(view, grant)
    await closed(shop, view, view.refunds[0].refund_id, FEN)
    assert await shop.balances() == Balances()
    assert await replaced(shop, view, new_uuid(), FEN) is not None
    assert (await shop.balances()).owed == FEN


# --- what a site tells


async def test_money_is_told_once_under_its_reference(shop: Shop) -> None:
    first = await shop.state(DepositKind.TOP_UP, 700)
    assert await shop.state(DepositKind.TOP_UP, 700) == first
    for kind, amount, by in ((DepositKind.TOP_UP, 701, "op-3"), (DepositKind.WITHDRAWAL, 700, "op-3"),
                             (DepositKind.TOP_UP, 700, "op-4")):  # fmt: skip
        with pytest.raises(Conflict) as refused:
            await shop.state(kind, amount, by=by)
        assert refused.value.code == "reference_taken"
    assert (await shop.balances()).available == 50_700
    assert len(await shop.entries()) == 2


async def test_what_is_not_there_is_not_moved(shop: Shop) -> None:
    for kind, code in (
        (DepositKind.WITHDRAWAL, "deposit_not_enough"),
        (DepositKind.RECOURSE_PAID, "recourse_not_owed"),
        (DepositKind.RECOURSE_WRITTEN_OFF, "recourse_not_owed"),
    ):
        with pytest.raises(Conflict) as refused:
            await shop.state(kind, 50_001)
        assert refused.value.code == code
    await shop.state(DepositKind.WITHDRAWAL, 50_000)
    assert await shop.balances() == Balances()
    async with transaction(shop.engine) as connection:
        wanted = Statement(DepositKind.TOP_UP, 1, "R-1", None, None)
        with pytest.raises(NotFound):
            await book_statement(DepositStore(connection, SITE), "m-8", wanted, FILED_AT)


# --- at once, and broken off


async def test_two_cases_that_are_decided_at_once_take_no_more_than_there_is(shop: Shop) -> None:
    await shop.agree(30_000)
    claims = [shop.claim(STANDARD, CONCLUSIVE) for _ in range(2)]

    async def second() -> CaseView:
        async with transaction(shop.engine) as connection:
            return await file_case(claims[1], connection, SITE, now=await database_now(connection))

    async with transaction(shop.engine) as connection:
        first = await file_case(claims[0], connection, SITE, now=await database_now(connection))
        waiting = asyncio.create_task(second())
        await until_somebody_waits(shop.engine)
    last = await waiting
    assert funding(first) == funding(last) == "deposit"  # as far as either could know
    assert await shop.kinds(first) == ["deduction"]
    assert await shop.kinds(last) == ["deduction", "advance"]
    assert await shop.balances() == Balances(external=-30_000, refunds=40_000, recourse=-10_000)
    [told] = await shop.told(last)
    assert (told["deducted"], told["advanced"], told["owed"], told["top_up_due"]) == (10_000, 10_000, 10_000, 30_000)
    assert await is_sound(shop.engine)


async def test_many_claims_at_once_deduct_each_fen_once(shop: Shop) -> None:
    claims = [shop.claim(policy, CONCLUSIVE) for policy in (STANDARD, FREEZING) for _ in range(5)]

    async def one(claim: Filing) -> CaseView:
        async with transaction(shop.engine) as connection:
            return await file_case(claim, connection, SITE, now=await database_now(connection))

    views = await asyncio.gather(*map(one, claims))
    balances, paid = await shop.balances(), sum(funding(view) == "deposit" for view in views)
    assert balances.refunds == paid * FEN
    assert balances.owed == max(0, paid * FEN - 50_000)
    assert await is_sound(shop.engine)


async def test_a_crash_behind_any_statement_of_a_ruling_leaves_nothing_of_it(shop: Shop) -> None:
    view = await shop.file(FREEZING)
    await shop.take(view, contest)
    before = await shop.entries()
    crashed, done = 0, False
    while not done:
        sent = 0

        def count(*_: object, crash_at: int = crashed + 1) -> None:
            nonlocal sent
            sent += 1
            if sent == crash_at:
                raise BrokeOff

        event.listen(shop.engine.sync_engine, "after_cursor_execute", count)
        try:
            async with shop.engine.begin() as connection:
                await grant_a_part(CaseStore(connection, SITE), Target(view.case.case_id))
            done = True
        except BrokeOff:
            crashed += 1
        finally:
            event.remove(shop.engine.sync_engine, "after_cursor_execute", count)
        assert await is_sound(shop.engine)
        assert done or await shop.entries() == before
    assert crashed >= 6  # lock, read; lock, read, append; write
    assert await shop.kinds(view) == ["hold", "deduction", "release"]


# --- any history

FOLLOWING = set(DepositKind) - set(STATED)
STEPS: tuple[Step, ...] = (withdraw, accept, contest, contest, reject, grant, grant, grant_a_part, appeal, supply)


@dataclass(slots=True)
class Run:
    """A random history of one merchant; everything follows from the seed."""

    shop: Shop
    random: Random
    cases: dict[UUID, CaseView] = field(default_factory=dict)
    closed: dict[UUID, set[UUID]] = field(default_factory=dict)
    happened: list[str] = field(default_factory=list)

    async def step(self) -> None:
        """Something happens, or is refused."""
        chosen = self.random.choices(("file", "move", "close", "agree", "state"), (8, 16, 2, 1, 3))[0]
        try:
            await getattr(self, f"_{chosen}")()
        except Conflict as refused:
            self.happened.append(f"{chosen}: {refused.code}")
        else:
            self.happened.append(chosen)

    async def _file(self) -> CaseView:
        policy = self.random.choices((STANDARD, FREEZING, ADVANCING), (1, 3, 3))[0]
        reason = self.random.choices((ASKED_FOR, CONCLUSIVE, Reason.CHANGE_OF_MIND), (6, 2, 1))[0]
        view = await self.shop.file(policy, reason, proven=self.random.random() < 0.8)
        self.cases[view.case.case_id] = view
        return view

    async def _move(self) -> None:
        """One case takes a step that it can take now."""
        movable = [view for view in self.cases.values() if view.case.status in (*UNDECIDED, CaseStatus.REJECTED)]
        view = self.random.choice(movable) if movable else await self._file()
        for step in self.random.sample(STEPS, len(STEPS)):
            try:
                after = await self.shop.take(view, step)
            except (Conflict, Invalid):  # Invalid: an appeal that brings nothing new
                continue
            self.cases[view.case.case_id] = after
            return

    async def _close(self) -> None:
        """A channel will never pay one of the refunds that are booked; half of them are asked for anew."""
        granted = [view for view in self.cases.values() if view.refunds and view.case.case_id not in self.closed]
        if granted:
            view = self.random.choice(granted)
            await closed(self.shop, view, view.refunds[0].refund_id, view.refunds[0].amount)
            self.closed[view.case.case_id] = {view.refunds[0].refund_id}
            if self.random.random() < 0.5:
                await replaced(self.shop, view, new_uuid(), view.refunds[0].amount)
                self.closed[view.case.case_id] = set()

    async def _agree(self) -> None:
        await self.shop.agree(self.random.randrange(0, 80_000))

    async def _state(self) -> None:
        kind = self.random.choice(STATED)
        await self.shop.state(kind, self.random.randrange(1, 30_000), f"R-{len(self.happened)}")

    async def check(self) -> None:
        """Journal, balances and cases say the same."""
        assert await is_sound(self.shop.engine), self.happened
        balances, journal = await self.shop.balances(), await self.shop.entries()
        assert min(balances.available, balances.held, balances.refunds) >= 0
        assert max(balances.recourse, balances.platform, balances.external) <= 0
        for case_id, view in self.cases.items():
            moved = sum((row.moved for row in journal if row.case_id == case_id), Balances())
            if view.case.status in UNDECIDED:
                assert moved.refunds == 0
                assert 0 <= moved.held <= FEN
                assert view.case.policy_name == FREEZING or moved == Balances()
            else:
                assert moved.held == 0, (self.happened, view.case)
                assert moved.refunds == self._expected(view), (self.happened, view.case)

    def _expected(self, view: CaseView) -> int:
        """What a case that is over has cost: what was granted of deposit or platform, unless it is closed."""
        if funding(view) not in ("deposit", "platform_advance") or self.closed.get(view.case.case_id):
            return 0
        return sum(refund.amount for refund in view.refunds)


@pytest.mark.parametrize("seed", [2, 5, 6])
async def test_after_any_run_of_cases_the_ledger_balances_and_says_what_the_cases_say(
    engine: AsyncEngine, seed: int
) -> None:
    run = Run(Shop(engine), Random(seed))
    await run.shop.agree(60_000)
    for _ in range(60):
        await run.step()
        await run.check()
    booked = {row.kind for row in await run.shop.entries()}
    assert booked >= FOLLOWING, run.happened
