"""Who answers for a decision, and whose money pays it."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

from app.rules.checks.cancellation import CANCELLED_BY_SELLER
from app.rules.checks.exclusions import BUYER_ERROR
from app.rules.checks.merchant_turn import MERCHANT_ACCEPTS
from app.rules.checks.notes import is_seller_unverified
from app.rules.checks.ruling import GRANTED_BY_A_PERSON
from app.rules.facts import CancelledBy, RulingCode
from app.rules.findings import Outcome, Rule
from app.rules.policy import DepositUse
from app.rules.reasons import Fault
from app.rules.standing import Standing


class Liability(StrEnum):
    """责任认定."""

    MERCHANT = "merchant"
    PLATFORM = "platform"
    BUYER = "buyer"
    NONE = "none"
    UNDETERMINED = "undetermined"


class Funding(StrEnum):
    """退款资金来源."""

    PLATFORM = "platform"
    MERCHANT = "merchant"
    DEPOSIT = "deposit"
    PLATFORM_ADVANCE = "platform_advance"


# Where a person says whose fault it was, that is so, whatever the buyer's reason supposed.
_RULED_AT_FAULT: Mapping[RulingCode, Liability] = MappingProxyType(
    {
        RulingCode.MERCHANT_FAILED: Liability.MERCHANT,
        RulingCode.PLATFORM_FAILED: Liability.PLATFORM,
        RulingCode.GOODWILL: Liability.NONE,
    }
)


def liability(standing: Standing, outcome: Outcome, decisive: Rule) -> Liability:
    """Who answers: settled by an approval, ruled out by a rejection, open otherwise."""
    if outcome is Outcome.APPROVE:
        return _of_approval(standing, decisive)
    if outcome is Outcome.REJECT:
        return Liability.BUYER if decisive is BUYER_ERROR else Liability.NONE
    return Liability.UNDETERMINED


def _of_approval(standing: Standing, decisive: Rule) -> Liability:
    at_fault = _at_fault(standing, decisive)
    if at_fault is Liability.MERCHANT and is_seller_unverified(standing):
        return Liability.PLATFORM
    return at_fault


def _at_fault(standing: Standing, decisive: Rule) -> Liability:
    if decisive is CANCELLED_BY_SELLER and standing.order is not None:
        by_platform = standing.order.cancelled_by is CancelledBy.PLATFORM
        return Liability.PLATFORM if by_platform else Liability.MERCHANT
    ruled = standing.course.ruling
    if decisive is GRANTED_BY_A_PERSON and ruled is not None and ruled.code in _RULED_AT_FAULT:
        return _RULED_AT_FAULT[ruled.code]
    match standing.fault:
        case Fault.MERCHANT:
            return Liability.MERCHANT
        case Fault.PLATFORM:
            return Liability.PLATFORM
        case Fault.BUYER:
            return Liability.BUYER
        case Fault.NOBODY:
            return Liability.UNDETERMINED
        case _:
            assert_never(standing.fault)


def funding(standing: Standing, liable: Liability, decisive: Rule, amount: int) -> Funding:
    """Whose money pays `amount` fen."""
    policy, merchant = standing.policy, standing.facts.merchant
    if liable in (Liability.PLATFORM, Liability.NONE):  # nobody is liable for what is granted out of goodwill
        return Funding.PLATFORM
    if decisive is MERCHANT_ACCEPTS or liable is Liability.BUYER:
        return Funding.MERCHANT
    if policy.deposit is not DepositUse.NO and merchant is not None and merchant.deposit >= amount:
        return Funding.DEPOSIT
    return Funding.PLATFORM_ADVANCE if policy.advance_payout else Funding.MERCHANT
