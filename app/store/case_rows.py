"""Cases as rows: what is read for a judgement, what is written when a case is filed, what is shown afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.models.closed_sets import CaseStatus, RefundState
from app.rules.facts import Channel, ChatChannel, EvidenceKind, Party, Reason, Side
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
    were put forward in another order's case. `open_case_id`: the case that stands in the way of a new one.
    """

    now: datetime
    order: OrderRow | None
    payments: tuple[HeldPayment, ...]
    deliveries: tuple[DeliveryRow, ...]
    merchant: MerchantRow | None
    policy: PolicyRow | None
    reused: frozenset[str]
    open_case_id: UUID | None


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


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One piece of evidence, in the order in which it was put forward."""

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


@dataclass(frozen=True, slots=True)
class RefundRow:
    """A refund as it stands."""

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


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One event of a case, without its content."""

    event_id: UUID
    type: str
    sequence: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case with all its children: `decision` is the latest, `timeline` in the order of what happened."""

    case: CaseRow
    decision: DecisionRow | None
    evidence: tuple[EvidenceRow, ...]
    refunds: tuple[RefundRow, ...]
    timeline: tuple[TimelineRow, ...]


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
