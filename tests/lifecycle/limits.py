"""What has to be done by when: written from `docs/lifecycle.md` and `docs/rules.md`, and not from the code.

Only the counting of working days is the project's own; it has tests of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias

from app.rules.adjudicate import Verdict
from app.rules.calendar import STATUTORY
from app.rules.facts import Channel, Course, DeliveryMode, Facts, Payment, PaymentStatus, Reason

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Length: TypeAlias = timedelta | int
"""An exact length, or a number of working days."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a policy gives: to the reviewer, to the channel for the money, to the buyer, to the merchant."""

    review: Length
    first_answer: timedelta | None
    money_back: Mapping[Channel, Length]
    two_people_above: int | None
    appeal: timedelta = 7 * DAY
    evidence: timedelta = DAY
    merchant: Length = DAY
    settlement: timedelta = timedelta(minutes=15)
    channel_dispute: timedelta = 180 * DAY  # where it is open at every channel
    freezes: bool = False
    court_above: int = 500_000


TERMS: Mapping[str, Terms] = MappingProxyType(
    {
        "standard": Terms(
            review=3,
            first_answer=None,
            money_back={
                Channel.ALIPAY: 3, Channel.WECHAT_PAY: 3, Channel.BANK_CARD: 7, Channel.UNIONPAY: 7,
                Channel.BALANCE: HOUR,
            },
            two_people_above=None,
        ),
        "card_error": Terms(
            review=7,
            first_answer=48 * HOUR,
            money_back={
                Channel.ALIPAY: HOUR, Channel.WECHAT_PAY: HOUR, Channel.BANK_CARD: 3, Channel.UNIONPAY: 3,
                Channel.BALANCE: HOUR,
            },
            two_people_above=500_000,
        ),
        "binghui": Terms(
            review=3,
            first_answer=None,
            money_back={
                Channel.ALIPAY: 2, Channel.WECHAT_PAY: 2, Channel.BANK_CARD: 3, Channel.UNIONPAY: 3,
                Channel.BALANCE: HOUR,
            },
            two_people_above=None,
            merchant=3,
            freezes=True,
        ),
        "consumption": Terms(
            review=3,
            first_answer=None,
            money_back={
                Channel.ALIPAY: 3, Channel.WECHAT_PAY: 3, Channel.BANK_CARD: 7, Channel.UNIONPAY: 7,
                Channel.BALANCE: HOUR,
            },
            two_people_above=None,
            channel_dispute=15 * DAY,
        ),
    }
)  # fmt: skip
PROMISED_WITHIN = {DeliveryMode.INSTANT: timedelta(minutes=5), DeliveryMode.SCHEDULED: DAY}


def limits(verdict: Verdict, facts: Facts, terms: Terms) -> dict[str, datetime]:
    """Every limit that a judgement sets, by name."""
    now, course = facts.as_of, facts.course or Course()
    match verdict.outcome.value:
        case "approve":
            assert verdict.refund is not None
            channels = [share.payment.channel for share in verdict.refund.shares]
            return {"money_back": max(arrival(now, channel, terms) for channel in channels)}
        case "reject":
            once = {} if course.appealed_at is not None else {"appeal": now + terms.appeal}
            return {**once, **_dispute(facts, terms)}
        case "wait":
            return {"wait": _end_of_wait(facts, terms)}
        case "request_evidence":
            return {"evidence_supplement": (course.evidence_requested_at or now) + terms.evidence}
        case "await_merchant":
            asked_at = max(facts.claim.filed_at, course.resumed_at or facts.claim.filed_at)
            return {"merchant_turn": _end(asked_at, terms.merchant)}
        case _:
            began_at = course.review_started_at or now
            first = {} if terms.first_answer is None else {"first_answer": began_at + terms.first_answer}
            return {"review": _end(began_at, terms.review), **first}


def reminder(name: str, limit: datetime, now: datetime) -> datetime | None:
    """24 hours before, or with a quarter of the time left; nobody is reminded of a wait, or of what is past."""
    at = limit - min(DAY, (limit - now) / 4)
    return None if name == "wait" or limit <= now or at <= now else at


def arrival(asked_at: datetime, channel: Channel, terms: Terms) -> datetime:
    """By when money that is asked for now is promised to be back."""
    return _end(asked_at, terms.money_back[channel])


def _end(start: datetime, length: Length) -> datetime:
    if isinstance(length, timedelta):
        return start + length
    return STATUTORY.end_of_nth_working_day(start, length).at


def _dispute(facts: Facts, terms: Terms) -> dict[str, datetime]:
    outside = [each.paid_at for each in own(facts) if each.channel is not Channel.BALANCE]
    until = min(outside) + terms.channel_dispute if outside else None
    return {} if until is None or until < facts.as_of else {"channel_dispute": until}


def own(facts: Facts, status: PaymentStatus = PaymentStatus.SUCCEEDED) -> list[Payment]:
    """The order's payments with this status, the earliest first."""
    mine = [each for each in facts.payments if facts.order is None or each.order_no in (None, facts.order.order_no)]
    return sorted((each for each in mine if each.status is status), key=lambda each: (each.paid_at, each.payment_no))


def _end_of_wait(facts: Facts, terms: Terms) -> datetime:
    if facts.claim.reason in (Reason.CHARGED_WITHOUT_ORDER, Reason.DUPLICATE_CHARGE):
        lacking = facts.claim.reason is Reason.CHARGED_WITHOUT_ORDER
        charges: list[Payment] = [*own(facts, PaymentStatus.PENDING), *(own(facts) if lacking else ())]
        return max(each.paid_at for each in charges) + terms.settlement
    assert facts.order is not None
    goods = facts.order.goods
    return goods.promised_at or own(facts)[0].paid_at + PROMISED_WITHIN[goods.delivery_mode]
