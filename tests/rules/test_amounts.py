"""How much goes back, and over which payments: to the fen."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.rules.adjudicate import Refund, Verdict, judge
from app.rules.facts import (
    CancelledBy,
    Channel,
    Facts,
    MerchantResponse,
    MerchantStatus,
    OrderStatus,
    PaymentStatus,
    Position,
    Reason,
    Usage,
)
from app.rules.findings import Outcome
from app.rules.liability import Funding, Liability
from app.rules.policy import Policy
from app.rules.presets import PRESETS
from tests.rules.building import (
    AS_OF,
    PAID_AT,
    PRICE,
    a_claim,
    a_delivery,
    a_merchant,
    a_payment,
    an_order,
    facts,
    with_clauses,
)

STANDARD, RECHARGE, CONSUMPTION = PRESETS["standard"], PRESETS["recharge"], PRESETS["consumption"]
TRILLION = 10**12


def refund_of(verdict: Verdict) -> Refund:
    assert verdict.outcome is Outcome.APPROVE
    assert verdict.refund is not None
    return verdict.refund


def short(paid: int, ordered: int, delivered: int, usage: Usage = Usage.CONSUMED) -> Facts:
    return facts(
        Reason.SHORT_DELIVERY,
        order=an_order(goods={"face_value": ordered}),
        payments=(a_payment(amount=paid),),
        deliveries=(a_delivery(face_value=delivered, usage=usage),),
    )


@pytest.mark.parametrize(
    ("paid", "ordered", "delivered", "amount"),
    [
        (9900, 10000, 4000, 5940),
        (1, 2, 1, 1),  # half a fen is rounded up
        (3, 2, 1, 2),
        (1, 3, 2, None),  # a third of a fen is rounded down to nothing, so a person decides
        (1, 3, 1, 1),  # two thirds are rounded up
        (100, 3, 1, 67),
        (100, 3, 2, 33),
        (9999, 10000, 9999, 1),
        (4999, 10000, 9999, None),  # 0.4999 of a fen
        (5000, 10000, 9999, 1),  # 0.5 of a fen
        (TRILLION, TRILLION, 1, TRILLION - 1),
        (TRILLION - 1, TRILLION, 1, TRILLION - 2),
        (9900, 10000, 0, 9900),
    ],
)
def test_the_missing_share_is_rounded_half_up(paid: int, ordered: int, delivered: int, amount: int | None) -> None:
    verdict = judge(short(paid, ordered, delivered), with_clauses(STANDARD, merchant_turn="never"))
    assert (verdict.refund and verdict.refund.amount) == amount


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.integers(1, TRILLION), st.integers(1, TRILLION), st.integers(0, TRILLION))
def test_the_missing_share_is_that_of_exact_fractions(paid: int, ordered: int, delivered: int) -> None:
    expected = floor(Fraction(paid) * max(ordered - delivered, 0) / ordered + Fraction(1, 2))
    verdict = judge(short(paid, ordered, delivered), with_clauses(STANDARD, merchant_turn="never"))
    assert (0 if verdict.refund is None else verdict.refund.amount) == expected


@pytest.mark.parametrize("usage", [Usage.ACTIVATED, Usage.CONSUMED, Usage.UNKNOWN])
def test_a_short_delivery_gives_back_its_share_unless_it_is_known_to_be_unused(usage: Usage) -> None:
    assert refund_of(judge(short(PRICE, 10000, 4000, usage), STANDARD)).amount == 5940
    assert refund_of(judge(short(PRICE, 10000, 4000, usage), RECHARGE)).amount == PRICE
    assert refund_of(judge(short(PRICE, 10000, 4000, Usage.UNUSED), STANDARD)).amount == PRICE


def test_the_share_is_of_what_is_left_to_refund() -> None:
    drawn = facts(
        Reason.SHORT_DELIVERY,
        payments=(a_payment(refunded_amount=900),),
        deliveries=(a_delivery(face_value=5000, usage=Usage.CONSUMED),),
    )
    assert refund_of(judge(drawn, STANDARD)).amount == 4500


@pytest.mark.parametrize(("ordered", "delivered"), [(None, 4000), (10000, None), (0, None)])
def test_a_share_that_nobody_knows_is_all_of_it(ordered: int | None, delivered: int | None) -> None:
    drawn = facts(
        Reason.SHORT_DELIVERY,
        order=an_order(goods={"face_value": ordered}),
        deliveries=(a_delivery(face_value=delivered, usage=Usage.CONSUMED),),
        merchant=a_merchant(response=MerchantResponse(Position.ACCEPT, AS_OF)),
    )
    assert refund_of(judge(drawn, STANDARD)).amount == PRICE


def test_a_cancelled_order_goes_back_whole_whatever_was_short_or_double() -> None:
    cancelled = an_order(status=OrderStatus.CANCELLED, cancelled_by=CancelledBy.MERCHANT)
    drawn = short(PRICE, 10000, 4000)
    both = (a_payment("T-1"), a_payment("T-2"))
    assert refund_of(judge(replace(drawn, order=cancelled), STANDARD)).amount == PRICE
    double = facts(Reason.DUPLICATE_CHARGE, order=cancelled, payments=both)
    assert refund_of(judge(double, STANDARD)).amount == 2 * PRICE


# --- over which payments


def shares_of(drawn: Facts) -> list[tuple[str, int]]:
    return [(share.payment.payment_no, share.amount) for share in refund_of(judge(drawn, PARTLY)).shares]


PARTLY = with_clauses(STANDARD, partial_claims="allow")


def test_the_earliest_payment_gives_first() -> None:
    payments = (a_payment("T-2", amount=1, paid_at=PAID_AT + timedelta(seconds=1)), a_payment("T-1", amount=9999))
    assert shares_of(facts(payments=payments, claim=a_claim(amount=5000))) == [("T-1", 5000)]
    assert shares_of(facts(payments=payments, claim=a_claim(amount=9999))) == [("T-1", 9999)]
    assert shares_of(facts(payments=payments)) == [("T-1", 9999), ("T-2", 1)]


def test_payments_of_the_same_instant_give_in_the_order_of_their_numbers() -> None:
    payments = (a_payment("T-2", amount=60), a_payment("T-1", amount=50))
    assert shares_of(facts(payments=payments, claim=a_claim(amount=60))) == [("T-1", 50), ("T-2", 10)]


def test_what_went_back_already_stays_back() -> None:
    payments = (
        a_payment("T-1", amount=50, refunded_amount=50),
        a_payment("T-2", amount=50, refunded_amount=49, paid_at=PAID_AT + timedelta(seconds=1)),
        a_payment("T-3", amount=50, paid_at=PAID_AT + timedelta(seconds=2)),
    )
    assert shares_of(facts(payments=payments)) == [("T-2", 1), ("T-3", 50)]


def test_only_settled_payments_of_the_order_give() -> None:
    payments = (
        a_payment("T-1", status=PaymentStatus.FAILED),
        a_payment("T-2", status=PaymentStatus.PENDING),
        a_payment("T-3", order_no="K-2"),
        a_payment("T-4", order_no=None, amount=7),
    )
    assert shares_of(facts(payments=payments)) == [("T-4", 7)]


def test_without_an_order_every_settled_payment_gives() -> None:
    payments = (a_payment("T-1", amount=5, order_no="K-9"), a_payment("T-2", amount=6))
    assert shares_of(facts(Reason.CHARGED_WITHOUT_ORDER, order=None, payments=payments)) == [("T-1", 5), ("T-2", 6)]


def test_of_several_charges_the_earliest_that_still_stands_pays_for_the_order() -> None:
    def charge(number: int, refunded: int = 0) -> object:
        return a_payment(f"T-{number}", paid_at=PAID_AT + timedelta(seconds=number), refunded_amount=refunded)

    def drawn(*charges: object) -> Facts:
        return facts(Reason.DUPLICATE_CHARGE, payments=charges)

    assert shares_of(drawn(charge(3), charge(1), charge(2))) == [("T-2", PRICE), ("T-3", PRICE)]
    assert shares_of(drawn(charge(1, PRICE), charge(2), charge(3))) == [("T-3", PRICE)]
    assert shares_of(drawn(charge(1), charge(2, PRICE - 1))) == [("T-2", 1)]
    assert shares_of(drawn(charge(1, PRICE - 1), charge(2))) == [("T-2", PRICE)]
    assert judge(drawn(charge(1, PRICE), charge(2)), STANDARD).refund is None
    assert judge(drawn(charge(1, PRICE), charge(2, PRICE)), STANDARD).decisive.rule.id == "nothing-to-refund"


def test_a_claim_that_names_less_gets_less() -> None:
    twice = (a_payment("T-1"), a_payment("T-2"))
    drawn = facts(Reason.DUPLICATE_CHARGE, payments=twice, claim=a_claim(Reason.DUPLICATE_CHARGE, amount=5000))
    assert shares_of(drawn) == [("T-2", 5000)]


def test_a_thousand_payments_of_a_trillion_each_are_summed_exactly() -> None:
    payments = tuple(
        a_payment(f"T-{number:04}", amount=TRILLION, channel=list(Channel)[number % 5]) for number in range(1000)
    )
    refund = refund_of(judge(facts(payments=payments), STANDARD))
    assert refund.amount == 1000 * TRILLION
    assert [share.amount for share in refund.shares] == [TRILLION] * 1000
    part = refund_of(judge(facts(payments=payments, claim=a_claim(amount=999 * TRILLION + 1)), PARTLY))
    assert part.amount == 999 * TRILLION + 1
    assert part.shares[-1].amount == 1


# --- whose money


@pytest.mark.parametrize(
    ("deposit", "policy", "funding"),
    [
        (PRICE, STANDARD, Funding.DEPOSIT),
        (PRICE - 1, STANDARD, Funding.MERCHANT),
        (PRICE - 1, with_clauses(STANDARD, advance_payout=True), Funding.PLATFORM_ADVANCE),
        (PRICE, with_clauses(STANDARD, advance_payout=True), Funding.DEPOSIT),
        (PRICE, with_clauses(STANDARD, deposit="freeze_first"), Funding.DEPOSIT),
        (PRICE, with_clauses(STANDARD, deposit="no"), Funding.MERCHANT),
        (PRICE, with_clauses(STANDARD, deposit="no", advance_payout=True), Funding.PLATFORM_ADVANCE),
    ],
)
def test_the_deposit_pays_if_it_covers_all_and_the_policy_draws_on_it(
    deposit: int, policy: Policy, funding: Funding
) -> None:
    verdict = judge(facts(merchant=a_merchant(deposit=deposit)), policy)
    assert (refund_of(verdict).funding, verdict.liability) == (funding, Liability.MERCHANT)


def test_without_a_merchant_on_record_there_is_no_deposit() -> None:
    assert refund_of(judge(facts(merchant=None), STANDARD)).funding is Funding.MERCHANT
    advance = with_clauses(STANDARD, advance_payout=True)
    assert refund_of(judge(facts(merchant=None), advance)).funding is Funding.PLATFORM_ADVANCE


def test_the_buyers_own_mistake_leaves_the_deposit_alone() -> None:
    verdict = judge(facts(Reason.WRONG_ACCOUNT, deliveries=(a_delivery(),)), STANDARD)
    assert (refund_of(verdict).funding, verdict.liability) == (Funding.MERCHANT, Liability.BUYER)


@pytest.mark.parametrize(
    ("status", "verified", "liable", "funding"),
    [
        (MerchantStatus.UNREACHABLE, False, Liability.PLATFORM, Funding.PLATFORM),
        (MerchantStatus.UNREACHABLE, True, Liability.MERCHANT, Funding.DEPOSIT),
        (MerchantStatus.SUSPENDED, False, Liability.MERCHANT, Funding.DEPOSIT),
        (MerchantStatus.ACTIVE, False, Liability.MERCHANT, Funding.DEPOSIT),
    ],
)
def test_the_platform_answers_for_a_merchant_that_is_gone_and_was_never_known(
    status: MerchantStatus, verified: bool, liable: Liability, funding: Funding
) -> None:
    merchant = a_merchant(status=status, identity_verified=verified)
    verdict = judge(facts(merchant=merchant), STANDARD)
    assert (verdict.liability, refund_of(verdict).funding) == (liable, funding)


def test_a_merchant_that_is_gone_does_not_make_the_platform_answer_for_the_buyers_mistake() -> None:
    gone = a_merchant(status=MerchantStatus.UNREACHABLE, identity_verified=False)
    verdict = judge(facts(Reason.WRONG_ACCOUNT, deliveries=(a_delivery(),), merchant=gone), STANDARD)
    assert verdict.liability is Liability.BUYER


@pytest.mark.parametrize(
    ("by", "liable", "funding"),
    [
        (CancelledBy.MERCHANT, Liability.MERCHANT, Funding.DEPOSIT),
        (CancelledBy.PLATFORM, Liability.PLATFORM, Funding.PLATFORM),
    ],
)
def test_who_cancelled_answers_whatever_the_reason(by: CancelledBy, liable: Liability, funding: Funding) -> None:
    for reason in Reason:
        cancelled = an_order(status=OrderStatus.CANCELLED, cancelled_by=by)
        verdict = judge(facts(reason, order=cancelled), STANDARD)
        assert (verdict.liability, refund_of(verdict).funding) == (liable, funding)
        assert verdict.decisive.rule.id == "cancelled-by-seller"


def test_an_advance_is_paid_only_where_the_merchant_is_liable() -> None:
    twice = (a_payment("T-1"), a_payment("T-2"))
    verdict = judge(facts(Reason.DUPLICATE_CHARGE, payments=twice, merchant=a_merchant(deposit=0)), CONSUMPTION)
    assert refund_of(verdict).funding is Funding.PLATFORM
