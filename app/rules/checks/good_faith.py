"""Stage 8: what stops the automatic yes, never the claim: a person decides."""

from collections.abc import Iterator

from app.rules.checks.exclusions import CANCELLATION_MATTERS, cancelled_by_buyer
from app.rules.facts import Party, Reason
from app.rules.findings import Effect, Finding, Outcome, Rule, Stage
from app.rules.policy import Strictness
from app.rules.standing import Standing

ABUSE_SUSPECTED = Rule(
    "abuse-suspected",
    Stage.GOOD_FAITH,
    Effect.BLOCKS,
    "seed 000 §二 第五步; seed 004 §四.2",
    en="A person looks at this first: {strikes} strike(s) on record of the {limit} that stop an automatic approval, "
    "{reused} file(s) already put forward in another order's case.",
    zh="需先由人工审核：买家已有 {strikes} 次失信记录（满 {limit} 次停止自动通过），"
    "{reused} 份文件曾用于其他订单的案件。",
    when_en="the buyer has as many strikes as the policy allows, or a file was put forward in another order's case",
    when_zh="买家失信记录达到规则上限，或文件曾用于其他订单的案件",
    looks_at=("strikes", "reused_files"),
)
CANCELLED_BY_BUYER = Rule(
    "cancelled-by-buyer",
    Stage.GOOD_FAITH,
    Effect.BLOCKS,
    "seed 001 §二.3",
    en="The buyer cancelled order {order_no}; the policy leaves such orders to a person.",
    zh="订单 {order_no} 由买家取消；按规则由人工审核。",
    when_en="the buyer cancelled the order, and the policy leaves that to a person",
    when_zh="买家取消了订单，且规则要求人工审核",
    # A claim that says no more than "order cancelled" comes to a person anyway.
    reasons=CANCELLATION_MATTERS - {Reason.ORDER_CANCELLED},
    looks_at=("order_status", "cancelled_by"),
)
RULES = (ABUSE_SUSPECTED, CANCELLED_BY_BUYER)


def good_faith(standing: Standing) -> Iterator[Finding]:
    """Strikes at or above the limit, a re-used file of the buyer's, an order that the buyer cancelled."""
    strikes, limit = standing.facts.buyer.strikes, standing.policy.strikes_limit
    reused = sum(piece.reused and piece.party is Party.BUYER for piece in standing.facts.evidence)
    if strikes >= limit or reused:
        yield Finding(ABUSE_SUSPECTED, Outcome.MANUAL_REVIEW, {"strikes": strikes, "limit": limit, "reused": reused})
    if (
        cancelled_by_buyer(standing)
        and CANCELLED_BY_BUYER.concerns(standing.reason)
        and standing.policy.cancelled_by_buyer is Strictness.MANUAL_REVIEW
    ):
        order_no = "" if standing.order is None else standing.order.order_no
        yield Finding(CANCELLED_BY_BUYER, Outcome.MANUAL_REVIEW, {"order_no": order_no})
