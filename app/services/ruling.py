"""A person rules where one is needed: within what can be granted, and with a second person where the policy says so."""

from dataclasses import dataclass
from typing import Any

from app.errors import Conflict, Fault, Invalid
from app.ids import Mint, new_uuid
from app.models.closed_sets import ActKind
from app.rules.amounts import most_grantable
from app.rules.facts import Ruled, Ruling, RulingCode
from app.rules.findings import Outcome
from app.rules.lifecycle import CaseEvent, advance
from app.rules.standing import read_standing
from app.services.consequences import Step
from app.services.policies import policy_of_case
from app.services.progress import moved
from app.services.situation import rule_that_led_to, standing_proposal
from app.services.steps import Input, Target, act, allow, facts_now, hold, judge_anew, write
from app.store.case_rows import ActRow, CaseView, Held
from app.store.cases import CaseStore

_EVENTS = {Ruled.APPROVE: CaseEvent.RULED_APPROVE, Ruled.REJECT: CaseEvent.RULED_REJECT}
_OPPOSITE = {Ruled.APPROVE: Outcome.REJECT, Ruled.REJECT: Outcome.APPROVE}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person decides. `amount` in fen, None for all that can be granted; `by`: the site's id of the person."""

    outcome: Ruled
    code: RulingCode
    text: str
    amount: int | None
    by: str


async def rule(cases: CaseStore, target: Target, wish: Wish, *, mint: Mint = new_uuid) -> CaseView:
    """Decides a case that waits for a person; where the policy wants two, the first one's ruling waits for the second.

    Raises Conflict where nobody's ruling is needed, nothing can be granted, or the second person is the first one;
    Invalid for more than can be granted.
    """
    held = await hold(cases, target)
    allow(_EVENTS[wish.outcome], held.view)
    granted = _granted(wish, held)
    if _needs_two(granted, held):
        proposed = standing_proposal(held.view)
        if proposed is None or not _agree(proposed, wish, granted):
            return await _propose(cases, held, wish, granted, mint)
        if proposed.by == wish.by:
            raise _second_person_needed()
    overturned = rule_that_led_to(_OPPOSITE[wish.outcome], held.view)
    details = {**_details(wish, granted), "overturned": overturned}
    brought = Input(
        _EVENTS[wish.outcome],
        acts=(act(ActKind.RULING, wish.by, details, held),),
        ruling=Ruling(wish.outcome, wish.code, held.view.now, granted),
        overturned=overturned,
    )
    return await judge_anew(cases, held, brought, mint)


def _granted(wish: Wish, held: Held) -> int | None:
    """What a ruling for the buyer grants, in fen."""
    if wish.outcome is Ruled.REJECT:
        return None
    most = most_grantable(read_standing(facts_now(held, Input()), policy_of_case(held.view.case)))
    if most == 0:
        raise Conflict(
            "nothing_to_grant",
            en="Nothing is left that could go back over this case's payments. If one is missing, send it first.",
            zh="本案支付记录已无可退余额。如有遗漏的支付，请先提交支付记录。",
        )
    if wish.amount is not None and wish.amount > most:
        raise Invalid(
            Fault(
                "/amount",
                "more_than_grantable",
                en=f"At most {most} fen can be granted: what the claim asks for, as far as it was paid and is left.",
                zh=f"最多可支持 {most} 分：以申请金额及可退余额为限。",
            )
        )
    return most if wish.amount is None else wish.amount


def _needs_two(granted: int | None, held: Held) -> bool:
    above = policy_of_case(held.view.case).second_review_above
    return granted is not None and above is not None and granted > above


def _agree(proposed: ActRow, wish: Wish, granted: int | None) -> bool:
    return (proposed.details["outcome"], proposed.details["amount"]) == (wish.outcome.value, granted)


async def _propose(cases: CaseStore, held: Held, wish: Wish, granted: int | None, mint: Mint) -> CaseView:
    case = held.view.case
    proposal = act(ActKind.RULING_PROPOSAL, wish.by, _details(wish, granted), held)
    after = moved(case, advance(case.status, CaseEvent.RULING_PROPOSED), held.view.now)
    return await write(cases, held, Step(after=after, acts=(proposal,)), mint)


def _details(wish: Wish, granted: int | None) -> dict[str, Any]:
    return {"outcome": wish.outcome.value, "code": wish.code.value, "text": wish.text, "amount": granted}


def _second_person_needed() -> Conflict:
    return Conflict(
        "second_person_needed",
        en="An amount like this takes two people: somebody else has to give the same ruling.",
        zh="该金额须由两人裁定：请由另一位人员作出相同裁定。",
    )
