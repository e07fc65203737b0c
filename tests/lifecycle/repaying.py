"""Money on its way back, pure: a channel that tells the truth, an adapter between, and what becomes of its reports.

Instructions and reports are lost, doubled, late and out of order; some are nonsense. Whatever happens: no money goes
back twice, success is never undone, what is refused changes nothing, and the case stands as its refunds do.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

from app.rules.amounts import Share
from app.rules.lifecycle import CaseStatus, advance
from app.rules.settlement import (
    ConflictCode,
    Failure,
    FailureCode,
    RefundState,
    Report,
    ReportVerdict,
    Standing,
    event_of,
    weigh,
)

S, V = RefundState, ReportVerdict
ENDED = frozenset({S.SUCCEEDED, S.CLOSED})
STOPS = frozenset({S.ABNORMAL, S.FAILED, S.CLOSED})
A_SECOND = timedelta(seconds=1)
MOST_ROUNDS = 20
# Where a refund goes from `processing`, and from `abnormal` once a person has acted at the channel.
FATES = (S.SUCCEEDED, S.SUCCEEDED, S.FAILED, S.ABNORMAL, S.CLOSED)
FATES_OF_ABNORMAL = (S.SUCCEEDED, S.CLOSED)


@dataclass
class AtChannel:
    """A refund as the channel has it: the truth."""

    payment_no: str
    amount: int
    state: RefundState
    at: datetime


@dataclass
class PureChannel:
    """Knows refunds by their numbers, and pays once for each. It counts in whole seconds."""

    refunds: dict[str, AtChannel] = field(default_factory=dict)
    paid: Counter[str] = field(default_factory=Counter)

    def submit(self, number: str, payment_no: str, amount: int, now: datetime) -> None:
        """An old number is the old refund; one that has failed is tried again."""
        known = self.refunds.get(number)
        if known is None:
            self.refunds[number] = AtChannel(payment_no, amount, S.PROCESSING, _whole(now))
        elif known.state is S.FAILED:
            known.state, known.at = S.PROCESSING, _whole(now)

    def goes_on(self, number: str, fate: RefundState, now: datetime) -> None:
        """Where it stands from now on."""
        refund = self.refunds[number]
        assert refund.state in (S.PROCESSING, S.ABNORMAL)
        refund.state, refund.at = fate, _whole(now)
        if fate is S.SUCCEEDED:
            self.paid[refund.payment_no] += refund.amount


@dataclass
class Ours:
    """A refund as the service has it."""

    number: str
    standing: Standing
    is_replaced: bool = False
    is_disputed: bool = False

    @property
    def state(self) -> RefundState:
        """Where it stands."""
        return self.standing.state


@dataclass
class Repayment:
    """The refunds of one case that was granted, and all that is under way because of them."""

    random: Random
    seen: Counter[str]
    status: CaseStatus
    granted: dict[str, int]
    refunds: list[Ours]
    channel: PureChannel = field(default_factory=PureChannel)
    instructions: list[Ours] = field(default_factory=list)
    reports: list[tuple[Ours, Report]] = field(default_factory=list)

    @classmethod
    def of(cls, random: Random, seen: Counter[str], shares: Iterable[Share]) -> "Repayment":
        """As it is once a claim has been granted."""
        standings = [
            Standing(each.payment.payment_no, each.payment.channel, each.amount, "CNY", S.REQUESTED) for each in shares
        ]
        refunds = [Ours(f"rf-{n}", standing) for n, standing in enumerate(standings)]
        granted = {each.payment_no: each.amount for each in standings}
        repayment = cls(random, seen, CaseStatus.APPROVED, granted, refunds)
        for refund in refunds:
            repayment._instruct(refund)
        return repayment

    @property
    def counting(self) -> list[Ours]:
        """Those whose place no other has taken."""
        return [each for each in self.refunds if not each.is_replaced]

    @property
    def to_retry(self) -> list[Ours]:
        """What a person may let go on: not what was reported paid after it was closed."""
        return [each for each in self.counting if each.state in STOPS and not each.is_disputed]

    @property
    def to_give_up(self) -> list[Ours]:
        """What a person may end."""
        return [each for each in self.counting if each.state in (S.FAILED, S.ABNORMAL)]

    @property
    def is_over(self) -> bool:
        """The money is back, or it cannot be known whether it is."""
        return all(each.state is S.SUCCEEDED or each.is_disputed for each in self.counting)

    # --- what happens

    def happens(self, now: datetime) -> None:
        """One thing, by chance."""
        steps: tuple[Callable[[datetime], None], ...] = (
            self._instruction_arrives, self._channel_goes_on, self._adapter_asks, self._report_arrives,
            self._report_arrives, self._nonsense_arrives,
        )  # fmt: skip
        self.random.choice(steps)(now)

    def _instruct(self, refund: Ours) -> None:
        self.instructions += [refund] * self._copies("instruction")

    def _send(self, refund: Ours, report: Report) -> None:
        self.reports += [(refund, report)] * self._copies("report")

    def _copies(self, what: str) -> int:
        fate = self.random.random()
        if fate < 0.15:
            self.seen[f"{what} lost"] += 1
            return 0
        if fate < 0.35:
            self.seen[f"{what} doubled"] += 1
            return 2
        return 1

    def _instruction_arrives(self, now: datetime) -> None:
        if self.instructions:
            refund = self.instructions.pop(self._any_of(self.instructions))
            standing = refund.standing
            self._send(refund, Report(S.ACCEPTED, now, standing.amount, standing.currency))
            self.channel.submit(refund.number, standing.payment_no, standing.amount, now)

    def _channel_goes_on(self, now: datetime) -> None:
        for number, refund in self.channel.refunds.items():
            fates = {S.PROCESSING: FATES, S.ABNORMAL: FATES_OF_ABNORMAL}.get(refund.state)
            if fates is not None and self.random.random() < 0.5:
                self.channel.goes_on(number, self.random.choice(fates), now)
                self._adapter_reports(number)

    def _adapter_asks(self, _now: datetime) -> None:
        for number in self.channel.refunds:
            if self.random.random() < 0.5:
                self._adapter_reports(number)

    def _adapter_reports(self, number: str) -> None:
        refund = next(each for each in self.refunds if each.number == number)
        self._send(refund, self._truth(refund))

    def _truth(self, refund: Ours) -> Report:
        found = self.channel.refunds[refund.number]
        failure = Failure(FailureCode.OTHER) if found.state in STOPS else None
        return Report(found.state, found.at, found.amount, "CNY", f"ch-{refund.number}", failure)

    def _report_arrives(self, _now: datetime) -> None:
        if self.reports:
            self.take_in(*self.reports.pop(self._any_of(self.reports)))

    def _nonsense_arrives(self, now: datetime) -> None:
        """What nobody who knows would say: about another amount, with another number, or against what is final."""
        refund = self.random.choice(self.refunds)
        told = Report(self.random.choice((S.SUCCEEDED, S.CLOSED, S.FAILED)), now, refund.standing.amount, "CNY")
        match self.random.randrange(4):
            case 0:
                told = replace(told, amount=refund.standing.amount + 1)
            case 1:
                told = replace(told, currency="USD")
            case 2 if refund.standing.channel_refund_no is not None:
                told = replace(told, channel_refund_no="ch-another")
            case 3 if (
                refund.state in ENDED and told.state in (S.SUCCEEDED, S.FAILED) and refund.state is not told.state
            ):
                pass
            case _:
                return
        before = refund.standing
        self.take_in(refund, told)
        assert refund.standing == before, "nonsense is believed"
        self.seen["nonsense"] += 1

    def _any_of(self, waiting: Sequence[object]) -> int:
        self.seen["out of order"] += len(waiting) > 1
        return self.random.randrange(len(waiting))

    # --- what comes of it

    def take_in(self, refund: Ours, report: Report) -> None:
        """A report, as the rules weigh it."""
        before, weighed = refund.standing, weigh(refund.standing, report)
        self.seen[f"report {weighed.verdict.value}"] += 1
        self._hold(before, report, weighed.verdict, weighed.after)
        assert (weighed.conflict is not None) is (weighed.verdict is V.CONFLICT)
        refund.standing = weighed.after
        refund.is_disputed |= weighed.conflict is ConflictCode.AFTER_CLOSED
        if weighed.verdict is V.APPLIED:
            self._become()
        self.check()

    def _hold(self, before: Standing, report: Report, verdict: ReportVerdict, after: Standing) -> None:
        if verdict is V.APPLIED:
            assert before.state not in ENDED, "what is final was undone"
            assert after.state is report.state
            same = replace(after, state=before.state, reported_at=None, failure=None, channel_refund_no=None)
            assert same == replace(before, reported_at=None, failure=None, channel_refund_no=None)
            assert before.channel_refund_no in (None, after.channel_refund_no), "the channel's number changes"
            assert report.amount in (None, before.amount), "another amount is believed"
            assert report.currency in (None, before.currency), "another currency is believed"
            if before.reported_at is not None and report.state not in ENDED:
                assert report.at >= _whole(before.reported_at), "what is old leads back"
                assert after.reported_at is not None
                assert after.reported_at >= before.reported_at, "an old report may count again"
        else:
            assert replace(after, reported_at=None) == replace(before, reported_at=None), "what does not count changes"
            assert verdict is V.REPEATED or after == before

    def _become(self) -> None:
        event = event_of([each.state for each in self.counting], under_way=self.status is not CaseStatus.APPROVED)
        before = self.status
        self.status = before if event is None else advance(before, event)
        self.seen[self.status.value] += self.status is not before
        assert self.status is _as_they_say(before, {each.state for each in self.counting})

    def retry(self, refund: Ours, now: datetime) -> None:
        """A person lets it go on: under the same number, or, where that is closed, under another."""
        again = replace(refund.standing, state=S.REQUESTED, failure=None)
        if refund.state is S.CLOSED:
            self.seen["replaced"] += 1
            refund.is_replaced = True
            again = replace(again, reported_at=None, channel_refund_no=None)
            refund = Ours(f"rf-{len(self.refunds)}", again)
            self.refunds.append(refund)
        else:
            self.seen["retried"] += 1
            refund.standing = again
        self._become()
        self._instruct(refund)
        self.check()

    def give_up(self, refund: Ours, now: datetime) -> None:
        """A person has asked at the channel, had the refund ended there, and says so."""
        found = self.channel.refunds.get(refund.number)
        if found is not None and found.state in (S.FAILED, S.ABNORMAL):
            self.seen["given up"] += 1
            found.state, found.at = S.CLOSED, _whole(now)
            self.take_in(refund, Report(S.CLOSED, now, failure=Failure(FailureCode.REJECTED)))
            assert refund.state is S.CLOSED

    def check(self) -> None:
        """What must hold at any moment."""
        for payment_no, granted in self.granted.items():
            of_payment = [each for each in self.refunds if each.standing.payment_no == payment_no]
            reserved = sum(each.standing.amount for each in of_payment if each.state is not S.CLOSED)
            assert self.channel.paid[payment_no] <= granted, "paid twice"
            assert reserved <= granted, "promised twice"
        for refund in self.refunds:
            truth = self.channel.refunds.get(refund.number)
            if refund.state in ENDED:
                assert truth is not None, "nobody was asked"
                assert truth.state is refund.state, "it ended otherwise"
        if self.status is CaseStatus.REFUNDED:
            assert all(self.channel.paid[number] == granted for number, granted in self.granted.items())

    def run_out(self, now: datetime) -> None:
        """From here on nothing is lost, and people and channels do their work; what was late may still come."""
        for n in range(MOST_ROUNDS):
            if self.is_over:
                break
            now += A_SECOND
            for refund in self.to_retry:
                self.retry(refund, now)
            for refund in self.counting:
                standing = refund.standing
                self.channel.submit(refund.number, standing.payment_no, standing.amount, now)
                found = self.channel.refunds[refund.number]
                if found.state not in ENDED:
                    fate = S.SUCCEEDED if n > MOST_ROUNDS // 2 else self.random.choice(FATES_OF_ABNORMAL)
                    self.channel.goes_on(refund.number, fate, now)
                self.take_in(refund, self._truth(refund))
        assert self.is_over, f"money that does not come back: {[each.state.value for each in self.counting]}"
        while self.reports:
            self._report_arrives(now)
        assert self.status is (
            CaseStatus.REFUND_FAILED if any(each.is_disputed for each in self.counting) else CaseStatus.REFUNDED
        )


def _as_they_say(before: CaseStatus, states: set[RefundState]) -> CaseStatus:
    """A case's status by its refunds; once something has moved it never counts as merely granted again."""
    if states == {S.SUCCEEDED}:
        return CaseStatus.REFUNDED
    if states & STOPS:
        return CaseStatus.REFUND_FAILED
    untouched = before is CaseStatus.APPROVED and states == {S.REQUESTED}
    return CaseStatus.APPROVED if untouched else CaseStatus.REFUNDING


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)
