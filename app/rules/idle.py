"""The rules that were looked at and did not fire, with why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.rules.adjudicate import Verdict
from app.rules.calendar import Calendar
from app.rules.catalogue import RULES
from app.rules.checks.evidence import missing_evidence
from app.rules.checks.merchant_turn import merchant_deadline
from app.rules.explain import in_words
from app.rules.facts import EvidenceKind, Party, Side
from app.rules.findings import Circumstance, Fen, Rule, Value
from app.rules.labels import Words, words_of
from app.rules.lengths import Exact
from app.rules.standing import Standing
from app.rules.windows import report_window


@dataclass(frozen=True, slots=True)
class Idle:
    """A rule without a finding. `facts`: what its condition turned on."""

    rule: Rule
    why: Words
    facts: Mapping[str, Value]


def idle_rules(verdict: Verdict, calendar: Calendar) -> tuple[Idle, ...]:
    """Every rule of the catalogue that found nothing, in the order of the stages."""
    fired = {finding.rule.id for finding in verdict.findings}
    seen = _looked_at(verdict.standing, calendar)
    return tuple(_idle(rule, verdict.standing, seen) for rule in RULES if rule.id not in fired)


def _idle(rule: Rule, standing: Standing, seen: Mapping[str, Value]) -> Idle:
    if not rule.concerns(standing.reason):
        zh, en = words_of(standing.reason)
        return Idle(rule, (f"不适用于事由「{zh}」。", f"It does not concern the reason “{en}”."), {})
    facts = {name: seen[name] for name in rule.looks_at}
    state_zh, state_en = _state(facts)
    zh = f"未据此认定：{rule.when_zh}。{state_zh}"
    en = f"Nothing found under: {rule.when_en}. {state_en}"
    return Idle(rule, (zh.strip(), en.strip()), facts)


def _state(facts: Mapping[str, Value]) -> Words:
    if not facts:
        return "", ""
    said = {name: in_words(value) for name, value in facts.items()}
    zh = "；".join(f"{name} = {words[0]}" for name, words in said.items())
    en = "; ".join(f"{name} = {words[1]}" for name, words in said.items())
    return f"（{zh}）", f"({en})"


def _looked_at(standing: Standing, calendar: Calendar) -> Mapping[str, Value]:
    return {
        **dict(_of_the_claim(standing)),
        **dict(_of_the_order(standing)),
        **dict(_of_the_records(standing)),
        **dict(_of_the_evidence(standing)),
        **dict(_of_the_merchant(standing, calendar)),
    }


def _of_the_claim(standing: Standing) -> Iterator[tuple[str, Value]]:
    claim, window = standing.claim, report_window(standing)
    yield "remedy", claim.remedy
    yield "via", claim.via
    yield "claimed", None if claim.amount is None else Fen(claim.amount)
    yield "filed_at", claim.filed_at
    yield "window_ends_at", None if window is None else window.ended_at
    yield "policy", standing.policy.name
    yield "settlement_lag", Exact(standing.policy.settlement_lag)
    yield "strikes", standing.facts.buyer.strikes
    ruling = standing.course.ruling
    yield "ruling", None if ruling is None else ruling.outcome
    yield "appealed_at", standing.course.appealed_at


def _of_the_order(standing: Standing) -> Iterator[tuple[str, Value]]:
    order, goods = standing.order, standing.goods
    yield "order_status", Circumstance.MISSING if order is None else order.status
    yield "cancelled_by", None if order is None else order.cancelled_by
    yield "traits", () if goods is None else tuple(sorted(goods.traits))
    yield "refundable", None if goods is None else goods.terms.refundable
    yield "card_use", None if goods is None else goods.card_use


def _of_the_records(standing: Standing) -> Iterator[tuple[str, Value]]:
    yield "balance", Fen(standing.balance)
    yield "last_paid_at", standing.last_paid_at
    yield "succeeded_payments", len(standing.succeeded)
    yield "due_at", standing.due_at
    yield "delivered_at", standing.delivered_at
    yield "delivered_value", None if standing.delivered_value is None else Fen(standing.delivered_value)
    yield "ordered_value", None if standing.ordered_value is None else Fen(standing.ordered_value)
    yield "usage", standing.usage
    yield "used_at", max((each.used_at for each in standing.delivered if each.used_at is not None), default=None)
    yield "used_by", tuple(each.used_by for each in standing.delivered)
    yield "card_status", tuple(each.card_status for each in standing.delivered)
    yield "times_sold", max((each.times_sold for each in standing.delivered), default=0)


def _of_the_evidence(standing: Standing) -> Iterator[tuple[str, Value]]:
    pieces = standing.facts.evidence
    yield "evidence_put_forward", tuple(piece.kind for piece in pieces)
    yield "evidence_missing", missing_evidence(standing)
    yield "reused_files", sum(piece.reused and piece.party is Party.BUYER for piece in pieces)
    for_the_buyer = {piece.kind for piece in standing.counting if piece.supports is Side.BUYER}
    yield "third_party_statement", EvidenceKind.THIRD_PARTY_STATEMENT in for_the_buyer
    yield "bank_statement", EvidenceKind.BANK_STATEMENT in for_the_buyer


def _of_the_merchant(standing: Standing, calendar: Calendar) -> Iterator[tuple[str, Value]]:
    merchant = standing.facts.merchant
    answer = None if merchant is None else merchant.response
    yield "merchant_status", None if merchant is None else merchant.status
    yield "merchant_position", None if answer is None else answer.position
    yield "merchant_deadline", merchant_deadline(standing, calendar).at
