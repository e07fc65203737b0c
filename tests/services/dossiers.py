"""Dossiers without a database: cases made of scenarios. As a program it prints what a bundle of one comes to."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from app.models.closed_sets import ActKind, FileState, RecordKind
from app.rules.canonical import canonical_json
from app.rules.decision import decide, decision_document, decision_text
from app.rules.facts import Channel, EvidenceKind, Party
from app.rules.lifecycle import CaseStatus
from app.rules.settlement import FailureCode, RefundState
from app.services.assembling import claim_document, evidence_row
from app.services.bundle.dossier import Dossier
from app.services.bundle.packing import bundle_of
from app.store.bundle import DecisionText, StoredFile, ToldRecord
from app.store.case_rows import ActRow, CaseRow, CaseView, FileRow, HeldEvidence, RefundRow
from app.store.sites import SiteRow
from tests.rules.scenario import Scenario, load_all

SITE = SiteRow(UUID(int=1), "示例卡盟", "live")
CASE = UUID("01900000-0000-7000-8000-000000000001")
FIRST_WORD = "2026-03-10T12:00:00+08:00"


def dossier_of(scenario: Scenario) -> Dossier:
    """A case that was judged once, on the facts of a scenario."""
    facts = scenario.facts
    decision = decide(facts, scenario.policy)
    body = decision_text(decision_document(decision))
    order = facts.order
    case = CaseRow(
        case_id=CASE,
        order_no=None if order is None else order.order_no,
        merchant_id=None if order is None else order.merchant_id,
        buyer_id=None if order is None else order.buyer_id,
        reason=facts.claim.reason,
        status=CaseStatus.IN_REVIEW,
        claim=claim_document(facts.claim),
        policy_name=scenario.policy.name,
        policy_version=scenario.policy.version,
        filed_at=facts.claim.filed_at,
        created_at=facts.as_of,
        updated_at=facts.as_of,
        version=1,
        next_sequence=1,
    )
    evidence = tuple(
        HeldEvidence(**{name: getattr(evidence_row(piece), name) for name in _PIECE}, n=n, created_at=facts.as_of)
        for n, piece in enumerate(facts.evidence, 1)
    )
    view = CaseView(facts.as_of, case, None, evidence, (), ())
    return Dossier(SITE, view, (DecisionText(1, decision.facts_text, body, facts.as_of),), (), {})


_PIECE = tuple(name for name in HeldEvidence.__dataclass_fields__ if name not in {"n", "created_at", "file"})


ACCOUNT = {"account_ref": "w-88", "display": "招商银行 ****1234", "consent": "退到这张卡", "consented_at": FIRST_WORD}


def refunds_at(at: datetime) -> tuple[RefundRow, ...]:
    """One that the channel closed, its account being gone; and the one in its place, which arrived elsewhere."""
    closed = RefundRow(
        refund_id=UUID(int=21),
        refund_no="rf-closed",
        case_id=CASE,
        payment_no="P-1",
        amount=6_000,
        currency="CNY",
        channel=Channel.ALIPAY,
        state=RefundState.CLOSED,
        expected_by=at + timedelta(days=3),
        created_at=at,
        updated_at=at,
        failure_code=FailureCode.ACCOUNT_GONE,
        failure_message="TRADE_ACCOUNT_CLOSED",
        reported_at=at + timedelta(hours=1),
        settled_at=at + timedelta(hours=2),
    )
    paid = replace(
        closed,
        refund_id=UUID(int=22),
        refund_no="rf-paid",
        state=RefundState.SUCCEEDED,
        failure_code=None,
        failure_message=None,
        channel_refund_no="50300001",
        reported_at=at + timedelta(days=1),
        settled_at=at + timedelta(days=1, minutes=1),
        replaces=closed.refund_id,
        other_account=ACCOUNT,
    )
    return closed, paid


def full_dossier() -> Dossier:
    """One with acts, refunds, a file that never came, and a record of two versions."""
    dossier = dossier_of(load_all()[0])
    view, at = dossier.view, dossier.view.now
    file = FileRow(UUID(int=7), FileState.AWAITED, "录屏.mp4", "video/mp4", 9, None, at + timedelta(days=1))
    late = HeldEvidence(EvidenceKind.OTHER, Party.BUYER, at, file=file, n=len(view.evidence) + 1, created_at=at)
    details = {"position": "contest", "message": "已发货", "unheard_of": {"b": 1}}
    retried = {"refund_no": "rf-closed", "state": "closed", "new_refund_no": "rf-paid", "other_account": ACCOUNT}
    acts = (ActRow(ActKind.MERCHANT_RESPONSE, "m-7", details, at), ActRow(ActKind.REFUND_RETRY, "op-1", retried, at))
    record = canonical_json({"merchant_id": "m-7", "status": "active", "identity_verified": True, "deposit": 500})
    records = tuple(
        ToldRecord(RecordKind.MERCHANT, "m-7", version, record, at - timedelta(days=9 - version), 2)
        for version in (2, 1)
    )
    view = replace(view, evidence=(*view.evidence, late), acts=acts, refunds=refunds_at(at))
    return replace(dossier, view=view, records=records)


def dossier_with_files(count: int, size: int) -> Dossier:
    """One with so many stored files of zeros, `size` bytes each, under the keys `0`, `1`, …"""
    dossier, sha256 = dossier_of(load_all()[0]), hashlib.sha256(bytes(size)).hexdigest()
    at = dossier.view.now
    evidence = [
        HeldEvidence(
            EvidenceKind.SCREEN_RECORDING,
            Party.BUYER,
            at,
            file=FileRow(UUID(int=n), FileState.STORED, "录屏.mp4", "video/mp4", size, sha256, at),
            n=n + 1,
            created_at=at,
        )
        for n in range(count)
    ]
    files = {n + 1: StoredFile(n + 1, str(n), at) for n in range(count)}
    return replace(dossier, view=replace(dossier.view, evidence=tuple(evidence)), files=files)


async def digest() -> str:
    """SHA-256 of a bundle's bytes."""
    bundle = await bundle_of(full_dossier(), None)
    found = hashlib.sha256()
    async for block in bundle.blocks():
        found.update(block)
    return found.hexdigest()


if __name__ == "__main__":
    print(asyncio.run(digest()))  # noqa: T201 - the answer to whoever started this
