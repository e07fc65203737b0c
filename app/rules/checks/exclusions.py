"""Stage 5: claims that the policy does not cover, in the order in which they are said."""

from collections.abc import Iterator

from app.rules.facts import CancelledBy, OrderStatus, Reason, Trait
from app.rules.findings import Circumstance, Effect, Finding, Outcome, Rule, Stage
from app.rules.policy import Coverage, Strictness
from app.rules.reasons import MISDIRECTED, NO_FAULT_RETURNS
from app.rules.standing import Standing

# What a platform or a channel got wrong is put right whoever cancelled the order afterwards.
CANCELLATION_MATTERS = frozenset(
    set(Reason) - {Reason.DUPLICATE_CHARGE, Reason.CHARGED_WITHOUT_ORDER, Reason.PAYMENT_INFO_ERROR}
)
MUST_BE_UNUSED = NO_FAULT_RETURNS | MISDIRECTED | {Reason.DELIVERED_LATE}

REASON_NOT_COVERED = Rule(
    "reason-not-covered",
    Stage.EXCLUSIONS,
    Effect.BLOCKS,
    "seed 003 §一",
    en="The policy “{policy}” does not cover the reason “{reason}”.",
    zh="规则「{policy}」不支持以「{reason}」为由退款。",
    when_en="the policy has no cooling-off, or does not cover a wrong item",
    when_zh="规则没有冷静期，或不支持买错商品退款",
    reasons=NO_FAULT_RETURNS,
    looks_at=("policy",),
)
BUYER_ERROR = Rule(
    "buyer-error",
    Stage.EXCLUSIONS,
    Effect.BLOCKS,
    "seed 001 §二.3; seed 004 §一 不可退款",
    en="The loss is of the buyer's own making ({cause}), and the policy “{policy}” does not make it good.",
    zh="损失由买家自身原因造成（{cause}），规则「{policy}」不予退款。",
    when_en="the buyer's own mistake or cancellation, which the policy does not make good",
    when_zh="买家自身失误或主动取消订单，且规则不予退款",
    reasons=CANCELLATION_MATTERS,
    looks_at=("order_status", "cancelled_by", "policy"),
)
SPECIAL_GOODS = Rule(
    "special-goods",
    Stage.EXCLUSIONS,
    Effect.BLOCKS,
    "seed 002 §三.3; seed 004 §三.4",
    en="The goods are sold without a no-fault refund ({why}), and the reason names no fault.",
    zh="该商品属于不支持无理由退款的商品（{why}），而申请事由并非商品或商家过错。",
    when_en="goods that the policy or their own terms exclude from refunds without a fault",
    when_zh="商品特性或商品约定排除无过错退款",
    reasons=NO_FAULT_RETURNS | MISDIRECTED,
    looks_at=("traits", "refundable"),
)
GOODS_USED = Rule(
    "goods-used",
    Stage.EXCLUSIONS,
    Effect.BLOCKS,
    "seed 000 §一 其三; seed 004 §一 不可退款",
    en="The goods have been {usage}; for “{reason}” only unused goods are refunded.",
    zh="商品{usage}；以「{reason}」为由只能退未使用的商品。",
    when_en="the goods were activated or consumed",
    when_zh="商品已激活或已消耗",
    reasons=MUST_BE_UNUSED,
    looks_at=("usage",),
)
RULES = (REASON_NOT_COVERED, BUYER_ERROR, SPECIAL_GOODS, GOODS_USED)


def exclusions(standing: Standing) -> Iterator[Finding]:
    """Every exclusion that applies, the decisive one first."""
    yield from _not_covered(standing)
    yield from _buyer_error(standing)
    yield from _special_goods(standing)
    if standing.is_used and standing.reason in MUST_BE_UNUSED:
        yield Finding(GOODS_USED, Outcome.REJECT, {"usage": standing.usage, "reason": standing.reason})


def _not_covered(standing: Standing) -> Iterator[Finding]:
    policy = standing.policy
    no_cooling_off = standing.reason is Reason.CHANGE_OF_MIND and policy.windows.cooling_off is None
    no_wrong_item = standing.reason is Reason.WRONG_ITEM and policy.wrong_item is Coverage.NOT_COVERED
    if no_cooling_off or no_wrong_item:
        yield Finding(REASON_NOT_COVERED, Outcome.REJECT, {"policy": policy.name, "reason": standing.reason})


def _buyer_error(standing: Standing) -> Iterator[Finding]:
    policy = standing.policy
    if standing.reason in MISDIRECTED and policy.buyer_mistake is Coverage.NOT_COVERED:
        yield Finding(BUYER_ERROR, Outcome.REJECT, {"cause": standing.reason, "policy": policy.name})
        return
    matters = standing.reason in CANCELLATION_MATTERS and policy.cancelled_by_buyer is Strictness.REJECT
    if matters and cancelled_by_buyer(standing):
        yield Finding(BUYER_ERROR, Outcome.REJECT, {"cause": Circumstance.CANCELLED_BY_BUYER, "policy": policy.name})


def cancelled_by_buyer(standing: Standing) -> bool:
    """Whether the order says that the buyer cancelled it."""
    order = standing.order
    return order is not None and order.status is OrderStatus.CANCELLED and order.cancelled_by is CancelledBy.BUYER


def _special_goods(standing: Standing) -> Iterator[Finding]:
    goods = standing.goods
    if goods is None or not SPECIAL_GOODS.concerns(standing.reason):
        return
    traits: frozenset[Trait] = frozenset()
    if standing.reason in NO_FAULT_RETURNS:
        traits = goods.traits & standing.policy.excluded_traits
    why = tuple(sorted(traits)) + ((Circumstance.NOT_REFUNDABLE,) if goods.terms.refundable is False else ())
    if why:
        yield Finding(SPECIAL_GOODS, Outcome.REJECT, {"why": why})
