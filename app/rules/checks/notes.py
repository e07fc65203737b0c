"""What is noted beside the decision and decides nothing; and the last resort, a person."""

from collections.abc import Iterator

from app.rules.checks.records import was_used_before_delivery
from app.rules.facts import CardUse, MerchantStatus, Reason, Usage
from app.rules.findings import Effect, Fen, Finding, Outcome, Rule, Stage, Value
from app.rules.reasons import MISDIRECTED, NO_FAULT_RETURNS
from app.rules.standing import Standing
from app.rules.windows import dispute_window

NEEDS_A_PERSON = Rule(
    "needs-a-person",
    Stage.A_PERSON,
    Effect.DEFERS,
    "seed 003 §三 第四步; seed 001 §二.3",
    en="Neither the records nor the evidence settle “{reason}” by rule: a person decides.",
    zh="以「{reason}」为由的申请无法仅凭记录与证据按规则定论，由人工裁定。",
    when_en="no other rule decides",
    when_zh="其他规则均未能作出决定",
)
PAYMENT_OF_ANOTHER_ORDER = Rule(
    "payment-of-another-order",
    Stage.NOTE,
    Effect.NOTES,
    "seed 003 §三 第二步",
    en="Not counted, since they name another order: {payments}.",
    zh="以下支付记录属于其他订单，不计入：{payments}。",
    when_en="a payment names another order",
    when_zh="支付记录的订单号不是本订单",
)
PAYMENT_STILL_PENDING = Rule(
    "payment-still-pending",
    Stage.NOTE,
    Effect.NOTES,
    "seed 003 §四 误区一",
    en="{amount} of the balance has not settled yet; only settled money can go back.",
    zh="余额中有 {amount}尚未入账；只有已入账的款项可以退回。",
    when_en="a payment that counts is still pending",
    when_zh="有支付仍在处理中",
)
CARD_NOT_SINGLE_USE = Rule(
    "card-not-single-use",
    Stage.NOTE,
    Effect.NOTES,
    "seed 002 §一",
    en="The card of delivery {delivery_no} was given out {times_sold} time(s), or used before its delivery; but it is "
    "not known to be for one buyer only, so this convicts nobody.",
    zh="发货 {delivery_no} 的卡密已售 {times_sold} 次，或在发货前已被使用；但无法确认其为一次性卡密，故不据此定责。",
    when_en="a second sale or an earlier use of a card that is not known to be single-use",
    when_zh="并非确认一次性的卡密被多次销售或更早使用",
    reasons=frozenset({Reason.INVALID_GOODS}),
)
USAGE_UNKNOWN = Rule(
    "usage-unknown",
    Stage.NOTE,
    Effect.NOTES,
    "seed 000 §一 其三",
    en="Whether the goods are unused is unknown, and the reason turns on it; unknown never proves unused.",
    zh="商品是否使用过未知，而该事由取决于此；未知不能视为未使用。",
    when_en="the reason turns on unused goods, and their use is unknown",
    when_zh="该事由以未使用为前提，而使用情况未知",
    reasons=NO_FAULT_RETURNS | MISDIRECTED | {Reason.DELIVERED_LATE},
)
SELLER_UNVERIFIED = Rule(
    "seller-unverified",
    Stage.NOTE,
    Effect.NOTES,
    "seed 001 §三.2（《电子商务法》第二十七条）",
    en="The merchant cannot be reached and the site never verified its identity: what it is liable for, the platform "
    "answers for.",
    zh="商家失联且平台从未核验其身份：应由商家承担的责任由平台承担。",
    when_en="an unreachable merchant whose identity the site never verified",
    when_zh="商家失联且身份未经平台核验",
)
NOTARISED_EVIDENCE_SUGGESTED = Rule(
    "notarised-evidence-suggested",
    Stage.NOTE,
    Effect.NOTES,
    "seed 001 §三.1",
    en="At {balance} at stake (from {threshold}), notarised evidence would carry more weight.",
    zh="涉及金额 {balance}（达到 {threshold}），建议对关键证据进行公证。",
    when_en="the balance reaches the amount from which notarised evidence is suggested",
    when_zh="涉及金额达到建议公证的标准",
)
CHANNEL_DISPUTE_OPEN = Rule(
    "channel-dispute-open",
    Stage.NOTE,
    Effect.NOTES,
    "seed 001 §三.2",
    en="Beyond the site: a dispute at the payment channel is open until {until}.",
    zh="平台之外：最迟可于 {until} 向支付渠道发起争议。",
    when_en="the payment channel's own dispute is still open, whichever channel it is",
    when_zh="支付渠道的争议期限未过",
)
CHANNEL_DISPUTE_DEPENDS = Rule(
    "channel-dispute-depends",
    Stage.NOTE,
    Effect.NOTES,
    "seed 001 §三.2",
    en="Some payment channels take a dispute until {until}; ask the channel.",
    zh="部分支付渠道受理争议的期限可到 {until}，请向支付渠道确认。",
    when_en="the payment channel's own dispute may still be open, depending on the channel",
    when_zh="部分支付渠道的争议期限未过",
)
FIRST_ANSWER_PROMISED = Rule(
    "first-answer-promised",
    Stage.NOTE,
    Effect.NOTES,
    "seed 003 §五",
    en="A first answer is promised within {within} of the review's beginning.",
    zh="承诺在开始审核后 {within}内作出首次答复。",
    when_en="a person decides, and the policy promises a first answer",
    when_zh="由人工裁定，且规则承诺首次答复时限",
)
# Said only where the site itself gives nothing back.
BEYOND_THE_SITE = frozenset({CHANNEL_DISPUTE_OPEN, CHANNEL_DISPUTE_DEPENDS})
RULES = (
    NEEDS_A_PERSON,
    PAYMENT_OF_ANOTHER_ORDER,
    PAYMENT_STILL_PENDING,
    CARD_NOT_SINGLE_USE,
    USAGE_UNKNOWN,
    SELLER_UNVERIFIED,
    NOTARISED_EVIDENCE_SUGGESTED,
    CHANNEL_DISPUTE_OPEN,
    CHANNEL_DISPUTE_DEPENDS,
    FIRST_ANSWER_PROMISED,
)


