"""What may be done to a case now: its rows as the lifecycle wants to know them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from app.models.closed_sets import ActKind, TimerKind, TimerState
from app.rules.calendar import in_shanghai
from app.rules.decision import instant
from app.rules.facts import Position
from app.rules.findings import Outcome
from app.rules.lifecycle import FOR_A_PERSON, CaseStatus, Situation, allowed_now
from app.rules.reasons import MERCHANT_FAULT
from app.rules.settlement import GIVEN_UP_FROM
from app.store.case_rows import ActRow, CaseView, TimerRow

# What a decision points to that is not done by a call of this service.
_ELSEWHERE = frozenset({"wait", "pay_back", "dispute_at_channel", "complain_to_12315", "sue"})
_POINTED_OUT = frozenset({CaseStatus.WAITING, CaseStatus.APPROVED, CaseStatus.REFUNDING, CaseStatus.REJECTED})


def situation_of(view: CaseView) -> Situation:
    """All that decides whether something may happen to a case."""
    return Situation(
        status=view.case.status,
        now=view.now,
        merchant_is_heard=view.case.reason in MERCHANT_FAULT,
        appealed=view.case.appealed_at is not None,
        filed_again=view.filed_again,
        reissue_offered=is_reissue_offered(view),
        ruling_proposed=standing_proposal(view) is not None,
        refund_can_be_given_up=any(row.state in GIVEN_UP_FROM for row in view.refunds),
        deadlines=_deadlines(view),
    )


def next_steps(view: CaseView) -> list[dict[str, Any]]:
    """Every action that is allowed, by whom, until when; and what is to be done outside of this service."""
    steps = [
        {"action": each.action, "by": each.by, "until": None if each.until is None else instant(each.until)}
        for each in allowed_now(situation_of(view))
    ]
    return [*_elsewhere(view), *steps]


def evidence_closes_at(view: CaseView) -> datetime | None:
    """Until when evidence is taken, the end of time where nothing ends it; None: none is taken any more."""
    for each in allowed_now(situation_of(view)):
        if each.action == "supply_evidence":
            return each.until or datetime.max.replace(tzinfo=UTC)
    return None


def latest_response(view: CaseView) -> ActRow | None:
    """What the merchant said last."""
    said = [act for act in view.acts if act.kind is ActKind.MERCHANT_RESPONSE]
    return said[-1] if said else None


def response_in_turn(view: CaseView) -> ActRow | None:
    """What the rules go by: the merchant's last answer before its turn was over, unless it gives in afterwards.

    A word more during a review is no answer that came too late, and takes nothing back.
    """
    said = latest_response(view)
    if said is None or said.details["position"] == Position.ACCEPT:
        return said
    ends = [row.due_at for row in view.timers if _is_turn(row)]
    answers = [act for act in view.acts if act.kind is ActKind.MERCHANT_RESPONSE]
    in_time = [act for act in answers if not ends or act.created_at <= max(ends)]
    return in_time[-1] if in_time else said


def is_unasked(view: CaseView) -> bool:
    """Whether the case is with a person and the merchant never had its turn."""
    return view.case.status in FOR_A_PERSON and not any(map(_is_turn, view.timers))


def _is_turn(row: TimerRow) -> bool:
    return row.kind is TimerKind.DUE and row.name == "merchant_turn"


def is_reissue_offered(view: CaseView) -> bool:
    """Whether the merchant's last word is an offer to deliver again."""
    said = latest_response(view)
    return said is not None and said.details["position"] == Position.OFFER_REISSUE


def standing_proposal(view: CaseView) -> ActRow | None:
    """A ruling that waits for a second person: the last one proposed on what the latest decision knows.

    Whoever proposed it has not seen what came in afterwards, so that two people would not have judged the same case.
    """
    if view.decision is None or view.case.status not in FOR_A_PERSON:
        return None
    since = view.decision.judged_at
    proposed = [act for act in view.acts if act.kind is ActKind.RULING_PROPOSAL and act.created_at >= since]
    return proposed[-1] if proposed else None


def rule_that_led_to(outcome: Outcome, view: CaseView) -> str | None:
    """The rule by which the latest decision came to this outcome, or would have come to it but for another one."""
    if view.decision is None:
        return None
    findings = json.loads(view.decision.body)["findings"]
    return next((finding["rule"] for finding in findings if finding["leads_to"] == outcome.value), None)


def _deadlines(view: CaseView) -> dict[str, datetime]:
    """The latest of each name; those that do not matter any more are left out."""
    return {
        row.name: in_shanghai(row.due_at)
        for row in view.timers
        if row.kind is TimerKind.DUE and row.state in (TimerState.PENDING, TimerState.FIRED)
    }


def _elsewhere(view: CaseView) -> Iterator[dict[str, Any]]:
    if view.decision is None or view.case.status not in _POINTED_OUT:
        return
    for step in json.loads(view.decision.body)["next"]:
        if step["action"] in _ELSEWHERE:
            yield step
