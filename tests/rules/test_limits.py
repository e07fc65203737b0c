"""Both sides, and the very instant, of every limit in time and money, under every preset."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from app.rules.adjudicate import Verdict, judge
from app.rules.calendar import SHANGHAI, STATUTORY, Moment
from app.rules.deadlines import deadlines
from app.rules.decision import decide
from app.rules.facts import (
    Buyer,
    Channel,
    DeliveryMode,
    EvidenceKind,
    Facts,
    MerchantResponse,
    PaymentStatus,
    Position,
    Reason,
    Terms,
    Usage,
    UsedBy,
)
from app.rules.findings import Outcome
from app.rules.lengths import Exact, end_of
from app.rules.policy import CountedFrom, Policy, When
from app.rules.presets import PRESETS
from tests.rules.building import (
    AS_OF,
    DELIVERED_AT,
    FILED_AT,
    PAID_AT,
    PLACED_AT,
    PRICE,
    a_claim,
    a_delivery,
    a_merchant,
    a_payment,
    a_piece,
    an_order,
    facts,
)

STEPS = (timedelta(microseconds=1), timedelta(seconds=1))
HOUR = timedelta(hours=1)
UNDELIVERED = (Reason.NOT_DELIVERED, Reason.DELIVERED_LATE)
CARD = (Reason.INVALID_GOODS,)
GENERAL = (
    Reason.DELIVERED_LATE,
    Reason.SHORT_DELIVERY,
    Reason.NOT_WORKING,
    Reason.NOT_AS_DESCRIBED,
    Reason.WRONG_ACCOUNT,
)
PAYMENT = (
    Reason.DUPLICATE_CHARGE,
    Reason.CHARGED_WITHOUT_ORDER,
    Reason.PAYMENT_INFO_ERROR,
    Reason.WRONG_TARGET,
)
COOLING_OFF = (Reason.WRONG_ITEM, Reason.CHANGE_OF_MIND)
DRAWN = Callable[[datetime], Facts]


@dataclass(frozen=True)
class Limit:
    """A rule that comes or goes at an instant: whether it is found before, at and after it."""

    name: str
    policy: Policy
    at: datetime
    rule: str
    found: tuple[bool, bool, bool]
    drawn: DRAWN

    def __str__(self) -> str:
        return f"{self.policy.name}-{self.name}"


GOES = (True, False, False)
STAYS = (True, True, False)
COMES = (False, True, True)
FOLLOWS = (False, False, True)


def limits_of(policy: Policy) -> Iterator[Limit]:
    for each in (
        *promises(policy),
        *lateness(policy),
        *settlement(policy),
        *report_windows(policy),
        *merchant_answers(policy),
        *deliveries(policy),
        *channel_disputes(policy),
    ):
        yield Limit(each[0], policy, *each[1:])


Row = tuple[str, datetime, str, tuple[bool, bool, bool], DRAWN]


def promises(policy: Policy) -> Iterator[Row]:
    for reason in UNDELIVERED:
        for mode in DeliveryMode:

            def drawn(at: datetime, reason: Reason = reason, mode: DeliveryMode = mode) -> Facts:
                return facts(reason, as_of=at, order=an_order(goods={"delivery_mode": mode}))

            due = PAID_AT + policy.promises[mode]
            yield f"{reason}-{mode}-not-yet-due", due, "not-yet-due", GOES, drawn
            yield f"{reason}-{mode}-due", due, "undelivered-per-log", COMES, drawn

        def agreed(at: datetime, reason: Reason = reason) -> Facts:
            return facts(reason, as_of=at, order=an_order(goods={"promised_at": AS_OF + 3 * HOUR}))

        yield f"{reason}-agreed", AS_OF + 3 * HOUR, "not-yet-due", GOES, agreed


def lateness(policy: Policy) -> Iterator[Row]:
    def delivered(at: datetime) -> Facts:
        return facts(Reason.DELIVERED_LATE, deliveries=(a_delivery(delivered_at=at),))

    due = PAID_AT + policy.promises[DeliveryMode.INSTANT]
    yield "late-per-log", due, "late-per-log", FOLLOWS, delivered
    yield "delivered-in-time", due, "delivered-in-time", STAYS, delivered


def settlement(policy: Policy) -> Iterator[Row]:
    later = PAID_AT + timedelta(minutes=4)
    second = a_payment("T-2", paid_at=later)
    pending = a_payment("T-2", paid_at=later, status=PaymentStatus.PENDING)
    until = later + policy.settlement_lag

    def without_order(at: datetime) -> Facts:
        return facts(Reason.CHARGED_WITHOUT_ORDER, as_of=at, order=None, payments=(second, a_payment()))

    def pending_without_order(at: datetime) -> Facts:
        return facts(Reason.CHARGED_WITHOUT_ORDER, as_of=at, order=None, payments=(a_payment(), pending))

    def duplicate(at: datetime) -> Facts:
        return facts(Reason.DUPLICATE_CHARGE, as_of=at, payments=(a_payment(), pending))

    yield "lag-of-the-latest-charge", until, "settlement-lag", GOES, without_order
    yield "lag-of-a-pending-charge", until, "settlement-lag", GOES, pending_without_order
    yield "lag-of-a-second-charge", until, "settlement-lag", GOES, duplicate


def report_windows(policy: Policy) -> Iterator[Row]:
    windows = policy.windows
    first, last = a_delivery("D-1", delivered_at=DELIVERED_AT - timedelta(minutes=1)), a_delivery("D-2")
    twice = (a_payment("T-2", paid_at=PAID_AT + HOUR), a_payment())

    def filed(reason: Reason, own: timedelta | None = None, *, delivered: bool = True) -> DRAWN:
        def drawn(at: datetime) -> Facts:
            return facts(
                reason,
                as_of=at + HOUR,
                claim=a_claim(reason, filed_at=at),
                order=an_order(goods={"terms": Terms(report_window=own)}),
                payments=twice,
                deliveries=(last, first) if delivered else (),
            )

        return drawn

    yield "undelivered", PAID_AT + windows.undelivered, "report-window", FOLLOWS, filed(Reason.NOT_DELIVERED)
    for reason in PAYMENT:
        yield f"window-{reason}", PAID_AT + HOUR + windows.payment, "report-window", FOLLOWS, filed(reason)
        yield f"window-{reason}-own", PAID_AT + HOUR + windows.payment, "report-window", FOLLOWS, filed(reason, HOUR)
    for reason in CARD:
        yield f"window-{reason}", DELIVERED_AT + windows.card, "report-window", FOLLOWS, filed(reason)
    for reason in GENERAL:
        yield f"window-{reason}", DELIVERED_AT + windows.general, "report-window", FOLLOWS, filed(reason)
    for reason in CARD + GENERAL:
        for own in (timedelta(hours=6), timedelta(days=30)):
            yield f"window-{reason}-own-{own.days}", DELIVERED_AT + own, "report-window", FOLLOWS, filed(reason, own)
    if windows.cooling_off is not None:
        for reason in COOLING_OFF:
            end = DELIVERED_AT + windows.cooling_off
            yield f"cooling-off-{reason}", end, "report-window", FOLLOWS, filed(reason)
            yield f"cooling-off-{reason}-own", end, "report-window", FOLLOWS, filed(reason, HOUR)
            end = PAID_AT + windows.cooling_off
            yield f"cooling-off-{reason}-undelivered", end, "report-window", FOLLOWS, filed(reason, delivered=False)


def turn_ends(policy: Policy, first_contact_at: datetime | None) -> datetime:
    from_contact = policy.merchant_turn.counted_from is CountedFrom.FIRST_CONTACT and first_contact_at is not None
    start = first_contact_at if from_contact and first_contact_at is not None else FILED_AT
    return end_of(start, policy.merchant_turn.length, STATUTORY).at


def merchant_answers(policy: Policy) -> Iterator[Row]:
    def judged(at: datetime, first_contact_at: datetime | None = None) -> Facts:
        claim = a_claim(Reason.NOT_AS_DESCRIBED, first_contact_at=first_contact_at)
        return facts(Reason.NOT_AS_DESCRIBED, as_of=at, claim=claim, deliveries=(a_delivery(),))

    def contested(at: datetime) -> Facts:
        merchant = a_merchant(response=MerchantResponse(Position.CONTEST, at))
        return facts(Reason.NOT_AS_DESCRIBED, as_of=end + 5 * HOUR, deliveries=(a_delivery(),), merchant=merchant)

    def answered(at: datetime) -> Facts:
        merchant = a_merchant(response=MerchantResponse(Position.ACCEPT, at))
        return facts(Reason.NOT_AS_DESCRIBED, deliveries=(a_delivery(),), merchant=merchant)

    yield "answer-given", AS_OF, "merchant-accepts", STAYS, answered
    end = turn_ends(policy, None)
    if policy.merchant_turn.given is When.NEVER:
        return
    contact = FILED_AT - 30 * HOUR
    by_contact = turn_ends(policy, contact)
    yield "merchants-turn", end, "merchant-turn", GOES, judged
    yield "merchants-silence", end, "merchant-silent", COMES, judged
    yield "merchants-turn-contact", by_contact, "merchant-turn", GOES, lambda at: judged(at, contact)
    yield "merchants-silence-contact", by_contact, "merchant-silent", COMES, lambda at: judged(at, contact)
    yield "merchants-objection", end, "merchant-contests", STAYS, contested
    yield "merchants-objection-too-late", end, "merchant-silent", FOLLOWS, contested


def deliveries(_: Policy) -> Iterator[Row]:
    def delivered(at: datetime) -> Facts:
        return facts(Reason.NOT_DELIVERED, deliveries=(a_delivery(delivered_at=at),))

    def used(at: datetime) -> Facts:
        delivery = a_delivery(usage=Usage.ACTIVATED, used_by=UsedBy.BUYER, used_at=at)
        return facts(Reason.INVALID_GOODS, deliveries=(delivery,))

    yield "delivered-by-now", AS_OF, "delivered-per-log", STAYS, delivered
    yield "used-after", DELIVERED_AT, "used-after-delivery", COMES, used
    yield "used-before", DELIVERED_AT, "card-used-before-delivery", GOES, used


def channel_disputes(policy: Policy) -> Iterator[Row]:
    def judged(at: datetime) -> Facts:
        wallet = a_payment("T-0", channel=Channel.BALANCE, paid_at=PAID_AT - HOUR)
        later = a_payment("T-2", paid_at=PAID_AT + HOUR)
        return facts(as_of=at, payments=(later, a_payment(), wallet), deliveries=(a_delivery(),))

    escalation = policy.escalation
    surely, perhaps = PAID_AT + escalation.channel_dispute_shortest, PAID_AT + escalation.channel_dispute_longest
    yield "channel-dispute", surely, "channel-dispute-open", STAYS, judged
    if surely < perhaps:
        yield "channel-dispute-perhaps", perhaps, "channel-dispute-depends", STAYS, judged


LIMITS = [limit for policy in PRESETS.values() for limit in limits_of(policy)]


def rules_found(verdict: Verdict) -> set[str]:
    return {finding.rule.id for finding in verdict.findings}


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_a_limit_holds_to_the_microsecond(limit: Limit) -> None:
    for step in STEPS:
        instants = (limit.at - step, limit.at, limit.at + step)
        found = tuple(limit.rule in rules_found(judge(limit.drawn(at), limit.policy)) for at in instants)
        assert found == limit.found, step


def test_every_preset_has_every_kind_of_limit() -> None:
    rules = {limit.rule for limit in LIMITS}
    assert rules >= {"not-yet-due", "settlement-lag", "report-window", "merchant-turn", "channel-dispute-depends"}
    assert all(sum(limit.policy is policy for limit in LIMITS) > 30 for policy in PRESETS.values())


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
@pytest.mark.parametrize(
    ("since", "counts"),
    [(PLACED_AT, COMES), (AS_OF, STAYS)],
    ids=["captured-after-the-order", "captured-by-now"],
)
def test_evidence_counts_between_the_order_and_the_judgement(
    policy: Policy, since: datetime, counts: tuple[bool, bool, bool]
) -> None:
    for step in STEPS:
        for at, counted in zip((since - step, since, since + step), counts, strict=True):
            piece = a_piece(EvidenceKind.CHAT_LOG, captured_at=at)
            assert bool(judge(facts(evidence=(piece,)), policy).standing.counting) is counted


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_without_an_order_no_evidence_is_too_old(policy: Policy) -> None:
    piece = a_piece(EvidenceKind.FAILURE_PAGE, captured_at=PLACED_AT - 1000 * HOUR)
    lost = facts(Reason.CHARGED_WITHOUT_ORDER, order=None, evidence=(piece,))
    assert judge(lost, policy).standing.counting == (piece,)


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_what_is_missing_may_be_supplied_for_exactly_the_supplement(policy: Policy) -> None:
    verdict = judge(facts(Reason.NOT_WORKING, deliveries=(a_delivery(),), evidence=()), policy)
    assert verdict.outcome is Outcome.REQUEST_EVIDENCE
    [deadline] = deadlines(verdict, STATUTORY)
    assert deadline.moment == Moment(AS_OF + policy.evidence.supplement, provisional=False)
    assert (deadline.name, deadline.rule) == ("evidence_supplement", "evidence-incomplete")


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_a_wait_ends_when_the_decision_says(policy: Policy) -> None:
    """Judged again at its deadline, a deferred claim is deferred no more; a microsecond earlier it still is."""
    early = facts(as_of=PAID_AT, claim=a_claim(filed_at=PAID_AT))
    decision = decide(early, policy)
    assert decision.verdict.outcome is Outcome.WAIT
    until = decision.deadlines[0].moment.at
    for step in STEPS:
        still = judge(facts(as_of=until - step, claim=early.claim), policy)
        assert still.outcome is Outcome.WAIT
    assert judge(facts(as_of=until, claim=early.claim), policy).outcome is not Outcome.WAIT


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
@pytest.mark.parametrize("channel", Channel)
def test_money_is_promised_back_within_the_channels_own_time(policy: Policy, channel: Channel) -> None:
    accepted = a_merchant(response=MerchantResponse(Position.ACCEPT, AS_OF))
    verdict = judge(facts(payments=(a_payment(channel=channel),), merchant=accepted), policy)
    assert verdict.outcome is Outcome.APPROVE
    [deadline] = deadlines(verdict, STATUTORY)
    assert deadline.moment == end_of(AS_OF, policy.arrival[channel], STATUTORY)
    if isinstance(policy.arrival[channel], Exact):
        assert deadline.moment.at - AS_OF < timedelta(days=1)


def test_a_refund_over_two_channels_is_back_when_the_slower_one_is() -> None:
    payments = (a_payment("T-1", channel=Channel.BALANCE), a_payment("T-2", channel=Channel.BANK_CARD))
    decision = decide(facts(payments=payments), PRESETS["standard"])
    assert decision.deadlines[0].moment == end_of(AS_OF, PRESETS["standard"].arrival[Channel.BANK_CARD], STATUTORY)
    assert [(each.action, each.by) for each in decision.next_actions] == [("pay_back", "channel")]


def test_a_refund_to_the_wallet_is_the_platforms_to_pay() -> None:
    decision = decide(facts(payments=(a_payment(channel=Channel.BALANCE),)), PRESETS["standard"])
    assert [(each.action, each.by) for each in decision.next_actions] == [("pay_back", "platform")]


# --- limits in money and in numbers


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_strikes_stop_the_automatic_yes_from_the_limit_on(policy: Policy) -> None:
    limit = policy.strikes_limit
    found = ["abuse-suspected" in rules_found(judge(facts(buyer=Buyer(n)), policy)) for n in range(limit + 2)]
    assert found == [False] * limit + [True, True]


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_thresholds_hold_to_the_fen(policy: Policy) -> None:
    def paid(amount: int) -> Facts:
        return facts(payments=(a_payment(amount=amount),), deliveries=(a_delivery(),))

    notarised, court = policy.escalation.notarised_from, policy.escalation.court_above
    around = [notarised - 1, notarised, notarised + 1]
    found = tuple("notarised-evidence-suggested" in rules_found(judge(paid(amount), policy)) for amount in around)
    assert found == COMES
    around = [court - 1, court, court + 1]
    actions = [[each.action for each in decide(paid(amount), policy).next_actions] for amount in around]
    assert tuple("sue" in each for each in actions) == FOLLOWS


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_an_amount_is_too_much_from_one_fen_above_the_balance(policy: Policy) -> None:
    payments = (a_payment(refunded_amount=900), a_payment("T-2", amount=100, status=PaymentStatus.PENDING))
    balance = PRICE - 900 + 100
    around = [balance - 1, balance, balance + 1]
    claims = [facts(claim=a_claim(amount=amount), payments=payments) for amount in around]
    assert tuple("amount-exceeds-paid" in rules_found(judge(each, policy)) for each in claims) == FOLLOWS
    assert tuple("amount-differs-from-order" in rules_found(judge(each, policy)) for each in claims) == GOES


def test_a_product_window_of_its_own_does_not_touch_other_windows() -> None:
    """The payment window and the cooling-off are the policy's, whatever the product's terms say."""
    own = an_order(goods={"terms": Terms(report_window=timedelta(seconds=1))})
    for reason in (Reason.NOT_DELIVERED, Reason.CHANGE_OF_MIND, Reason.DUPLICATE_CHARGE):
        assert "report-window" not in rules_found(judge(facts(reason, order=own), PRESETS["standard"]))


@pytest.mark.parametrize("policy", PRESETS.values(), ids=lambda policy: policy.name)
def test_a_refusal_sets_exact_times_for_what_comes_next(policy: Policy) -> None:
    """An appeal and a dispute are counted in days, so no holiday that is not published yet can move them."""
    decision = decide(facts(deliveries=(a_delivery(),)), policy)
    set_times = {deadline.name: deadline.moment for deadline in decision.deadlines}
    assert set_times == {
        "appeal": Moment(AS_OF + policy.escalation.appeal, provisional=False),
        "channel_dispute": Moment(PAID_AT + policy.escalation.channel_dispute_shortest, provisional=False),
    }
    until = {action.action: action.until for action in decision.next_actions}
    assert until == {
        "appeal": set_times["appeal"].at,
        "dispute_at_channel": set_times["channel_dispute"].at,
        "complain_to_12315": None,
    }


def test_working_days_in_a_year_that_is_not_published_yet_are_provisional() -> None:
    """The review that a person promises in December 2026 reaches into 2027, whose holidays nobody knows yet."""
    late = datetime(2026, 12, 30, 12, tzinfo=SHANGHAI)
    claim = a_claim(Reason.OTHER, filed_at=late)
    for as_of, provisional in ((late, True), (late - timedelta(days=9), False)):
        [deadline] = decide(facts(Reason.OTHER, claim=claim, as_of=as_of), PRESETS["standard"]).deadlines
        assert (deadline.name, deadline.moment.provisional) == ("review", provisional)


def test_face_values_are_short_full_or_more_to_the_fen() -> None:
    ordered = 10000
    for reason, rule, found in (
        (Reason.SHORT_DELIVERY, "short-per-log", GOES),
        (Reason.SHORT_DELIVERY, "delivered-in-full", COMES),
        (Reason.NOT_DELIVERED, "delivered-per-log", COMES),
    ):
        around = [
            (a_delivery("D-1", face_value=1), a_delivery("D-2", face_value=ordered - 1 + step)) for step in (-1, 0, 1)
        ]
        verdicts = [judge(facts(reason, deliveries=each), PRESETS["standard"]) for each in around]
        assert tuple(rule in rules_found(verdict) for verdict in verdicts) == found
