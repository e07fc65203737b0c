"""A request with an `Idempotency-Key` takes effect once, and is answered alike each time."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.closed_sets import Scope
from tests.api import bodies
from tests.api.conftest import Access, Opener

PATH = "/v1/cases"


async def counts(engine: AsyncEngine) -> dict[str, int]:
    """How much there is of everything that a claim causes."""
    async with engine.connect() as connection:
        return {
            table: int(await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)
            for table in ("cases", "refunds", "idempotency_keys", "orders")
        }


ONE = {"cases": 1, "refunds": 1, "idempotency_keys": 1, "orders": 1}
NOTHING = dict.fromkeys(ONE, 0)


async def test_a_repetition_is_answered_by_the_first_answer(site: Access, engine: AsyncEngine) -> None:
    body = bodies.filing()
    first, again = await site.post(PATH, body, once="k-1"), await site.post(PATH, body, once="k-1")
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    for name in ("location", "etag", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert await counts(engine) == ONE
    filed = (await site.get("/v1/events?type=case.filed")).json()["data"]
    assert len(filed) == 1


async def test_the_spelling_of_a_repetition_does_not_matter(site: Access) -> None:
    body = bodies.filing()
    first = await site.post(PATH, body, once="k-1")
    backwards = {name: body[name] for name in reversed(body)}
    backwards["claim"] = {name: body["claim"][name] for name in reversed(body["claim"])}
    for content, key, kind in (
        (json.dumps(backwards), "k-1", "application/json"),
        (json.dumps(body, indent=4, ensure_ascii=False), "k-1", "application/json"),
        (json.dumps(body, separators=(",", ":")), '"k-1"', "application/json; charset=utf-8"),
    ):
        headers = {"Idempotency-Key": key, "Content-Type": kind}
        again = await site.call("POST", PATH, content=content.encode(), headers=headers)
        assert (again.status_code, again.content) == (201, first.content)


async def test_another_request_under_the_same_key_is_refused(site: Access, engine: AsyncEngine) -> None:
    body = bodies.filing()
    first = await site.post(PATH, body, once="k-1")
    changed = {**body, "claim": {**body["claim"], "amount": body["claim"]["amount"] + 1}}
    for answer in (
        await site.post(PATH, changed, once="k-1"),
        await site.post("/v1/webhook-endpoints", bodies.endpoint(), once="k-1"),
        await site.post(PATH, bodies.filing("A-2"), once='"k-1"'),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await counts(engine) == ONE
    assert (await site.get("/v1/webhook-endpoints")).json()["data"] == []
    assert (await site.post(PATH, body, once="k-1")).content == first.content


async def test_the_path_is_part_of_the_request(site: Access) -> None:
    made = [(await site.post("/v1/webhook-endpoints", bodies.endpoint())).json()["id"] for _ in range(2)]
    first, other = (f"/v1/webhook-endpoints/{each}/rotate-secret" for each in made)
    assert (await site.post(first, once="k-1")).status_code == 200
    assert (await site.post(other, once="k-1")).json()["code"] == "idempotency_key_reused"
    assert (await site.get(f"/v1/webhook-endpoints/{made[1]}")).json()["version"] == 1


async def test_sixteen_at_once_are_one(site: Access, engine: AsyncEngine) -> None:
    body = bodies.filing()
    answers = await asyncio.gather(*(site.post(PATH, body, once="k-1") for _ in range(16)))
    done = [each for each in answers if each.status_code == 201]
    executed = [each for each in done if "idempotency-replayed" not in each.headers]
    others = [each for each in answers if each not in done]
    assert len(executed) == 1
    assert {each.content for each in done} == {executed[0].content}
    assert {(each.status_code, each.json()["code"]) for each in others} <= {(409, "idempotency_key_in_use")}
    assert await counts(engine) == ONE


async def test_sixteen_keys_for_one_claim_are_one_case(site: Access, engine: AsyncEngine) -> None:
    body = bodies.filing()
    answers = await asyncio.gather(*(site.post(PATH, body, once=f"k-{n}") for n in range(16)))
    assert sorted(each.status_code for each in answers) == [201] + [409] * 15
    assert {each.json()["code"] for each in answers if each.status_code == 409} == {"case_open"}
    assert await counts(engine) == ONE


async def test_one_key_of_two_sites_is_two_keys(site: Access, other_site: Access) -> None:
    body = bodies.filing()
    first, other = await site.post(PATH, body, once="k-1"), await other_site.post(PATH, body, once="k-1")
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["id"] != other.json()["id"]


async def test_a_key_of_any_other_form_is_refused(site: Access, engine: AsyncEngine) -> None:
    body = json.dumps(bodies.filing()).encode()
    for values in (
        ["k" * 256], [""], ['""'], ["a\tb"], ["a b"], [" "], ["\u00e9".encode("latin-1")], ["键".encode()],
        ["k-1", "k-1"], ["k-1", "k-2"], ["\x7f"], ['"' + "k" * 256 + '"'], ["k\x01"],
    ):  # fmt: skip
        headers: list[Any] = [("Content-Type", "application/json"), *site.auth.items()]
        headers += [("Idempotency-Key", value) for value in values]
        answer = await site.http.post(PATH, content=body, headers=headers)
        assert (values, answer.status_code, answer.json()["code"]) == (values, 400, "idempotency_key_unusable")
        assert answer.json()["errors"][0]["header"] == "Idempotency-Key"
        optional = await site.http.post("/v1/webhook-endpoints", json=bodies.endpoint(), headers=headers)
        assert (values, optional.status_code) == (values, 400)
    assert await counts(engine) == NOTHING


async def test_the_longest_and_the_oddest_keys_work(site: Access) -> None:
    for n, key in enumerate(("k" * 255, "!", "~#$%&'*+-.^_`|{}[]()<>@,;:\\/?=", '"' + "q" * 255 + '"', 'a"b')):
        assert (await site.post(PATH, bodies.filing(f"A-{n}"), once=key)).status_code == 201


async def test_a_claim_without_a_key_is_refused(site: Access, engine: AsyncEngine) -> None:
    answer = await site.post(PATH, bodies.filing())
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert await counts(engine) == NOTHING


async def test_an_answer_from_before_execution_is_not_kept(
    site: Access, open_site: Opener, client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    """The same key works once the request has been put right."""
    body = bodies.filing()
    narrow = await open_site(scopes=[Scope.RECORDS])
    headers = {**site.auth, "Idempotency-Key": "k-1", "Content-Type": "application/json"}

    async def sent(content: bytes, **changes: str) -> int:
        return (await client.post(PATH, content=content, headers={**headers, **changes})).status_code

    good = json.dumps(body).encode()
    unknown = json.dumps({"claim": body["claim"], "order_no": "never-sent"}).encode()
    assert [
        await sent(good, Authorization="Bearer nonsense"),
        await sent(good, Authorization=narrow.auth["Authorization"]),
        await sent(b" " * (1024 * 1024 + 1)),
        await sent(good, **{"Content-Type": "text/plain"}),
        await sent(b'{"claim": 1}'),
        await sent(b"{"),
        await sent(unknown),
    ] == [401, 403, 413, 415, 422, 400, 422]
    assert (await site.post(f"{PATH}/case_x/rotate", body, once="k-1")).status_code == 404
    absent = "/v1/webhook-endpoints/we_01jcb0v8e4f5k9q6w1x2y3z4a5/rotate-secret"
    assert (await site.post(absent, once="k-1")).status_code == 404
    assert await counts(engine) == NOTHING
    assert await sent(good) == 201
    assert await counts(engine) == ONE


async def test_an_answer_of_busy_is_not_kept(site: Access, engine: AsyncEngine) -> None:
    """The order is held by somebody for longer than a request waits; the same key then works."""
    body = bodies.filing("A-1")
    await site.put("/v1/orders/A-1", bodies.order())
    async with engine.connect() as holder:
        await holder.execute(text("SELECT FROM orders FOR UPDATE"))
        answer = await site.post(PATH, body, once="k-1")
        await holder.rollback()
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    assert (await site.post(PATH, body, once="k-1")).status_code == 201


async def test_a_conflict_leaves_the_key_to_be_used_again(site: Access) -> None:
    await site.post(PATH, bodies.filing(), once="k-1")
    assert (await site.post(PATH, bodies.filing(), once="k-2")).json()["code"] == "case_open"
    assert (await site.post(PATH, bodies.filing("A-2"), once="k-2")).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "k" * 256])
async def test_judging_alone_checks_the_form_of_a_key(site: Access, key: str) -> None:
    body = {name: value for name, value in bodies.filing().items() if name != "policy"}
    assert (await site.post("/v1/adjudications", body, once=key)).status_code == 400
    assert (await site.post("/v1/adjudications", body, once="k-1")).status_code == 200
    assert (await site.post("/v1/adjudications", body)).status_code == 200
