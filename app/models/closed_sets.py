"""Closed sets that rows share with the API, beyond those of the rules."""

from enum import StrEnum


class Scope(StrEnum):
    """权限: what a key may be used for."""

    RECORDS = "records"
    CASES = "cases"
    WEBHOOKS = "webhooks"
    RULE = "rule"
    POLICY = "policy"
    REPORT = "report"


class RecordKind(StrEnum):
    """记录类型: what a site tells about its business."""

    ORDER = "order"
    PAYMENT = "payment"
    DELIVERY = "delivery"
    MERCHANT = "merchant"


class CaseStatus(StrEnum):
    """案件状态."""

    FILED = "filed"
    AWAITING_MERCHANT = "awaiting_merchant"
    AWAITING_EVIDENCE = "awaiting_evidence"
    WAITING = "waiting"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    REJECTED = "rejected"
    APPEALED = "appealed"
    REFUNDING = "refunding"
    REFUND_FAILED = "refund_failed"
    REFUNDED = "refunded"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


# A claim that came to nothing may be filed again. One that was granted may not, not even when its money has arrived:
# a retry that outlives its idempotency key would otherwise be a second refund for the same shortfall.
FILED_AGAIN_AFTER = (CaseStatus.REJECTED, CaseStatus.WITHDRAWN, CaseStatus.LAPSED)


class RefundState(StrEnum):
    """退款状态."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    ABNORMAL = "abnormal"
    FAILED = "failed"
    CLOSED = "closed"


class DispatchState(StrEnum):
    """发送状态: one event on its way to one endpoint."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
