"""The catalogue: reasons, rules, policies."""

from typing import Any

from pydantic import Field

from app.api.schemas.base import BodyOut
from app.api.schemas.decision import PolicyOut
from app.rules.facts import EvidenceKind, Reason
from app.rules.findings import Effect
from app.rules.reasons import Fault


class ReasonOut(BodyOut):
    """退款事由, and what it turns on under the policy."""

    reason: Reason = Field(description="退款事由.")
    zh: str = Field(description="中文名称.")
    en: str = Field(description="英文名称 · Its name in English.")
    fault: Fault = Field(description="责任方 · Who answers if it is proven.")
    primary_evidence: EvidenceKind | None = Field(description="主要证据 · Without it the reason is not even argued.")
    required_evidence: list[EvidenceKind] = Field(description="所需证据 · The site's own records count.")
    report_window: str | None = Field(description="申请期限 · ISO 8601; null: none.")
    window_from: str | None = Field(description="期限起点 · What the window counts from.")
    source: str = Field(description="出处 · Where it comes from.")


class ReasonsOut(BodyOut):
    """All reasons."""

    policy: PolicyOut = Field(description="所依据的规则版本.")
    data: list[ReasonOut] = Field(description="列表.")


class RuleOut(BodyOut):
    """规则: when it fires, and what it says."""

    rule: str = Field(description="规则编号.")
    stage: str = Field(description="阶段.")
    stage_zh: str = Field(description="阶段（中文）.")
    stage_en: str = Field(description="阶段（英文） · The stage in English.")
    effect: Effect = Field(description="作用 · How it bears on a claim.")
    when_zh: str = Field(description="触发条件.")
    when_en: str = Field(description="触发条件（英文） · When it fires.")
    reasons: list[Reason] | None = Field(description="适用事由 · null: all.")
    source: str = Field(description="出处 · Where it comes from.")


class CalendarOut(BodyOut):
    """法定工作日历."""

    known_until: str = Field(description="已公布至 · Later deadlines in working days are provisional.")


class RulesOut(BodyOut):
    """All rules in the order of the stages, and until when the statutory calendar is known."""

    engine: str = Field(description="引擎版本.")
    calendar: CalendarOut = Field(description="法定工作日历.")
    data: list[RuleOut] = Field(description="列表.")


class PolicyVersionOut(BodyOut):
    """退款规则 in one version."""

    name: str = Field(description="规则名称.")
    version: int = Field(description="规则版本.")
    title_zh: str = Field(description="中文名称.")
    title_en: str = Field(description="英文名称 · Its name in English.")
    effective_from: str = Field(description="生效时间.")
    sha256: str = Field(description="规则的 SHA-256 · Over its canonical JSON.")
    clauses: dict[str, Any] = Field(description="参数 · Every clause, resolved.")
    evidence_required: dict[str, list[str]] = Field(description="所需证据 · For each reason.")
    sources: dict[str, str] = Field(description="出处 · Where each clause comes from.")


class PoliciesOut(BodyOut):
    """All policies."""

    active: PolicyOut = Field(description="当前启用.")
    data: list[PolicyVersionOut] = Field(description="列表.")
