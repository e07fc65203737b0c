"""Which policy judges a claim."""

from datetime import UTC, datetime

from app.errors import Fault, Invalid
from app.rules.facts import Facts
from app.rules.policy import Policy
from app.rules.presets import PRESETS, STANDARD
from app.store.case_rows import CaseRow, PolicyRow
from app.store.sites import SiteStore


def policy_named(reference: str, *, at: datetime) -> Policy:
    """The policy that `name` or `name@version` means; without a version the one in force `at`.

    Raises Invalid where there is none.
    """
    name, _, version = reference.partition("@")
    policy = PRESETS.get(name)
    if policy is None or policy.effective_from > at or (version and int(version) != policy.version):
        raise Invalid(
            Fault(
                "/policy",
                "unknown_policy",
                en=f"No such policy or version. There are: {', '.join(PRESETS)}.",
                zh=f"没有这个规则或版本。可用：{'、'.join(PRESETS)}。",
            )
        )
    return policy


def policy_in_force(row: PolicyRow | None) -> Policy:
    """The policy that a site had activated; before its first activation, the standard."""
    return PRESETS[STANDARD if row is None else row.name]


def policy_of_case(case: CaseRow) -> Policy:
    """The version that judges a case from its first decision to its last, whatever the site activates meanwhile."""
    return policy_named(f"{case.policy_name}@{case.policy_version}", at=datetime.max.replace(tzinfo=UTC))


async def active_policy(sites: SiteStore, at: datetime) -> Policy:
    """The policy that a site has in force at a moment."""
    found = await sites.policy_at(at)
    return policy_in_force(None if found is None else PolicyRow(*found))


def moment_of_policy(facts: Facts) -> datetime:
    """The moment whose policy judges a claim: when the order was placed, or without one when the claim was filed."""
    return facts.claim.filed_at if facts.order is None else facts.order.placed_at
