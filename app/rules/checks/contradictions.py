"""Stage 6: records that contradict the claim, unless somebody else's word for the buyer puts them in doubt."""

from collections.abc import Iterator

from app.rules.facts import CardStatus, Delivery, EvidenceKind, OrderStatus, Reason, Side, Usage, UsedBy
from app.rules.findings import Effect, Fen, Finding, Outcome, Rule, Stage, Value
from app.rules.reasons import PAYMENT_REASONS
from app.rules.standing import USED, Standing

SERVED = frozenset({OrderStatus.PAID, OrderStatus.DELIVERED, OrderStatus.COMPLETED})


def _contradicts(
    rule_id: str,
    source: str,
    reason: Reason,
    looks_at: tuple[str, ...],
    *,
    en: str,
    zh: str,
    when_en: str,
    when_zh: str,
) -> Rule:
    reasons = frozenset({reason})
    return Rule(rule_id, Stage.CONTRADICTION, Effect.BLOCKS, source, en, zh, when_en, when_zh, reasons, looks_at)


DELIVERED_PER_LOG = _contradicts(
    "delivered-per-log",
    "seed 000 §二 第三步",
    Reason.NOT_DELIVERED,
    ("delivered_at", "delivered_value", "ordered_value"),
    en="The delivery log shows the order delivered in full at {delivered_at}.",
    zh="发货记录显示订单已于 {delivered_at} 全部交付。",
    when_en="the log shows delivery in full",
    when_zh="发货记录显示已全部交付",
)
DELIVERED_IN_TIME = _contradicts(
    "delivered-in-time",
    "seed 004 §一.1",
    Reason.DELIVERED_LATE,
    ("delivered_at", "due_at"),
    en="Promised by {due_at}, delivered at {delivered_at}: in time, with {early_by} to spare.",
    zh="约定 {due_at} 前发货，实际 {delivered_at} 发货：未超时（余 {early_by}）。",
    when_en="delivered by the promised time",
    when_zh="在约定时间内发货",
)
DELIVERED_IN_FULL = _contradicts(
    "delivered-in-full",
    "seed 000 §一 其一",
    Reason.SHORT_DELIVERY,
    ("delivered_value", "ordered_value"),
    en="The log shows a face value of {delivered_value} delivered of {ordered_value} ordered: nothing is missing.",
    zh="发货记录显示到账面值 {delivered_value}，订购面值 {ordered_value}，并无短少。",
    when_en="the delivered face value reaches the ordered one",
    when_zh="到账面值不低于订购面值",
)
USED_AFTER_DELIVERY = _contradicts(
    "used-after-delivery",
    "seed 002 §二.2; seed 000 §二 第五步",
    Reason.INVALID_GOODS,
    ("used_by", "used_at", "delivered_at"),
    en="Delivery {delivery_no} was used by the buyer at {used_at}, {after} after it was delivered: the card worked.",
    zh="发货 {delivery_no} 已由买家在 {used_at} 使用（发货后 {after}），说明卡密有效。",
    when_en="all that was delivered was used by the buyer at or after delivery, or checked valid",
    when_zh="所交付的均由买家在发货后使用，或校验有效",
)
CARD_VALID = _contradicts(
    "card-valid",
    "seed 002 §五",
    Reason.INVALID_GOODS,
    ("card_status", "usage"),
    en="The check of delivery {delivery_no} says that the card is valid and unused.",
    zh="发货 {delivery_no} 的卡密校验结果为有效且未使用。",
    when_en="the card check says valid, and the card is unused",
    when_zh="卡密校验有效且未使用",
)
NO_DUPLICATE_FOUND = _contradicts(
    "no-duplicate-found",
    "seed 003 §三 第四步",
    Reason.DUPLICATE_CHARGE,
    ("succeeded_payments",),
    en="Successful charges of this order on record: {count}; a duplicate needs two.",
    zh="支付记录显示该订单成功扣款 {count} 笔；重复扣款至少应有两笔。",
    when_en="fewer than two charges of the order succeeded",
    when_zh="成功扣款不足两笔",
)
ORDER_EXISTS = _contradicts(
    "order-exists",
    "seed 003 §四 误区一",
    Reason.CHARGED_WITHOUT_ORDER,
    ("order_status",),
    en="Order {order_no} exists, with the status “{order_status}”: the charge reached it.",
    zh="订单 {order_no} 存在，状态为「{order_status}」：扣款已同步到订单。",
    when_en="the order is paid, delivered or completed",
    when_zh="订单已支付、已发货或已完成",
)
NOT_CANCELLED = _contradicts(
    "not-cancelled",
    "seed 004 §一.4",
    Reason.ORDER_CANCELLED,
    ("order_status",),
    en="Order {order_no} was not cancelled; its status is “{order_status}”.",
    zh="订单 {order_no} 并未取消，当前状态为「{order_status}」。",
    when_en="the order is not cancelled",
    when_zh="订单未被取消",
)
RECORDS_DISPUTED = Rule(
    "records-disputed",
    Stage.CONTRADICTION,
    Effect.DEFERS,
    "seed 001 §二.2; seed 003 §三 第四步",
    en="The records contradict the claim (rule {contradiction}), but {kind} captured at {captured_at} supports the "
    "buyer: a person weighs the two.",
    zh="平台记录与申请相矛盾（规则 {contradiction}），但 {captured_at} 取得的{kind}支持买家，需人工判断。",
    when_en="the records contradict the claim, and a third party's or the bank's statement supports the buyer",
    when_zh="记录与申请矛盾，而有效的第三方佐证或银行流水支持买家",
    looks_at=("third_party_statement", "bank_statement"),
)
RULES = (
    RECORDS_DISPUTED,
    DELIVERED_PER_LOG,
    DELIVERED_IN_TIME,
    DELIVERED_IN_FULL,
    USED_AFTER_DELIVERY,
    CARD_VALID,
    NO_DUPLICATE_FOUND,
    ORDER_EXISTS,
    NOT_CANCELLED,
)


