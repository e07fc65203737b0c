"""The facts that a finding names, in Chinese: what each is called, and how its value is written."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from app.rules.facts import (
    CancelledBy,
    CardStatus,
    EvidenceKind,
    OrderStatus,
    Position,
    Reason,
    Remedy,
    RulingCode,
    Trait,
    Usage,
    Via,
)
from app.rules.findings import Circumstance
from app.rules.lengths import describe, describe_span, parse_length
from app.services.bundle.pages.words import UNKNOWN, beijing, word_of, yes, yuan

Wording: TypeAlias = Callable[[Any], str]

_WRITTEN: Final = re.compile(r"P(?:(-?\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII)
_SECOND: Final = timedelta(seconds=1)


def _instant(value: str) -> str:
    return beijing(datetime.fromisoformat(value))


def _length(value: str) -> str:
    """A limit, by the clock or in working days; as it is written where it is neither."""
    try:
        return describe(parse_length(value))[0]
    except ValueError:
        return value


def _span(value: str) -> str:
    """What is left or over, in whole seconds where there is at least one; it may be nothing, or negative."""
    written = _WRITTEN.fullmatch(value)
    if written is None:
        return value
    days, hours, minutes, seconds = (Decimal(number or 0) for number in written.groups())
    micros = int(((days * 24 + hours) * 60 + minutes) * 60_000_000 + seconds * 1_000_000)
    span = abs(timedelta(microseconds=micros))
    return describe_span(span if span < _SECOND else span - span % _SECOND)[0]


def _member_of(*kinds: type[StrEnum]) -> Wording:
    def wording(value: str) -> str:
        kind = next((kind for kind in kinds if value in set(kind)), None)
        return value if kind is None else word_of(kind, value)

    return wording


FACTS: Final[Mapping[str, tuple[str, Wording]]] = MappingProxyType(
    {
        "after": ("所隔时间", _span),
        "amount": ("金额", yuan),
        "answered_at": ("答复时间", _instant),
        "appealed_at": ("申诉时间", _instant),
        "as_of": ("裁定时间", _instant),
        "at": ("时间", _instant),
        "balance": ("可退余额", yuan),
        "cancelled_by": ("取消方", _member_of(CancelledBy)),
        "captured_at": ("取证时间", _instant),
        "card_status": ("卡密校验结果", _member_of(CardStatus)),
        "cause": ("原因", _member_of(Circumstance, Reason)),
        "claimed": ("申请金额", yuan),
        "code": ("裁定理由", _member_of(RulingCode)),
        "contested": ("被质疑的规则", str),
        "contradiction": ("认定矛盾的规则", str),
        "cooling_off": ("冷静期", _length),
        "count": ("数量", str),
        "counted_from": ("起算时间", _instant),
        "delivered_at": ("发货时间", _instant),
        "delivered_value": ("实际到账面值", yuan),
        "delivery_no": ("发货单号", str),
        "due_at": ("应发货时间", _instant),
        "earlier_by": ("早于", _span),
        "early_by": ("提前", _span),
        "ended_at": ("截止时间", _instant),
        "excess": ("超出金额", yuan),
        "filed_at": ("申请时间", _instant),
        "found": ("已有证据", _member_of(EvidenceKind)),
        "kept": ("保留的支付单号", str),
        "kind": ("证据类型", _member_of(EvidenceKind)),
        "lag": ("结算延迟", _length),
        "late_by": ("迟延", _span),
        "limit": ("上限", str),
        "missing": ("缺少的证据", _member_of(EvidenceKind)),
        "missing_value": ("未到账面值", yuan),
        "order_no": ("订单号", str),
        "order_status": ("订单状态", _member_of(Circumstance, OrderStatus)),
        "ordered_value": ("订购面值", yuan),
        "overdue_by": ("逾期", _span),
        "paid": ("已付金额", yuan),
        "paid_at": ("支付时间", _instant),
        "payments": ("支付单号", str),
        "policy": ("适用规则", str),
        "position": ("商家答复", _member_of(Position)),
        "primary": ("应有证据", _member_of(EvidenceKind)),
        "reason": ("退款事由", _member_of(Reason)),
        "remaining": ("剩余时间", _span),
        "remedy": ("申请类型", _member_of(Remedy)),
        "reused": ("重复使用的文件数", str),
        "shortfall": ("差额", yuan),
        "started_at": ("开始时间", _instant),
        "strikes": ("不良记录次数", str),
        "suggested": ("建议改用的事由", _member_of(Reason)),
        "supplement": ("补充期限", _length),
        "threshold": ("金额门槛", yuan),
        "times_sold": ("同一卡密售出次数", str),
        "until": ("截至", _instant),
        "usage": ("使用情况", _member_of(Usage)),
        "used_at": ("使用时间", _instant),
        "via": ("申请渠道", _member_of(Via)),
        "why": ("原因", _member_of(Trait, Circumstance)),
        "window": ("期限长度", _length),
        "within": ("期限长度", _length),
    }
)


def fact_in_words(name: str, value: Any) -> tuple[str, str]:
    """A fact of a stored finding: what it is called, and its value. One that is not known here is shown as it is."""
    called, wording = FACTS.get(name, (name, str))
    if value is None:
        return called, UNKNOWN
    if isinstance(value, bool):
        return called, yes(value)
    if isinstance(value, list):
        return called, "、".join(wording(each) for each in value) or "无"
    return called, wording(value)
