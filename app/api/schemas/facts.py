"""The facts of a claim as callers send them."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from app.api.schemas.base import BodyIn
from app.api.text import Amount, AmountOrZero, Duration, Flag, FreeText, Identifier, Instant, Sha256, refuse
from app.rules.facts import (
    RULING_CODES,
    CancelledBy,
    CardStatus,
    CardUse,
    Channel,
    ChatChannel,
    Claim,
    Course,
    Delivery,
    DeliveryMode,
    Evidence,
    EvidenceKind,
    Goods,
    GoodsKind,
    Merchant,
    MerchantResponse,
    MerchantStatus,
    Order,
    OrderStatus,
    Party,
    Payment,
    PaymentStatus,
    Position,
    Reason,
    Remedy,
    Ruled,
    Ruling,
    RulingCode,
    Side,
    Terms,
    Trait,
    Usage,
    UsedBy,
    Via,
)

MOST_PIECES = 1_000
MOST_EVIDENCE = 200
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
TimesSold = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class ClaimIn(BodyIn):
    """退款申请: what the buyer asks for."""

    reason: Reason = Field(description="退款事由 · Why money is asked back.")
    remedy: Remedy = Field(default=Remedy.REFUND, description="退款类型 · Virtual goods can only be refunded.")
    amount: Amount | None = Field(
        default=None, description="申请退款金额（分） · In fen. Left out or null: all that the rules grant."
    )
    filed_at: Instant = Field(description="申请提交时间 · When the claim was filed.")
    first_contact_at: Instant | None = Field(
        default=None, description="首次联系商家时间 · When the buyer first wrote to the merchant."
    )
    via: Via = Field(default=Via.PLATFORM, description="申请渠道 · On the platform, or settled in private.")
    description: FreeText | None = Field(default=None, description="补充说明 · In the buyer's words.")

    def fact(self) -> Claim:
        """The claim as the rules know it."""
        return Claim(
            self.reason, self.filed_at, self.remedy, self.amount, self.first_contact_at, self.via, self.description
        )


class TermsIn(BodyIn):
    """商品约定: what the product page promised."""

    report_window: Duration | None = Field(
        default=None, description="反馈时限 · How long after delivery a problem may be reported, e.g. `PT1H`."
    )
    refundable: Flag | None = Field(
        default=None, description="是否可退 · `false`: no refund for anything but a fault of the goods or the merchant."
    )

    def fact(self) -> Terms:
        """The terms as the rules know them."""
        return Terms(self.report_window, self.refundable)


class GoodsIn(BodyIn):
    """商品."""

    sku: Identifier = Field(description="商品编号 · The site's number for the product.")
    name: Annotated[FreeText, Field(max_length=200)] = Field(description="商品名称 · Name shown to the buyer.")
    kind: GoodsKind = Field(description="商品类型 · Game card, top-up, membership, licence, account, …")
    delivery_mode: DeliveryMode = Field(description="发货方式 · At once, or at an agreed time.")
    promised_at: Instant | None = Field(
        default=None, description="约定发货时间 · If left out, paid plus the policy's promise for the delivery mode."
    )
    card_use: CardUse = Field(default=CardUse.UNKNOWN, description="卡密用途 · For one buyer only, shared, or unknown.")
    face_value: AmountOrZero | None = Field(default=None, description="面值（分） · What was ordered, in fen.")
    traits: Annotated[list[Trait], Field(max_length=len(Trait))] = Field(
        default=[], description="商品特性 · Trial, final sale, custom-made, account."
    )
    terms: TermsIn = Field(default=TermsIn(), description="商品约定 · Terms agreed at checkout.")

    def fact(self) -> Goods:
        """The goods as the rules know them."""
        return Goods(
            sku=self.sku,
            name=self.name,
            kind=self.kind,
            delivery_mode=self.delivery_mode,
            promised_at=self.promised_at,
            card_use=self.card_use,
            face_value=self.face_value,
            traits=frozenset(self.traits),
            terms=self.terms.fact(),
        )


class OrderBody(BodyIn):
    """What an order record says beside its number."""

    merchant_id: Identifier = Field(description="商家编号.")
    buyer_id: Identifier = Field(description="买家编号 · The site's own opaque id; never a name or a phone number.")
    amount: AmountOrZero = Field(description="订单金额（分） · In fen.")
    currency: Literal["CNY"] = Field(description="币种.")
    status: OrderStatus = Field(description="订单状态.")
    placed_at: Instant = Field(description="下单时间.")
    cancelled_by: CancelledBy | None = Field(default=None, description="取消方 · Who cancelled the order.")
    cancelled_at: Instant | None = Field(default=None, description="取消时间.")
    goods: GoodsIn = Field(description="商品.")

    def with_number(self, order_no: str) -> Order:
        """The order as the rules know it."""
        return Order(
            order_no=order_no,
            merchant_id=self.merchant_id,
            buyer_id=self.buyer_id,
            amount=self.amount,
            currency=self.currency,
            status=self.status,
            placed_at=self.placed_at,
            goods=self.goods.fact(),
            cancelled_by=self.cancelled_by,
            cancelled_at=self.cancelled_at,
        )


class OrderIn(OrderBody):
    """订单记录: what was bought."""

    order_no: Identifier = Field(description="订单号 · The site's own number, unique per site.")

    def fact(self) -> Order:
        """The order as the rules know it."""
        return self.with_number(self.order_no)


class PaymentBody(BodyIn):
    """What a payment record says beside its number."""

    order_no: Identifier | None = Field(
        default=None, description="订单号 · The order that the payment names; null where there is none."
    )
    channel: Channel = Field(description="支付渠道.")
    status: PaymentStatus = Field(description="支付状态.")
    amount: Amount = Field(description="支付金额（分） · In fen.")
    refunded_amount: AmountOrZero = Field(
        default=0,
        description="已退金额（分） · What already went back on this payment by other ways than this service.",
    )
    paid_at: Instant = Field(description="支付时间.")

    @model_validator(mode="after")
    def _no_more_went_back(self) -> Self:
        if self.refunded_amount > self.amount:
            raise refuse(
                "refunded_above_amount",
                en="refunded_amount is above amount.",
                zh="refunded_amount（已退金额）大于 amount（支付金额）。",
            )
        return self

    def with_number(self, payment_no: str) -> Payment:
        """The payment as the rules know it."""
        return Payment(
            payment_no=payment_no,
            channel=self.channel,
            status=self.status,
            amount=self.amount,
            paid_at=self.paid_at,
            order_no=self.order_no,
            refunded_amount=self.refunded_amount,
        )


class PaymentIn(PaymentBody):
    """支付记录: one charge on one channel."""

    payment_no: Identifier = Field(description="支付单号 · The site's own number, unique per site.")

    def fact(self) -> Payment:
        """The payment as the rules know it."""
        return self.with_number(self.payment_no)


class DeliveryBody(BodyIn):
    """What a delivery record says beside its number."""

    delivered_at: Instant | None = Field(default=None, description="发货 / 到账时间 · null: not delivered yet.")
    face_value: AmountOrZero | None = Field(default=None, description="到账面值（分） · In fen.")
    recipient: Annotated[FreeText, Field(max_length=200)] | None = Field(
        default=None, description="到账账号 · To which account, masked or as an opaque id."
    )
    usage: Usage = Field(default=Usage.UNKNOWN, description="使用状态 · `unknown` never proves that goods are unused.")
    used_at: Instant | None = Field(default=None, description="使用时间.")
    used_by: UsedBy = Field(default=UsedBy.UNKNOWN, description="使用者.")
    card_status: CardStatus = Field(default=CardStatus.UNKNOWN, description="卡密校验结果 · Of the site's card check.")
    times_sold: TimesSold = Field(default=1, description="售出次数 · In how many orders this card was given out.")

    def with_number(self, delivery_no: str) -> Delivery:
        """The delivery as the rules know it."""
        return Delivery(
            delivery_no=delivery_no,
            delivered_at=self.delivered_at,
            face_value=self.face_value,
            recipient=self.recipient,
            usage=self.usage,
            used_at=self.used_at,
            used_by=self.used_by,
            card_status=self.card_status,
            times_sold=self.times_sold,
        )


class DeliveryIn(DeliveryBody):
    """发货 / 到账记录: what was issued or credited. Never send a card secret."""

    delivery_no: Identifier = Field(description="发货单号 · The site's own number, unique per site.")

    def fact(self) -> Delivery:
        """The delivery as the rules know it."""
        return self.with_number(self.delivery_no)


class EvidenceIn(BodyIn):
    """证据: something that a party puts forward."""

    kind: EvidenceKind = Field(description="证据类型.")
    party: Party = Field(description="举证方.")
    captured_at: Instant = Field(description="取证时间 · When it was captured.")
    order_no: Identifier | None = Field(
        default=None, description="所示订单号 · The order number that it shows, if any."
    )
    channel: ChatChannel | None = Field(
        default=None, description="沟通渠道 · For a chat log: on the site's own chat, or in private."
    )
    composite: Flag = Field(default=False, description="是否拼接图片.")
    stamped: Flag = Field(default=False, description="是否加盖公章或电子签章.")
    sha256: Sha256 | None = Field(default=None, description="文件 SHA-256 · Of the file, lower-case hex.")
    supports: Side | None = Field(default=None, description="支持哪一方 · Whom it speaks for.")

    def fact(self, *, reused: bool = False) -> Evidence:
        """The piece as the rules know it; whether the file was put forward before is for the service to say."""
        return Evidence(
            kind=self.kind,
            party=self.party,
            captured_at=self.captured_at,
            order_no=self.order_no,
            channel=self.channel,
            composite=self.composite,
            stamped=self.stamped,
            reused=reused,
            sha256=self.sha256,
            supports=self.supports,
        )


class JudgedEvidenceIn(EvidenceIn):
    """A piece of evidence in a body that is judged and not stored: `reused` is then a fact like any other."""

    reused: Flag = Field(default=False, description="是否曾用于其他订单的案件 · The same file in another order's case.")


class MerchantResponseIn(BodyIn):
    """商家答复."""

    position: Position = Field(description="立场 · Accept, contest, or offer a re-issue.")
    at: Instant = Field(description="答复时间.")

    def fact(self) -> MerchantResponse:
        """The answer as the rules know it."""
        return MerchantResponse(self.position, self.at)


class MerchantBody(BodyIn):
    """What a merchant record says beside its id."""

    status: MerchantStatus = Field(default=MerchantStatus.ACTIVE, description="商家状态.")
    identity_verified: Flag = Field(default=False, description="身份是否核验 · Whether the site verified who it is.")
    deposit: AmountOrZero = Field(default=0, description="保证金（分） · In fen.")

    def with_id(self, merchant_id: str, response: MerchantResponse | None = None) -> Merchant:
        """The merchant as the rules know it."""
        return Merchant(merchant_id, self.status, self.identity_verified, self.deposit, response)


class MerchantIn(MerchantBody):
    """商家记录."""

    merchant_id: Identifier = Field(description="商家编号.")

    def fact(self) -> Merchant:
        """The merchant as the rules know it."""
        return self.with_id(self.merchant_id)


class JudgedMerchantIn(MerchantIn):
    """A merchant in a body that is judged and not stored: its answer is then a fact like any other."""

    response: MerchantResponseIn | None = Field(default=None, description="商家答复 · null: none yet.")

    def fact(self) -> Merchant:
        """The merchant as the rules know it."""
        return self.with_id(self.merchant_id, None if self.response is None else self.response.fact())


class BuyerIn(BodyIn):
    """买家."""

    strikes: Count = Field(default=0, description="失信记录数 · Breaches of good faith that have not expired.")


class RulingIn(BodyIn):
    """人工裁定: what a person decided."""

    outcome: Ruled = Field(description="裁定结果 · Granted or refused.")
    code: RulingCode = Field(description="裁定理由 · Why; each code belongs to one of the outcomes, `other` to both.")
    at: Instant = Field(description="裁定时间 · When it was given.")
    amount: Amount | None = Field(
        default=None,
        description="裁定退款上限（分） · In fen, of what is granted: at most so much. Left out or null: all of it.",
    )

    @field_validator("code")
    @classmethod
    def _fits_the_outcome(cls, code: RulingCode, checked: ValidationInfo) -> RulingCode:
        outcome = checked.data.get("outcome")
        if outcome is not None and code not in RULING_CODES[outcome]:
            raise refuse(
                "code_of_the_other_outcome",
                en="This reason belongs to the other outcome of a ruling.",
                zh="该裁定理由不适用于此裁定结果。",
            )
        return code

    @field_validator("amount")
    @classmethod
    def _comes_with_a_grant(cls, amount: int | None, checked: ValidationInfo) -> int | None:
        if amount is not None and checked.data.get("outcome") is Ruled.REJECT:
            raise refuse(
                "amount_of_a_refusal",
                en="A ruling that refuses the claim names no amount.",
                zh="驳回申请的裁定不能带有退款金额。",
            )
        return amount

    def fact(self) -> Ruling:
        """The ruling as the rules know it."""
        return Ruling(self.outcome, self.code, self.at, self.amount)


class CourseIn(BodyIn):
    """案件进程: what happened in the case before, that limits count from."""

    evidence_requested_at: Instant | None = Field(
        default=None, description="首次要求补充证据的时间 · When more evidence was first asked for; its limit stands."
    )
    review_started_at: Instant | None = Field(
        default=None, description="开始人工审核的时间 · When a person was first to look at it; the promise stands."
    )
    resumed_at: Instant | None = Field(
        default=None,
        description="恢复处理的时间 · When the case last came back from waiting for the buyer; the merchant's time is "
        "not counted from before it.",
    )
    appealed_at: Instant | None = Field(default=None, description="申诉时间 · When the buyer appealed.")
    ruling: RulingIn | None = Field(default=None, description="人工裁定 · What a person decided; it decides.")

    def fact(self) -> Course:
        """The course as the rules know it."""
        return Course(
            evidence_requested_at=self.evidence_requested_at,
            review_started_at=self.review_started_at,
            resumed_at=self.resumed_at,
            appealed_at=self.appealed_at,
            ruling=None if self.ruling is None else self.ruling.fact(),
        )
