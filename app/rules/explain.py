"""Findings in words: Chinese and English, naming the facts and the arithmetic."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from app.rules.calendar import in_shanghai
from app.rules.counterfactuals import Counterfactual
from app.rules.facts import CardStatus, CardUse, EvidenceKind, Position, Reason, Remedy, Usage, Via
from app.rules.findings import Fen, Finding, Value
from app.rules.labels import Words, words_of
from app.rules.lengths import Exact, WorkingDays, describe, describe_span

A_SECOND = timedelta(seconds=1)


def message(finding: Finding) -> Words:
    """What a finding says, in Chinese and English.

    Fractions of a second are left to the facts, unless the matter turns on one.
    """
    if not finding.facts:
        return finding.rule.zh, finding.rule.en
    facts = finding.facts if _turns_on_a_fraction(finding) else _in_whole_seconds(finding.facts)
    zh: dict[str, str] = {}
    en: dict[str, str] = {}
    for name, value in facts.items():
        zh[name], en[name] = in_words(value)
    return finding.rule.zh.format_map(zh), finding.rule.en.format_map(en)


def _turns_on_a_fraction(finding: Finding) -> bool:
    return any(type(value) is timedelta and value < A_SECOND for value in finding.facts.values())


def _in_whole_seconds(facts: Mapping[str, Value]) -> Mapping[str, Value]:
    return {name: _whole_seconds(value) for name, value in facts.items()}


def _whole_seconds(value: Value) -> Value:
    if isinstance(value, datetime):
        return value.replace(microsecond=0)
    return value - value % A_SECOND if isinstance(value, timedelta) else value


def in_words(value: Value) -> Words:
    """A fact in words."""
    if isinstance(value, StrEnum):
        return words_of(value)
    return _IN_WORDS[type(value)](value)


def _instant(at: datetime) -> Words:
    text = in_shanghai(at).replace(tzinfo=None).isoformat(sep=" ")
    # A whole minute needs no seconds.
    text = text.removesuffix(":00")
    return text, text


def _money(amount: int) -> Words:
    yuan = f"{amount // 100:,}.{amount % 100:02d}"
    return f"{yuan} 元", f"CNY {yuan}"


def _several(values: tuple[str, ...]) -> Words:
    if not values:
        return "无", "none"
    pairs = [in_words(value) for value in values]
    *others, last = [en for _, en in pairs]
    return "、".join(zh for zh, _ in pairs), f"{', '.join(others)} and {last}" if others else last


def _plain(value: Any) -> Words:
    return str(value), str(value)


def _yes_or_no(value: bool) -> Words:
    return ("是", "yes") if value else ("否", "no")


def _nothing(_: None) -> Words:
    return "无记录", "not recorded"


_IN_WORDS: Mapping[type, Callable[[Any], Words]] = {
    datetime: _instant,
    timedelta: describe_span,
    Exact: describe,
    WorkingDays: describe,
    str: _plain,
    Fen: _money,
    tuple: _several,
    int: _plain,
    bool: _yes_or_no,
    type(None): _nothing,
}


def change_message(found: Counterfactual) -> Words:
    """What a single change would have led to."""
    outcome_zh, outcome_en = words_of(found.outcome)
    zh, en = _change(found.change.path, found.change.value)
    return f"若{zh}，结果将是：{outcome_zh}（{found.rule}）。", f"{en}, it would be: {outcome_en} ({found.rule})."


def _change(path: str, value: str) -> Words:
    if path.startswith("evidence."):
        zh, en = _several(tuple(map(EvidenceKind, path.removeprefix("evidence.").split("+"))))
        return f"补充{zh}", f"With {en}"
    zh, en = _CHANGES[path]
    value_zh, value_en = _changed_value(path, value)
    return zh.format(value_zh), en.format(value_en)


def _changed_value(path: str, value: str) -> Words:
    if path in {"as_of", "claim.filed_at"}:
        return _instant(datetime.fromisoformat(value))
    return _money(int(value)) if path == "claim.amount" else words_of(_SETS[path](value))


_CHANGES: Mapping[str, Words] = {
    "as_of": ("到 {} 仍无新的事实", "At {}, with no new fact"),
    "claim.filed_at": ("不晚于 {} 提交申请", "Filed by {}"),
    "claim.amount": ("申请金额为 {}", "With a claim for {}"),
    "claim.remedy": ("申请的是「{}」", "With a claim for {}"),
    "claim.via": ("通过{}申请", "With a claim made {}"),
    "claim.reason": ("申请事由为「{}」", "With the reason “{}”"),
    "deliveries.usage": ("商品{}", "With goods that are {}"),
    "deliveries.card_status": ("卡密校验为{}", "With a card check that says {}"),
    "order.goods.card_use": ("卡密确认为{}", "With a card that is known to be {}"),
    "merchant.response": ("商家答复「{}」", "If the merchant answers “{}”"),
}
_SETS: Mapping[str, type[StrEnum]] = {
    "claim.remedy": Remedy,
    "claim.via": Via,
    "claim.reason": Reason,
    "deliveries.usage": Usage,
    "deliveries.card_status": CardStatus,
    "order.goods.card_use": CardUse,
    "merchant.response": Position,
}
