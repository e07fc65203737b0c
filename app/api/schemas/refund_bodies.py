"""Bodies of webhooks about refunds, as an adapter gets them."""

from typing import Literal

from pydantic import Field

from app.api.schemas.base import BodyOut
from app.api.schemas.deposits import DepositDeducted
from app.api.schemas.refunds import RefundInstructionOut
from app.api.schemas.webhook_bodies import Envelope
from app.models.closed_sets import ReportSource
from app.rules.facts import Channel
from app.rules.settlement import ConflictCode, RefundState


class InstructedRefund(RefundInstructionOut):
    """退款指令: pay `amount` back over this payment. `refund_no` is its idempotency key at the channel."""

    order_no: str | None = Field(description="订单号.")
    reason_text: str = Field(description="退款原因 · Fit for the buyer's bill.")


class RefundRequested(Envelope):
    """事件：退款指令. Sent again when a person lets a refund go on that has stopped."""

    type: Literal["refund.requested"] = Field(description="事件类型.")
    data: InstructedRefund = Field(description="内容 · The instruction.")


class ToldRefund(RefundInstructionOut):
    """退款单."""

    order_no: str | None = Field(description="订单号.")


class RefundSucceeded(Envelope):
    """事件：退款成功."""

    type: Literal["refund.succeeded"] = Field(description="事件类型.")
    data: ToldRefund = Field(description="内容.")


class RefundFailed(Envelope):
    """事件：退款失败或关闭."""

    type: Literal["refund.failed"] = Field(description="事件类型.")
    data: ToldRefund = Field(description="内容 · `state` is `failed` (may be retried) or `closed` (may be replaced).")


class RefundAbnormal(Envelope):
    """事件：退款异常."""

    type: Literal["refund.abnormal"] = Field(description="事件类型.")
    data: ToldRefund = Field(description="内容 · `failure` says why.")


class OverdueRefund(ToldRefund):
    """逾期的退款."""

    awaited: Literal["acceptance", "arrival"] = Field(
        description="所等待的 · That somebody takes the instruction, or that the money arrives."
    )
    since: str = Field(description="应于此时前完成.")


class RefundOverdue(Envelope):
    """事件：退款逾期."""

    type: Literal["refund.overdue"] = Field(description="事件类型.")
    data: OverdueRefund = Field(description="内容.")


class ContradictingReport(BodyOut):
    """与退款单矛盾的结果."""

    source: ReportSource = Field(description="来源.")
    state: RefundState = Field(description="所报状态.")
    amount: int | None = Field(description="所报金额（分）.")
    currency: str | None = Field(description="所报币种.")
    channel_refund_no: str | None = Field(description="所报渠道退款单号.")
    payment_no: str | None = Field(description="所报支付单号.")
    channel: Channel | None = Field(description="所报支付渠道.")
    at: str = Field(description="所报时间.")


class ContradictedRefund(ToldRefund):
    """退款单, as it stands, and what was said against it."""

    conflict: ConflictCode = Field(description="矛盾之处.")
    reported: ContradictingReport = Field(description="所报内容 · It changed nothing.")


class MerchantDepositDeducted(Envelope):
    """事件：已从保证金扣款，或由平台先行赔付."""

    type: Literal["merchant.deposit_deducted"] = Field(description="事件类型.")
    data: DepositDeducted = Field(description="内容 · What was taken, and how the deposit stands.")


class RefundConflict(Envelope):
    """事件：退款结果矛盾."""

    type: Literal["refund.conflict"] = Field(description="事件类型.")
    data: ContradictedRefund = Field(description="内容 · Both sides.")
