"""The rules and the table of a case's life by themselves, at great speed: no database, no service.

A case is judged whenever a report comes in, and reports are lost, doubled, late and out of order; people and time do as
they like. What is granted is paid back by a channel whose reports are as unreliable (`repaying`). Whatever happens:
money goes back only with an approval and only once, an appeal is never rejected by rule, nothing happens that the table
does not have, and every case comes to an end. Everything follows from the seed.

    python -m tests.lifecycle.simulation 10000 100      seeds, events each
"""

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

from app.rules.adjudicate import Verdict, judge
from app.rules.amounts import most_grantable
from app.rules.calendar import STATUTORY
from app.rules.deadlines import deadlines
from app.rules.facts import (
    RULING_CODES,
    Buyer,
    CancelledBy,
    CardStatus,
    Channel,
    Course,
    EvidenceKind,
    Facts,
    MerchantResponse,
    MerchantStatus,
    OrderStatus,
    Party,
    PaymentStatus,
    Position,
    Reason,
    Ruled,
    Ruling,
    Side,
    Usage,
    UsedBy,
)
from app.rules.findings import Outcome
from app.rules.lifecycle import (
    FOR_A_PERSON,
    TABLE,
    UNDECIDED,
    WAITING_FOR_THE_BUYER,
    CaseEvent,
    CaseStatus,
    NotAllowed,
    Situation,
    advance,
    allowed_now,
    judged,
    require,
)
from app.rules.policy import Policy
from app.rules.presets import PRESETS
from app.rules.reasons import MERCHANT_FAULT
from tests.lifecycle.repaying import Repayment
from tests.rules.building import FILED_AT, FITTING, a_claim, a_delivery, a_merchant, a_payment, a_piece, an_order

INSTANT = timedelta(microseconds=1)
# A refund that was closed and then reported as paid leaves its case with a person: nothing here can tell which is true.
ENDS = frozenset({CaseStatus.REFUNDED, CaseStatus.REFUND_FAILED, CaseStatus.REJECTED, CaseStatus.WITHDRAWN,
                  CaseStatus.LAPSED})  # fmt: skip
MOST_STEPS_TO_THE_END = 20
Report = Callable[[Facts], Facts]
POLICIES = tuple(PRESETS.values())
REASONS, KINDS, MERCHANT_STATUSES = tuple(Reason), tuple(EvidenceKind), tuple(MerchantStatus)
USAGES, USERS, CARDS = tuple(Usage), tuple(UsedBy), tuple(CardStatus)
PAYMENT_STATUSES, CHANNELS, STATUSES, CANCELLERS = tuple(PaymentStatus), tuple(Channel), tuple(OrderStatus), (
    *CancelledBy, None)  # fmt: skip
POSITIONS, PARTIES, SIDES, OUTCOMES = tuple(Position), tuple(Party), (None, *Side), tuple(Ruled)
PAUSES = tuple(timedelta(hours=hours) for hours in (0, 0, 0, 1, 5, 24, 80, 200))


