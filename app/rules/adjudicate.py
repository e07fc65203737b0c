"""Facts and a policy in, a verdict out: every obstacle is found, then one short function weighs them."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.rules.amounts import Share, shares
from app.rules.calendar import STATUTORY, Calendar
from app.rules.checks.cancellation import seller_cancellation
from app.rules.checks.contradictions import contradictions
from app.rules.checks.evidence import evidence
from app.rules.checks.exclusions import exclusions
from app.rules.checks.form import form
from app.rules.checks.good_faith import good_faith
from app.rules.checks.merchant_turn import merchant_turn
from app.rules.checks.notes import needs_a_person, notes
from app.rules.checks.records import confirmations
from app.rules.checks.ruling import heard_on_appeal, ruling
from app.rules.checks.timeliness import too_early, too_late
from app.rules.facts import Facts
from app.rules.findings import Finding, Outcome
from app.rules.liability import Funding, Liability, funding, liability
from app.rules.policy import Policy
from app.rules.standing import Standing, read_standing


@dataclass(frozen=True, slots=True)
class Refund:
    """What an approval gives back: `amount` in fen is the sum of its shares."""

    amount: int
    funding: Funding
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules come to. `refund` is there exactly where the outcome is to approve."""

    standing: Standing
    findings: tuple[Finding, ...]
    decisive: Finding
    outcome: Outcome
    liability: Liability
    refund: Refund | None


def judge(facts: Facts, policy: Policy, calendar: Calendar = STATUTORY) -> Verdict:
    """Judge a claim at `facts.as_of`. The same facts, policy and calendar always give the same verdict."""
    standing = read_standing(facts, policy)
    findings = _distinct(find(standing, calendar))
    decisive, parts = _first_that_decides(standing, findings)
    outcome = decisive.outcome
    assert outcome is not None
    liable = liability(standing, outcome, decisive.rule)
    refund = None
    if outcome is Outcome.APPROVE:
        amount = sum(part.amount for part in parts)
        refund = Refund(amount, funding(standing, liable, decisive.rule, amount), parts)
    return Verdict(standing, findings, decisive, outcome, liable, refund)


def decisive_finding(facts: Facts, policy: Policy, calendar: Calendar = STATUTORY) -> Finding:
    """Only what decides, for questions that need no more: the stages behind it are not looked at."""
    standing = read_standing(facts, policy)
    return _first_that_decides(standing, find(standing, calendar))[0]


def find(standing: Standing, calendar: Calendar) -> Iterable[Finding]:
    """Every finding, in the order in which they are weighed: a person's ruling before what the rules say."""
    yield from ruling(standing)
    yield from heard_on_appeal(standing, _by_stage(standing, calendar))


def _by_stage(standing: Standing, calendar: Calendar) -> Iterable[Finding]:
    confirmed = confirmations(standing)
    conclusive = any(finding.outcome is Outcome.APPROVE for finding in confirmed)
    yield from seller_cancellation(standing)
    yield from form(standing)
    yield from too_early(standing)
    yield from too_late(standing)
    yield from exclusions(standing)
    yield from contradictions(standing)
    yield from evidence(standing, conclusive=conclusive)
    yield from good_faith(standing)
    yield from merchant_turn(standing, calendar, conclusive=conclusive)
    yield from confirmed
    yield needs_a_person(standing)
    yield from notes(standing)


def _distinct(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding a rule: two stages may come to the same one."""
    first_of: dict[str, Finding] = {}
    for finding in findings:
        first_of.setdefault(finding.rule.id, finding)
    return tuple(first_of.values())


def _first_that_decides(standing: Standing, findings: Iterable[Finding]) -> tuple[Finding, tuple[Share, ...]]:
    """The decisive finding; an approval decides only where settled money is left to give back."""
    for finding in findings:
        if finding.outcome is Outcome.APPROVE:
            parts = shares(standing, finding.rule)
            if parts:
                return finding, parts
        elif finding.outcome is not None:
            return finding, ()
    raise AssertionError("the last resort always decides")