def contradictions(standing: Standing) -> Iterator[Finding]:
    """The record that contradicts the claim; before it the dispute of that record, if there is one."""
    contradiction = _contradiction(standing)
    if contradiction is None:
        return
    dispute = _dispute(standing, contradiction.rule)
    if dispute is not None:
        yield dispute
    yield contradiction


def _contradiction(standing: Standing) -> Finding | None:
    match standing.reason:
        case Reason.NOT_DELIVERED:
            return _delivered(standing)
        case Reason.DELIVERED_LATE:
            return _in_time(standing)
        case Reason.SHORT_DELIVERY:
            return _in_full(standing)
        case Reason.INVALID_GOODS:
            return _card_worked(standing.delivered)
        case Reason.DUPLICATE_CHARGE if len(standing.succeeded) < 2:
            return Finding(NO_DUPLICATE_FOUND, Outcome.REJECT, {"count": len(standing.succeeded)})
        case Reason.CHARGED_WITHOUT_ORDER if standing.order is not None and standing.order.status in SERVED:
            return _of_order(ORDER_EXISTS, standing)
        case Reason.ORDER_CANCELLED if (
            standing.order is not None and standing.order.status is not OrderStatus.CANCELLED
        ):
            return _of_order(NOT_CANCELLED, standing)
        case _:
            return None


def _of_order(rule: Rule, standing: Standing) -> Finding:
    assert standing.order is not None
    return Finding(rule, Outcome.REJECT, {"order_no": standing.order.order_no, "order_status": standing.order.status})


def _delivered(standing: Standing) -> Finding | None:
    if not standing.delivered or standing.is_short:
        return None
    return Finding(DELIVERED_PER_LOG, Outcome.REJECT, {"delivered_at": standing.delivered_at})


def _in_time(standing: Standing) -> Finding | None:
    delivered_at, due_at = standing.delivered_at, standing.due_at
    if delivered_at is None or due_at is None or delivered_at > due_at:
        return None
    facts: dict[str, Value] = {"delivered_at": delivered_at, "due_at": due_at, "early_by": due_at - delivered_at}
    return Finding(DELIVERED_IN_TIME, Outcome.REJECT, facts)


def _in_full(standing: Standing) -> Finding | None:
    delivered, ordered = standing.delivered_value, standing.ordered_value
    if not standing.delivered or delivered is None or ordered is None or delivered < ordered:
        return None
    facts: dict[str, Value] = {"delivered_value": Fen(delivered), "ordered_value": Fen(ordered)}
    return Finding(DELIVERED_IN_FULL, Outcome.REJECT, facts)


def _card_worked(delivered: tuple[Delivery, ...]) -> Finding | None:
    """Only where no piece is left that the claim could be about."""
    used = [delivery for delivery in delivered if _used_by_buyer(delivery)]
    valid = [delivery for delivery in delivered if _valid_and_unused(delivery)]
    if not delivered or len(used) + len(valid) < len(delivered):
        return None
    if not used:
        return Finding(CARD_VALID, Outcome.REJECT, {"delivery_no": valid[0].delivery_no})
    first = used[0]
    assert first.used_at is not None
    assert first.delivered_at is not None
    facts: dict[str, Value] = {
        "delivery_no": first.delivery_no,
        "used_at": first.used_at,
        "after": first.used_at - first.delivered_at,
    }
    return Finding(USED_AFTER_DELIVERY, Outcome.REJECT, facts)


def _used_by_buyer(delivery: Delivery) -> bool:
    return (
        delivery.usage in USED
        and delivery.used_by is UsedBy.BUYER
        and delivery.used_at is not None
        and delivery.delivered_at is not None
        and delivery.used_at >= delivery.delivered_at
    )


def _valid_and_unused(delivery: Delivery) -> bool:
    return delivery.card_status is CardStatus.VALID and delivery.usage is Usage.UNUSED


def _dispute(standing: Standing, contradiction: Rule) -> Finding | None:
    trusted = {EvidenceKind.THIRD_PARTY_STATEMENT}
    if standing.reason in PAYMENT_REASONS:
        trusted.add(EvidenceKind.BANK_STATEMENT)
    for piece in standing.counting:
        if piece.kind in trusted and piece.supports is Side.BUYER:
            facts: dict[str, Value] = {
                "contradiction": contradiction.id,
                "kind": piece.kind,
                "captured_at": piece.captured_at,
            }
            return Finding(RECORDS_DISPUTED, Outcome.MANUAL_REVIEW, facts)
    return None
