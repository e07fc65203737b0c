"""Cases over HTTP: filed with records inline or sent before, kept whole, listed."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.schemas.cases import CaseOut
from tests.api import bodies, living
from tests.api.conftest import Access
from tests.store.test_statement_counts import counted

PATH = "/v1/cases"


async def filed(site: Access, body: dict[str, Any], once: str = "k-1") -> dict[str, Any]:
    answer = await site.post(PATH, body, once=once)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_a_claim_comes_in_is_judged_kept_and_told(site: Access) -> None:
    answer = await site.post(PATH, bodies.filing(), once="k-1")
    case = answer.json()
    CaseOut.model_validate(case)
    assert answer.headers["location"] == f"/v1/cases/{case['id']}"
    assert answer.headers["etag"] == '"1"'
    assert case["status"] == "approved"
    assert case["decision"]["decisive_rule"] == "undelivered-per-log"
    assert [event["type"] for event in case["timeline"]] == ["case.filed", *living.PAID_BY_THE_DEPOSIT]
    assert case["refunds"][0]["refund_no"].startswith("rf")
    assert case["refunds"][0]["amount"] == 20000


async def test_what_is_read_is_what_was_answered_to_the_byte(site: Access) -> None:
    answer = await site.post(PATH, bodies.filing(), once="k-1")
    again = await site.get(answer.headers["location"])
    assert again.content == answer.content
    assert again.headers["etag"] == answer.headers["etag"]


async def test_the_decision_in_the_answer_is_the_stored_text_to_the_byte(site: Access, engine: AsyncEngine) -> None:
    answer = await site.post(PATH, bodies.filing(), once="k-1")
    async with engine.connect() as connection:
        stored = await connection.scalar(text("SELECT body FROM decisions"))
    assert str(stored) in answer.text


async def test_records_may_be_sent_before(site: Access) -> None:
    body = bodies.filing()
    order, payment, merchant = body.pop("order"), body.pop("payments")[0], body.pop("merchant")
    await site.put(f"/v1/orders/{order.pop('order_no')}", order)
    await site.put(f"/v1/payments/{payment.pop('payment_no')}", payment)
    await site.put(f"/v1/merchants/{merchant.pop('merchant_id')}", merchant)
    case = await filed(site, {**body, "order_no": "A-1001"})
    assert case["decision"]["outcome"] == "approve"
    assert case["decision"]["refund"]["funding"] == "deposit"


async def test_records_that_come_along_are_kept_as_records(site: Access) -> None:
    await filed(site, bodies.filing())
    order = await site.get("/v1/orders/A-1001")
    assert order.status_code == 200
    assert order.json()["goods"]["name"] == "点卡 200 元"


async def test_each_of_the_five_systems_judges_by_its_name(site: Access) -> None:
    for number, policy in enumerate(("recharge", "consumption", "chargeback", "card_error", "binghui")):
        case = await filed(site, bodies.filing(f"A-{number}", policy=policy), once=f"k-{number}")
        assert case["policy"] == case["decision"]["policy"] == {"name": policy, "version": 1}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no order for a reason that needs one": ({"order": None}, ""),
    "two orders": ({"order_no": "A-2"}, ""),
    "strikes, which are the service's own": ({"buyer": {"strikes": 0}}, "/buyer"),
    "a status": ({"status": "approved"}, "/status"),
    "a site": ({"site": "another"}, "/site"),
    "a moment to judge at": ({"as_of": "2026-03-09T12:00:00+08:00"}, "/as_of"),
    "a decision": ({"decision": {}}, "/decision"),
    "an unknown policy": ({"policy": "nobody-s"}, "/policy"),
    "a policy with a version": ({"policy": "standard@1"}, "/policy"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_not_the_caller_s_to_say_is_refused(site: Access, engine: AsyncEngine, name: str) -> None:
    changes, pointer = REFUSED[name]
    answer = await site.post(PATH, {**bodies.filing(), **changes}, once="k-1")
    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM cases")) == 0


async def test_whether_evidence_was_used_before_is_not_the_caller_s_to_say(site: Access) -> None:
    body = bodies.filing()
    body["evidence"][0]["reused"] = True
    answer = await site.post(PATH, body, once="k-1")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/evidence/0/reused"]


async def test_a_second_case_for_the_same_order_and_reason_is_refused(site: Access) -> None:
    await filed(site, bodies.filing())
    answer = await site.post(PATH, bodies.filing(), once="k-2")
    assert (answer.status_code, answer.json()["code"]) == (409, "case_open")


async def test_a_case_of_another_site_looks_like_one_that_never_was(site: Access, other_site: Access) -> None:
    case = await filed(site, bodies.filing())
    absent = "case_00000000000000000000000000"
    foreign = await other_site.get(f"{PATH}/{case['id']}")
    nowhere = await other_site.get(f"{PATH}/{absent}")
    assert foreign.status_code == nowhere.status_code == 404
    assert foreign.content == nowhere.content


@pytest.mark.parametrize(
    "case_id", ["%00", "%ff", "'%20OR%201=1--", "0", "-1", "x" * 10_000, "case_01JCB0V8E4F5K9Q6W1X2Y3Z4A5", "evt_0"]
)
async def test_what_is_no_case_is_not_found(site: Access, case_id: str) -> None:
    answer = await site.get(f"{PATH}/{case_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_cases_are_listed_newest_first_page_by_page_and_filtered(site: Access, other_site: Access) -> None:
    ids = [(await filed(site, bodies.filing(f"A-{n}"), once=f"k-{n}"))["id"] for n in range(5)]
    await filed(other_site, bodies.filing("A-9"))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = (await site.get(PATH, params={"limit": "2", **({"cursor": cursor} if cursor else {})})).json()
        seen += [case["id"] for case in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]
    for name, value, count in (
        ("order_no", "A-3", 1),
        ("status", "approved", 5),
        ("status", "rejected", 0),
        ("reason", "not_delivered", 5),
        ("merchant", "m-7", 5),
        ("merchant", "m-8", 0),
        ("filed_from", "2100-01-01T00:00:00Z", 0),
        ("filed_to", "2100-01-01T00:00:00Z", 5),
    ):
        found = (await site.get(PATH, params={name: value})).json()["data"]
        assert len(found) == count, (name, value)


def without_deposit() -> dict[str, Any]:
    """A claim against a merchant that has put nothing down, and so pays by itself."""
    body = bodies.filing()
    body["merchant"]["deposit"] = 0
    return body


async def test_filing_a_case_over_http_is_six_statements_and_one_for_the_cases_that_its_records_bear_on(
    site: Access, engine: AsyncEngine
) -> None:
    with counted(engine) as seen:
        await filed(site, without_deposit())
    assert len(seen) == 7, seen
    sent_before = {"order_no": "A-1001", **{name: bodies.filing()[name] for name in ("claim", "evidence")}}
    sent_before["claim"]["reason"] = "other"
    with counted(engine) as seen:
        await filed(site, sent_before, once="k-2")
    assert len(seen) == 6, seen


async def test_a_refund_out_of_a_deposit_is_three_statements_more(site: Access, engine: AsyncEngine) -> None:
    """The merchant's accounts are locked, read behind the lock, and booked in. The first time they are opened, too,
    which takes one statement, another lock, and the entry of what the record tells.
    """
    for n, (without, more) in enumerate(((7, 6), (6, 3), (6, 3))):  # a merchant told again bears on no case
        with counted(engine) as seen:
            case = await filed(site, bodies.filing(f"A-{n}"), once=f"k-{n}")
        assert "merchant.deposit_deducted" in {each["type"] for each in case["timeline"]}
        assert len(seen) == without + more, seen


async def test_sixteen_at_once_for_one_order_make_one_case(site: Access, engine: AsyncEngine) -> None:
    answers = await asyncio.gather(*(site.post(PATH, bodies.filing(), once=f"k-{n}") for n in range(16)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 15
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT reserved_amount FROM payments")) == 20000


async def test_the_longest_legal_claim_makes_events_of_twenty_kilobytes_at_most(
    site: Access, engine: AsyncEngine
) -> None:
    body = bodies.filing()
    body["claim"]["description"] = "长" * 2000
    body["evidence"] += [{**body["evidence"][0], "kind": "other"} for _ in range(199)]
    await filed(site, body)
    async with engine.connect() as connection:
        thin = (await connection.scalars(text("SELECT thin_data FROM events"))).all()
    assert all(len(str(each).encode()) < 10_000 for each in thin)
    assert json.loads(str(thin[0]))["id"].startswith("case_")