@dataclass
class Life:
    """One case under way. `seen` counts what happened."""

    random: Random
    policy: Policy
    facts: Facts
    status: CaseStatus = CaseStatus.FILED
    course: Course = field(default_factory=Course)
    verdict: Verdict | None = None
    limits: dict[str, datetime] = field(default_factory=dict)
    repayment: Repayment | None = None
    repaid: list[Repayment] = field(default_factory=list)
    under_way: list[Report] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def now(self) -> datetime:
        return self.facts.as_of

    @property
    def situation(self) -> Situation:
        """What the table wants to know beside itself."""
        return Situation(
            self.status, self.now, self.facts.claim.reason in MERCHANT_FAULT, self.course.appealed_at is not None,
            deadlines=self.limits,
            refund_can_be_given_up=self.repayment is not None and bool(self.repayment.to_give_up),
        )  # fmt: skip

    # --- steps

    def judge(self, event: CaseEvent | None = None, *, ruling: Ruling | None = None) -> None:
        """The case is judged on all that is known now, and moves as the table says."""
        came = self.status if event is None else advance(self.status, event)
        appealing = event is CaseEvent.APPEAL_MADE
        back = appealing or self.status in WAITING_FOR_THE_BUYER
        course = replace(
            self.course,
            resumed_at=self.now if back else self.course.resumed_at,
            appealed_at=self.now if appealing else self.course.appealed_at,
            ruling=ruling,
        )
        verdict = judge(replace(self.facts, course=course), self.policy)
        self._hold(verdict)
        status = came if ruling is not None else advance(came, judged(verdict.outcome))
        self._become(status, verdict, appealing=appealing)

    def _hold(self, verdict: Verdict) -> None:
        assert (verdict.refund is not None) is (verdict.outcome is Outcome.APPROVE), "money only with an approval"
        standing = verdict.standing
        by_rule = standing.course.ruling is None
        assert not (by_rule and standing.course.appealed_at and verdict.outcome is Outcome.REJECT), "rejected on appeal"
        for share in () if verdict.refund is None else verdict.refund.shares:
            assert 0 < share.amount <= share.payment.remaining

    def _become(self, status: CaseStatus, verdict: Verdict | None, *, appealing: bool = False) -> None:
        left = self.status in WAITING_FOR_THE_BUYER and status not in WAITING_FOR_THE_BUYER
        evidence_at, review_at = self.course.evidence_requested_at, self.course.review_started_at
        self.course = Course(
            evidence_requested_at=(evidence_at or self.now) if status is CaseStatus.AWAITING_EVIDENCE else None,
            review_started_at=(review_at or self.now) if status in FOR_A_PERSON else None,
            resumed_at=self.now if left or appealing else self.course.resumed_at,
            appealed_at=self.now if appealing else self.course.appealed_at,
        )
        self.status = status
        self.seen[status.value] += 1
        if verdict is not None:
            self.verdict = verdict
            self.limits = {each.name: each.moment.at for each in deadlines(verdict, STATUTORY)}
        elif status in (CaseStatus.WITHDRAWN, CaseStatus.LAPSED):
            self.limits = {}
        if verdict is not None and verdict.refund is not None:
            self.repayment = Repayment.of(self.random, self.seen, verdict.refund.shares)

    def tried(self, event: CaseEvent, then: Callable[[], None]) -> None:
        """Done if it is allowed."""
        try:
            require(event, self.situation)
        except NotAllowed as refused:
            self._refused(event, refused)
            return
        assert (self.status, event) in TABLE
        then()

    def _refused(self, event: CaseEvent, refused: NotAllowed) -> None:
        """What the table does not have is refused with all that it has."""
        self.seen[f"refused {event.value}"] += 1
        if refused.code == "not_allowed_now":
            assert (self.status, event) not in TABLE
            assert all(each.action in refused.en for each in allowed_now(self.situation))

    # --- what happens

    def happens(self) -> None:
        """One event, by chance."""
        if self.is_over and self.random.random() < 0.5:
            return self._files_again()
        if self.repayment is not None and self.random.random() < 0.7:
            return self._money_moves(self.repayment)
        if self.repaid and self.random.random() < 0.1:
            return self._late_word_of_money()
        return self.random.choices(
            (self._report_is_made, self._reports_arrive, self._time_passes, self._party_acts, self._person_rules),
            (30, 30, 15, 20, 5),
        )[0]()

    @property
    def is_over(self) -> bool:
        """Whether nothing can come of it any more."""
        if self.repayment is not None:
            return self.repayment.is_over
        return self.status in ENDS and (self.status is not CaseStatus.REJECTED or "appeal" not in self.limits)

    def _files_again(self) -> None:
        """Another claim, on a new order."""
        self.seen[f"ended {self.status.value}"] += 1
        self.seen["filed again"] += 1
        if self.repayment is not None:
            self.repaid.append(self.repayment)
            self.repayment = None
        self.facts = some_facts(self.random, self.now)
        self.status, self.course, self.verdict, self.limits = CaseStatus.FILED, Course(), None, {}
        self.under_way.clear()
        self.judge()

    def _money_moves(self, repayment: Repayment) -> None:
        """Its channel and its adapter do something, or a person lets a refund go on that has stopped."""
        stopped, chance = repayment.to_retry, self.random.random()
        to_give_up = repayment.to_give_up
        if to_give_up and chance < 0.1:
            self.tried(CaseEvent.REFUND_GIVEN_UP, lambda: repayment.give_up(self.random.choice(to_give_up), self.now))
        elif stopped and chance < 0.4:
            self._until(self.now + timedelta(seconds=1))
            self.tried(CaseEvent.REFUND_RETRIED, lambda: repayment.retry(self.random.choice(stopped), self.now))
        else:
            repayment.happens(self.now)
        self.status = repayment.status

    def _late_word_of_money(self) -> None:
        """Of a case that is over: nothing comes of it."""
        repayment = self.random.choice(self.repaid)
        before = repayment.status
        repayment.happens(self.now)
        assert repayment.status is before, "what was over is not"

    def _report_is_made(self) -> None:
        fate = self.random.random()
        report = self._report()
        if fate < 0.15:
            self.seen["lost"] += 1
        elif fate < 0.5:
            self._arrives(report)
        elif fate < 0.65:
            self.seen["doubled"] += 1
            self._arrives(report)
            before = (self.status, self.facts, self.course)
            self._arrives(report)
            assert before == (self.status, self.facts, self.course), "the same report twice is one"
        else:
            self.under_way.append(report)

    def _reports_arrive(self) -> None:
        """Whatever is under way, in any order, however late."""
        self.random.shuffle(self.under_way)
        late = self.under_way[: self.random.randint(0, 2)]
        self.under_way = self.under_way[len(late) :]
        for report in late:
            self.seen["late"] += 1
            self._arrives(report)

    def _arrives(self, report: Report) -> None:
        told = report(self.facts)
        if told == self.facts:
            return
        self.facts = told
        if self.status in UNDECIDED:
            self.judge()

    def _report(self) -> Report:
        random, now = self.random, self.now
        placed_at = FILED_AT if self.facts.order is None else self.facts.order.placed_at
        match random.randrange(6):
            case 0 | 1 | 2:
                delivery = a_delivery(
                    delivered_at=random.choice((None, placed_at + timedelta(minutes=1), now, now + timedelta(days=1))),
                    face_value=random.choice((10_000, 10_000, 4_000, None)), usage=random.choice(USAGES),
                    used_at=random.choice((None, placed_at, now)), used_by=random.choice(USERS),
                    card_status=random.choice(CARDS),
                    times_sold=random.choice((1, 1, 2)),
                )  # fmt: skip
                return lambda facts: replace(facts, deliveries=(delivery,))
            case 3:
                payment = a_payment(
                    random.choice(("T-1", "T-2")), status=random.choice(PAYMENT_STATUSES),
                    paid_at=placed_at + timedelta(seconds=20),
                    channel=random.choice(CHANNELS), refunded_amount=random.choice((0, 0, 0, 0, 0, 0, 100, 9_900)),
                )  # fmt: skip
                return lambda facts: replace(
                    facts,
                    payments=(*(each for each in facts.payments if each.payment_no != payment.payment_no), payment),
                )
            case 4:
                status, by = random.choice((OrderStatus.PAID, *STATUSES)), random.choice(CANCELLERS)
                return lambda facts: replace(facts, order=an_order(status=status, cancelled_by=by, placed_at=placed_at))
            case _:
                status_of, deposit = random.choice(MERCHANT_STATUSES), random.choice((0, 100_000))
                return lambda facts: replace(
                    facts,
                    merchant=a_merchant(
                        status=status_of, deposit=deposit,
                        response=None if facts.merchant is None else facts.merchant.response,
                    ),
                )  # fmt: skip

    def _time_passes(self) -> None:
        ahead = sorted(at for at in self.limits.values() if at >= self.now)
        if ahead and self.random.random() < 0.5:
            self._until(ahead[0] + self.random.choice((-INSTANT, timedelta(0), INSTANT)))
        else:
            self._until(self.now + self.random.choice(PAUSES))
        if self.random.random() < 0.8:  # else the worker is late
            self.deadlines_fire()

    def _until(self, at: datetime) -> None:
        self.facts = replace(self.facts, as_of=max(at, self.now))

    def deadlines_fire(self) -> None:
        """What is over takes effect; the instant of a limit is still in time."""
        for name, at in sorted(self.limits.items(), key=lambda each: (each[1], each[0])):
            if at >= self.now or self.limits.get(name) != at:
                continue
            self.seen[f"over {name}"] += 1
            if name == "evidence_supplement":
                self.tried(CaseEvent.LAPSED, lambda: self._become(CaseStatus.LAPSED, None))
            elif name in ("wait", "merchant_turn") and self.status in UNDECIDED:
                self.judge()

    def _party_acts(self) -> None:
        random = self.random
        match random.randrange(8):
            case 0 | 1:
                self.tried(CaseEvent.MERCHANT_RESPONDED, self._merchant_responds)
            case 2 | 3 | 4:
                self.tried(CaseEvent.EVIDENCE_SUPPLIED, lambda: self._evidence(CaseEvent.EVIDENCE_SUPPLIED))
            case 5 | 6:
                self.tried(CaseEvent.APPEAL_MADE, lambda: self._evidence(CaseEvent.APPEAL_MADE))
            case _ if random.random() < 0.2:
                self.tried(CaseEvent.WITHDRAWN, lambda: self._become(CaseStatus.WITHDRAWN, None))
            case _:
                self.tried(CaseEvent.ESCALATED, lambda: None)

    def _merchant_responds(self) -> None:
        answer = MerchantResponse(self.random.choice(POSITIONS), self.now)
        self.facts = replace(self.facts, merchant=replace(self.facts.merchant or a_merchant(), response=answer))
        self.judge(CaseEvent.MERCHANT_RESPONDED)

    def _evidence(self, event: CaseEvent) -> None:
        random = self.random
        pieces = [
            a_piece(random.choice(KINDS), party=random.choice(PARTIES), supports=random.choice(SIDES),
                    captured_at=self.now, reused=random.random() < 0.05)
            for _ in range(random.randint(1, 3))
        ]  # fmt: skip
        self.facts = replace(self.facts, evidence=(*self.facts.evidence[-10:], *pieces))
        self.judge(event)

    def _person_rules(self) -> None:
        outcome = self.random.choice(OUTCOMES)
        event = CaseEvent.RULED_APPROVE if outcome is Ruled.APPROVE else CaseEvent.RULED_REJECT
        self.tried(event, lambda: self.ruled(outcome, event))

    def ruled(self, outcome: Ruled, event: CaseEvent) -> None:
        """A person's word, within what can be granted."""
        assert self.verdict is not None
        amount = None
        if outcome is Ruled.APPROVE:
            most = most_grantable(judge(replace(self.facts, course=self.course), self.policy).standing)
            if most == 0:
                return
            amount = self.random.randint(1, most)
        code = self.random.choice(sorted(RULING_CODES[outcome]))
        self.judge(event, ruling=Ruling(outcome, code, self.now, amount))
        expected = Outcome.APPROVE if outcome is Ruled.APPROVE else Outcome.REJECT
        assert self.verdict.outcome is expected, "a person's word decides"

    def run_out(self) -> None:
        """Nothing more comes in; time passes, and people do their work."""
        for _ in range(MOST_STEPS_TO_THE_END):
            if self.repayment is not None:
                self.repayment.run_out(self.now)
                self.status = self.repayment.status
                return
            if self.status in ENDS:
                return
            if self.status in FOR_A_PERSON:
                self.tried(CaseEvent.RULED_REJECT, lambda: self.ruled(Ruled.REJECT, CaseEvent.RULED_REJECT))
                continue
            self._until(max(self.limits.values()) + INSTANT)
            self.deadlines_fire()
        raise AssertionError(f"a case that does not end: {self.status}")


