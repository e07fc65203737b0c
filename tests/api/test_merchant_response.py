"""The merchant's turn over HTTP: accept, contest, offer a re-issue; with evidence of its own; or silence."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.store.engine import transaction
from tests.api import bodies, living
from tests.api.conftest import Access
from tests.database_clock import DatabaseClock

RESPONSE = "merchant-response"


async def test_a_merchant_that_accepts_pays(site: Access, engine: AsyncEngine) -> None:
    case = await living.awaiting_merchant(site)
    after = await living.taken(site, case, RESPONSE, {"position": "accept", "message": "同意退款"})
    assert (after["status"], after["decision"]["decisive_rule"]) == ("approved", "merchant-accepts")
    assert living.new_events(case, after) == ["case.approved", "refund.requested"]
    assert living.deadline(after, "merchant_turn")[1] == "kept"
    [act] = after["acts"]
    assert (act["kind"], act["by"]) == ("merchant_response", "m-7")
    assert act["details"] == {"message": "同意退款", "position": "accept"}
    assert list((await living.promised(engine)).values()) == [(living.FEN, living.FEN, living.FEN)]


@pytest.mark.parametrize("position", ["contest", "offer_reissue"])
async def test_a_merchant_that_does_not_accept_leaves_it_to_a_person(
    site: Access, engine: AsyncEngine, position: str
) -> None:
    case = await living.awaiting_merchant(site)
    after = await living.taken(site, case, RESPONSE, {"position": position})
    assert (after["status"], after["decision"]["decisive_rule"]) == ("in_review", "merchant-contests")
    assert living.new_events(case, after) == ["case.review_needed"]
    assert ("rule", "platform") in living.actions(after)
    assert (("accept_reissue", "buyer") in living.actions(after)) == (position == "offer_reissue")
    [*_, event] = await living.told(engine, after)
    assert event["full"]["next"] == after["next"]


async def test_a_merchant_s_evidence_is_kept_as_its_own_and_counts_by_the_same_rules(site: Access) -> None:
    case = await living.awaiting_merchant(site)
    private = living.merchants("chat_log", channel="off_platform")
    body = {"position": "contest", "evidence": [living.merchants("chat_log"), private]}
    after = await living.taken(site, case, RESPONSE, body)
    assert [(each["n"], each["party"]) for each in after["evidence"]] == [
        (1, "buyer"), (2, "buyer"), (3, "merchant"), (4, "merchant"),
    ]  # fmt: skip
    assert [(each["index"], each["reason"]) for each in after["decision"]["evidence"]["discounted"]] == [
        (3, "private_chat")
    ]


@pytest.mark.parametrize("party", ["buyer", "platform", "third_party"])
async def test_what_comes_with_the_answer_is_the_merchant_s(site: Access, party: str) -> None:
    case = await living.awaiting_merchant(site)
    evidence = [living.merchants("chat_log"), living.merchants("chat_log", party=party)]
    body = {"position": "contest", "evidence": evidence}
    problem = await living.refused(site, case, RESPONSE, body, (422, "invalid"))
    assert living.pointers(problem) == {("/evidence/1/party", "not_the_merchants")}


async def test_an_answer_at_the_very_limit_is_in_time(site: Access, engine: AsyncEngine, clock: DatabaseClock) -> None:
    case = await living.awaiting_merchant(site)
    await clock.freeze(datetime.fromisoformat(living.until(case, "respond")))
    await living.fire(engine)
    case = await living.read(site, case)
    assert case["status"] == "awaiting_merchant"
    after = await living.taken(site, case, RESPONSE, living.RESPONSE)
    assert after["status"] == "in_review"


@pytest.mark.parametrize("late", [timedelta(microseconds=1), timedelta(days=3)])
async def test_an_answer_after_the_limit_is_refused_and_silence_decides(
    site: Access, engine: AsyncEngine, clock: DatabaseClock, late: timedelta
) -> None:
    case = await living.awaiting_merchant(site)
    limit = living.until(case, "respond")
    await clock.freeze(datetime.fromisoformat(limit) + late)
    problem = await living.refused(site, case, RESPONSE, living.RESPONSE, "deadline_passed")
    assert limit in problem["detail"]
    await living.fire(engine)
    after = await living.read(site, case)
    assert (after["status"], after["decision"]["decisive_rule"]) == ("approved", "merchant-silent")
    assert living.deadline(after, "merchant_turn")[1] == "over"
    told = [each for each in living.new_events(case, after) if each != "case.deadline_approaching"]
    assert told == living.PAID_BY_THE_DEPOSIT
    await living.refused(site, after, RESPONSE, living.RESPONSE, "not_allowed_now")


async def test_a_merchant_is_not_heard_on_what_is_not_its_fault(site: Access) -> None:
    case = await living.filed(site, living.claim(("chat_log",), reason="other"), "in_review")
    assert ("respond", "merchant") not in living.actions(case)
    await living.refused(site, case, RESPONSE, living.RESPONSE, "merchant_not_heard")


async def test_a_merchant_may_think_better_of_it(site: Access) -> None:
    case = await living.in_review(site)
    after = await living.taken(site, case, RESPONSE, {"position": "accept"})
    assert (after["status"], after["decision"]["decisive_rule"]) == ("approved", "merchant-accepts")
    assert len(after["acts"]) == 2


async def test_a_word_more_during_the_review_is_no_silence(
    site: Access, engine: AsyncEngine, clock: DatabaseClock
) -> None:
    """Who contested in time and offers a re-issue two days later has not let the time to answer pass."""
    case = await living.in_review(site)
    await clock.advance(timedelta(hours=48))
    after = await living.taken(site, case, RESPONSE, {"position": "offer_reissue"})
    assert (after["status"], after["refunds"]) == ("in_review", [])
    assert ("accept_reissue", "buyer") in living.actions(after)
    assert list((await living.promised(engine)).values()) == [(living.FEN, 0, 0)]


async def test_a_merchant_that_was_never_asked_has_not_been_silent(
    site: Access, engine: AsyncEngine, clock: DatabaseClock
) -> None:
    """Strikes bring the case before a person; when they have expired, the merchant's time begins."""
    for order_no in ("A-8", "A-9"):
        await living.rejected_by_the_log(site, order_no)
    async with transaction(engine) as connection:
        await connection.execute(text("UPDATE signals SET expires_at = now() + interval '30 hours'"))
    case = await living.filed(site, living.claim(), "in_review")
    await clock.advance(timedelta(hours=31))
    after = await living.taken(site, case, "evidence", living.EVIDENCE)
    assert (after["status"], after["refunds"]) == ("awaiting_merchant", [])
    left = datetime.fromisoformat(living.until(after, "respond")) - await clock.now()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    again = await living.taken(site, after, "evidence", {"evidence": [living.piece("other")]})
    assert living.deadline(again, "merchant_turn") == living.deadline(after, "merchant_turn")
    await clock.advance(timedelta(hours=24, seconds=1))
    await living.fire(engine)
    assert (await living.read(site, case))["decision"]["decisive_rule"] == "merchant-silent"


