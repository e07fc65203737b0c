"""Webhooks as the service sends them, made by the code that makes real ones, from facts and ids that never change."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.api.schemas.adjudications import DELIVERED, EXAMPLES, NOT_DELIVERED, AdjudicationIn
from app.ids import show
from app.models.closed_sets import RefundState
from app.outbound.catalogue import HEARD_BY, EndpointRole, EventType
from app.outbound.envelope import envelope_for
from app.rules.decision import Decision, decide, decision_document
from app.rules.facts import Channel
from app.services.assembling import evidence_row
from app.services.consequences import STATUS_OF, claim_document
from app.services.policies import policy_named
from app.services.showing import EVENT, case_document, refund_instruction, thin_case
from app.store.case_rows import CaseRow, CaseView, RefundRow

_FILED: Final = datetime.fromisoformat("2026-03-09T11:00:00+08:00")
_SITE, _CASE, _REFUND, _EVENT, _ENDPOINT = (UUID(f"019cd02f-3d80-7000-8000-00000000000{n}") for n in range(1, 6))
_REFUND_NO: Final = "rf01jcb0v8e4f5k9q6w1x2y3z4a5"

_CLAIMED: Final = {"reason": "invalid_goods", "filed_at": "2026-03-09T11:00:00+08:00"}
_FACTS: Final[Mapping[EventType, dict[str, Any]]] = {
    EventType.CASE_FILED: NOT_DELIVERED,
    EventType.CASE_APPROVED: NOT_DELIVERED,
    EventType.REFUND_REQUESTED: NOT_DELIVERED,
    EventType.CASE_REJECTED: EXAMPLES["change_of_mind_too_late"]["value"],
    EventType.CASE_MERCHANT_TURN: EXAMPLES["merchant_has_a_turn"]["value"],
    EventType.CASE_EVIDENCE_REQUESTED: {
        **NOT_DELIVERED, "claim": _CLAIMED, "deliveries": [DELIVERED], "evidence": [],
    },
    EventType.CASE_REVIEW_NEEDED: {
        **NOT_DELIVERED, "claim": {**_CLAIMED, "reason": "other"}, "deliveries": [DELIVERED],
    },
}  # fmt: skip
_SEQUENCE: Final = {EventType.CASE_FILED: 1, EventType.REFUND_REQUESTED: 3}
_ROLE_NAMES: Final = {
    EndpointRole.SITE: "发给站点 · To an endpoint of the role site",
    EndpointRole.MERCHANT: "发给商家 · To an endpoint of the role merchant",
    EndpointRole.CHANNEL: "发给支付渠道 · To an endpoint of the role channel",
}


def examples_of(event_type: EventType) -> dict[str, Any]:
    """For OpenAPI: the body for each role that hears this type."""
    full, thin = _told(event_type)
    roles = [role for role in EndpointRole if event_type in HEARD_BY[role]]
    return {role.value: {"summary": _ROLE_NAMES[role], "value": _body(role, event_type, full, thin)} for role in roles}


def _body(role: EndpointRole, event_type: EventType, full: Mapping[str, Any], thin: Mapping[str, Any]) -> Any:
    body = envelope_for(
        role,
        event_id=show(EVENT, _EVENT),
        type=event_type,
        created_at=_FILED,
        site=show("site", _SITE),
        sequence=None if event_type is EventType.ENDPOINT_TEST else _SEQUENCE.get(event_type, 2),
        full=full,
        thin=thin,
    )
    return json.loads(body)


def _decision(event_type: EventType) -> Decision:
    body = AdjudicationIn.model_validate(_FACTS[event_type])
    facts = body.facts(_FILED)
    return decide(facts, policy_named(body.policy or "standard", at=_FILED))


def _told(event_type: EventType) -> tuple[dict[str, Any], dict[str, Any]]:
    if event_type is EventType.ENDPOINT_TEST:
        tested = {"endpoint_id": show("we", _ENDPOINT)}
        return tested, tested
    decision = _decision(event_type)
    document, case = decision_document(decision), _case(decision)
    refunds = tuple(_refunds(document))
    if event_type is EventType.REFUND_REQUESTED:
        instruction = refund_instruction(refunds[0], case, document["decisive_rule"])
        return instruction, instruction
    evidence = tuple(evidence_row(piece) for piece in decision.verdict.standing.facts.evidence)
    shown = case_document(CaseView(case, None, evidence, refunds, timeline=()))
    del shown["timeline"]
    return {**shown, "decision": document, "next": document["next"]}, thin_case(case, document)


def _case(decision: Decision) -> CaseRow:
    standing = decision.verdict.standing
    assert standing.order is not None
    return CaseRow(
        case_id=_CASE,
        order_no=standing.order.order_no,
        merchant_id=standing.order.merchant_id,
        buyer_id=standing.order.buyer_id,
        reason=standing.reason,
        status=STATUS_OF[decision.verdict.outcome],
        claim=claim_document(standing.claim),
        policy_name=standing.policy.name,
        policy_version=standing.policy.version,
        filed_at=standing.claim.filed_at,
        created_at=standing.as_of,
        updated_at=standing.as_of,
        version=1,
        next_sequence=1,
    )


def _refunds(document: Mapping[str, Any]) -> Iterator[RefundRow]:
    refund = document["refund"]
    for allocation in () if refund is None else refund["allocations"]:
        yield RefundRow(
            refund_id=_REFUND,
            refund_no=_REFUND_NO,
            case_id=_CASE,
            payment_no=allocation["payment_no"],
            amount=allocation["amount"],
            currency=refund["currency"],
            channel=Channel(allocation["channel"]),
            state=RefundState.REQUESTED,
            expected_by=datetime.fromisoformat(allocation["expected_by"]),
            created_at=_FILED,
            updated_at=_FILED,
        )
