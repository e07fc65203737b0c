"""One refund as a model sees it: what a report of it changes, written as a table and not as the code has it."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from app.rules.facts import Channel

STEPS = ("accepted", "processing", "abnormal", "failed", "succeeded", "closed")
FINAL = frozenset({"succeeded", "closed"})
STOPPED = frozenset({"abnormal", "failed", "closed"})
TAKEN_WITHIN = timedelta(hours=1)
CLOCKS_DIFFER = timedelta(minutes=5)
# How a refund stands, and a report of each of the STEPS: `+` it counts whenever it is of; `=` unless it is older than
# the last word; `>` if it is younger; `.` it is late in any case; `r` nothing new; `!` it contradicts.
COUNTS = MappingProxyType({
    "requested":  ">>>>++",
    "accepted":   "r===++",
    "processing": ".r==++",
    "abnormal":   ">>r=++",
    "failed":     ">>=r++",
    "succeeded":  "..!!r!",
    "closed":     "....!r",
})  # fmt: skip
TOLD_OF = MappingProxyType({"succeeded": "refund.succeeded", "abnormal": "refund.abnormal", "failed": "refund.failed",
                         "closed": "refund.failed"})  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What an adapter reports."""

    state: str
    at: datetime
    amount: int | None
    number: str | None = None
    failure: str | None = None
    currency: str | None = "CNY"
    payment_no: str | None = None
    channel: Channel | None = None

    @property
    def body(self) -> dict[str, Any]:
        """As it is sent."""
        document = {
            "state": self.state,
            "at": self.at.isoformat(),
            "amount": self.amount,
            "currency": self.currency,
            "channel_refund_no": self.number,
            "payment_no": self.payment_no,
            "channel": None if self.channel is None else self.channel.value,
            "failure": None if self.failure is None else {"code": self.failure, "message": "渠道拒绝"},
        }
        return {name: value for name, value in document.items() if value is not None}


@dataclass(frozen=True)
class Heard:
    """What has to become of a report, and how it has to be answered."""

    verdict: str
    conflict: str | None = None
    status: int = 200
    code: str | None = None


# What no report raises but the channel's own books: somebody else paid back what a refund was promised.
ELSEWHERE = Heard("conflict", "refunded_elsewhere")


