"""Deposits: whatever is booked in whatever order, the accounts balance, and none is overdrawn."""

from collections.abc import Callable
from dataclasses import astuple, fields, replace
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.rules import deposits
from app.rules.deposits import (
    STATED,
    Balances,
    DepositKind,
    Entry,
    Movement,
    NotEnough,
    Turn,
    after,
    book,
    folded,
    movements,
    stated,
    top_up_due,
)
from app.rules.liability import Funding
from app.rules.lifecycle import UNDECIDED, CaseStatus
from app.rules.policy import DepositUse, Policy
from app.rules.presets import PRESETS

STANDARD, FREEZING = PRESETS["standard"], PRESETS["binghui"]
NEVER = replace(STANDARD, deposit=DepositUse.NO)
HOLD, RELEASE = DepositKind.HOLD, DepositKind.RELEASE
DEDUCTION, ADVANCE = DepositKind.DEDUCTION, DepositKind.ADVANCE
CASES = 3
Action: TypeAlias = tuple[str, int, int]
Journal: TypeAlias = list[tuple[int | None, Entry]]


def full(available: int = 0, **others: int) -> Balances:
    """Accounts into which the merchant paid what the others do not explain."""
    return Balances(external=-available - sum(others.values()), available=available, **others)


# --- balances


@pytest.mark.parametrize("account", [each.name for each in fields(Balances)])
def test_money_from_nowhere_is_no_balance(account: str) -> None:
    with pytest.raises(ValueError, match="balance"):
        Balances(**{account: 1})


def test_an_entry_that_takes_more_than_there_is_is_refused_by_name() -> None:
    for entry, there, account in (
        (stated(DepositKind.WITHDRAWAL, 101), full(100), "available"),
        (stated(DepositKind.RECOURSE_PAID, 31), full(refunds=30, recourse=-30), "recourse"),
        (stated(DepositKind.RECOURSE_WRITTEN_OFF, 31), full(refunds=30, recourse=-30), "recourse"),
        (Entry(RELEASE, Balances(available=21, held=-21)), full(held=20), "held"),
    ):
        with pytest.raises(NotEnough) as refused:
            after(there, entry)
        has = there.owed if account == "recourse" else getattr(there, account)
        assert (refused.value.account, refused.value.there) == (account, has)
    assert after(full(100), stated(DepositKind.WITHDRAWAL, 100)) == Balances()


# --- single entries


def test_a_hold_freezes_what_is_there() -> None:
    assert book(full(100), 0, [Movement(HOLD, 70)]) == (Entry(HOLD, Balances(available=-70, held=70)),)
    assert book(full(100), 0, [Movement(HOLD, 130)]) == (Entry(HOLD, Balances(available=-100, held=100)),)
    assert book(Balances(), 0, [Movement(HOLD, 70)]) == ()


def test_a_release_gives_back_what_this_case_holds_and_no_other() -> None:
    frozen = full(0, held=100)
    assert book(frozen, 40, [Movement(RELEASE)]) == (Entry(RELEASE, Balances(available=40, held=-40)),)
    assert book(frozen, 0, [Movement(RELEASE)]) == ()


def test_a_deduction_takes_the_hold_first_then_what_is_free_and_the_rest_is_owed() -> None:
    accounts = full(30, held=100)
    for amount, held, free, short in ((60, 60, 0, 0), (80, 80, 0, 0), (90, 80, 10, 0), (150, 80, 30, 40)):
        taken, *owed = book(accounts, 80, [Movement(DEDUCTION, amount)])
        assert taken == Entry(DEDUCTION, Balances(available=-free, held=-held, refunds=free + held))
        advanced = [Entry(ADVANCE, Balances(refunds=short, recourse=-short))] if short else []
        assert owed == advanced
    assert book(Balances(), 0, [Movement(DEDUCTION, 5)]) == (Entry(ADVANCE, Balances(refunds=5, recourse=-5)),)


def test_what_a_deduction_leaves_of_the_hold_is_released() -> None:
    deducted, released = book(full(30, held=100), 100, [Movement(DEDUCTION, 60), Movement(RELEASE)])
    assert deducted.moved == Balances(held=-60, refunds=60)
    assert released == Entry(RELEASE, Balances(available=40, held=-40))


def test_an_advance_leaves_the_deposit_alone() -> None:
    advanced, released = book(full(30, held=100), 100, [Movement(ADVANCE, 60), Movement(RELEASE)])
    assert advanced == Entry(ADVANCE, Balances(refunds=60, recourse=-60))
    assert released.moved == Balances(available=100, held=-100)


