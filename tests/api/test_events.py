"""Events and attempts over HTTP: what was told, to whom, what came back, and telling it again."""

from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.ids import show
from tests.api import bodies
from tests.api.conftest import Access
from tests.api.sending import Receiver, Sends

ABSENT = "evt_01jcb0v8e4f5k9q6w1x2y3z4a5"


@pytest.fixture
def send(engine: AsyncEngine) -> Sends:
    return Sends(engine)


async def endpoint(site: Access, **changes: Any) -> str:
    made = await site.post("/v1/webhook-endpoints", bodies.endpoint(**changes))
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def file(site: Access, order_no: str = "A-1") -> dict[str, Any]:
    filed = await site.post("/v1/cases", bodies.filing(order_no), once=f"file-{order_no}")
    assert filed.status_code == 201, filed.text
    case: dict[str, Any] = filed.json()
    assert case["status"] == "approved"
    return case


async def test_a_filed_case_tells_its_events(site: Access) -> None:
    endpoint_id = await endpoint(site)
    case = await file(site)
    events = (await site.get(f"/v1/events?case_id={case['id']}")).json()["data"]
    assert [each["id"] for each in reversed(events)] == [each["event_id"] for each in case["timeline"]]
    assert [(each["type"], each["sequence"]) for each in reversed(events)] == [
        ("case.filed", 1), ("case.approved", 2), ("refund.requested", 3), ("merchant.deposit_deducted", 4),
    ]  # fmt: skip
    assert {(each["case_id"], each["merchant_id"], each["site"]) for each in events} == {
        (case["id"], "m-7", show("site", site.site_id))
    }
    filed = (await site.get(f"/v1/events/{events[-1]['id']}")).json()
    assert events[-1].items() <= filed.items()
    assert filed["data"]["decision"] == case["decision"]
    assert [each["endpoint_id"] for each in filed["dispatches"]] == [endpoint_id]


async def test_events_are_listed_by_type_and_case(site: Access) -> None:
    first, second = await file(site, "A-1"), await file(site, "A-2")
    filed = (await site.get("/v1/events?type=case.filed")).json()["data"]
    assert [each["case_id"] for each in filed] == [second["id"], first["id"]]
    both = (await site.get(f"/v1/events?type=refund.requested&case_id={first['id']}")).json()["data"]
    assert [(each["case_id"], each["channel"]) for each in both] == [(first["id"], "alipay")]
    assert (await site.get("/v1/events?type=case.exploded")).status_code == 422
    for query in ("case_id=case_x", "case_id=../x", f"case_id={ABSENT}", "type=", "case_id="):
        answer = await site.get(f"/v1/events?{query}")
        assert (query, answer.status_code) == (query, 422)
        assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]
    assert (await site.get(f"/v1/events?case_id={ABSENT.replace('evt_', 'case_')}")).json()["data"] == []


@pytest.mark.parametrize("path", ["/v1/events?type=case.filed", "/v1/cases?status=approved"])
async def test_paging_is_stable_while_rows_are_added(site: Access, other_site: Access, path: str) -> None:
    """No row comes twice, and none is skipped that was there before the first page."""
    before = [(await file(site, f"A-{n}"))["id"] for n in range(5)]
    await file(other_site)
    seen, cursor, pages = [], "", 0
    while True:
        page = (await site.get(f"{path}&limit=2{cursor}")).json()
        seen += [each.get("case_id", each["id"]) for each in page["data"]]
        pages += 1
        await file(site, f"B-{pages}")
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == before[::-1]
    assert pages == 3


