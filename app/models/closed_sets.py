"""Closed sets that rows share with the API, beyond those of the rules."""

from enum import StrEnum

from app.rules.lifecycle import CaseStatus


class Scope(StrEnum):
    """权限: what a key may be used for."""

    RECORDS = "records"
    CASES = "cases"
    WEBHOOKS = "webhooks"
    RULE = "rule"
    POLICY = "policy"
    REPORT = "report"
    CHANNELS = "channels"


class RecordKind(StrEnum):
    """记录类型: what a site tells about its business."""

    ORDER = "order"
    PAYMENT = "payment"
    DELIVERY = "delivery"
    MERCHANT = "merchant"


# A claim that came to nothing may be filed again. One that was granted may not, not even when its money has arrived:
# a retry that outlives its idempotency key would otherwise be a second refund for the same shortfall.
FILED_AGAIN_AFTER = (CaseStatus.REJECTED, CaseStatus.WITHDRAWN, CaseStatus.LAPSED)


class DispatchState(StrEnum):
    """发送状态: one event on its way to one endpoint."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ActKind(StrEnum):
    """行为类型: what a party did in a case."""

    MERCHANT_RESPONSE = "merchant_response"
    RULING = "ruling"
    RULING_PROPOSAL = "ruling_proposal"
    APPEAL = "appeal"
    WITHDRAWAL = "withdrawal"
    ESCALATION = "escalation"
    REFUND_RETRY = "refund_retry"
    REFUND_CLOSING = "refund_closing"


class TimerKind(StrEnum):
    """提醒类型: some time before a deadline, or when it is over."""

    APPROACHING = "approaching"
    DUE = "due"


class Chore(StrEnum):
    """案件待办: work that a case's timers carry beside its deadlines; a decision does not end it."""

    REJUDGE = "rejudge"
    REFUND_RATE = "refund_rate"


class TimerState(StrEnum):
    """计时状态. `kept`: what was promised was done in time; `void`: the deadline does not matter any more."""

    PENDING = "pending"
    FIRED = "fired"
    KEPT = "kept"
    VOID = "void"


# Deadlines by which somebody promised something: they are watched, since nothing in a case changes when one is broken.
PROMISES = frozenset({"review", "first_answer", "money_back"})


class FileState(StrEnum):
    """文件状态: announced and not there yet, or there."""

    AWAITED = "awaited"
    STORED = "stored"


class ReportSource(StrEnum):
    """报告来源: who says what became of a refund."""

    ADAPTER = "adapter"
    CHANNEL = "channel"
    NOTICE = "notice"
    RECONCILIATION = "reconciliation"
    PERSON = "person"


class BillState(StrEnum):
    """账单状态: whether a channel's bill was held against our refunds. `missing`: it never came, or never legibly."""

    AWAITED = "awaited"
    READ = "read"
    MISSING = "missing"


class ChannelKind(StrEnum):
    """渠道接口: the ways to a channel that the service itself knows."""

    WECHAT_PAY = "wechat_pay"
    ALIPAY = "alipay"
    EPAY = "epay"
