"""Stage 8: signs of bad faith stop the automatic yes, never the claim: a person decides."""

from collections.abc import Iterator

from app.rules.facts import Party
from app.rules.findings import Effect, Finding, Outcome, Rule, Stage
from app.rules.standing import Standing

ABUSE_SUSPECTED = Rule(
    "abuse-suspected",
    Stage.GOOD_FAITH,
    Effect.BLOCKS,
    "seed 000 §二 第五步; seed 004 §四.2",
    en="A person looks at this first: {strikes} strike(s) on record of the {limit} that stop an automatic approval, "
    "{reused} file(s) already put forward in another order's case.",
    zh="需先由人工审核：买家已有 {strikes} 次失信记录（满 {limit} 次停止自动通过），"
    "{reused} 份文件曾用于其他订单的案件。",
    when_en="the buyer has as many strikes as the policy allows, or a file was put forward in another order's case",
    when_zh="买家失信记录达到规则上限，或文件曾用于其他订单的案件",
    looks_at=("strikes", "reused_files"),
)
RULES = (ABUSE_SUSPECTED,)


def good_faith(standing: Standing) -> Iterator[Finding]:
    """Strikes at or above the limit, or a re-used file of the buyer's."""
    strikes, limit = standing.facts.buyer.strikes, standing.policy.strikes_limit
    reused = sum(piece.reused and piece.party is Party.BUYER for piece in standing.facts.evidence)
    if strikes >= limit or reused:
        yield Finding(ABUSE_SUSPECTED, Outcome.MANUAL_REVIEW, {"strikes": strikes, "limit": limit, "reused": reused})
