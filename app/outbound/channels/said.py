"""What a channel is asked, and what it says: of one refund, of a payment, in a notice of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from app.rules.settlement import Failure, RefundState


@dataclass(frozen=True, slots=True)
class Instruction:
    """Pay `amount` fen of a payment of `payment_amount` fen back, under `refund_no`, which never changes.

    `payment_no` is the number under which the shop started the payment at the channel. Over the same payment, `gone`
    fen went back otherwise, or may have; `earlier` other refunds were begun, the last of them at `last_begun_at`.
    `notify_url`: where the channel may send notices.
    """

    refund_no: str
    payment_no: str
    amount: int
    payment_amount: int
    currency: str
    reason_text: str
    paid_at: datetime
    notify_url: str | None = None
    gone: int = 0
    earlier: int = 0
    last_begun_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What the channel says of a refund; what it left out is None."""

    state: RefundState
    amount: int | None = None
    currency: str | None = None
    channel_refund_no: str | None = None
    at: datetime | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The channel says that it has no refund under this number."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """Nothing can be concluded, so that the channel is asked again before anything else. `code` in snake_case."""

    code: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class NotNow:
    """The channel would refuse before this moment, so that it is not asked."""

    until: datetime


Said: TypeAlias = Told | Unknown | Unclear | NotNow


@dataclass(frozen=True, slots=True)
class FoundRefund:
    """A refund that was seen at the channel. `refund_no`: the number that it was made under, ours or another's."""

    channel_refund_no: str
    refund_no: str | None
    amount: int
    state: RefundState
    at: datetime | None


@dataclass(frozen=True, slots=True)
class PaymentSeen:
    """What the channel says of a payment. `refunded_amount`: fen that went back by anybody's doing; None: not told."""

    refunded_amount: int | None
    refunds: tuple[FoundRefund, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A call that claims to come from the channel. The names of headers are in lower case."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """A notice whose signature proves what it says of a refund, over the payment that it names."""

    refund_no: str
    payment_no: str
    told: Told


@dataclass(frozen=True, slots=True)
class Hint:
    """A notice that is a reason to ask, and no more."""

    refund_no: str | None = None
    payment_no: str | None = None


class NoticeRefused(Exception):
    """A notice that nobody has to believe: `code` says what is wrong with it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