def some_facts(random: Random, now: datetime) -> Facts:
    """A claim on an order that was placed a while ago, with what is needed or without."""
    reason = random.choice(REASONS)
    placed_at = now - random.choice((timedelta(minutes=2), timedelta(hours=5), timedelta(hours=5)))
    pieces = FITTING[reason] if random.random() < 0.7 else ()
    return Facts(
        as_of=now,
        claim=a_claim(reason, filed_at=now, amount=random.choice((None, None, None, 9_900, 5_000))),
        order=an_order(placed_at=placed_at),
        payments=(a_payment(paid_at=placed_at + timedelta(seconds=20)),),
        evidence=tuple(a_piece(kind, captured_at=placed_at) for kind in pieces),
        merchant=random.choice((None, a_merchant())),
        buyer=Buyer(random.choice((0, 0, 0, 2))),
    )


def live(seed: int, events: int) -> Counter[str]:
    """One seed's cases, one after the other, each from its filing to its end; what was seen on the way."""
    random = Random(seed)
    life = Life(random, random.choice(POLICIES), some_facts(random, FILED_AT))
    life.judge()
    for _ in range(events):
        life.happens()
    life.run_out()
    life.seen[f"ended {life.status.value}"] += 1
    return life.seen


def simulate(seeds: range, events: int) -> Counter[str]:
    """Many lives; AssertionError names the seed of one that goes wrong."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        try:
            seen += live(seed, events)
        except Exception as error:
            error.add_note(f"seed {seed}, {events} events")
            raise
    return seen


if __name__ == "__main__":
    how_many, each = (int(argument) for argument in sys.argv[1:])
    began = time.perf_counter()
    found = simulate(range(how_many), each)
    sys.stdout.write(f"{how_many} x {each} in {time.perf_counter() - began:.1f} s\n")
    sys.stdout.writelines(f"{count:9d} {what}\n" for what, count in sorted(found.items()))
