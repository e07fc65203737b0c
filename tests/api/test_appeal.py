"""The buyer's appeal over HTTP: once, in time, with something new; the rules may grant it, else a person answers."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api import living
from tests.api.conftest import Access
from tests.database_clock import DatabaseClock

NEWS = living.APPEAL
FILE = {"name": "录屏.png", "media_type": "image/png", "size": 100}


def with_pieces(*pieces: dict[str, Any]) -> dict[str, Any]:
    return {"message": "请复核", "evidence": list(pieces)}


async def test_an_appeal_that_the_rules_would_reject_again_goes_to_a_person(site: Access, engine: AsyncEngine) -> None:
    case = await living.rejected_by_the_log(site)
    after = await living.taken(site, case, "appeal", NEWS)
    assert (after["status"], after["decision"]["decisive_rule"]) == ("appealed", "appeal-needs-a-person")
    assert living.new_events(case, after) == ["case.appealed", "case.review_needed"]
    assert living.deadline(after, "appeal")[1] == "kept"
    assert living.deadline(after, "review")[1] == "running"
    assert after["acts"][-1]["kind"] == "appeal"
    assert after["acts"][-1]["details"] == {"message": NEWS["message"]}
    assert [each["full"]["status"] for each in (await living.told(engine, after))[-2:]] == ["appealed", "appealed"]


async def test_an_appeal_that_the_rules_grant_is_granted_at_once(site: Access, engine: AsyncEngine) -> None:
    case = await living.rejected_by_the_log(site)
    corrected = {"order_no": "A-1001", "delivered_at": None}
    assert (await site.put("/v1/deliveries/D-A-1001", corrected)).status_code == 200
    assert await living.fire(engine) == 0
    after = await living.taken(site, case, "appeal", NEWS)
    assert after["status"] == "approved", after["decision"]
    assert living.new_events(case, after) == ["case.appealed", *living.PAID_BY_THE_DEPOSIT]
    assert list((await living.promised(engine)).values()) == [(living.FEN, living.FEN, living.FEN)]


@pytest.mark.parametrize(("ruling", "status"), [(living.RULED_FOR, "approved"), (living.RULED_AGAINST, "rejected")])
async def test_a_person_answers_an_appeal_and_that_is_the_end_of_it(
    site: Access, ruling: dict[str, Any], status: str
) -> None:
    case = await living.taken(site, await living.appealed(site), "ruling", ruling)
    assert case["status"] == status
    assert ("appeal", "buyer") not in living.actions(case)
    code = "appealed_before" if status == "rejected" else "not_allowed_now"
    await living.refused(site, case, "appeal", with_pieces(living.piece("bank_statement")), code)
    assert [each["name"] for each in case["decision"]["deadlines"]].count("appeal") == 0


async def test_an_appeal_is_made_once(site: Access) -> None:
    case = await living.appealed(site)
    await living.refused(site, case, "appeal", with_pieces(living.piece("bank_statement")), "not_allowed_now")


async def test_nothing_new_is_no_appeal(site: Access) -> None:
    case = await living.rejected(site)
    known = [{name: each[name] for name in living.piece("other")} for each in case["evidence"]]
    for evidence in ([], known[:1], known):
        problem = await living.refused(site, case, "appeal", with_pieces(*evidence), (422, "invalid"))
        assert living.pointers(problem) == {("/evidence", "no_new_evidence")}
    after = await living.taken(site, case, "appeal", with_pieces(*known, living.piece("screen_recording")))
    assert len(after["evidence"]) == 5


async def test_the_very_file_of_a_known_piece_is_nothing_new(site: Access) -> None:
    case = await living.in_review(site)
    shown = living.piece("error_screenshot", sha256="ab" * 32)
    case = await living.taken(site, case, "evidence", {"evidence": [shown]})
    case = await living.taken(site, case, "ruling", living.RULED_AGAINST)
    again = living.piece("screen_recording", sha256="ab" * 32)
    announced = living.piece("screen_recording", file={**FILE, "sha256": "ab" * 32})
    for each in (again, announced):
        problem = await living.refused(site, case, "appeal", with_pieces(each), (422, "invalid"))
        assert living.pointers(problem) == {("/evidence", "no_new_evidence")}
    await living.taken(site, case, "appeal", with_pieces(living.piece("screen_recording", sha256="cd" * 32)))


async def test_a_file_that_never_came_may_come_with_the_appeal(site: Access) -> None:
    case = await living.in_review(site)
    announced = living.piece("screen_recording", file=FILE)
    case = await living.taken(site, case, "evidence", {"evidence": [announced]})
    case = await living.taken(site, case, "ruling", living.RULED_AGAINST)
    after = await living.taken(site, case, "appeal", with_pieces(announced))
    assert after["status"] == "appealed"
    assert after["evidence"][-1]["file"]["upload"]["method"] == "PUT"


async def test_an_appeal_at_the_very_limit_is_in_time(site: Access, engine: AsyncEngine, clock: DatabaseClock) -> None:
    case = await living.rejected(site)
    await clock.freeze(datetime.fromisoformat(living.until(case, "appeal")))
    await living.fire(engine)
    case = await living.read(site, case)
    assert (await living.taken(site, case, "appeal", NEWS))["status"] == "appealed"


@pytest.mark.parametrize("fired", [False, True])
async def test_an_appeal_after_its_window_is_refused_with_the_date(
    site: Access, engine: AsyncEngine, clock: DatabaseClock, fired: bool
) -> None:
    case = await living.rejected(site)
    limit = living.until(case, "appeal")
    await clock.freeze(datetime.fromisoformat(limit) + timedelta(microseconds=1))
    if fired:
        await living.fire(engine)
        case = await living.read(site, case)
        assert living.deadline(case, "appeal") == (limit, "over")
    problem = await living.refused(site, case, "appeal", NEWS, "deadline_passed")
    assert limit in problem["detail"]
    assert ("appeal", "buyer") not in living.actions(await living.read(site, case))


async def test_an_appeal_of_what_was_filed_anew_is_refused(site: Access) -> None:
    """One open case for an order and a reason: the new one, not the old one that would open again."""
    case = await living.rejected(site)
    fresh = await living.filed(site, living.claim(), "awaiting_merchant")
    await living.refused(site, case, "appeal", NEWS, "case_open")
    await living.taken(site, fresh, "withdraw")
    after = await living.taken(site, case, "appeal", NEWS)
    assert after["status"] in ("appealed", "in_review")


async def test_a_buyer_may_withdraw_an_appeal(site: Access) -> None:
    case = await living.appealed(site)
    after = await living.taken(site, case, "withdraw")
    assert (after["status"], after["next"]) == ("withdrawn", [])
    assert living.deadline(after, "review")[1] == "void"


async def test_the_merchant_and_the_buyer_are_heard_on_appeal_and_nothing_is_rejected_by_rule(site: Access) -> None:
    case = await living.appealed(site)
    case = await living.taken(site, case, "evidence", {"evidence": [living.piece("bank_statement")]})
    assert case["status"] == "appealed"
    case = await living.taken(site, case, "merchant-response", {"position": "contest"})
    assert case["status"] == "appealed"
    after = await living.taken(site, case, "merchant-response", {"position": "accept"})
    assert after["decision"]["decisive_rule"] in ("merchant-accepts", "appeal-needs-a-person")
    assert after["status"] in ("approved", "appealed")
