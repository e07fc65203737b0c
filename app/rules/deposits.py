"""Deposits (保证金) by double entry: what each booking moves between accounts, and when a case asks for one.

Amounts in fen. What one account loses another gains, so that all of them together are always nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import Final, assert_never

from app.rules.liability import Funding
from app.rules.lifecycle import UNDECIDED, CaseStatus
from app.rules.policy import DepositUse, Policy


class DepositKind(StrEnum):
    """保证金分录类型."""

    TOLD = "told"
    TOP_UP = "top_up"
    WITHDRAWAL = "withdrawal"
    HOLD = "hold"
    RELEASE = "release"
    DEDUCTION = "deduction"
    ADVANCE = "advance"
    REVERSAL = "reversal"
    RECOURSE_PAID = "recourse_paid"
    RECOURSE_WRITTEN_OFF = "recourse_written_off"


# What a site tells by itself; the rest follows from its records and from cases.
STATED: Final = (
    DepositKind.TOP_UP,
    DepositKind.WITHDRAWAL,
    DepositKind.RECOURSE_PAID,
    DepositKind.RECOURSE_WRITTEN_OFF,
)
_GRANTED: Final = frozenset({CaseStatus.APPROVED, CaseStatus.REFUNDING, CaseStatus.REFUND_FAILED, CaseStatus.REFUNDED})


class NotEnough(ValueError):
    """An account has less than is to be moved; `there` is what it has, in fen."""

    def __init__(self, account: str, there: int) -> None:
        super().__init__(account)
        self.account = account
        self.there = there


@dataclass(frozen=True, slots=True)
class Balances:
    """What is in each account, or what moves there. ValueError unless they are nothing together.

    `external`: less what came in from the merchant. `available`, `held`: the deposit, free and frozen for cases.
    `refunds`: what buyers got of it. `recourse`: less what the merchant owes for 先行赔付. `platform`: less what the
    platform bears since it has written it off.
    """

    external: int = 0
    available: int = 0
    held: int = 0
    refunds: int = 0
    recourse: int = 0
    platform: int = 0

    def __post_init__(self) -> None:
        """Refuses what one account would gain and none lose."""
        if sum(astuple(self)) != 0:
            raise ValueError("the accounts do not balance")

    def __add__(self, other: "Balances") -> "Balances":
        return Balances(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    @property
    def owed(self) -> int:
        """What the merchant owes."""
        return -self.recourse


@dataclass(frozen=True, slots=True)
class Entry:
    """分录: one booking."""

    kind: DepositKind
    moved: Balances


@dataclass(frozen=True, slots=True)
class Movement:
    """What a case asks for. `amount` None: all that it holds."""

    kind: DepositKind
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A case from one status to the next. `claimed`: the most that it could come to.

    `funding` and `granted` of the approval, if that is what it is.
    """

    before: CaseStatus
    after: CaseStatus
    policy: Policy
    merchant_fault: bool
    claimed: int = 0
    funding: Funding | None = None
    granted: int = 0


def movements(turn: Turn) -> tuple[Movement, ...]:
    """Frozen while the case is undecided, if the policy freezes; drawn on by its approval; else free again."""
    freezes = turn.policy.deposit is DepositUse.FREEZE_FIRST and turn.merchant_fault
    was_open = turn.before in UNDECIDED
    if turn.after in UNDECIDED:
        return () if was_open or not freezes else (Movement(DepositKind.HOLD, turn.claimed),)
    release = (Movement(DepositKind.RELEASE),) if was_open and freezes else ()
    if turn.before not in _GRANTED and turn.after in _GRANTED:
        return (*drawn(turn.funding, turn.granted), *release)
    return release


def drawn(funding: Funding | None, amount: int) -> tuple[Movement, ...]:
    """What a refund of `amount` takes by its funding."""
    match funding:
        case Funding.DEPOSIT:
            return (Movement(DepositKind.DEDUCTION, amount),)
        case Funding.PLATFORM_ADVANCE:
            return (Movement(DepositKind.ADVANCE, amount),)
        case Funding.PLATFORM | Funding.MERCHANT | None:
            return ()
        case _:
            assert_never(funding)


def book(balances: Balances, held: int, asked: Iterable[Movement]) -> tuple[Entry, ...]:
    """The entries of a case that holds `held`: no movement takes more than there is, and none is empty."""
    entries: list[Entry] = []
    for movement in asked:
        for entry in _entries(balances, held, movement):
            entries.append(entry)
            balances, held = after(balances, entry), held + entry.moved.held
    return tuple(entries)


