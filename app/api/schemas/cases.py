"""Bodies of cases."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StrictStr, model_validator

from app.api.schemas.adjudications import NOT_DELIVERED, refuse_twice, require_its_merchant, require_order
from app.api.schemas.base import BodyIn, BodyOut
from app.api.schemas.decision import DecisionOut, NextOut, PolicyOut
from app.api.schemas.facts import (
    MOST_EVIDENCE,
    MOST_PIECES,
    ClaimIn,
    DeliveryIn,
    EvidenceIn,
    MerchantIn,
    OrderIn,
    PaymentIn,
)
from app.api.schemas.files import FileIn, FileOut
from app.api.schemas.pages import PageQuery
from app.api.schemas.refunds import RefundInstructionOut
from app.api.text import Identifier, Instant, Sha256, refuse
from app.ids import Mint
from app.models.closed_sets import ActKind
from app.rules.chain_words import LinkName
from app.rules.escalation import Venue
from app.rules.facts import ChatChannel, EvidenceKind, Party, Reason, Remedy, Side, Via
from app.rules.lifecycle import CaseStatus
from app.services.assembling import PutForward

UPLOAD_WITHIN: Final = timedelta(hours=24)
PolicyName = Annotated[StrictStr, Field(max_length=63, pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class FiledDeliveryIn(DeliveryIn):
    """A delivery that comes along with a claim; it belongs to the claim's order."""

    card_fingerprint: Sha256 | None = Field(
        default=None,
        description="卡密指纹 · HMAC-SHA-256 of the card under a key of your own, lower-case hex.",
    )


class FiledEvidenceIn(EvidenceIn):
    """A piece of evidence in a case, perhaps with a file that is to follow."""

    file: FileIn | None = Field(
        default=None,
        description="文件 · Announced here; its bytes go up to the address that the answer names. Until they are there "
        "the piece does not count.",
    )

    @model_validator(mode="after")
    def _has_one_hash(self) -> Self:
        if self.file is not None and self.sha256 is not None:
            raise refuse("two_hashes", en="The hash of a file belongs into it.", zh="文件的哈希应写在 file 中。")
        return self

    def put_forward(self, now: datetime, mint: Mint) -> PutForward:
        """The piece, and the file as it is awaited from now on."""
        file = None if self.file is None else self.file.row(mint(), now + UPLOAD_WITHIN)
        return PutForward(self.fact(), file)


class CaseIn(BodyIn):
    """A claim to be filed, with its records inline or sent before (提交退款申请)."""

    claim: ClaimIn
    order_no: Identifier | None = Field(
        default=None, description="订单号 · Of an order sent before; left out where `order` comes along."
    )
    order: OrderIn | None = Field(default=None, description="订单 · Stored like `PUT /v1/orders/{order_no}`.")
    payments: Annotated[list[PaymentIn], Field(max_length=MOST_PIECES)] = Field(default=[], description="支付记录.")
    payment_nos: Annotated[list[Identifier], Field(max_length=MOST_PIECES)] = Field(
        default=[], description="支付单号 · Payments sent before that name no order; those of the order are known."
    )
    deliveries: Annotated[list[FiledDeliveryIn], Field(max_length=MOST_PIECES)] = Field(
        default=[], description="发货记录."
    )
    evidence: Annotated[list[FiledEvidenceIn], Field(max_length=MOST_EVIDENCE)] = Field(default=[], description="证据.")
    merchant: MerchantIn | None = Field(default=None, description="商家.")
    policy: PolicyName | None = Field(
        default=None,
        description="退款规则 · The policy that the order was sold under; left out: the one that the site has active. "
        "Its version is the one in force when the order was placed.",
    )

    @model_validator(mode="after")
    def _is_about_one_order(self) -> Self:
        order_no = self.named_order()
        require_order(self.claim.reason, present=order_no is not None)
        refuse_twice("payments", [payment.payment_no for payment in self.payments])
        refuse_twice("deliveries", [delivery.delivery_no for delivery in self.deliveries])
        if self.order is not None and self.merchant is not None:
            require_its_merchant(self.order.merchant_id, self.merchant.merchant_id)
        if self.deliveries and order_no is None:
            raise refuse(
                "delivery_without_order",
                en="A delivery belongs to an order; name it.",
                zh="发货记录须属于某个订单，请提供订单号。",
            )
        return self

    def named_order(self) -> str | None:
        """The order that the claim is about, by either way of naming it."""
        if self.order is None:
            return self.order_no
        if self.order_no is not None and self.order_no != self.order.order_no:
            raise refuse("two_orders", en="order_no is not order.order_no.", zh="order_no 与 order.order_no 不一致。")
        return self.order.order_no


