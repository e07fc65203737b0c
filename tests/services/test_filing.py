"""Filing a claim, against real Postgres: what is judged is what is known, and what is written is written whole."""

import asyncio
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.errors import Busy, Conflict, Invalid, Unavailable
from app.rules.decision import decide, decision_document, decision_text
from app.rules.facts import (
    CardUse,
    Channel,
    ChatChannel,
    Claim,
    Evidence,
    EvidenceKind,
    Facts,
    Party,
    PaymentStatus,
    Reason,
    Usage,
)
from app.rules.lifecycle import CaseStatus
from app.rules.presets import PRESETS
from app.services.assembling import PutForward
from app.services.filing import Filing, file_case
from app.store.case_rows import CaseView
from app.store.cases import CaseStore
from app.store.engine import transaction
from app.store.record_rows import DeliveryRow, Told
from app.store.records import RecordStore
from app.store.sites import SiteStore, database_now
from tests.store import rows
from tests.store.rows import MERCHANT, OTHER_SITE, SITE, add_endpoint

# Cases are judged at the database's own time, so their facts lie in its recent past.
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
ORDER = replace(rows.ORDER, placed_at=START)
PAYMENT = replace(rows.PAYMENT, paid_at=START)
TOLD = Told((ORDER,), (PAYMENT,), (), (MERCHANT,))
CHAT = Evidence(
    EvidenceKind.CHAT_LOG,
    Party.BUYER,
    PAYMENT.paid_at + timedelta(hours=1),
    order_no="A-1",
    channel=ChatChannel.IN_PLATFORM,
)
FILED_AT = PAYMENT.paid_at + timedelta(hours=2)
APPROVED = ("case.filed", "case.approved", "refund.requested")


def filing(reason: Reason = Reason.NOT_DELIVERED, **changes: Any) -> Filing:
    """A claim for a card that was paid for and never came, with its records."""
    dull = Filing(Claim(reason, FILED_AT), "A-1", (), (PutForward(CHAT),), TOLD, None)
    if "evidence" in changes:
        changes["evidence"] = tuple(map(PutForward, changes["evidence"]))
    return replace(dull, **changes)


async def file(connection: AsyncConnection, claim: Filing, site_id: Any = SITE) -> CaseView:
    """File it now."""
    return await file_case(claim, connection, site_id, now=await database_now(connection))


async def filed(engine: AsyncEngine, claim: Filing) -> CaseView:
    """File it in a transaction of its own."""
    async with transaction(engine) as connection:
        return await file(connection, claim)


async def count(engine: AsyncEngine, table: str) -> int:
    """How many rows a table has."""
    async with engine.connect() as connection:
        found = await connection.scalar(text(f"SELECT count(*) FROM {table}"))
        return int(found or 0)


async def test_an_approved_claim_leaves_its_case_decision_refund_and_events(engine: AsyncEngine) -> None:
    view = await filed(engine, filing())
    async with transaction(engine) as connection:
        stored = await CaseStore(connection, SITE).get(view.case.case_id)
    assert stored is not None
    assert replace(stored, now=view.now) == view
    assert view.case.status is CaseStatus.APPROVED
    assert [refund.amount for refund in view.refunds] == [20_000]
    assert [event.type for event in view.timeline] == [*APPROVED, "merchant.deposit_deducted"]
    assert [event.sequence for event in view.timeline] == [1, 2, 3, 4]


async def test_nothing_of_a_deposit_is_told_where_the_refund_takes_nothing_of_it(engine: AsyncEngine) -> None:
    """The merchant pays itself, since nothing is left of what it has put down."""
    told = replace(TOLD, merchants=(replace(MERCHANT, deposit=0),))
    view = await filed(engine, filing(told=told))
    assert view.case.status is CaseStatus.APPROVED
    assert [event.type for event in view.timeline] == list(APPROVED)
    assert await count(engine, "deposit_accounts") == 0


async def test_a_stored_decision_is_replayed_to_the_same_bytes_from_its_stored_facts(engine: AsyncEngine) -> None:
    view = await filed(engine, filing())
    assert view.decision is not None
    facts = TypeAdapter(Facts).validate_json(view.decision.facts)
    again = decision_document(decide(facts, PRESETS[view.decision.policy_name]))
    assert decision_text(again) == view.decision.body
    receipt = json.loads(view.decision.body)["receipt"]
    assert hashlib.sha256(view.decision.facts.encode()).hexdigest() == receipt["facts_sha256"]