def _entries(balances: Balances, held: int, movement: Movement) -> tuple[Entry, ...]:
    amount = held if movement.amount is None else movement.amount
    match movement.kind:
        case DepositKind.HOLD:
            return hold(balances, amount)
        case DepositKind.RELEASE:
            return release(min(amount, held))
        case DepositKind.DEDUCTION:
            return deduct(balances, held, amount)
        case DepositKind.ADVANCE:
            return advance(amount)
        case _:
            raise AssertionError("a case asks for nothing else")


def told(balances: Balances, before: int, now: int) -> Entry:
    """The site's record tells another deposit. Lowering it takes what is available: the rest was used up."""
    change = max(now - before, -balances.available)
    return Entry(DepositKind.TOLD, Balances(external=-change, available=change))


def hold(balances: Balances, amount: int) -> tuple[Entry, ...]:
    """Freezes what a case is about, as far as it is there."""
    part = min(balances.available, amount)
    return (Entry(DepositKind.HOLD, Balances(available=-part, held=part)),) if part else ()


def release(held: int) -> tuple[Entry, ...]:
    """Gives back what a case holds."""
    return (Entry(DepositKind.RELEASE, Balances(available=held, held=-held)),) if held else ()


def deduct(balances: Balances, held: int, amount: int) -> tuple[Entry, ...]:
    """Pays a refund from what the case holds, then from what is free; the platform advances what is missing."""
    frozen = min(held, amount)
    free = min(balances.available, amount - frozen)
    moved = Balances(available=-free, held=-frozen, refunds=free + frozen)
    taken = (Entry(DepositKind.DEDUCTION, moved),) if free + frozen else ()
    return (*taken, *advance(amount - free - frozen))


def advance(amount: int) -> tuple[Entry, ...]:
    """先行赔付: the platform pays, and the merchant owes it."""
    return (Entry(DepositKind.ADVANCE, Balances(refunds=amount, recourse=-amount)),) if amount else ()


def reverse(balances: Balances, of_case: Balances, amount: int) -> tuple[Entry, ...]:
    """Takes a refund back that will not be paid, as far as the case has drawn on the merchant.

    What was advanced is not owed any more. Of that, what the platform has written off meanwhile is its own again; all
    else was the merchant's money, and is available.
    """
    amount = min(amount, of_case.refunds)
    advanced = min(amount, -of_case.recourse - of_case.platform)
    owed = min(advanced, balances.owed)
    borne = min(advanced - owed, -balances.platform)
    moved = Balances(available=amount - owed - borne, refunds=-amount, recourse=owed, platform=borne)
    return (Entry(DepositKind.REVERSAL, moved),) if amount else ()


def stated(kind: DepositKind, amount: int) -> Entry:
    """What a site tells by itself, whether or not there is enough for it."""
    match kind:
        case DepositKind.TOP_UP:
            return Entry(kind, Balances(external=-amount, available=amount))
        case DepositKind.WITHDRAWAL:
            return Entry(kind, Balances(external=amount, available=-amount))
        case DepositKind.RECOURSE_PAID:
            return Entry(kind, Balances(external=-amount, recourse=amount))
        case DepositKind.RECOURSE_WRITTEN_OFF:
            return Entry(kind, Balances(recourse=amount, platform=-amount))
        case _:
            raise AssertionError("no site tells this")


def after(balances: Balances, entry: Entry) -> Balances:
    """The accounts after an entry. NotEnough where one of them has less than it takes."""
    then = balances + entry.moved
    for account, there, left in (
        ("available", balances.available, then.available),
        ("held", balances.held, then.held),
        ("refunds", balances.refunds, then.refunds),
        ("recourse", balances.owed, then.owed),
        ("platform", -balances.platform, -then.platform),
    ):
        if left < 0:
            raise NotEnough(account, there)
    return then


def folded(entries: Sequence[Entry]) -> Balances:
    """The accounts as a history of entries leaves them."""
    balances = Balances()
    for entry in entries:
        balances = after(balances, entry)
    return balances


def top_up_due(balances: Balances, told_deposit: int) -> int:
    """By how much the merchant's deposit is below what was agreed on."""
    return max(0, told_deposit - balances.available - balances.held)
