"""Every step that a case takes after it was filed: locked, read, allowed, judged anew, written; in one transaction.

Whoever comes second finds the case as the first has left it: allowed again, or refused with what is allowed now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from app.errors import Conflict, NotFound, Stale
from app.ids import Mint, new_uuid
from app.models.closed_sets import ActKind
from app.outbound.catalogue import EventType
from app.rules.decision import Decision, decide
from app.rules.facts import Facts, MerchantResponse, Position, Ruling
from app.rules.findings import Outcome
from app.rules.lifecycle import UNDECIDED, CaseEvent, CaseStatus, NotAllowed, advance, judged, require
from app.services.assembling import PutForward, claim_from, evidence_fact, facts_from, facts_of
from app.services.consequences import Judgement, Step, consequences_of
from app.services.deposits import book_step, deduction_document
from app.services.policies import policy_of_case
from app.services.progress import course_of, moved
from app.services.showing import decision_of
from app.services.situation import is_unasked, response_in_turn, rule_that_led_to, situation_of
from app.services.telling import told_of_change
from app.store.case_rows import ActRow, CaseView, EvidenceRow, Held
from app.store.cases import CaseStore

MOST_EVIDENCE: Final = 200


@dataclass(frozen=True, slots=True)
class Target:
    """The case that is meant; `version`: only if it still has this one."""

    case_id: UUID | None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """What a step brings into a case. `event` None: nothing but what is on file by now.

    `keeps`: the promises that are kept by it. `overturned`: the rule that a person's ruling goes against.
    """

    event: CaseEvent | None = None
    evidence: tuple[EvidenceRow, ...] = ()
    acts: tuple[ActRow, ...] = ()
    ruling: Ruling | None = None
    keeps: frozenset[str] = frozenset()
    told: tuple[EventType, ...] = ()
    overturned: str | None = None


async def hold(cases: CaseStore, target: Target, evidence: Sequence[PutForward] = ()) -> Held:
    """The case, locked, with all that bears on it. NotFound for one that is not this site's, Stale for a newer one."""
    if target.case_id is None or not await cases.lock(target.case_id):
        raise NotFound
    hashes = [each.piece.sha256 for each in evidence if each.piece.sha256 is not None]
    held = await cases.hold(target.case_id, hashes=hashes)
    if target.version not in (None, held.view.case.version):
        raise Stale
    return held


def allow(event: CaseEvent, view: CaseView) -> None:
    """Conflict if the event cannot happen to the case now; it says what can."""
    try:
        require(event, situation_of(view))
    except NotAllowed as refused:
        raise Conflict(refused.code, en=refused.en, zh=refused.zh) from refused


def evidence_rows(evidence: Sequence[PutForward], held: Held) -> tuple[EvidenceRow, ...]:
    """The pieces as they are stored: whether a file was used before is the service's own finding.

    Conflict where the case would have more than anybody can look at.
    """
    if len(held.view.evidence) + len(evidence) > MOST_EVIDENCE:
        raise Conflict(
            "too_much_evidence",
            en=f"A case takes {MOST_EVIDENCE} pieces of evidence at most.",
            zh=f"每个案件最多接受 {MOST_EVIDENCE} 份证据。",
        )
    return tuple(each.row(reused=each.piece.sha256 in held.on_file.reused) for each in evidence)


async def judge_anew(cases: CaseStore, held: Held, brought: Input, mint: Mint) -> CaseView:
    """Judges a case on all that is known now, and writes what comes of it."""
    judgement = Judgement.of(decide(facts_now(held, brought), policy_of_case(held.view.case)))
    return await write(cases, held, judged_step(held, brought, judgement), mint)


async def take_in(cases: CaseStore, held: Held, mint: Mint = new_uuid) -> CaseView:
    """Judges a case on a piece of evidence that was announced before and is there now."""
    brought = Input(CaseEvent.EVIDENCE_SUPPLIED, keeps=frozenset({"evidence_supplement"}))
    return await judge_anew(cases, held, brought, mint)


