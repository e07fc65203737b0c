"""Deposits over HTTP: what a site reads and tells of them, and what it may not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.api.schemas.deposits import DepositDeducted, DepositOut, EntryIn, EntryOut, StatedKind
from app.models.closed_sets import Scope
from app.rules.deposits import STATED, DepositKind
from tests.api import bodies
from tests.api.conftest import Access

DEPOSIT = "/v1/merchants/m-7/deposit"
ENTRIES = f"{DEPOSIT}/entries"
EN = {"Accept-Language": "en"}
NOTHING = dict.fromkeys(("external", "available", "held", "refunds", "recourse", "platform"), 0)


@pytest.fixture
async def shop(site: Access) -> Access:
    """A site whose merchant m-7 has a deposit of 50,000 fen."""
    told = await site.put("/v1/merchants/m-7", bodies.merchant(deposit=50_000))
    assert told.status_code == 201
    return site


def entry(kind: str = "top_up", amount: Any = 700, reference: Any = "R-1", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "amount": amount, "reference": reference, **more}


async def tell(site: Access, body: Any, *, once: str | None = None, path: str = ENTRIES) -> httpx.Response:
    """Under a key that nobody has used before, unless one is given."""
    tell.count += 1  # type: ignore[attr-defined]
    return await site.post(path, body, once=once or f"tell-{tell.count}", headers=EN)  # type: ignore[attr-defined]


tell.count = 0  # type: ignore[attr-defined]


async def deposit(site: Access) -> dict[str, Any]:
    answer = await site.get(DEPOSIT)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    DepositOut.model_validate(found)
    return found


async def entries(site: Access, query: str = "") -> list[dict[str, Any]]:
    """All of them, the first one first, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await site.get(f"{ENTRIES}?limit=3{query}{cursor and f'&cursor={cursor}'}")).json()
        found += page["data"]
        cursor = page["next_cursor"]
    for each in found:
        EntryOut.model_validate(each)
    return found[::-1]


# --- reading


async def test_a_deposit_that_was_told_is_there_at_once(shop: Access) -> None:
    found = await deposit(shop)
    assert found == {
        "merchant_id": "m-7", "currency": "CNY", "told": 50_000, "owed": 0, "top_up_due": 0, "entries": 1,
        "balances": {**NOTHING, "external": -50_000, "available": 50_000}, "updated_at": found["updated_at"],
    }  # fmt: skip


async def test_a_merchant_without_a_deposit_has_nothing_in_it(site: Access) -> None:
    await site.put("/v1/merchants/m-7", bodies.merchant(deposit=0))
    found = await deposit(site)
    assert (found["balances"], found["told"], found["entries"]) == (NOTHING, 0, 0)
    assert await entries(site) == []


async def test_what_changes_a_deposit_changes_its_tag(shop: Access) -> None:
    tags = [(await shop.get(DEPOSIT)).headers["etag"]]
    assert (await shop.get(DEPOSIT)).headers["etag"] == tags[0]
    await tell(shop, entry())
    tags.append((await shop.get(DEPOSIT)).headers["etag"])
    await shop.put("/v1/merchants/m-7", bodies.merchant(deposit=60_000))
    tags.append((await shop.get(DEPOSIT)).headers["etag"])
    assert len(set(tags)) == 3


async def test_a_refund_of_a_case_is_found_in_the_deposit_and_told(shop: Access) -> None:
    filed = await shop.post("/v1/cases", bodies.filing(merchant=bodies.merchant(merchant_id="m-7", deposit=50_000)),
                            once="claim")  # fmt: skip
    case = filed.json()
    assert (filed.status_code, case["decision"]["refund"]["funding"]) == (201, "deposit")
    found = await deposit(shop)
    assert found["balances"] == {**NOTHING, "external": -50_000, "available": 30_000, "refunds": 20_000}
    assert (found["top_up_due"], found["owed"]) == (20_000, 0)
    _, deduction = await entries(shop)
    assert deduction.items() >= {
        "n": 2, "kind": "deduction", "case_id": case["id"], "refund_id": None, "reference": None, "by": None,
        "note": None, "moved": {**NOTHING, "available": -20_000, "refunds": 20_000},
    }.items()  # fmt: skip
    [event] = (await shop.get("/v1/events?type=merchant.deposit_deducted")).json()["data"]
    told = (await shop.get(f"/v1/events/{event['id']}")).json()["data"]
    DepositDeducted.model_validate(told)
    assert (told["case_id"], told["deducted"], told["advanced"]) == (case["id"], 20_000, 0)
    assert (told["available"], told["top_up_due"], told["merchant_id"]) == (30_000, 20_000, "m-7")


