"""The evidence chain in words: its links, its records, its pieces, and what would close each gap."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from app.rules.explain import in_words
from app.rules.facts import Delivery, Evidence, Order, Party, Payment, PaymentStatus, Position
from app.rules.findings import Fen
from app.rules.labels import Words, words_of
from app.rules.standing import Standing
from app.rules.weighing import Discount


class LinkName(StrEnum):
    """证据链环节, in their order."""

    PAYMENT = "payment"
    CONFIRMATION = "confirmation"
    DELIVERY = "delivery"
    NEGOTIATION = "negotiation"


class Record(StrEnum):
    """记录类型: what the site itself knows."""

    PAYMENT = "payment"
    ORDER = "order"
    DELIVERY = "delivery"
    NOTHING_DELIVERED = "nothing_delivered"
    FIRST_CONTACT = "first_contact"
    MERCHANT_ANSWER = "merchant_answer"


LINKS: Mapping[LinkName, Words] = MappingProxyType(
    {
        LinkName.PAYMENT: ("支付", "payment"),
        LinkName.CONFIRMATION: ("确认", "confirmation"),
        LinkName.DELIVERY: ("交付", "delivery"),
        LinkName.NEGOTIATION: ("协商", "negotiation"),
    }
)
FIRST_CONTACT: Words = ("买家首次联系商家", "The buyer first contacted the merchant")
_PARTIES: Mapping[Party, Words] = MappingProxyType(
    {
        Party.BUYER: ("买家", "the buyer"),
        Party.MERCHANT: ("商家", "the merchant"),
        Party.PLATFORM: ("平台", "the platform"),
        Party.THIRD_PARTY: ("第三方", "a third party"),
    }
)
_PAYMENT_STATUSES: Mapping[PaymentStatus, Words] = MappingProxyType(
    {
        PaymentStatus.SUCCEEDED: ("成功", "succeeded"),
        PaymentStatus.PENDING: ("处理中，尚不能证明已付款", "is pending, which does not show that money was taken"),
        PaymentStatus.FAILED: ("失败", "failed"),
    }
)
_OF_ANOTHER_ORDER: Words = ("属于其他订单，不计入", "names another order, and is not counted")
NO_LINK: Words = ("仅凭类型无法判断属于哪个环节", "its kind does not tell which link it belongs to")

GAPS: Mapping[LinkName, Words] = MappingProxyType(
    {
        LinkName.PAYMENT: (
            "没有证据表明已付款。补充支付凭证或银行流水即可补上。",
            "Nothing shows that money was paid. A proof of payment or a bank statement would close this gap.",
        ),
        LinkName.CONFIRMATION: (
            "没有证据表明订单已确认。补充订单截图，或提出问题之前的站内沟通记录即可补上。",
            "Nothing shows that the order was confirmed. A screenshot of the order, or the chat on the site from "
            "before the complaint, would close this gap.",
        ),
        LinkName.NEGOTIATION: (
            "没有证据表明曾与商家协商。补充站内沟通记录即可补上；站外私聊不计入。",
            "Nothing shows that it was tried to settle this with the merchant. The chat on the site would close this "
            "gap; a private one does not count.",
        ),
    }
)
_SHOWS_DELIVERY: Words = (
    "补充到账异常截图、错误提示截图、实际收到凭证、第三方佐证或录屏即可补上。",
    "A screenshot of the failed delivery or of an error, a proof of what was received, a third party's statement or a "
    "screen recording would close this gap.",
)


def payment_words(payment: Payment, *, is_foreign: bool) -> Words:
    """支付记录."""
    zh, en = _OF_ANOTHER_ORDER if is_foreign else _PAYMENT_STATUSES[payment.status]
    amount_zh, amount_en = in_words(Fen(payment.amount))
    return f"支付 {payment.payment_no}：{amount_zh}，{zh}", f"Payment {payment.payment_no} of {amount_en} {en}"


def order_words(order: Order) -> Words:
    """订单记录."""
    zh, en = words_of(order.status)
    return f"订单 {order.order_no} 下单；当前状态：{zh}", f"Order {order.order_no} was placed; its status now: {en}"


def delivery_words(delivery: Delivery) -> Words:
    """发货记录."""
    zh, en = words_of(delivery.usage)
    return f"发货 {delivery.delivery_no}（{zh}）", f"Delivery {delivery.delivery_no} ({en})"


def nothing_delivered_words(as_of: datetime) -> Words:
    """A promise that came due with nothing delivered."""
    zh, en = in_words(as_of.replace(microsecond=0))
    return f"应发货而未发货：截至 {zh} 没有任何发货记录", f"Delivery was due; at {en} the log shows nothing delivered"


def answer_words(position: Position) -> Words:
    """商家答复."""
    zh, en = words_of(position)
    return f"商家答复：{zh}", f"The merchant {en}"


def piece_words(piece: Evidence, remarks: Iterable[Words]) -> Words:
    """A piece, who put it forward, and what there is to remark on it."""
    (zh, en), (by_zh, by_en) = words_of(piece.kind), _PARTIES[piece.party]
    said_zh, said_en = f"{by_zh}提交的{zh}", f"{en[0].upper()}{en[1:]}, put forward by {by_en}"
    for remark_zh, remark_en in remarks:
        said_zh, said_en = f"{said_zh}；{remark_zh}", f"{said_en}; {remark_en}"
    return said_zh, said_en


def discount_words(discount: Discount) -> Words:
    """Why a piece does not count."""
    zh, en = words_of(discount)
    return f"不计入：{zh}", f"not counted: {en}"


def delivery_gap(standing: Standing) -> Words:
    """Why the records say neither that something came nor that it should have, and what would close the gap."""
    zh, en = "没有发货记录，应发货时间也不明", "There is no delivery on record, nor is it known when one was due"
    if standing.due_at is not None:
        due_zh, due_en = in_words(standing.due_at.replace(microsecond=0))
        zh, en = (
            f"没有发货记录，约定的 {due_zh} 尚未到",
            f"There is no delivery on record, and it is not due before {due_en}",
        )
    return f"{zh}。{_SHOWS_DELIVERY[0]}", f"{en}. {_SHOWS_DELIVERY[1]}"
