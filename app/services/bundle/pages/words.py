"""What pages say in Chinese and what has no word elsewhere; amounts and instants as text."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from app.models.closed_sets import ActKind, TimerState
from app.rules.escalation import Venue
from app.rules.explain import in_words
from app.rules.facts import Channel, DeliveryMode, GoodsKind, Party, PaymentStatus, Side
from app.rules.findings import Effect, Fen
from app.rules.labels import LABELS
from app.rules.liability import Funding, Liability
from app.rules.lifecycle import CaseStatus
from app.rules.settlement import FailureCode, RefundState
from app.services.parties import Because

WORDS: Final[Mapping[type[StrEnum], Mapping[str, str]]] = MappingProxyType(
    {
        CaseStatus: {
            "filed": "已提交",
            "awaiting_merchant": "等待商家答复",
            "awaiting_evidence": "等待补充证据",
            "waiting": "等待期满",
            "in_review": "人工审核中",
            "approved": "已通过",
            "rejected": "已驳回",
            "appealed": "申诉中",
            "refunding": "退款中",
            "refund_failed": "退款失败",
            "refunded": "已退款",
            "withdrawn": "买家已撤回",
            "lapsed": "逾期未补充证据，已失效",
        },
        Channel: {
            "alipay": "支付宝",
            "wechat_pay": "微信支付",
            "bank_card": "银行卡",
            "unionpay": "银联",
            "balance": "平台余额",
        },
        PaymentStatus: {"succeeded": "支付成功", "pending": "处理中", "failed": "支付失败"},
        GoodsKind: {
            "game_card": "游戏点卡",
            "game_currency": "游戏币",
            "phone_topup": "话费充值",
            "membership": "会员",
            "software_license": "软件授权",
            "account": "账号",
            "custom_service": "定制服务",
            "other": "其他",
        },
        DeliveryMode: {"instant": "即时发货", "scheduled": "约定时间发货"},
        Party: {"buyer": "买家", "merchant": "商家", "platform": "平台", "third_party": "第三方"},
        Side: {"buyer": "支持买家", "merchant": "支持商家"},
        Effect: {"supports": "支持申请", "blocks": "不支持申请", "defers": "暂缓处理", "notes": "附注"},
        Liability: {
            "merchant": "商家",
            "platform": "平台",
            "buyer": "买家",
            "none": "各方均无责任",
            "undetermined": "尚未认定",
        },
        Funding: {
            "platform": "平台承担",
            "merchant": "商家承担",
            "deposit": "从商家保证金中支付",
            "platform_advance": "平台先行垫付，再向商家追偿",
        },
        RefundState: {
            "requested": "已发出退款指令",
            "accepted": "渠道已受理",
            "processing": "渠道处理中",
            "succeeded": "已到账",
            "abnormal": "退款异常，待人工处理",
            "failed": "退款失败",
            "closed": "已关闭",
        },
        FailureCode: {
            "account_gone": "原付款账户已注销或不可用",
            "insufficient_balance": "退款账户余额不足",
            "too_late": "已超过支付渠道的退款期限",
            "too_many": "已超过支付渠道允许的退款次数",
            "refunded_elsewhere": "买家已通过其他途径收到退款",
            "rejected": "支付渠道拒绝退款",
            "other": "其他",
        },
        TimerState: {"pending": "未到期", "fired": "已届满", "kept": "已按期履行", "void": "不再适用"},
        ActKind: {
            "merchant_response": "商家答复",
            "ruling": "人工裁定",
            "ruling_proposal": "人工裁定（待第二人复核）",
            "appeal": "买家申诉",
            "withdrawal": "买家撤回申请",
            "escalation": "升级至平台外渠道",
            "refund_retry": "重新发起退款",
            "refund_closing": "关闭退款",
        },
        Because: {
            "changed_mind": "改变主意",
            "resolved": "问题已解决",
            "reissue_accepted": "接受商家补发",
            "other": "其他",
        },
        Venue: {"channel_dispute": "向支付渠道发起争议", "complaint_12315": "向 12315 投诉", "court": "向法院起诉"},
    }
)
DEADLINES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "wait": "等待期",
        "evidence_supplement": "补充证据期限",
        "merchant_turn": "商家答复期限",
        "review": "人工审核时限（平台承诺）",
        "first_answer": "首次答复时限（平台承诺）",
        "money_back": "退款到账时限（平台承诺）",
        "appeal": "申诉期限",
        "channel_dispute": "支付渠道争议期限",
    }
)
EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "case.merchant_turn": "请商家在期限内同意、提出异议或提出补发。",
        "refund.requested": "平台已发出退款指令。",
        "refund.failed": "支付渠道退款失败。",
        "refund.overdue": "退款未在期限内被受理或未按期到账。",
        "refund.conflict": "支付渠道报告的退款结果与平台记录不符。",
    }
)
ACTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "wait": "等待",
        "pay_back": "退回款项",
        "dispute_at_channel": "向支付渠道发起争议",
        "complain_to_12315": "向 12315 投诉",
        "sue": "向法院起诉",
        "respond": "商家答复",
        "supply_evidence": "补充证据",
        "rule": "人工裁定",
        "appeal": "申诉",
        "withdraw": "撤回申请",
        "escalate": "升级处理",
        "accept_reissue": "接受补发",
        "confirm_ruling": "复核裁定",
        "retry_refund": "重新发起退款",
        "close_refund": "关闭退款",
    }
)
ACTORS: Final[Mapping[str, str]] = MappingProxyType(
    {"buyer": "买家", "merchant": "商家", "platform": "平台", "channel": "支付渠道"}
)
UNKNOWN: Final = "无记录"


def word(value: StrEnum) -> str:
    """A member of a closed set in Chinese."""
    kind = type(value)
    return WORDS[kind][value] if kind in WORDS else LABELS[kind][value][0]


def word_of(kind: type[StrEnum], value: str) -> str:
    """The same from what a document says; as it is where the set has no such member any more."""
    return word(kind(value)) if value in set(kind) else value


def yuan(fen: int) -> str:
    """An amount: "1,234.50 元"."""
    return in_words(Fen(fen))[0]


def beijing(at: datetime) -> str:
    """An instant in Beijing time, to the second: "2026-03-10 12:00"."""
    return in_words(at.replace(microsecond=0))[0]


def beijing_of(text: str | None) -> str | None:
    """The same from what a document says."""
    return None if text is None else beijing(datetime.fromisoformat(text))


def yes(value: Any) -> str:
    """是 or 否, or that nobody knows."""
    return UNKNOWN if value is None else "是" if value else "否"


def moment_of(deadline: Mapping[str, Any]) -> str:
    """When a deadline of a document is; and whether the calendar that it was counted by is not published yet."""
    at = beijing(datetime.fromisoformat(deadline["at"]))
    return f"{at}（暂定）" if deadline["provisional"] else at
