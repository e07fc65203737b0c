"""Who calls: one valid key, or the same 401 whatever was wrong with it."""

import base64
from collections.abc import Awaitable, Callable, Iterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from app import ids
from app.models.closed_sets import Scope
from app.services import sites
from app.store.engine import transaction
from app.store.sites import SiteStore, database_now
from tests.api import bodies
from tests.api.conftest import Access, Opener

PATH = "/v1/cases"


@pytest.fixture
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """Every statement that the service sends."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def revoked(site: Access, engine: AsyncEngine) -> str:
    async with transaction(engine) as connection:
        now = await database_now(connection)
        new = await sites.create_key(connection, site.site_id, list(Scope), "", now=now)
        await sites.revoke_key(connection, site.site_id, new.key_id, now=now)
    return new.key


def bad_headers(key: str) -> list[list[tuple[str, str]]]:
    """All that is not exactly one valid key."""
    basic = base64.b64encode(f"{key}:".encode()).decode()
    values = [
        f"Bearer {key} ", f"Bearer  {key}", f" Bearer {key}", f"Bearer\t{key}", f"Bearer {key},", f'Bearer "{key}"',
        f"Bearer {key}x", f"Bearer {key[:-1]}", f"Bearer {key.upper()}", f"Bearer {key.swapcase()}",
        f"Bearer {key.replace('kmr_test_', 'KMR_TEST_')}", f"Bearer {key.replace('kmr_test_', 'kmr_live_')}",
        f"Bearer kmr_live_{'a' * 40}", f"Bearer kmr_test_{'a' * 38}", f"Bearer {ids.mint_key('test')}",
        f"Bearer {ids.mint_key('live')}", "Bearer", "Bearer ", "", key, f"Basic {basic}", f"Token {key}",
        f"Bearer {key} {key}", f"Bearer {'a' * 300}", "Bearer kmr_test_", "Bearer \x7f", "Bearer null",
    ]  # fmt: skip
    doubled = [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")]
    elsewhere = [[("X-API-Key", key)], [("Cookie", f"key={key}")], []]
    return [[("Authorization", value)] for value in values] + [doubled, *elsewhere]


async def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(
    site: Access, client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    gone = [("Authorization", f"Bearer {await revoked(site, engine)}")]
    raw = [b"Bearer \xff\xfe", f"Bearer {site.key}\u00e9".encode("latin-1")]
    answers = [await client.get(PATH, headers=headers) for headers in [*bad_headers(site.key), gone]]
    answers += [await client.get(PATH, headers={b"Authorization": each}) for each in raw]
    answers += [await client.get(f"{PATH}?{name}={site.key}") for name in ("key", "api_key", "access_token")]
    expected = answers[0]
    assert expected.status_code == 401
    assert expected.json()["code"] == "unauthenticated"
    assert expected.headers["www-authenticate"] == "Bearer"
    assert {(each.status_code, each.content, repr(each.headers)) for each in answers} == {
        (401, expected.content, repr(expected.headers))
    }


async def test_the_scheme_is_read_in_any_case(site: Access, client: httpx.AsyncClient) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        answer = await client.get(PATH, headers={"Authorization": f"{scheme} {site.key}"})
        assert (scheme, answer.status_code) == (scheme, 200)


async def test_a_bad_checksum_asks_the_database_nothing(
    site: Access, client: httpx.AsyncClient, statements: list[str]
) -> None:
    flipped = site.key[:-1] + ("a" if site.key[-1] != "a" else "b")
    for key in (flipped, "kmr_live_" + "a" * 40, "kmr_test_" + "a" * 38, "nonsense"):
        assert (await client.get(PATH, headers={"Authorization": f"Bearer {key}"})).status_code == 401
    assert statements == []
    assert (await client.get(PATH, headers={"Authorization": f"Bearer {ids.mint_key('test')}"})).status_code == 401
    assert len(statements) == 1


async def test_every_operation_wants_a_key_before_anything_else(app: FastAPI, client: httpx.AsyncClient) -> None:
    asked = 0
    for path, operations in app.openapi()["paths"].items():
        for method in operations.keys() & {"get", "put", "post", "patch", "delete"} if path.startswith("/v1") else ():
            for url in (path, path + "?nonsense=1", path.replace("{", "%00{")):
                for body in (b"", b"{", b"[1]", b"{}"):
                    answer = await client.request(method, url, content=body, headers={"Content-Type": "text/plain"})
                    assert (method, url, answer.status_code) == (method, url, 401)
                    asked += 1
    assert asked > 200


async def test_live_and_test_are_two_worlds(open_site: Opener, client: httpx.AsyncClient) -> None:
    test, live = await open_site(mode="test"), await open_site(mode="live")
    assert live.key.startswith("kmr_live_")
    case = (await live.post(PATH, bodies.filing(), once="k")).json()
    assert (await live.get(f"{PATH}/{case['id']}")).status_code == 200
    foreign, absent = await test.get(f"{PATH}/{case['id']}"), await test.get(f"{PATH}/case_01jcb0v8e4f5k9q6w1x2y3z4a5")
    assert (foreign.status_code, foreign.content) == (404, absent.content)
    assert (await test.get(PATH)).json()["data"] == []
    renamed = live.key.replace("kmr_live_", "kmr_test_")
    assert (await client.get(PATH, headers={"Authorization": f"Bearer {renamed}"})).status_code == 401


async def test_a_key_whose_prefix_belies_its_site_opens_nothing(
    site: Access, client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    live_key = ids.mint_key("live")
    async with transaction(engine) as connection:
        store = SiteStore(connection, site.site_id)
        await store.add_key(ids.new_uuid(), ids.key_hash(live_key), list(Scope), "", await database_now(connection))
    assert (await client.get(PATH, headers={"Authorization": f"Bearer {live_key}"})).status_code == 401


async def test_cases_need_their_scope(key_with: Callable[..., Awaitable[Access]], site: Access) -> None:
    without = await key_with(*(scope for scope in Scope if scope is not Scope.CASES))
    for answer in (
        await without.post(PATH, bodies.filing(), once="k"),
        await without.get(PATH),
        await without.get(f"{PATH}/case_01jcb0v8e4f5k9q6w1x2y3z4a5"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert (await site.get(PATH)).json()["data"] == []
    assert (await without.get("/v1/reasons")).status_code == 200


async def test_ids_of_another_site_are_as_absent_as_those_that_never_were(site: Access, other_site: Access) -> None:
    case = (await other_site.post(PATH, bodies.filing(), once="k")).json()
    answers = [
        await site.get(f"{PATH}/{each}")
        for each in (
            case["id"], "case_01jcb0v8e4f5k9q6w1x2y3z4a5", "%00", "%ff", "'%20OR%201=1--", "a" * 10_240, "0", "-1",
            case["id"].upper(), "evt" + case["id"][4:], case["id"] + "x",
        )
    ]  # fmt: skip
    assert {(each.status_code, each.content) for each in answers} == {(404, answers[0].content)}
