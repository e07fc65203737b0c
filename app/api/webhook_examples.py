"""Webhooks as the service sends them, made by the code that makes real ones, from facts and ids that never change."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any, Final
from uuid import UUID

from app.api.schemas.adjudications import DELIVERED, EXAMPLES, NOT_DELIVERED, AdjudicationIn
from app.ids import Mint, show
from app.models.closed_sets import ReportSource
from app.outbound.catalogue import HEARD_BY, EndpointRole, EventType
from app.outbound.envelope import envelope_for
from app.rules.decision import decide
from app.rules.deposits import Balances
from app.rules.lifecycle import CaseStatus
from app.rules.settlement import ConflictCode, Failure, FailureCode, RefundState, Report, weigh
from app.services.assembling import evidence_row
from app.services.consequences import Judgement, Step, consequences_of
from app.services.deposits import Booked, deduction_document
from app.services.filing import first_row, nothing_yet
from app.services.policies import policy_named
from app.services.progress import moved
from app.services.refund_steps import applied_step, contradicted_step, overdue_step, standing_of
from app.services.showing import EVENT
from app.services.telling import deadline_event, told_on_filing
from app.store.case_rows import CaseRow, CaseView, NewEvent
from app.store.cases import Consequences
from app.store.deposit_rows import Account

_FILED: Final = datetime.fromisoformat("2026-03-09T11:00:00+08:00")
_SETTLED: Final = datetime.fromisoformat("2026-03-09T11:05:00+08:00")
_SITE, _EVENT, _ENDPOINT = (UUID(f"019cd02f-3d80-7000-8000-00000000000{n}") for n in (1, 4, 5))
_FIRST_ID: Final = UUID("019cd02f-3d80-7000-8000-000000000010")
_REFUND_NO: Final = "rf01jcb0v8e4f5k9q6w1x2y3z4a5"

_CLAIMED: Final = {"reason": "invalid_goods", "filed_at": "2026-03-09T11:00:00+08:00"}
_PROMISED: Final = {**NOT_DELIVERED["order"]["goods"], "promised_at": "2026-03-09T20:00:00+08:00"}
_FACTS: Final[Mapping[EventType, dict[str, Any]]] = {
    EventType.CASE_FILED: NOT_DELIVERED,
    EventType.CASE_APPROVED: NOT_DELIVERED,
    EventType.REFUND_REQUESTED: NOT_DELIVERED,
    EventType.MERCHANT_DEPOSIT_DEDUCTED: NOT_DELIVERED,
    EventType.CASE_REJECTED: EXAMPLES["change_of_mind_too_late"]["value"],
    EventType.CASE_MERCHANT_TURN: EXAMPLES["merchant_has_a_turn"]["value"],
    EventType.CASE_EVIDENCE_REQUESTED: {
        **NOT_DELIVERED, "claim": _CLAIMED, "deliveries": [DELIVERED], "evidence": [],
    },
    EventType.CASE_REVIEW_NEEDED: {
        **NOT_DELIVERED, "claim": {**_CLAIMED, "reason": "other"}, "deliveries": [DELIVERED],
    },
    EventType.CASE_WAITING: {**NOT_DELIVERED, "order": {**NOT_DELIVERED["order"], "goods": _PROMISED}},
    EventType.BUYER_RESTRICTION_RECOMMENDED: {**NOT_DELIVERED, "deliveries": [DELIVERED], "buyer": {"strikes": 1}},
}  # fmt: skip
# What happens to a case later starts from what another event's facts came to.
_FACTS_OF_LATER: Final = {
    EventType.CASE_WITHDRAWN: EventType.CASE_MERCHANT_TURN,
    EventType.CASE_DEADLINE_APPROACHING: EventType.CASE_MERCHANT_TURN,
    EventType.CASE_DEADLINE_MISSED: EventType.CASE_REVIEW_NEEDED,
    EventType.CASE_LAPSED: EventType.CASE_EVIDENCE_REQUESTED,
    EventType.CASE_APPEALED: EventType.CASE_REJECTED,
}
_OF_A_REFUND: Final = (
    EventType.REFUND_SUCCEEDED,
    EventType.REFUND_FAILED,
    EventType.REFUND_ABNORMAL,
    EventType.REFUND_OVERDUE,
    EventType.REFUND_CONFLICT,
)
_SEQUENCE: Final = {
    EventType.CASE_FILED: 1,
    EventType.REFUND_REQUESTED: 3,
    EventType.MERCHANT_DEPOSIT_DEDUCTED: 4,
    **dict.fromkeys(_FACTS_OF_LATER, 3),
    **dict.fromkeys(_OF_A_REFUND, 4),
}
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


def _told(event_type: EventType) -> tuple[dict[str, Any], dict[str, Any]]:
    if event_type is EventType.ENDPOINT_TEST:
        tested = {"endpoint_id": show("we", _ENDPOINT)}
        return tested, tested
    event = _event(event_type)
    return _with_fixed_number(event.full_data), _with_fixed_number(event.thin_data)


def _event(event_type: EventType) -> NewEvent:
    """The one of this type among all that its step tells."""
    mint = _mint()
    facts = NOT_DELIVERED if event_type in _OF_A_REFUND else _FACTS[_FACTS_OF_LATER.get(event_type, event_type)]
    view, written = _filed(facts, mint)
    if event_type in _OF_DEADLINES:
        return deadline_event(view, view.timers[-1], event_type, mint())
    if event_type in _LATER:
        _, written = consequences_of(view, _LATER[event_type](view), mint)
    return next(event for event in written.events if event.type == event_type)


def _mint() -> Mint:
    ids = count(_FIRST_ID.int)
    return lambda: UUID(int=next(ids))


def _filed(document: dict[str, Any], mint: Mint) -> tuple[CaseView, Consequences]:
    body = AdjudicationIn.model_validate(document)
    facts = body.facts(_FILED)
    judgement = Judgement.of(decide(facts, policy_named(body.policy or "standard", at=_FILED)))
    case = first_row(judgement, None if facts.order is None else facts.order.order_no, _FILED, mint())
    step = Step(
        after=case,
        told=told_on_filing(judgement.decision.verdict.outcome),
        judgement=judgement,
        evidence=tuple(evidence_row(piece) for piece in facts.evidence),
        deducted=_deducted(case),
    )
    return consequences_of(nothing_yet(case), step, mint)


def _deducted(case: CaseRow) -> dict[str, Any] | None:
    """Of a deposit of 5,000 yuan."""
    if case.status is not CaseStatus.APPROVED or case.merchant_id is None:
        return None
    left = Balances(external=-500_000, available=480_000, refunds=20_000)
    return deduction_document(case, Booked(20_000, 0, Account(case.merchant_id, 500_000, 2, left, _FILED)))


def _with_fixed_number(text: str) -> dict[str, Any]:
    """A refund's number is minted at random; here it must be the same each time."""
    document: dict[str, Any] = json.loads(text)
    for refund in (document, *document.get("refunds", ())):
        if "refund_no" in refund:
            refund["refund_no"] = _REFUND_NO
    return document


