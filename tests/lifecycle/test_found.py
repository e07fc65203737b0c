"""What the machine has found once, step by step, so that it stays found; and walks that chance seldom takes."""

from collections.abc import Iterator

import pytest

from app.rules.facts import DeliveryMode, MerchantStatus, PaymentStatus, Position, Reason, Ruled, RulingCode
from tests.lifecycle.case_model import CaseModel
from tests.lifecycle.cashier import Cashier
from tests.lifecycle.service import Service, Site


@pytest.fixture
def desk(service: Service, neighbour: Site) -> Iterator[Cashier]:
    """With one order of 99 yuan; whatever a test leaves open comes to its end."""
    desk = Cashier(service, neighbour, lambda _: None)
    desk.new_order(9_900, DeliveryMode.INSTANT)
    desk.leap("an_hour")
    try:
        yield desk
        desk.check_touched()
        desk.run_out()
        desk.check_everything()
    finally:
        desk.close()


def _amounts(case: CaseModel) -> list[tuple[str, int]]:
    return [(each.payment_no, each.amount) for each in case.refunds]


def _file(desk: Cashier, reason: Reason, pieces: str = "what_is_needed", policy: str = "standard") -> None:
    desk.file(0, reason, pieces, policy, None)
    desk.check_touched()


def test_a_promise_that_was_broken_is_told_although_a_ruling_came_before_the_worker(desk: Cashier) -> None:
    _file(desk, Reason.OTHER)
    desk.leap("days", 9)
    desk.person_rules(0, Ruled.REJECT, 0, None, "op-1")
    desk.check_touched()
    desk.fire_all()
    [case] = desk.model.cases.values()
    assert case.told.count("case.deadline_missed") == 1


def test_records_that_come_along_with_one_claim_bear_on_the_other_claims_on_the_order(desk: Cashier) -> None:
    _file(desk, Reason.NOT_WORKING)
    desk.file(0, Reason.OTHER, "nothing", "standard", None, inline="used")
    desk.leap("an_hour")
    desk.fire_all()
    first = next(iter(desk.model.cases.values()))
    assert [each.delivery_no for each in first.facts.deliveries] == ["D-1"]


def test_a_rejection_is_not_appealed_while_the_same_claim_is_under_way_again(desk: Cashier) -> None:
    _file(desk, Reason.CHANGE_OF_MIND, policy="card_error")
    desk.leap("an_hour")
    _file(desk, Reason.CHANGE_OF_MIND)
    first, second = desk.model.cases.values()
    assert (first.status, second.status) == ("rejected", "approved")
    desk.appeal(9, "nothing")
    desk.appeal(10, "a_statement")
    assert first.status == "rejected"


def test_from_the_wait_through_evidence_merchant_person_and_appeal_to_the_money(desk: Cashier) -> None:
    desk.new_order(600_000, DeliveryMode.SCHEDULED)
    desk.file(1, Reason.NOT_DELIVERED, "nothing", "card_error", None)
    desk.all_happens_after("exactly", 1)
    desk.all_happens_after("just_after", 1)
    desk.check_touched()
    [case] = desk.model.cases.values()
    assert case.status == "awaiting_evidence"
    desk.delivery(1, "short")
    desk.supply_evidence(0, "what_is_needed")
    desk.person_rules(0, Ruled.REJECT, 0, None, "op-1")
    desk.check_touched()
    desk.appeal(0, "nothing")
    desk.appeal(0, "a_statement")
    assert case.status == "appealed"
    desk.two_people_rule(0, 0, 550_000, None)
    assert (case.status, _amounts(case)) == ("approved", [("P-2", 600_000)])
    desk.appeal(9, "a_statement")


def test_two_people_have_to_say_the_same(desk: Cashier) -> None:
    desk.new_order(600_000, DeliveryMode.INSTANT)
    desk.leap("an_hour")
    desk.file(1, Reason.OTHER, "nothing", "card_error", None)
    [case] = desk.model.cases.values()
    desk.person_rules(0, Ruled.APPROVE, 0, 510_000, "op-1")
    desk.person_rules(0, Ruled.APPROVE, 0, 520_000, "op-2")
    desk.person_rules(0, Ruled.APPROVE, 0, 520_000, "op-2")
    assert case.status == "in_review"
    desk.leap("an_hour")
    desk.supply_evidence(0, "a_private_chat")  # which the two have not seen yet
    desk.person_rules(0, Ruled.APPROVE, 0, 520_000, "op-1")
    assert case.status == "in_review"
    desk.person_rules(0, Ruled.APPROVE, 0, 520_000, "op-3")
    assert (case.status, _amounts(case)) == ("approved", [("P-2", 520_000)])


