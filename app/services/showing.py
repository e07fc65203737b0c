"""Objects as callers see them, in answers and in webhooks alike."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.ids import show
from app.rules.decision import instant
from app.rules.labels import words_of
from app.store.case_rows import CaseRow, CaseView, DecisionRow, EvidenceRow, RefundRow, TimelineRow

CASE = "case"
REFUND = "rfd"
EVENT = "evt"
# The database gives a stored object back in an order of its own.
CLAIM_FIELDS = ("reason", "remedy", "amount", "filed_at", "first_contact_at", "via", "description")


def case_document(view: CaseView) -> dict[str, Any]:
    """A case with its decision whole, its evidence, refunds and timeline."""
    decision = None if view.decision is None else decision_of(view.decision)
    return {
        **case_summary(view.case),
        "claim": {name: view.case.claim[name] for name in CLAIM_FIELDS},
        "decision": decision,
        "evidence": [evidence_document(row) for row in view.evidence],
        "refunds": [refund_document(row) for row in view.refunds],
        "timeline": [timeline_document(row) for row in view.timeline],
        "next": [] if decision is None else decision["next"],
    }


def decision_of(row: DecisionRow) -> dict[str, Any]:
    """A stored decision; written again it gives the bytes that were stored."""
    document = json.loads(row.body)
    assert isinstance(document, dict)
    return document


def case_summary(row: CaseRow) -> dict[str, Any]:
    """A case as a list shows it."""
    return {
        "id": show(CASE, row.case_id),
        "status": row.status.value,
        "reason": row.reason.value,
        "order_no": row.order_no,
        "merchant_id": row.merchant_id,
        "buyer_id": row.buyer_id,
        "policy": {"name": row.policy_name, "version": row.policy_version},
        "filed_at": instant(row.filed_at),
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
        "version": row.version,
    }


def thin_case(row: CaseRow, decision: Mapping[str, Any]) -> dict[str, Any]:
    """What a merchant needs to know of a case: no buyer, no evidence, no reasoning."""
    refund = decision["refund"]
    return {
        "id": show(CASE, row.case_id),
        "status": row.status.value,
        "reason": row.reason.value,
        "order_no": row.order_no,
        "merchant_id": row.merchant_id,
        "outcome": decision["outcome"],
        "decisive_rule": decision["decisive_rule"],
        "liability": decision["liability"],
        "refund_amount": None if refund is None else refund["amount"],
        "deadlines": decision["deadlines"],
        "next": decision["next"],
    }


def evidence_document(row: EvidenceRow) -> dict[str, Any]:
    """A piece of evidence; `reused` is the service's own finding."""
    return {
        "kind": row.kind.value,
        "party": row.party.value,
        "captured_at": instant(row.captured_at),
        "order_no": row.order_no,
        "channel": None if row.channel is None else row.channel.value,
        "composite": row.composite,
        "stamped": row.stamped,
        "reused": row.reused,
        "sha256": row.sha256,
        "supports": None if row.supports is None else row.supports.value,
    }


def refund_document(row: RefundRow) -> dict[str, Any]:
    """A refund instruction; `refund_no` is the number to give to the payment channel, and never changes."""
    return {
        "id": show(REFUND, row.refund_id),
        "refund_no": row.refund_no,
        "case_id": show(CASE, row.case_id),
        "payment_no": row.payment_no,
        "amount": row.amount,
        "currency": row.currency,
        "channel": row.channel.value,
        "state": row.state.value,
        "expected_by": _optional(row.expected_by),
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
    }


def refund_instruction(row: RefundRow, case: CaseRow, decisive_rule: str) -> dict[str, Any]:
    """What the payment channel's adapter is told: the refund, and a reason fit for the buyer's bill."""
    zh, _ = words_of(case.reason)
    return {**refund_document(row), "order_no": case.order_no, "reason_text": f"{zh}（{decisive_rule}）"}


def timeline_document(row: TimelineRow) -> dict[str, Any]:
    """One event of a case."""
    return {
        "event_id": show(EVENT, row.event_id),
        "type": row.type,
        "sequence": row.sequence,
        "at": instant(row.created_at),
    }


def _optional(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
