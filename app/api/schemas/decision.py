"""A decision as callers see it. It is answered from its stored text; these models document and check that text."""

from typing import Any, Literal

from pydantic import Field

from app.api.schemas.base import BodyOut
from app.rules.facts import Channel, EvidenceKind, Reason
from app.rules.findings import Effect, Outcome
from app.rules.liability import Funding, Liability
from app.rules.weighing import Discount


class AllocationOut(BodyOut):
    """退款分配: what goes back over one payment."""

    payment_no: str = Field(description="支付单号.")
    channel: Channel = Field(description="支付渠道.")
    amount: int = Field(description="金额（分） · In fen.")
    expected_by: str = Field(description="预计到账时间 · When the money is promised to be there.")
    provisional: bool = Field(description="是否暂定 · Reaches into a year whose holidays are not published yet.")


class RefundOut(BodyOut):
    """退款."""

    amount: int = Field(description="退款总额（分） · In fen.")
    currency: Literal["CNY"] = Field(description="币种.")
    route: Literal["original"] = Field(description="退款路径 · 原路返回: over the original payments only.")
    funding: Funding = Field(description="资金来源 · Whose money pays.")
    allocations: list[AllocationOut] = Field(description="分配 · Earliest payment first.")


class FindingOut(BodyOut):
    """认定: one rule's result, with the facts that it used."""

    rule: str = Field(description="规则 · See `GET /v1/rules`.")
    effect: Effect = Field(description="作用 · How it bears on the claim.")
    decisive: bool = Field(description="是否决定性.")
    leads_to: Outcome | None = Field(description="单独导致的结果 · What it would lead to by itself; null for a note.")
    message: str = Field(description="说明（中文）.")
    message_en: str = Field(description="英文说明 · The same in English.")
    facts: dict[str, Any] = Field(description="所用事实 · Times in Shanghai, lengths in ISO 8601, money in fen.")
    source: str = Field(description="出处 · Where the rule comes from.")


class IdleRuleOut(BodyOut):
    """未触发的规则: a rule that was looked at and did not fire, with why."""

    rule: str = Field(description="规则.")
    stage: str = Field(description="阶段.")
    message: str = Field(description="原因（中文）.")
    message_en: str = Field(description="英文原因 · Why, in English.")
    facts: dict[str, Any] = Field(description="条件所看的事实 · What its condition turned on.")
    source: str = Field(description="出处.")


class DiscountedOut(BodyOut):
    """不计入的证据."""

    index: int = Field(description="序号 · Its place in `evidence` as sent, from 0.")
    kind: EvidenceKind = Field(description="证据类型.")
    reason: Discount = Field(description="不计入的原因.")
    message: str = Field(description="说明（中文）.")
    message_en: str = Field(description="英文说明 · The same in English.")


class EvidenceOut(BodyOut):
    """证据情况."""

    required: list[EvidenceKind] = Field(description="所需证据 · What the reason requires under the policy.")
    missing: list[EvidenceKind] = Field(description="缺少的证据 · Sorted; the site's own records count.")
    discounted: list[DiscountedOut] = Field(description="不计入的证据 · With the reason.")


class DeadlineOut(BodyOut):
    """期限."""

    name: str = Field(
        description="名称 · `money_back`, `appeal`, `wait`, `evidence_supplement`, `merchant_turn`, `review`, …"
    )
    at: str = Field(description="截止时间.")
    rule: str = Field(description="规则 · The rule that sets it.")
    provisional: bool = Field(description="是否暂定.")


class NextOut(BodyOut):
    """下一步: what may be done, by whom, until when."""

    action: str = Field(description="动作.")
    by: str = Field(description="由谁.")
    until: str | None = Field(description="截止 · null: nothing ends it.")


class CounterfactualOut(BodyOut):
    """假如: a single change that would have led elsewhere."""

    if_: str = Field(alias="if", description="改变 · A piece of evidence, or a fact and its other value.")
    then: Outcome = Field(description="结果.")
    rule: str = Field(description="届时起决定作用的规则.")
    message: str = Field(description="说明（中文）.")
    message_en: str = Field(description="英文说明 · The same in English.")


class PolicyOut(BodyOut):
    """所用规则版本."""

    name: str = Field(description="规则名称.")
    version: int = Field(description="规则版本.")


class ReceiptOut(BodyOut):
    """凭据: what anybody needs to check that the same facts give the same decision."""

    facts_sha256: str = Field(description="事实的 SHA-256 · Over the canonical JSON of the facts.")
    policy_sha256: str = Field(description="规则的 SHA-256 · Over the canonical JSON of the resolved policy.")
    engine: str = Field(description="引擎版本 · The rules and the calendar that were used.")


class DecisionOut(BodyOut):
    """裁定: outcome, amount, liability, findings and deadlines, reproducible from facts and policy version."""

    outcome: Outcome = Field(description="裁定结果.")
    decisive_rule: str = Field(description="决定性规则.")
    refund: RefundOut | None = Field(description="退款 · There exactly where the outcome is `approve`.")
    liability: Liability = Field(description="责任认定.")
    findings: list[FindingOut] = Field(description="认定 · In the order of the stages.")
    evidence: EvidenceOut = Field(description="证据情况.")
    deadlines: list[DeadlineOut] = Field(description="期限.")
    next: list[NextOut] = Field(description="下一步.")
    suggested_reason: Reason | None = Field(description="建议的退款事由 · Where the evidence belongs to another one.")
    would_change: list[CounterfactualOut] = Field(description="假如 · What would have led elsewhere.")
    policy: PolicyOut = Field(description="所用规则版本.")
    receipt: ReceiptOut = Field(description="凭据.")
    judged_at: str = Field(description="裁定时间.")


class AdjudicationOut(DecisionOut):
    """A decision, and with `?explain=full` the rules that did not fire."""

    idle_rules: list[IdleRuleOut] | None = Field(
        default=None, description="未触发的规则 · Only with `explain=full`.", exclude_if=lambda value: value is None
    )
