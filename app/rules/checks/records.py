"""Stage 10: what the records confirm by themselves. Where they do, they are conclusive."""

from collections.abc import Callable, Iterator, Mapping

from app.rules.checks.used_goods import unless_spoiled
from app.rules.facts import CardStatus, CardUse, Delivery, EvidenceKind, OrderStatus, Reason, Side, Usage
from app.rules.findings import Circumstance, Effect, Fen, Finding, Outcome, Rule, Stage, Value
from app.rules.lengths import Exact
from app.rules.policy import Coverage
from app.rules.reasons import MISDIRECTED, NO_FAULT_RETURNS
from app.rules.standing import USED, Standing
from app.rules.windows import report_window

UNPAID = frozenset({OrderStatus.PENDING_PAYMENT, OrderStatus.PAYING, OrderStatus.PAYMENT_FAILED})
NO_LONGER_VALID = frozenset({CardStatus.INVALID, CardStatus.EXPIRED})


def _confirms(
    rule_id: str,
    source: str,
    reasons: frozenset[Reason],
    looks_at: tuple[str, ...],
    *,
    en: str,
    zh: str,
    when_en: str,
    when_zh: str,
) -> Rule:
    return Rule(rule_id, Stage.CONFIRMATION, Effect.SUPPORTS, source, en, zh, when_en, when_zh, reasons, looks_at)


UNDELIVERED_PER_LOG = _confirms(
    "undelivered-per-log",
    "seed 000 §一 其一; seed 004 §一.1",
    frozenset({Reason.NOT_DELIVERED, Reason.DELIVERED_LATE}),
    ("delivered_at", "due_at"),
    en="Paid {paid_at}, promised by {due_at}; at {as_of} the log shows nothing delivered, {overdue_by} overdue.",
    zh="{paid_at} 付款，约定 {due_at} 前发货；截至 {as_of} 发货记录中没有任何交付，已超时 {overdue_by}。",
    when_en="nothing is delivered and the promised time has come",
    when_zh="约定时间已到而没有任何发货记录",
)
LATE_PER_LOG = _confirms(
    "late-per-log",
    "seed 004 §一.1",
    frozenset({Reason.DELIVERED_LATE}),
    ("delivered_at", "due_at", "usage"),
    en="Delivered {delivered_at}, promised by {due_at}; late by {late_by}, and still unused.",
    zh="{delivered_at} 发货，约定 {due_at} 前发货，迟到 {late_by}；商品尚未使用。",
    when_en="delivered after the promised time, and known to be unused",
    when_zh="晚于约定时间发货，且确认未使用",
)
SHORT_PER_LOG = _confirms(
    "short-per-log",
    "seed 000 §一 其一",
    frozenset({Reason.SHORT_DELIVERY}),
    ("delivered_value", "ordered_value"),
    en="The log shows a face value of {delivered_value} delivered of {ordered_value} ordered: {missing_value} short.",
    zh="发货记录显示到账面值 {delivered_value}，订购面值 {ordered_value}，少 {missing_value}。",
    when_en="the delivered face value is below the ordered one",
    when_zh="到账面值低于订购面值",
)
CARD_INVALID = _confirms(
    "card-invalid",
    "seed 002 §二.2; seed 002 §五",
    frozenset({Reason.INVALID_GOODS}),
    ("card_status",),
    en="The check of delivery {delivery_no} says that the card is {card_status}.",
    zh="发货 {delivery_no} 的卡密校验结果为{card_status}。",
    when_en="the card check says invalid or expired",
    when_zh="卡密校验结果为无效或已过期",
)
CARD_SOLD_TWICE = _confirms(
    "card-sold-twice",
    "seed 002 §一; seed 002 §五",
    frozenset({Reason.INVALID_GOODS}),
    ("times_sold", "card_use"),
    en="The single-use card of delivery {delivery_no} was given out in {times_sold} orders.",
    zh="发货 {delivery_no} 的一次性卡密被用于 {times_sold} 个订单。",
    when_en="a single-use card was given out in more than one order",
    when_zh="一次性卡密被重复销售",
)
CARD_USED_BEFORE_DELIVERY = _confirms(
    "card-used-before-delivery",
    "seed 002 §二.2",
    frozenset({Reason.INVALID_GOODS}),
    ("used_at", "delivered_at", "card_use"),
    en="The single-use card of delivery {delivery_no} was used at {used_at}, {earlier_by} before it was delivered.",
    zh="发货 {delivery_no} 的一次性卡密在 {used_at} 已被使用，比发货早 {earlier_by}。",
    when_en="a single-use card had been used before it was delivered",
    when_zh="一次性卡密在发货前已被使用",
)
THIRD_PARTY_CONFIRMS = _confirms(
    "third-party-confirms",
    "seed 001 §二.2",
    frozenset({Reason.INVALID_GOODS, Reason.NOT_WORKING}),
    ("third_party_statement", "usage"),
    en="A third party's statement captured at {captured_at} confirms what the buyer says.",
    zh="{captured_at} 取得的第三方佐证支持买家的说法。",
    when_en="a third party's statement that counts supports the buyer",
    when_zh="有效的第三方佐证支持买家",
)
DUPLICATE_CONFIRMED = _confirms(
    "duplicate-confirmed",
    "seed 000 §一 其二; seed 003 §三 第三步",
    frozenset({Reason.DUPLICATE_CHARGE}),
    ("succeeded_payments",),
    en="{count} charges of one order succeeded; all but the one that pays for the order ({kept}) are owed back.",
    zh="同一订单有 {count} 笔扣款成功；除作为货款保留的一笔（{kept}）外均应退回。",
    when_en="more than one charge of the order succeeded",
    when_zh="同一订单有多笔扣款成功",
)
CHARGE_WITHOUT_ORDER = _confirms(
    "charge-without-order",
    "seed 003 §四 误区一",
    frozenset({Reason.CHARGED_WITHOUT_ORDER}),
    ("order_status",),
    en="{paid} was charged at {paid_at}; after the settlement lag the order's status is still “{order_status}”.",
    zh="{paid_at} 扣款 {paid}，超过结算时间差后订单状态仍为「{order_status}」。",
    when_en="money was taken, and the order is missing, unpaid or cancelled after the settlement lag",
    when_zh="已扣款，超过结算时间差后订单仍未生成、未支付或已取消",
)
UNUSED_WITHIN_COOLING_OFF = _confirms(
    "unused-within-cooling-off",
    "seed 000 §一 其三",
    NO_FAULT_RETURNS,
    ("usage", "filed_at", "window_ends_at"),
    en="The goods are unused, and the claim was filed at {filed_at}, within the cooling-off of {cooling_off}.",
    zh="商品未使用，申请于 {filed_at} 提交，在 {cooling_off}冷静期内。",
    when_en="the goods are known to be unused, within the cooling-off",
    when_zh="确认未使用且在冷静期内",
)
UNUSED_BUYER_ERROR = _confirms(
    "unused-buyer-error",
    "seed 000 §一 其二; seed 003 §一",
    MISDIRECTED,
    ("usage", "policy"),
    en="The mistake is the buyer's own; the goods are unused, and the policy makes such mistakes good.",
    zh="失误虽出自买家，但商品未使用，按规则可以退款。",
    when_en="the buyer's own mistake, goods known to be unused, and the policy makes it good",
    when_zh="买家自身失误、确认未使用，且规则支持退款",
)
RULES = (
    UNDELIVERED_PER_LOG,
    LATE_PER_LOG,
    SHORT_PER_LOG,
    CARD_INVALID,
    CARD_SOLD_TWICE,
    CARD_USED_BEFORE_DELIVERY,
    THIRD_PARTY_CONFIRMS,
    DUPLICATE_CONFIRMED,
    CHARGE_WITHOUT_ORDER,
    UNUSED_WITHIN_COOLING_OFF,
    UNUSED_BUYER_ERROR,
)