def test_lowering_the_deposit_takes_what_is_available_and_raising_adds() -> None:
    assert deposits.told(full(100), 100, 250).moved == Balances(external=-150, available=150)
    assert deposits.told(full(100), 500, 450).moved == Balances(external=50, available=-50)
    assert deposits.told(full(100), 500, 300).moved == Balances(external=100, available=-100)
    assert deposits.told(full(0, held=90), 500, 300).moved == Balances()


def test_taking_a_refund_back_ends_the_debt_first() -> None:
    of_case = Balances(available=-70, refunds=100, recourse=-30)
    accounts = full(0, refunds=100, recourse=-30)
    for amount, owed in ((10, 10), (30, 30), (45, 30), (100, 30)):
        [entry] = deposits.reverse(accounts, of_case, amount)
        assert entry.moved == Balances(available=amount - owed, refunds=-amount, recourse=owed)


def test_no_more_is_taken_back_than_the_case_took() -> None:
    accounts = full(0, refunds=100)
    assert deposits.reverse(accounts, Balances(available=-40, refunds=40), 60)[0].moved.refunds == -40
    assert deposits.reverse(accounts, Balances(), 60) == ()


def test_a_debt_that_was_paid_comes_back_as_deposit_and_one_that_was_written_off_to_the_platform() -> None:
    of_case = Balances(refunds=30, recourse=-30)
    owed = after(Balances(), Entry(ADVANCE, of_case))
    paid = after(owed, stated(DepositKind.RECOURSE_PAID, 30))
    assert deposits.reverse(paid, of_case, 30)[0].moved == Balances(available=30, refunds=-30)
    written_off = after(owed, stated(DepositKind.RECOURSE_WRITTEN_OFF, 20))
    assert deposits.reverse(written_off, of_case, 30)[0].moved == Balances(refunds=-30, recourse=10, platform=20)


def test_what_is_due_is_what_is_missing_of_the_deposit_agreed_on() -> None:
    assert top_up_due(full(100, held=50), 150) == 0
    assert top_up_due(full(100, held=50), 151) == 1
    assert top_up_due(full(100), 50) == 0


def test_a_site_tells_nothing_that_follows_from_cases() -> None:
    for kind in set(DepositKind) - set(STATED):
        with pytest.raises(AssertionError):
            stated(kind, 1)
    for kind in STATED:
        assert {abs(each) for each in astuple(stated(kind, 7).moved)} == {0, 7}


# --- what a case asks for