class ClaimOut(BodyOut):
    """退款申请 as it was filed."""

    reason: Reason = Field(description="退款事由.")
    remedy: Remedy = Field(description="退款类型.")
    amount: int | None = Field(description="申请退款金额（分） · null: all that the rules grant.")
    filed_at: str = Field(description="提交时间.")
    first_contact_at: str | None = Field(description="首次联系商家时间.")
    via: Via = Field(description="申请渠道.")
    description: str | None = Field(description="补充说明.")


class StoredEvidenceOut(BodyOut):
    """证据 as it is stored."""

    n: int = Field(description="证据序号 · Its place in the case, from 1.")
    kind: EvidenceKind = Field(description="证据类型.")
    party: Party = Field(description="举证方.")
    captured_at: str = Field(description="取证时间.")
    order_no: str | None = Field(description="订单号.")
    channel: ChatChannel | None = Field(description="沟通渠道.")
    composite: bool = Field(description="是否拼接图片.")
    stamped: bool = Field(description="是否加盖公章或电子签章.")
    reused: bool = Field(description="是否曾用于其他订单的案件 · The service's own finding.")
    sha256: str | None = Field(description="文件 SHA-256.")
    supports: Side | None = Field(description="支持哪一方.")
    put_forward_at: str | None = Field(description="提交时间 · When it came in.")
    file: FileOut | None = Field(description="文件 · null: none was announced with it.")


class CaseDeadlineOut(BodyOut):
    """案件期限, and what became of it."""

    name: str = Field(description="名称.")
    at: str = Field(description="截止时间.")
    provisional: bool = Field(description="是否暂定.")
    state: Literal["running", "over", "kept", "void"] = Field(
        description="状态 · `running`; `over`: it passed; `kept`: done in time; `void`: it does not matter any more."
    )


class ActOut(BodyOut):
    """行为: what a party did in the case."""

    kind: ActKind = Field(description="行为类型.")
    by: str | None = Field(description="由谁 · The site's own id of whoever did it.")
    at: str = Field(description="时间.")
    details: dict[str, Any] = Field(description="内容 · As it was sent, with what the service found.")


class ChainEntryOut(BodyOut):
    """证据链中的一项."""

    at: str = Field(description="时间.")
    what: str = Field(description="记录或证据类型 · A record of the site's, or a kind of evidence.")
    ref: str | None = Field(description="单号 · Of the record.")
    piece: int | None = Field(description="证据序号 · Of the piece, from 1.")
    completes: bool = Field(description="是否使该环节完整 · Whether it makes its link complete.")
    discount: str | None = Field(description="不计入的原因.")
    message: str = Field(description="说明（中文）.")
    message_en: str = Field(description="英文说明 · The same in English.")


class GapOut(BodyOut):
    """缺口: what would close it."""

    message: str = Field(description="说明（中文）.")
    message_en: str = Field(description="英文说明 · The same in English.")


class LinkOut(BodyOut):
    """证据链的一环: 支付 → 确认 → 交付 → 协商."""

    link: LinkName = Field(description="环节.")
    title: str = Field(description="名称（中文）.")
    title_en: str = Field(description="英文名称 · Its name in English.")
    entries: list[ChainEntryOut] = Field(description="按时间排列 · By time.")
    gap: GapOut | None = Field(description="缺口 · null: nothing is missing.")


class WayOut(BodyOut):
    """平台之外的途径."""

    venue: Venue = Field(description="途径.")
    until: str | None = Field(description="截止 · null: nothing ends it.")
    certain: bool = Field(description="是否确定 · false: some channels only; ask yours.")
    suggested: bool = Field(description="是否建议 · At this amount.")
    message: str = Field(description="说明（中文）.")
    message_en: str = Field(description="英文说明 · The same in English.")
    source: str = Field(description="来源.")