@dataclass(eq=False)
class RefundModel:
    """A refund: what was instructed, where it stands, and all that was said of it. The service gives it its ids."""

    payment_no: str
    channel: Channel
    amount: int
    asked_at: datetime
    expected_by: datetime
    replaces: "RefundModel | None" = None
    other_account: str | None = None
    shown_id: str | None = None
    refund_no: str | None = None
    state: str = "requested"
    number: str | None = None
    failure: str | None = None
    reported_at: datetime | None = None
    version: int = 1
    asked: int = 1
    is_replaced: bool = False
    # Also reported as paid, in whatever way: what pays anew might be a second payment.
    is_doubted: bool = False
    overdue_at: datetime | None = None
    reports: dict[tuple[object, ...], int] = field(default_factory=dict)
    contradicted: list[tuple[str, datetime]] = field(default_factory=list)
    created_at: datetime = field(init=False)
    ended_at: datetime = field(init=False)
    gone_before: int = 0

    def __post_init__(self) -> None:
        """From the beginning somebody is waited for."""
        self.overdue_at, self.created_at = self.accept_by, self.asked_at

    @property
    def accept_by(self) -> datetime:
        """When somebody should have taken it."""
        return min(self.asked_at + TAKEN_WITHIN, self.expected_by)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing comes of it unless a person acts."""
        return self.state in STOPPED and not self.is_replaced and not self.is_back

    @property
    def is_back(self) -> bool:
        """Whether the buyer has the money: by this refund, or, since it was closed for that, by another way."""
        return self.state == "succeeded" or (self.state, self.failure) == ("closed", "refunded_elsewhere")

    @property
    def can_be_given_up(self) -> bool:
        """By a person: it has stopped, and nobody has closed it."""
        return self.state in ("failed", "abnormal")

    @property
    def has_a_way_back(self) -> bool:
        """Whether the money may still go the way that it came."""
        return self.state != "closed" and self.failure not in ("account_gone", "too_late", "too_many")

    def is_overdue(self, now: datetime) -> bool:
        """Whether it was not taken, or is not there, in its time."""
        waits = self.state == "requested" and self.asked_at + TAKEN_WITHIN < now
        return self.state not in FINAL and (waits or self.expected_by < now)

    def weigh(self, said: Said, others: Iterable["RefundModel"]) -> Heard:
        """What becomes of a report. `others`: every refund of the site."""
        ours = (("amount", self.amount, said.amount), ("currency", "CNY", said.currency),
                ("payment_no", self.payment_no, said.payment_no), ("channel", self.channel, said.channel),
                ("channel_refund_no", self.number, said.number))  # fmt: skip
        for code, mine, theirs in ours:
            if mine is not None and theirs is not None and mine != theirs:
                return _contradicts(code)
        counts = COUNTS[self.state][STEPS.index(said.state)]
        if counts == "!":
            return _contradicts({"succeeded": "after_success", "closed": "after_closed"}[self.state])
        is_news = (self.number is None and said.number is not None) or said.failure not in (None, self.failure)
        if counts == "r" and (self.state in FINAL or not is_news):
            return Heard("repeated")
        if not self._counts("=" if counts == "r" else counts, said.at):
            return Heard("late", status=409, code="refund_final") if self.state in FINAL else Heard("late")
        if self.number is None and said.number is not None:
            bears = [each for each in others if (each.channel, each.number) == (self.channel, said.number)]
            if bears:
                return _contradicts("channel_refund_no_taken")
        return Heard("applied")

    def _counts(self, when: str, at: datetime) -> bool:
        last = self.reported_at
        # What is told in whole seconds may be of any moment in its second.
        since = last if last is None or at.microsecond else last.replace(microsecond=0)
        compared: dict[str, Callable[[], bool]] = {
            "+": lambda: True,
            ".": lambda: False,
            "=": lambda: since is None or at >= since,
            ">": lambda: last is None or at > last,
        }
        return compared[when]()

    def keep(self, said: Said, heard: Heard, now: datetime, source: str) -> int:
        """Said again it is counted; how often it has come by now. Only of what counted does the moment matter."""
        if (said.state, heard.verdict) == ("succeeded", "conflict"):
            self.is_doubted = True
        moment = said.at if heard.verdict == "applied" else None
        key = (source, said.state, said.amount, said.currency, said.number, said.payment_no, said.channel,
               heard.verdict, heard.conflict, moment, said.failure)  # fmt: skip
        self.reports[key] = self.reports.get(key, 0) + 1
        if heard.conflict is not None and self.reports[key] == 1:
            self.contradicted.append((heard.conflict, now))
        return self.reports[key]

    def goes_to(self, said: Said) -> None:
        """A report counts."""
        is_early = self.reported_at is not None and said.at < self.reported_at and said.state not in FINAL
        self.state, self.reported_at = said.state, self.reported_at if is_early else said.at
        self.number, self.failure = self.number or said.number, said.failure
        self.version += 1
        if self.state in FINAL:
            self.overdue_at = None
        elif self.overdue_at is not None:
            self.overdue_at = self.expected_by

    def is_asked_again(self, now: datetime, expected_by: datetime, account: str | None) -> None:
        """Under the same number."""
        self.state, self.asked_at, self.expected_by = "requested", now, expected_by
        if account is not None:  # what is paid there bears another number of the channel's
            self.other_account, self.number = account, None
        self.failure = None
        self.overdue_at = self.accept_by
        self.version += 1
        self.asked += 1

    @property
    def shown(self) -> dict[str, Any]:
        """What has to be read of it."""
        return {
            "payment_no": self.payment_no,
            "channel": self.channel.value,
            "amount": self.amount,
            "currency": "CNY",
            "state": self.state,
            "channel_refund_no": self.number,
            "failure": self.failure,
            "replaces": None if self.replaces is None else self.replaces.shown_id,
            "other_account": self.other_account,
            "accept_by": self.accept_by,
            "expected_by": self.expected_by,
            "reported_at": self.reported_at,
            "is_settled": self.state in FINAL,
            "version": self.version,
            "handled_by": "adapter",
        }

    @property
    def said(self) -> Counter[tuple[object, ...]]:
        """All that was said of it: by whom, state, amount, number, verdict, contradiction, and how often."""
        return Counter(
            (source, state, amount, number, verdict, conflict, times)
            for (source, state, amount, _, number, _, _, verdict, conflict, *_), times in self.reports.items()
        )


def _contradicts(code: str) -> Heard:
    return Heard("conflict", code, 409, "refund_conflict")
