"""Cases: one statement reads what bears on a claim, one writes all that filing it causes."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import ids
from app.errors import Busy, Conflict, Stale
from app.models.closed_sets import ActKind, TimerKind
from app.outbound.catalogue import EventType
from app.rules.facts import EvidenceKind, Reason
from app.rules.lifecycle import CaseStatus
from app.rules.settlement import RefundState
from app.store.case_rows import ActRow, CaseFilter, CasePosition, NewTimer, OnFile, PolicyRow
from app.store.cases import CaseStore, Consequences
from app.store.engine import transaction
from app.store.record_rows import HeldPayment, Told
from app.store.records import RecordStore
from app.store.sites import SiteStore
from tests.store.rows import (
    DECISION,
    DELIVERY,
    ENDPOINT,
    EVIDENCE,
    MERCHANT,
    NOW,
    ORDER,
    OTHER_SITE,
    PAYMENT,
    SITE,
    TOLD,
    add_endpoint,
    held_piece,
    new_case,
    new_event,
    new_refund,
    next_row,
)


async def test_all_that_bears_on_a_claim_is_read_at_once(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(TOLD, NOW)
        on_file = await _read(connection)
    assert (on_file.order, on_file.merchant, on_file.deliveries) == (ORDER, MERCHANT, (DELIVERY,))
    assert [(each.payment_no, each.amount, each.reserved_amount) for each in on_file.payments] == [("P-1", 20_000, 0)]
    assert isinstance(on_file.payments[0], HeldPayment)
    assert (on_file.policy, on_file.reused, on_file.open_case_id) == (PolicyRow("standard", 1), frozenset(), None)
    assert on_file.now.tzinfo is not None


async def test_another_site_has_nothing_on_file(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(TOLD, NOW)
        store = CaseStore(connection, OTHER_SITE)
        on_file = await store.read_for_judgement(order_no="A-1", reason=Reason.OTHER, payment_nos=["P-1"])
    assert (on_file.order, on_file.payments, on_file.deliveries, on_file.merchant) == (None, (), (), None)


async def test_a_claim_without_an_order_has_the_payments_that_it_names(engine: AsyncEngine) -> None:
    told = Told(payments=(replace(PAYMENT, order_no=None), replace(PAYMENT, payment_no="P-2", order_no="A-2")))
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(told, NOW)
        on_file = await CaseStore(connection, SITE).read_for_judgement(
            order_no=None, reason=Reason.CHARGED_WITHOUT_ORDER, payment_nos=["P-1"]
        )
    assert [each.payment_no for each in on_file.payments] == ["P-1"]
    assert on_file.order is None


async def test_the_policy_is_that_of_the_day_on_which_the_order_was_placed(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        site = SiteStore(connection, SITE)
        await site.activate_policy("recharge", 2, ORDER.placed_at)
        await site.activate_policy("binghui", 1, ORDER.placed_at + timedelta(microseconds=1))
        await RecordStore(connection, SITE).put_all(TOLD, NOW)
        by_order = await _read(connection)
        at = ORDER.placed_at - timedelta(microseconds=1)
        by_time = await CaseStore(connection, SITE).read_for_judgement(order_no=None, reason=Reason.OTHER, at=at)
        by_now = await CaseStore(connection, SITE).read_for_judgement(order_no=None, reason=Reason.OTHER)
    assert by_order.policy == PolicyRow("recharge", 2)
    assert by_time.policy == PolicyRow("standard", 1)
    assert by_now.policy == PolicyRow("binghui", 1)


@pytest.mark.parametrize(("told", "orders", "counted"), [(1, 1, 1), (3, 1, 3), (1, 3, 3), (2, 3, 3)])
async def test_a_card_was_sold_as_often_as_told_or_as_seen(
    engine: AsyncEngine, told: int, orders: int, counted: int
) -> None:
    card = replace(DELIVERY, card_fingerprint="ab" * 32, times_sold=told)
    deliveries = [replace(card, delivery_no=f"D-{n}", order_no=f"A-{n}") for n in range(1, orders + 1)]
    foreign = [replace(card, delivery_no=f"F-{n}", order_no=f"F-{n}") for n in range(9)]
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(Told(deliveries=tuple(deliveries)), NOW)
        await RecordStore(connection, OTHER_SITE).put_all(Told(deliveries=tuple(foreign)), NOW)
        on_file = await _read(connection)
    assert [each.times_sold for each in on_file.deliveries] == [counted]


async def test_a_file_is_reused_when_another_orders_case_had_it(engine: AsyncEngine) -> None:
    def with_hash(letter: str) -> Consequences:
        return Consequences(evidence=[replace(EVIDENCE, sha256=letter * 64)])

    async with transaction(engine) as connection:
        await CaseStore(connection, SITE).file(new_case("A-1"), with_hash("a"), NOW)
        await CaseStore(connection, SITE).file(new_case("A-2"), with_hash("b"), NOW)
        await CaseStore(connection, OTHER_SITE).file(new_case("A-3"), with_hash("c"), NOW)
        on_file = await _read(connection, hashes=[letter * 64 for letter in "abcd"])
    assert on_file.reused == {"b" * 64}


async def test_filing_writes_everything(engine: AsyncEngine) -> None:
    case, refund = new_case(), new_refund(12_000)
    events = [new_event(), new_event(EventType.CASE_APPROVED), new_event(EventType.REFUND_REQUESTED, channel="alipay")]
    second = replace(EVIDENCE, sha256="ab" * 32, reused=True)
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(TOLD, NOW)
        consequences = Consequences([EVIDENCE, second], DECISION, events, [refund])
        await CaseStore(connection, SITE).file(case, consequences, NOW)
        view = await CaseStore(connection, SITE).get(case.case_id)
        foreign = await CaseStore(connection, OTHER_SITE).get(case.case_id)
        on_file = await _read(connection)
    assert view is not None
    assert (view.case.claim, view.case.version, view.case.next_sequence) == ({"reason": "not_delivered"}, 1, 4)
    assert (view.decision, view.evidence) == (DECISION, (held_piece(EVIDENCE, 1), held_piece(second, 2)))
    assert [(each.refund_no, each.amount, each.state) for each in view.refunds] == [
        (refund.refund_no, 12_000, RefundState.REQUESTED)
    ]
    assert [(each.type, each.sequence) for each in view.timeline] == [
        ("case.filed", 1), ("case.approved", 2), ("refund.requested", 3),
    ]  # fmt: skip
    assert on_file.payments[0].reserved_amount == 12_000
    assert on_file.open_case_id == case.case_id
    assert foreign is None


@pytest.mark.parametrize("status", list(CaseStatus))
async def test_a_claim_may_be_filed_again_only_when_it_came_to_nothing(engine: AsyncEngine, status: CaseStatus) -> None:
    again = status in {CaseStatus.REJECTED, CaseStatus.WITHDRAWN, CaseStatus.LAPSED}
    async with transaction(engine) as connection:
        store = CaseStore(connection, SITE)
        await store.file(replace(new_case(), status=status), Consequences(), NOW)
        await store.file(new_case(reason=Reason.OTHER), Consequences(), NOW)
        await store.file(new_case("A-2"), Consequences(), NOW)
        if again:
            await store.file(new_case(), Consequences(), NOW)
        else:
            with pytest.raises(Conflict) as refused:
                await store.file(new_case(), Consequences(events=[new_event()]), NOW)
            assert refused.value.code == "case_open"
            assert await connection.scalar(text("SELECT count(*) FROM events")) == 0


async def test_refunds_never_exceed_the_payment(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        payment = replace(PAYMENT, refunded_amount=5_000)
        await RecordStore(connection, SITE).put_all(replace(TOLD, payments=(payment,)), NOW)
        await CaseStore(connection, SITE).file(new_case(), Consequences(refunds=[new_refund(14_000)]), NOW)

    async def refund(amount: int) -> None:
        async with transaction(engine) as connection:
            case = new_case(reason=Reason.OTHER)
            await CaseStore(connection, SITE).file(case, Consequences(refunds=[new_refund(amount)]), NOW)

    with pytest.raises(Conflict) as refused:
        await refund(1_001)
    assert refused.value.code == "refund_exceeds_payment"
    await refund(1_000)


@pytest.mark.parametrize("inline", [True, False])
async def test_filings_at_once_on_one_order_take_turns(engine: AsyncEngine, inline: bool) -> None:
    """Each reads what is left and asks for all of it: one gets it, the others see that nothing remains."""
    reasons = [Reason.NOT_DELIVERED, Reason.DELIVERED_LATE, Reason.OTHER, Reason.INVALID_GOODS, Reason.NOT_WORKING]
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(TOLD, NOW)

    async def file(reason: Reason) -> int:
        async with transaction(engine) as connection:
            if inline:
                await RecordStore(connection, SITE).put_all(TOLD, NOW)
            [payment] = (await _read(connection, reason=reason)).payments
            left = payment.amount - payment.refunded_amount - payment.reserved_amount
            refunds = [new_refund(left)] if left else []
            await CaseStore(connection, SITE).file(new_case(reason=reason), Consequences(refunds=refunds), NOW)
            return left

    assert sorted(await asyncio.gather(*map(file, reasons))) == [0, 0, 0, 0, 20_000]


async def test_the_same_claim_from_many_at_once_is_one_case(engine: AsyncEngine) -> None:
    async def file() -> str:
        try:
            async with transaction(engine) as connection:
                await RecordStore(connection, SITE).put_all(TOLD, NOW)
                await _read(connection)
                await CaseStore(connection, SITE).file(new_case(), Consequences(refunds=[new_refund(20_000)]), NOW)
        except Conflict as refused:
            return refused.code
        return "filed"

    answers = await asyncio.gather(*(file() for _ in range(12)))
    assert sorted(set(answers)) == ["case_open", "filed"]
    assert answers.count("filed") == 1


@pytest.mark.parametrize("told", [Told(orders=(ORDER,)), Told(payments=(PAYMENT,))])
async def test_what_somebody_holds_makes_the_next_one_busy(engine: AsyncEngine, told: Told) -> None:
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(told, NOW)

    async def read_impatiently() -> None:
        async with transaction(engine) as connection:
            await connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
            await _read(connection)

    async with transaction(engine) as holder:
        await _read(holder)
        with pytest.raises(Busy):
            await read_impatiently()


ROLES = {
    "site": ENDPOINT,
    "site, approvals only": replace(ENDPOINT, event_types=("case.approved",)),
    "site, disabled": replace(ENDPOINT, enabled=False, disabled_at=NOW),
    "merchant m-7": replace(ENDPOINT, role="merchant", merchant_id="m-7"),
    "merchant m-8": replace(ENDPOINT, role="merchant", merchant_id="m-8"),
    "channel": replace(ENDPOINT, role="channel"),
    "channel wechat_pay": replace(ENDPOINT, role="channel", channels=("wechat_pay", "balance")),
}


@pytest.mark.parametrize(
    ("event_type", "channel", "heard"),
    [
        (EventType.CASE_FILED, None, {"site", "merchant m-7"}),
        (EventType.CASE_APPROVED, None, {"site", "site, approvals only", "merchant m-7"}),
        (EventType.CASE_REVIEW_NEEDED, None, {"site"}),
        (EventType.REFUND_REQUESTED, "wechat_pay", {"site", "channel", "channel wechat_pay"}),
        (EventType.REFUND_REQUESTED, "alipay", {"site", "channel"}),
    ],
)
async def test_an_event_goes_to_those_whom_it_concerns(
    engine: AsyncEngine, event_type: EventType, channel: str | None, heard: set[str]
) -> None:
    async with transaction(engine) as connection:
        names = {await add_endpoint(connection, endpoint): name for name, endpoint in ROLES.items()}
        await add_endpoint(connection, site_id=OTHER_SITE)
        event = new_event(event_type, channel=channel)
        await CaseStore(connection, SITE).file(new_case(), Consequences(events=[event]), NOW)
        told = await connection.scalars(text("SELECT endpoint_id FROM dispatches"))
    assert {names[endpoint_id] for endpoint_id in told} == heard


async def test_a_step_adds_and_never_overwrites(engine: AsyncEngine) -> None:
    case, at = new_case(), NOW + timedelta(hours=1)
    later = replace(DECISION, outcome="reject", judged_at=at)
    second = replace(EVIDENCE, kind=EvidenceKind.FAILURE_PAGE)
    async with transaction(engine) as connection:
        store = CaseStore(connection, SITE)
        await store.file(case, Consequences([EVIDENCE], DECISION, [new_event()]), NOW)
        after = next_row(case, CaseStatus.REJECTED, at)
        step = Consequences([second], later, [new_event(EventType.CASE_REJECTED)])
        await store.advance(after, step, at)
        with pytest.raises(Stale):
            await store.advance(replace(after, status=CaseStatus.LAPSED), step, at)
        view = await store.get(case.case_id)
        decisions = await store.decisions(case.case_id)
    assert view is not None
    assert (view.case.status, view.case.version, view.case.updated_at) == (CaseStatus.REJECTED, 2, at)
    assert view.evidence == (held_piece(EVIDENCE, 1), held_piece(second, 2, at))
    assert view.decision == later
    assert decisions == [(1, DECISION.body), (2, later.body)]
    assert [(each.type, each.sequence) for each in view.timeline] == [("case.filed", 1), ("case.rejected", 2)]


async def test_a_step_for_an_older_version_leaves_nothing_behind(engine: AsyncEngine) -> None:
    case = new_case()
    async with transaction(engine) as connection:
        await RecordStore(connection, SITE).put_all(TOLD, NOW)
        await CaseStore(connection, SITE).file(case, Consequences(), NOW)
        before = await CaseStore(connection, SITE).get(case.case_id)
    everything = Consequences(
        [EVIDENCE], DECISION, [new_event()], [new_refund(1)], ["P-1"],
        [ActRow(ActKind.WITHDRAWAL, "b-9", {}, NOW)], [NewTimer("review", TimerKind.DUE, NOW)],
    )  # fmt: skip
    stale = replace(next_row(case, CaseStatus.REJECTED, NOW), version=3)
    async with transaction(engine) as connection:
        with pytest.raises(Stale):
            await CaseStore(connection, SITE).advance(stale, everything, NOW)
    async with transaction(engine) as connection:
        after = await CaseStore(connection, SITE).get(case.case_id)
        reserved = await connection.scalar(text("SELECT reserved_amount FROM payments"))
        named = await connection.scalar(text("SELECT count(*) FROM case_payments"))
    assert before is not None
    assert after == replace(before, now=after.now if after else NOW)
    assert (reserved, named) == (0, 0)


async def test_a_step_of_another_site_s_case_changes_nothing(engine: AsyncEngine) -> None:
    case = new_case()
    async with transaction(engine) as connection:
        await CaseStore(connection, SITE).file(case, Consequences(), NOW)
        foreign = CaseStore(connection, OTHER_SITE)
        assert not await foreign.lock(case.case_id)
        with pytest.raises(Stale):
            await foreign.advance(next_row(case, CaseStatus.LAPSED, NOW), Consequences([EVIDENCE]), NOW)
        assert await connection.scalar(text("SELECT count(*) FROM case_evidence")) == 0


@pytest.mark.parametrize(
    ("name", "due_at", "becomes"),
    [
        ("merchant_turn", NOW, "void"),
        ("review", NOW, "kept"),
        ("appeal", NOW, "pending"),
        ("rejudge", NOW, "pending"),
        ("refund_rate", NOW, "pending"),
    ],
)
async def test_what_a_step_does_to_a_running_deadline(
    engine: AsyncEngine, name: str, due_at: datetime, becomes: str
) -> None:
    case, appeal = new_case(), NewTimer("appeal", TimerKind.DUE, NOW)
    async with transaction(engine) as connection:
        store = CaseStore(connection, SITE)
        await store.file(case, Consequences(timers=[NewTimer(name, TimerKind.DUE, due_at)]), NOW)
        step = Consequences(timers=[appeal], kept=frozenset({"review"}))
        await store.advance(next_row(case, CaseStatus.REJECTED, NOW), step, NOW)
        state = await connection.scalar(text("SELECT state FROM case_timers WHERE name = :name"), {"name": name})
    assert state == becomes


@pytest.mark.parametrize(("state", "becomes"), [("kept", "pending"), ("void", "pending"), ("fired", "fired")])
async def test_a_deadline_that_is_set_again_runs_again_unless_it_took_effect(
    engine: AsyncEngine, state: str, becomes: str
) -> None:
    case, turn = new_case(), NewTimer("merchant_turn", TimerKind.DUE, NOW)
    async with transaction(engine) as connection:
        store = CaseStore(connection, SITE)
        await store.file(case, Consequences(timers=[turn]), NOW)
        await connection.execute(text("UPDATE case_timers SET state = :state, settled_at = now()"), {"state": state})
        await store.advance(next_row(case, CaseStatus.AWAITING_MERCHANT, NOW), Consequences(timers=[turn]), NOW)
        found = (await connection.execute(text("SELECT state, settled_at IS NULL FROM case_timers"))).one()
    assert tuple(found) == (becomes, becomes == "pending")


async def test_a_step_without_a_word_on_deadlines_leaves_them(engine: AsyncEngine) -> None:
    case = new_case()
    async with transaction(engine) as connection:
        store = CaseStore(connection, SITE)
        await store.file(case, Consequences(timers=[NewTimer("review", TimerKind.DUE, NOW)]), NOW)
        await store.advance(next_row(case, CaseStatus.IN_REVIEW, NOW), Consequences(), NOW)
        assert await connection.scalar(text("SELECT state FROM case_timers")) == "pending"


async def test_pages_follow_each_other_without_gap_or_double(engine: AsyncEngine) -> None:
    cases = [new_case(f"A-{n}") for n in range(7)]
    async with transaction(engine) as connection:
        store = CaseStore(connection, SITE)
        for n, case in enumerate(cases):
            await store.file(case, Consequences(), NOW + timedelta(seconds=n // 3))
        seen, after = [], None
        while page := await store.page(CaseFilter(), limit=2, after=after):
            seen += [each.order_no for each in page]
            after = CasePosition(page[-1].created_at, page[-1].case_id)
    assert seen == [f"A-{n}" for n in reversed(range(7))]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (CaseFilter(), {"A-1", "A-2", "A-3"}),
        (CaseFilter(status=CaseStatus.REJECTED), {"A-2"}),
        (CaseFilter(reason=Reason.OTHER), {"A-3"}),
        (CaseFilter(merchant_id="m-8"), {"A-2"}),
        (CaseFilter(order_no="A-3"), {"A-3"}),
        (CaseFilter(filed_from=NOW), {"A-1", "A-2"}),
        (CaseFilter(filed_to=NOW), {"A-3"}),
        (CaseFilter(status=CaseStatus.APPROVED, merchant_id="m-7", filed_from=NOW), {"A-1"}),
    ],
)
async def test_a_list_holds_what_was_asked_for(engine: AsyncEngine, wanted: CaseFilter, found: set[str]) -> None:
    async with transaction(engine) as connection:
        store = CaseStore(connection, SITE)
        await store.file(new_case("A-1"), Consequences(), NOW)
        await store.file(replace(new_case("A-2"), status=CaseStatus.REJECTED, merchant_id="m-8"), Consequences(), NOW)
        old = NOW - timedelta(microseconds=1)
        await store.file(replace(new_case("A-3", Reason.OTHER), filed_at=old), Consequences(), NOW)
        await CaseStore(connection, OTHER_SITE).file(new_case("A-4"), Consequences(), NOW)
        page = await store.page(wanted, limit=10)
    assert {each.order_no for each in page} == found


async def test_a_decision_is_kept_to_the_byte(engine: AsyncEngine) -> None:
    case, decision = new_case(), replace(DECISION, facts='{"b": 1,  "a":"卡\\u0041\\n"}', body='{"z":1,"a":[ 2]}')
    async with transaction(engine) as connection:
        await CaseStore(connection, SITE).file(case, Consequences(decision=decision), NOW)
        view = await CaseStore(connection, SITE).get(case.case_id)
    assert view is not None
    assert view.decision == decision


async def test_a_case_that_never_was_is_none(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        assert await CaseStore(connection, SITE).get(ids.new_uuid()) is None


async def _read(
    connection: AsyncConnection, *, reason: Reason = Reason.NOT_DELIVERED, hashes: list[str] | None = None
) -> OnFile:
    return await CaseStore(connection, SITE).read_for_judgement(order_no="A-1", reason=reason, hashes=hashes or [])
