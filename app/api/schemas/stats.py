"""The numbers of a site."""

from pydantic import Field

from app.api.schemas.base import BodyOut
from app.rules.facts import Reason


class RateOut(BodyOut):
    """比率, and what it was made of."""

    value: float | None = Field(description="比率 · 0 to 1, to four decimal places; null: of nothing.")
    numerator: int = Field(description="分子.")
    denominator: int = Field(description="分母.")


class SecondsOut(BodyOut):
    """裁定用时: from a case's creation to its first decision that ended it."""

    median: int | None = Field(description="中位数（秒） · At least half took no longer; null: nothing was decided.")
    p90: int | None = Field(description="九成案件用时（秒） · At least nine in ten took no longer.")


class PromiseOut(BodyOut):
    """期限履行情况 of one kind of deadline."""

    name: str = Field(
        description="期限名称 · `review`: the platform rules; `first_answer`: the platform answers for the first time; "
        "`merchant_turn`: the merchant answers; `evidence_supplement`: the buyer brings what is missing; "
        "`money_back`: the money arrives."
    )
    kept: int = Field(description="按时 · What was promised or asked for was done by then.")
    missed: int = Field(description="逾期 · It was not, even if it was done later.")
    running: int = Field(description="进行中 · Not over, and not done yet.")
    kept_rate: RateOut = Field(description="按时率 · Of those kept or missed.")


class RulingsOut(BodyOut):
    """人工裁定 by outcome."""

    approve: int = Field(description="支持.")
    reject: int = Field(description="驳回.")


class OverturnedOut(BodyOut):
    """被人工裁定推翻的规则."""

    rule: str = Field(description="规则编号 · What the rules would have come to by it.")
    rulings: int = Field(description="次数 · How many rulings went the other way.")


class AppealsOut(BodyOut):
    """申诉."""

    made: int = Field(description="已提出 · Cases that were appealed.")
    granted: int = Field(description="已支持 · Those of them that stand approved.")


class TallyOut(BodyOut):
    """A part of the cases."""

    cases: int = Field(description="案件数.")
    approved: int = Field(description="已支持 · They stand approved, whatever became of the money.")
    rejected: int = Field(description="已驳回.")
    approval_rate: RateOut = Field(description="支持率 · Approved of decided.")
    amount_granted: int = Field(description="支持金额（分）.")


class MerchantTallyOut(TallyOut):
    """One merchant's cases."""

    merchant_id: str = Field(description="商家编号.")
    orders: int = Field(description="订单数 · Placed in the period.")
    refund_rate: RateOut = Field(
        description="退款率 · Orders with a case that stands approved for the merchant's fault, of those placed in the "
        "period. Such an order may be older than the period."
    )


class ReasonTallyOut(TallyOut):
    """The cases with one reason."""

    reason: Reason = Field(description="退款事由.")


class StatsOut(BodyOut):
    """统计: how the cases created in a period went, as they stand now."""

    from_: str = Field(alias="from", description="期间起（含）.")
    to: str = Field(description="期间止（不含）.")
    cases: int = Field(description="案件数 · Created in the period.")
    by_status: dict[str, int] = Field(description="按案件状态 · Every status there is.")
    by_outcome: dict[str, int] = Field(description="按裁定结果 · Of the latest decision, a person's included.")
    approval_rate: RateOut = Field(
        description="支持率 · Approved of decided: what stands approved, of that and what stands rejected. Withdrawn, "
        "lapsed and open cases are in neither."
    )
    seconds_to_decision: SecondsOut = Field(description="裁定用时 · Over the decided cases.")
    amount_granted: int = Field(description="支持金额（分） · The sum of all refund instructions.")
    deadlines: list[PromiseOut] = Field(
        description="期限履行情况 · Deadlines that ceased to matter, as when a case was withdrawn, are not counted."
    )
    rulings: RulingsOut = Field(description="人工裁定 · How many, by outcome.")
    overturned: list[OverturnedOut] = Field(description="被推翻的规则 · By rule, the most often overturned first.")
    appeals: AppealsOut = Field(description="申诉.")
    merchants: list[MerchantTallyOut] = Field(description="按商家 · The 100 with the most cases.")
    reasons: list[ReasonTallyOut] = Field(description="按事由 · Those that occur, the most frequent first.")
