"""Stage 9: the merchant is heard on claims that name the merchant's fault."""

from collections.abc import Iterator
from datetime import datetime

from app.rules.calendar import Calendar, Moment
from app.rules.checks.used_goods import USED_GOODS, unless_spoiled
from app.rules.facts import MerchantResponse, MerchantStatus, Position
from app.rules.findings import Effect, Finding, Outcome, Rule, Stage, Value
from app.rules.lengths import end_of
from app.rules.policy import CountedFrom, When
from app.rules.reasons import MERCHANT_FAULT
from app.rules.standing import Standing


def _rule(
    rule_id: str,
    effect: Effect,
    source: str,
    looks_at: tuple[str, ...],
    *,
    en: str,
    zh: str,
    when_en: str,
    when_zh: str,
) -> Rule:
    return Rule(rule_id, Stage.MERCHANT_TURN, effect, source, en, zh, when_en, when_zh, MERCHANT_FAULT, looks_at)


MERCHANT_ACCEPTS = _rule(
    "merchant-accepts",
    Effect.SUPPORTS,
    "seed 001 §二.1",
    ("merchant_position",),
    en="The merchant accepted the claim at {answered_at}.",
    zh="商家已于 {answered_at} 同意退款。",
    when_en="the merchant accepts the claim",
    when_zh="商家同意退款",
)
MERCHANT_UNREACHABLE = _rule(
    "merchant-unreachable",
    Effect.SUPPORTS,
    "seed 001 §一; seed 001 §二.2",
    ("merchant_status",),
    en="The merchant cannot be reached, so nobody is left to hear; the platform steps in.",
    zh="商家已失联，无从听取答复，由平台介入处理。",
    when_en="the merchant has a turn and cannot be reached",
    when_zh="应由商家答复而商家失联",
)
MERCHANT_TURN = _rule(
    "merchant-turn",
    Effect.DEFERS,
    "seed 001 §二.1; seed 002 §二.3 步骤3",
    ("merchant_position", "merchant_deadline"),
    en="The merchant has until {until} to answer; the time is counted from {counted_from}.",
    zh="商家最迟于 {until} 答复，期限自 {counted_from} 起算。",
    when_en="the merchant has a turn, and time left to answer",
    when_zh="应由商家答复且期限未到",
)
MERCHANT_SILENT = _rule(
    "merchant-silent",
    Effect.SUPPORTS,
    "seed 001 §二.1; seed 001 §二.2",
    ("merchant_position", "merchant_deadline"),
    en="The merchant had until {until} to answer and gave no answer in time; the platform steps in.",
    zh="商家应最迟于 {until} 答复而未按时答复，由平台介入处理。",
    when_en="the merchant's time to answer is over without an answer",
    when_zh="答复期限已过而商家未答复",
)
MERCHANT_CONTESTS = _rule(
    "merchant-contests",
    Effect.BLOCKS,
    "seed 001 §二.3",
    ("merchant_position",),
    en="The merchant answered “{position}” at {answered_at}, and the records do not settle it: a person decides.",
    zh="商家于 {answered_at} 答复「{position}」，而现有记录不足以定论，由人工裁定。",
    when_en="the merchant contests or offers a re-issue, and the records are not conclusive",
    when_zh="商家有异议或提出补发，而记录不足以定论",
)
RULES = (
    MERCHANT_ACCEPTS,
    USED_GOODS,
    MERCHANT_UNREACHABLE,
    MERCHANT_TURN,
    MERCHANT_SILENT,
    MERCHANT_CONTESTS,
)


def merchant_deadline(standing: Standing, calendar: Calendar) -> Moment:
    """When the merchant's time to answer ends."""
    return end_of(_counted_from(standing), standing.policy.merchant_turn.length, calendar)


def _counted_from(standing: Standing) -> datetime:
    claim, resumed_at = standing.claim, standing.course.resumed_at
    asked_at = claim.filed_at
    if standing.policy.merchant_turn.counted_from is CountedFrom.FIRST_CONTACT:
        asked_at = claim.first_contact_at or claim.filed_at
    # While the case waited for the buyer, nobody asked the merchant anything.
    return asked_at if resumed_at is None else max(asked_at, resumed_at)


def merchant_turn(standing: Standing, calendar: Calendar, *, conclusive: bool) -> Iterator[Finding]:
    """What the merchant's answer, silence or absence comes to."""
    if standing.reason not in MERCHANT_FAULT:
        return
    answer = _answer(standing)
    if answer is not None and answer.position is Position.ACCEPT:
        yield Finding(MERCHANT_ACCEPTS, Outcome.APPROVE, {"answered_at": answer.at})
    elif _has_a_turn(standing, conclusive=conclusive):
        yield from _hear(standing, answer, merchant_deadline(standing, calendar), conclusive=conclusive)


def _answer(standing: Standing) -> MerchantResponse | None:
    merchant = standing.facts.merchant
    answer = None if merchant is None else merchant.response
    return answer if answer is not None and answer.at <= standing.as_of else None


def _has_a_turn(standing: Standing, *, conclusive: bool) -> bool:
    given = standing.policy.merchant_turn.given
    return given is When.ALWAYS or (given is When.UNLESS_CONCLUSIVE and not conclusive)


def _hear(
    standing: Standing, answer: MerchantResponse | None, deadline: Moment, *, conclusive: bool
) -> Iterator[Finding]:
    merchant = standing.facts.merchant
    if answer is not None and answer.at <= deadline.at:
        if not conclusive:
            said: dict[str, Value] = {"answered_at": answer.at, "position": answer.position}
            yield Finding(MERCHANT_CONTESTS, Outcome.MANUAL_REVIEW, said)
    elif merchant is not None and merchant.status is MerchantStatus.UNREACHABLE:
        yield unless_spoiled(standing, Finding(MERCHANT_UNREACHABLE, Outcome.APPROVE))
    elif standing.as_of < deadline.at:
        facts: dict[str, Value] = {"until": deadline.at, "counted_from": _counted_from(standing)}
        yield Finding(MERCHANT_TURN, Outcome.AWAIT_MERCHANT, facts, until=deadline)
    else:
        yield unless_spoiled(standing, Finding(MERCHANT_SILENT, Outcome.APPROVE, {"until": deadline.at}))
