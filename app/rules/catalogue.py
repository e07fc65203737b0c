"""Every rule that there is, in the order of the stages."""

from collections.abc import Mapping
from types import MappingProxyType

from app.rules.checks import (
    cancellation,
    contradictions,
    evidence,
    exclusions,
    form,
    good_faith,
    merchant_turn,
    notes,
    records,
    ruling,
    timeliness,
)
from app.rules.findings import Rule, Stage

RULES: tuple[Rule, ...] = (
    *ruling.RULES,
    *cancellation.RULES,
    *form.RULES,
    *timeliness.RULES,
    *exclusions.RULES,
    *contradictions.RULES,
    *evidence.RULES,
    *good_faith.RULES,
    *merchant_turn.RULES,
    *records.RULES,
    *notes.RULES,
)
RULE_OF: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in RULES})

STAGE_NAMES: Mapping[Stage, tuple[str, str]] = MappingProxyType(
    {
        Stage.RULING: ("人工裁定与申诉", "a person's ruling, and appeals"),
        Stage.CANCELLATION: ("卖方取消", "cancelled by the seller"),
        Stage.FORM: ("申请形式", "form of the claim"),
        Stage.TOO_EARLY: ("是否过早", "too early"),
        Stage.TOO_LATE: ("是否逾期", "too late"),
        Stage.EXCLUSIONS: ("不予退款情形", "exclusions"),
        Stage.CONTRADICTION: ("记录与申请矛盾", "records that contradict the claim"),
        Stage.EVIDENCE: ("证据是否齐全", "evidence"),
        Stage.GOOD_FAITH: ("诚信", "good faith"),
        Stage.MERCHANT_TURN: ("商家答复", "the merchant's turn"),
        Stage.CONFIRMATION: ("记录证实申请", "records that confirm the claim"),
        Stage.A_PERSON: ("人工裁定", "a person decides"),
        Stage.NOTE: ("附注", "notes"),
    }
)