async def test_an_offer_that_is_taken_ends_the_case_without_money(site: Access, engine: AsyncEngine) -> None:
    case = await living.taken(site, await living.awaiting_merchant(site), RESPONSE, {"position": "offer_reissue"})
    after = await living.taken(site, case, "withdraw", {"because": "reissue_accepted", "note": "已补发"})
    assert (after["status"], after["refunds"], after["next"]) == ("withdrawn", [], [])
    assert living.new_events(case, after) == ["case.withdrawn"]
    assert after["acts"][-1]["details"] == {"because": "reissue_accepted", "note": "已补发"}
    assert {each["state"] for each in after["deadlines"]} == {"kept", "void"}
    assert list((await living.promised(engine)).values()) == [(living.FEN, 0, 0)]
    again = await living.filed(site, living.claim(), "awaiting_merchant")
    assert again["id"] != case["id"]


@pytest.mark.parametrize("said", [[], ["contest"], ["offer_reissue", "contest"]])
async def test_without_an_offer_there_is_none_to_take(site: Access, said: list[str]) -> None:
    case = await living.awaiting_merchant(site)
    for position in said:
        case = await living.taken(site, case, RESPONSE, {"position": position})
    await living.refused(site, case, "withdraw", {"because": "reissue_accepted"}, "no_reissue_offered")


async def test_a_merchant_hears_only_of_its_own_cases_and_only_what_concerns_it(
    site: Access, engine: AsyncEngine
) -> None:
    made = {}
    for name, body in {
        "own": bodies.endpoint(role="merchant", merchant_id="m-7"),
        "another": bodies.endpoint(role="merchant", merchant_id="m-8"),
        "site": bodies.endpoint(),
        "channel": bodies.endpoint(role="channel"),
    }.items():
        answer = await site.post("/v1/webhook-endpoints", body)
        assert answer.status_code == 201, answer.text
        made[answer.json()["id"]] = name
    case = await living.rejected(site)
    news = {"message": "另有录屏", "evidence": [living.piece("screen_recording")]}
    case = await living.taken(site, case, "appeal", news)
    case = await living.taken(site, case, "ruling", living.RULED_FOR)
    heard: dict[str, list[str]] = {name: [] for name in made.values()}
    events = (await site.get("/v1/events", params={"limit": "100"})).json()["data"]
    for event in sorted(events, key=lambda each: each["sequence"]):
        for dispatch in (await site.get(f"/v1/events/{event['id']}")).json()["dispatches"]:
            heard[made[dispatch["endpoint_id"]]].append(event["type"])
    assert heard["site"] == [each["type"] for each in case["timeline"]] == [
        "case.filed", "case.merchant_turn", "case.review_needed", "case.rejected", "case.appealed",
        "case.review_needed", *living.PAID_BY_THE_DEPOSIT,
    ]  # fmt: skip
    assert heard["own"] == [
        "case.filed", "case.merchant_turn", "case.rejected", "case.approved", "merchant.deposit_deducted",
    ]  # fmt: skip
    assert heard["another"] == []
    assert heard["channel"] == ["refund.requested"]
    assert {each["merchant_id"] for each in await living.told(engine, case)} == {"m-7"}
