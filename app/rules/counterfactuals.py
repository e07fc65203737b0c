"""What single change would have led elsewhere: each is tried by judging again, so that none is a guess."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from app.rules.adjudicate import Verdict, decisive_finding
from app.rules.calendar import Calendar
from app.rules.checks.contradictions import RECORDS_DISPUTED
from app.rules.checks.evidence import missing_evidence
from app.rules.checks.form import suggested_reason
from app.rules.checks.merchant_turn import MERCHANT_TURN
from app.rules.facts import (
    CardStatus,
    CardUse,
    ChatChannel,
    Delivery,
    Evidence,
    EvidenceKind,
    Facts,
    Merchant,
    MerchantResponse,
    Party,
    Position,
    Reason,
    Remedy,
    Side,
    Usage,
    Via,
)
from app.rules.findings import Outcome, Stage
from app.rules.reasons import PAYMENT_REASONS
from app.rules.standing import Standing
from app.rules.windows import report_window

NOT_THE_BUYERS = {
    EvidenceKind.MERCHANT_STATEMENT: Party.MERCHANT,
    EvidenceKind.THIRD_PARTY_STATEMENT: Party.THIRD_PARTY,
}
DEFERRED = frozenset({Outcome.WAIT, Outcome.AWAIT_MERCHANT})


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the facts: where (`path`), to what (`value`, "" where the path says it all)."""

    path: str
    value: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """A change, and what it would have led to."""

    change: Change
    outcome: Outcome
    rule: str


def would_change(verdict: Verdict, calendar: Calendar) -> tuple[Counterfactual, ...]:
    """The changes that lead to another outcome; an approval leaves nothing to do."""
    if verdict.outcome is Outcome.APPROVE:
        return ()
    return tuple(_tried(verdict, calendar))


def _tried(verdict: Verdict, calendar: Calendar) -> Iterator[Counterfactual]:
    for change in _changes(verdict):
        decisive = decisive_finding(change.facts, verdict.standing.policy, calendar)
        if decisive.outcome is not None and decisive.outcome is not verdict.outcome:
            yield Counterfactual(change, decisive.outcome, decisive.rule.id)


def _changes(verdict: Verdict) -> Iterator[Change]:
    standing = verdict.standing
    yield from _of_the_claim(standing)
    yield from _of_the_evidence(verdict)
    yield from _of_what_is_unknown(standing)
    yield from _of_the_merchant(verdict)
    until = verdict.decisive.until
    if verdict.outcome in DEFERRED and until is not None:
        yield Change("as_of", _text(until.at), replace(standing.facts, as_of=until.at))


def _text(at: datetime) -> str:
    return at.isoformat()


def _of_the_claim(standing: Standing) -> Iterator[Change]:
    facts, claim = standing.facts, standing.claim
    if claim.remedy is not Remedy.REFUND:
        yield Change("claim.remedy", Remedy.REFUND, replace(facts, claim=replace(claim, remedy=Remedy.REFUND)))
    if claim.via is not Via.PLATFORM:
        yield Change("claim.via", Via.PLATFORM, replace(facts, claim=replace(claim, via=Via.PLATFORM)))
    if claim.amount is not None and claim.amount != standing.balance and standing.balance > 0:
        whole = replace(facts, claim=replace(claim, amount=standing.balance))
        yield Change("claim.amount", str(standing.balance), whole)
    window = report_window(standing)
    if window is not None and claim.filed_at > window.ended_at:
        in_time = replace(facts, claim=replace(claim, filed_at=window.ended_at))
        yield Change("claim.filed_at", _text(window.ended_at), in_time)
    suggested = suggested_reason(standing)
    if suggested is not None:
        yield Change("claim.reason", suggested, replace(facts, claim=replace(claim, reason=suggested)))


def _of_the_evidence(verdict: Verdict) -> Iterator[Change]:
    standing = verdict.standing
    missing = missing_evidence(standing)
    if missing:
        yield Change("evidence." + "+".join(missing), "", _with_evidence(standing, missing))
    for kind in _telling(verdict):
        yield Change(f"evidence.{kind}", "", _with_evidence(standing, (kind,)))


def _telling(verdict: Verdict) -> Iterator[EvidenceKind]:
    """Statements of others that could put the records in doubt, or confirm the claim."""
    contradicted = verdict.decisive.rule.stage is Stage.CONTRADICTION and verdict.decisive.rule is not RECORDS_DISPUTED
    confirmable = verdict.standing.reason in {Reason.INVALID_GOODS, Reason.NOT_WORKING}
    if contradicted or confirmable:
        yield EvidenceKind.THIRD_PARTY_STATEMENT
    if contradicted and verdict.standing.reason in PAYMENT_REASONS:
        yield EvidenceKind.BANK_STATEMENT


def _with_evidence(standing: Standing, kinds: tuple[EvidenceKind, ...]) -> Facts:
    added = tuple(_piece(kind, standing.as_of) for kind in kinds)
    return replace(standing.facts, evidence=standing.facts.evidence + added)


def _piece(kind: EvidenceKind, at: datetime) -> Evidence:
    """A piece of this kind in a form that counts."""
    return Evidence(
        kind=kind,
        party=NOT_THE_BUYERS.get(kind, Party.BUYER),
        captured_at=at,
        channel=ChatChannel.IN_PLATFORM,
        stamped=True,
        supports=Side.BUYER,
    )


def _of_what_is_unknown(standing: Standing) -> Iterator[Change]:
    if standing.usage is Usage.UNKNOWN:
        for usage in (Usage.UNUSED, Usage.CONSUMED):
            yield Change("deliveries.usage", usage, _with_usage(standing.facts, usage))
    if standing.reason is not Reason.INVALID_GOODS:
        return
    if any(delivery.card_status is CardStatus.UNKNOWN for delivery in standing.delivered):
        for status in (CardStatus.INVALID, CardStatus.VALID):
            yield Change("deliveries.card_status", status, _with_card_status(standing.facts, status))
    if standing.goods is not None and standing.goods.card_use is CardUse.UNKNOWN:
        yield Change("order.goods.card_use", CardUse.SINGLE_USE, _with_single_use(standing.facts))


def _with_usage(facts: Facts, usage: Usage) -> Facts:
    def known(delivery: Delivery) -> Delivery:
        return replace(delivery, usage=usage) if delivery.usage is Usage.UNKNOWN else delivery

    return replace(facts, deliveries=tuple(map(known, facts.deliveries)))


def _with_card_status(facts: Facts, status: CardStatus) -> Facts:
    def checked(delivery: Delivery) -> Delivery:
        return replace(delivery, card_status=status) if delivery.card_status is CardStatus.UNKNOWN else delivery

    return replace(facts, deliveries=tuple(map(checked, facts.deliveries)))


def _with_single_use(facts: Facts) -> Facts:
    assert facts.order is not None
    goods = replace(facts.order.goods, card_use=CardUse.SINGLE_USE)
    return replace(facts, order=replace(facts.order, goods=goods))


def _of_the_merchant(verdict: Verdict) -> Iterator[Change]:
    if not any(finding.rule is MERCHANT_TURN for finding in verdict.findings):
        return
    facts = verdict.standing.facts
    merchant = facts.merchant or Merchant(merchant_id="" if facts.order is None else facts.order.merchant_id)
    for position in (Position.ACCEPT, Position.CONTEST):
        answered = replace(merchant, response=MerchantResponse(position, facts.as_of))
        yield Change("merchant.response", position, replace(facts, merchant=answered))