def confirmations(standing: Standing) -> tuple[Finding, ...]:
    """What the records alone confirm of the claim; anything here makes them conclusive."""
    return tuple(_QUESTIONS[standing.reason](standing))


def _found(rule: Rule, facts: Mapping[str, Value]) -> Finding:
    return Finding(rule, Outcome.APPROVE, facts)


def _undelivered(standing: Standing) -> Iterator[Finding]:
    if standing.delivered or standing.due_at is None or not standing.is_due:
        return
    facts: dict[str, Value] = {
        "paid_at": standing.paid_at,
        "due_at": standing.due_at,
        "as_of": standing.as_of,
        "overdue_by": standing.as_of - standing.due_at,
    }
    yield _found(UNDELIVERED_PER_LOG, facts)


def _late(standing: Standing) -> Iterator[Finding]:
    yield from _undelivered(standing)
    delivered_at, due_at = standing.delivered_at, standing.due_at
    if delivered_at is None or due_at is None or delivered_at <= due_at:
        return
    if standing.usage is Usage.UNUSED:
        yield _found(LATE_PER_LOG, {"delivered_at": delivered_at, "due_at": due_at, "late_by": delivered_at - due_at})


def _short(standing: Standing) -> Iterator[Finding]:
    delivered, ordered = standing.delivered_value, standing.ordered_value
    if not standing.delivered or delivered is None or ordered is None or delivered >= ordered:
        return
    facts: dict[str, Value] = {
        "delivered_value": Fen(delivered),
        "ordered_value": Fen(ordered),
        "missing_value": Fen(ordered - delivered),
    }
    yield _found(SHORT_PER_LOG, facts)


