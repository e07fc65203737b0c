"""A person's ruling over HTTP: within what can be granted, once, and with a second person where the policy says so."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api import bodies, living
from tests.api.conftest import Access
from tests.database_clock import DatabaseClock

FOR, AGAINST = living.RULED_FOR, living.RULED_AGAINST
DEAR = 600_000


def by(person: str, **changes: Any) -> dict[str, Any]:
    return {**FOR, "by": person, **changes}


@pytest.mark.parametrize("start", [living.in_review, living.appealed])
async def test_a_person_grants_all_that_is_left(site: Access, engine: AsyncEngine, start: Any) -> None:
    case = await start(site)
    after = await living.taken(site, case, "ruling", FOR)
    assert (after["status"], after["decision"]["decisive_rule"]) == ("approved", "granted-by-a-person")
    assert living.new_events(case, after) == living.PAID_BY_THE_DEPOSIT
    assert after["decision"]["refund"]["amount"] == living.FEN
    assert living.deadline(after, "review")[1] == "kept"
    assert list((await living.promised(engine)).values()) == [(living.FEN, living.FEN, living.FEN)]
    act = after["acts"][-1]
    assert (act["kind"], act["by"], act["details"]["amount"]) == ("ruling", "op-1", living.FEN)
    [*_, refund, deducted] = await living.told(engine, after)
    assert refund["full"]["refund_no"] == after["refunds"][0]["refund_no"]
    assert (deducted["full"]["case_id"], deducted["full"]["deducted"]) == (after["id"], living.FEN)


@pytest.mark.parametrize("amount", [1, 19_999, 20_000])
async def test_a_person_grants_a_part(site: Access, engine: AsyncEngine, amount: int) -> None:
    after = await living.taken(site, await living.in_review(site), "ruling", {**FOR, "amount": amount})
    assert [each["amount"] for each in after["refunds"]] == [amount]
    assert list((await living.promised(engine)).values()) == [(living.FEN, amount, amount)]


@pytest.mark.parametrize("amount", [20_001, 10**12])
async def test_more_than_can_be_granted_is_refused(site: Access, engine: AsyncEngine, amount: int) -> None:
    case = await living.in_review(site)
    problem = await living.refused(site, case, "ruling", {**FOR, "amount": amount}, (422, "invalid"))
    assert living.pointers(problem) == {("/amount", "more_than_grantable")}
    assert list((await living.promised(engine)).values()) == [(living.FEN, 0, 0)]


async def test_no_more_than_the_claim_asks_for_can_be_granted(site: Access) -> None:
    body = living.claim(("chat_log",), reason="other")
    body["claim"]["amount"] = 5_000
    case = await living.filed(site, body, "in_review")
    await living.refused(site, case, "ruling", {**FOR, "amount": 5_001}, (422, "invalid"))
    assert (await living.taken(site, case, "ruling", FOR))["refunds"][0]["amount"] == 5_000


@pytest.mark.parametrize("code", ["evidence_insufficient", "goods_delivered", "goods_used", "bad_faith", "other"])
async def test_a_person_refuses_and_the_buyer_can_appeal(site: Access, engine: AsyncEngine, code: str) -> None:
    case = await living.in_review(site)
    after = await living.taken(site, case, "ruling", {**AGAINST, "code": code})
    assert (after["status"], after["decision"]["decisive_rule"]) == ("rejected", "refused-by-a-person")
    assert living.new_events(case, after) == ["case.rejected"]
    assert {("appeal", "buyer"), ("escalate", "buyer")} <= living.actions(after)
    assert list((await living.promised(engine)).values()) == [(living.FEN, 0, 0)]


@pytest.mark.parametrize("second", [FOR, AGAINST])
async def test_a_case_is_ruled_on_once(site: Access, engine: AsyncEngine, second: dict[str, Any]) -> None:
    case = await living.taken(site, await living.in_review(site), "ruling", FOR)
    await living.refused(site, case, "ruling", {**second, "by": "op-2"}, "not_allowed_now")
    assert list((await living.promised(engine)).values()) == [(living.FEN, living.FEN, living.FEN)]


async def test_where_nothing_is_left_nothing_can_be_granted(site: Access) -> None:
    case = await living.filed(site, living.claim(("chat_log",), reason="other"), "in_review")
    await living.taken(site, await living.in_review(site), "ruling", FOR)
    for amount in (None, 1):
        await living.refused(site, case, "ruling", {**FOR, "amount": amount}, "nothing_to_grant")
    after = await living.taken(site, case, "ruling", AGAINST)
    assert after["status"] == "rejected"


async def test_two_cases_on_one_payment_never_get_more_than_was_paid(site: Access, engine: AsyncEngine) -> None:
    first = await living.filed(site, living.claim(("chat_log",), reason="other"), "in_review")
    second = await living.in_review(site)
    await living.taken(site, first, "ruling", {**FOR, "amount": 15_000})
    await living.refused(site, second, "ruling", {**FOR, "amount": 5_001}, (422, "invalid"))
    after = await living.taken(site, second, "ruling", FOR)
    assert [each["amount"] for each in after["refunds"]] == [5_000]
    assert list((await living.promised(engine)).values()) == [(living.FEN, living.FEN, living.FEN)]


async def test_a_late_ruling_is_still_a_ruling(site: Access, engine: AsyncEngine, clock: DatabaseClock) -> None:
    case = await living.in_review(site)
    await clock.advance(timedelta(days=30))
    await living.fire(engine)
    case = await living.read(site, case)
    assert case["timeline"][-1]["type"] == "case.deadline_missed"
    assert living.deadline(case, "review")[1] == "over"
    after = await living.taken(site, case, "ruling", FOR)
    assert after["status"] == "approved"
    assert living.deadline(after, "review")[1] == "over"


async def test_the_rule_that_a_person_overturned_is_kept(site: Access) -> None:
    case = await living.taken(site, await living.appealed(site), "ruling", FOR)
    assert case["acts"][-1]["details"]["overturned"] == "delivered-per-log"
    other = await living.in_review(site, "A-2")
    other = await living.taken(site, other, "ruling", FOR)
    assert other["acts"][-1]["details"]["overturned"] is None


async def dear(site: Access) -> living.Case:
    return await living.filed(site, living.dear(), "in_review")


async def test_above_the_amount_one_person_only_proposes(site: Access, engine: AsyncEngine) -> None:
    case = await dear(site)
    after = await living.taken(site, case, "ruling", by("op-1"))
    assert (after["status"], after["refunds"], after["decision"]) == ("in_review", [], case["decision"])
    assert living.new_events(case, after) == []
    assert (after["acts"][-1]["kind"], after["acts"][-1]["details"]["amount"]) == ("ruling_proposal", DEAR)
    assert ("confirm_ruling", "platform") in living.actions(after)
    assert ("confirm_ruling", "platform") not in living.actions(case)
    assert living.deadline(after, "review")[1] == living.deadline(after, "first_answer")[1] == "running"
    assert list((await living.promised(engine)).values()) == [(DEAR, 0, 0)]


async def test_a_second_person_who_agrees_grants_it(site: Access, engine: AsyncEngine) -> None:
    case = await living.taken(site, await dear(site), "ruling", by("op-1"))
    await living.refused(site, case, "ruling", by("op-1"), "second_person_needed")
    after = await living.taken(site, case, "ruling", by("op-2", code="goodwill", amount=DEAR))
    assert (after["status"], after["refunds"][0]["amount"]) == ("approved", DEAR)
    assert [(each["kind"], each["by"]) for each in after["acts"]] == [("ruling_proposal", "op-1"), ("ruling", "op-2")]
    assert list((await living.promised(engine)).values()) == [(DEAR, DEAR, DEAR)]


async def test_a_second_person_with_another_amount_proposes_anew(site: Access, engine: AsyncEngine) -> None:
    case = await living.taken(site, await dear(site), "ruling", by("op-1"))
    case = await living.taken(site, case, "ruling", by("op-2", amount=DEAR - 1))
    assert case["status"] == "in_review"
    await living.refused(site, case, "ruling", by("op-2", amount=DEAR - 1), "second_person_needed")
    after = await living.taken(site, case, "ruling", by("op-1", amount=DEAR - 1))
    assert after["refunds"][0]["amount"] == DEAR - 1
    assert len(after["acts"]) == 3


async def test_nobody_confirms_what_was_replaced(site: Access, engine: AsyncEngine) -> None:
    case = await living.taken(site, await dear(site), "ruling", by("op-1"))
    case = await living.taken(site, case, "ruling", by("op-1", amount=DEAR - 1))
    case = await living.taken(site, case, "ruling", by("op-2"))
    assert (case["status"], case["refunds"]) == ("in_review", [])


@pytest.mark.parametrize(("amount", "status"), [(500_000, "approved"), (500_001, "in_review"), (None, "in_review")])
async def test_from_which_amount_two_are_needed(site: Access, amount: int | None, status: str) -> None:
    case = await living.taken(site, await dear(site), "ruling", by("op-1", amount=amount))
    assert case["status"] == status


async def test_a_refusal_needs_no_second_person(site: Access) -> None:
    case = await living.taken(site, await dear(site), "ruling", by("op-1"))
    after = await living.taken(site, case, "ruling", AGAINST)
    assert after["status"] == "rejected"
    assert ("confirm_ruling", "platform") not in living.actions(after)


@pytest.mark.parametrize("news", ["evidence", "record"])
async def test_a_proposal_does_not_outlive_what_it_was_made_on(site: Access, engine: AsyncEngine, news: str) -> None:
    """Two people have to judge the same case: who proposed has not seen what came in afterwards."""
    case = await living.taken(site, await dear(site), "ruling", by("op-1"))
    if news == "evidence":
        case = await living.taken(site, case, "evidence", {"evidence": [living.piece("other")]})
    else:
        await site.put("/v1/merchants/m-7", bodies.merchant(deposit=1))
        await living.fire(engine)
        case = await living.read(site, case)
    assert ("confirm_ruling", "platform") not in living.actions(case)
    case = await living.taken(site, case, "ruling", by("op-2"))
    assert (case["status"], case["refunds"]) == ("in_review", [])
    after = await living.taken(site, case, "ruling", by("op-1"))
    assert (after["status"], after["refunds"][0]["amount"]) == ("approved", DEAR)


async def test_a_proposal_before_a_rejection_does_not_count_on_appeal(site: Access) -> None:
    case = await living.taken(site, await dear(site), "ruling", by("op-1"))
    case = await living.taken(site, case, "ruling", {**AGAINST, "by": "op-3"})
    case = await living.taken(site, case, "appeal", living.APPEAL)
    assert case["status"] == "appealed"
    assert ("confirm_ruling", "platform") not in living.actions(case)
    case = await living.taken(site, case, "ruling", by("op-2"))
    assert case["status"] == "appealed"
    after = await living.taken(site, case, "ruling", by("op-1"))
    assert after["status"] == "approved"
