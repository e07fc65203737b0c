"""Filing a claim: it comes in, is judged by its policy, is kept, and the adapters are told."""

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from uuid import UUID

from app.errors import Fault, Invalid
from app.ids import Mint, new_uuid
from app.rules.decision import Decision, decide
from app.rules.facts import Claim, Reason
from app.rules.lifecycle import CaseStatus, advance, judged
from app.services.assembling import PutForward, claim_document, evidence_fact, facts_of
from app.services.consequences import Judgement, Step, consequences_of
from app.services.deposits import book_step, deduction_document
from app.services.policies import moment_of_policy, policy_in_force, policy_named
from app.services.progress import moved
from app.services.records import put_records
from app.services.telling import told_on_filing
from app.store.case_rows import CaseRow, CaseView, EvidenceRow, NewCase, OnFile
from app.store.cases import CaseStore, case_open
from app.store.engine import Connection
from app.store.record_rows import Told

# A shop's clock may run ahead of the database's by this much before a claim counts as filed in the future.
CLOCK_SKEW = timedelta(minutes=5)
NOTHING_TOLD = Told()


@dataclass(frozen=True, slots=True)
class Filing:
    """A claim as a site files it, with the records that came along.

    `order_no` names an order sent now or before; None only for a charge without an order. `policy` None: the one that
    the site had in force when the order was placed.
    """

    claim: Claim
    order_no: str | None
    payment_nos: tuple[str, ...]
    evidence: tuple[PutForward, ...]
    told: Told
    policy: str | None


async def file_case(
    filing: Filing, connection: Connection, site_id: UUID, *, now: datetime, mint: Mint = new_uuid
) -> CaseView:
    """Judge a claim on all that is known, and keep it with everything that follows from it.

    Raises Invalid for an order that is not known and a claim from the future, Conflict for a second open case.
    """
    _refuse_the_future(filing.claim, now)
    cases = CaseStore(connection, site_id)
    if filing.told != NOTHING_TOLD:
        await put_records(
            connection, site_id, filing.told, now, order_no=filing.order_no, payment_nos=filing.payment_nos
        )
    if not filing.told.orders:  # else it is locked: whoever tells records of it meanwhile finds the case
        await cases.lock_order(filing.order_no)
    on_file = await cases.read_for_judgement(
        order_no=filing.order_no,
        reason=filing.claim.reason,
        payment_nos=filing.payment_nos,
        hashes=[each.piece.sha256 for each in filing.evidence if each.piece.sha256 is not None],
        at=filing.claim.filed_at,
    )
    _refuse_unknown_order(filing, on_file)
    if on_file.open_case_id is not None:
        raise case_open()
    judgement = Judgement.of(_judge(filing, on_file))
    case = first_row(judgement, filing.order_no, on_file.now, mint())
    step = Step(
        after=case,
        told=told_on_filing(judgement.decision.verdict.outcome),
        judgement=judgement,
        evidence=_evidence_rows(filing, on_file),
        payment_nos=_named_payments(filing, on_file),
        accounts=on_file.accounts,
    )
    booked = await book_step(cases.deposits, nothing_yet(case), case, judgement.decision)
    if booked is not None:
        step = replace(step, deducted=deduction_document(case, booked))
    view, consequences = consequences_of(nothing_yet(case), step, mint)
    await cases.file(_new_case(view), consequences, on_file.now)
    return view


def _refuse_the_future(claim: Claim, now: datetime) -> None:
    for name, at in (("filed_at", claim.filed_at), ("first_contact_at", claim.first_contact_at)):
        if at is not None and at > now + CLOCK_SKEW:
            raise Invalid(
                Fault(f"/claim/{name}", "in_the_future", en=f"{name} lies in the future.", zh=f"{name} 晚于当前时间。")
            )


def _refuse_unknown_order(filing: Filing, on_file: OnFile) -> None:
    if on_file.order is None and filing.claim.reason is not Reason.CHARGED_WITHOUT_ORDER:
        raise Invalid(
            Fault(
                "/order_no",
                "unknown_order",
                en="No order with this number was sent. Send it first, or inline as 'order'.",
                zh="尚未收到该订单号的订单记录。请先提交订单，或在 order 中一并提交。",
            )
        )


def _judge(filing: Filing, on_file: OnFile) -> Decision:
    evidence = [evidence_fact(row) for row in _evidence_rows(filing, on_file) if row.is_there]
    facts = facts_of(filing.claim, evidence, on_file)
    if filing.policy is None:
        return decide(facts, policy_in_force(on_file.policy))
    return decide(facts, policy_named(filing.policy, at=moment_of_policy(facts)))


def _evidence_rows(filing: Filing, on_file: OnFile) -> tuple[EvidenceRow, ...]:
    return tuple(each.row(reused=each.piece.sha256 in on_file.reused) for each in filing.evidence)


def _named_payments(filing: Filing, on_file: OnFile) -> tuple[str, ...]:
    """Those that only the claim connects with the case."""
    order_no = filing.order_no
    return tuple(row.payment_no for row in on_file.payments if order_no is None or row.order_no != order_no)


def first_row(judgement: Judgement, order_no: str | None, now: datetime, case_id: UUID) -> CaseRow:
    """A new case in the state that its first decision puts it in."""
    standing = judgement.decision.verdict.standing
    order = standing.order
    filed = CaseRow(
        case_id=case_id,
        order_no=order_no,
        merchant_id=None if order is None else order.merchant_id,
        buyer_id=None if order is None else order.buyer_id,
        reason=standing.reason,
        status=CaseStatus.FILED,
        claim=claim_document(standing.claim),
        policy_name=standing.policy.name,
        policy_version=standing.policy.version,
        filed_at=standing.claim.filed_at,
        created_at=now,
        updated_at=now,
        version=0,
        next_sequence=1,
    )
    return moved(filed, advance(filed.status, judged(judgement.decision.verdict.outcome)), now)


def nothing_yet(case: CaseRow) -> CaseView:
    """A case in which nothing has happened yet."""
    return CaseView(now=case.created_at, case=case, decision=None, evidence=(), refunds=(), timeline=())


def _new_case(view: CaseView) -> NewCase:
    return NewCase(**{field.name: getattr(view.case, field.name) for field in fields(NewCase)})
