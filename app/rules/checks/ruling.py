"""Before all stages: what a person ruled, and the appeal that only a person answers."""

from collections.abc import Iterable, Iterator

from app.rules.facts import Ruled
from app.rules.findings import Effect, Finding, Outcome, Rule, Stage, Value
from app.rules.standing import Standing

GRANTED_BY_A_PERSON = Rule(
    "granted-by-a-person",
    Stage.RULING,
    Effect.SUPPORTS,
    "seed 003 §三 第四步; seed 004 §三.3",
    en="A person looked at the case and granted the claim at {at}: {code}.",
    zh="经人工审核，于 {at} 支持退款申请：{code}。",
    when_en="a person ruled for the buyer",
    when_zh="人工裁定支持买家",
    looks_at=("ruling",),
)
REFUSED_BY_A_PERSON = Rule(
    "refused-by-a-person",
    Stage.RULING,
    Effect.BLOCKS,
    "seed 003 §三 第四步; seed 004 §三.3",
    en="A person looked at the case and refused the claim at {at}: {code}.",
    zh="经人工审核，于 {at} 驳回退款申请：{code}。",
    when_en="a person ruled against the buyer",
    when_zh="人工裁定不支持买家",
    looks_at=("ruling",),
)
APPEAL_NEEDS_A_PERSON = Rule(
    "appeal-needs-a-person",
    Stage.RULING,
    Effect.DEFERS,
    "seed 000 §二 第四步; seed 004 §三.3",
    en="Appealed at {appealed_at}: the rule {contested} would reject the claim again, so a person answers the appeal.",
    zh="买家于 {appealed_at} 申诉；按规则 {contested} 仍会驳回，故由人工答复申诉。",
    when_en="the buyer appealed, and the rules would reject the claim again",
    when_zh="买家已申诉，而按规则仍会驳回",
    looks_at=("appealed_at",),
)
RULES = (GRANTED_BY_A_PERSON, REFUSED_BY_A_PERSON, APPEAL_NEEDS_A_PERSON)


def ruling(standing: Standing) -> Iterator[Finding]:
    """What a person ruled, where one did."""
    given = standing.course.ruling
    if given is None:
        return
    facts: dict[str, Value] = {"at": given.at, "code": given.code}
    if given.outcome is Ruled.APPROVE:
        yield Finding(GRANTED_BY_A_PERSON, Outcome.APPROVE, facts)
    else:
        yield Finding(REFUSED_BY_A_PERSON, Outcome.REJECT, facts)


def heard_on_appeal(standing: Standing, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings; on appeal a rejection that would decide is preceded by the person who answers instead of it."""
    appealed_at = standing.course.appealed_at
    is_open = appealed_at is not None
    for finding in findings:
        if is_open and finding.outcome is Outcome.REJECT:
            facts: dict[str, Value] = {"appealed_at": appealed_at, "contested": finding.rule.id}
            yield Finding(APPEAL_NEEDS_A_PERSON, Outcome.MANUAL_REVIEW, facts)
        is_open = is_open and finding.outcome is None
        yield finding
