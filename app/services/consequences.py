"""From a decision to all that is written because of it: the case's state, the decision whole, refunds, events."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from app.ids import mint_refund_no
from app.models.closed_sets import CaseStatus, RefundState
from app.outbound.catalogue import HEARD_BY, EventType
from app.rules.decision import Decision, decision_document, decision_text, instant
from app.rules.facts import Channel, Claim
from app.rules.findings import Outcome
from app.services.assembling import evidence_row
from app.services.showing import case_document, refund_instruction, thin_case
from app.store.case_rows import CaseRow, CaseView, DecisionRow, NewEvent, NewRefund, RefundRow, TimelineRow
from app.store.cases import Consequences

Mint: TypeAlias = Callable[[], UUID]

STATUS_OF: Mapping[Outcome, CaseStatus] = {
    Outcome.APPROVE: CaseStatus.APPROVED,
    Outcome.REJECT: CaseStatus.REJECTED,
    Outcome.WAIT: CaseStatus.WAITING,
    Outcome.REQUEST_EVIDENCE: CaseStatus.AWAITING_EVIDENCE,
    Outcome.AWAIT_MERCHANT: CaseStatus.AWAITING_MERCHANT,
    Outcome.MANUAL_REVIEW: CaseStatus.IN_REVIEW,
}
# A claim that only has to wait is told by `case.filed` alone.
TOLD_OF: Mapping[Outcome, EventType] = {
    Outcome.APPROVE: EventType.CASE_APPROVED,
    Outcome.REJECT: EventType.CASE_REJECTED,
    Outcome.REQUEST_EVIDENCE: EventType.CASE_EVIDENCE_REQUESTED,
    Outcome.AWAIT_MERCHANT: EventType.CASE_MERCHANT_TURN,
    Outcome.MANUAL_REVIEW: EventType.CASE_REVIEW_NEEDED,
}


def first_case_row(decision: Decision, order_no: str | None, now: datetime, case_id: UUID) -> CaseRow:
    """A new case in the state that its first decision puts it in."""
    standing = decision.verdict.standing
    order = standing.order
    return CaseRow(
        case_id=case_id,
        order_no=order_no,
        merchant_id=None if order is None else order.merchant_id,
        buyer_id=None if order is None else order.buyer_id,
        reason=standing.reason,
        status=STATUS_OF[decision.verdict.outcome],
        claim=claim_document(standing.claim),
        policy_name=standing.policy.name,
        policy_version=standing.policy.version,
        filed_at=standing.claim.filed_at,
        created_at=now,
        updated_at=now,
        version=1,
        next_sequence=1,
    )


def claim_document(claim: Claim) -> dict[str, Any]:
    """A claim as it was filed, and as it is shown."""
    contact = claim.first_contact_at
    return {
        "reason": claim.reason.value,
        "remedy": claim.remedy.value,
        "amount": claim.amount,
        "filed_at": instant(claim.filed_at),
        "first_contact_at": None if contact is None else instant(contact),
        "via": claim.via.value,
        "description": claim.description,
    }


def consequences_of(decision: Decision, case: CaseRow, mint: Mint) -> tuple[CaseView, Consequences]:
    """The case as it will stand once it is filed, and what is written with it, under ids from `mint`."""
    document = decision_document(decision)
    view = CaseView(
        case=case,
        decision=_decision_row(decision, document),
        evidence=tuple(evidence_row(piece) for piece in decision.verdict.standing.facts.evidence),
        refunds=tuple(_refund_rows(document, case, mint)),
        timeline=(),
    )
    events = tuple(_events(view, document, mint))
    told = replace(view, case=replace(case, next_sequence=len(events) + 1), timeline=_timeline(events, case.created_at))
    refunds = [_new_refund(row) for row in view.refunds]
    return told, Consequences(view.evidence, view.decision, events, refunds)


def _decision_row(decision: Decision, document: dict[str, Any]) -> DecisionRow:
    return DecisionRow(
        outcome=document["outcome"],
        decisive_rule=document["decisive_rule"],
        policy_name=document["policy"]["name"],
        policy_version=document["policy"]["version"],
        engine=document["receipt"]["engine"],
        facts=decision.facts_text,
        body=decision_text(document),
        judged_at=decision.verdict.standing.as_of,
    )


def _refund_rows(document: Mapping[str, Any], case: CaseRow, mint: Mint) -> Iterator[RefundRow]:
    """One instruction a payment; its number is minted here, once, and stored before anybody is told to pay."""
    refund = document["refund"]
    for allocation in () if refund is None else refund["allocations"]:
        yield RefundRow(
            refund_id=mint(),
            refund_no=mint_refund_no(),
            case_id=case.case_id,
            payment_no=allocation["payment_no"],
            amount=allocation["amount"],
            currency=refund["currency"],
            channel=Channel(allocation["channel"]),
            state=RefundState.REQUESTED,
            expected_by=datetime.fromisoformat(allocation["expected_by"]),
            created_at=case.created_at,
            updated_at=case.created_at,
        )


def _new_refund(row: RefundRow) -> NewRefund:
    return NewRefund(
        row.refund_id, row.refund_no, row.payment_no, row.amount, row.currency, row.channel, row.expected_by
    )


def _events(view: CaseView, document: Mapping[str, Any], mint: Mint) -> Iterator[NewEvent]:
    case = view.case
    full, thin = decision_text(_told_case(view, document)), decision_text(thin_case(case, document))
    yield _event(mint(), EventType.CASE_FILED, full, thin, merchant_id=case.merchant_id)
    outcome = TOLD_OF.get(Outcome(document["outcome"]))
    if outcome is not None:
        yield _event(mint(), outcome, full, thin, merchant_id=case.merchant_id)
    for refund in view.refunds:
        told = decision_text(refund_instruction(refund, case, document["decisive_rule"]))
        yield _event(
            mint(), EventType.REFUND_REQUESTED, told, told, merchant_id=case.merchant_id, channel=refund.channel
        )


def _told_case(view: CaseView, document: Mapping[str, Any]) -> dict[str, Any]:
    """The case as the API shows it; an event is itself a part of the timeline, so that is left out."""
    shown = case_document(replace(view, decision=None))
    del shown["timeline"]
    return {**shown, "decision": document, "next": document["next"]}


def _event(
    event_id: UUID, kind: EventType, full: str, thin: str, *, merchant_id: str | None, channel: str | None = None
) -> NewEvent:
    heard_by = tuple(role.value for role, types in HEARD_BY.items() if kind in types)
    return NewEvent(event_id, kind.value, full, thin, heard_by, merchant_id, channel)


def _timeline(events: tuple[NewEvent, ...], now: datetime) -> tuple[TimelineRow, ...]:
    return tuple(
        TimelineRow(event.event_id, event.type, sequence, now) for sequence, event in enumerate(events, start=1)
    )
