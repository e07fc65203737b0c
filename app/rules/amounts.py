"""How much goes back, and over which payments. Integers in fen; never more than what is left of a payment."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.rules.checks.cancellation import CANCELLED_BY_SELLER
from app.rules.checks.records import kept_charge
from app.rules.checks.ruling import GRANTED_BY_A_PERSON
from app.rules.facts import Payment, Reason, Usage
from app.rules.findings import Rule
from app.rules.policy import ShortDelivery
from app.rules.standing import Standing


@dataclass(frozen=True, slots=True)
class Share:
    """What goes back over one payment, in fen."""

    payment: Payment
    amount: int


def shares(standing: Standing, decisive: Rule) -> tuple[Share, ...]:
    """The refund of an approval by this rule, earliest payment first; empty where nothing is left to give."""
    ruled = standing.course.ruling
    return _shares(standing, decisive, ruled.amount if ruled is not None and decisive is GRANTED_BY_A_PERSON else None)


def most_grantable(standing: Standing) -> int:
    """The most that a person could grant, in fen: what the claim asks for, over the payments that it is about."""
    return sum(share.amount for share in _shares(standing, GRANTED_BY_A_PERSON, None))


def _shares(standing: Standing, decisive: Rule, ruled: int | None) -> tuple[Share, ...]:
    duplicate = standing.reason is Reason.DUPLICATE_CHARGE and decisive is not CANCELLED_BY_SELLER
    sources = _duplicates(standing) if duplicate else standing.succeeded
    granted = _short_amount(standing) if _is_shortfall(standing, decisive) else sum(each.remaining for each in sources)
    caps = [cap for cap in (standing.claim.amount, ruled) if cap is not None]
    return tuple(_spread(sources, min([granted, *caps])))


def _duplicates(standing: Standing) -> tuple[Payment, ...]:
    """Every charge but the one that pays for the order; none, where nothing succeeded."""
    if not standing.succeeded:
        return ()
    kept = kept_charge(standing)
    return tuple(payment for payment in standing.succeeded if payment.payment_no != kept)


def _is_shortfall(standing: Standing, decisive: Rule) -> bool:
    return (
        standing.reason is Reason.SHORT_DELIVERY
        and decisive not in (CANCELLED_BY_SELLER, GRANTED_BY_A_PERSON)
        and standing.policy.short_delivery is ShortDelivery.SHORTFALL_IF_USED
        and standing.usage is not Usage.UNUSED
    )


def _short_amount(standing: Standing) -> int:
    """The missing share of the balance, rounded half up to a fen; all of it where the share is unknown."""
    delivered, ordered, balance = standing.delivered_value, standing.ordered_value, standing.refundable
    if delivered is None or not ordered:
        return balance
    missing = max(ordered - delivered, 0)
    return (2 * balance * missing + ordered) // (2 * ordered)


def _spread(sources: Iterable[Payment], amount: int) -> Iterable[Share]:
    for payment in sources:
        part = min(amount, payment.remaining)
        if part > 0:
            yield Share(payment, part)
        amount -= part
