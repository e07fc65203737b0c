"""Objects as callers see them, in answers and in webhooks alike."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.ids import show
from app.models.closed_sets import FileState, TimerKind, TimerState
from app.rules.chain import chain_document, evidence_chain
from app.rules.decision import instant
from app.rules.escalation import beyond_document, beyond_the_site
from app.rules.facts import Payment
from app.rules.labels import words_of
from app.rules.settlement import first_overdue, is_back
from app.rules.standing import read_standing
from app.services.assembling import facts_from
from app.services.policies import policy_of_case
from app.services.situation import evidence_closes_at, next_steps
from app.store.case_rows import (
    ActRow,
    CaseRow,
    CaseView,
    DecisionRow,
    FileRow,
    HeldEvidence,
    RefundRow,
    TimelineRow,
    TimerRow,
)
from app.store.refunds import RefundView, ReportRow

CASE = "case"
REFUND = "rfd"
EVENT = "evt"
FILE = "file"
# The database gives a stored object back in an order of its own.
CLAIM_FIELDS = ("reason", "remedy", "amount", "filed_at", "first_contact_at", "via", "description")


def case_document(view: CaseView) -> dict[str, Any]:
    """A case with all that belongs to it, and what may be done now."""
    return {
        **told_case(view),
        "deadlines": [deadline_document(row) for row in view.timers if row.kind is TimerKind.DUE],
        "acts": [act_document(row) for row in view.acts],
        "timeline": [timeline_document(row) for row in view.timeline],
        **_of_the_decision(view),
    }


def told_case(view: CaseView) -> dict[str, Any]:
    """A case as events tell it: an event is itself a part of the timeline."""
    return {
        **case_summary(view.case),
        "claim": {name: view.case.claim[name] for name in CLAIM_FIELDS},
        "decision": None if view.decision is None else decision_of(view.decision),
        "evidence": [evidence_document(row, upload_of(row, view)) for row in view.evidence],
        "refunds": [refund_document(row) for row in view.refunds],
        "next": next_steps(view),
    }


def _of_the_decision(view: CaseView) -> dict[str, Any]:
    """What the facts of the latest decision tell beyond it: the chain of evidence, and the ways beyond the site."""
    if view.decision is None:
        return {"evidence_chain": [], "beyond_the_site": None}
    facts, policy = facts_from(view.decision.facts), policy_of_case(view.case)
    left = tuple(_less_what_came_back(payment, view) for payment in facts.payments)
    as_judged = read_standing(facts, policy)
    # What is open closes with time, although nothing happens in the case.
    by_now = read_standing(replace(facts, as_of=view.now, payments=left), policy)
    return {
        "evidence_chain": _placed(chain_document(evidence_chain(as_judged)), view),
        "beyond_the_site": beyond_document(beyond_the_site(by_now)),
    }


def _less_what_came_back(payment: Payment, view: CaseView) -> Payment:
    """What the buyer has by now is not at stake any more."""
    over_it = (row for row in view.refunds if row.payment_no == payment.payment_no)
    back = sum(row.amount for row in over_it if is_back(row.state, row.failure_code))
    return replace(payment, refunded_amount=min(payment.amount, payment.refunded_amount + back))


def _placed(chain: list[dict[str, Any]], view: CaseView) -> list[dict[str, Any]]:
    """With the pieces under their numbers in the case: the facts know only those that could be looked at."""
    numbers = [row.n for row in view.evidence if row.is_there]
    for entry in (entry for link in chain for entry in link["entries"]):
        if entry["piece"] is not None:
            entry["piece"] = numbers[entry["piece"]]
    return chain


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


def thin_case(view: CaseView) -> dict[str, Any]:
    """What a merchant needs to know of a case: no buyer, no evidence, no reasoning."""
    row, decision = view.case, None if view.decision is None else decision_of(view.decision)
    refund = None if decision is None else decision["refund"]
    return {
        "id": show(CASE, row.case_id),
        "status": row.status.value,
        "reason": row.reason.value,
        "order_no": row.order_no,
        "merchant_id": row.merchant_id,
        "outcome": None if decision is None else decision["outcome"],
        "decisive_rule": None if decision is None else decision["decisive_rule"],
        "liability": None if decision is None else decision["liability"],
        "refund_amount": None if refund is None else refund["amount"],
        "deadlines": [] if decision is None else decision["deadlines"],
        "next": next_steps(view),
    }


def upload_of(row: HeldEvidence, view: CaseView) -> dict[str, Any] | None:
    """Where the bytes of an announced file go, and until when they are taken; None once they are not."""
    closes_at = evidence_closes_at(view)
    if row.file is None or row.file.state is FileState.STORED or closes_at is None:
        return None
    until = min(row.file.expires_at, closes_at)
    return {"method": "PUT", "url": f"/v1/uploads/{show(FILE, row.file.file_id)}", "until": instant(until)}


def evidence_document(row: HeldEvidence, upload: dict[str, Any] | None) -> dict[str, Any]:
    """A piece of evidence; `reused` is the service's own finding."""
    return {
        "n": row.n,
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
        "put_forward_at": _optional(row.created_at),
        "file": None if row.file is None else file_document(row.file, upload),
    }


