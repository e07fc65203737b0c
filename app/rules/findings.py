"""What a check answers with: a rule, what it leads to, and the facts it used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from types import MappingProxyType

from app.rules.calendar import Moment
from app.rules.facts import Reason
from app.rules.lengths import Length


class Outcome(StrEnum):
    """裁定结果."""

    APPROVE = "approve"
    REJECT = "reject"
    WAIT = "wait"
    REQUEST_EVIDENCE = "request_evidence"
    AWAIT_MERCHANT = "await_merchant"
    MANUAL_REVIEW = "manual_review"


class Effect(StrEnum):
    """作用: how a finding bears on the claim."""

    SUPPORTS = "supports"
    BLOCKS = "blocks"
    DEFERS = "defers"
    NOTES = "notes"


class Stage(IntEnum):
    """The order in which a claim is judged; the first stage that decides, decides."""

    RULING = 0
    CANCELLATION = 1
    FORM = 2
    TOO_EARLY = 3
    TOO_LATE = 4
    EXCLUSIONS = 5
    CONTRADICTION = 6
    EVIDENCE = 7
    GOOD_FAITH = 8
    MERCHANT_TURN = 9
    CONFIRMATION = 10
    A_PERSON = 11
    NOTE = 12


class Circumstance(StrEnum):
    """What findings name beside the closed sets of the facts."""

    CANCELLED_BY_BUYER = "cancelled_by_buyer"
    MISSING = "missing"
    NOT_REFUNDABLE = "not_refundable"


class Fen(int):
    """An amount of money in fen (分); a type of its own so that a message can show it in yuan."""


Value = int | str | bool | datetime | timedelta | Length | tuple[str, ...] | None
NO_FACTS: Mapping[str, Value] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule's identity and its words.

    `en` and `zh` are templates over a finding's facts. `when_en` and `when_zh` say in general when the rule fires;
    `looks_at` names the standing's facts that its condition turns on. `reasons` None: every reason.
    """

    id: str
    stage: Stage
    effect: Effect
    source: str
    en: str
    zh: str
    when_en: str
    when_zh: str
    reasons: frozenset[Reason] | None = None
    looks_at: tuple[str, ...] = ()

    def concerns(self, reason: Reason) -> bool:
        """Whether the rule is ever looked at for claims with this reason."""
        return self.reasons is None or reason in self.reasons


@dataclass(frozen=True, slots=True)
class Finding:
    """认定: one rule's result. `outcome` None notes something and decides nothing.

    `until` is the moment that a deferral ends, where the rule itself knows it.
    """

    rule: Rule
    outcome: Outcome | None
    facts: Mapping[str, Value] = field(default_factory=lambda: NO_FACTS)
    until: Moment | None = None
