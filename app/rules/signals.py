"""What a verdict shows about a buyer's or a merchant's good faith: signals, some of them strikes, each with its rule.

A signal blocks nobody. A buyer with as many strikes as the policy names is not approved automatically any more.

A strike is for what cannot be an honest slip. To say that nothing arrived when it had is bad faith (seed 000 §二
第五步), and so is using goods and calling them dead (seed 004 §四.2). To ask for the cooling-off on used goods may be
ignorance, and a valid card looks dead to somebody who mistypes it: both are signals, and no strikes. Whatever the
record shows, it tells against a buyer only if it was there when the buyer complained: a claim that a later delivery
overtook was true.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.rules.adjudicate import Verdict
from app.rules.checks.contradictions import CARD_VALID, DELIVERED_IN_FULL, DELIVERED_PER_LOG, USED_AFTER_DELIVERY
from app.rules.checks.exclusions import GOODS_USED
from app.rules.checks.good_faith import ABUSE_SUSPECTED
from app.rules.checks.merchant_turn import MERCHANT_SILENT
from app.rules.checks.records import CARD_SOLD_TWICE
from app.rules.facts import Delivery, Order, Party, Position, UsedBy
from app.rules.findings import Finding, Stage, Value
from app.rules.policy import Policy
from app.rules.reasons import MERCHANT_FAULT
from app.rules.standing import USED, Standing


class Subject(StrEnum):
    """信号对象: whom a signal is about."""

    BUYER = "buyer"
    MERCHANT = "merchant"


class SignalKind(StrEnum):
    """信号类型."""

    CONTRADICTED_BY_LOG = "contradicted_by_log"
    CLAIM_AFTER_USE = "claim_after_use"
    FILE_REUSED = "file_reused"
    SILENT = "silent"
    CONTEST_CONTRADICTED = "contest_contradicted"
    CARD_SOLD_TWICE = "card_sold_twice"
    HIGH_REFUND_RATE = "high_refund_rate"


ARRIVED = (DELIVERED_PER_LOG, DELIVERED_IN_FULL)
WAS_USED = (USED_AFTER_DELIVERY, GOODS_USED)
# The clause that sees a rate, which no rule about a single claim can.
REFUND_RATE_LIMIT = "refund_rate_limit"


@dataclass(frozen=True, slots=True)
class Signal:
    """信号: `rule` saw it; `subject_id` is the site's own id of the buyer or of the merchant."""

    subject: Subject
    subject_id: str
    kind: SignalKind
    rule: str
    strike: bool
    facts: Mapping[str, Value]


def signals_of(verdict: Verdict) -> tuple[Signal, ...]:
    """What one judgement shows: at most one signal of a kind. Without an order it is not known about whom."""
    order = verdict.standing.order
    return () if order is None else (*_of_buyer(verdict, order), *_of_merchant(verdict, order))


def refund_rate_signal(merchant_id: str, policy: Policy, *, approved: int, orders: int) -> Signal | None:
    """A rate of refunds that reaches the policy's limit.

    `approved`: cases approved for the merchant's fault within the policy's period; `orders`: the merchant's, within it.
    """
    rate = policy.refund_rate
    if rate is None or orders < rate.orders or approved * 100 < rate.limit * orders:
        return None
    facts: dict[str, Value] = {"approved": approved, "orders": orders, "limit": rate.limit, "period": rate.period}
    return _about_merchant(merchant_id, SignalKind.HIGH_REFUND_RATE, REFUND_RATE_LIMIT, facts)


def _of_buyer(verdict: Verdict, order: Order) -> Iterator[Signal]:
    standing, decisive = verdict.standing, verdict.decisive
    if decisive.rule in (*ARRIVED, CARD_VALID) and _had_all_arrived(standing):
        facts = {**decisive.facts, "complained_at": _complained_at(standing)}
        yield _about_buyer(order, SignalKind.CONTRADICTED_BY_LOG, decisive.rule.id, decisive.rule in ARRIVED, facts)
    if decisive.rule in WAS_USED:
        yield from _after_use(standing, decisive, order)
    reused = [piece.kind for piece in standing.facts.evidence if piece.reused and piece.party is Party.BUYER]
    if reused:
        kinds = tuple(sorted(set(reused)))
        again: dict[str, Value] = {"reused": len(reused), "kinds": kinds}
        yield _about_buyer(order, SignalKind.FILE_REUSED, ABUSE_SUSPECTED.id, True, again)


def _after_use(standing: Standing, decisive: Finding, order: Order) -> Iterator[Signal]:
    """The buyer's own use before the complaint. One piece left unused may be the one that was complained of."""
    used = [delivery for delivery in standing.delivered if _used_by_buyer(delivery, _complained_at(standing))]
    if used:
        facts = {**decisive.facts, "delivery_no": used[0].delivery_no, "used_at": used[0].used_at}
        facts["complained_at"] = _complained_at(standing)
        strike = decisive.rule is USED_AFTER_DELIVERY and len(used) == len(standing.delivered)
        yield _about_buyer(order, SignalKind.CLAIM_AFTER_USE, decisive.rule.id, strike, facts)


def _of_merchant(verdict: Verdict, order: Order) -> Iterator[Signal]:
    decisive = verdict.decisive
    if decisive.rule is MERCHANT_SILENT:
        yield _about_merchant(order.merchant_id, SignalKind.SILENT, decisive.rule.id, decisive.facts)
    contested_at = _contested_at(verdict.standing)
    if decisive.rule.stage is Stage.CONFIRMATION and contested_at is not None:  # what the records confirm is approved
        facts = {**decisive.facts, "contested_at": contested_at}
        yield _about_merchant(order.merchant_id, SignalKind.CONTEST_CONTRADICTED, decisive.rule.id, facts)
    for finding in verdict.findings:
        if finding.rule is CARD_SOLD_TWICE:
            yield _about_merchant(order.merchant_id, SignalKind.CARD_SOLD_TWICE, finding.rule.id, finding.facts)


def _about_buyer(order: Order, kind: SignalKind, rule: str, strike: bool, facts: Mapping[str, Value]) -> Signal:
    return Signal(Subject.BUYER, order.buyer_id, kind, rule, strike, facts)


def _about_merchant(merchant_id: str, kind: SignalKind, rule: str, facts: Mapping[str, Value]) -> Signal:
    """Strikes are the buyers': no policy counts a merchant's."""
    return Signal(Subject.MERCHANT, merchant_id, kind, rule, strike=False, facts=facts)


def _complained_at(standing: Standing) -> datetime:
    claim = standing.claim
    return claim.filed_at if claim.first_contact_at is None else min(claim.first_contact_at, claim.filed_at)


def _had_all_arrived(standing: Standing) -> bool:
    return standing.delivered_at is not None and standing.delivered_at <= _complained_at(standing)


def _used_by_buyer(delivery: Delivery, by: datetime) -> bool:
    used_at, delivered_at = delivery.used_at, delivery.delivered_at
    if delivery.usage not in USED or delivery.used_by is not UsedBy.BUYER:
        return False
    return used_at is not None and delivered_at is not None and delivered_at <= used_at <= by


def _contested_at(standing: Standing) -> datetime | None:
    """When the merchant objected to a claim that names its fault; an offer to re-issue objects to nothing."""
    merchant = standing.facts.merchant
    answer = None if merchant is None else merchant.response
    if answer is None or answer.position is not Position.CONTEST or answer.at > standing.as_of:
        return None
    return answer.at if standing.reason in MERCHANT_FAULT else None