def file_document(row: FileRow, upload: dict[str, Any] | None = None) -> dict[str, Any]:
    """A file of evidence. `upload`: where its bytes go, as long as they are awaited."""
    return {
        "id": show(FILE, row.file_id),
        "state": row.state.value,
        "name": row.name,
        "media_type": row.media_type,
        "size": row.size,
        "sha256": row.sha256,
        "upload": upload,
    }


def deadline_document(row: TimerRow) -> dict[str, Any]:
    """A deadline of the case, and what became of it."""
    return {
        "name": row.name,
        "at": instant(row.due_at),
        "provisional": row.provisional,
        "state": _DEADLINE_STATES[row.state],
    }


_DEADLINE_STATES = {
    TimerState.PENDING: "running",
    TimerState.FIRED: "over",
    TimerState.KEPT: "kept",
    TimerState.VOID: "void",
}


def act_document(row: ActRow) -> dict[str, Any]:
    """What a party did in the case."""
    # The database gives a stored object back in an order of its own.
    details = dict(sorted(row.details.items()))
    return {"kind": row.kind.value, "by": row.by, "at": instant(row.created_at), "details": details}


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
        "channel_refund_no": row.channel_refund_no,
        "failure": failure_document(row),
        "handled_by": "adapter" if row.account_id is None else "service",
        "last_said": row.last_said,
        "replaces": None if row.replaces is None else show(REFUND, row.replaces),
        "other_account": None if row.other_account is None else dict(sorted(row.other_account.items())),
        "accept_by": _optional(first_overdue(row.instructed_at or row.created_at, row.expected_by)),
        "expected_by": _optional(row.expected_by),
        "reported_at": _optional(row.reported_at),
        "settled_at": _optional(row.settled_at),
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
        "version": row.version,
    }


def failure_document(row: RefundRow | ReportRow) -> dict[str, Any] | None:
    """Why a refund does not go on."""
    if row.failure_code is None:
        return None
    return {"code": row.failure_code.value, "message": row.failure_message or ""}


def refund_detail(view: RefundView) -> dict[str, Any]:
    """A refund with all that was said of it."""
    reports = [report_document(row) for row in view.reports]
    return {**refund_document(view.refund), "order_no": view.order_no, "reports": reports}


def report_document(row: ReportRow) -> dict[str, Any]:
    """Something said of a refund, and what became of it."""
    return {
        "n": row.n,
        "source": row.source.value,
        "state": row.state.value,
        "amount": row.amount,
        "currency": row.currency,
        "channel_refund_no": row.channel_refund_no,
        "payment_no": row.payment_no,
        "channel": None if row.channel is None else row.channel.value,
        "failure": failure_document(row),
        "at": instant(row.at),
        "verdict": row.verdict.value,
        "conflict": None if row.conflict is None else row.conflict.value,
        "times": row.times,
        "received_at": instant(row.received_at),
        "last_received_at": instant(row.last_received_at),
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
