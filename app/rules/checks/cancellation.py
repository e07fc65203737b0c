"""Stage 1: an order that its seller cancelled is paid back without anybody's claim."""

from app.rules.checks.balance import NOTHING_TO_REFUND
from app.rules.facts import CancelledBy, OrderStatus
from app.rules.findings import Effect, Fen, Finding, Outcome, Rule, Stage, Value
from app.rules.standing import Standing

CANCELLED_BY_SELLER = Rule(
    "cancelled-by-seller",
    Stage.CANCELLATION,
    Effect.SUPPORTS,
    "seed 004 §一.4",
    en="The {cancelled_by} cancelled order {order_no}: what was paid ({balance}) is owed back, and no claim is needed.",
    zh="订单 {order_no} 由{cancelled_by}取消，已付款项（{balance}）应予退回，无需买家申请。",
    when_en="the merchant or the platform cancelled the order",
    when_zh="商家或平台取消了订单",
    looks_at=("order_status", "cancelled_by"),
)
RULES = (CANCELLED_BY_SELLER,)
SELLER_SIDE = frozenset({CancelledBy.MERCHANT, CancelledBy.PLATFORM})


def seller_cancellation(standing: Standing) -> tuple[Finding, ...]:
    """Approve the balance of an order that the merchant or the platform cancelled."""
    order = standing.order
    if order is None or order.status is not OrderStatus.CANCELLED or order.cancelled_by not in SELLER_SIDE:
        return ()
    if standing.balance == 0:
        return (Finding(NOTHING_TO_REFUND, Outcome.REJECT, {"balance": Fen(0)}),)
    facts: dict[str, Value] = {
        "order_no": order.order_no,
        "cancelled_by": order.cancelled_by,
        "balance": Fen(standing.balance),
    }
    # Money that is still on its way in cannot be sent back, and nothing else about the claim matters any more.
    outcome = Outcome.APPROVE if standing.refundable > 0 else Outcome.MANUAL_REVIEW
    return (Finding(CANCELLED_BY_SELLER, outcome, facts),)
