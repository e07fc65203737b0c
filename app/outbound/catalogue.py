"""What is told to whom: event types, endpoint roles, and which role hears which type unless its endpoint filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class EventType(StrEnum):
    """事件类型: the `type` of a webhook; `<object>.<what happened>`. A published name never changes its meaning."""

    CASE_FILED = "case.filed"
    CASE_EVIDENCE_REQUESTED = "case.evidence_requested"
    CASE_MERCHANT_TURN = "case.merchant_turn"
    CASE_APPROVED = "case.approved"
    CASE_REJECTED = "case.rejected"
    CASE_REVIEW_NEEDED = "case.review_needed"
    CASE_WAITING = "case.waiting"
    CASE_APPEALED = "case.appealed"
    CASE_LAPSED = "case.lapsed"
    CASE_WITHDRAWN = "case.withdrawn"
    CASE_DEADLINE_APPROACHING = "case.deadline_approaching"
    CASE_DEADLINE_MISSED = "case.deadline_missed"
    REFUND_REQUESTED = "refund.requested"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    REFUND_ABNORMAL = "refund.abnormal"
    REFUND_OVERDUE = "refund.overdue"
    REFUND_CONFLICT = "refund.conflict"
    MERCHANT_DEPOSIT_DEDUCTED = "merchant.deposit_deducted"
    BUYER_RESTRICTION_RECOMMENDED = "buyer.restriction_recommended"
    POLICY_ACTIVATED = "policy.activated"
    ENDPOINT_TEST = "endpoint.test"


class EndpointRole(StrEnum):
    """端点角色: whose adapter listens: the site's own backend, one merchant's, or the one that pays refunds out."""

    SITE = "site"
    MERCHANT = "merchant"
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class Description:
    """One line in each language, for documents and menus."""

    en: str
    zh: str


HEARD_BY: Final[Mapping[EndpointRole, frozenset[EventType]]] = MappingProxyType(
    {
        EndpointRole.SITE: frozenset(EventType),
        EndpointRole.MERCHANT: frozenset(
            {
                EventType.CASE_FILED,
                EventType.CASE_MERCHANT_TURN,
                EventType.CASE_APPROVED,
                EventType.CASE_REJECTED,
                EventType.CASE_LAPSED,
                EventType.CASE_WITHDRAWN,
                EventType.CASE_DEADLINE_APPROACHING,
                EventType.CASE_DEADLINE_MISSED,
                EventType.MERCHANT_DEPOSIT_DEDUCTED,
                EventType.ENDPOINT_TEST,
            }
        ),
        EndpointRole.CHANNEL: frozenset({EventType.REFUND_REQUESTED, EventType.ENDPOINT_TEST}),
    }
)

DESCRIPTIONS: Final[Mapping[EventType, Description]] = MappingProxyType(
    {
        EventType.CASE_FILED: Description(
            "A claim was filed and judged for the first time.", "已提交退款申请并完成首次判定。"
        ),
        EventType.CASE_EVIDENCE_REQUESTED: Description(
            "The buyer is asked for more evidence.", "需要买家在期限内补充证据。"
        ),
        EventType.CASE_MERCHANT_TURN: Description(
            "The merchant is asked to accept, contest or offer a reissue.", "等待商家在期限内同意、抗辩或提出补发。"
        ),
        EventType.CASE_APPROVED: Description("The claim was approved; a refund follows.", "退款申请已通过，随后退款。"),
        EventType.CASE_REJECTED: Description("The claim was rejected, with reasons.", "退款申请被驳回，附理由。"),
        EventType.CASE_REVIEW_NEEDED: Description("A person must decide this case.", "此案需要人工裁定。"),
        EventType.CASE_WAITING: Description(
            "The case has to wait for a moment that is named.", "案件须等待至指定时间再行判定。"
        ),
        EventType.CASE_APPEALED: Description("A decision was appealed.", "当事人对判定提出申诉。"),
        EventType.CASE_LAPSED: Description(
            "The case ended because evidence did not come in time.", "逾期未补充材料，案件终止。"
        ),
        EventType.CASE_WITHDRAWN: Description("The buyer withdrew the claim.", "买家撤回了退款申请。"),
        EventType.CASE_DEADLINE_APPROACHING: Description("A deadline of the case is near.", "案件的某个期限即将到期。"),
        EventType.CASE_DEADLINE_MISSED: Description("A deadline of the case has passed.", "案件的某个期限已过。"),
        EventType.REFUND_REQUESTED: Description(
            "Instruction to pay a refund; the refund's number is its idempotency key.",
            "退款指令；以退款单号作为幂等键。",
        ),
        EventType.REFUND_SUCCEEDED: Description("The channel has paid the refund.", "渠道已完成退款。"),
        EventType.REFUND_FAILED: Description(
            "The channel refused the refund; it can be retried under the same number.",
            "渠道退款失败，可用同一单号重试。",
        ),
        EventType.REFUND_ABNORMAL: Description(
            "The channel says that a person must act before the refund can arrive.",
            "渠道提示退款异常，需人工处理后才能到账。",
        ),
        EventType.REFUND_OVERDUE: Description(
            "A refund was not accepted or settled in time.", "退款未在期限内受理或到账。"
        ),
        EventType.REFUND_CONFLICT: Description(
            "A report contradicts the refund; nothing was changed.", "退款结果报告与记录不符，未作任何更改。"
        ),
        EventType.MERCHANT_DEPOSIT_DEDUCTED: Description(
            "A refund was taken from the merchant's deposit.", "已从商家保证金中扣除退款。"
        ),
        EventType.BUYER_RESTRICTION_RECOMMENDED: Description(
            "Repeated bad-faith claims: the site may want to restrict this buyer.",
            "买家多次恶意申请，建议站点加以限制。",
        ),
        EventType.POLICY_ACTIVATED: Description("A policy version came into force.", "某一策略版本已生效。"),
        EventType.ENDPOINT_TEST: Description(
            "A test of this endpoint; nothing happened.", "端点测试，未发生任何业务。"
        ),
    }
)
