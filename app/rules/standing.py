"""How an order stands at `as_of`: the records read once, for every check."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.rules.facts import (
    Claim,
    Course,
    Delivery,
    Evidence,
    Facts,
    Goods,
    Order,
    Payment,
    PaymentStatus,
    Reason,
    Usage,
)
from app.rules.policy import Policy
from app.rules.reasons import REASONS, Fault
from app.rules.weighing import Discounted, weigh_evidence

USED = frozenset({Usage.ACTIVATED, Usage.CONSUMED})
_FIRST_JUDGEMENT = Course()


@dataclass(frozen=True, slots=True)
class Standing:
    """What the records add up to. Amounts in fen; None means that the records do not tell.

    `balance`: succeeded and pending payments less what went back; `refundable`: the same of the succeeded alone.
    `succeeded` is ordered earliest first. `usage` of goods that were never delivered is unused.
    """

    facts: Facts
    policy: Policy
    claim: Claim
    reason: Reason
    fault: Fault
    order: Order | None
    goods: Goods | None
    as_of: datetime
    succeeded: tuple[Payment, ...]
    pending: tuple[Payment, ...]
    foreign: tuple[Payment, ...]
    balance: int
    refundable: int
    paid_at: datetime | None
    last_paid_at: datetime | None
    due_at: datetime | None
    delivered: tuple[Delivery, ...]
    delivered_at: datetime | None
    delivered_value: int | None
    ordered_value: int | None
    usage: Usage
    counting: tuple[Evidence, ...]
    discounted: tuple[Discounted, ...]

    @property
    def course(self) -> Course:
        """What happened in the case before; nothing, where the claim is judged for the first time."""
        return self.facts.course or _FIRST_JUDGEMENT

    @property
    def is_used(self) -> bool:
        """Whether the records show use; unknown use does not."""
        return self.usage in USED

    @property
    def is_short(self) -> bool:
        """Whether less than the ordered face value is known to have been delivered."""
        return (
            self.delivered_value is not None
            and self.ordered_value is not None
            and self.delivered_value < self.ordered_value
        )

    @property
    def is_due(self) -> bool:
        """Whether the promised time has come; the instant itself has."""
        return self.due_at is not None and self.as_of >= self.due_at


def read_standing(facts: Facts, policy: Policy) -> Standing:
    """Read the records once."""
    order = facts.order
    goods = None if order is None else order.goods
    own, foreign = _payments_of(order, facts.payments)
    succeeded = tuple(sorted((p for p in own if p.status is PaymentStatus.SUCCEEDED), key=_earliest_first))
    pending = tuple(p for p in own if p.status is PaymentStatus.PENDING)
    refundable = sum(p.remaining for p in succeeded)
    paid_at = succeeded[0].paid_at if succeeded else None
    delivered = tuple(d for d in facts.deliveries if d.delivered_at is not None and d.delivered_at <= facts.as_of)
    counting, discounted = weigh_evidence(facts)
    return Standing(
        facts=facts,
        policy=policy,
        claim=facts.claim,
        reason=facts.claim.reason,
        fault=REASONS[facts.claim.reason].fault,
        order=order,
        goods=goods,
        as_of=facts.as_of,
        succeeded=succeeded,
        pending=pending,
        foreign=foreign,
        balance=refundable + sum(p.remaining for p in pending),
        refundable=refundable,
        paid_at=paid_at,
        last_paid_at=succeeded[-1].paid_at if succeeded else None,
        due_at=_due_at(goods, paid_at, policy),
        delivered=delivered,
        delivered_at=max((d.delivered_at for d in delivered if d.delivered_at is not None), default=None),
        delivered_value=_face_value(delivered),
        ordered_value=None if goods is None else goods.face_value,
        usage=_usage(delivered),
        counting=counting,
        discounted=discounted,
    )


def _earliest_first(payment: Payment) -> tuple[datetime, str]:
    return payment.paid_at, payment.payment_no


def _payments_of(order: Order | None, payments: tuple[Payment, ...]) -> tuple[tuple[Payment, ...], tuple[Payment, ...]]:
    """The payments that count, and those that name another order. Without an order nothing can be another's."""
    if order is None:
        return payments, ()
    own = tuple(p for p in payments if p.order_no is None or p.order_no == order.order_no)
    if len(own) == len(payments):
        return own, ()
    return own, tuple(p for p in payments if p.order_no is not None and p.order_no != order.order_no)


def _due_at(goods: Goods | None, paid_at: datetime | None, policy: Policy) -> datetime | None:
    if goods is None:
        return None
    if goods.promised_at is not None:
        return goods.promised_at
    return None if paid_at is None else paid_at + policy.promises[goods.delivery_mode]


def _face_value(delivered: Iterable[Delivery]) -> int | None:
    """The sum of the face values; one piece without a value leaves the sum unknown."""
    total = 0
    for delivery in delivered:
        if delivery.face_value is None:
            return None
        total += delivery.face_value
    return total


def _usage(delivered: tuple[Delivery, ...]) -> Usage:
    for delivery in delivered:
        if delivery.usage in USED:
            return delivery.usage
    if all(delivery.usage is Usage.UNUSED for delivery in delivered):
        return Usage.UNUSED
    return Usage.UNKNOWN
