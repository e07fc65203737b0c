"""Stage 7: whether all that the reason requires was put forward and counts."""

from collections import Counter
from collections.abc import Iterator

from app.rules.calendar import Moment, in_shanghai
from app.rules.facts import EvidenceKind
from app.rules.findings import Effect, Finding, Outcome, Rule, Stage, Value
from app.rules.lengths import Exact
from app.rules.policy import When
from app.rules.reasons import MERCHANT_FAULT, PLATFORM_FAULT
from app.rules.standing import Standing

EVIDENCE_INCOMPLETE = Rule(
    "evidence-incomplete",
    Stage.EVIDENCE,
    Effect.DEFERS,
    "seed 000 §三 挑战二; seed 003 §三 第四步; seed 004 §三.2",
    en="Still needed for “{reason}”: {missing}. To be supplied by {until} ({supplement}); after that the case lapses.",
    zh="以「{reason}」为由还需提交：{missing}。请最迟于 {until}（{supplement}内）补充，逾期视为放弃。",
    when_en="something that the reason requires is missing or does not count",
    when_zh="缺少该事由要求的证据，或所交证据无效",
    looks_at=("evidence_missing",),
)
RULES = (EVIDENCE_INCOMPLETE,)


def missing_evidence(standing: Standing) -> tuple[EvidenceKind, ...]:
    """What is required, less the pieces that count and the records that the site itself supplied; sorted."""
    wanted = Counter(standing.policy.evidence.required[standing.reason])
    if not wanted:
        return ()
    held = Counter(piece.kind for piece in standing.counting)
    held[EvidenceKind.ORDER_RECORD] += standing.order is not None
    held[EvidenceKind.PAYMENT_PROOF] += len(standing.succeeded)
    return tuple(sorted(kind for kind, count in wanted.items() if held[kind] < count))


def evidence(standing: Standing, *, conclusive: bool) -> Iterator[Finding]:
    """Ask for what is missing; where the policy says so, not if the records settle a fault by themselves."""
    terms = standing.policy.evidence
    settled = conclusive and standing.reason in MERCHANT_FAULT | PLATFORM_FAULT
    if terms.asked is When.UNLESS_CONCLUSIVE and settled:
        return
    missing = missing_evidence(standing)
    if missing:
        # The first request's time stands: a piece that is not enough does not win more of it.
        until = in_shanghai((standing.course.evidence_requested_at or standing.as_of) + terms.supplement)
        facts: dict[str, Value] = {
            "reason": standing.reason,
            "missing": missing,
            "until": until,
            "supplement": Exact(terms.supplement),
        }
        yield Finding(EVIDENCE_INCOMPLETE, Outcome.REQUEST_EVIDENCE, facts, until=Moment(until, provisional=False))
