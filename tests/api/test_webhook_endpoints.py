"""Webhook endpoints over HTTP: registered, changed, tried out, gone."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from app.ids import read
from app.models.closed_sets import Scope
from app.outbound.refused import TEXTS, RefusalCode
from app.sealing import Sealer
from app.services import webhook_secrets
from app.store.endpoints import EndpointStore
from app.store.engine import transaction
from tests.api import bodies
from tests.api.conftest import Access, Opener

PATH = "/v1/webhook-endpoints"
REFUSED = {
    "http://shop.example.com/": "address_scheme",
    "https://user:pass@shop.example.com/": "address_userinfo",
    "https://shop.example.com/#x": "address_fragment",
    "https://shop.example.com:22/": "address_port",
    "https://10.0.0.1/": "address_not_public",
    "https://169.254.169.254/latest": "address_not_public",
    "https://[::ffff:10.0.0.1]/": "address_not_public",
    "https://2130706433/": "address_host",
    "https://metadata.google.internal/": "address_internal_name",
    "https://shop.example.com\\@10.0.0.1/": "address_malformed",
    "https:// shop.example.com/": "address_malformed",
    "": "address_malformed",
    "https://shop.example.com/" + "a" * 2048: "address_too_long",
    "https://127.0.0.1:8000/": "address_own",
}


async def registered(site: Access, **changes: Any) -> dict[str, Any]:
    answer = await site.post(PATH, bodies.endpoint(**changes))
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_an_endpoint_is_registered_and_its_secret_shown_this_once(site: Access) -> None:
    answer = await site.post(PATH, bodies.endpoint(description="后端"))
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{PATH}/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    assert Webhook(made["secret"])
    read_back = await site.get(answer.headers["location"])
    assert read_back.json() == {name: value for name, value in made.items() if name != "secret"}
    assert made["secret"] not in (await site.get(PATH)).text
    assert made["enabled"] is True
    assert (made["description"], made["event_types"], made["channels"]) == ("后端", None, None)


async def test_endpoints_of_every_role_are_registered(site: Access) -> None:
    for body in (
        bodies.endpoint(role="merchant", merchant_id="m-7", event_types=["case.approved", "case.approved"]),
        bodies.endpoint(role="channel", channels=["alipay"]),
        bodies.endpoint(role="channel", event_types=["refund.requested"]),
        bodies.endpoint(url="http://127.0.0.1:9000/hooks"),
    ):
        made = await registered(site, **body)
        assert {name: made[name] for name in ("url", "role")} == {"url": body["url"], "role": body["role"]}
        assert made["event_types"] == (None if "event_types" not in body else sorted(set(body["event_types"])))


async def test_an_address_that_is_not_called_is_refused_with_the_guards_words(site: Access) -> None:
    for url, code in REFUSED.items():
        for answer, words in (
            (await site.post(PATH, bodies.endpoint(url=url), headers={"Accept-Language": "en"}), 0),
            (await site.post(PATH, bodies.endpoint(url=url)), 1),
        ):
            assert (url, answer.status_code) == (url, 422)
            message = TEXTS[RefusalCode(code)][words]
            assert answer.json()["errors"] == [{"pointer": "/url", "code": code, "message": message}]
            assert not url or url not in answer.text
    assert (await site.get(PATH)).json()["data"] == []


async def test_live_mode_never_calls_this_machine(open_site: Opener) -> None:
    live = await open_site(mode="live")
    for url in ("http://127.0.0.1:9000/", "https://localhost:9000/", "https://[::1]:9000/"):
        answer = await live.post(PATH, bodies.endpoint(url=url))
        assert (url, answer.status_code) == (url, 422)
        assert answer.json()["errors"][0]["pointer"] == "/url"


async def test_what_does_not_go_together_is_refused_with_its_place(site: Access) -> None:
    for changes, pointer in (
        ({"role": "merchant"}, "/merchant_id"),
        ({"merchant_id": "m-7"}, "/merchant_id"),
        ({"channels": ["alipay"]}, "/channels"),
        ({"role": "channel", "channels": []}, "/channels"),
        ({"role": "channel", "event_types": ["case.filed"]}, "/event_types/0"),
        ({"role": "merchant", "merchant_id": "m-7", "event_types": ["refund.requested"]}, "/event_types/0"),
        ({"event_types": []}, "/event_types"),
        ({"event_types": ["case.exploded"]}, "/event_types/0"),
        ({"role": "admin"}, "/role"),
        ({"secret": "whsec_mine"}, "/secret"),
        ({"enabled": False}, "/enabled"),
        ({"description": "x" * 201}, "/description"),
        ({"url": 1}, "/url"),
    ):
        answer = await site.post(PATH, bodies.endpoint(**changes))
        assert (changes, answer.status_code) == (changes, 422)
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await site.get(PATH)).json()["data"] == []


async def test_the_list_is_paged_in_the_order_of_registration(site: Access, other_site: Access) -> None:
    await registered(other_site)
    made = [(await registered(site))["id"] for _ in range(5)]
    pages, cursor = [], ""
    while True:
        page = (await site.get(f"{PATH}?limit=2{cursor}")).json()
        pages.append([each["id"] for each in page["data"]])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        await registered(other_site)
    assert pages == [made[:2], made[2:4], made[4:]]


async def test_a_change_touches_what_it_names_alone(site: Access) -> None:
    made = await registered(site, role="channel", channels=["alipay"], description="old")
    path = f"{PATH}/{made.pop('id')}"
    for change in (
        {"description": "new"},
        {"url": "https://shop.example.com/other"},
        {"channels": ["wechat_pay", "balance"]},
        {"channels": None},
        {"event_types": ["refund.requested"]},
        {"event_types": None},
        {"enabled": True},
    ):
        before = (await site.get(path)).json()
        after = (await site.call("PATCH", path, json=change)).json()
        same = {name: value for name, value in before.items() if name not in {*change, "version", "updated_at"}}
        assert {**same, **change, "version": before["version"] + 1}.items() <= after.items()
        assert (await site.get(path)).json() == after


async def test_disabling_says_why_and_enabling_forgets_it(site: Access) -> None:
    path = f"{PATH}/{(await registered(site))['id']}"
    off = (await site.call("PATCH", path, json={"enabled": False})).json()
    assert (off["enabled"], off["disabled_reason"]) == (False, "by_site")
    assert off["disabled_at"] is not None
    assert (await site.post(f"{path}/test")).json()["code"] == "endpoint_disabled"
    on = (await site.call("PATCH", path, json={"enabled": True})).json()
    assert (on["enabled"], on["disabled_reason"], on["disabled_at"]) == (True, None, None)


async def test_a_bad_change_is_refused_and_changes_nothing(site: Access) -> None:
    path = f"{PATH}/{(await registered(site))['id']}"
    for change, pointer in (
        ({}, ""),
        ({"url": None}, ""),
        ({"enabled": None}, ""),
        ({"enabled": 1}, "/enabled"),
        ({"url": "https://10.0.0.1/"}, "/url"),
        ({"channels": ["alipay"]}, "/channels"),
        ({"role": "channel"}, "/role"),
        ({"merchant_id": "m-8"}, "/merchant_id"),
        ({"disabled_reason": None}, "/disabled_reason"),
        ([], ""),
    ):
        answer = await site.call("PATCH", path, json=change)
        assert (change, answer.status_code) == (change, 422)
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await site.get(path)).json()["version"] == 1


async def test_a_stale_etag_changes_nothing(site: Access) -> None:
    path = f"{PATH}/{(await registered(site))['id']}"
    first = await site.call("PATCH", path, json={"description": "a"}, headers={"If-Match": '"1"'})
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    stale = await site.call("PATCH", path, json={"description": "b"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    assert (await site.get(path)).json()["description"] == "a"


async def test_a_deleted_endpoint_is_gone(site: Access) -> None:
    path = f"{PATH}/{(await registered(site))['id']}"
    gone = await site.call("DELETE", path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await site.get(path)).status_code == 404
    assert (await site.call("DELETE", path)).status_code == 404


async def test_rotation_shows_a_new_secret_and_the_old_one_signs_for_a_day(site: Access, engine: AsyncEngine) -> None:
    made = await registered(site)
    rotated = await site.post(f"{PATH}/{made['id']}/rotate-secret")
    assert (rotated.status_code, rotated.headers["etag"]) == (200, '"2"')
    assert rotated.json()["secret"] != made["secret"]
    endpoint_id = read("we", made["id"])
    assert endpoint_id is not None
    async with transaction(engine) as connection:
        row = await EndpointStore(connection, site.site_id).get(endpoint_id)
    new, old = webhook_secrets.unseal(Sealer(bytes(32)), site.site_id, row.secrets)
    assert (new.text, new.until) == (rotated.json()["secret"], None)
    assert old.text == made["secret"]
    assert old.until is not None
    assert old.until - row.updated_at == webhook_secrets.OVERLAP


async def test_a_sixth_secret_has_to_wait(site: Access) -> None:
    path = f"{PATH}/{(await registered(site))['id']}/rotate-secret"
    answers = [(await site.post(path)).status_code for _ in range(5)]
    assert answers == [200, 200, 200, 200, 409]


async def test_a_test_event_goes_into_the_queue_of_that_endpoint_alone(site: Access) -> None:
    made, _ = await registered(site), await registered(site)
    sent = await site.post(f"{PATH}/{made['id']}/test")
    assert sent.status_code == 202
    event = (await site.get(f"/v1/events/{sent.json()['event_id']}")).json()
    assert event["type"] == "endpoint.test"
    assert event["data"] == {"endpoint_id": made["id"]}
    assert [(each["endpoint_id"], each["state"], each["attempts"]) for each in event["dispatches"]] == [
        (made["id"], "pending", 0)
    ]


@pytest.mark.parametrize("role", ["merchant", "channel"])
async def test_a_test_is_never_taken_for_business_whatever_the_role(site: Access, role: str) -> None:
    more = {"merchant_id": "m-7"} if role == "merchant" else {}
    endpoint_id = (await registered(site, role=role, **more))["id"]
    sent = await site.post(f"{PATH}/{endpoint_id}/test")
    event = (await site.get(f"/v1/events/{sent.json()['event_id']}")).json()
    assert (event["type"], event["case_id"]) == ("endpoint.test", None)


async def test_a_repeated_registration_shows_the_same_secret_and_registers_once(
    site: Access, engine: AsyncEngine
) -> None:
    first = await site.post(PATH, bodies.endpoint(), once="k-1")
    again = await site.post(PATH, bodies.endpoint(), once="k-1")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    for name in ("etag", "location"):
        assert again.headers[name] == first.headers[name]
    assert len((await site.get(PATH)).json()["data"]) == 1
    other = await site.post(PATH, bodies.endpoint(description="x"), once="k-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    async with engine.connect() as connection:
        kept = await connection.scalar(text("SELECT answer FROM idempotency_keys"))
    assert first.json()["secret"].encode() not in bytes(kept or b"")


async def test_rotating_and_testing_happen_once_for_one_key(site: Access) -> None:
    path = f"{PATH}/{(await registered(site))['id']}"
    for action in ("rotate-secret", "test"):
        first = await site.post(f"{path}/{action}", once=f"k-{action}")
        again = await site.post(f"{path}/{action}", once=f"k-{action}")
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
    assert (await site.get(path)).json()["version"] == 2
    assert len((await site.get("/v1/events")).json()["data"]) == 1


async def test_endpoints_of_another_site_look_absent(site: Access, other_site: Access) -> None:
    foreign, absent = (await registered(other_site))["id"], "we_01jcb0v8e4f5k9q6w1x2y3z4a5"
    never = ("we_x", "0", "-1", "%00", "%ff", "'%20OR%201=1--", foreign.upper(), "evt" + foreign[2:], "a" * 10_000)
    for method, suffix, body in (
        ("GET", "", None),
        ("PATCH", "", {"enabled": False}),
        ("DELETE", "", None),
        ("POST", "/rotate-secret", None),
        ("POST", "/test", None),
    ):
        answers = [await site.call(method, f"{PATH}/{each}{suffix}", json=body) for each in (foreign, absent, *never)]
        assert {(each.status_code, each.content) for each in answers} == {(404, answers[0].content)}
    assert (await other_site.get(f"{PATH}/{foreign}")).json()["version"] == 1


async def test_endpoints_need_their_scope(key_with: Callable[..., Awaitable[Access]], site: Access) -> None:
    path = f"{PATH}/{(await registered(site))['id']}"
    without = await key_with(*(scope for scope in Scope if scope is not Scope.WEBHOOKS))
    answers: list[httpx.Response] = [
        await without.post(PATH, bodies.endpoint()),
        await without.get(PATH),
        await without.get(path),
        await without.call("PATCH", path, json={"enabled": False}),
        await without.call("DELETE", path),
        await without.post(f"{path}/rotate-secret"),
        await without.post(f"{path}/test"),
        await without.get("/v1/events"),
        await without.get("/v1/events/evt_01jcb0v8e4f5k9q6w1x2y3z4a5"),
        await without.post("/v1/events/evt_01jcb0v8e4f5k9q6w1x2y3z4a5/resend"),
        await without.get("/v1/webhook-attempts"),
    ]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(403, "scope_missing")] * len(answers)
    assert json.dumps((await site.get(PATH)).json()["data"]).count('"version": 1') == 1
    assert (await (await key_with(Scope.WEBHOOKS)).get(PATH)).status_code == 200


@pytest.mark.parametrize("path", [PATH, "/v1/events", "/v1/webhook-attempts", "/v1/cases"])
async def test_a_list_refuses_unusable_parameters(site: Access, path: str) -> None:
    for query in (
        "limit=0", "limit=-1", "limit=101", "limit=1e2", "limit=１０", "limit=99999999999999999999", "limit=1&limit=2",
        "limit=", "limit=1.0", "limit=+1", "limit=%201", "limit=1_0", "limit=01", "limit=true", "cursor=", "cursor=x",
        "cursor=%00", "cursor=%FF", "cursor=" + "A" * 43, "cursor=" + "A" * 201, "cursor=é", "cursor=a&cursor=b",
        "site=A", "tenant_id=A", "query=1", "Limit=1", "limit[]=1", "%00=1", "=1",
        "cursor=MjAyNi0wMy0xMFQwNDowMDowMC4wMDAwMDArMDA6MDBfeA",
    ):  # fmt: skip
        answer = await site.get(f"{path}?{query}")
        assert (query, answer.status_code) == (query, 422)
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()["errors"][0]) == {"parameter", "code", "message"}
    for limit in ("1", "100", "20"):
        assert (await site.get(f"{path}?limit={limit}")).status_code == 200


async def test_a_list_with_a_slash_behind_it_is_nothing(site: Access) -> None:
    """No redirect: it would name whatever host the caller named."""
    for path in (PATH, "/v1/events", "/v1/webhook-attempts", "/v1/cases"):
        answer = await site.get(f"{path}/")
        assert (path, answer.status_code, answer.headers["content-type"]) == (path, 404, "application/problem+json")
