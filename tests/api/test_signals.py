"""Good faith: what claims show about buyers and merchants, what comes of it, and that all of it can be seen."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.closed_sets import Scope
from app.rules.presets import PRESETS
from app.rules.signal_words import SIGNALS
from app.store.engine import transaction
from app.store.sites import SiteStore
from tests.api.conftest import Access
from tests.api.desk import A_MINUTE, A_TUESDAY, PROOF, Desk, an_order
from tests.database_clock import DatabaseClock

STRIKES_COUNT_FOR = timedelta(days=365)  # strike_lifetime of the standard policy
A_MERCHANT_ANSWERS_WITHIN = timedelta(hours=24)
RECOMMENDED = "/v1/events?type=buyer.restriction_recommended"


@pytest.fixture
async def desk(clock: DatabaseClock, site: Access, engine: AsyncEngine) -> Desk:
    await clock.set(A_TUESDAY)
    return Desk(site, clock, engine)


async def standing(desk: Desk, buyer: str = "b-9") -> dict[str, Any]:
    return await desk.read(f"/v1/buyers/{buyer}/standing")


async def kinds(desk: Desk, query: str = "subject=merchant") -> list[str]:
    return [each["kind"] for each in await desk.all(f"/v1/signals?{query}")]


# --- strikes


async def test_a_claim_that_the_log_contradicts_is_a_strike_with_its_rule_and_its_facts(desk: Desk) -> None:
    case = await desk.rejected()
    [signal] = await desk.all("/v1/signals")
    assert signal.items() >= {
        "subject": "buyer", "subject_id": "b-9", "kind": "contradicted_by_log", "rule": "delivered-per-log",
        "case_id": case["id"], "order_no": case["order_no"], "strike": True, "active": True, "counts": True,
        "seen_at": case["created_at"], "revoked_at": None,
    }.items()  # fmt: skip
    assert signal["rule"] == case["decision"]["decisive_rule"]
    assert signal["facts"].keys() == {"delivered_at", "complained_at"}
    now = await standing(desk)
    assert now == {
        "buyer_id": "b-9", "strikes": 1, "limit": 2, "automatic_approval": True, "signals": [signal],
        "policy": {"name": "standard", "version": 1}, "as_of": now["as_of"],
    }  # fmt: skip


async def test_two_strikes_recommend_a_restriction_once(desk: Desk) -> None:
    await desk.rejected()
    assert await desk.all(RECOMMENDED) == []
    second = await desk.rejected()
    at_the_limit = await standing(desk)
    assert (at_the_limit["strikes"], at_the_limit["automatic_approval"]) == (2, False)
    [event] = await desk.all(RECOMMENDED)
    told = (await desk.read(f"/v1/events/{event['id']}"))["data"]
    assert (told["buyer_id"], told["strikes"], told["limit"], told["case_id"]) == ("b-9", 2, 2, second["id"])
    await desk.rejected()
    assert len(await desk.all(RECOMMENDED)) == 1
    now = await standing(desk)
    assert (now["strikes"], now["automatic_approval"], len(now["signals"])) == (3, False, 3)


async def test_at_the_limit_a_person_looks_at_what_would_be_approved_automatically(desk: Desk) -> None:
    for _ in range(2):
        assert (await desk.file("not_delivered", buyer="b-honest"))["status"] == "approved"
        await desk.rejected()
    case = await desk.file("not_delivered")
    assert (case["status"], case["decision"]["decisive_rule"]) == ("in_review", "abuse-suspected")
    assert (await desk.file("not_delivered", buyer="b-honest"))["status"] == "approved"
    ruled = await desk.rule(case, "approve")
    assert sum(refund["amount"] for refund in ruled["refunds"]) == 20_000


async def test_strikes_expire(desk: Desk) -> None:
    await desk.clock.freeze(A_TUESDAY)
    await desk.rejected()
    await desk.clock.advance(timedelta(days=1))
    await desk.rejected()
    assert (await desk.file("not_delivered"))["status"] == "in_review"
    await desk.clock.freeze(A_TUESDAY + STRIKES_COUNT_FOR - timedelta(microseconds=1))
    assert (await standing(desk))["strikes"] == 2
    await desk.clock.advance(timedelta(microseconds=1))
    assert (await standing(desk))["strikes"] == 1
    assert [each["counts"] for each in await desk.all("/v1/signals")] == [True, False]
    assert (await desk.file("not_delivered"))["status"] == "approved"


async def test_after_strikes_have_expired_a_restriction_is_recommended_anew(desk: Desk) -> None:
    for _ in range(2):
        await desk.rejected()
    await desk.clock.advance(STRIKES_COUNT_FOR + A_MINUTE)
    for _ in range(2):
        await desk.rejected()
    assert len(await desk.all(RECOMMENDED)) == 2


async def test_a_person_who_overturns_the_rule_revokes_its_strike(desk: Desk) -> None:
    case, _ = await desk.rejected(), await desk.rejected()
    appealed = await desk.appeal(case)
    assert appealed["status"] == "appealed"
    assert (await standing(desk))["strikes"] == 2
    ruled = await desk.rule(appealed, "approve")
    assert ruled["acts"][-1]["details"]["overturned"] == "delivered-per-log"
    now = await standing(desk)
    assert (now["strikes"], now["automatic_approval"]) == (1, True)
    [revoked] = await desk.all("/v1/signals?active=false")
    assert (revoked["case_id"], revoked["revoked_at"], revoked["counts"]) == (case["id"], ruled["updated_at"], False)
    assert (await desk.file("not_delivered"))["status"] == "approved"


async def test_a_person_who_agrees_with_the_rule_leaves_its_strike(desk: Desk) -> None:
    appealed = await desk.appeal(await desk.rejected())
    await desk.rule(appealed, "reject")
    assert (await standing(desk))["strikes"] == 1
    assert len(await desk.all("/v1/signals")) == 1


async def test_a_buyer_of_whom_nothing_is_known_stands_well(desk: Desk) -> None:
    await desk.rejected("b-1")
    now = await standing(desk, "b-2")
    assert (now["strikes"], now["automatic_approval"], now["signals"]) == (0, True, [])
    assert (await desk.site.get("/v1/buyers/b%202/standing")).status_code == 422


async def test_the_limit_is_that_of_the_policy_that_is_active(desk: Desk, other_site: Access) -> None:
    async with transaction(desk.engine) as connection:
        await SiteStore(connection, other_site.site_id).activate_policy("recharge", 1, A_TUESDAY)
    now = await standing(Desk(other_site, desk.clock, desk.engine))
    assert (now["policy"]["name"], now["limit"]) == ("recharge", PRESETS["recharge"].strikes_limit)
    assert (await standing(desk))["policy"]["name"] == "standard"


# --- merchants


async def test_a_silent_merchant_is_a_signal_and_no_strike(desk: Desk) -> None:
    case = await desk.merchants_turn()
    assert case["status"] == "awaiting_merchant"
    await desk.passes(A_MERCHANT_ANSWERS_WITHIN + A_MINUTE)
    assert (await desk.read(f"/v1/cases/{case['id']}"))["status"] == "approved"
    [signal] = await desk.all("/v1/signals?subject=merchant&id=m-7")
    assert (signal["kind"], signal["rule"], signal["case_id"]) == ("silent", "merchant-silent", case["id"])
    assert (signal["strike"], signal["active"], signal["counts"]) == (False, True, False)


async def test_an_objection_that_the_records_refute_is_a_signal(desk: Desk) -> None:
    delivered = {"usage": "unused", "card_status": "unknown"}
    case = await desk.file("invalid_goods", proof=(PROOF, "chat_log"), deliveries=(delivered,))
    assert case["status"] == "awaiting_merchant"
    contested = await desk.step(case, "merchant-response", {"position": "contest", "message": "卡密有效"})
    assert contested["status"] == "in_review"
    assert await kinds(desk) == []
    record = (await desk.site.get(f"/v1/deliveries/D-{case['order_no']}")).json()
    changed = {name: value for name, value in record.items() if name in {"order_no", "delivered_at", "usage"}}
    told = await desk.site.put(f"/v1/deliveries/D-{case['order_no']}", {**changed, "card_status": "invalid"})
    assert told.status_code == 200
    await desk.work()
    assert (await desk.read(f"/v1/cases/{case['id']}"))["decision"]["decisive_rule"] == "card-invalid"
    [signal] = await desk.all("/v1/signals?subject=merchant")
    assert (signal["kind"], signal["rule"]) == ("contest_contradicted", "card-invalid")
    assert "contested_at" in signal["facts"]


async def test_a_card_sold_twice_is_a_signal_of_the_second_sale(desk: Desk) -> None:
    card = {"usage": "unused", "card_fingerprint": "5b" * 32}
    first = await desk.file("change_of_mind", deliveries=(card,))
    assert await kinds(desk) == []
    second = await desk.file("invalid_goods", buyer="b-2", deliveries=(card,))
    assert second["decision"]["decisive_rule"] == "card-sold-twice"
    [signal] = await desk.all("/v1/signals?kind=card_sold_twice")
    assert (signal["subject_id"], signal["case_id"], signal["rule"]) == ("m-7", second["id"], "card-sold-twice")
    assert first["id"] != second["id"]


async def test_a_high_rate_of_refunds_is_a_signal_from_the_limit_on(desk: Desk) -> None:
    """One order in five, of at least twenty: four of nineteen are too few orders, the fourth of twenty is the limit."""
    now = await desk.clock.now()
    orders = [an_order(f"B-{n}", now - timedelta(days=1), buyer="b-1", merchant="m-7") for n in range(16)]
    assert (await desk.site.post("/v1/records", {"orders": orders}, once="orders")).status_code == 200
    for _ in range(3):
        assert (await desk.file("not_delivered"))["status"] == "approved"
        await desk.work()
    assert await kinds(desk) == []
    fourth = await desk.file("not_delivered")
    assert await kinds(desk) == []  # the buyer's request does not wait for it
    await desk.work()
    [signal] = await desk.all("/v1/signals?subject=merchant")
    assert (signal["kind"], signal["rule"], signal["case_id"]) == (
        "high_refund_rate", "refund_rate_limit", fourth["id"],
    )  # fmt: skip
    assert signal["facts"] == {"approved": 4, "orders": 20, "limit": 20, "period": "P30D"}


# --- reading them


async def test_signals_are_listed_by_subject_id_kind_and_whether_they_are_active(desk: Desk) -> None:
    await desk.rejected("b-1")
    await desk.merchants_turn("m-1")
    await desk.passes(A_MERCHANT_ANSWERS_WITHIN + A_MINUTE)
    await desk.rejected("b-2")
    every = await desk.all("/v1/signals")
    assert [each["subject_id"] for each in every] == ["b-2", "m-1", "b-1"]
    for query, expected in (
        ("subject=buyer", ["b-2", "b-1"]),
        ("subject=merchant", ["m-1"]),
        ("subject=buyer&id=b-1", ["b-1"]),
        ("subject=merchant&id=b-1", []),
        ("kind=silent", ["m-1"]),
        ("kind=silent&subject=buyer", []),
        ("active=true", ["b-2", "m-1", "b-1"]),
        ("active=false", []),
    ):
        found = await desk.all(f"/v1/signals?{query}")
        assert (query, [each["subject_id"] for each in found]) == (query, expected)
    for query in ("id=b-1", "subject=seller", "kind=odd", "active=1", "subject=buyer&id=a%20b", "limit=101"):
        assert (query, (await desk.site.get(f"/v1/signals?{query}")).status_code) == (query, 422)


async def test_paging_is_stable_while_signals_are_added(desk: Desk, other_site: Access) -> None:
    await Desk(other_site, desk.clock, desk.engine).rejected()
    before = [(await desk.rejected(f"b-{n}"))["id"] for n in range(5)]
    seen, cursor = [], ""
    while True:
        page = await desk.read(f"/v1/signals?limit=2{cursor}")
        seen += [each["case_id"] for each in page["data"]]
        await desk.rejected("b-new")
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == before[::-1]


async def test_nothing_of_another_site_is_seen_or_counts(desk: Desk, other_site: Access) -> None:
    theirs = Desk(other_site, desk.clock, desk.engine)
    for _ in range(2):
        await theirs.rejected()
    assert await desk.all("/v1/signals") == []
    assert (await standing(desk))["strikes"] == 0
    assert (await desk.file("not_delivered"))["status"] == "approved"
    cursor = (await theirs.read("/v1/signals?limit=1"))["next_cursor"]
    assert (await desk.read(f"/v1/signals?cursor={cursor}"))["data"] == []


async def test_more_strikes_than_are_shown_are_all_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.signals.MOST_SHOWN", 2)
    cases = [await desk.rejected() for _ in range(3)]
    now = await standing(desk)
    assert now["strikes"] == 3
    assert [each["case_id"] for each in now["signals"]] == [cases[2]["id"], cases[1]["id"]]


async def test_reading_takes_the_scope_of_cases(key_with: Callable[..., Awaitable[Access]]) -> None:
    reading, others = await key_with(Scope.CASES), await key_with(Scope.RECORDS, Scope.RULE, Scope.WEBHOOKS)
    for path in ("/v1/signals", "/v1/buyers/b-9/standing"):
        assert (await reading.get(path)).status_code == 200
        assert (await others.get(path)).status_code == 403
    assert (await others.get("/v1/signal-kinds")).status_code == 200


async def test_every_kind_of_signal_is_explained(site: Access) -> None:
    told = (await site.get("/v1/signal-kinds")).json()["data"]
    assert [each["kind"] for each in told] == [kind.value for kind in SIGNALS]
    rules = {each["rule"] for each in (await site.get("/v1/rules")).json()["data"]} | {"refund_rate_limit"}
    for each in told:
        assert set(each["strikes"]) <= set(each["rules"]) <= rules
        assert each["subject"] == "buyer" or each["strikes"] == []
