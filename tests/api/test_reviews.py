"""The queue of what waits for a person: in order, in time, and nobody else's."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.closed_sets import Scope
from app.store.engine import transaction
from tests.api.conftest import Access
from tests.api.desk import A_MINUTE, A_TUESDAY, Desk
from tests.database_clock import DatabaseClock

ABOVE_TWO = 500_001  # fen: from here on card_error wants two people


@pytest.fixture
async def desk(clock: DatabaseClock, site: Access, engine: AsyncEngine) -> Desk:
    await clock.set(A_TUESDAY)
    return Desk(site, clock, engine)


def ids(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["case"]["id"] for entry in entries]


async def test_the_oldest_promise_comes_first_whatever_was_filed_first(desk: Desk) -> None:
    slow = await desk.file("other", policy="card_error")
    middling = await desk.file("other", policy="recharge")
    quick = await desk.file("other")
    queue = await desk.all("/v1/reviews")
    assert ids(queue) == [quick["id"], middling["id"], slow["id"]]
    promises = [entry["promised_by"] for entry in queue]
    assert promises == sorted(promises)
    for entry, case in zip(queue, (quick, middling, slow), strict=True):
        [review] = [each for each in case["deadlines"] if each["name"] == "review"]
        assert entry["promised_by"] == review["at"]


async def test_only_what_waits_for_a_person_is_in_it(desk: Desk) -> None:
    waits = await desk.file("other")
    appealed = await desk.appeal(await desk.rejected("b-1"))
    assert appealed["status"] == "appealed"
    await desk.rejected("b-2")
    await desk.file("not_delivered")
    await desk.file("not_working")
    await desk.merchants_turn()
    assert set(ids(await desk.all("/v1/reviews"))) == {waits["id"], appealed["id"]}
    await desk.rule(waits, "approve")
    await desk.step(appealed, "withdraw")
    assert await desk.all("/v1/reviews") == []


async def test_an_entry_says_what_a_person_needs_to_choose(desk: Desk) -> None:
    case = await desk.file("other", amount=31_400)
    [entry] = await desk.all("/v1/reviews")
    assert entry["case"] == {name: case[name] for name in entry["case"]}
    assert (entry["amount_at_stake"], entry["overdue"], entry["proposal"]) == (31_400, False, None)
    assert entry["decisive_rule"] == case["decision"]["decisive_rule"]
    assert entry["waiting_since"] == case["created_at"]


async def test_an_entry_tells_of_the_latest_decision(desk: Desk) -> None:
    turn = await desk.merchants_turn()
    contested = await desk.step(turn, "merchant-response", {"position": "contest"})
    [entry] = await desk.all("/v1/reviews")
    assert entry["decisive_rule"] == contested["decision"]["decisive_rule"] == "merchant-contests"
    assert turn["decision"]["decisive_rule"] != "merchant-contests"


async def test_what_is_at_stake_is_what_a_ruling_may_grant(desk: Desk) -> None:
    case = await desk.file("other", amount=31_400)
    [entry] = await desk.all("/v1/reviews")
    body = {"outcome": "approve", "code": "other", "text": "已核实", "by": "op-1"}
    more = await desk.site.post(f"/v1/cases/{case['id']}/ruling", {**body, "amount": 31_401}, once="r-1")
    assert (more.status_code, more.json()["errors"][0]["code"]) == (422, "more_than_grantable")
    ruled = await desk.rule(case, "approve", amount=entry["amount_at_stake"])
    assert sum(refund["amount"] for refund in ruled["refunds"]) == 31_400


async def test_a_ruling_that_waits_for_a_second_person_is_shown(desk: Desk) -> None:
    case = await desk.file("other", policy="card_error", amount=600_000)
    for amount in (600_000, ABOVE_TWO):  # the first person thinks better of it
        await desk.rule(case, "approve", by="op-1", amount=amount)
    [entry] = await desk.all("/v1/reviews")
    assert entry["proposal"] == {
        "outcome": "approve", "code": "other", "text": "已核实", "amount": ABOVE_TWO, "by": "op-1",
        "at": entry["case"]["updated_at"],
    }  # fmt: skip
    await desk.rule(case, "approve", by="op-2", amount=ABOVE_TWO)
    assert await desk.all("/v1/reviews") == []


async def test_overdue_is_after_the_last_instant_of_the_promise(desk: Desk) -> None:
    case = await desk.file("other")
    [entry] = await desk.all("/v1/reviews")
    await desk.clock.freeze(datetime.fromisoformat(entry["promised_by"]))
    [entry] = await desk.all("/v1/reviews?overdue=false")
    assert entry["overdue"] is False
    assert await desk.all("/v1/reviews?overdue=true") == []
    await desk.clock.advance(timedelta(microseconds=1))
    assert await desk.all("/v1/reviews?overdue=false") == []
    [entry] = await desk.all("/v1/reviews?overdue=true")
    assert (ids([entry]), entry["overdue"]) == ([case["id"]], True)


async def test_a_promise_stays_the_same_once_its_deadline_was_told_as_missed(desk: Desk) -> None:
    await desk.file("other")
    [before] = await desk.all("/v1/reviews")
    await desk.passes(timedelta(days=7))
    later = await desk.file("other")
    queue = await desk.all("/v1/reviews")
    assert [(entry["promised_by"], entry["overdue"]) for entry in queue[:1]] == [(before["promised_by"], True)]
    assert (ids(queue)[1], queue[1]["overdue"]) == (later["id"], False)


async def test_a_persons_second_turn_has_a_promise_of_its_own(desk: Desk) -> None:
    """The promise of the first review is kept by the ruling; the appeal is promised anew."""
    case = await desk.file("other")
    [first] = await desk.all("/v1/reviews")
    await desk.rule(case, "reject")
    await desk.passes(timedelta(hours=30))
    await desk.appeal(case)
    [second] = await desk.all("/v1/reviews")
    assert second["case"]["status"] == "appealed"
    assert second["promised_by"] > first["promised_by"]
    assert second["waiting_since"] > first["waiting_since"]


async def test_the_queue_is_listed_by_merchant_and_reason(desk: Desk) -> None:
    one = await desk.file("other", merchant="m-1")
    two = await desk.step(await desk.merchants_turn("m-1"), "merchant-response", {"position": "contest"})
    three = await desk.file("other", merchant="m-2")
    assert {each["status"] for each in (one, two, three)} == {"in_review"}
    for query, expected in (
        ("merchant=m-1", [one, two]),
        ("reason=other", [one, three]),
        ("merchant=m-1&reason=other", [one]),
        ("merchant=m-3", []),
        ("reason=not_delivered", []),
        ("merchant=m-1&overdue=true", []),
    ):
        assert set(ids(await desk.all(f"/v1/reviews?{query}"))) == {each["id"] for each in expected}, query


async def test_paging_is_stable_while_cases_come_and_go(desk: Desk) -> None:
    """All promised by the same instant, so that ids decide; no entry comes twice, none of the old ones is left out."""
    cases = [await desk.file("other") for _ in range(5)]
    seen: list[str] = []
    gone: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await desk.read(f"/v1/reviews?limit=2{cursor}")
        assert len({entry["promised_by"] for entry in page["data"]}) == 1
        seen += ids(page["data"])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        gone.append(await desk.rule(cases[len(gone)], "reject"))
        await desk.file("other", policy="card_error")
        if len(gone) == 1:
            before = await desk.file("other")
        assert len(gone) < 5
    assert len(seen) == len(set(seen))
    expected = {case["id"] for case in cases}
    assert expected - {case["id"] for case in gone} <= set(seen)
    assert before["id"] in seen


async def test_cursors_of_others_do_no_harm(desk: Desk, other_site: Access) -> None:
    theirs = Desk(other_site, desk.clock, desk.engine)
    for _ in range(2):
        await theirs.file("other", buyer="b-theirs")
        await desk.file("other")
    mine = set(ids(await desk.all("/v1/reviews")))
    cursors = [
        (await theirs.read("/v1/reviews?limit=1"))["next_cursor"],
        (await desk.read("/v1/cases?limit=1"))["next_cursor"],
    ]
    for cursor in cursors:
        page = await desk.read(f"/v1/reviews?cursor={cursor}")
        assert set(ids(page["data"])) <= mine
    events = (await desk.read("/v1/events?limit=1"))["next_cursor"]
    for cursor in (events, "x", "AAAA", cursors[0] + "AA"):
        assert (await desk.site.get(f"/v1/reviews?cursor={cursor}")).status_code == 422


async def test_nothing_of_another_site_is_in_it(desk: Desk, other_site: Access) -> None:
    await Desk(other_site, desk.clock, desk.engine).file("other")
    assert await desk.all("/v1/reviews") == []


async def test_a_case_without_a_promise_is_not_lost(desk: Desk) -> None:
    """As when it came to wait before promises were kept as rows: it stands in front, since when it has been waiting."""
    await desk.file("other")
    old = await desk.file("other")
    async with transaction(desk.engine) as connection:
        await connection.execute(
            text("DELETE FROM case_timers WHERE case_id = (SELECT case_id FROM cases WHERE order_no = :order_no)"),
            {"order_no": old["order_no"]},
        )
    first = (await desk.all("/v1/reviews"))[0]
    assert (first["case"]["id"], first["promised_by"], first["overdue"]) == (old["id"], old["created_at"], True)


async def test_reading_takes_the_scope_of_cases(key_with: Callable[..., Awaitable[Access]], site: Access) -> None:
    assert (await (await key_with(Scope.CASES)).get("/v1/reviews")).status_code == 200
    refused = await (await key_with(Scope.RULE, Scope.RECORDS)).get("/v1/reviews")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    for query in ("limit=101", "limit=0", "overdue=1", "overdue=True", "overdue=", "merchant=", "reason=odd", "x=1"):
        answer = await site.get(f"/v1/reviews?{query}")
        assert (query, answer.status_code) == (query, 422)
        assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


async def test_time_passes_in_the_queue_without_anything_being_done(desk: Desk) -> None:
    """Whether a promise is broken is the clock's to say, not the worker's."""
    await desk.file("other")
    await desk.clock.advance(timedelta(days=9) + A_MINUTE)
    assert [entry["overdue"] for entry in await desk.all("/v1/reviews")] == [True]
