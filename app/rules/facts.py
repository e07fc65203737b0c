"""Everything a decision may depend on.

Money is an integer in fen (分). An instant is an aware `datetime`. Whoever builds these has already checked their
form (types, ranges, time offsets); the rules judge what the facts mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType


class Reason(StrEnum):
    """退款事由: why the buyer asks for money back."""

    NOT_DELIVERED = "not_delivered"
    DELIVERED_LATE = "delivered_late"
    SHORT_DELIVERY = "short_delivery"
    INVALID_GOODS = "invalid_goods"
    NOT_WORKING = "not_working"
    NOT_AS_DESCRIBED = "not_as_described"
    DUPLICATE_CHARGE = "duplicate_charge"
    CHARGED_WITHOUT_ORDER = "charged_without_order"
    PAYMENT_INFO_ERROR = "payment_info_error"
    WRONG_TARGET = "wrong_target"
    WRONG_ACCOUNT = "wrong_account"
    WRONG_ITEM = "wrong_item"
    CHANGE_OF_MIND = "change_of_mind"
    ORDER_CANCELLED = "order_cancelled"
    OTHER = "other"


class Remedy(StrEnum):
    """退款类型: what is asked for."""

    REFUND = "refund"
    RETURN_AND_REFUND = "return_and_refund"


class Via(StrEnum):
    """申请渠道: filed on the platform, or settled in private."""

    PLATFORM = "platform"
    PRIVATE = "private"


class OrderStatus(StrEnum):
    """订单状态."""

    PENDING_PAYMENT = "pending_payment"
    PAYING = "paying"
    PAYMENT_FAILED = "payment_failed"
    PAID = "paid"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class CancelledBy(StrEnum):
    """取消方: who cancelled the order."""

    BUYER = "buyer"
    MERCHANT = "merchant"
    PLATFORM = "platform"


class GoodsKind(StrEnum):
    """商品类型."""

    GAME_CARD = "game_card"
    GAME_CURRENCY = "game_currency"
    PHONE_TOPUP = "phone_topup"
    MEMBERSHIP = "membership"
    SOFTWARE_LICENSE = "software_license"
    ACCOUNT = "account"
    CUSTOM_SERVICE = "custom_service"
    OTHER = "other"


class DeliveryMode(StrEnum):
    """发货方式: at once, or at an agreed time."""

    INSTANT = "instant"
    SCHEDULED = "scheduled"


class CardUse(StrEnum):
    """卡密用途: whether a card is meant for one buyer only."""

    SINGLE_USE = "single_use"
    SHARED = "shared"
    UNKNOWN = "unknown"


class Trait(StrEnum):
    """商品特性: what makes goods special."""

    TRIAL = "trial"
    FINAL_SALE = "final_sale"
    CUSTOM_MADE = "custom_made"
    ACCOUNT = "account"


class Channel(StrEnum):
    """支付渠道."""

    ALIPAY = "alipay"
    WECHAT_PAY = "wechat_pay"
    BANK_CARD = "bank_card"
    UNIONPAY = "unionpay"
    BALANCE = "balance"


class PaymentStatus(StrEnum):
    """支付状态."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    FAILED = "failed"


class Usage(StrEnum):
    """使用状态 of what was delivered."""

    UNUSED = "unused"
    ACTIVATED = "activated"
    CONSUMED = "consumed"
    UNKNOWN = "unknown"


class UsedBy(StrEnum):
    """使用者."""

    BUYER = "buyer"
    OTHER = "other"
    UNKNOWN = "unknown"


class CardStatus(StrEnum):
    """卡密校验结果."""

    UNKNOWN = "unknown"
    VALID = "valid"
    INVALID = "invalid"
    EXPIRED = "expired"


class EvidenceKind(StrEnum):
    """证据类型."""

    ORDER_RECORD = "order_record"
    PAYMENT_PROOF = "payment_proof"
    CHAT_LOG = "chat_log"
    DELIVERY_ANOMALY = "delivery_anomaly"
    ERROR_SCREENSHOT = "error_screenshot"
    LISTING_SNAPSHOT = "listing_snapshot"
    RECEIVED_PROOF = "received_proof"
    FAILURE_PAGE = "failure_page"
    NETWORK_LOG = "network_log"
    OPERATION_RECORD = "operation_record"
    MERCHANT_STATEMENT = "merchant_statement"
    THIRD_PARTY_STATEMENT = "third_party_statement"
    BANK_STATEMENT = "bank_statement"
    SCREEN_RECORDING = "screen_recording"
    NOTARISED_RECORD = "notarised_record"
    OTHER = "other"


class Party(StrEnum):
    """举证方: who puts a piece of evidence forward."""

    BUYER = "buyer"
    MERCHANT = "merchant"
    PLATFORM = "platform"
    THIRD_PARTY = "third_party"


class Side(StrEnum):
    """支持哪一方: whom a piece of evidence speaks for."""

    BUYER = "buyer"
    MERCHANT = "merchant"


class ChatChannel(StrEnum):
    """沟通渠道: the site's own chat, or a private one."""

    IN_PLATFORM = "in_platform"
    OFF_PLATFORM = "off_platform"