async def judge_if_new(cases: CaseStore, held: Held, mint: Mint) -> None:
    """Judges a case anew on what is on file by now; nothing happens where it is decided, or nothing is new."""
    if held.view.case.status not in UNDECIDED:
        return
    decision = decide(facts_now(held, Input()), policy_of_case(held.view.case))
    if is_news(held, decision):
        await write(cases, held, judged_step(held, Input(), Judgement.of(decision)), mint)


async def write(cases: CaseStore, held: Held, step: Step, mint: Mint) -> CaseView:
    """Writes a step whole, the merchant's deposit first; the case as it stands then."""
    decision = None if step.judgement is None else step.judgement.decision
    booked = await book_step(cases.deposits, held.view, step.after, decision)
    if booked is not None:
        step = replace(step, deducted=deduction_document(step.after, booked))
    view, consequences = consequences_of(held.view, step, mint)
    await cases.advance(view.case, consequences, view.now)
    return view


def facts_now(held: Held, brought: Input) -> Facts:
    """All that is known, with what this step brings."""
    view = held.view
    pieces = [evidence_fact(row) for row in (*view.evidence, *brought.evidence) if row.is_there]
    appealed = brought.event is CaseEvent.APPEAL_MADE
    course = course_of(view.case, view.now, appealed=appealed, unasked=is_unasked(view), ruling=brought.ruling)
    response = _response(replace(view, acts=view.acts + brought.acts))
    return facts_of(claim_from(view.case.claim), pieces, held.on_file, response=response, course=course)


def _response(view: CaseView) -> MerchantResponse | None:
    said = response_in_turn(view)
    return None if said is None else MerchantResponse(Position(said.details["position"]), said.created_at)


def judged_step(held: Held, brought: Input, judgement: Judgement) -> Step:
    """The step that a judgement is: through what was brought to where the outcome leads."""
    case, now = held.view.case, held.view.now
    came = case.status if brought.event is None else advance(case.status, brought.event)
    outcome = judgement.decision.verdict.outcome
    status = came if brought.ruling is not None else advance(came, judged(outcome))
    appealed, unasked = brought.event is CaseEvent.APPEAL_MADE, is_unasked(held.view)
    return Step(
        after=moved(case, status, now, appealed=appealed, unasked=unasked),
        told=brought.told + _told(held.view, status, judgement),
        judgement=judgement,
        evidence=brought.evidence,
        acts=brought.acts,
        kept=brought.keeps | _kept_by(outcome),
        overturned=brought.overturned or _overturned(held.view, outcome),
        seen_before=held.signals,
        accounts=held.on_file.accounts,
    )


def _told(before: CaseView, status: CaseStatus, judgement: Judgement) -> tuple[EventType, ...]:
    then = None if before.decision is None else decision_of(before.decision)
    return told_of_change((before.case.status, then), (status, judgement.document))


def _overturned(before: CaseView, outcome: Outcome) -> str | None:
    """A claim that is granted in the end was not made in bad faith, whatever a rule saw in it before."""
    return rule_that_led_to(Outcome.REJECT, before) if outcome is Outcome.APPROVE else None


def _kept_by(outcome: Outcome) -> frozenset[str]:
    """An end that the rules come to by themselves keeps the promise of a review, too."""
    return frozenset({"review", "first_answer"}) if outcome in (Outcome.APPROVE, Outcome.REJECT) else frozenset()


def is_news(held: Held, decision: Decision) -> bool:
    """Whether a new judgement says anything new: about other facts, or with another result."""
    latest = held.view.decision
    if latest is None:
        return True
    facts, known = decision.verdict.standing.facts, facts_from(latest.facts)
    same_facts = replace(facts, as_of=known.as_of, course=None) == replace(known, course=None)
    verdict = decision.verdict
    return not same_facts or (verdict.outcome.value, verdict.decisive.rule.id) != (latest.outcome, latest.decisive_rule)


def act(kind: ActKind, by: str | None, details: Mapping[str, Any], held: Held) -> ActRow:
    """What a party does, now."""
    return ActRow(kind, by, details, held.view.now)
