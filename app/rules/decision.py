"""A decision whole, and its document: the very bytes that are answered, stored and replayed."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from app.rules.adjudicate import Refund, Verdict, judge
from app.rules.calendar import STATUTORY, Calendar, in_shanghai
from app.rules.canonical import canonical_json, sha256_of
from app.rules.checks.evidence import missing_evidence
from app.rules.checks.notes import BEYOND_THE_SITE, FIRST_ANSWER_PROMISED, NEEDS_A_PERSON
from app.rules.counterfactuals import Counterfactual, would_change
from app.rules.deadlines import Deadline, NextAction, deadlines, expected_by, next_actions
from app.rules.explain import change_message, message
from app.rules.facts import Facts
from app.rules.findings import Finding, Outcome, Value
from app.rules.idle import idle_rules
from app.rules.labels import words_of
from app.rules.lengths import Exact, WorkingDays, describe, duration_text
from app.rules.policy import Policy
from app.rules.weighing import Discounted

ENGINE = "kmr-rules 2"


@dataclass(frozen=True, slots=True)
class Decision:
    """裁定. `facts_text` is the canonical text that the receipt's hash is taken over."""

    verdict: Verdict
    calendar: Calendar
    deadlines: tuple[Deadline, ...]
    next_actions: tuple[NextAction, ...]
    would_change: tuple[Counterfactual, ...]
    facts_text: str


def decide(facts: Facts, policy: Policy, calendar: Calendar = STATUTORY) -> Decision:
    """Judge a claim, with everything that a reader of the decision needs."""
    verdict = judge(facts, policy, calendar)
    set_deadlines = deadlines(verdict, calendar)
    return Decision(
        verdict=verdict,
        calendar=calendar,
        deadlines=set_deadlines,
        next_actions=next_actions(verdict, set_deadlines),
        would_change=would_change(verdict, calendar),
        facts_text=canonical_json(facts),
    )


def decision_text(document: dict[str, Any]) -> str:
    """The document's one spelling."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def decision_document(decision: Decision) -> dict[str, Any]:
    """The decision in plain values, as it is answered and stored."""
    verdict = decision.verdict
    standing = verdict.standing
    policy = standing.policy
    return {
        "outcome": verdict.outcome.value,
        "decisive_rule": verdict.decisive.rule.id,
        "refund": None if verdict.refund is None else _refund(decision, verdict.refund),
        "liability": verdict.liability.value,
        "findings": [_finding(finding, verdict) for finding in verdict.findings if _is_shown(finding, verdict)],
        "evidence": {
            "required": [kind.value for kind in policy.evidence.required[standing.reason]],
            "missing": [kind.value for kind in missing_evidence(standing)],
            "discounted": [_discounted(piece) for piece in standing.discounted],
        },
        "deadlines": [_deadline(deadline) for deadline in decision.deadlines],
        "next": [_next(action) for action in decision.next_actions],
        "suggested_reason": _suggested(verdict),
        "would_change": [_counterfactual(found) for found in decision.would_change],
        "policy": {"name": policy.name, "version": policy.version},
        "receipt": {
            "facts_sha256": sha256_of(decision.facts_text),
            "policy_sha256": policy.sha256,
            "engine": f"{ENGINE}, calendar to {decision.calendar.known_until.isoformat()}",
        },
        "judged_at": instant(standing.as_of),
    }


def idle_document(decision: Decision) -> list[dict[str, Any]]:
    """What `explain=full` adds: the rules that were looked at and did not fire, with why."""
    return [
        {
            "rule": idle.rule.id,
            "stage": idle.rule.stage.name.lower(),
            "message": idle.why[0],
            "message_en": idle.why[1],
            "facts": {name: plain_value(value) for name, value in idle.facts.items()},
            "source": idle.rule.source,
        }
        for idle in idle_rules(decision.verdict, decision.calendar)
    ]


def instant(at: datetime) -> str:
    """RFC 3339 in Shanghai time."""
    return in_shanghai(at).isoformat()


def _refund(decision: Decision, refund: Refund) -> dict[str, Any]:
    order = decision.verdict.standing.order
    allocations = []
    for share in refund.shares:
        expected = expected_by(decision.verdict, share.payment, decision.calendar)
        allocations.append(
            {
                "payment_no": share.payment.payment_no,
                "channel": share.payment.channel.value,
                "amount": share.amount,
                "expected_by": expected.at.isoformat(),
                "provisional": expected.provisional,
            }
        )
    return {
        "amount": refund.amount,
        "currency": "CNY" if order is None else order.currency,
        "route": "original",
        "funding": refund.funding.value,
        "allocations": allocations,
    }


def _is_shown(finding: Finding, verdict: Verdict) -> bool:
    """The last resort is a finding only where it decides; the ways beyond the site, where the site says no."""
    if finding.rule in BEYOND_THE_SITE:
        return verdict.outcome is Outcome.REJECT
    if finding.rule is FIRST_ANSWER_PROMISED:
        return verdict.outcome is Outcome.MANUAL_REVIEW
    return finding.rule is not NEEDS_A_PERSON or finding is verdict.decisive


def _finding(finding: Finding, verdict: Verdict) -> dict[str, Any]:
    zh, en = message(finding)
    return {
        "rule": finding.rule.id,
        "effect": finding.rule.effect.value,
        "decisive": finding is verdict.decisive,
        "leads_to": None if finding.outcome is None else finding.outcome.value,
        "message": zh,
        "message_en": en,
        "facts": {name: plain_value(value) for name, value in finding.facts.items()},
        "source": finding.rule.source,
    }


def plain_value(value: Value) -> Any:
    """A fact as JSON shows it: instants in Shanghai time, lengths as ISO 8601 durations, money in fen."""
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Exact):
        return duration_text(value.span)
    if isinstance(value, WorkingDays):
        return describe(value)[1]
    if isinstance(value, tuple):
        return [plain_value(each) for each in value]
    return value


def _discounted(piece: Discounted) -> dict[str, Any]:
    zh, en = words_of(piece.reason)
    return {
        "index": piece.index,
        "kind": piece.kind.value,
        "reason": piece.reason.value,
        "message": f"不计入：{zh}。",
        "message_en": f"Not counted: {en}.",
    }


def _deadline(deadline: Deadline) -> dict[str, Any]:
    return {
        "name": deadline.name,
        "at": deadline.moment.at.isoformat(),
        "rule": deadline.rule,
        "provisional": deadline.moment.provisional,
    }


def _next(action: NextAction) -> dict[str, Any]:
    until = None if action.until is None else action.until.isoformat()
    return {"action": action.action, "by": action.by, "until": until}


def _suggested(verdict: Verdict) -> str | None:
    suggested = verdict.decisive.facts.get("suggested")
    return str(suggested) if suggested is not None else None


def _counterfactual(found: Counterfactual) -> dict[str, Any]:
    zh, en = change_message(found)
    change = found.change
    return {
        "if": f"{change.path}={change.value}" if change.value else change.path,
        "then": found.outcome.value,
        "rule": found.rule,
        "message": zh,
        "message_en": en,
    }
