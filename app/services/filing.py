"""Filing a claim: it comes in, is judged by its policy, is kept, and the adapters are told."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.errors import Fault, Invalid
from app.ids import new_uuid
from app.rules.decision import Decision, decide
from app.rules.facts import Claim, Evidence, Reason
from app.services.assembling import facts_of
from app.services.consequences import Mint, consequences_of, first_case_row
from app.services.policies import moment_of_policy, policy_in_force, policy_named
from app.store.case_rows import CaseView, NewCase, OnFile
from app.store.cases import CaseStore, case_open
from app.store.record_rows import Told
from app.store.records import RecordStore

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
    evidence: tuple[Evidence, ...]
    told: Told
    policy: str | None


async def file_case(
    filing: Filing, *, records: RecordStore, cases: CaseStore, now: datetime, mint: Mint = new_uuid
) -> CaseView:
    """Judge a claim on all that is known, and keep it with everything that follows from it.

    Raises Invalid for an order that is not known and a claim from the future, Conflict for a second open case.
    """
    _refuse_the_future(filing.claim, now)
    if filing.told != NOTHING_TOLD:
        await records.put_all(filing.told, now)
    on_file = await cases.read_for_judgement(
        order_no=filing.order_no,
        reason=filing.claim.reason,
        payment_nos=filing.payment_nos,
        hashes=[piece.sha256 for piece in filing.evidence if piece.sha256 is not None],
        at=filing.claim.filed_at,
    )
    _refuse_unknown_order(filing, on_file)
    if on_file.open_case_id is not None:
        raise case_open()
    decision = _judge(filing, on_file)
    case = first_case_row(decision, filing.order_no, on_file.now, mint())
    view, consequences = consequences_of(decision, case, mint)
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
    evidence = tuple(replace(piece, reused=piece.sha256 in on_file.reused) for piece in filing.evidence)
    facts = facts_of(filing.claim, evidence, on_file)
    if filing.policy is None:
        return decide(facts, policy_in_force(on_file.policy))
    return decide(facts, policy_named(filing.policy, at=moment_of_policy(facts)))


def _new_case(view: CaseView) -> NewCase:
    case = view.case
    return NewCase(
        case_id=case.case_id,
        order_no=case.order_no,
        merchant_id=case.merchant_id,
        buyer_id=case.buyer_id,
        reason=case.reason,
        status=case.status,
        claim=case.claim,
        policy_name=case.policy_name,
        policy_version=case.policy_version,
        filed_at=case.filed_at,
    )
