"""From a step of a case to all that is written because of it: decision, refunds, deadlines, signals, events."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from app.ids import Mint, mint_refund_no
from app.outbound.catalogue import EventType
from app.rules.decision import Decision, decision_document, decision_text, plain_value
from app.rules.facts import Channel
from app.rules.liability import Liability
from app.rules.settlement import RefundState, first_overdue
from app.rules.signals import Signal, Subject, signals_of
from app.services.telling import RefundTold, deduction_events, refund_events, restriction_event, told_events
from app.services.timers import refund_rate_timer, timers_after, timers_of
from app.store.case_rows import (
    ActRow,
    CaseRow,
    CaseView,
    DecisionRow,
    EvidenceRow,
    HeldEvidence,
    NewEvent,
    NewRefund,
    NewSignal,
    NewTimer,
    RefundRow,
    TimelineRow,
)
from app.store.cases import Consequences, Settled

_PIECE = tuple(each.name for each in fields(EvidenceRow))
_NEW_REFUND = tuple(each.name for each in fields(NewRefund))


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision, and the document that is answered, stored and told of it."""

    decision: Decision
    document: Mapping[str, Any]

    @classmethod
    def of(cls, decision: Decision) -> "Judgement":
        """With its document, which is made once."""
        return cls(decision, decision_document(decision))


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to a case at once: what came in, what was decided, and what is told of it.

    `after`: the case's row as it will be, but for the number of its next event. `ends`: the case's deadlines end
    although nothing was decided. `kept`: the promises that this step keeps. `seen_before`: the signals about the buyer
    that the case has given already, and whether each is a strike. `settled`: refunds as they stand from now on.
    `asked`: refunds that are asked for although nothing was decided. `refunds_told`: what is told of refunds.
    `deducted`: what is told of the merchant's deposit.
    `accounts`: at channels that the service asks itself.
    """

    after: CaseRow
    told: tuple[EventType, ...] = ()
    judgement: Judgement | None = None
    evidence: tuple[EvidenceRow, ...] = ()
    acts: tuple[ActRow, ...] = ()
    ends: bool = False
    kept: frozenset[str] = frozenset()
    overturned: str | None = None
    payment_nos: tuple[str, ...] = ()
    seen_before: Mapping[str, bool] = field(default_factory=dict)
    settled: tuple[Settled, ...] = ()
    asked: tuple[RefundRow, ...] = ()
    refunds_told: tuple[RefundTold, ...] = ()
    deducted: Mapping[str, Any] | None = None
    accounts: Mapping[Channel, UUID] = field(default_factory=dict)


def consequences_of(before: CaseView, step: Step, mint: Mint) -> tuple[CaseView, Consequences]:
    """The case as it stands after a step, and what is written with it, under ids from `mint`."""
    now = step.after.updated_at
    decided = None if step.judgement is None else _decision_row(step.judgement)
    timers = _timers(before, step, now)
    signals = tuple(_signals(step, mint))
    refunds = (*_refund_rows(step, mint), *step.asked)
    view = CaseView(
        now=now,
        case=step.after,
        decision=decided or before.decision,
        evidence=before.evidence + tuple(_placed(step.evidence, len(before.evidence), now)),
        refunds=(*_as_they_stand(before.refunds, step.settled), *refunds),
        timeline=before.timeline,
        acts=before.acts + step.acts,
        timers=before.timers if timers is None else timers_after(before.timers, timers, step.kept, now),
        filed_again=before.filed_again,
    )
    events = (
        *told_events(view, step.told, refunds, mint),
        *refund_events(view, step.refunds_told, mint),
        *deduction_events(view, step.deducted, mint),
        *_restriction(view, step, signals, mint),
    )
    written = Consequences(
        evidence=step.evidence,
        decision=decided,
        events=events,
        refunds=[_new_refund(row) for row in refunds],
        payment_nos=step.payment_nos,
        acts=step.acts,
        timers=timers,
        kept=step.kept,
        signals=signals,
        overturned=step.overturned,
        settled=step.settled,
    )
    return _with_events(view, events), written


def _as_they_stand(refunds: tuple[RefundRow, ...], settled: tuple[Settled, ...]) -> Iterator[RefundRow]:
    after = {each.refund.refund_id: each.refund for each in settled}
    return (after.get(row.refund_id, row) for row in refunds)


def _decision_row(judgement: Judgement) -> DecisionRow:
    decision, document = judgement.decision, judgement.document
    return DecisionRow(
        outcome=document["outcome"],
        decisive_rule=document["decisive_rule"],
        policy_name=document["policy"]["name"],
        policy_version=document["policy"]["version"],
        engine=document["receipt"]["engine"],
        facts=decision.facts_text,
        body=decision_text(dict(document)),
        judged_at=decision.verdict.standing.as_of,
    )


def _placed(evidence: tuple[EvidenceRow, ...], there: int, now: datetime) -> Iterator[HeldEvidence]:
    """The pieces in their places behind those that are there."""
    for n, piece in enumerate(evidence, start=there + 1):
        yield HeldEvidence(**{name: getattr(piece, name) for name in _PIECE}, n=n, created_at=now)


def _refund_rows(step: Step, mint: Mint) -> Iterator[RefundRow]:
    """One instruction a payment; its number is minted here, once, and stored before anybody is told to pay."""
    case, refund = step.after, None if step.judgement is None else step.judgement.document["refund"]
    if refund is None:
        return
    for allocation in refund["allocations"]:
        channel, expected_by = Channel(allocation["channel"]), datetime.fromisoformat(allocation["expected_by"])
        yield RefundRow(
            refund_id=mint(),
            refund_no=mint_refund_no(),
            case_id=case.case_id,
            payment_no=allocation["payment_no"],
            amount=allocation["amount"],
            currency=refund["currency"],
            channel=channel,
            state=RefundState.REQUESTED,
            expected_by=expected_by,
            created_at=case.updated_at,
            updated_at=case.updated_at,
            instructed_at=case.updated_at,
            overdue_at=first_overdue(case.updated_at, expected_by),
            account_id=step.accounts.get(channel),
        )


def _new_refund(row: RefundRow) -> NewRefund:
    return NewRefund(**{name: getattr(row, name) for name in _NEW_REFUND})


def _timers(before: CaseView, step: Step, now: datetime) -> tuple[NewTimer, ...] | None:
    """A decision sets all of a case's deadlines; without one they end or stay as they are."""
    if step.judgement is None:
        return () if step.ends else None
    timers = timers_of(step.judgement.decision, before.timers, now)
    if step.judgement.decision.verdict.liability is Liability.MERCHANT:
        return (*timers, refund_rate_timer(now))
    return timers