def _next(status: CaseStatus, told: EventType, *, ends: bool = False) -> Callable[[CaseView], Step]:
    return lambda view: Step(after=moved(view.case, status, view.now), told=(told,), ends=ends)


def _said(view: CaseView, state: RefundState, failure: Failure | None = None) -> Report:
    refund = view.refunds[0]
    return Report(state, _SETTLED, refund.amount, refund.currency, "50300001", failure)


def _reported(state: RefundState, failure: Failure | None = None) -> Callable[[CaseView], Step]:
    def step(view: CaseView) -> Step:
        refund = view.refunds[0]
        return applied_step(view, refund, weigh(standing_of(refund), _said(view, state, failure)))

    return step


_OF_DEADLINES: Final = frozenset({EventType.CASE_DEADLINE_APPROACHING, EventType.CASE_DEADLINE_MISSED})
_LATER: Final[Mapping[EventType, Callable[[CaseView], Step]]] = {
    EventType.CASE_WITHDRAWN: _next(CaseStatus.WITHDRAWN, EventType.CASE_WITHDRAWN, ends=True),
    EventType.CASE_LAPSED: _next(CaseStatus.LAPSED, EventType.CASE_LAPSED, ends=True),
    EventType.CASE_APPEALED: _next(CaseStatus.APPEALED, EventType.CASE_APPEALED),
    EventType.CASE_WAITING: _next(CaseStatus.WAITING, EventType.CASE_WAITING),
    EventType.REFUND_SUCCEEDED: _reported(RefundState.SUCCEEDED),
    EventType.REFUND_FAILED: _reported(
        RefundState.FAILED, Failure(FailureCode.INSUFFICIENT_BALANCE, "商户余额不足")
    ),
    EventType.REFUND_ABNORMAL: _reported(RefundState.ABNORMAL, Failure(FailureCode.ACCOUNT_GONE, "用户账户已注销")),
    EventType.REFUND_OVERDUE: lambda view: overdue_step(view, view.refunds[0]),
    EventType.REFUND_CONFLICT: lambda view: contradicted_step(
        view, view.refunds[0], replace(_said(view, RefundState.SUCCEEDED), amount=20_001), ReportSource.ADAPTER,
        ConflictCode.AMOUNT,
    ),
}  # fmt: skip