async def test_records_sent_before_count_like_those_that_come_along(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(TOLD, await database_now(connection))
    view = await filed(engine, filing(told=Told()))
    assert view.case.status is CaseStatus.APPROVED


async def test_a_claim_on_an_order_that_nobody_sent_is_refused_and_nothing_stays(engine: AsyncEngine) -> None:
    with pytest.raises(Invalid) as refused:
        await filed(engine, filing(told=Told(payments=(PAYMENT,))))
    assert refused.value.faults[0].where == "/order_no"
    assert await count(engine, "cases") == await count(engine, "payments") == 0


async def test_another_site_s_order_of_the_same_number_is_no_order_of_ours(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await RecordStore(connection, OTHER_SITE).put_all(TOLD, await database_now(connection))
    with pytest.raises(Invalid):
        await filed(engine, filing(told=Told()))


@pytest.mark.parametrize(("ahead", "is_refused"), [(timedelta(minutes=4), False), (timedelta(minutes=6), True)])
async def test_a_shop_s_clock_may_run_a_little_ahead(engine: AsyncEngine, ahead: timedelta, is_refused: bool) -> None:
    claim = filing(claim=Claim(Reason.NOT_DELIVERED, datetime.now(UTC) + ahead))
    if is_refused:
        with pytest.raises(Invalid):
            await filed(engine, claim)
    else:
        assert (await filed(engine, claim)).case.status is CaseStatus.APPROVED


async def test_a_second_claim_for_the_same_reason_is_refused_while_the_first_is_open(engine: AsyncEngine) -> None:
    await filed(engine, filing())
    with pytest.raises(Conflict) as refused:
        await filed(engine, filing())
    assert refused.value.code == "case_open"


async def test_money_promised_in_one_case_is_gone_for_the_next(engine: AsyncEngine) -> None:
    await filed(engine, filing())
    second = await filed(engine, filing(Reason.CHANGE_OF_MIND))
    assert second.decision is not None
    assert second.decision.decisive_rule == "nothing-to-refund"
    assert second.refunds == ()


async def test_six_claims_at_once_never_promise_more_than_was_paid(engine: AsyncEngine) -> None:
    reasons = [Reason.NOT_DELIVERED, Reason.DELIVERED_LATE, Reason.CHANGE_OF_MIND, Reason.WRONG_ITEM, Reason.OTHER]
    claims = [filing(reason, evidence=(CHAT,)) for reason in reasons] + [filing(Reason.WRONG_ACCOUNT)]
    results = await asyncio.gather(*(filed(engine, claim) for claim in claims), return_exceptions=True)
    unexpected = [each for each in results if isinstance(each, BaseException) and not isinstance(each, Conflict | Busy)]
    assert unexpected == []
    promised = sum(refund.amount for each in results if isinstance(each, CaseView) for refund in each.refunds)
    assert promised == 20_000
    async with engine.connect() as connection:
        held = await connection.scalar(text("SELECT reserved_amount FROM payments"))
    assert held == promised


async def test_sixteen_identical_claims_at_once_make_one_case(engine: AsyncEngine) -> None:
    results = await asyncio.gather(*(filed(engine, filing()) for _ in range(16)), return_exceptions=True)
    assert sum(isinstance(each, CaseView) for each in results) == 1
    assert all(isinstance(each, CaseView | Conflict | Busy) for each in results)
    assert await count(engine, "cases") == await count(engine, "refunds") == 1


async def test_a_file_put_forward_in_another_order_s_case_goes_to_a_person(engine: AsyncEngine) -> None:
    proof = replace(CHAT, sha256="ab" * 32)
    await filed(engine, filing(Reason.OTHER, evidence=(proof,)))
    order = replace(ORDER, order_no="A-2")
    payment = replace(PAYMENT, payment_no="P-2", order_no="A-2")
    again = (CHAT, replace(proof, order_no="A-2"))
    view = await filed(engine, filing(order_no="A-2", evidence=again, told=Told((order,), (payment,))))
    assert view.decision is not None
    assert view.decision.decisive_rule == "abuse-suspected"
    assert [piece.reused for piece in view.evidence] == [False, True]


async def test_the_same_file_in_the_same_order_s_other_case_is_no_sign_of_anything(engine: AsyncEngine) -> None:
    proof = replace(CHAT, sha256="ab" * 32)
    await filed(engine, filing(Reason.OTHER, evidence=(proof,)))
    view = await filed(engine, filing(evidence=(proof,)))
    assert view.case.status is CaseStatus.APPROVED


async def test_a_card_given_out_in_two_orders_is_found_by_its_fingerprint(engine: AsyncEngine) -> None:
    order = replace(ORDER, card_use=CardUse.SINGLE_USE)
    mine = DeliveryRow(
        "D-1", "A-1", PAYMENT.paid_at + timedelta(minutes=1), usage=Usage.UNKNOWN, card_fingerprint="cd" * 32
    )
    other = replace(mine, delivery_no="D-2", order_no="A-2")
    told = replace(TOLD, orders=(order,), deliveries=(mine, other))
    view = await filed(engine, filing(Reason.INVALID_GOODS, evidence=(), told=told))
    assert view.decision is not None
    assert view.decision.decisive_rule == "card-sold-twice"


async def test_a_charge_without_an_order_is_paid_back(engine: AsyncEngine) -> None:
    page = Evidence(EvidenceKind.FAILURE_PAGE, Party.BUYER, PAYMENT.paid_at + timedelta(minutes=1))
    claim = filing(
        Reason.CHARGED_WITHOUT_ORDER,
        order_no=None,
        payment_nos=("P-1",),
        evidence=(page,),
        told=Told(payments=(replace(PAYMENT, order_no=None),)),
    )
    view = await filed(engine, claim)
    assert view.decision is not None
    assert view.decision.decisive_rule == "charge-without-order"
    assert view.case.order_no is view.case.merchant_id is None
    assert [refund.payment_no for refund in view.refunds] == ["P-1"]


async def test_the_policy_is_the_one_in_force_when_the_order_was_placed(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await SiteStore(connection, SITE).activate_policy("binghui", 1, ORDER.placed_at + timedelta(seconds=1))
    assert (await filed(engine, filing())).case.policy_name == "standard"
    later = replace(ORDER, order_no="A-2", placed_at=ORDER.placed_at + timedelta(seconds=1))
    payment = replace(PAYMENT, payment_no="P-2", order_no="A-2")
    view = await filed(engine, filing(order_no="A-2", told=Told((later,), (payment,))))
    assert view.case.policy_name == "binghui"


async def test_a_policy_that_does_not_exist_is_refused_by_name(engine: AsyncEngine) -> None:
    with pytest.raises(Invalid) as refused:
        await filed(engine, filing(policy="nobody-s"))
    assert refused.value.faults[0].where == "/policy"


OUTCOMES: list[tuple[Filing, CaseStatus, list[str]]] = [
    (filing(), CaseStatus.APPROVED, [*APPROVED, "merchant.deposit_deducted"]),
    (
        filing(claim=Claim(Reason.NOT_DELIVERED, FILED_AT, amount=20_001)),
        CaseStatus.REJECTED,
        ["case.filed", "case.rejected"],
    ),
    (filing(Reason.OTHER), CaseStatus.IN_REVIEW, ["case.filed", "case.review_needed"]),
    (
        filing(policy="recharge", evidence=()),
        CaseStatus.AWAITING_EVIDENCE,
        ["case.filed", "case.evidence_requested"],
    ),
    (
        filing(policy="consumption", claim=Claim(Reason.NOT_DELIVERED, datetime.now(UTC))),
        CaseStatus.AWAITING_MERCHANT,
        ["case.filed", "case.merchant_turn"],
    ),
    (
        filing(told=replace(TOLD, orders=(replace(ORDER, promised_at=datetime(2100, 1, 1, tzinfo=UTC)),))),
        CaseStatus.WAITING,
        ["case.filed"],
    ),
]


@pytest.mark.parametrize(("claim", "status", "told"), OUTCOMES, ids=[status.value for _, status, _ in OUTCOMES])
async def test_each_outcome_puts_the_case_in_its_state_and_tells_it(
    engine: AsyncEngine,
    claim: Filing,
    status: CaseStatus,
    told: list[str],
) -> None:
    view = await filed(engine, claim)
    assert view.case.status is status
    assert [event.type for event in view.timeline] == told


async def test_an_approval_over_two_payments_instructs_each_once(engine: AsyncEngine) -> None:
    second = replace(PAYMENT, payment_no="P-2", amount=1, paid_at=PAYMENT.paid_at + timedelta(seconds=1))
    view = await filed(engine, filing(told=replace(TOLD, payments=(PAYMENT, second))))
    assert [(refund.payment_no, refund.amount) for refund in view.refunds] == [("P-1", 20_000), ("P-2", 1)]
    assert len({refund.refund_no for refund in view.refunds}) == 2
    assert [event.type for event in view.timeline].count("refund.requested") == 2


async def test_a_pending_payment_is_never_paid_back(engine: AsyncEngine) -> None:
    pending = replace(PAYMENT, status=PaymentStatus.PENDING)
    view = await filed(engine, filing(told=replace(TOLD, payments=(pending,))))
    assert view.refunds == ()
    assert view.case.status is not CaseStatus.APPROVED


async def test_what_fails_half_way_leaves_nothing(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await add_endpoint(connection)

    async def dies_before_the_commit() -> None:
        async with transaction(engine) as connection:
            await file(connection, filing())
            raise ConnectionResetError

    with pytest.raises(Unavailable):
        await dies_before_the_commit()
    for table in ("cases", "decisions", "events", "dispatches", "refunds", "orders", "payments", "record_versions"):
        assert await count(engine, table) == 0, table


async def test_the_channel_is_told_the_instruction_in_the_transaction_that_decides(engine: AsyncEngine) -> None:
    view = await filed(engine, filing())
    async with engine.connect() as connection:
        told = await connection.scalar(text("SELECT thin_data FROM events WHERE type = 'refund.requested'"))
    instruction = json.loads(str(told))
    assert instruction["refund_no"] == view.refunds[0].refund_no
    assert instruction["channel"] == Channel.ALIPAY
    assert instruction["amount"] == 20_000
    assert instruction["order_no"] == "A-1"


async def test_what_merchants_are_told_names_no_buyer_and_no_evidence(engine: AsyncEngine) -> None:
    await filed(engine, filing())
    async with engine.connect() as connection:
        told = await connection.scalar(text("SELECT thin_data FROM events WHERE type = 'case.filed'"))
    assert set(json.loads(str(told))).isdisjoint({"buyer_id", "evidence", "claim", "decision"})
