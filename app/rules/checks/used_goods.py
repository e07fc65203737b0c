"""Goods that use may have spoiled: nobody can tell any more whether they ever worked, or were what was promised."""

from app.rules.facts import Reason
from app.rules.findings import Effect, Finding, Outcome, Rule, Stage
from app.rules.standing import Standing

SPOILED_BY_USE = frozenset({Reason.NOT_WORKING, Reason.NOT_AS_DESCRIBED})

USED_GOODS = Rule(
    "used-goods",
    Stage.MERCHANT_TURN,
    Effect.BLOCKS,
    "seed 004 §一 不可退款; seed 001 §二.3",
    en="The goods have been {usage}; whether they failed before or after cannot be told from the records, so a person "
    "decides.",
    zh="商品{usage}；问题出现在使用之前还是之后，无法从记录判断，由人工裁定。",
    when_en="used goods, not working or not as described, that silence, absence or a third party would approve",
    when_zh="已使用的商品主张无法使用或与描述不符，而商家沉默、失联或第三方佐证本会使其通过",
    reasons=SPOILED_BY_USE,
    looks_at=("usage",),
)


def unless_spoiled(standing: Standing, approval: Finding) -> Finding:
    """The approval itself, or a person in its place where use may have spoiled the goods."""
    if standing.is_used and standing.reason in SPOILED_BY_USE:
        return Finding(USED_GOODS, Outcome.MANUAL_REVIEW, {"usage": standing.usage})
    return approval