def test_a_word_more_after_the_merchants_turn_takes_nothing_back(desk: Cashier) -> None:
    _file(desk, Reason.NOT_WORKING)
    desk.respond(0, Position.CONTEST, True)
    desk.all_happens_after("just_after", 1)
    desk.leap("days", 1)
    desk.respond(0, Position.OFFER_REISSUE, False)
    [case] = desk.model.cases.values()
    assert case.status == "in_review"
    desk.merchant(1, MerchantStatus.UNREACHABLE, 0)
    desk.leap("an_hour")
    desk.fire_all()
    desk.withdraw(0, "reissue_accepted")
    assert case.status == "withdrawn"


def test_a_worker_that_dies_does_the_same_again_and_only_once(desk: Cashier) -> None:
    _file(desk, Reason.NOT_WORKING, "nothing")
    [case] = desk.model.cases.values()
    desk.all_happens_after("just_after", 1)
    desk.leap("just_after")
    for _ in range(3):
        desk.fire(100, crash_at=0)
        desk.check_touched()
        assert case.status == "awaiting_evidence"
        desk.all_happens_after("exactly", 1)  # it is tried again a moment after this one
        desk.leap("just_after")
    desk.fire_all()
    assert (case.status, case.told.count("case.lapsed")) == ("lapsed", 1)


def _granted(desk: Cashier, policy: str = "standard", code: RulingCode = RulingCode.MERCHANT_FAILED) -> CaseModel:
    desk.granted(0, policy, code, None)
    desk.check_touched()
    [case] = desk.model.cases.values()
    assert case.status == "approved"
    return case


def test_only_a_closed_refund_is_replaced_and_the_deposit_pays_once(desk: Cashier) -> None:
    desk.merchant(1, MerchantStatus.ACTIVE, 20_000)
    case = _granted(desk)
    desk.walks(0, ["next", "next", "failed", "retry", "failed", "worker", "closed", "retry", "succeeded"])
    desk.check_touched()
    assert (case.status, [each.state for each in case.refunds]) == ("refunded", ["closed", "succeeded"])
    assert [each.asked for each in case.refunds] == [2, 1]
    ledger = desk.model.deposits.ledgers["m-1"]
    assert [each.kind for each in ledger.entries] == ["told", "deduction", "reversal", "deduction"]


def test_what_may_have_been_paid_after_all_stays_with_a_person(desk: Cashier) -> None:
    case = _granted(desk)
    desk.walks(0, ["next", "closed", "succeeded", "retry"])
    assert (case.status, len(case.refunds), case.told.count("refund.conflict")) == ("refund_failed", 1, 1)


def test_a_part_that_is_paid_by_another_way_settles_the_rest(desk: Cashier) -> None:
    desk.payment(0, True, PaymentStatus.SUCCEEDED, 0)
    case = _granted(desk, "binghui")
    assert len(case.refunds) == 2
    desk.walks(0, ["next", "succeeded"])
    assert case.status == "refunding"
    desk.walks(0, ["abnormal", "another_amount", "paid_elsewhere"])
    assert (case.status, sorted(each.state for each in case.refunds)) == ("refunded", ["closed", "succeeded"])


def test_money_that_is_late_is_told_once_for_each_promise(desk: Cashier) -> None:
    case = _granted(desk)
    for _ in range(12):
        desk.all_happens_after("just_after", 1)
        desk.refunds_become_overdue(0, "just_after")
    assert (case.told.count("refund.overdue"), case.told.count("case.deadline_missed")) == (2, 1)
    desk.escalate(9)
    desk.walks(0, ["an_old_step", "succeeded", "succeeded", "an_old_failure"])
    assert (case.status, case.told.count("refund.succeeded")) == ("refunded", 1)