async def test_attempts_say_what_came_back(site: Access, send: Sends) -> None:
    endpoint_id, case = await endpoint(site), await file(site)
    await send(Receiver(500))
    first = case["timeline"][0]["event_id"]
    attempts = (await site.get("/v1/webhook-attempts")).json()["data"]
    assert [(each["event_id"], each["attempt"], each["status_code"]) for each in attempts] == [(first, 1, 500)]
    assert (attempts[0]["duration_ms"], attempts[0]["error"], attempts[0]["excerpt"]) == (7, None, "thanks")
    [dispatch] = (await site.get(f"/v1/events/{first}")).json()["dispatches"]
    assert (dispatch["state"], dispatch["attempts"]) == ("pending", 1)
    assert dispatch["next_attempt_at"] > attempts[0]["started_at"]
    for query, count in (
        (f"event_id={first}", 1),
        (f"event_id={case['timeline'][1]['event_id']}", 0),
        (f"endpoint_id={endpoint_id}", 1),
        ("endpoint_id=we_01jcb0v8e4f5k9q6w1x2y3z4a5", 0),
    ):
        assert (query, len((await site.get(f"/v1/webhook-attempts?{query}")).json()["data"])) == (query, count)


async def test_attempts_are_paged_newest_first(site: Access, send: Sends) -> None:
    await endpoint(site)
    for n in range(2):
        await file(site, f"A-{n}")
        await send(Receiver())
    whole = (await site.get("/v1/webhook-attempts")).json()["data"]
    assert len(whole) == 8
    assert [each["started_at"] for each in whole] == sorted((each["started_at"] for each in whole), reverse=True)
    seen, cursor = [], ""
    while True:
        page = (await site.get(f"/v1/webhook-attempts?limit=3{cursor}")).json()
        seen += page["data"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == whole


async def test_an_event_is_sent_again_under_its_own_id(site: Access, send: Sends) -> None:
    endpoint_id, case, receiver = await endpoint(site), await file(site), Receiver()
    event_id = case["timeline"][0]["event_id"]
    await send(receiver)
    again = await site.post(f"/v1/events/{event_id}/resend")
    assert again.status_code == 202
    assert [(each["state"], each["attempts"]) for each in again.json()["dispatches"]] == [("pending", 0)]
    await send(receiver)
    bodies_of_it = [body for _, headers, body in receiver.heard if headers["webhook-id"] == event_id]
    assert len(bodies_of_it) == 2
    assert bodies_of_it[0] == bodies_of_it[1]
    attempts = (await site.get(f"/v1/webhook-attempts?event_id={event_id}")).json()["data"]
    assert sorted((each["endpoint_id"], each["attempt"]) for each in attempts) == [(endpoint_id, 1), (endpoint_id, 2)]


async def test_an_event_goes_to_an_endpoint_that_came_later(site: Access, send: Sends) -> None:
    case, endpoint_id, receiver = await file(site), await endpoint(site), Receiver()
    event_id = case["timeline"][0]["event_id"]
    nothing = await site.post(f"/v1/events/{event_id}/resend")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_resend")
    assert (await site.post(f"/v1/events/{event_id}/resend", {"endpoint_id": endpoint_id})).status_code == 202
    await send(receiver)
    assert [headers["webhook-id"] for _, headers, _ in receiver.heard] == [event_id]


async def test_what_cannot_be_sent_again_is_refused_with_the_reason(site: Access, send: Sends) -> None:
    hearing, channel = await endpoint(site), await endpoint(site, role="channel", channels=["wechat_pay"])
    stranger = await endpoint(site, role="merchant", merchant_id="m-8")
    case = await file(site)
    filed, refund = case["timeline"][0]["event_id"], case["timeline"][2]["event_id"]
    for event_id, endpoint_id, code in (
        (filed, hearing, "event_on_its_way"),
        (filed, stranger, "event_not_for_endpoint"),
        (filed, channel, "event_not_for_endpoint"),
        (refund, channel, "event_not_for_endpoint"),
        (refund, stranger, "event_not_for_endpoint"),
        (filed, None, "nothing_to_resend"),
    ):
        answer = await site.post(f"/v1/events/{event_id}/resend", {"endpoint_id": endpoint_id})
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    await site.call("PATCH", f"/v1/webhook-endpoints/{hearing}", json={"enabled": False})
    disabled = await site.post(f"/v1/events/{filed}/resend", {"endpoint_id": hearing})
    assert (disabled.status_code, disabled.json()["code"]) == (409, "endpoint_disabled")
    receiver = Receiver()
    await send(receiver)
    assert receiver.heard == []


async def test_a_merchant_hears_its_own_cases_without_the_buyer(site: Access, send: Sends) -> None:
    await endpoint(site, role="merchant", merchant_id="m-7", url="https://m7.example.com/")
    await endpoint(site, role="merchant", merchant_id="m-8", url="https://m8.example.com/")
    await file(site)
    receiver = Receiver()
    await send(receiver)
    assert {url for url, _, _ in receiver.heard} == {"https://m7.example.com/"}
    assert [body["type"] for _, _, body in receiver.heard] == [
        "case.filed", "case.approved", "merchant.deposit_deducted",
    ]  # fmt: skip
    assert not any("buyer_id" in body["data"] for _, _, body in receiver.heard)


async def test_events_of_another_site_look_absent(
    site: Access, other_site: Access, engine: AsyncEngine, send: Sends
) -> None:
    own = await endpoint(other_site)
    await endpoint(site)
    case = await file(site)
    await send(Receiver())
    foreign = case["timeline"][0]["event_id"]
    for method, suffix in (("GET", ""), ("POST", "/resend")):
        answers = [
            await other_site.call(method, f"/v1/events/{each}{suffix}")
            for each in (foreign, ABSENT, "evt_x", "%00", "%ff", "0", foreign.upper(), "we" + foreign[3:], "a" * 9_999)
        ]
        assert {(each.status_code, each.content) for each in answers} == {(404, answers[1].content)}
    body = {"endpoint_id": own}
    assert (await other_site.post(f"/v1/events/{foreign}/resend", body)).content == answers[1].content
    assert (await site.post(f"/v1/events/{foreign}/resend", body)).content == answers[1].content
    for path in ("/v1/events", "/v1/webhook-attempts", f"/v1/events?case_id={case['id']}"):
        assert (await other_site.get(path)).json() == {"data": [], "next_cursor": None}
    async with engine.connect() as connection:
        states = await connection.scalars(text("SELECT DISTINCT state FROM dispatches"))
        assert list(states) == ["delivered"]


async def test_a_resend_happens_once_for_one_key(site: Access, send: Sends) -> None:
    await endpoint(site)
    path = f"/v1/events/{(await file(site))['timeline'][0]['event_id']}/resend"
    await send(Receiver())
    first = await site.post(path, once="again-1")
    await send(Receiver())
    second = await site.post(path, once="again-1")
    assert (second.status_code, second.content) == (202, first.content)
    receiver = Receiver()
    await send(receiver)
    assert receiver.heard == []


async def test_what_an_event_is_documented_to_hold_is_what_is_sent(app: FastAPI, site: Access, send: Sends) -> None:
    """The same fields as in the document's example of that type and role."""
    receiver = Receiver()
    for role, more in (("site", {}), ("merchant", {"merchant_id": "m-7"}), ("channel", {})):
        await endpoint(site, role=role, url=f"https://{role}.example.com/", **more)
    await file(site)
    await send(receiver)
    webhooks = app.openapi()["webhooks"]
    compared: list[tuple[str, str]] = []
    for url, _, body in receiver.heard:
        role = url.removeprefix("https://").split(".")[0]
        content = webhooks[body["type"]]["post"]["requestBody"]["content"]["application/json"]
        example = content["examples"][role]["value"]
        assert shape(example) == shape(body)
        compared.append((role, body["type"]))
    assert sorted(compared) == [
        ("channel", "refund.requested"), ("merchant", "case.approved"), ("merchant", "case.filed"),
        ("merchant", "merchant.deposit_deducted"),
        ("site", "case.approved"), ("site", "case.filed"), ("site", "merchant.deposit_deducted"),
        ("site", "refund.requested"),
    ]  # fmt: skip


def shape(value: Any) -> Any:
    """The names in a document, without what they hold; facts of a finding differ from claim to claim."""
    if isinstance(value, dict):
        return {name: None if name == "facts" else shape(each) for name, each in value.items()}
    return [shape(each) for each in value[:1]] if isinstance(value, list) else None
