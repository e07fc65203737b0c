"""One case as a model sees it: written from the documents, knowing nothing of the code that moves a case.

What the rules come to is asked of the rules, which have tests of their own; from whose facts, at which moment, what
follows from it, who may do what until when and what is told of it is the model's own reading.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from app.rules.adjudicate import Verdict
from app.rules.checks.evidence import missing_evidence
from app.rules.facts import Channel, Claim, Course, Evidence, Facts, MerchantResponse, Ruling
from app.rules.reasons import MERCHANT_FAULT
from tests.lifecycle.limits import TERMS, Terms, reminder
from tests.lifecycle.refund_model import STOPPED, RefundModel

OPEN = frozenset({"awaiting_merchant", "awaiting_evidence", "waiting", "in_review", "appealed"})
WITH_A_PERSON = frozenset({"in_review", "appealed"})
WITH_THE_BUYER = frozenset({"awaiting_evidence", "waiting"})
# Granted, and the money is not back yet.
PAYING_BACK = frozenset({"approved", "refunding", "refund_failed"})
GRANTED = PAYING_BACK | {"refunded"}
FREE_AGAIN = frozenset({"rejected", "withdrawn", "lapsed"})
LEADS_TO = {
    "approve": "approved",
    "reject": "rejected",
    "wait": "waiting",
    "request_evidence": "awaiting_evidence",
    "await_merchant": "awaiting_merchant",
    "manual_review": "in_review",
}
TOLD = {
    "approve": "case.approved",
    "reject": "case.rejected",
    "wait": "case.waiting",
    "request_evidence": "case.evidence_requested",
    "await_merchant": "case.merchant_turn",
    "manual_review": "case.review_needed",
}
# Work of the worker's that no deadline of a decision is.
CHORES = frozenset({"rejudge", "refund_rate"})
PROMISES = frozenset({"review", "first_answer", "money_back"})
AGAIN_AFTER = (timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2),
               timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))  # fmt: skip
Action = tuple[str, str, datetime | None]
Key = tuple[str, str, datetime]


@dataclass
class Timer:
    """Something that is due at a moment."""

    due_at: datetime
    state: str = "pending"
    attempts: int = 0
    again_at: datetime | None = None

    @property
    def next_attempt_at(self) -> datetime:
        """When it is tried next."""
        return self.again_at or self.due_at


@dataclass(frozen=True)
class Refusal:
    """How a request has to be refused."""

    status: int
    code: str


@dataclass
class CaseModel:
    """A case: what it is about, where it stands, and all that happened."""

    case_id: UUID
    order_no: str
    merchant_id: str
    claim: Claim
    policy: str
    status: str = "filed"
    version: int = 0
    told: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    limits: dict[str, datetime] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    answers: list[MerchantResponse] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    refunds: list[RefundModel] = field(default_factory=list)
    timers: dict[Key, Timer] = field(default_factory=dict)
    strikes: dict[str, tuple[str, bool, datetime]] = field(default_factory=dict)
    proposed: tuple[str, int, datetime] | None = None
    requested_at: datetime | None = None
    review_at: datetime | None = None
    resumed_at: datetime | None = None
    appealed_at: datetime | None = None
    # Whether the same claim was filed again, and that case is open or was granted.
    stands_aside: Callable[[], bool] = lambda: False

    @property
    def terms(self) -> Terms:
        """What its policy gives."""
        return TERMS[self.policy]

    @property
    def facts(self) -> Facts:
        """What was judged last."""
        return self.verdicts[-1].standing.facts

    def course(self, now: datetime, *, appealing: bool = False, ruling: Ruling | None = None) -> Course:
        """What limits count from, for a judgement now."""
        is_back = appealing or self.status in WITH_THE_BUYER or self.is_unasked
        return Course(
            evidence_requested_at=self.requested_at,
            review_started_at=self.review_at,
            resumed_at=now if is_back else self.resumed_at,
            appealed_at=now if appealing else self.appealed_at,
            ruling=ruling,
        )

    def move(self, status: str, now: datetime, told: Iterable[str] = (), *, appealing: bool = False) -> None:
        """One step: the next version, and what it tells."""
        is_back = self.status in WITH_THE_BUYER and status not in WITH_THE_BUYER
        if appealing or is_back or (self.is_unasked and status == "awaiting_merchant"):
            self.resumed_at = now
        self.appealed_at = now if appealing else self.appealed_at
        self.requested_at = (self.requested_at or now) if status == "awaiting_evidence" else None
        self.review_at = (self.review_at or now) if status in WITH_A_PERSON else None
        self.status = status
        self.version += 1
        self.told += told

    @property
    def proposal(self) -> tuple[str, int] | None:
        """Who proposed to grant how much, on all that the latest decision knows; it waits for a second person."""
        if self.proposed is None or self.status not in WITH_A_PERSON:
            return None
        return self.proposed[:2] if self.proposed[2] >= self.verdicts[-1].standing.as_of else None

    @property
    def status_by_refunds(self) -> str:
        """What its refunds come to, those left out whose place another has taken."""
        states = {"succeeded" if each.is_back else each.state for each in self.refunds if not each.is_replaced}
        if states == {"succeeded"}:
            return "refunded"
        if states & STOPPED:
            return "refund_failed"
        return "approved" if self.status == "approved" and states == {"requested"} else "refunding"

    # --- the merchant's turn

    @property
    def turns(self) -> list[datetime]:
        """When each time that the merchant was given ends or ended."""
        return [at for name, kind, at in self.timers if (name, kind) == ("merchant_turn", "due")]

    @property
    def is_unasked(self) -> bool:
        """With a person, and the merchant was never given its turn: that does not count against it."""
        return self.status in WITH_A_PERSON and not self.turns

    @property
    def answer(self) -> MerchantResponse | None:
        """The one that the rules go by: the last within the turn; but an acceptance counts whenever it comes."""
        if not self.answers or self.answers[-1].position == "accept":
            return self.answers[-1] if self.answers else None
        in_time = [each for each in self.answers if not self.turns or each.at <= max(self.turns)]
        return (in_time or self.answers)[-1]

    # --- limits

    def limit(self, name: str) -> datetime | None:
        """When something ends or ended, while it matters."""
        return max(
            (at for (each, kind, at), timer in self.timers.items()
             if each == name and kind == "due" and timer.state in ("pending", "fired")), default=None,
        )  # fmt: skip

    def is_over(self, name: str, now: datetime) -> bool:
        """The instant of a limit itself is still in time."""
        limit = self.limit(name)
        return limit is not None and now > limit

    def expect(self, limits: dict[str, datetime], kept: Iterable[str], now: datetime) -> None:
        """These are all the limits that it has from now on."""
        wanted = {(name, "due", at) for name, at in limits.items()}
        reminders = {name: self._reminder(name, at, now) for name, at in limits.items()}
        wanted |= {(name, "approaching", at) for name, at in reminders.items() if at is not None}
        for (name, kind, _), timer in ((key, timer) for key, timer in self.timers.items() if key not in wanted):
            # A promise that is over is missed, also by what was done too late: the worker tells of it.
            is_missed = name in PROMISES and kind == "due" and timer.due_at < now
            if timer.state == "pending" and name not in CHORES and not is_missed:
                timer.state = "kept" if kind == "due" and name in kept else "void"
        for key in wanted:
            if key not in self.timers or self.timers[key].state in ("kept", "void"):
                self.timers[key] = Timer(key[2])

    def _reminder(self, name: str, limit: datetime, now: datetime) -> datetime | None:
        """A limit that stands keeps the reminder that it has: nobody is reminded of it twice."""
        standing = {key for key, timer in self.timers.items() if timer.state in ("pending", "fired")}
        if (name, "due", limit) in standing:
            return max((at for each, kind, at in standing if (each, kind) == (name, "approaching")), default=None)
        return reminder(name, limit, now)

    def chore(self, name: str, now: datetime, *, for_sure: bool = False) -> None:
        """Work for the worker, once while it waits; `for_sure`: what waits may be done before this is known."""
        if for_sure or not any(key[0] == name and timer.state == "pending" for key, timer in self.timers.items()):
            self.timers[name, "due", now] = Timer(now)

    def due(self, now: datetime) -> list[Key]:
        """What the worker has to do by now."""
        return [key for key, timer in self.timers.items() if timer.state == "pending" and timer.next_attempt_at < now]

    def failed(self, key: Key, now: datetime) -> None:
        """An attempt came to nothing, and is made again."""
        timer = self.timers[key]
        timer.again_at = now + AGAIN_AFTER[min(timer.attempts, len(AGAIN_AFTER) - 1)]
        timer.attempts += 1

    # --- who may do what

    def refusal(self, action: str, now: datetime) -> Refusal | None:
        """Why an action is refused; None: it is not."""
        found = self._refusal(action, now)
        return None if found is None else Refusal(409, found)

    def _refusal(self, action: str, now: datetime) -> str | None:
        allowed_in = {"rule": WITH_A_PERSON, "appeal": {"rejected"},
                      "escalate": {*WITH_A_PERSON, *PAYING_BACK, "rejected", "lapsed"},
                      "retry_refund": {"refund_failed"}, "close_refund": {"refund_failed"}}  # fmt: skip
        if self.status not in allowed_in.get(action, OPEN):
            return "not_allowed_now"
        match action, self.status:
            case "respond", _ if self.claim.reason not in MERCHANT_FAULT:
                return "merchant_not_heard"
            case "respond", "awaiting_merchant" if self.is_over("merchant_turn", now):
                return "deadline_passed"
            case "supply_evidence", "awaiting_evidence" if self.is_over("evidence_supplement", now):
                return "deadline_passed"
            case "appeal", _ if self.appealed_at is not None:
                return "appealed_before"
            case "appeal", _ if self.stands_aside():
                return "case_open"
            case "appeal", _ if self.is_over("appeal", now):
                return "deadline_passed"
            case "close_refund", _ if not any(each.can_be_given_up for each in self.refunds):
                return "refund_closed"
            case "escalate", _ if self._is_under_way(now):
                return "not_overdue"
        return None

    def _is_under_way(self, now: datetime) -> bool:
        """Whether something is promised here still, and not overdue."""
        promised = "review" if self.status in WITH_A_PERSON else "money_back"
        return self.status in WITH_A_PERSON | PAYING_BACK and not self.is_over(promised, now)

    def allowed(self, now: datetime) -> set[Action]:
        """Everything that `next` has to name."""
        return {*self._by_parties(now), *self._pointed_out()}

    def _by_parties(self, now: datetime) -> Iterator[Action]:
        until = {
            ("respond", "awaiting_merchant"): "merchant_turn",
            ("supply_evidence", "awaiting_evidence"): "evidence_supplement",
            ("appeal", "rejected"): "appeal",
        }
        parties = {"respond": ("merchant",), "supply_evidence": ("buyer", "merchant"), "rule": ("platform",),
                   "appeal": ("buyer",), "withdraw": ("buyer",), "escalate": ("buyer",),
                   "retry_refund": ("platform",), "close_refund": ("platform",)}  # fmt: skip
        for action in (each for each in parties if self.refusal(each, now) is None):
            limit = self.limit("review" if action == "rule" else until.get((action, self.status), ""))
            yield from ((action, party, limit) for party in parties[action])
            if action == "withdraw" and self.offers_reissue:
                yield "accept_reissue", "buyer", None
            if action == "rule" and self.proposal is not None:
                yield "confirm_ruling", "platform", limit

    @property
    def offers_reissue(self) -> bool:
        """Whether that is the merchant's last word."""
        return bool(self.answers) and self.answers[-1].position == "offer_reissue"

    def _pointed_out(self) -> Iterator[Action]:
        """What the latest decision points to beyond the calls of this service."""
        verdict = self.verdicts[-1]
        match self.status:
            case "waiting":
                yield "wait", "buyer", self.limits["wait"]
            case "approved" | "refunding":
                assert verdict.refund is not None
                inside = all(share.payment.channel is Channel.BALANCE for share in verdict.refund.shares)
                yield "pay_back", "platform" if inside else "channel", self.limits["money_back"]
            case "rejected" if verdict.standing.balance > 0:
                if "channel_dispute" in self.limits:
                    yield "dispute_at_channel", "buyer", self.limits["channel_dispute"]
                yield "complain_to_12315", "buyer", None
                if verdict.standing.balance > self.terms.court_above:
                    yield "sue", "buyer", None

    def acted_on(self) -> tuple[object, ...]:
        """What somebody acts on in the latest decision; nothing is told where none of it changes."""
        verdict = self.verdicts[-1]
        return verdict.outcome, verdict.decisive.rule.id, missing_evidence(verdict.standing), self.limits

    def is_news(self, verdict: Verdict) -> bool:
        """Whether a judgement is about other facts than the last one, or comes to something else."""
        last = self.verdicts[-1]
        at = last.standing.as_of
        before, after = (replace(each.standing.facts, as_of=at, course=None) for each in (last, verdict))
        return before != after or (last.outcome, last.decisive.rule) != (verdict.outcome, verdict.decisive.rule)
