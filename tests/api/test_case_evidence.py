"""Evidence that comes in while a case is undecided, and records that change meanwhile: the case is judged anew."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.services.steps import MOST_EVIDENCE
from app.store.engine import transaction
from app.store.sites import SiteStore
from tests.api import bodies, living
from tests.api.conftest import Access
from tests.database_clock import DatabaseClock

ALL = {"evidence": [living.piece(kind) for kind in living.PROVEN]}


async def test_what_was_missing_comes_and_the_merchant_is_asked(site: Access, engine: AsyncEngine) -> None:
    case = await living.awaiting_evidence(site)
    after = await living.taken(site, case, "evidence", ALL)
    assert (after["status"], after["decision"]["decisive_rule"]) == ("awaiting_merchant", "merchant-turn")
    assert living.new_events(case, after) == ["case.merchant_turn"]
    assert [(each["n"], each["kind"]) for each in after["evidence"]] == [(1, "error_screenshot"), (2, "chat_log")]
    assert living.deadline(after, "evidence_supplement")[1] == "kept"
    assert len(await living.decisions(site, after)) == 2
    [*_, event] = await living.told(engine, after)
    assert event["full"]["evidence"] == after["evidence"]
    assert event["full"]["next"] == event["thin"]["next"] == after["next"]
    assert event["thin"].keys().isdisjoint({"evidence", "buyer_id", "claim", "decision"})


async def test_a_part_of_what_is_missing_wins_no_time(site: Access, clock: DatabaseClock) -> None:
    case = await living.awaiting_evidence(site)
    await clock.advance(timedelta(hours=5))
    after = await living.taken(site, case, "evidence", {"evidence": [living.piece("chat_log")]})
    assert after["status"] == "awaiting_evidence"
    assert after["decision"]["evidence"]["missing"] == ["error_screenshot"]
    assert living.deadline(after, "evidence_supplement") == (living.deadline(case, "evidence_supplement")[0], "running")
    assert living.new_events(case, after) == ["case.evidence_requested"]


async def test_the_time_that_the_buyer_took_does_not_count_against_the_merchant(
    site: Access, clock: DatabaseClock
) -> None:
    case = await living.awaiting_evidence(site)
    await clock.advance(timedelta(hours=23))
    after = await living.taken(site, case, "evidence", ALL)
    left = datetime.fromisoformat(living.until(after, "respond")) - await clock.now()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)


async def test_evidence_at_the_very_limit_is_in_time(site: Access, engine: AsyncEngine, clock: DatabaseClock) -> None:
    case = await living.awaiting_evidence(site)
    limit = datetime.fromisoformat(living.until(case, "supply_evidence"))
    await clock.freeze(limit)
    assert await living.fire(engine) in (0, 1)  # the reminder, and nothing that ends the case
    case = await living.read(site, case)
    assert case["status"] == "awaiting_evidence"
    after = await living.taken(site, case, "evidence", ALL)
    assert after["status"] == "awaiting_merchant"


@pytest.mark.parametrize("late", [timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=3)])
async def test_evidence_after_the_limit_is_refused_even_before_the_case_lapses(
    site: Access, engine: AsyncEngine, clock: DatabaseClock, late: timedelta
) -> None:
    case = await living.awaiting_evidence(site)
    limit = datetime.fromisoformat(living.until(case, "supply_evidence"))
    await clock.freeze(limit + late)
    problem = await living.refused(site, case, "evidence", ALL, "deadline_passed")
    assert _day_and_minute(limit) in problem["detail"].replace("T", " ")
    shown = await living.read(site, case)
    assert ("supply_evidence", "buyer") not in living.actions(shown)
    await living.fire(engine)
    after = await living.read(site, case)
    assert after["status"] == "lapsed"
    assert living.new_events(case, after) == ["case.lapsed"]
    assert living.deadline(after, "evidence_supplement")[1] == "over"
    await living.refused(site, case, "evidence", ALL, "not_allowed_now")


def _day_and_minute(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="minutes")[:16]


async def test_after_a_lapse_the_claim_can_be_filed_again(
    site: Access, engine: AsyncEngine, clock: DatabaseClock
) -> None:
    await living.awaiting_evidence(site)
    await clock.advance(timedelta(hours=24, seconds=1))
    await living.fire(engine)
    await living.filed(site, living.claim(()), "awaiting_evidence")


@pytest.mark.parametrize("party", ["buyer", "merchant", "platform", "third_party"])
async def test_any_party_may_add_evidence_and_nothing_is_told_if_nothing_changes(
    site: Access, engine: AsyncEngine, party: str
) -> None:
    case = await living.in_review(site)
    after = await living.taken(site, case, "evidence", {"evidence": [living.piece("other", party=party)]})
    assert living.new_events(case, after) == []
    assert after["evidence"][-1]["party"] == party
    assert after["status"] == "in_review"
    assert living.deadline(after, "review") == living.deadline(case, "review")
    assert len(await living.decisions(site, after)) == 3


@pytest.mark.parametrize("party", ["buyer", "merchant"])
async def test_whoever_puts_it_forward_the_same_rules_count(site: Access, party: str) -> None:
    """A chat in private does not count, a chat about another order neither; whose it is does not matter."""
    case = await living.awaiting_evidence(site)
    spoiled = [
        living.piece("chat_log", party=party, channel="off_platform"),
        living.piece("chat_log", party=party, order_no="A-9"),
        living.piece("error_screenshot", party=party),
    ]
    after = await living.taken(site, case, "evidence", {"evidence": spoiled})
    assert after["status"] == "awaiting_evidence"
    assert len(after["decision"]["evidence"]["discounted"]) == 2
    assert after["decision"]["evidence"]["missing"] == ["chat_log"]


async def test_a_file_of_another_order_s_case_is_found_by_its_hash(site: Access) -> None:
    same = {"evidence": [living.piece("error_screenshot", sha256="ab" * 32)]}
    first = await living.taken(site, await living.awaiting_evidence(site), "evidence", same)
    assert [each["reused"] for each in first["evidence"]] == [False]
    body = {"evidence": [living.piece("error_screenshot", "A-2", sha256="ab" * 32), living.piece("chat_log", "A-2")]}
    second = await living.taken(site, await living.awaiting_evidence(site, "A-2"), "evidence", body)
    assert [each["reused"] for each in second["evidence"]] == [True, False]


async def test_the_same_file_once_more_in_the_same_case_is_not_used_before(site: Access) -> None:
    case = await living.awaiting_evidence(site)
    for kind in ("error_screenshot", "other"):
        same = {"evidence": [living.piece(kind, sha256="ab" * 32)]}
        case = await living.taken(site, case, "evidence", same)
    assert [each["reused"] for each in case["evidence"]] == [False, False]


async def test_the_same_file_at_another_site_is_nobody_s_business(site: Access, other_site: Access) -> None:
    same = {"evidence": [living.piece("error_screenshot", sha256="ab" * 32)]}
    await living.taken(site, await living.awaiting_evidence(site), "evidence", same)
    other = await living.taken(other_site, await living.awaiting_evidence(other_site, "A-2"), "evidence", same)
    assert [each["reused"] for each in other["evidence"]] == [False]


# How a record that is told later moves a case: the case, what is told, and what comes of it.
DELIVERED: dict[str, Any] = {"usage": "consumed", "used_by": "buyer"}


async def test_a_delivery_that_comes_to_light_rejects_a_case_that_waited(site: Access, engine: AsyncEngine) -> None:
    case = await living.waiting(site)
    order = (await site.get("/v1/orders/A-1001")).json()
    told = {"order_no": "A-1001", "delivered_at": order["placed_at"], **DELIVERED}
    assert (await site.put("/v1/deliveries/D-1", told)).status_code in (200, 201)
    assert await living.is_unchanged(site, case)
    assert await living.fire(engine) == 1
    after = await living.read(site, case)
    assert (after["status"], after["version"]) == ("rejected", 2)
    assert living.new_events(case, after) == ["case.rejected"]
    assert [each["decisive_rule"] for each in await living.decisions(site, after)] == [
        "not-yet-due", "delivered-per-log",
    ]  # fmt: skip


async def test_a_merchant_that_is_gone_is_not_waited_for(site: Access, engine: AsyncEngine) -> None:
    case = await living.awaiting_merchant(site)
    merchant = bodies.merchant(status="unreachable")
    assert (await site.put("/v1/merchants/m-7", merchant)).status_code == 200
    await living.fire(engine)
    after = await living.read(site, case)
    assert (after["status"], after["decision"]["decisive_rule"]) == ("approved", "merchant-unreachable")
    assert living.new_events(case, after) == living.PAID_BY_THE_DEPOSIT
    assert living.deadline(after, "merchant_turn")[1] == "void"
    assert after["refunds"][0]["amount"] == living.FEN


async def test_a_payment_that_succeeds_late_is_paid_back(site: Access, engine: AsyncEngine) -> None:
    body = bodies.filing()
    [paid] = body["payments"]
    paid["status"] = "pending"
    case = await living.filed(site, body, "awaiting_evidence")
    assert case["decision"]["evidence"]["missing"] == ["payment_proof"]
    told = {name: value for name, value in paid.items() if name != "payment_no"} | {"status": "succeeded"}
    assert (await site.put(f"/v1/payments/{paid['payment_no']}", told)).status_code == 200
    await living.fire(engine)
    after = await living.read(site, case)
    assert (after["status"], after["decision"]["decisive_rule"]) == ("approved", "undelivered-per-log")
    assert await living.promised(engine) == {paid["payment_no"]: (living.FEN, living.FEN, living.FEN)}


async def test_news_that_change_nothing_to_be_done_are_judged_but_not_told(site: Access, engine: AsyncEngine) -> None:
    case = await living.awaiting_merchant(site)
    assert (await site.put("/v1/merchants/m-7", bodies.merchant(deposit=1))).status_code == 200
    await living.fire(engine)
    after = await living.read(site, case)
    assert living.new_events(case, after) == []
    assert after["version"] == 2
    assert len(await living.decisions(site, after)) == 2
    assert living.deadline(after, "merchant_turn") == living.deadline(case, "merchant_turn")


async def test_the_same_record_again_leaves_no_trace(site: Access, engine: AsyncEngine) -> None:
    case = await living.awaiting_merchant(site)
    merchant = bodies.filing()["merchant"]
    merchant.pop("merchant_id")
    assert (await site.put("/v1/merchants/m-7", merchant)).status_code == 200
    assert await living.fire(engine) == 0
    assert await living.is_unchanged(site, case)


async def test_a_record_that_came_and_went_leaves_no_trace(site: Access, engine: AsyncEngine) -> None:
    """Told one way and back again before the worker looked: on file is what was judged before."""
    case = await living.awaiting_merchant(site)
    merchant = bodies.filing()["merchant"]
    merchant.pop("merchant_id")
    for deposit in (1, merchant["deposit"]):
        assert (await site.put("/v1/merchants/m-7", {**merchant, "deposit": deposit})).status_code == 200
    assert await living.fire(engine) > 0
    assert await living.is_unchanged(site, case)
    assert len(await living.decisions(site, case)) == 1


@pytest.mark.parametrize("status", living.CLOSED)
async def test_a_case_that_is_decided_is_left_alone(site: Access, engine: AsyncEngine, status: str) -> None:
    case = await living.CLOSED[status](site)
    await living.fire(engine)
    case = await living.read(site, case)
    order = (await site.get("/v1/orders/A-1001")).json()
    await site.put("/v1/merchants/m-7", bodies.merchant(status="unreachable"))
    await site.put("/v1/deliveries/D-9", {"order_no": "A-1001", "delivered_at": order["placed_at"], **DELIVERED})
    await living.fire(engine)
    assert await living.is_unchanged(site, case)


async def test_a_case_keeps_the_policy_version_that_it_began_under(site: Access, engine: AsyncEngine) -> None:
    case = await living.awaiting_evidence(site)
    async with transaction(engine) as connection:
        await SiteStore(connection, site.site_id).activate_policy("recharge", 1, datetime(2001, 1, 1).astimezone())
    after = await living.taken(site, case, "evidence", ALL)
    after = await living.taken(site, after, "merchant-response", living.RESPONSE)
    after = await living.taken(site, after, "ruling", living.RULED_FOR)
    assert {(each["policy"]["name"], each["policy"]["version"]) for each in await living.decisions(site, after)} == {
        ("standard", 1)
    }
    assert after["policy"] == {"name": "standard", "version": 1}
    fresh = await living.approved(site, "A-2")
    assert fresh["policy"]["name"] == "recharge"


async def test_two_records_at_once_are_no_more_than_one_new_judgement(site: Access, engine: AsyncEngine) -> None:
    case = await living.awaiting_merchant(site)
    await site.put("/v1/merchants/m-7", bodies.merchant(status="unreachable"))
    await site.put("/v1/payments/P-2", bodies.payment(order_no="A-1001", status="failed"))
    await living.fire(engine)
    after = await living.read(site, case)
    assert (after["status"], after["version"]) == ("approved", 2)
    assert len(await living.decisions(site, after)) == 2


async def test_a_case_takes_no_more_evidence_than_anybody_can_look_at(site: Access) -> None:
    case = await living.in_review(site)
    many = {"evidence": [living.piece("other")] * 20}
    while len(case["evidence"]) <= MOST_EVIDENCE - 20:
        case = await living.taken(site, case, "evidence", many)
    rest = MOST_EVIDENCE - len(case["evidence"])
    await living.refused(
        site, case, "evidence", {"evidence": [living.piece("other")] * (rest + 1)}, "too_much_evidence"
    )
    if rest:
        await living.taken(site, case, "evidence", {"evidence": [living.piece("other")] * rest})
