"""Judging facts that are all there; nothing is stored."""

from app.rules.decision import Decision, decide
from app.rules.facts import Facts
from app.services.policies import active_policy, moment_of_policy, policy_named
from app.store.sites import SiteStore


async def adjudicate(facts: Facts, reference: str | None, sites: SiteStore) -> Decision:
    """Judge under the policy that is named, else under the one the site had in force when the order was placed.

    Raises Invalid for a policy that does not exist.
    """
    at = moment_of_policy(facts)
    policy = await active_policy(sites, at) if reference is None else policy_named(reference, at=at)
    return decide(facts, policy)
