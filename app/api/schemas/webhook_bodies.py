"""Bodies of webhooks, as an adapter gets them."""

from typing import Any, Literal

from pydantic import Field

from app.api.schemas.base import BodyOut
from app.api.schemas.cases import CaseSummaryOut, ClaimOut, StoredEvidenceOut
from app.api.schemas.decision import DeadlineOut, DecisionOut, NextOut
from app.api.schemas.refunds import RefundInstructionOut
from app.rules.facts import Reason
from app.rules.findings import Outcome
from app.rules.liability import Liability
from app.rules.lifecycle import CaseStatus
from app.rules.signals import SignalKind


class ToldCase(CaseSummaryOut):
    """案件（完整）: what an endpoint of the role `site` is told. Over 20 kB, the thin form is sent instead."""

    claim: ClaimOut = Field(description="退款申请.")
    decision: DecisionOut = Field(description="裁定 · The latest decision, whole.")
    evidence: list[StoredEvidenceOut] = Field(description="证据.")
    refunds: list[RefundInstructionOut] = Field(description="退款单.")
    next: list[NextOut] = Field(description="下一步 · Who may do what until when.")


class ThinCase(BodyOut):
    """案件（精简）: what an endpoint of the role `merchant` is told: no buyer, no evidence, no reasoning."""

    id: str = Field(description="案件编号.")
    status: CaseStatus = Field(description="案件状态.")
    reason: Reason = Field(description="退款事由.")
    order_no: str | None = Field(description="订单号.")
    merchant_id: str | None = Field(description="商家编号.")
    outcome: Outcome | None = Field(description="裁定结果.")
    decisive_rule: str | None = Field(description="决定性规则.")
    liability: Liability | None = Field(description="责任认定.")
    refund_amount: int | None = Field(description="退款总额（分） · null: no refund.")
    deadlines: list[DeadlineOut] = Field(description="期限.")
    next: list[NextOut] = Field(description="下一步.")


class TestedEndpoint(BodyOut):
    """测试内容: nothing happened; see `POST /v1/webhook-endpoints/{endpoint_id}/test`."""

    endpoint_id: str = Field(description="端点编号.")


class Envelope(BodyOut):
    """事件: the body of every webhook, at most 20 kB."""

    id: str = Field(description="事件编号 · The same as the header `webhook-id`, and the same on every attempt.")
    created_at: str = Field(description="发生时间 · In UTC.")
    site: str = Field(description="站点编号.")
    sequence: int | None = Field(
        description="案件内序号 · Rises by one with each event of a case; null outside of cases."
    )


class CaseEnvelope(Envelope):
    """案件事件."""

    data: ToldCase | ThinCase = Field(description="内容 · The case, whole for the role `site`, thin for `merchant`.")


class CaseFiled(CaseEnvelope):
    """事件：已提交退款申请."""

    type: Literal["case.filed"] = Field(description="事件类型.")


class CaseEvidenceRequested(CaseEnvelope):
    """事件：需要补充证据."""

    type: Literal["case.evidence_requested"] = Field(description="事件类型.")


class CaseMerchantTurn(CaseEnvelope):
    """事件：等待商家答复."""

    type: Literal["case.merchant_turn"] = Field(description="事件类型.")


class CaseApproved(CaseEnvelope):
    """事件：退款申请已通过."""

    type: Literal["case.approved"] = Field(description="事件类型.")


class CaseRejected(CaseEnvelope):
    """事件：退款申请被驳回."""

    type: Literal["case.rejected"] = Field(description="事件类型.")


class CaseReviewNeeded(CaseEnvelope):
    """事件：需要人工裁定."""

    type: Literal["case.review_needed"] = Field(description="事件类型.")


class CaseWaiting(CaseEnvelope):
    """事件：等待至指定时间."""

    type: Literal["case.waiting"] = Field(description="事件类型.")


class CaseAppealed(CaseEnvelope):
    """事件：买家已申诉."""

    type: Literal["case.appealed"] = Field(description="事件类型.")


class CaseLapsed(CaseEnvelope):
    """事件：逾期未补充证据."""

    type: Literal["case.lapsed"] = Field(description="事件类型.")


class CaseWithdrawn(CaseEnvelope):
    """事件：买家已撤回."""

    type: Literal["case.withdrawn"] = Field(description="事件类型.")


class ToldDeadline(BodyOut):
    """期限: which one is near, or was missed."""

    name: str = Field(description="名称.")
    at: str = Field(description="截止时间.")
    provisional: bool = Field(description="是否暂定.")


class ToldCaseDeadline(ToldCase):
    """案件（完整）与期限."""

    deadline: ToldDeadline = Field(description="期限.")


class ThinCaseDeadline(ThinCase):
    """案件（精简）与期限."""

    deadline: ToldDeadline = Field(description="期限.")


class DeadlineEnvelope(Envelope):
    """期限事件."""

    data: ToldCaseDeadline | ThinCaseDeadline = Field(description="内容 · The case, and the deadline.")


class CaseDeadlineApproaching(DeadlineEnvelope):
    """事件：期限将至."""

    type: Literal["case.deadline_approaching"] = Field(description="事件类型.")


class CaseDeadlineMissed(DeadlineEnvelope):
    """事件：期限已过."""

    type: Literal["case.deadline_missed"] = Field(description="事件类型.")


class SeenSignal(BodyOut):
    """信号: what a rule saw."""

    kind: SignalKind = Field(description="信号类型.")
    rule: str = Field(description="规则.")
    facts: dict[str, Any] = Field(description="所用事实.")


class RestrictedBuyer(BodyOut):
    """买家失信达到上限: what to do about it is the site's to decide."""

    buyer_id: str | None = Field(description="买家编号.")
    strikes: int = Field(description="失信记录数 · That have not expired.")
    limit: int = Field(description="上限 · From here on claims are not approved automatically.")
    case_id: str = Field(description="案件编号 · In which the last one was seen.")
    order_no: str | None = Field(description="订单号.")
    signals: list[SeenSignal] = Field(description="本案所见失信信号.")


class BuyerRestrictionRecommended(Envelope):
    """事件：建议限制买家."""

    type: Literal["buyer.restriction_recommended"] = Field(description="事件类型.")
    data: RestrictedBuyer = Field(description="内容.")


class EndpointTest(Envelope):
    """事件：测试."""

    type: Literal["endpoint.test"] = Field(description="事件类型.")
    data: TestedEndpoint = Field(description="内容.")
