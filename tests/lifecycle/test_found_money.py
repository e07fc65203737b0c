"""One payment that many have a hand in, step by step: what the machine found, and what chance seldom comes to."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.rules.facts import DeliveryMode, Payment, Reason, RulingCode
from tests.lifecycle.bookkeeper import Bookkeeper
from tests.lifecycle.found_model import Listed
from tests.lifecycle.refund_model import RefundModel
from tests.lifecycle.service import Service, Site


@pytest.fixture
def desk(service: Service, neighbour: Site) -> Iterator[Bookkeeper]:
    """With one order of 99 yuan; after each test all comes to its end, and everything is read back."""
    desk = Bookkeeper(service, neighbour, lambda _: None)
    desk.new_order(9_900, DeliveryMode.INSTANT)
    desk.leap("an_hour")
    try:
        yield desk
        desk.check_touched()
        desk.run_out()
        desk.check_everything()
    finally:
        desk.close()


def _grant(desk: Bookkeeper, amount: int, reason: Reason = Reason.NOT_WORKING) -> RefundModel:
    desk.granted(0, "standard", RulingCode.GOODWILL, amount, reason)
    desk.check_touched()
    return desk.model.refunds[-1][1]


def _find(desk: Bookkeeper, amount: int, number: str = "70-1") -> None:
    desk._finds("P-1", [Listed(number, amount)], None)
    desk.check_touched()


def _told(desk: Bookkeeper, **changes: object) -> Payment:
    desk._put_payment(replace(desk.model.records.payments["P-1"], **changes))  # type: ignore[arg-type]
    desk.check_touched()
    return desk.model.records.payments["P-1"]


def test_a_payment_that_was_larger_is_overdrawn_by_less_and_promises_nothing_more(desk: Bookkeeper) -> None:
    _grant(desk, 2_000)
    _grant(desk, 4_900, Reason.OTHER)
    desk._close(desk.model.refunds[0])
    _find(desk, 7_600)
    assert desk.model.records.overdrawn(desk.model.records.payments["P-1"]) == 2_600
    payment = _told(desk, amount=12_500)
    assert desk.model.records.overdrawn(payment) == 0
    refused = desk._send_retry(desk.model.refunds[0], None)
    assert refused is not None
    assert refused.code == "refund_exceeds_payment"


def test_more_than_the_payment_was_found_and_the_payment_was_larger(desk: Bookkeeper) -> None:
    _find(desk, 12_000)
    _told(desk, amount=14_000)
    assert _grant(desk, 2_000).amount == 2_000
    assert desk.model.records.left_of(desk.model.records.payments["P-1"]) == 0


def test_a_reason_that_comes_after_the_word_itself_counts(desk: Bookkeeper) -> None:
    refund = _grant(desk, 9_900)
    desk._bills("P-1", Listed("70-2", 9_900, refund.refund_no, "abnormal"))
    desk.walks(0, ["abnormal"])
    assert (refund.state, refund.failure) == ("abnormal", "rejected")


def test_what_the_channel_paid_of_a_closed_refund_is_not_granted_to_the_next_case(desk: Bookkeeper) -> None:
    refund = _grant(desk, 9_900)
    desk._close(desk.model.refunds[0])
    desk.file(0, Reason.OTHER, "nothing", "standard", None)
    desk.check_touched()
    desk._bills("P-1", Listed("70-3", 9_900, refund.refund_no))
    desk.check_touched()
    assert refund.contradicted[-1][0] == "after_closed"
    desk.leap("an_hour")
    desk.fire_all()
    other = list(desk.model.cases.values())[-1]
    assert desk.model.grantable(other) == 0


def test_every_open_promise_hears_once_that_it_is_overdrawn_and_again_when_it_is_more(desk: Bookkeeper) -> None:
    one, other = _grant(desk, 5_000), _grant(desk, 4_900, Reason.OTHER)
    for amount, heard in ((3_000, 1), (3_000, 1), (3_700, 2)):
        _find(desk, amount)
        assert [len(each.contradicted) for each in (one, other)] == [heard, heard]


@pytest.mark.parametrize("by", ["another_case", "the_site", "the_channel", "others_before"])
def test_what_a_closed_refund_leaves_goes_to_whoever_comes_first(desk: Bookkeeper, by: str) -> None:
    _grant(desk, 9_900)
    desk.crowded_out(0, by, False)
    assert [each.state for each in desk.model.cases[next(iter(desk.model.cases))].refunds] == ["closed"]


def test_of_two_that_are_retried_at_once_one_finds_nothing_left(desk: Bookkeeper) -> None:
    desk.two_compete(0, 4_000)
    assert sorted(refund.state for _, refund in desk.model.refunds) == ["closed", "closed", "requested"]


def test_paid_by_another_way_twice_it_counts_beside_what_had_gone_back_before(desk: Bookkeeper) -> None:
    _told(desk, refunded_amount=1_900)
    for amount, reason in ((3_000, Reason.NOT_WORKING), (4_000, Reason.OTHER)):
        _grant(desk, amount, reason)
        desk.set_time(desk.now.replace(microsecond=desk.now.microsecond + 1))
        desk.walks(0, ["failed", "paid_elsewhere"])
        desk.check_touched()
    payment = desk.model.records.payments["P-1"]
    assert desk.model.records.left_of(payment) == 9_900 - 1_900 - 3_000 - 4_000