def _invalid(standing: Standing) -> Iterator[Finding]:
    for delivery in standing.delivered:
        if delivery.card_status in NO_LONGER_VALID:
            yield _found(CARD_INVALID, {"delivery_no": delivery.delivery_no, "card_status": delivery.card_status})
            break
    if standing.goods is not None and standing.goods.card_use is CardUse.SINGLE_USE:
        yield from _spoiled_single_use(standing.delivered)
    yield from _third_party(standing)


def _spoiled_single_use(delivered: tuple[Delivery, ...]) -> Iterator[Finding]:
    for delivery in delivered:
        if delivery.times_sold > 1:
            facts: dict[str, Value] = {"delivery_no": delivery.delivery_no, "times_sold": delivery.times_sold}
            yield _found(CARD_SOLD_TWICE, facts)
            break
    for delivery in delivered:
        if was_used_before_delivery(delivery):
            yield _found(CARD_USED_BEFORE_DELIVERY, _earlier_use(delivery))
            break


def was_used_before_delivery(delivery: Delivery) -> bool:
    """Whether the records show that what was delivered had been used before."""
    return (
        delivery.usage in USED
        and delivery.used_at is not None
        and delivery.delivered_at is not None
        and delivery.used_at < delivery.delivered_at
    )


def _earlier_use(delivery: Delivery) -> Mapping[str, Value]:
    assert delivery.used_at is not None
    assert delivery.delivered_at is not None
    return {
        "delivery_no": delivery.delivery_no,
        "used_at": delivery.used_at,
        "earlier_by": delivery.delivered_at - delivery.used_at,
    }


def _third_party(standing: Standing) -> Iterator[Finding]:
    for piece in standing.counting:
        if piece.kind is EvidenceKind.THIRD_PARTY_STATEMENT and piece.supports is Side.BUYER:
            yield _found(THIRD_PARTY_CONFIRMS, {"captured_at": piece.captured_at})
            return


def _not_working(standing: Standing) -> Iterator[Finding]:
    for confirmation in _third_party(standing):
        yield unless_spoiled(standing, confirmation)


def _duplicate(standing: Standing) -> Iterator[Finding]:
    if len(standing.succeeded) > 1:
        facts: dict[str, Value] = {"count": len(standing.succeeded), "kept": kept_charge(standing)}
        yield _found(DUPLICATE_CONFIRMED, facts)


def kept_charge(standing: Standing) -> str:
    """The charge that pays for the order: the earliest that has not gone back already."""
    standing_charges = [payment for payment in standing.succeeded if payment.remaining > 0]
    return (standing_charges or list(standing.succeeded))[0].payment_no


def _without_order(standing: Standing) -> Iterator[Finding]:
    status = None if standing.order is None else standing.order.status
    if standing.succeeded and (status is None or status in UNPAID or status is OrderStatus.CANCELLED):
        facts: dict[str, Value] = {
            "paid": Fen(sum(payment.amount for payment in standing.succeeded)),
            "paid_at": standing.last_paid_at,
            "order_status": status or Circumstance.MISSING,
        }
        yield _found(CHARGE_WITHOUT_ORDER, facts)


def _change_of_mind(standing: Standing) -> Iterator[Finding]:
    window = report_window(standing)
    filed_at = standing.claim.filed_at
    if window is not None and filed_at <= window.ended_at and standing.usage is Usage.UNUSED:
        facts: dict[str, Value] = {"filed_at": filed_at, "cooling_off": Exact(window.length)}
        yield _found(UNUSED_WITHIN_COOLING_OFF, facts)


def _wrong_item(standing: Standing) -> Iterator[Finding]:
    if standing.policy.wrong_item is Coverage.IF_UNUSED:
        yield from _change_of_mind(standing)


def _misdirected(standing: Standing) -> Iterator[Finding]:
    if standing.policy.buyer_mistake is Coverage.IF_UNUSED and standing.usage is Usage.UNUSED:
        yield _found(UNUSED_BUYER_ERROR, {"usage": standing.usage})


def _never(_: Standing) -> Iterator[Finding]:
    return iter(())


_QUESTIONS: Mapping[Reason, Callable[[Standing], Iterator[Finding]]] = {
    Reason.NOT_DELIVERED: _undelivered,
    Reason.DELIVERED_LATE: _late,
    Reason.SHORT_DELIVERY: _short,
    Reason.INVALID_GOODS: _invalid,
    Reason.NOT_WORKING: _not_working,
    Reason.NOT_AS_DESCRIBED: _never,
    Reason.DUPLICATE_CHARGE: _duplicate,
    Reason.CHARGED_WITHOUT_ORDER: _without_order,
    Reason.PAYMENT_INFO_ERROR: _never,
    Reason.WRONG_TARGET: _misdirected,
    Reason.WRONG_ACCOUNT: _misdirected,
    Reason.WRONG_ITEM: _wrong_item,
    Reason.CHANGE_OF_MIND: _change_of_mind,
    Reason.ORDER_CANCELLED: _never,
    Reason.OTHER: _never,
}
