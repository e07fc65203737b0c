"""What others paid back over a payment, as a model keeps it: written from decision 24 and `docs/refunds.md`.

What the channel lists is known by its number; of a sum that it tells, only what no refund of ours explains is kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

MOVED = frozenset({"succeeded", "processing"})


@dataclass(frozen=True)
class Listed:
    """A refund as a channel lists it; `refund_no`: under which number it was made, ours or another's."""

    number: str
    amount: int
    refund_no: str | None = None
    state: str = "succeeded"
    at: datetime | None = None


@dataclass(frozen=True)
class Explained:
    """A refund of ours, as far as it accounts for what a channel tells."""

    refund_no: str | None
    number: str | None
    amount: int
    may_be_paid: bool


@dataclass
class Known:
    """One thing that was found: how much, when the channel says that it was, and when that was told last."""

    amount: int
    at: datetime | None
    found_at: datetime


@dataclass
class Found:
    """Of one payment; by the channel's number, a sum by none."""

    known: dict[str | None, Known] = field(default_factory=dict)

    @property
    def listed(self) -> int:
        """What the channel told one by one."""
        return sum(each.amount for number, each in self.known.items() if number is not None)

    @property
    def amount(self) -> int:
        """Both may be the same money, so that the greater one counts."""
        return max(self.listed, self.known[None].amount if None in self.known else 0)

    @property
    def rows(self) -> Iterator[tuple[str | None, Known, int]]:
        """What a report shows of it: of a sum, what the single ones do not make up."""
        for number, known in self.known.items():
            amount = known.amount if number is not None else known.amount - self.listed
            if amount > 0:
                yield number, known, amount

    def take(self, foreign: Iterable[tuple[str | None, int, datetime | None]], now: datetime) -> bool:
        """Each is kept once, with the most that was told of it; whether any of it is new."""
        is_new = False
        for number, amount, at in foreign:
            known = self.known.get(number)
            if known is None:
                self.known[number] = Known(amount, at, now)
            elif known.amount < amount:
                known.amount, known.found_at = amount, now
            else:
                continue
            is_new = True
        return is_new


def foreign(
    listed: Iterable[Listed], total: int | None, ours: Iterable[Explained]
) -> list[tuple[str | None, int, datetime | None]]:
    """What no refund of ours explains. One that may have been paid explains as much of a sum."""
    mine = list(ours)
    found: list[tuple[str | None, int, datetime | None]] = [
        (each.number, each.amount, each.at) for each in listed if each.state in MOVED and not _is_one_of(each, mine)
    ]
    beyond = 0 if total is None else total - sum(each.amount for each in mine if each.may_be_paid)
    return [*found, (None, beyond, None)] if beyond > 0 else found


def _is_one_of(listed: Listed, ours: Iterable[Explained]) -> bool:
    return any(listed.refund_no == each.refund_no or listed.number == each.number for each in ours)
