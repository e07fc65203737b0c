"""The parameters that the rules read. A policy is frozen, checks its own consistency, and knows its sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.rules.facts import Channel, DeliveryMode, EvidenceKind, Reason, Trait
from app.rules.lengths import Length


class PolicyInvalid(ValueError):
    """A policy document that contradicts itself or cannot be read; the message names the clause."""


class When(StrEnum):
    """How often something is asked for."""

    ALWAYS = "always"
    UNLESS_CONCLUSIVE = "unless_conclusive"
    NEVER = "never"


class CountedFrom(StrEnum):
    """What a merchant's time to answer is counted from."""

    FILED = "filed"
    FIRST_CONTACT = "first_contact"


class Coverage(StrEnum):
    """Whether a buyer's own mistake is made good."""

    IF_UNUSED = "if_unused"
    MANUAL_REVIEW = "manual_review"
    NOT_COVERED = "not_covered"


class Strictness(StrEnum):
    """What becomes of a claim that breaks a clause."""

    ALLOW = "allow"
    MANUAL_REVIEW = "manual_review"
    REJECT = "reject"


class ShortDelivery(StrEnum):
    """How much a short delivery gives back."""

    FULL = "full"
    SHORTFALL_IF_USED = "shortfall_if_used"


class DepositUse(StrEnum):
    """Whether a decision draws on the merchant's deposit (保证金)."""

    NO = "no"
    DEDUCT = "deduct"
    FREEZE_FIRST = "freeze_first"


@dataclass(frozen=True, slots=True)
class Windows:
    """How long after the event a claim may still be filed. `cooling_off` None: there is none."""

    general: timedelta
    card: timedelta
    undelivered: timedelta
    payment: timedelta
    cooling_off: timedelta | None


@dataclass(frozen=True, slots=True)
class MerchantTurn:
    """When the merchant is heard before a decision, and for how long."""

    given: When
    length: Length
    counted_from: CountedFrom


@dataclass(frozen=True, slots=True)
class EvidenceTerms:
    """What is asked for, when, and how long the buyer has to supply it."""

    asked: When
    supplement: timedelta
    required: Mapping[Reason, tuple[EvidenceKind, ...]]


@dataclass(frozen=True, slots=True)
class Review:
    """What a person's review promises. `first_answer` None: no separate promise."""

    length: Length
    first_answer: Length | None


@dataclass(frozen=True, slots=True)
class Escalation:
    """What is open to a buyer beyond the site; thresholds in fen."""

    appeal: timedelta
    channel_dispute_shortest: timedelta
    channel_dispute_longest: timedelta
    court_above: int
    notarised_from: int


@dataclass(frozen=True, slots=True)
class RefundRate:
    """From which share of a merchant's orders its refunds are worth a signal.

    `limit` in percent, reached by the limit itself. `orders`: with fewer a rate means nothing. Counted over `period`.
    """

    limit: int
    orders: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """退款规则: one version of a policy, whole.

    `document` is the resolved source of this object (clause → plain value); `sources` names each clause's origin.
    `second_review_above` in fen: a ruling that grants more needs a second person; None: no ruling does.
    `refund_rate` None: a merchant's rate of refunds is not looked at.
    """

    name: str
    version: int
    effective_from: datetime
    title_en: str
    title_zh: str
    promises: Mapping[DeliveryMode, timedelta]
    windows: Windows
    payment_late: Strictness
    settlement_lag: timedelta
    buyer_mistake: Coverage
    wrong_item: Coverage
    cancelled_by_buyer: Strictness
    short_delivery: ShortDelivery
    merchant_turn: MerchantTurn
    evidence: EvidenceTerms
    partial_claims: Strictness
    excluded_traits: frozenset[Trait]
    review: Review
    arrival: Mapping[Channel, Length]
    escalation: Escalation
    deposit: DepositUse
    advance_payout: bool
    strikes_limit: int
    strike_lifetime: timedelta
    second_review_above: int | None
    refund_rate: RefundRate | None
    sources: Mapping[str, str]
    document: Mapping[str, object]
    sha256: str

    def __post_init__(self) -> None:
        """Refuse what cannot be carried out.

        Raises:
            PolicyInvalid: naming the clause.
        """
        _require(self.version >= 1, "version", "versions count from 1")
        _require(set(self.promises) == set(DeliveryMode), "promise", "every delivery mode needs a promise")
        _require(set(self.arrival) == set(Channel), "money_back", "every channel needs a time for the money to be back")
        _require(
            set(self.evidence.required) == set(Reason), "evidence_required", "every reason needs a list, even if empty"
        )
        _require(self.windows.card <= LONGEST_WINDOW, "card_window", "longer than ten years")
        _require(
            self.windows.cooling_off is None or self.windows.cooling_off <= LONGEST_COOLING_OFF,
            "cooling_off",
            "a cooling-off of more than 15 days has no source",
        )
        _require(
            self.evidence.asked is not When.NEVER, "evidence_asked", "evidence is asked for always or unless conclusive"
        )
        _require(
            self.payment_late is not Strictness.ALLOW, "payment_late", "a late payment claim is rejected or reviewed"
        )
        _require(self.cancelled_by_buyer is not Strictness.ALLOW, "cancelled_by_buyer", "is rejected or reviewed")
        _require(
            self.escalation.channel_dispute_shortest <= self.escalation.channel_dispute_longest,
            "channel_dispute",
            "the shortest is longer than the longest",
        )
        _require(self.strikes_limit >= 1, "strikes_limit", "at least one strike")
        self._require_a_rate_that_can_be_reached()

    def _require_a_rate_that_can_be_reached(self) -> None:
        rate = self.refund_rate
        if rate is not None:
            _require(1 <= rate.limit <= 100, "refund_rate_limit", "from 1 to 100 percent")
            _require(rate.orders >= 1, "refund_rate_orders", "at least one order")


LONGEST_WINDOW = timedelta(days=3650)
LONGEST_COOLING_OFF = timedelta(days=15)


def _require(holds: bool, clause: str, why: str) -> None:
    if not holds:
        raise PolicyInvalid(f"{clause}: {why}")
