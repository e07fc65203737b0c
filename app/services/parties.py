"""What the parties do in a case: they put forward evidence, answer, withdraw, appeal, take it elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from app.errors import Conflict, Fault, Invalid
from app.ids import Mint, new_uuid
from app.models.closed_sets import ActKind
from app.outbound.catalogue import EventType
from app.rules.escalation import VENUES, Venue, Way, way_to
from app.rules.facts import Party, Position
from app.rules.lifecycle import CaseEvent, advance
from app.rules.standing import read_standing
from app.services.assembling import PutForward, evidence_fact
from app.services.consequences import Step
from app.services.filing import CLOCK_SKEW
from app.services.policies import policy_of_case
from app.services.progress import moved
from app.services.situation import is_reissue_offered
from app.services.steps import Input, Target, act, allow, evidence_rows, facts_now, hold, judge_anew, write
from app.store.case_rows import CaseView, Held
from app.store.cases import CaseStore


class Because(StrEnum):
    """撤回原因: why a buyer withdraws a claim."""

    CHANGED_MIND = "changed_mind"
    RESOLVED = "resolved"
    REISSUE_ACCEPTED = "reissue_accepted"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Escalation:
    """A case that is taken elsewhere: where, under which number of theirs, and when."""

    venue: Venue
    reference: str | None
    at: datetime | None
    note: str | None
    by: str | None


async def supply_evidence(
    cases: CaseStore, target: Target, evidence: Sequence[PutForward], *, mint: Mint = new_uuid
) -> CaseView:
    """More evidence, by whomever; the case is judged anew. Conflict where none is taken any more."""
    held = await hold(cases, target, evidence)
    allow(CaseEvent.EVIDENCE_SUPPLIED, held.view)
    brought = Input(
        CaseEvent.EVIDENCE_SUPPLIED,
        evidence=evidence_rows(evidence, held),
        keeps=frozenset({"evidence_supplement"}),
    )
    return await judge_anew(cases, held, brought, mint)


async def respond(
    cases: CaseStore,
    target: Target,
    position: Position,
    message: str | None,
    evidence: Sequence[PutForward],
    *,
    mint: Mint = new_uuid,
) -> CaseView:
    """The merchant's answer, with evidence of its own. Invalid for evidence that is not the merchant's."""
    _require_the_merchants(evidence)
    held = await hold(cases, target, evidence)
    allow(CaseEvent.MERCHANT_RESPONDED, held.view)
    details = {"position": position.value, "message": message}
    brought = Input(
        CaseEvent.MERCHANT_RESPONDED,
        evidence=evidence_rows(evidence, held),
        acts=(act(ActKind.MERCHANT_RESPONSE, held.view.case.merchant_id, details, held),),
        keeps=frozenset({"merchant_turn"}),
    )
    return await judge_anew(cases, held, brought, mint)


async def withdraw(
    cases: CaseStore, target: Target, because: Because, note: str | None, *, mint: Mint = new_uuid
) -> CaseView:
    """The buyer gives the claim up, perhaps since the merchant delivers again: the case ends without money."""
    held = await hold(cases, target)
    allow(CaseEvent.WITHDRAWN, held.view)
    if because is Because.REISSUE_ACCEPTED and not is_reissue_offered(held.view):
        raise Conflict(
            "no_reissue_offered",
            en="The merchant has not offered a re-issue that could be accepted.",
            zh="商家未提出补发，无可接受的补发方案。",
        )
    details = {"because": because.value, "note": note}
    step = Step(
        after=moved(held.view.case, advance(held.view.case.status, CaseEvent.WITHDRAWN), held.view.now),
        told=(EventType.CASE_WITHDRAWN,),
        acts=(act(ActKind.WITHDRAWAL, held.view.case.buyer_id, details, held),),
        ends=True,
    )
    return await write(cases, held, step, mint)


async def appeal(
    cases: CaseStore, target: Target, message: str, evidence: Sequence[PutForward], *, mint: Mint = new_uuid
) -> CaseView:
    """The buyer appeals a rejection, once, in time, with something that is new. Invalid without."""
    held = await hold(cases, target, evidence)
    allow(CaseEvent.APPEAL_MADE, held.view)
    _require_news(evidence, held)
    brought = Input(
        CaseEvent.APPEAL_MADE,
        evidence=evidence_rows(evidence, held),
        acts=(act(ActKind.APPEAL, held.view.case.buyer_id, {"message": message}, held),),
        keeps=frozenset({"appeal"}),
        told=(EventType.CASE_APPEALED,),
    )
    return await judge_anew(cases, held, brought, mint)


async def escalate(cases: CaseStore, target: Target, wanted: Escalation, *, mint: Mint = new_uuid) -> CaseView:
    """Keeps as a fact that the case was taken elsewhere. Conflict where that way is closed, Invalid for the future."""
    held = await hold(cases, target)
    allow(CaseEvent.ESCALATED, held.view)
    _refuse_the_future(wanted, held)
    way = _open_way(wanted.venue, held)
    details = {
        "venue": wanted.venue.value,
        "reference": wanted.reference,
        "raised_at": None if wanted.at is None else wanted.at.isoformat(),
        "note": wanted.note,
        "open_until": None if way.until is None else way.until.isoformat(),
    }
    after = moved(held.view.case, advance(held.view.case.status, CaseEvent.ESCALATED), held.view.now)
    step = Step(after=after, acts=(act(ActKind.ESCALATION, wanted.by or held.view.case.buyer_id, details, held),))
    return await write(cases, held, step, mint)


def _refuse_the_future(wanted: Escalation, held: Held) -> None:
    if wanted.at is not None and wanted.at > held.view.now + CLOCK_SKEW:
        en, zh = "raised_at lies in the future.", "raised_at 晚于当前时间。"
        raise Invalid(Fault("/raised_at", "in_the_future", en=en, zh=zh))


def _open_way(venue: Venue, held: Held) -> Way:
    standing = read_standing(facts_now(held, Input()), policy_of_case(held.view.case))
    way = way_to(venue, standing)
    if way is None:
        zh, en, _ = VENUES[venue]
        raise Conflict(
            "way_closed",
            en=f"It is too late for {en}, or the case has no payment that it could be about.",
            zh=f"{zh}的期限已过，或本案没有可据以发起的支付记录。",
        )
    return way


def _require_the_merchants(evidence: Sequence[PutForward]) -> None:
    faults = [
        Fault(
            f"/evidence/{index}/party",
            "not_the_merchants",
            en="What comes with a merchant's answer is the merchant's evidence.",
            zh="随商家答复提交的证据，举证方须为商家。",
        )
        for index, each in enumerate(evidence)
        if each.piece.party is not Party.MERCHANT
    ]
    if faults:
        raise Invalid(*faults)


def _require_news(evidence: Sequence[PutForward], held: Held) -> None:
    """A piece that was put forward before, or the very file of one, is no new evidence.

    What was only announced was never looked at, so it is new once its file does come.
    """
    known = [replace(evidence_fact(row), reused=False) for row in held.view.evidence if row.is_there]
    files = {piece.sha256 for piece in known if piece.sha256 is not None}
    news = [each for each in evidence if each.piece not in known and files.isdisjoint(_hashes(each))]
    if not news:
        raise Invalid(
            Fault(
                "/evidence",
                "no_new_evidence",
                en="An appeal needs at least one piece of evidence that was not put forward before.",
                zh="申诉须至少提交一份此前未提交过的证据。",
            )
        )


def _hashes(put: PutForward) -> set[str]:
    """What is known of a piece's file: told with the piece, or with the file that it announces."""
    told = {put.piece.sha256, None if put.file is None else put.file.sha256}
    return {each for each in told if each is not None}
