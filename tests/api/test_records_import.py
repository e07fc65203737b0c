"""Bulk import over HTTP: all or nothing, and what an open case hears of it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.schemas.records_import import EXAMPLES
from app.models.closed_sets import Scope
from tests.api import bodies
from tests.api.conftest import Access
from tests.api.test_records import versions_kept

PATH = "/v1/records"


def order(number: int = 1, **changes: Any) -> dict[str, Any]:
    """An order with its number."""
    return bodies.order(**{"order_no": f"A-{number}", **changes})


def payment(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A payment with its number, of the order of the same number."""
    return bodies.payment(payment_no=f"P-{number}", **{"order_no": f"A-{number}", **changes})


def delivery(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A delivery with its number, of the order of the same number."""
    return bodies.delivery(delivery_no=f"D-{number}", **{"order_no": f"A-{number}", **changes})


def merchant(**changes: Any) -> dict[str, Any]:
    """A merchant with its number."""
    return bodies.merchant(merchant_id="m-7", **changes)


def batch() -> dict[str, Any]:
    """One of each kind."""
    return {"orders": [order()], "payments": [payment()], "deliveries": [delivery()], "merchants": [merchant()]}


async def test_records_of_all_kinds_are_stored_in_one_call(site: Access) -> None:
    answer = await site.post(PATH, {"merchants": [merchant()], **batch(), "orders": [order(2), order(1)]})
    assert answer.status_code == 200
    assert answer.json() == {
        "data": [
            {"kind": kind, "number": number, "version": 1, "change": "created"}
            for kind, number in (
                ("order", "A-2"), ("order", "A-1"), ("payment", "P-1"), ("delivery", "D-1"), ("merchant", "m-7"),
            )
        ],
        "counts": {"created": 5, "updated": 0, "unchanged": 0},
    }  # fmt: skip
    for path in ("orders/A-2", "orders/A-1", "payments/P-1", "deliveries/D-1", "merchants/m-7"):
        assert (await site.get(f"/v1/{path}")).headers["etag"] == '"1"'


async def test_a_row_is_stored_as_its_put_stores_it(site: Access, other_site: Access) -> None:
    card = delivery(card_fingerprint="9f" * 32)
    assert (await site.post(PATH, {**batch(), "deliveries": [card]})).status_code == 200
    for path, body in (
        ("orders/A-1", order()), ("payments/P-1", payment()), ("deliveries/D-1", card),
        ("merchants/m-7", merchant()),
    ):  # fmt: skip
        put = (await other_site.put(f"/v1/{path}", body)).json()
        stored = (await site.get(f"/v1/{path}")).json()
        ours = ("created_at", "updated_at")
        assert {**stored, **dict.fromkeys(ours)} == {**put, **dict.fromkeys(ours)}
        again = await site.put(f"/v1/{path}", body)
        assert (again.status_code, again.headers["etag"]) == (200, '"1"')


async def test_what_changed_and_what_did_not_is_told_apart(site: Access) -> None:
    await site.post(PATH, batch())
    changed = {**batch(), "payments": [payment(refunded_amount=1)], "orders": [order(), order(2)]}
    answer = (await site.post(PATH, changed)).json()
    assert [(row["number"], row["version"], row["change"]) for row in answer["data"]] == [
        ("A-1", 1, "unchanged"), ("A-2", 1, "created"), ("P-1", 2, "updated"), ("D-1", 1, "unchanged"),
        ("m-7", 1, "unchanged"),
    ]  # fmt: skip
    assert answer["counts"] == {"created": 1, "updated": 1, "unchanged": 3}


async def test_the_same_row_twice_is_stored_once(site: Access, engine: AsyncEngine) -> None:
    traits = {**bodies.order()["goods"], "traits": ["trial", "final_sale"]}
    turned = {**traits, "traits": ["final_sale", "trial"]}
    answer = await site.post(PATH, {"orders": [order(goods=traits), order(goods=turned)]})
    assert [(row["number"], row["change"]) for row in answer.json()["data"]] == [
        ("A-1", "created"),
        ("A-1", "unchanged"),
    ]
    assert await versions_kept(engine) == 1


@pytest.mark.parametrize(
    ("field", "rows", "pointers"),
    [
        ("orders", [order(), order(2), order(amount=1)], ["/orders/2"]),
        ("payments", [payment(), payment(amount=19_999), payment(), payment(amount=1)], ["/payments/1", "/payments/3"]),
        ("deliveries", [delivery(), delivery(order_no="A-2")], ["/deliveries/1"]),
        ("merchants", [merchant(), merchant(), merchant(deposit=1)], ["/merchants/2"]),
    ],
)
async def test_one_number_with_two_contents_is_refused_at_the_later_one(
    site: Access, engine: AsyncEngine, field: str, rows: list[dict[str, Any]], pointers: list[str]
) -> None:
    answer = await site.post(PATH, {**batch(), field: rows})
    assert (answer.status_code, await versions_kept(engine)) == (422, 0)
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [
        (pointer, "duplicate_record") for pointer in pointers
    ]


async def test_a_thousand_rows_are_stored_and_one_more_is_none(site: Access, engine: AsyncEngine) -> None:
    rows = {"orders": [order(n) for n in range(600)], "payments": [payment(n) for n in range(400)]}
    above = await site.post(PATH, {**rows, "merchants": [merchant()]})
    assert (above.status_code, above.json()["errors"]) == (
        422,
        [{"pointer": "", "code": "number_of_rows", "message": "各类记录合计须为 1 至 1000 条。"}],
    )
    many = await site.post(PATH, {"orders": [order(n) for n in range(1001)]})
    assert (many.status_code, [error["pointer"] for error in many.json()["errors"]]) == (422, ["/orders"])
    assert await versions_kept(engine) == 0
    answer = await site.post(PATH, rows)
    assert (answer.status_code, answer.json()["counts"]["created"]) == (200, 1000)
    assert await versions_kept(engine) == 1000


async def test_one_bad_row_in_a_thousand_stores_none(site: Access, engine: AsyncEngine) -> None:
    rows = [order(n) for n in range(1000)]
    rows[776]["amount"] = -1
    answer = await site.post(PATH, {"orders": rows})
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (
        422,
        ["/orders/776/amount"],
    )
    assert await versions_kept(engine) == 0


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"orders": [], "payments": []}, ""),
        ([], ""),
        (None, ""),
        ({"orders": {}}, "/orders"),
        ({"orders": None}, "/orders"),
        ({"orders": [None]}, "/orders/0"),
        ({"order": [order()]}, "/order"),
        ({"orders": [bodies.order()]}, "/orders/0/order_no"),
        ({"payments": [bodies.payment()]}, "/payments/0/payment_no"),
        ({"deliveries": [bodies.delivery()]}, "/deliveries/0/delivery_no"),
        ({"deliveries": [{"delivery_no": "D-1"}]}, "/deliveries/0/order_no"),
        ({"merchants": [bodies.merchant()]}, "/merchants/0/merchant_id"),
        *(({"payments": [payment(amount=bad)]}, "/payments/0/amount") for bad in (
            200.0, "20000", True, [20000], 20000.5, 0, -1, 10**12 + 1, 9223372036854775808,
        )),
        ({"payments": [payment(), payment(2, amount=5, refunded_amount=6)]}, "/payments/1"),
        *(({"orders": [order(currency=bad)]}, "/orders/0/currency") for bad in ("USD", "cny", "CNY ", "人民币")),
        ({"orders": [order(), order(order_no="../x")]}, "/orders/1/order_no"),
        ({"orders": [order(version=7)]}, "/orders/0/version"),
        ({"deliveries": [delivery(card="AB12-CD34")]}, "/deliveries/0/card"),
        ({"deliveries": [delivery(card_fingerprint="9F" * 32)]}, "/deliveries/0/card_fingerprint"),
        ({"merchants": [merchant(response={"position": "accept", "at": "2026-03-09T10:02:00+08:00"})]},
         "/merchants/0/response"),
    ],
)  # fmt: skip
async def test_a_bad_body_is_refused_with_its_place(site: Access, engine: AsyncEngine, body: Any, pointer: str) -> None:
    if isinstance(body, dict) and body:
        body = {"merchants": [merchant()], **body} if pointer else body
    answer = await site.post(PATH, body)
    assert answer.headers["content-type"] == "application/problem+json"
    if body is None:
        assert answer.status_code in {400, 422}
        return
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, [pointer])
    assert await versions_kept(engine) == 0


async def test_numbers_beyond_any_column_are_refused_as_json(site: Access, engine: AsyncEngine) -> None:
    for number in ("1" + "0" * 400, "9" * 5000, "2e4", "1e400", "NaN", "-0.0"):
        body = json.dumps({"payments": [payment(amount=777)]}).replace("777", number)
        answer = await site.call("POST", PATH, content=body, headers={"Content-Type": "application/json"})
        assert (number[:9], answer.status_code) in {(number[:9], 400), (number[:9], 422)}
        assert answer.headers["content-type"] == "application/problem+json"
    assert await versions_kept(engine) == 0


async def test_a_row_at_odds_with_a_promised_refund_stores_none(site: Access) -> None:
    assert (await site.post("/v1/cases", bodies.filing("A-1"), once="k")).json()["status"] == "approved"
    for change, code in (({"amount": 100}, "payment_below_refunds"), ({"order_no": "A-2"}, "payment_has_refunds")):
        row = {**bodies.payment(order_no="A-1", payment_no="P-A-1"), **change}
        answer = await site.post(PATH, {"orders": [order(9)], "payments": [row]})
        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert (await site.get("/v1/orders/A-9")).status_code == 404


async def test_a_repetition_under_its_key_gives_the_first_answer(site: Access) -> None:
    first = await site.post(PATH, batch(), once="k")
    again = await site.post(PATH, batch(), once="k")
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    other = await site.post(PATH, {"orders": [order()]}, once="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    unkeyed = await site.post(PATH, batch())
    assert unkeyed.json()["counts"] == {"created": 0, "updated": 0, "unchanged": 4}


async def test_imports_need_the_scope_of_records(
    key_with: Callable[..., Awaitable[Access]], engine: AsyncEngine
) -> None:
    without = await key_with(*(scope for scope in Scope if scope is not Scope.RECORDS))
    answer = await without.post(PATH, batch())
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert await versions_kept(engine) == 0
    alone = await key_with(Scope.RECORDS)
    assert (await alone.post(PATH, batch())).status_code == 200


async def test_records_of_another_site_are_others(site: Access, other_site: Access) -> None:
    await site.post(PATH, batch())
    assert (await other_site.post(PATH, batch())).json()["counts"]["created"] == 4


async def test_a_body_above_a_mebibyte_is_too_large(site: Access, engine: AsyncEngine) -> None:
    body = json.dumps({"orders": [order(n) for n in range(1000)]}).encode()
    for padding, status in ((2**20 - len(body), 200), (2**20 - len(body) + 1, 413)):
        headers = {"Content-Type": "application/json"}
        answer = await site.call("POST", PATH, content=body + b" " * padding, headers=headers)
        assert answer.status_code == status
    assert await versions_kept(engine) == 1000


async def test_the_example_of_the_documentation_can_be_sent(site: Access) -> None:
    for example in EXAMPLES.values():
        answer = await site.post(PATH, example["value"])
        assert (answer.status_code, answer.json()["counts"]["created"]) == (200, 4)


async def test_an_open_case_is_due_for_judgement_once_its_records_change(site: Access, engine: AsyncEngine) -> None:
    filing = bodies.filing("A-1", evidence=[])
    filing["payments"][0]["status"] = "pending"
    case = (await site.post("/v1/cases", filing, once="k")).json()
    assert case["status"] == "awaiting_evidence"
    sent = {"payments": [filing["payments"][0]]}
    assert (await site.post(PATH, sent)).json()["counts"]["unchanged"] == 1
    assert await waiting_for_judgement(engine) == 0
    await site.post(PATH, {"payments": [{**filing["payments"][0], "status": "succeeded"}], "orders": [order(5)]})
    assert await waiting_for_judgement(engine) == 1
    await site.put("/v1/deliveries/D-1", bodies.delivery(order_no="A-1"))
    assert await waiting_for_judgement(engine) == 1


async def waiting_for_judgement(engine: AsyncEngine) -> int:
    """How many times a case waits to be judged anew."""
    query = text("SELECT count(*) FROM case_timers WHERE name = 'rejudge' AND state = 'pending'")
    async with engine.connect() as connection:
        return int(await connection.scalar(query) or 0)