class BeyondOut(BodyOut):
    """平台之外: what is open to the buyer beyond the site."""

    at_stake: int = Field(description="涉及金额（分）.")
    ways: list[WayOut] = Field(description="途径.")
    notarise: bool = Field(description="是否建议公证.")
    notarise_message: str | None = Field(description="公证建议（中文）.")
    notarise_message_en: str | None = Field(description="英文公证建议 · The same in English.")


class TimelineOut(BodyOut):
    """One event of a case."""

    event_id: str = Field(description="事件编号.")
    type: str = Field(description="事件类型.")
    sequence: int = Field(description="案件内序号 · Rises by one with each event.")
    at: str = Field(description="发生时间.")


class CaseSummaryOut(BodyOut):
    """案件 as a list shows it."""

    id: str = Field(description="案件编号.")
    status: CaseStatus = Field(description="案件状态.")
    reason: Reason = Field(description="退款事由.")
    order_no: str | None = Field(description="订单号.")
    merchant_id: str | None = Field(description="商家编号.")
    buyer_id: str | None = Field(description="买家编号.")
    policy: PolicyOut = Field(description="所用规则版本.")
    filed_at: str = Field(description="提交时间.")
    created_at: str = Field(description="创建时间.")
    updated_at: str = Field(description="最近变更时间.")
    version: int = Field(description="版本 · Counts the changes; the same as in `ETag`.")


class CaseOut(CaseSummaryOut):
    """案件: a claim's life from filing to money back."""

    claim: ClaimOut = Field(description="退款申请.")
    decision: DecisionOut | None = Field(description="裁定 · The latest decision, whole.")
    evidence: list[StoredEvidenceOut] = Field(description="证据 · In the order in which it was put forward.")
    refunds: list[RefundInstructionOut] = Field(description="退款单.")
    next: list[NextOut] = Field(description="下一步 · Every action that is allowed now, by whom, until when.")
    deadlines: list[CaseDeadlineOut] = Field(description="期限 · All that the case was ever given.")
    acts: list[ActOut] = Field(description="各方行为 · What the parties did, in order.")
    timeline: list[TimelineOut] = Field(description="时间线 · What happened, in order.")
    evidence_chain: list[LinkOut] = Field(description="证据链 · From payment to negotiation, with its gaps named.")
    beyond_the_site: BeyondOut | None = Field(description="平台之外的途径.")


class CasePageOut(BodyOut):
    """A page of cases, newest first."""

    data: list[CaseSummaryOut] = Field(description="案件列表.")
    next_cursor: str | None = Field(description="下一页游标 · null on the last page.")


class CaseQuery(PageQuery):
    """Which cases to list."""

    status: CaseStatus | None = Field(default=None, description="案件状态.")
    reason: Reason | None = Field(default=None, description="退款事由.")
    merchant: Identifier | None = Field(default=None, description="商家编号.")
    order_no: Identifier | None = Field(default=None, description="订单号.")
    filed_from: Instant | None = Field(default=None, description="提交时间起（含）.")
    filed_to: Instant | None = Field(default=None, description="提交时间止（不含）.")


def _with_its_own_records() -> dict[str, Any]:
    """About an order of its own, so that this example and the other can both be tried."""
    [payment], [chat] = NOT_DELIVERED["payments"], NOT_DELIVERED["evidence"]
    return {
        "claim": NOT_DELIVERED["claim"],
        "order": {**NOT_DELIVERED["order"], "order_no": "A-2002"},
        "payments": [{**payment, "payment_no": "P-2002", "order_no": "A-2002"}],
        "evidence": [{**chat, "order_no": "A-2002"}],
        "merchant": NOT_DELIVERED["merchant"],
    }


EXAMPLES: dict[str, Any] = {
    "inline": {
        "summary": "未到账，记录一并提交 · Not delivered; all records come along",
        "value": _with_its_own_records(),
    },
    "sent_before": {
        "summary": "记录已提交 · The records were sent before",
        "value": {
            "order_no": "A-1001",
            "claim": NOT_DELIVERED["claim"],
            "evidence": NOT_DELIVERED["evidence"],
        },
    },
}
