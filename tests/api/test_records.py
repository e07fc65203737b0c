"""Records over HTTP: told, told again, changed, read."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.closed_sets import Scope
from tests.api import bodies
from tests.api.conftest import Access

KINDS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "orders": ("A-1", "order_no", bodies.order(), {"status": "delivered"}),
    "payments": ("P-1", "payment_no", bodies.payment(), {"refunded_amount": 1}),
    "deliveries": ("D-1", "delivery_no", bodies.delivery(card_fingerprint="9f" * 32), {"usage": "consumed"}),
    "merchants": ("m-7", "merchant_id", bodies.merchant(), {"deposit": 1}),
}
BAD_NUMBERS = (
    "%20", "A" * 65, "A" * 10_000, "A%0D%0AX", "A%E2%80%AE1", "A%E2%80%8B", "%2E%2E%2Fx", "A%2FB", "A%252FB", "A%3Fx",
    "A%23x", "%2E", "%2E%2E", "%00", "A%00", "%FF", "A%0A", "%EF%BC%A1", "%F0%9F%98%80", "A%5CB", "%25", "A%7F",
)  # fmt: skip


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_new_record_is_created_and_read_back(site: Access, kind: str) -> None:
    number, key, body, _ = KINDS[kind]
    put = await site.put(f"/v1/{kind}/{number}", body)
    assert (put.status_code, put.headers["etag"]) == (201, '"1"')
    read = await site.get(f"/v1/{kind}/{number}")
    assert (read.status_code, read.headers["etag"], read.content) == (200, '"1"', put.content)
    shown = read.json()
    assert shown[key] == number
    assert shown["version"] == 1
    assert shown["created_at"] == shown["updated_at"]
    assert body.items() <= {**shown, **({"goods": body["goods"]} if kind == "orders" else {})}.items()


async def test_an_order_is_shown_as_it_was_told(site: Access) -> None:
    terms = {"report_window": "PT1H", "refundable": False}
    goods = {
        **bodies.order()["goods"], "traits": ["trial", "final_sale"], "terms": terms,
        "promised_at": "2026-03-09T10:05:00+08:00",
    }  # fmt: skip
    cancelled = {"status": "cancelled", "cancelled_by": "buyer", "cancelled_at": "2026-03-09T10:30:00+08:00"}
    shown = (await site.put("/v1/orders/A-1", bodies.order(goods=goods, **cancelled))).json()
    assert shown["goods"] == {**goods, "traits": ["final_sale", "trial"]}
    assert cancelled.items() <= shown.items()


async def test_the_same_record_again_is_no_change(site: Access, engine: AsyncEngine, kind: str) -> None:
    number, _, body, _ = KINDS[kind]
    first = await site.put(f"/v1/{kind}/{number}", body)
    again = await site.put(f"/v1/{kind}/{number}", body)
    assert (again.status_code, again.headers["etag"], again.content) == (200, '"1"', first.content)
    assert await versions_kept(engine) == 1


async def test_a_changed_record_is_a_new_version(site: Access, engine: AsyncEngine, kind: str) -> None:
    number, _, body, change = KINDS[kind]
    first = (await site.put(f"/v1/{kind}/{number}", body)).json()
    changed = await site.put(f"/v1/{kind}/{number}", {**body, **change})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert change.items() <= changed.json().items()
    assert changed.json()["created_at"] == first["created_at"]
    assert changed.json()["updated_at"] > first["updated_at"]
    assert await versions_kept(engine) == 2


async def test_a_stale_etag_changes_nothing(site: Access, kind: str) -> None:
    number, _, body, change = KINDS[kind]
    path = f"/v1/{kind}/{number}"
    await site.put(path, body)
    await site.put(path, {**body, **change})
    stale = await site.put(path, body, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    assert (await site.get(path)).headers["etag"] == '"2"'
    fresh = await site.put(path, body, headers={"If-Match": '"2"'})
    assert (fresh.status_code, fresh.headers["etag"]) == (200, '"3"')


async def test_an_etag_for_a_record_that_is_not_there_is_stale(site: Access, kind: str) -> None:
    number, _, body, _ = KINDS[kind]
    path = f"/v1/{kind}/{number}"
    assert (await site.put(path, body, headers={"If-Match": '"1"'})).status_code == 412
    assert (await site.get(path)).status_code == 404


async def test_an_unusable_etag_is_refused(site: Access) -> None:
    for tag in ("1", 'W/"1"', '"0"', '"x"', "", '"1", "2"', '"2147483648"', '"99999999999"'):
        answer = await site.put("/v1/orders/A-1", bodies.order(), headers={"If-Match": tag})
        assert (tag, answer.status_code, answer.json()["code"]) == (tag, 400, "if_match_unusable")
    assert (await site.get("/v1/orders/A-1")).status_code == 404


async def test_a_bad_number_in_the_path_reaches_no_record(site: Access, engine: AsyncEngine, kind: str) -> None:
    _, _, body, _ = KINDS[kind]
    for number in BAD_NUMBERS:
        for answer in (await site.put(f"/v1/{kind}/{number}", body), await site.get(f"/v1/{kind}/{number}")):
            assert answer.status_code in {404, 422}, number
            assert answer.headers["content-type"] == "application/problem+json"
    assert await versions_kept(engine) == 0


async def test_a_path_without_a_number_is_nothing(site: Access, kind: str) -> None:
    for path in (f"/v1/{kind}", f"/v1/{kind}/"):
        assert (await site.get(path)).status_code == 404


async def test_an_odd_but_valid_number_is_kept_as_it_is(site: Access) -> None:
    for number in ("A", "0", "A" * 64, "a.b:c_d-e", "...", "-"):
        assert (await site.put(f"/v1/orders/{number}", bodies.order())).status_code == 201
        assert (await site.get(f"/v1/orders/{number}")).json()["order_no"] == number


async def test_a_bad_body_is_refused_with_its_place(site: Access, engine: AsyncEngine) -> None:
    for path, body, pointer in BAD_BODIES:
        answer = await site.put(f"/v1/{path}", body)
        assert (path, answer.status_code) == (path, 422)
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert await versions_kept(engine) == 0


BAD_BODIES: list[tuple[str, Any, str]] = [
    ("orders/A-1", bodies.order(order_no="A-2"), "/order_no"),
    ("orders/A-1", bodies.order(amount=200.0), "/amount"),
    ("orders/A-1", bodies.order(amount=-1), "/amount"),
    ("orders/A-1", bodies.order(currency="cny"), "/currency"),
    ("orders/A-1", bodies.order(amout=1), "/amout"),
    ("orders/A-1", bodies.order(version=7), "/version"),
    ("payments/P-1", bodies.payment(amount=True), "/amount"),
    ("payments/P-1", bodies.payment(amount=10**12 + 1), "/amount"),
    ("payments/P-1", bodies.payment(refunded_amount=20001), ""),
    ("payments/P-1", bodies.payment(reserved_amount=0), "/reserved_amount"),
    ("deliveries/D-1", bodies.delivery(order_no="../x"), "/order_no"),
    ("deliveries/D-1", bodies.delivery(card_fingerprint="9F" * 32), "/card_fingerprint"),
    ("deliveries/D-1", bodies.delivery(times_sold=0), "/times_sold"),
    ("deliveries/D-1", bodies.delivery(card="AB12-CD34"), "/card"),
    ("deliveries/D-1", {"usage": "unused"}, "/order_no"),
    ("merchants/m-7", bodies.merchant(deposit="1"), "/deposit"),
    ("merchants/m-7", [], ""),
]


async def test_a_payment_with_a_promised_refund_stays_above_it(site: Access) -> None:
    filed = await site.post("/v1/cases", bodies.filing("A-1"), once="k")
    assert filed.json()["status"] == "approved"
    body = bodies.payment(order_no="A-1")
    for change, code in (
        ({"amount": 100}, "payment_below_refunds"),
        ({"channel": "wechat_pay"}, "payment_has_refunds"),
        ({"order_no": "A-2"}, "payment_has_refunds"),
    ):
        answer = await site.put("/v1/payments/P-A-1", {**body, **change})
        assert (answer.status_code, answer.json()["code"]) == (409, code)


async def test_records_of_another_site_look_absent(site: Access, other_site: Access, kind: str) -> None:
    number, _, body, change = KINDS[kind]
    await site.put(f"/v1/{kind}/{number}", body)
    foreign = await other_site.get(f"/v1/{kind}/{number}")
    absent = await other_site.get(f"/v1/{kind}/never-was")
    assert (foreign.status_code, foreign.content) == (404, absent.content)
    assert dict(foreign.headers) == dict(absent.headers)
    own = await other_site.put(f"/v1/{kind}/{number}", {**body, **change})
    assert own.status_code == 201
    assert (await site.get(f"/v1/{kind}/{number}")).headers["etag"] == '"1"'


async def test_records_need_their_scope(
    key_with: Callable[..., Awaitable[Access]], engine: AsyncEngine, kind: str
) -> None:
    number, _, body, _ = KINDS[kind]
    without = await key_with(*(scope for scope in Scope if scope is not Scope.RECORDS))
    for answer in (await without.put(f"/v1/{kind}/{number}", body), await without.get(f"/v1/{kind}/{number}")):
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert await versions_kept(engine) == 0
    alone = await key_with(Scope.RECORDS)
    assert (await alone.put(f"/v1/{kind}/{number}", body)).status_code == 201


async def versions_kept(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM record_versions")) or 0)


@pytest.mark.parametrize(
    ("kind", "number", "field", "body"),
    [
        ("orders", "A-1", "order_no", bodies.order()),
        ("payments", "P-1", "payment_no", bodies.payment()),
        ("deliveries", "D-1", "delivery_no", bodies.delivery()),
        ("merchants", "m-1", "merchant_id", bodies.merchant()),
    ],
)
async def test_a_number_in_the_body_must_be_that_of_the_path(
    site: Access, kind: str, number: str, field: str, body: dict[str, Any]
) -> None:
    path = f"/v1/{kind}/{number}"
    assert (await site.put(path, {**body, field: number})).status_code == 201
    wrong = await site.put(path, {**body, field: "another"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, f"/{field}")