async def test_entries_are_listed_newest_first_while_others_are_added(shop: Access) -> None:
    for n in range(5):
        assert (await tell(shop, entry(amount=n + 1, reference=f"R-{n}"))).status_code == 201
    seen: list[int] = []
    cursor = ""
    while True:
        page = (await shop.get(f"{ENTRIES}?limit=2{cursor}")).json()
        seen += [each["n"] for each in page["data"]]
        await tell(shop, entry(reference=f"later-{len(seen)}"))
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [6, 5, 4, 3, 2, 1]
    assert [each["n"] for each in await entries(shop)] == [*range(1, len(await entries(shop)) + 1)]


async def test_a_query_that_cannot_be_read_is_refused(shop: Access) -> None:
    for query in ("limit=0", "limit=101", "cursor=", "cursor=abc", "cursor=%00", "n=1", "limit=1&limit=2"):
        answer = await shop.get(f"{ENTRIES}?{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_a_cursor_from_elsewhere_is_no_fault_of_ours(shop: Access) -> None:
    signals = "ZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY"  # the id of 32 f
    answer = await shop.get(f"{ENTRIES}?cursor={signals}")
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 1


# --- telling


async def test_money_that_came_and_went_is_booked(shop: Access) -> None:
    told = await tell(shop, entry("top_up", 1_000, "TU-1", by="op-3", note="对公转账"))
    assert told.status_code == 201
    assert told.json().items() >= {
        "n": 2, "kind": "top_up", "moved": {**NOTHING, "external": -1_000, "available": 1_000}, "case_id": None,
        "reference": "TU-1", "by": "op-3", "note": "对公转账",
    }.items()  # fmt: skip
    assert (await tell(shop, entry("withdrawal", 51_000, "WD-1"))).status_code == 201
    found = await deposit(shop)
    assert (found["balances"], found["top_up_due"], found["told"]) == (NOTHING, 50_000, 50_000)
    assert await entries(shop) == [*(await entries(shop))[:1], told.json(), (await entries(shop))[2]]


async def test_what_the_platform_advanced_is_paid_back_or_written_off(site: Access) -> None:
    claim = bodies.filing(policy="consumption", merchant=bodies.merchant(merchant_id="m-7", deposit=0))
    case = (await site.post("/v1/cases", claim, once="claim")).json()
    answered = await site.post(f"/v1/cases/{case['id']}/merchant-response", {"position": "contest"}, once="no")
    assert answered.json()["decision"]["refund"]["funding"] == "platform_advance", answered.text
    assert (await deposit(site))["owed"] == 20_000
    for kind, amount, status in (
        ("recourse_paid", 20_001, 409), ("recourse_paid", 15_000, 201), ("recourse_written_off", 5_001, 409),
        ("recourse_written_off", 5_000, 201), ("recourse_paid", 1, 409),
    ):  # fmt: skip
        told = await tell(site, entry(kind, amount, f"{kind}-{amount}"))
        assert told.status_code == status, told.text
    found = await deposit(site)
    assert found["balances"] == {**NOTHING, "external": -15_000, "refunds": 20_000, "platform": -5_000}
    assert found["owed"] == 0


async def test_more_than_is_there_is_refused_with_what_is_there(shop: Access) -> None:
    for kind, code, there in (
        ("withdrawal", "deposit_not_enough", "50000"),
        ("recourse_paid", "recourse_not_owed", "0"),
        ("recourse_written_off", "recourse_not_owed", "0"),
    ):
        problem = (await tell(shop, entry(kind, 50_001))).json()
        assert (problem["status"], problem["code"]) == (409, code)
        assert there in problem["detail"]
    assert len(await entries(shop)) == 1


async def test_the_same_entry_told_again_is_booked_once(shop: Access) -> None:
    first = await tell(shop, entry(), once="k-1")
    replayed = await tell(shop, entry(), once="k-1")
    again = await tell(shop, entry(), once="k-2")
    assert (first.status_code, replayed.status_code, again.status_code) == (201, 201, 200)
    assert replayed.headers["idempotency-replayed"] == "true"
    assert first.json() == replayed.json() == again.json()
    assert (await tell(shop, entry(amount=1), once="k-1")).status_code == 422
    for other in (entry(amount=701), entry("withdrawal"), entry(by="op-1"), entry(note="补")):
        problem = (await tell(shop, other)).json()
        assert (problem["status"], problem["code"]) == (409, "reference_taken")
    assert (await deposit(shop))["balances"]["available"] == 50_700


async def test_one_reference_at_once_is_booked_once(shop: Access) -> None:
    answers = await asyncio.gather(*(tell(shop, entry()) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert (await deposit(shop))["balances"]["available"] == 50_700


async def test_withdrawals_at_once_take_no_more_than_there_is(shop: Access) -> None:
    answers = await asyncio.gather(*(tell(shop, entry("withdrawal", 20_000, f"WD-{n}")) for n in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409]
    assert (await deposit(shop))["balances"]["available"] == 10_000


UNBOOKABLE: tuple[tuple[Any, str], ...] = (
    (entry("told"), "/kind"),
    (entry("deduction"), "/kind"),
    (entry("TOP_UP"), "/kind"),
    (entry(amount=0), "/amount"),
    (entry(amount=-1), "/amount"),
    (entry(amount=10**12 + 1), "/amount"),
    (entry(amount=10**30), "/amount"),
    (entry(amount=1.0), "/amount"),
    (entry(amount="700"), "/amount"),
    (entry(amount=True), "/amount"),
    (entry(amount=None), "/amount"),
    (entry(reference=""), "/reference"),
    (entry(reference="a b"), "/reference"),
    (entry(reference="x" * 65), "/reference"),
    (entry(reference="卡\u0000"), "/reference"),
    (entry(reference=None), "/reference"),
    (entry(by="a b"), "/by"),
    (entry(note="\u0000"), "/note"),
    (entry(note="x" * 2_001), "/note"),
    (entry(case_id="case_1"), "/case_id"),
    (entry(external=-5), "/external"),
    ({"kind": "top_up", "amount": 1}, "/reference"),
    ([entry()], ""),
    ("top_up", ""),
)


async def test_what_cannot_be_booked_is_refused_by_field(shop: Access) -> None:
    for body, pointer in UNBOOKABLE:
        answer = await tell(shop, body)
        problem = answer.json()
        assert answer.status_code == 422, problem
        assert pointer in {each["pointer"] for each in problem["errors"]}
        assert len(await entries(shop)) == 1


async def test_telling_takes_a_key_of_its_own(shop: Access) -> None:
    answer = await shop.post(ENTRIES, entry())
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert len(await entries(shop)) == 1


async def test_a_merchant_that_nobody_told_looks_like_another_site_s(shop: Access, other_site: Access) -> None:
    absent = [path.replace("m-7", "m-8") for path in (DEPOSIT, ENTRIES)]
    problems = [await shop.get(path) for path in absent] + [await other_site.get(path) for path in (DEPOSIT, ENTRIES)]
    problems += [await tell(shop, entry(), path=absent[1]), await tell(other_site, entry())]
    assert {answer.status_code for answer in problems} == {404}
    assert {answer.json()["code"] for answer in problems} == {"not_found"}
    assert len(await entries(shop)) == 1
    await other_site.put("/v1/merchants/m-7", bodies.merchant(deposit=7))
    assert (await deposit(other_site))["balances"]["available"] == 7
    assert (await tell(other_site, entry())).status_code == 201
    assert (await deposit(shop))["balances"]["available"] == 50_000


async def test_deposits_take_the_scope_of_records(shop: Access, key_with: Callable[..., Awaitable[Access]]) -> None:
    own, others = await key_with(Scope.RECORDS), await key_with(*(set(Scope) - {Scope.RECORDS}))
    for path in (DEPOSIT, ENTRIES):
        assert (await own.get(path)).status_code == 200
        assert (await others.get(path)).status_code == 403
    assert (await tell(others, entry())).status_code == 403
    assert (await tell(own, entry())).status_code == 201


async def test_an_id_that_is_none_is_refused(shop: Access) -> None:
    assert (await shop.get("/v1/merchants/a%20b/deposit")).status_code == 422
    assert (await tell(shop, entry(), path="/v1/merchants/a%20b/deposit/entries")).status_code == 422


def test_a_site_can_tell_what_the_rules_let_it() -> None:
    assert [kind.value for kind in StatedKind] == [kind.value for kind in STATED]
    for kind in STATED:
        assert EntryIn.model_validate({"kind": kind.value, "amount": 1, "reference": "R-1"})
    assert len(DepositKind) == 10