def turn(before: CaseStatus, then: CaseStatus, **changes: object) -> tuple[Movement, ...]:
    dull = Turn(before, then, FREEZING, merchant_fault=True, claimed=90)
    return movements(replace(dull, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("before", [CaseStatus.FILED, CaseStatus.REJECTED])
@pytest.mark.parametrize("then", UNDECIDED)
def test_a_case_that_opens_freezes_what_it_is_about_if_the_policy_says_so(before: CaseStatus, then: CaseStatus) -> None:
    assert turn(before, then) == (Movement(HOLD, 90),)
    assert turn(before, then, merchant_fault=False) == ()
    assert turn(before, then, policy=STANDARD) == ()
    assert turn(before, then, policy=NEVER) == ()


@pytest.mark.parametrize("before", UNDECIDED)
@pytest.mark.parametrize("then", UNDECIDED)
def test_a_case_that_goes_on_asks_for_nothing(before: CaseStatus, then: CaseStatus) -> None:
    assert turn(before, then) == ()


@pytest.mark.parametrize("before", UNDECIDED)
@pytest.mark.parametrize("then", [CaseStatus.REJECTED, CaseStatus.WITHDRAWN, CaseStatus.LAPSED])
def test_a_case_that_comes_to_nothing_frees_what_it_froze(before: CaseStatus, then: CaseStatus) -> None:
    assert turn(before, then) == (Movement(RELEASE),)
    assert turn(before, then, policy=STANDARD) == ()
    assert turn(CaseStatus.FILED, then) == ()
    assert turn(then, then) == ()


@pytest.mark.parametrize("policy", [STANDARD, FREEZING])
@pytest.mark.parametrize("before", [CaseStatus.FILED, *UNDECIDED])
def test_an_approval_takes_what_its_funding_says(before: CaseStatus, policy: Policy) -> None:
    freed = (Movement(RELEASE),) if policy is FREEZING and before in UNDECIDED else ()
    for funding, taken in (
        (Funding.DEPOSIT, (Movement(DEDUCTION, 80),)),
        (Funding.PLATFORM_ADVANCE, (Movement(ADVANCE, 80),)),
        (Funding.PLATFORM, ()),
        (Funding.MERCHANT, ()),
    ):
        asked = turn(before, CaseStatus.APPROVED, policy=policy, funding=funding, granted=80)
        assert asked == (*taken, *freed)


def test_a_case_that_was_granted_takes_nothing_again() -> None:
    granted = (CaseStatus.APPROVED, CaseStatus.REFUNDING, CaseStatus.REFUND_FAILED, CaseStatus.REFUNDED)
    for before in granted:
        for then in granted:
            assert turn(before, then, funding=Funding.DEPOSIT, granted=80) == ()


# --- any history


def _cases(take: Callable[[Balances, int, int], tuple[Entry, ...]]) -> Callable[..., tuple[Entry, ...]]:
    return lambda accounts, of_case, amount: take(accounts, of_case.held, amount)


def _approved(kind: DepositKind) -> Callable[[Balances, int, int], tuple[Entry, ...]]:
    return lambda accounts, held, amount: book(accounts, held, [Movement(kind, amount), Movement(RELEASE)])


OF_CASES: dict[str, Callable[..., tuple[Entry, ...]]] = {
    "hold": _cases(lambda accounts, held, amount: book(accounts, held, [Movement(HOLD, amount)])),
    "release": _cases(lambda accounts, held, amount: book(accounts, held, [Movement(RELEASE)])),
    "deduct": _cases(_approved(DEDUCTION)),
    "advance": _cases(_approved(ADVANCE)),
    "reverse": deposits.reverse,
}
ACTIONS = st.lists(
    st.tuples(st.sampled_from([*OF_CASES, *OF_CASES, "told", *STATED]), st.integers(0, CASES - 1), st.integers(1, 300)),
    max_size=40,
)


def happened(actions: list[Action]) -> tuple[Journal, int]:
    """The journal of these actions, with the case of each entry, and the deposit told last; what is refused is not."""
    journal: Journal = []
    accounts, agreed = Balances(), 0
    for action, case, amount in actions:
        entries, about = _taken(action, accounts, _sum(journal, case), amount, agreed), case
        if action not in OF_CASES:
            about = -1
        if action == "told":
            agreed = amount
        try:
            for entry in entries:
                accounts = after(accounts, entry)
                journal.append((None if about < 0 else about, entry))
        except NotEnough:
            assert action in STATED  # what follows from records and cases always fits
    return journal, agreed


def _taken(action: str, accounts: Balances, of_case: Balances, amount: int, agreed: int) -> tuple[Entry, ...]:
    if action in OF_CASES:
        return OF_CASES[action](accounts, of_case, amount)
    if action == "told":
        return (deposits.told(accounts, agreed, amount),)
    return (stated(DepositKind(action), amount),)


def _sum(journal: Journal, case: int) -> Balances:
    moved = Balances()
    for about, entry in journal:
        moved = moved + entry.moved if about == case else moved
    return moved


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(ACTIONS)
def test_after_any_history_the_accounts_balance_and_none_is_overdrawn(actions: list[Action]) -> None:
    journal, agreed = happened(actions)
    accounts = folded([entry for _, entry in journal])
    assert sum(astuple(accounts)) == 0
    assert min(accounts.available, accounts.held, accounts.refunds) >= 0
    assert max(accounts.external, accounts.recourse, accounts.platform) <= 0
    assert top_up_due(accounts, agreed) == max(0, agreed - accounts.available - accounts.held)
    assert accounts == sum((entry.moved for _, entry in journal), Balances())


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(ACTIONS)
def test_after_any_history_each_case_holds_and_took_no_less_than_nothing(actions: list[Action]) -> None:
    journal, _ = happened(actions)
    of_cases = [_sum(journal, case) for case in range(CASES)]
    for moved in of_cases:
        assert min(moved.held, moved.refunds) >= 0
        assert moved.external == 0
    accounts = folded([entry for _, entry in journal])
    assert sum(moved.held for moved in of_cases) == accounts.held
    assert sum(moved.refunds for moved in of_cases) == accounts.refunds


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(ACTIONS)
def test_only_what_a_told_deposit_says_is_an_entry_that_moves_nothing(actions: list[Action]) -> None:
    journal, _ = happened(actions)
    for _, entry in journal:
        assert any(astuple(entry.moved)) or entry.kind is DepositKind.TOLD