class MerchantStatus(StrEnum):
    """商家状态."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    UNREACHABLE = "unreachable"


class Position(StrEnum):
    """商家答复: what the merchant says to the claim."""

    ACCEPT = "accept"
    CONTEST = "contest"
    OFFER_REISSUE = "offer_reissue"


class Ruled(StrEnum):
    """人工裁定结果: what a person decides."""

    APPROVE = "approve"
    REJECT = "reject"


class RulingCode(StrEnum):
    """人工裁定理由: why a person decides so."""

    EVIDENCE_CONVINCES = "evidence_convinces"
    RECORDS_WRONG = "records_wrong"
    MERCHANT_FAILED = "merchant_failed"
    PLATFORM_FAILED = "platform_failed"
    GOODWILL = "goodwill"
    EVIDENCE_INSUFFICIENT = "evidence_insufficient"
    GOODS_DELIVERED = "goods_delivered"
    GOODS_USED = "goods_used"
    OUTSIDE_THE_TERMS = "outside_the_terms"
    BAD_FAITH = "bad_faith"
    OTHER = "other"


RULING_CODES: Mapping[Ruled, frozenset[RulingCode]] = MappingProxyType(
    {
        Ruled.APPROVE: frozenset(
            {
                RulingCode.EVIDENCE_CONVINCES,
                RulingCode.RECORDS_WRONG,
                RulingCode.MERCHANT_FAILED,
                RulingCode.PLATFORM_FAILED,
                RulingCode.GOODWILL,
                RulingCode.OTHER,
            }
        ),
        Ruled.REJECT: frozenset(
            {
                RulingCode.EVIDENCE_INSUFFICIENT,
                RulingCode.GOODS_DELIVERED,
                RulingCode.GOODS_USED,
                RulingCode.OUTSIDE_THE_TERMS,
                RulingCode.BAD_FAITH,
                RulingCode.OTHER,
            }
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Claim:
    """退款申请. `amount` in fen; None asks for all that the rules grant."""

    reason: Reason
    filed_at: datetime
    remedy: Remedy = Remedy.REFUND
    amount: int | None = None
    first_contact_at: datetime | None = None
    via: Via = Via.PLATFORM
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """商品约定. `refundable` False: the product says "no refund" for anything but a fault."""

    report_window: timedelta | None = None
    refundable: bool | None = None


@dataclass(frozen=True, slots=True)
class Goods:
    """商品. `face_value` in fen."""

    sku: str
    name: str
    kind: GoodsKind
    delivery_mode: DeliveryMode
    promised_at: datetime | None = None
    card_use: CardUse = CardUse.UNKNOWN
    face_value: int | None = None
    traits: frozenset[Trait] = frozenset()
    terms: Terms = Terms()


@dataclass(frozen=True, slots=True)
class Order:
    """订单. `amount` in fen."""

    order_no: str
    merchant_id: str
    buyer_id: str
    amount: int
    currency: str
    status: OrderStatus
    placed_at: datetime
    goods: Goods
    cancelled_by: CancelledBy | None = None
    cancelled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """支付记录. `refunded_amount`: fen that already went back on it. `order_no` None: the payment names no order."""

    payment_no: str
    channel: Channel
    status: PaymentStatus
    amount: int
    paid_at: datetime
    order_no: str | None = None
    refunded_amount: int = 0

    @property
    def remaining(self) -> int:
        """What may still go back on this payment, in fen."""
        return self.amount - self.refunded_amount


@dataclass(frozen=True, slots=True)
class Delivery:
    """发货 / 到账记录. `face_value` in fen; `times_sold` counts the orders that were given the same card."""

    delivery_no: str
    delivered_at: datetime | None = None
    face_value: int | None = None
    recipient: str | None = None
    usage: Usage = Usage.UNKNOWN
    used_at: datetime | None = None
    used_by: UsedBy = UsedBy.UNKNOWN
    card_status: CardStatus = CardStatus.UNKNOWN
    times_sold: int = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """证据. `reused`: the same file was put forward in another order's case; `sha256` as lower-case hex."""

    kind: EvidenceKind
    party: Party
    captured_at: datetime
    order_no: str | None = None
    channel: ChatChannel | None = None
    composite: bool = False
    stamped: bool = False
    reused: bool = False
    sha256: str | None = None
    supports: Side | None = None


@dataclass(frozen=True, slots=True)
class MerchantResponse:
    """商家答复 and when it was given."""

    position: Position
    at: datetime


@dataclass(frozen=True, slots=True)
class Merchant:
    """商家. `deposit` (保证金) in fen."""

    merchant_id: str
    status: MerchantStatus = MerchantStatus.ACTIVE
    identity_verified: bool = False
    deposit: int = 0
    response: MerchantResponse | None = None


@dataclass(frozen=True, slots=True)
class Buyer:
    """买家. `strikes`: recorded breaches of good faith that have not expired."""

    strikes: int = 0


@dataclass(frozen=True, slots=True)
class Ruling:
    """人工裁定 and when it was given. `amount` in fen: at most so much of what can be granted; None: all of it."""

    outcome: Ruled
    code: RulingCode
    at: datetime
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """案件进程: what happened in the case before `as_of` that limits count from. None: it has not happened.

    `resumed_at`: when the case last came back from waiting for the buyer, time that does not count against the
    merchant. A `ruling` decides.
    """

    evidence_requested_at: datetime | None = None
    review_started_at: datetime | None = None
    resumed_at: datetime | None = None
    appealed_at: datetime | None = None
    ruling: Ruling | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """One claim and all that is known about it at `as_of`. `course` None: the claim is judged for the first time."""

    as_of: datetime
    claim: Claim
    order: Order | None
    payments: tuple[Payment, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    merchant: Merchant | None = None
    buyer: Buyer = Buyer()
    course: Course | None = None
