"""Deposits (保证金): what cases take from them and give back, and what a site tells of them.

The hooks are called with the case locked, and take the merchant's accounts last. Where a policy asks for nothing, they
do not touch the database.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from app.errors import Conflict, NotFound
from app.ids import show
from app.rules.amounts import most_grantable
from app.rules.decision import Decision
from app.rules.deposits import (
    DepositKind,
    Entry,
    Movement,
    NotEnough,
    Turn,
    book,
    drawn,
    movements,
    reverse,
    stated,
    top_up_due,
)
from app.rules.liability import Funding
from app.rules.lifecycle import CaseStatus
from app.rules.reasons import MERCHANT_FAULT
from app.services.policies import policy_of_case
from app.services.showing import CASE
from app.services.showing_deposits import CURRENCY, entry_document
from app.store.case_rows import CaseRow, CaseView
from app.store.deposit_rows import Account, EntryRow, Locked, NewEntry
from app.store.deposits import DepositStore


@dataclass(frozen=True, slots=True)
class Booked:
    """What a refund took, in fen: from the deposit, and from the platform in advance; and the accounts since then."""

    deducted: int
    advanced: int
    account: Account


@dataclass(frozen=True, slots=True)
class About:
    """The case that a booking is about, and the refund, where it is about a single one."""

    case_id: UUID
    refund_id: UUID | None = None

    def rows(self, entries: Iterable[Entry]) -> list[NewEntry]:
        """Entries as they are kept."""
        return [NewEntry(entry.kind, entry.moved, self.case_id, self.refund_id) for entry in entries]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a site tells of a deposit. `reference`: the number of it that is the site's own; `amount` in fen."""

    kind: DepositKind
    amount: int
    reference: str
    by: str | None
    note: str | None


# --- what cases ask for


async def book_step(
    deposits: DepositStore, before: CaseView, after: CaseRow, decision: Decision | None
) -> Booked | None:
    """Books what a step of a case asks for, before the step is written. What its refund took; None if it took nothing.

    `before` has no decision where the case is only filed now; `decision`: what this step decided.
    """
    asked = movements(_turn(before, after, decision))
    if not asked or after.merchant_id is None:
        return None
    locked = await deposits.lock(after.merchant_id, after.updated_at, case_id=after.case_id)
    return await _book(deposits, locked, asked, About(after.case_id), after.updated_at)


async def book_closed(deposits: DepositStore, view: CaseView, refund_id: UUID, amount: int, now: datetime) -> None:
    """A refund of a case will not be paid: what it took goes back, once."""
    case = view.case
    if case.merchant_id is None or not drawn(_funding(view), amount):
        return
    locked = await deposits.lock(case.merchant_id, now, case_id=case.case_id)
    if refund_id not in locked.of_case.reversed:
        entries = reverse(locked.account.balances, locked.of_case.moved, amount)
        await deposits.append(locked.account, About(case.case_id, refund_id).rows(entries), now)


async def book_replaced(
    deposits: DepositStore, view: CaseView, refund_id: UUID, amount: int, now: datetime
) -> Booked | None:
    """Another refund of a case, `refund_id`, takes the place of a closed one: it takes as the first one did, once."""
    case, asked = view.case, drawn(_funding(view), amount)
    if case.merchant_id is None or not asked:
        return None
    locked = await deposits.lock(case.merchant_id, now, case_id=case.case_id)
    if refund_id in locked.of_case.replacing:
        return None
    return await _book(deposits, locked, asked, About(case.case_id, refund_id), now)


def deduction_document(case: CaseRow, booked: Booked) -> dict[str, Any]:
    """What is told of a refund that took from the deposit, or that the platform advanced."""
    account = booked.account
    return {
        "merchant_id": account.merchant_id,
        "case_id": show(CASE, case.case_id),
        "order_no": case.order_no,
        "currency": CURRENCY,
        "deducted": booked.deducted,
        "advanced": booked.advanced,
        "available": account.balances.available,
        "held": account.balances.held,
        "owed": account.balances.owed,
        "told": account.told,
        "top_up_due": top_up_due(account.balances, account.told),
    }


