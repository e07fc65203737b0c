"""Facts drawn so that every rule is reached: instants near the limits that matter, money small and large."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from app.rules.calendar import SHANGHAI
from app.rules.facts import (
    RULING_CODES,
    Buyer,
    CancelledBy,
    CardStatus,
    CardUse,
    Channel,
    ChatChannel,
    Claim,
    Course,
    Delivery,
    DeliveryMode,
    Evidence,
    EvidenceKind,
    Facts,
    Goods,
    GoodsKind,
    Merchant,
    MerchantResponse,
    MerchantStatus,
    Order,
    OrderStatus,
    Party,
    Payment,
    PaymentStatus,
    Position,
    Reason,
    Remedy,
    Ruled,
    Ruling,
    Side,
    Terms,
    Trait,
    Usage,
    UsedBy,
    Via,
)
from app.rules.policy import Policy
from app.rules.presets import PRESETS
from tests.rules.building import FITTING, PLACED_AT, with_clauses

EARLIEST, LATEST = datetime(2000, 1, 3, tzinfo=SHANGHAI), datetime(2099, 1, 1, tzinfo=SHANGHAI)
LARGEST = 10**12


def span(text: str) -> timedelta:
    """A length written short: `3m`, `-1d`, `7d1u` (a microsecond more than seven days)."""
    sign = -1 if text.startswith("-") else 1
    units = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "u": "microseconds"}
    lengths, number = timedelta(), ""
    for letter in text.removeprefix("-"):
        if letter.isdigit():
            number += letter
        else:
            lengths += timedelta(**{units[letter]: int(number)})
            number = ""
    return sign * lengths


def spans(*texts: str) -> SearchStrategy[timedelta]:
    return st.sampled_from([span(text) for text in texts])


MONEY = st.sampled_from([1, 2, 99, 4950, 9900, 9900, 300_000, 500_001, LARGEST])
FACE_VALUES = st.sampled_from([None, 0, 1, 3333, 5000, 9999, 10000, 10000, LARGEST])
PAID = spans("0s", "20s", "20s", "1m", "10m", "1d")
DELIVERED = spans("3m", "3m", "3m", "0s", "5m20s", "5m20s1u", "30m", "30m", "1d", "2d", "200d")
FILED = spans("20m", "5h", "5h", "5h", "20h", "0s", "1m", "1d", "1d3m1u", "6d", "7d3m", "7d3m1u", "20d", "181d")
JUDGED = spans("0s", "0s", "1m", "1h", "1h", "1d", "1d", "8d", "30d", "200d")
CAPTURED = spans("-1u", "0s", "1m", "1m", "5m", "5m", "250d")
ANCHORS = st.one_of(
    st.just(PLACED_AT),
    st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(SHANGHAI)),
)
VARIANTS: tuple[Policy, ...] = (
    *PRESETS.values(),
    with_clauses(PRESETS["standard"], partial_claims="allow"),
    with_clauses(PRESETS["standard"], evidence_asked="always", merchant_turn="never", deposit="no"),
    with_clauses(PRESETS["binghui"], cooling_off="P15D", wrong_item="if_unused", buyer_mistake="manual_review"),
)
POLICIES = st.sampled_from(VARIANTS)
# Most claims are in order, so that the later stages are reached.
REMEDIES = st.sampled_from([Remedy.REFUND] * 9 + [Remedy.RETURN_AND_REFUND])
VIAS = st.sampled_from([Via.PLATFORM] * 9 + [Via.PRIVATE])
STRIKES = st.sampled_from([0] * 12 + [1, 2, 9])
MOSTLY_NOT = st.sampled_from([False] * 9 + [True])
ORDER_NOS = st.sampled_from(["K-1"] * 6 + [None, None, "K-2"])


@st.composite
def payments(draw: DrawFn, anchor: datetime) -> tuple[Payment, ...]:
    how_many = draw(st.sampled_from([1] * 6 + [2] * 5 + [3, 0]))
    return tuple(draw(_payment(anchor, f"T-{number}")) for number in range(how_many))


@st.composite
def _payment(draw: DrawFn, anchor: datetime, number: str) -> Payment:
    amount = draw(MONEY)
    status = draw(st.sampled_from([PaymentStatus.SUCCEEDED] * 8 + [PaymentStatus.PENDING, PaymentStatus.FAILED]))
    refunded = draw(st.sampled_from([0] * 9 + [1, amount // 2, amount]))
    return Payment(
        number, draw(st.sampled_from(Channel)), status, amount, anchor + draw(PAID), draw(ORDER_NOS), refunded
    )


@st.composite
def deliveries(draw: DrawFn, anchor: datetime) -> tuple[Delivery, ...]:
    return tuple(draw(_delivery(anchor, f"D-{number}")) for number in range(draw(st.sampled_from([1, 1, 1, 0, 0, 2]))))


@st.composite
def _delivery(draw: DrawFn, anchor: datetime, number: str) -> Delivery:
    delivered_at = draw(st.sampled_from([anchor] * 9 + [None])) and anchor + draw(DELIVERED)
    used_at = draw(st.sampled_from([None, *[(delivered_at or anchor) + span(text) for text in ("-1u", "0s", "1h")]]))
    return Delivery(
        delivery_no=number,
        delivered_at=delivered_at,
        face_value=draw(FACE_VALUES),
        usage=draw(st.sampled_from([Usage.UNUSED, Usage.ACTIVATED, *Usage])),
        used_at=used_at,
        used_by=draw(st.sampled_from([UsedBy.BUYER, *UsedBy])),
        card_status=draw(st.sampled_from(CardStatus)),
        times_sold=draw(st.sampled_from([1, 1, 2])),
    )


@st.composite
def pieces(draw: DrawFn, anchor: datetime, kind: EvidenceKind | None = None) -> Evidence:
    return Evidence(
        kind=draw(st.sampled_from(EvidenceKind)) if kind is None else kind,
        party=draw(st.sampled_from([Party.BUYER, Party.BUYER, Party.BUYER, *Party])),
        captured_at=anchor + draw(CAPTURED),
        order_no=draw(ORDER_NOS),
        channel=draw(st.sampled_from([None, ChatChannel.IN_PLATFORM, ChatChannel.IN_PLATFORM, *ChatChannel])),
        composite=draw(MOSTLY_NOT),
        stamped=draw(st.booleans()),
        reused=draw(MOSTLY_NOT),
        supports=draw(st.sampled_from([None, Side.BUYER, Side.BUYER, Side.MERCHANT])),
    )


def fitting(reason: Reason, at: datetime) -> tuple[Evidence, ...]:
    """What the reason rests on, in a form that counts."""
    return tuple(
        Evidence(kind, Party.BUYER, at, channel=ChatChannel.IN_PLATFORM, stamped=True) for kind in FITTING[reason]
    )


@st.composite
def evidence(draw: DrawFn, anchor: datetime, reason: Reason) -> tuple[Evidence, ...]:
    whole = fitting(reason, anchor) if draw(st.sampled_from([True, True, True, False])) else ()
    stray = tuple(draw(pieces(anchor)) for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))))
    statements = (EvidenceKind.THIRD_PARTY_STATEMENT, EvidenceKind.BANK_STATEMENT)
    said = tuple(draw(pieces(anchor, kind)) for kind in statements if draw(MOSTLY_NOT))
    return whole + stray + said


@st.composite
def goods(draw: DrawFn, anchor: datetime) -> Goods:
    terms = Terms(
        report_window=draw(st.sampled_from([None, None, None, timedelta(hours=1), timedelta(days=30)])),
        refundable=draw(st.sampled_from([None] * 6 + [True, False])),
    )
    return Goods(
        sku="pass",
        name="会员",
        kind=draw(st.sampled_from(GoodsKind)),
        delivery_mode=draw(st.sampled_from([DeliveryMode.INSTANT, *DeliveryMode])),
        promised_at=draw(st.sampled_from([None, None, None, anchor + span("10m"), anchor + span("9d")])),
        card_use=draw(st.sampled_from([CardUse.SINGLE_USE, *CardUse])),
        face_value=draw(FACE_VALUES),
        traits=draw(st.sampled_from([frozenset()] * 6 + [frozenset({Trait.TRIAL}), frozenset(Trait)])),
        terms=terms,
    )


@st.composite
def orders(draw: DrawFn, anchor: datetime, reason: Reason) -> Order | None:
    if reason is Reason.CHARGED_WITHOUT_ORDER and draw(st.booleans()):
        return None
    likely = OrderStatus.CANCELLED if reason is Reason.ORDER_CANCELLED else OrderStatus.PAID
    return Order(
        order_no="K-1",
        merchant_id="shop-3",
        buyer_id="user-5",
        amount=draw(MONEY),
        currency="CNY",
        status=draw(st.sampled_from([likely] * 12 + [*OrderStatus])),
        placed_at=anchor,
        goods=draw(goods(anchor)),
        cancelled_by=draw(st.sampled_from([None, CancelledBy.BUYER, *CancelledBy])),
        cancelled_at=None,
    )


@st.composite
def merchants(draw: DrawFn, anchor: datetime) -> Merchant | None:
    if draw(MOSTLY_NOT):
        return None
    answer = MerchantResponse(draw(st.sampled_from(Position)), anchor + draw(spans("2h", "6h", "2d", "9d", "40d")))
    return Merchant(
        merchant_id="shop-3",
        status=draw(st.sampled_from([MerchantStatus.ACTIVE] * 3 + [*MerchantStatus])),
        identity_verified=draw(st.booleans()),
        deposit=draw(st.sampled_from([0, 9899, 9900, 2 * LARGEST])),
        response=draw(st.sampled_from([None, None, answer])),
    )


@st.composite
def rulings(draw: DrawFn, at: datetime) -> Ruling:
    outcome = draw(st.sampled_from(Ruled))
    amount = draw(st.none() | MONEY) if outcome is Ruled.APPROVE else None
    return Ruling(outcome, draw(st.sampled_from(sorted(RULING_CODES[outcome]))), at, amount)


@st.composite
def courses(draw: DrawFn, filed_at: datetime, as_of: datetime) -> Course:
    """What may have happened between the filing and the judgement; a ruling in one of four."""
    instants = st.sampled_from([filed_at, as_of, max(filed_at, as_of - span("1d")), as_of - (as_of - filed_at) / 2])
    perhaps = st.none() | instants
    ruled_at = draw(st.sampled_from([None, None, None, filed_at])) and draw(instants)
    return Course(
        evidence_requested_at=draw(perhaps),
        review_started_at=draw(perhaps),
        resumed_at=draw(perhaps),
        appealed_at=draw(perhaps),
        ruling=None if ruled_at is None else draw(rulings(ruled_at)),
    )


@st.composite
def facts(draw: DrawFn, reasons: SearchStrategy[Reason] | None = None) -> Facts:
    """Any claim that the service would let through to the rules; two in three have nothing wrong with their form."""
    anchor = draw(ANCHORS)
    reason = draw(st.sampled_from(Reason) if reasons is None else reasons)
    filed_at = anchor + draw(FILED)
    as_of = filed_at + draw(JUDGED)
    drawn = Facts(
        as_of=as_of,
        claim=Claim(
            reason=reason,
            filed_at=filed_at,
            first_contact_at=draw(st.sampled_from([None, None, filed_at, anchor])),
            description=draw(st.sampled_from([None, "到账了吗？"])),
        ),
        order=draw(orders(anchor, reason)),
        payments=draw(payments(anchor)),
        deliveries=draw(deliveries(anchor)),
        evidence=draw(evidence(anchor, reason)),
        merchant=draw(merchants(anchor)),
        course=draw(courses(filed_at, as_of)) if draw(MOSTLY_NOT) else None,
    )
    return _in_order(drawn) if draw(st.sampled_from([True, True, False])) else draw(_with_odd_form(drawn))


@st.composite
def facts_under_way(draw: DrawFn) -> Facts:
    """A claim that was judged before."""
    drawn = draw(facts())
    return replace(drawn, course=draw(courses(drawn.claim.filed_at, drawn.as_of)))


def _in_order(drawn: Facts) -> Facts:
    """The same claim, with payments that settled and evidence that nobody used before."""
    settled = tuple(
        replace(each, status=PaymentStatus.SUCCEEDED, order_no="K-1", refunded_amount=0) for each in drawn.payments
    )
    return replace(drawn, payments=settled, evidence=tuple(replace(each, reused=False) for each in drawn.evidence))


@st.composite
def _with_odd_form(draw: DrawFn, drawn: Facts) -> Facts:
    balance = sum(each.remaining for each in drawn.payments if each.status is not PaymentStatus.FAILED)
    amount = draw(st.sampled_from([None, None, balance, balance, balance - 1, balance + 1, 1]))
    claim = replace(
        drawn.claim, remedy=draw(REMEDIES), via=draw(VIAS), amount=amount if amount is None or amount > 0 else None
    )
    return replace(drawn, claim=claim, buyer=Buyer(draw(STRIKES)))