def _signals(step: Step, mint: Mint) -> Iterator[NewSignal]:
    """What the judgement shows, if it was not seen in this case before."""
    if step.judgement is None:
        return
    verdict = step.judgement.decision.verdict
    expires_at = step.after.updated_at + verdict.standing.policy.strike_lifetime
    for seen in signals_of(verdict):
        if seen.subject is Subject.MERCHANT or seen.kind not in step.seen_before:
            yield signal_row(seen, expires_at, mint)


def signal_row(seen: Signal, expires_at: datetime, mint: Mint) -> NewSignal:
    """A signal as it is stored."""
    facts = {name: plain_value(value) for name, value in seen.facts.items()}
    return NewSignal(mint(), seen.subject, seen.subject_id, seen.kind, seen.rule, facts, seen.strike, expires_at)


def _restriction(view: CaseView, step: Step, signals: tuple[NewSignal, ...], mint: Mint) -> Iterator[NewEvent]:
    """The site is told when a buyer's strikes reach the number at which its policy stops approving automatically."""
    new = sum(signal.strike for signal in signals)
    if step.judgement is None or not new:
        return
    standing = step.judgement.decision.verdict.standing
    before = standing.facts.buyer.strikes + sum(step.seen_before.values())
    limit = standing.policy.strikes_limit
    if before < limit <= before + new:
        yield restriction_event(view, signals, strikes=before + new, limit=limit, event_id=mint())


def _with_events(view: CaseView, events: tuple[NewEvent, ...]) -> CaseView:
    first = view.case.next_sequence
    said = tuple(
        TimelineRow(event.event_id, event.type, sequence, view.now)
        for sequence, event in enumerate(events, start=first)
    )
    return replace(view, case=replace(view.case, next_sequence=first + len(events)), timeline=view.timeline + said)
