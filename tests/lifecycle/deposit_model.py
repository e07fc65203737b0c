"""Merchants' deposits as a model keeps them: journals by double entry, written from `docs/deposits.md`."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

ACCOUNTS = ("external", "available", "held", "refunds", "recourse", "platform")
Moved = dict[str, int]


@dataclass(frozen=True)
class Entry:
    """One booking: what it moves between accounts, and for which case."""

    kind: str
    moved: Moved
    case_id: UUID | None = None


@dataclass
class Ledger:
    """A merchant's journal; every balance is the sum of it."""

    told: int = 0
    entries: list[Entry] = field(default_factory=list)

    def balance(self, account: str, case_id: UUID | None = None) -> int:
        """Of the merchant, or what one case has moved."""
        entries = [each for each in self.entries if case_id in (None, each.case_id)]
        return sum(each.moved.get(account, 0) for each in entries)

    @property
    def owed(self) -> int:
        """What the merchant owes the platform."""
        return -self.balance("recourse")

    def book(self, kind: str, case_id: UUID | None = None, **moved: int) -> None:
        """An entry; nothing is lost between the accounts, and none of them goes below nothing."""
        assert sum(moved.values()) == 0
        self.entries.append(Entry(kind, moved, case_id))
        assert min(self.balance("available"), self.balance("held"), self.balance("refunds"), self.owed) >= 0

    # --- what a site tells

    def is_told(self, deposit: int) -> None:
        """The level in the merchant's record; lowering it takes what is available at most."""
        if deposit != self.told:
            change = max(deposit - self.told, -self.balance("available"))
            self.book("told", available=change, external=-change)
            self.told = deposit

    def states(self, kind: str, amount: int) -> str | None:
        """Money that moves at the same level; why it cannot."""
        match kind:
            case "top_up":
                self.book(kind, external=-amount, available=amount)
            case "withdrawal":
                if amount > self.balance("available"):
                    return "deposit_not_enough"
                self.book(kind, available=-amount, external=amount)
            case _ if amount > self.owed:
                return "recourse_not_owed"
            case "recourse_paid":
                self.book(kind, external=-amount, recourse=amount)
            case _:
                self.book(kind, platform=-amount, recourse=amount)
        return None

    # --- what cases do

    def hold(self, case_id: UUID, amount: int) -> None:
        """As far as it is there."""
        part = min(amount, self.balance("available"))
        if part:
            self.book("hold", case_id, available=-part, held=part)

    def release(self, case_id: UUID) -> None:
        """What the case still holds."""
        held = self.balance("held", case_id)
        if held:
            self.book("release", case_id, held=-held, available=held)

    def draw(self, funding: str, case_id: UUID, amount: int) -> bool:
        """What a refund takes, by whose money it is; whether it took anything."""
        if funding not in ("deposit", "platform_advance"):
            return False
        frozen = free = 0
        if funding == "deposit":
            frozen = min(amount, self.balance("held", case_id))
            free = min(amount - frozen, self.balance("available"))
        if frozen + free:
            self.book("deduction", case_id, held=-frozen, available=-free, refunds=frozen + free)
        if amount > frozen + free:
            missing = amount - frozen - free
            self.book("advance", case_id, recourse=-missing, refunds=missing)
        return True

    def reverse(self, case_id: UUID, amount: int) -> None:
        """A refund that will not be paid: what is owed for the case ends first, the rest is the merchant's again."""
        assert amount <= self.balance("refunds", case_id), "more would go back than the case took"
        advanced = min(amount, -self.balance("recourse", case_id) - self.balance("platform", case_id))
        owed = min(advanced, self.owed)
        borne = min(advanced - owed, -self.balance("platform"))
        self.book("reversal", case_id, refunds=-amount, recourse=owed, platform=borne, available=amount - owed - borne)

    @property
    def balances(self) -> Moved:
        """Every account."""
        return {account: self.balance(account) for account in ACCOUNTS}

    @property
    def journal(self) -> list[tuple[str, Moved, UUID | None]]:
        """Every entry, the first one first."""
        whole = dict.fromkeys(ACCOUNTS, 0)
        return [(each.kind, {**whole, **each.moved}, each.case_id) for each in self.entries]


@dataclass
class Deposits:
    """By merchant. An account is there once something was asked of it."""

    ledgers: defaultdict[str, Ledger] = field(default_factory=lambda: defaultdict(Ledger))

    def free_for(self, merchant_id: str, case_id: UUID) -> int:
        """The deposit that the rules see: what is free, and what this very case holds."""
        ledger = self.ledgers.get(merchant_id, Ledger())
        return ledger.balance("available") + ledger.balance("held", case_id)

    def of(self, merchant_ids: Iterable[str]) -> dict[str, Ledger]:
        """Those of these merchants that something was booked on."""
        return {each: self.ledgers[each] for each in merchant_ids if each in self.ledgers}