def _turn(before: CaseView, after: CaseRow, decision: Decision | None) -> Turn:
    refund = None if decision is None else decision.verdict.refund
    return Turn(
        before=CaseStatus.FILED if before.decision is None else before.case.status,
        after=after.status,
        policy=policy_of_case(after),
        merchant_fault=after.reason in MERCHANT_FAULT,
        claimed=0 if decision is None else most_grantable(decision.verdict.standing),
        funding=None if refund is None else refund.funding,
        granted=0 if refund is None else refund.amount,
    )


def _funding(view: CaseView) -> Funding | None:
    """Whose money the case's refunds are, by the decision that granted them."""
    refund = None if view.decision is None else json.loads(view.decision.body)["refund"]
    return None if refund is None else Funding(refund["funding"])


async def _book(
    deposits: DepositStore, locked: Locked, asked: Iterable[Movement], about: About, at: datetime
) -> Booked | None:
    entries = book(locked.account.balances, locked.of_case.moved.held, asked)
    account = await deposits.append(locked.account, about.rows(entries), at)
    deducted, advanced = (
        sum(entry.moved.refunds for entry in entries if entry.kind is kind)
        for kind in (DepositKind.DEDUCTION, DepositKind.ADVANCE)
    )
    return Booked(deducted, advanced, account) if deducted or advanced else None


# --- what a site tells


async def book_told(deposits: DepositStore, merchant_ids: Collection[str], now: datetime) -> None:
    """Books the deposits that the records of these merchants tell. It takes their accounts, so it is called last."""
    if merchant_ids:
        await deposits.catch_up(merchant_ids, now)


async def book_statement(
    deposits: DepositStore, merchant_id: str, wanted: Statement, now: datetime
) -> tuple[EntryRow, bool]:
    """Books what a site tells, and whether it is new: told again it is the entry that it was.

    Raises NotFound for a merchant that nobody told, Conflict for a reference that was used for something else, and
    where there is less than is to be moved.
    """
    if await deposits.get(merchant_id) is None:
        raise NotFound
    account = (await deposits.lock(merchant_id, now)).account
    moved = stated(wanted.kind, wanted.amount).moved
    entry = NewEntry(wanted.kind, moved, reference=wanted.reference, by=wanted.by, note=wanted.note)
    earlier = await deposits.under(merchant_id, wanted.reference)
    if earlier is not None:
        return _the_same(earlier, entry), False
    try:
        after = await deposits.append(account, [entry], now)
    except NotEnough as refused:
        raise _not_enough(refused) from refused
    return _kept(entry, after), True


def _kept(entry: NewEntry, after: Account) -> EntryRow:
    told = {each.name: getattr(entry, each.name) for each in fields(NewEntry)}
    return EntryRow(**told, n=after.entries, created_at=after.updated_at)


def _the_same(earlier: EntryRow, entry: NewEntry) -> EntryRow:
    told = (entry.kind, entry.moved, entry.by, entry.note)
    if (earlier.kind, earlier.moved, earlier.by, earlier.note) != told:
        raise Conflict(
            "reference_taken",
            en="Another entry of this merchant has this reference. Send a new entry under a new one.",
            zh="该商家已有内容不同的分录使用此 reference。新的分录请使用新的编号。",
        )
    return earlier


def _not_enough(refused: NotEnough) -> Conflict:
    if refused.account == "recourse":
        return Conflict(
            "recourse_not_owed",
            en=f"The merchant owes less than this: {refused.there} fen.",
            zh=f"商家所欠垫付款不足此数：{refused.there} 分。",
        )
    return Conflict(
        "deposit_not_enough",
        en=f"Less than this is available of the deposit: {refused.there} fen.",
        zh=f"保证金可用余额不足：{refused.there} 分。",
    )


# --- how they are read


async def deposit_of(deposits: DepositStore, merchant_id: str) -> Account:
    """A merchant's accounts; NotFound for a merchant that nobody told."""
    found = await deposits.get(merchant_id)
    if found is None:
        raise NotFound
    return found


async def page_of_entries(
    deposits: DepositStore, merchant_id: str, *, limit: int, before: int | None
) -> tuple[list[dict[str, Any]], int | None]:
    """A page of a merchant's entries, newest first, and the last one's number if there are more. NotFound as above."""
    await deposit_of(deposits, merchant_id)
    rows = await deposits.page(merchant_id, limit=limit + 1, before=before)
    page = rows[:limit]
    return [entry_document(row) for row in page], page[-1].n if len(rows) > limit else None
