"""How long after the event a claim may still be filed: by reason and policy, or by the product's own terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.rules.facts import Channel, Reason
from app.rules.policy import Policy
from app.rules.reasons import NO_FAULT_RETURNS, PAYMENT_REASONS
from app.rules.standing import Standing

AFTER_DELIVERY = frozenset(
    {
        Reason.INVALID_GOODS,
        Reason.DELIVERED_LATE,
        Reason.SHORT_DELIVERY,
        Reason.NOT_WORKING,
        Reason.NOT_AS_DESCRIBED,
        Reason.WRONG_ACCOUNT,
    }
)


@dataclass(frozen=True, slots=True)
class ReportWindow:
    """From when, and for how long, a claim may be filed; the end itself is still in time."""

    started_at: datetime
    length: timedelta

    @property
    def ended_at(self) -> datetime:
        """The last instant in time."""
        return self.started_at + self.length


@dataclass(frozen=True, slots=True)
class WindowTerms:
    """How long the window of a reason is under a policy, and what it counts from."""

    length: timedelta
    counted_from: str


def window_terms(reason: Reason, policy: Policy) -> WindowTerms | None:
    """The window that a policy gives a reason; a product's own terms may replace one that counts from delivery."""
    windows = policy.windows
    if reason is Reason.NOT_DELIVERED:
        return WindowTerms(windows.undelivered, "paid_at")
    if reason in PAYMENT_REASONS:
        return WindowTerms(windows.payment, "last_paid_at")
    if reason in AFTER_DELIVERY:
        return WindowTerms(windows.card if reason is Reason.INVALID_GOODS else windows.general, "delivered_at")
    if reason in NO_FAULT_RETURNS and windows.cooling_off is not None:
        return WindowTerms(windows.cooling_off, "delivered_at_or_paid_at")
    return None


def report_window(standing: Standing) -> ReportWindow | None:
    """The window of this claim, or None where none runs."""
    terms = window_terms(standing.reason, standing.policy)
    if terms is None:
        return None
    started_at = _STARTS[terms.counted_from](standing)
    if started_at is None:
        return None
    own = _own_window(standing) if standing.reason in AFTER_DELIVERY else None
    return ReportWindow(started_at, own or terms.length)


@dataclass(frozen=True, slots=True)
class DisputeWindow:
    """Until when a payment channel takes a dispute: any channel, and those that take it longest."""

    surely: datetime
    perhaps: datetime


def dispute_window(standing: Standing) -> DisputeWindow | None:
    """From the first payment over a channel; a wallet of the site's own has none to dispute at."""
    outside = [payment.paid_at for payment in standing.succeeded if payment.channel is not Channel.BALANCE]
    if not outside:
        return None
    terms, first = standing.policy.escalation, min(outside)
    return DisputeWindow(first + terms.channel_dispute_shortest, first + terms.channel_dispute_longest)


def _own_window(standing: Standing) -> timedelta | None:
    """The product's own terms replace the policy's window."""
    return None if standing.goods is None else standing.goods.terms.report_window


_STARTS: Mapping[str, Callable[[Standing], datetime | None]] = {
    "paid_at": lambda standing: standing.paid_at,
    "last_paid_at": lambda standing: standing.last_paid_at,
    "delivered_at": lambda standing: standing.delivered_at,
    "delivered_at_or_paid_at": lambda standing: standing.delivered_at or standing.paid_at,
}
