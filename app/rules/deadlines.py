"""What a decision sets a time to, and who may do what until when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.rules.adjudicate import Verdict
from app.rules.calendar import Calendar, Moment, in_shanghai
from app.rules.checks.notes import CHANNEL_DISPUTE_OPEN, FIRST_ANSWER_PROMISED
from app.rules.facts import Channel, Payment
from app.rules.findings import Outcome
from app.rules.lengths import end_of


@dataclass(frozen=True, slots=True)
class Deadline:
    """期限: `rule` is the rule that sets it."""

    name: str
    moment: Moment
    rule: str


@dataclass(frozen=True, slots=True)
class NextAction:
    """下一步: `until` None where nothing ends it."""

    action: str
    by: str
    until: datetime | None


def expected_by(verdict: Verdict, payment: Payment, calendar: Calendar) -> Moment:
    """When the money sent back over this payment is promised to be there."""
    standing = verdict.standing
    return end_of(standing.as_of, standing.policy.arrival[payment.channel], calendar)


def deadlines(verdict: Verdict, calendar: Calendar) -> tuple[Deadline, ...]:
    """The deadline that the decisive rule sets, then those that come with it."""
    return tuple(_deadlines(verdict, calendar))


def _deadlines(verdict: Verdict, calendar: Calendar) -> Iterator[Deadline]:
    standing, rule, as_of = verdict.standing, verdict.decisive.rule.id, verdict.standing.as_of
    match verdict.outcome:
        case Outcome.APPROVE if verdict.refund is not None:
            arrivals = [expected_by(verdict, share.payment, calendar) for share in verdict.refund.shares]
            yield Deadline("money_back", max(arrivals, key=_at), rule)
        case Outcome.REJECT:
            if standing.course.appealed_at is None:
                yield Deadline("appeal", _exact(as_of + standing.policy.escalation.appeal), rule)
            yield from _channel_dispute(verdict)
        case Outcome.WAIT | Outcome.REQUEST_EVIDENCE | Outcome.AWAIT_MERCHANT if verdict.decisive.until is not None:
            yield Deadline(_DEFERRALS[verdict.outcome], verdict.decisive.until, rule)
        case Outcome.MANUAL_REVIEW:
            review, started_at = standing.policy.review, standing.course.review_started_at or as_of
            yield Deadline("review", end_of(started_at, review.length, calendar), rule)
            if review.first_answer is not None:
                first_answer = end_of(started_at, review.first_answer, calendar)
                yield Deadline("first_answer", first_answer, FIRST_ANSWER_PROMISED.id)
        case _:
            return


# Who has less time than this left, or a quarter of what was given if that is less, is reminded.
REMINDED_BEFORE = timedelta(hours=24)


def reminder_of(deadline: Deadline, set_at: datetime) -> datetime | None:
    """When somebody is reminded of a deadline; None for a wait, which asks nothing of anybody."""
    if deadline.name == "wait":
        return None
    at = deadline.moment.at
    return at - min(REMINDED_BEFORE, max(at - set_at, timedelta(0)) / 4)


_DEFERRALS = {
    Outcome.WAIT: "wait",
    Outcome.REQUEST_EVIDENCE: "evidence_supplement",
    Outcome.AWAIT_MERCHANT: "merchant_turn",
}


def _at(moment: Moment) -> datetime:
    return moment.at


def _exact(at: datetime) -> Moment:
    return Moment(in_shanghai(at), provisional=False)


def _channel_dispute(verdict: Verdict) -> Iterator[Deadline]:
    for finding in verdict.findings:
        if finding.rule is CHANNEL_DISPUTE_OPEN:
            until = finding.facts["until"]
            assert isinstance(until, datetime)
            yield Deadline("channel_dispute", _exact(until), CHANNEL_DISPUTE_OPEN.id)


def next_actions(verdict: Verdict, set_deadlines: tuple[Deadline, ...]) -> tuple[NextAction, ...]:
    """What may be done next, by whom, until when."""
    until = {deadline.name: deadline.moment.at for deadline in set_deadlines}
    return tuple(_next_actions(verdict, until))


def _next_actions(verdict: Verdict, until: dict[str, datetime]) -> Iterator[NextAction]:
    match verdict.outcome:
        case Outcome.APPROVE:
            yield NextAction("pay_back", _payer(verdict), until.get("money_back"))
        case Outcome.REJECT:
            if "appeal" in until:
                yield NextAction("appeal", "buyer", until["appeal"])
            yield from _beyond_the_site(verdict, until)
        case Outcome.WAIT:
            yield NextAction("wait", "buyer", until.get("wait"))
        case Outcome.REQUEST_EVIDENCE:
            yield NextAction("supply_evidence", "buyer", until.get("evidence_supplement"))
        case Outcome.AWAIT_MERCHANT:
            yield NextAction("respond", "merchant", until.get("merchant_turn"))
        case Outcome.MANUAL_REVIEW:
            yield NextAction("rule", "platform", until.get("review"))


def _payer(verdict: Verdict) -> str:
    assert verdict.refund is not None
    on_channel = any(share.payment.channel is not Channel.BALANCE for share in verdict.refund.shares)
    return "channel" if on_channel else "platform"


def _beyond_the_site(verdict: Verdict, until: dict[str, datetime]) -> Iterator[NextAction]:
    if verdict.standing.balance <= 0:
        return
    if "channel_dispute" in until:
        yield NextAction("dispute_at_channel", "buyer", until["channel_dispute"])
    yield NextAction("complain_to_12315", "buyer", None)
    if verdict.standing.balance > verdict.standing.policy.escalation.court_above:
        yield NextAction("sue", "buyer", None)
