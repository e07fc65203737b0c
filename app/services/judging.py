"""Judging facts that are all there; nothing is stored."""

from app.rules.decision import Decision, decide
from app.rules.facts import Facts
from app.services.policies import policy_in_force, policy_named
from app.store.case_rows import PolicyRow
from app.store.sites import SiteStore


async def adjudicate(facts: Facts, reference: str | None, sites: SiteStore) -> Decision:
    """Judge under the policy that is named, else under the one the site had in force when the order was placed.

    Raises Invalid for a policy that does not exist.
    """
    placed_at = facts.claim.filed_at if facts.order is None else facts.order.placed_at
    if reference is not None:
        return decide(facts, policy_named(reference, at=placed_at))
    found = await sites.policy_at(placed_at)
    return decide(facts, policy_in_force(None if found is None else PolicyRow(*found)))
