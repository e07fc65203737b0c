"""Cases as rows: what is read for a judgement, what is written when a case is filed, what is shown afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.models.closed_sets import ActKind, FileState, TimerKind, TimerState
from app.rules.facts import Channel, ChatChannel, EvidenceKind, Party, Reason, Side
from app.rules.lifecycle import CaseStatus
from app.rules.settlement import FailureCode, RefundState
from app.rules.signals import SignalKind, Subject
from app.store.record_rows import DeliveryRow, HeldPayment, MerchantRow, OrderRow


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """Which policy was in force."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class OnFile:
    """All that is stored and bears on one claim.

    `deliveries` count `times_sold` over the site's orders with the same card. `reused`: those of the asked hashes that
    were put forward in another order's case. `strikes`: the buyer's that count, seen in other cases.
    `open_case_id`: the case that stands in the way of a new one. `accounts`: those at channels that the service asks
    itself. The merchant's `deposit` is what is free of it, with what is held for this very case.
    """

    now: datetime
    order: OrderRow | None
    payments: tuple[HeldPayment, ...]
    deliveries: tuple[DeliveryRow, ...]
    merchant: MerchantRow | None
    policy: PolicyRow | None
    reused: frozenset[str]
    open_case_id: UUID | None
    strikes: int = 0
    accounts: Mapping[Channel, UUID] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewCase:
    """A case as it is filed. `claim` as it came, fit for JSON."""

    case_id: UUID
    order_no: str | None
    merchant_id: str | None
    buyer_id: str | None
    reason: Reason
    status: CaseStatus
    claim: Mapping[str, Any]
    policy_name: str
    policy_version: int
    filed_at: datetime
    evidence_requested_at: datetime | None = None
    review_started_at: datetime | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of evidence: as announced until it is stored, and as found in its bytes from then on. `size` in bytes."""

    file_id: UUID
    state: FileState
    name: str
    media_type: str
    size: int
    sha256: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One piece of evidence, in the order in which it was put forward. `file` is announced together with the piece."""

    kind: EvidenceKind
    party: Party
    captured_at: datetime
    order_no: str | None = None
    channel: ChatChannel | None = None
    composite: bool = False
    stamped: bool = False
    reused: bool = False
    sha256: str | None = None
    supports: Side | None = None
    file: FileRow | None = None

    @property
    def is_there(self) -> bool:
        """Whether it can be looked at: a piece whose file has not come yet is not."""
        return self.file is None or self.file.state is FileState.STORED


@dataclass(frozen=True, slots=True)
class HeldEvidence(EvidenceRow):
    """A piece as it is kept: `n` is its place in the case, from 1."""

    n: int = 0
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ActRow:
    """What a party did in a case. `details` fit for JSON."""

    kind: ActKind
    by: str | None
    details: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewTimer:
    """A deadline that is to take effect, or a reminder of it."""

    name: str
    kind: TimerKind
    due_at: datetime
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class TimerRow(NewTimer):
    """A deadline as it stands."""

    state: TimerState = TimerState.PENDING
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewSignal:
    """Something that a rule saw about a buyer's or a merchant's good faith."""

    signal_id: UUID
    subject: Subject
    subject_id: str
    kind: SignalKind
    rule: str
    facts: Mapping[str, Any]
    strike: bool
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision, whole. `facts` and `body` are canonical texts, kept to the byte."""

    outcome: str
    decisive_rule: str | None
    policy_name: str
    policy_version: int
    engine: str
    facts: str
    body: str
    judged_at: datetime


@dataclass(frozen=True, slots=True)
class NewRefund:
    """An instruction to pay `amount` fen back over one payment."""

    refund_id: UUID
    refund_no: str
    payment_no: str
    amount: int
    currency: str
    channel: Channel
    expected_by: datetime | None
    overdue_at: datetime | None
    account_id: UUID | None = None
    replaces: UUID | None = None
    other_account: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something to tell. `full_data` and `thin_data`: JSON objects as text, for the site and for everybody else.

    `heard_by`: the roles whose endpoints hear this type unless they chose their types themselves.
    """

    event_id: UUID
    type: str
    full_data: str
    thin_data: str
    heard_by: tuple[str, ...]
    merchant_id: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case as it stands."""

    case_id: UUID
    order_no: str | None
    merchant_id: str | None
    buyer_id: str | None
    reason: Reason
    status: CaseStatus
    claim: Mapping[str, Any]
    policy_name: str
    policy_version: int
    filed_at: datetime
    created_at: datetime
    updated_at: datetime
    version: int
    next_sequence: int
    evidence_requested_at: datetime | None = None
    review_started_at: datetime | None = None
    resumed_at: datetime | None = None
    appealed_at: datetime | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefundRow:
    """A refund as it stands; see `app.models.refunds.Refund`."""

    refund_id: UUID
    refund_no: str
    case_id: UUID
    payment_no: str
    amount: int
    currency: str
    channel: Channel
    state: RefundState
    expected_by: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int = 1
    channel_refund_no: str | None = None
    failure_code: FailureCode | None = None
    failure_message: str | None = None
    reported_at: datetime | None = None
    settled_at: datetime | None = None
    instructed_at: datetime | None = None
    overdue_at: datetime | None = None
    replaces: UUID | None = None
    other_account: Mapping[str, Any] | None = None
    account_id: UUID | None = None
    next_step_at: datetime | None = None
    submitted_at: datetime | None = None
    asked: int = 0
    last_said: str | None = None


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One event of a case, without its content."""

    event_id: UUID
    type: str
    sequence: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case with all its children at `now`: `decision` is the latest, `timeline` in the order of what happened.

    `filed_again`: there is another case of the same order and reason that is open or was granted.
    """

    now: datetime
    case: CaseRow
    decision: DecisionRow | None
    evidence: tuple[HeldEvidence, ...]
    refunds: tuple[RefundRow, ...]
    timeline: tuple[TimelineRow, ...]
    acts: tuple[ActRow, ...] = ()
    timers: tuple[TimerRow, ...] = ()
    filed_again: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A case that is locked, and all that bears on it. `signals`: what was seen in it, strikes by True."""

    view: CaseView
    on_file: OnFile
    signals: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases to list; None is no restriction. `filed_from` is included, `filed_to` is not."""

    status: CaseStatus | None = None
    reason: Reason | None = None
    merchant_id: str | None = None
    order_no: str | None = None
    filed_from: datetime | None = None
    filed_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class CasePosition:
    """Where a page ended: the last case shown."""

    created_at: datetime
    case_id: UUID