def needs_a_person(standing: Standing) -> Finding:
    """The last resort."""
    return Finding(NEEDS_A_PERSON, Outcome.MANUAL_REVIEW, {"reason": standing.reason})


def notes(standing: Standing) -> Iterator[Finding]:
    """Everything worth knowing that decides nothing."""
    if standing.foreign:
        numbers = tuple(payment.payment_no for payment in standing.foreign)
        yield Finding(PAYMENT_OF_ANOTHER_ORDER, None, {"payments": numbers})
    if standing.balance > standing.refundable:
        yield Finding(PAYMENT_STILL_PENDING, None, {"amount": Fen(standing.balance - standing.refundable)})
    if standing.reason is Reason.INVALID_GOODS:
        yield from _not_single_use(standing)
    if standing.usage is Usage.UNKNOWN and USAGE_UNKNOWN.concerns(standing.reason):
        yield Finding(USAGE_UNKNOWN, None)
    if is_seller_unverified(standing):
        yield Finding(SELLER_UNVERIFIED, None)
    threshold = standing.policy.escalation.notarised_from
    if standing.balance >= threshold:
        facts: dict[str, Value] = {"balance": Fen(standing.balance), "threshold": Fen(threshold)}
        yield Finding(NOTARISED_EVIDENCE_SUGGESTED, None, facts)
    first_answer = standing.policy.review.first_answer
    if first_answer is not None:
        yield Finding(FIRST_ANSWER_PROMISED, None, {"within": first_answer})
    yield from _channel_dispute(standing)


def _not_single_use(standing: Standing) -> Iterator[Finding]:
    if standing.goods is None or standing.goods.card_use is CardUse.SINGLE_USE:
        return
    for delivery in standing.delivered:
        if delivery.times_sold > 1 or was_used_before_delivery(delivery):
            facts: dict[str, Value] = {"delivery_no": delivery.delivery_no, "times_sold": delivery.times_sold}
            yield Finding(CARD_NOT_SINGLE_USE, None, facts)
            return


def is_seller_unverified(standing: Standing) -> bool:
    """Whether the merchant is gone and the site never knew who it was."""
    merchant = standing.facts.merchant
    return merchant is not None and merchant.status is MerchantStatus.UNREACHABLE and not merchant.identity_verified


def _channel_dispute(standing: Standing) -> Iterator[Finding]:
    window = dispute_window(standing)
    if window is None:
        return
    if standing.as_of <= window.surely:
        yield Finding(CHANNEL_DISPUTE_OPEN, None, {"until": window.surely})
    if window.surely < window.perhaps and standing.as_of <= window.perhaps:
        yield Finding(CHANNEL_DISPUTE_DEPENDS, None, {"until": window.perhaps})
