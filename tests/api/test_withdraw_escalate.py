"""A buyer gives a claim up, or takes it elsewhere, over HTTP."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api import living
from tests.api.conftest import Access
from tests.database_clock import DatabaseClock

VENUES = ("channel_dispute", "complaint_12315", "court")


@pytest.mark.parametrize("status", living.OPEN)
async def test_an_undecided_claim_can_be_withdrawn_and_filed_again(
    site: Access, engine: AsyncEngine, status: str
) -> None:
    case = await living.OPEN[status](site)
    after = await living.taken(site, case, "withdraw", {"because": "changed_mind", "note": "不退了"})
    assert (after["status"], after["next"], after["refunds"]) == ("withdrawn", [], [])
    assert living.new_events(case, after) == ["case.withdrawn"]
    assert after["decision"] == case["decision"]
    assert "running" not in {each["state"] for each in after["deadlines"]}
    act = after["acts"][-1]
    assert (act["kind"], act["by"]) == ("withdrawal", "b-9")
    assert act["details"] == {"because": "changed_mind", "note": "不退了"}
    [*_, event] = await living.told(engine, after)
    assert (event["type"], event["full"]["status"], event["thin"]["status"]) == (
        "case.withdrawn", "withdrawn", "withdrawn",
    )  # fmt: skip
    again = await site.post("/v1/cases", living.claim(("chat_log",), reason=case["reason"]), once="again")
    assert again.status_code == 201


@pytest.mark.parametrize("body", [None, {}, {"because": "resolved"}])
async def test_a_withdrawal_needs_no_word(site: Access, body: dict[str, str] | None) -> None:
    after = await living.taken(site, await living.awaiting_merchant(site), "withdraw", body)
    assert after["acts"][-1]["details"] == {"because": (body or {}).get("because", "changed_mind"), "note": None}


async def test_a_claim_is_withdrawn_once_and_its_deadlines_do_nothing_any_more(
    site: Access, engine: AsyncEngine, clock: DatabaseClock
) -> None:
    case = await living.withdrawn(site)
    problem = await living.refused(site, case, "withdraw", None, "not_allowed_now")
    assert problem["detail"] == "The case is withdrawn. Allowed now: nothing."
    await clock.advance(timedelta(days=30))
    assert await living.fire(engine) == 0
    assert await living.is_unchanged(site, case)


@pytest.mark.parametrize("venue", VENUES)
async def test_a_rejected_case_can_be_taken_elsewhere(site: Access, engine: AsyncEngine, venue: str) -> None:
    case = await living.rejected(site)
    body = {
        "venue": venue,
        "reference": "R-1",
        "raised_at": "2026-03-10T12:00:00+08:00",
        "note": "已提交",
        "by": "cs-2",
    }
    after = await living.taken(site, case, "escalate", body)
    assert (after["status"], after["decision"], after["next"]) == ("rejected", case["decision"], case["next"])
    assert living.new_events(case, after) == []
    act = after["acts"][-1]
    assert (act["kind"], act["by"]) == ("escalation", "cs-2")
    [way] = [each for each in case["beyond_the_site"]["ways"] if each["venue"] == venue]
    assert act["details"]["open_until"] == way["until"]
    assert (act["details"]["venue"], act["details"]["reference"], act["details"]["note"]) == (venue, "R-1", "已提交")
    assert datetime.fromisoformat(act["details"]["raised_at"]) == datetime.fromisoformat(body["raised_at"])


async def test_nothing_was_taken_elsewhere_in_the_future(site: Access, clock: DatabaseClock) -> None:
    case = await living.rejected(site)
    skew = await clock.freeze() + timedelta(minutes=5)
    late = {"venue": "court", "raised_at": (skew + timedelta(microseconds=1)).isoformat()}
    problem = await living.refused(site, case, "escalate", late, (422, "invalid"))
    assert living.pointers(problem) == {("/raised_at", "in_the_future")}
    await living.taken(site, case, "escalate", {**late, "raised_at": skew.isoformat()})


async def test_the_buyer_takes_it_elsewhere_unless_somebody_is_named(site: Access) -> None:
    after = await living.taken(site, await living.rejected(site), "escalate", {"venue": "court"})
    assert after["acts"][-1]["by"] == "b-9"


async def test_a_case_may_be_taken_to_several_places(site: Access) -> None:
    case = await living.rejected(site)
    for venue in VENUES:
        case = await living.taken(site, case, "escalate", {"venue": venue})
    assert [each["details"]["venue"] for each in case["acts"] if each["kind"] == "escalation"] == list(VENUES)
    case = await living.taken(site, case, "appeal", living.APPEAL)
    assert case["status"] in ("appealed", "in_review")


async def test_a_channel_s_window_that_is_over_is_closed(site: Access, clock: DatabaseClock) -> None:
    case = await living.rejected(site)
    [window] = [each for each in case["beyond_the_site"]["ways"] if each["venue"] == "channel_dispute"]
    limit = datetime.fromisoformat(window["until"])
    await clock.freeze(limit)
    case = await living.taken(site, case, "escalate", {"venue": "channel_dispute"})
    await clock.freeze(limit + timedelta(microseconds=1))
    await living.refused(site, case, "escalate", {"venue": "channel_dispute"}, "way_closed")
    shown = await living.read(site, case)
    assert "channel_dispute" not in [each["venue"] for each in shown["beyond_the_site"]["ways"]]
    await living.taken(site, case, "escalate", {"venue": "complaint_12315"})


async def test_a_payment_from_the_site_s_own_wallet_has_no_channel_to_dispute_at(site: Access) -> None:
    body = living.claim(("chat_log",), reason="other")
    body["payments"][0]["channel"] = "balance"
    case = await living.taken(site, await living.filed(site, body, "in_review"), "ruling", living.RULED_AGAINST)
    await living.refused(site, case, "escalate", {"venue": "channel_dispute"}, "way_closed")


@pytest.mark.parametrize(
    ("start", "promise"), [("in_review", "review"), ("appealed", "review"), ("approved", "money_back")]
)
async def test_what_is_under_way_can_be_taken_elsewhere_only_when_it_is_overdue(
    site: Access, engine: AsyncEngine, clock: DatabaseClock, start: str, promise: str
) -> None:
    case = await (living.OPEN | living.CLOSED)[start](site)
    limit, state = living.deadline(case, promise)
    assert state == "running"
    await clock.freeze(datetime.fromisoformat(limit))
    await living.fire(engine)
    case = await living.read(site, case)
    problem = await living.refused(site, case, "escalate", {"venue": "complaint_12315"}, "not_overdue")
    assert limit in problem["detail"]
    assert ("escalate", "buyer") not in living.actions(case)
    await clock.advance(timedelta(microseconds=1))
    assert ("escalate", "buyer") in living.actions(await living.read(site, case))
    await living.fire(engine)
    late = await living.read(site, case)
    assert living.new_events(case, late) == ["case.deadline_missed"]
    after = await living.taken(site, late, "escalate", {"venue": "complaint_12315"})
    assert after["status"] == start
    assert living.deadline(after, promise)[1] == "over"


async def test_a_withdrawn_case_goes_nowhere(site: Access) -> None:
    await living.refused(site, await living.withdrawn(site), "escalate", {"venue": "court"}, "not_allowed_now")
