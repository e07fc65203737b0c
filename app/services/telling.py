"""What is told of a step: events with the case as it stands then, whole for the site, thin for everybody else."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from app.ids import Mint, show
from app.outbound.catalogue import HEARD_BY, EndpointRole, EventType
from app.rules.decision import decision_text, instant
from app.rules.findings import Outcome
from app.rules.lifecycle import CaseStatus
from app.services.showing import CASE, refund_document, refund_instruction, thin_case, told_case
from app.store.case_rows import CaseView, NewEvent, NewSignal, RefundRow, TimerRow

# A claim that is filed and only has to wait is told by `case.filed` alone.
TOLD_OF: Mapping[Outcome, EventType] = {
    Outcome.APPROVE: EventType.CASE_APPROVED,
    Outcome.REJECT: EventType.CASE_REJECTED,
    Outcome.WAIT: EventType.CASE_WAITING,
    Outcome.REQUEST_EVIDENCE: EventType.CASE_EVIDENCE_REQUESTED,
    Outcome.AWAIT_MERCHANT: EventType.CASE_MERCHANT_TURN,
    Outcome.MANUAL_REVIEW: EventType.CASE_REVIEW_NEEDED,
}


def told_on_filing(outcome: Outcome) -> tuple[EventType, ...]:
    """The claim itself, and what it was judged to."""
    return (EventType.CASE_FILED,) if outcome is Outcome.WAIT else (EventType.CASE_FILED, TOLD_OF[outcome])


def told_of_change(
    before: tuple[CaseStatus, Mapping[str, Any] | None], after: tuple[CaseStatus, Mapping[str, Any]]
) -> tuple[EventType, ...]:
    """The outcome's event where a new judgement changed anything that somebody acts on; else nothing."""
    (status_before, decision_before), (status_after, decision) = before, after
    same = decision_before is not None and _acted_on(decision_before) == _acted_on(decision)
    return () if status_before is status_after and same else (TOLD_OF[Outcome(decision["outcome"])],)


def _acted_on(decision: Mapping[str, Any]) -> tuple[Any, ...]:
    deadlines = [(each["name"], each["at"]) for each in decision["deadlines"]]
    return decision["outcome"], decision["decisive_rule"], decision["evidence"]["missing"], deadlines


def told_events(
    view: CaseView, told: Iterable[EventType], refunds: Iterable[RefundRow], mint: Mint
) -> Iterator[NewEvent]:
    """The events of a step in the order in which they are told; the instructions to pay come last."""
    told = tuple(told)
    if told:
        full, thin = decision_text(told_case(view)), decision_text(thin_case(view))
        for kind in told:
            yield _event(mint(), kind, full, thin, merchant_id=view.case.merchant_id)
    for refund in refunds:
        yield instruction_event(view, refund, mint())


@dataclass(frozen=True, slots=True)
class RefundTold:
    """What is told of a refund, with `details` beside the refund as it stands."""

    kind: EventType
    refund: RefundRow
    details: Mapping[str, Any] = field(default_factory=dict)


def refund_events(view: CaseView, told: Iterable[RefundTold], mint: Mint) -> Iterator[NewEvent]:
    """The events about refunds that are under way; one that is asked for anew is an instruction like the first."""
    for each in told:
        if each.kind is EventType.REFUND_REQUESTED:
            yield instruction_event(view, each.refund, mint())
        else:
            text = decision_text({**refund_document(each.refund), "order_no": view.case.order_no, **each.details})
            yield _event(mint(), each.kind, text, text, merchant_id=view.case.merchant_id, channel=each.refund.channel)


def deduction_events(view: CaseView, deducted: Mapping[str, Any] | None, mint: Mint) -> Iterator[NewEvent]:
    """That a refund was paid out of the merchant's deposit, or that the merchant owes it from now on."""
    if deducted is not None:
        text = decision_text(dict(deducted))
        yield _event(mint(), EventType.MERCHANT_DEPOSIT_DEDUCTED, text, text, merchant_id=view.case.merchant_id)


def instruction_event(view: CaseView, refund: RefundRow, event_id: UUID) -> NewEvent:
    """The instruction to pay. What the service itself asks the channel for is told to the site alone: an adapter that
    heard of it would ask a second time.
    """
    rule = "" if view.decision is None else view.decision.decisive_rule or ""
    text = decision_text(refund_instruction(refund, view.case, rule))
    event = _event(
        event_id, EventType.REFUND_REQUESTED, text, text, merchant_id=view.case.merchant_id, channel=refund.channel
    )
    return event if refund.account_id is None else replace(event, heard_by=(EndpointRole.SITE.value,))


def deadline_event(view: CaseView, timer: TimerRow, kind: EventType, event_id: UUID) -> NewEvent:
    """That a deadline is near, or was missed. A merchant hears of its own."""
    deadline = {"name": timer.name, "at": instant(timer.due_at), "provisional": timer.provisional}
    full = decision_text({**told_case(view), "deadline": deadline})
    thin = decision_text({**thin_case(view), "deadline": deadline})
    merchant_id = view.case.merchant_id if timer.name == "merchant_turn" else None
    return _event(event_id, kind, full, thin, merchant_id=merchant_id)


def restriction_event(
    view: CaseView, signals: Iterable[NewSignal], *, strikes: int, limit: int, event_id: UUID
) -> NewEvent:
    """That a buyer's strikes have reached the limit, and what was seen last. What to do about it is the site's."""
    text = decision_text(
        {
            "buyer_id": view.case.buyer_id,
            "strikes": strikes,
            "limit": limit,
            "case_id": show(CASE, view.case.case_id),
            "order_no": view.case.order_no,
            "signals": [
                {"kind": signal.kind.value, "rule": signal.rule, "facts": dict(signal.facts)}
                for signal in signals
                if signal.strike
            ],
        }
    )
    return _event(event_id, EventType.BUYER_RESTRICTION_RECOMMENDED, text, text, merchant_id=None)


def _event(
    event_id: UUID, kind: EventType, full: str, thin: str, *, merchant_id: str | None, channel: str | None = None
) -> NewEvent:
    heard_by = tuple(role.value for role, types in HEARD_BY.items() if kind in types)
    return NewEvent(event_id, kind.value, full, thin, heard_by, merchant_id, channel)
