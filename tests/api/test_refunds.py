"""Refunds over HTTP: every state, listed, retried by a person, and what that does to case, reserve and events."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.schemas.refunds import RefundInstructionOut
from app.api.webhook_docs import BODIES
from app.models.closed_sets import Scope
from app.outbound.catalogue import EventType
from app.store.refund_sql import MOST_REPORTS
from tests.api import bodies, living
from tests.api import reporting as r
from tests.api.conftest import Access, Opener
from tests.api.reporting import FEN, STOPPED, UNFINISHED, books, brought_to, events, requested, retried, retry, taken
from tests.api.sending import Receiver, Sends
from tests.database_clock import DatabaseClock

ACCOUNT: dict[str, Any] = {
    "account_ref": "acct-77",
    "display": "招商银行 尾号 1234",
    "consent": "站内聊天记录，买家确认",
}  # fmt: skip


def to_another_account(refund: r.Refund, seconds: float = 0, **changes: Any) -> dict[str, Any]:
    return {"by": "cs-12", "other_account": {**ACCOUNT, "consented_at": r.moment(refund, seconds), **changes}}


def ids_of(page: dict[str, Any]) -> list[str]:
    return [each["id"] for each in page["data"]]


# From the instruction to the money


async def test_from_the_instruction_to_the_money(site: Access, engine: AsyncEngine) -> None:
    refund = await requested(site)
    assert re.fullmatch("rf[0-9a-z]{26}", refund["refund_no"])
    assert (refund["state"], refund["version"], refund["reports"]) == ("requested", 1, [])
    assert (refund["amount"], refund["currency"], refund["order_no"]) == (FEN, "CNY", "A-1001")
    assert (refund["handled_by"], refund["replaces"], refund["settled_at"]) == ("adapter", None, None)
    for n, state in enumerate(("accepted", "processing", "succeeded"), start=1):
        refund = await taken(site, refund, state, n)
        assert (refund["state"], refund["version"]) == (state, n + 1)
        assert refund["reported_at"] == refund["reports"][-1]["at"]
        case = await r.case_of(site, refund)
        assert case["status"] == ("refunded" if state == "succeeded" else "refunding")
        assert case["refunds"] == [RefundInstructionOut.model_validate(_instruction(refund)).model_dump()]
    assert [each["verdict"] for each in refund["reports"]] == ["applied"] * 3
    assert [each["n"] for each in refund["reports"]] == [1, 2, 3]
    assert refund["settled_at"] == refund["updated_at"]
    assert refund["channel_refund_no"] == f"50-{refund['refund_no']}"
    assert living.deadline(case, "money_back")[1] == "kept"
    assert case["next"] == []
    assert await r.reserved(engine) == {"P-A-1001": FEN}
    expected = ["case.filed", "case.approved", "refund.requested", "merchant.deposit_deducted", "refund.succeeded"]
    assert await events(engine) == expected


def _instruction(refund: r.Refund) -> dict[str, Any]:
    return {name: value for name, value in refund.items() if name not in {"reports", "order_no"}}


@pytest.mark.parametrize(
    ("state", "status", "event"),
    [
        ("accepted", "refunding", None),
        ("processing", "refunding", None),
        ("succeeded", "refunded", "refund.succeeded"),
        ("abnormal", "refund_failed", "refund.abnormal"),
        ("failed", "refund_failed", "refund.failed"),
        ("closed", "refund_failed", "refund.failed"),
    ],
)
async def test_every_state_can_come_first(
    site: Access, engine: AsyncEngine, state: str, status: str, event: str | None
) -> None:
    before = await requested(site)
    heard = await events(engine)
    after = await taken(site, before, state)
    stopped = state in STOPPED
    assert after["state"] == state
    assert after["failure"] == ({"code": "other", "message": "渠道处理失败"} if stopped else None)
    assert (after["settled_at"] is not None) is (state in {"succeeded", "closed"})
    case = await r.case_of(site, after)
    assert case["status"] == status
    assert {each["action"] for each in case["next"]} >= ({"retry_refund"} if stopped else set())
    assert (await events(engine))[len(heard) :] == ([event] if event else [])
    assert await r.reserved(engine) == {"P-A-1001": 0 if state == "closed" else FEN}
    promise = living.deadline(case, "money_back")[1]
    assert promise == ("kept" if state == "succeeded" else "running")


@pytest.mark.parametrize("stop", ["abnormal", "failed"])
async def test_what_stopped_goes_on_by_itself_where_the_channel_says_so(site: Access, stop: str) -> None:
    refund = await brought_to(site, stop)
    refund = await taken(site, refund, "processing", 1)
    assert (refund["failure"], (await r.case_of(site, refund))["status"]) == (None, "refunding")
    refund = await taken(site, refund, "succeeded", 2)
    assert (await r.case_of(site, refund))["status"] == "refunded"


async def test_a_case_of_two_payments_is_over_when_both_are_back(site: Access, engine: AsyncEngine) -> None:
    case, first, second = await r.in_two_payments(site)
    assert await r.reserved(engine) == {"P-A-1001": 12_000, "P-A-1001-b": 8_000}
    course = []
    for refund, state, seconds in (
        (first, "accepted", 1),
        (second, "failed", 1),
        (first, "succeeded", 2),
        (second, "processing", 2),
        (second, "failed", 3),
    ):
        await taken(site, refund, state, seconds)
        course.append((await living.read(site, case))["status"])
    assert course == ["refunding", "refund_failed", "refund_failed", "refunding", "refund_failed"]
    await retried(site, second)
    assert (await living.read(site, case))["status"] == "refunding"
    await taken(site, second, "succeeded", 4)
    over = await living.read(site, case)
    assert (over["status"], living.deadline(over, "money_back")[1]) == ("refunded", "kept")
    told = [each for each in await events(engine) if each.startswith("refund.")]
    assert told == [
        *["refund.requested"] * 2, "refund.failed", "refund.succeeded", "refund.failed", "refund.requested",
        "refund.succeeded",
    ]  # fmt: skip


async def test_money_that_comes_too_late_breaks_the_promise(
    clock: DatabaseClock, site: Access, engine: AsyncEngine
) -> None:
    refund = await requested(site)
    await clock.advance(timedelta(days=9))
    await living.fire(engine)
    await taken(site, refund, "succeeded", timedelta(days=9).total_seconds())
    case = await r.case_of(site, refund)
    assert case["status"] == "refunded"
    assert living.deadline(case, "money_back")[1] == "over"
    assert (await events(engine))[-2:] == ["case.deadline_missed", "refund.succeeded"]


async def test_a_promise_that_is_over_is_missed_although_the_worker_has_not_looked_yet(
    clock: DatabaseClock, site: Access, engine: AsyncEngine
) -> None:
    refund = await requested(site)
    await clock.advance(timedelta(days=9))
    await taken(site, refund, "succeeded")
    await living.fire(engine)
    assert living.deadline(await r.case_of(site, refund), "money_back")[1] == "over"
    assert sorted((await events(engine))[-2:]) == ["case.deadline_missed", "refund.succeeded"]


async def test_the_numbers_count_what_came_back(clock: DatabaseClock, site: Access, engine: AsyncEngine) -> None:
    kept, late, stopped = [await requested(site, f"A-{n}") for n in (1, 2, 3)]
    await taken(site, kept, "succeeded")
    await taken(site, stopped, "failed")
    await clock.advance(timedelta(days=9))
    await taken(site, late, "succeeded", timedelta(days=9).total_seconds())
    await living.fire(engine)
    numbers = (await site.get("/v1/stats")).json()
    assert numbers["by_status"] | {"refunded": 2, "refund_failed": 1} == numbers["by_status"]
    assert (numbers["cases"], numbers["approval_rate"]["value"], numbers["amount_granted"]) == (3, 1.0, 3 * FEN)
    [promise] = [each for each in numbers["deadlines"] if each["name"] == "money_back"]
    assert (promise["kept"], promise["missed"]) == (1, 2)


async def test_a_refund_and_the_one_in_its_place_are_granted_once(site: Access) -> None:
    await retried(site, await brought_to(site, "closed"))
    numbers = (await site.get("/v1/stats")).json()
    assert (numbers["amount_granted"], numbers["merchants"][0]["amount_granted"]) == (FEN, FEN)


# Lists


async def test_refunds_are_listed_newest_first_and_page_by_page(site: Access, other_site: Access) -> None:
    made = [await requested(site, f"A-{n}") for n in range(5)]
    await requested(other_site)
    seen, address = [], "/v1/refunds?limit=2"
    page = (await site.get(address)).json()
    await requested(site, "A-late")
    while True:
        seen += ids_of(page)
        if page["next_cursor"] is None:
            break
        page = (await site.get(f"{address}&cursor={page['next_cursor']}")).json()
    assert seen == [refund["id"] for refund in reversed(made)]
    assert len(ids_of((await site.get("/v1/refunds")).json())) == 6


async def test_refunds_are_listed_by_what_they_are(site: Access) -> None:
    case, first, second = await r.in_two_payments(site)
    other = await taken(site, await requested(site, "A-2"), "processing")
    for query, expected in (
        ("state=processing", [other]),
        ("state=succeeded", []),
        ("channel=wechat_pay", [second]),
        ("channel=alipay", [other, first]),
        ("payment_no=P-A-1001-b", [second]),
        ("payment_no=P-unknown", []),
        (f"case_id={other['case_id']}", [other]),
        (f"case_id={case['id']}&state=requested&channel=alipay", [first]),
    ):
        found = (await site.get(f"/v1/refunds?{query}")).json()
        shown = [_instruction(await r.read(site, each)) for each in expected]
        assert found["data"] == sorted(shown, key=lambda each: str(each["id"]), reverse=True)


@pytest.mark.parametrize(
    "query",
    ["state=paid", "state=", "channel=bank_transfer", "overdue=1", "case_id=x", "payment_no=", "limit=0", "limit=101",
     "cursor=x", "site=A", "refund_no=x", "state=failed&state=closed"],
)  # fmt: skip
async def test_odd_filters_are_refused(site: Access, query: str) -> None:
    answer = await site.get(f"/v1/refunds?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text


async def test_what_is_overdue_is_listed_as_such(clock: DatabaseClock, site: Access) -> None:
    untouched, accepted, done, failed = [await requested(site, f"A-{n}") for n in range(4)]
    await taken(site, accepted, "accepted")
    await taken(site, done, "succeeded")
    await taken(site, failed, "failed")

    async def overdue(flag: str) -> set[str]:
        return set(ids_of((await site.get(f"/v1/refunds?overdue={flag}")).json()))

    everyone = {each["id"] for each in (untouched, accepted, done, failed)}
    assert (await overdue("true"), await overdue("false")) == (set(), everyone)
    await clock.advance(timedelta(minutes=59))
    assert await overdue("true") == set()
    await clock.advance(timedelta(minutes=2))
    assert await overdue("true") == {untouched["id"]}
    await clock.advance(timedelta(days=9))
    assert await overdue("true") == everyone - {done["id"]}
    assert await overdue("false") == {done["id"]}


async def test_a_refund_is_found_by_its_own_site_alone(site: Access, other_site: Access) -> None:
    refund = await requested(site)
    unknown = "rfd_" + "0" * 26
    answers = [
        await other_site.get(f"/v1/refunds/{refund['id']}"),
        await site.get(f"/v1/refunds/{unknown}"),
        await site.get(f"/v1/refunds/{refund['case_id']}"),
        await site.get("/v1/refunds/%00"),
        await site.get(f"/v1/refunds/{refund['id'].upper()}"),
    ]
    assert {(each.status_code, each.content) for each in answers} == {(404, answers[0].content)}
    assert ids_of((await other_site.get("/v1/refunds")).json()) == []


# A person lets it go on


@pytest.mark.parametrize("stop", ["failed", "abnormal"])
async def test_what_stopped_goes_on_under_the_same_number(site: Access, engine: AsyncEngine, stop: str) -> None:
    refund = await taken(site, await brought_to(site, "processing"), stop, 1)
    again = await retried(site, refund)
    same = ("id", "refund_no", "amount", "payment_no", "channel_refund_no", "created_at", "reports")
    assert {name: again[name] for name in same} == {name: refund[name] for name in same}
    assert (again["state"], again["failure"], again["replaces"]) == ("requested", None, None)
    assert again["version"] == refund["version"] + 1
    assert await r.reserved(engine) == {"P-A-1001": FEN}
    case = await r.case_of(site, refund)
    assert case["status"] == "refunding"
    act = case["acts"][-1]
    assert (act["kind"], act["by"], act["details"]["state"]) == ("refund_retry", "cs-12", stop)
    [*_, last] = await living.told(engine, case)
    assert (last["type"], last["full"]["refund_no"]) == ("refund.requested", refund["refund_no"])
    await taken(site, again, "succeeded")
    assert (await r.case_of(site, refund))["status"] == "refunded"


async def test_after_a_retry_what_was_said_before_is_late(site: Access) -> None:
    refund = await taken(site, await brought_to(site, "accepted"), "failed", 2)
    again = await retried(site, refund)
    for state in ("accepted", "processing", "failed", "abnormal"):
        late = await taken(site, again, state, 2, verdict="late", channel_refund_no=None)
        assert late["state"] == "requested"
    assert (await taken(site, again, "accepted", 3))["state"] == "accepted"


async def test_a_closed_refund_sets_its_reserve_free_and_is_replaced_by_another(
    site: Access, engine: AsyncEngine
) -> None:
    closed = await taken(site, await brought_to(site, "processing"), "closed", 1)
    assert await r.reserved(engine) == {"P-A-1001": 0}
    again = await retried(site, closed, {"by": "cs-12", "note": "重新发起"})
    assert again["replaces"] == closed["id"]
    assert (again["state"], again["version"], again["reports"]) == ("requested", 1, [])
    assert (again["channel_refund_no"], again["settled_at"], again["reported_at"]) == (None, None, None)
    assert again["id"] != closed["id"]
    assert re.fullmatch("rf[0-9a-z]{26}", again["refund_no"])
    assert again["refund_no"] != closed["refund_no"]
    assert r.as_it_stands(await r.read(site, closed)) == r.as_it_stands(closed)
    assert await r.reserved(engine) == {"P-A-1001": FEN}
    case = await r.case_of(site, closed)
    assert case["status"] == "refunding"
    assert case["acts"][-1]["details"]["new_refund_no"] == again["refund_no"]
    await taken(site, again, "succeeded", channel_refund_no="50-new")
    assert (await r.case_of(site, closed))["status"] == "refunded"


async def test_a_closed_refund_is_replaced_once(site: Access, engine: AsyncEngine) -> None:
    closed = await brought_to(site, "closed")
    again = await retried(site, closed)
    assert (await retry(site, closed)).json()["code"] == "not_allowed_now"
    await taken(site, again, "failed")
    before = await books(engine)
    answer = await retry(site, closed)
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_replaced")
    assert await books(engine) == before


@pytest.mark.parametrize("changes", [{}, {"channel_refund_no": "50-other"}, {"amount": FEN - 1}])
@pytest.mark.parametrize("noise", [0, MOST_REPORTS])
async def test_what_may_have_been_paid_after_all_is_not_paid_again(
    site: Access, engine: AsyncEngine, changes: dict[str, Any], noise: int
) -> None:
    closed = await taken(site, await brought_to(site, "processing"), "closed", 1)
    for amount in range(1, noise + 1):
        assert (await r.told(site, closed, "accepted", currency="USD", amount=amount)).status_code == 409
    assert (await r.told(site, closed, "succeeded", 2, **changes)).status_code == 409
    before = await books(engine)
    answer = await retry(site, closed)
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_disputed")
    assert await books(engine) == before


@pytest.mark.parametrize("refunded", [1, FEN])
async def test_what_went_back_elsewhere_is_not_paid_again(site: Access, engine: AsyncEngine, refunded: int) -> None:
    closed = await brought_to(site, "closed")
    [payment] = bodies.filing()["payments"]
    told = {name: value for name, value in payment.items() if name != "payment_no"} | {"refunded_amount": refunded}
    assert (await site.put(f"/v1/payments/{payment['payment_no']}", told)).status_code == 200
    before = await books(engine)
    answer = await retry(site, closed)
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_exceeds_payment")
    assert await books(engine) == before
    assert (await r.case_of(site, closed))["status"] == "refund_failed"


async def test_what_goes_on_needs_nobody(site: Access, engine: AsyncEngine) -> None:
    for n, state in enumerate(("requested", "accepted", "processing", "succeeded")):
        refund = await brought_to(site, state, f"A-{n}")
        before = await books(engine)
        answer = await retry(site, refund)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_allowed_now")
        assert await books(engine) == before


async def test_the_other_refund_of_a_case_needs_nobody_either(site: Access) -> None:
    _, first, second = await r.in_two_payments(site)
    await taken(site, second, "failed")
    assert (await retry(site, first)).json()["code"] == "refund_not_stopped"
    await taken(site, first, "succeeded")
    assert (await retry(site, first)).json()["code"] == "refund_not_stopped"


async def test_a_retry_is_of_the_version_that_was_read(site: Access) -> None:
    refund = await brought_to(site, "failed")
    stale = await retry(site, refund, If_Match='"1"')
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    assert (await retry(site, refund, If_Match="2")).json()["code"] == "if_match_unusable"
    answer = await retry(site, refund, If_Match=f'"{refund["version"]}"')
    assert (answer.status_code, answer.headers["etag"]) == (200, '"3"')
    await taken(site, refund, "failed", 1)
    assert (await retry(site, refund, If_Match="*")).status_code == 200


async def test_a_retry_is_done_once(site: Access, engine: AsyncEngine) -> None:
    closed = await brought_to(site, "closed")
    assert (await retry(site, closed, once="")).json()["code"] == "idempotency_key_missing"
    first, again = await retry(site, closed, once="k-1"), await retry(site, closed, once="k-1")
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    other = await retry(site, closed, {"by": "cs-13"}, once="k-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await r.reserved(engine) == {"P-A-1001": FEN}
    assert (await events(engine)).count("refund.requested") == 2


@pytest.mark.parametrize("stop", STOPPED)
async def test_by_consent_it_goes_to_another_account(site: Access, engine: AsyncEngine, stop: str) -> None:
    failure = {"code": "account_gone", "message": "用户账户已注销"}
    refund = await taken(site, await requested(site), stop, failure=failure)
    assert refund["failure"] == failure
    again = await retried(site, refund, to_another_account(refund))
    account = {**ACCOUNT, "consented_at": again["other_account"]["consented_at"]}
    assert again["other_account"] == account
    case = await r.case_of(site, again)
    assert case["acts"][-1]["details"]["other_account"] == account
    asked = [each for each in await living.told(engine, case) if each["type"] == "refund.requested"]
    assert asked[-1]["full"]["other_account"] == account
    await taken(site, again, "failed", 5)
    assert (await retried(site, again))["other_account"] == account


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"display": "招商银行 6225 8801 2345 6789"}, "/other_account/display"),
        ({"display": "6225880123456789"}, "/other_account/display"),
        ({"display": "13800138000"}, "/other_account/display"),
        ({"display": "尾号 1234-5678"}, "/other_account/display"),
        ({"display": "\uff16\uff12\uff12\uff15\uff18\uff18\uff10\uff11"}, "/other_account/display"),
        ({"display": ""}, "/other_account/display"),
        ({"consent": ""}, "/other_account/consent"),
        ({"consented_at": "2099-01-01T00:00:00+08:00"}, "/other_account/consented_at"),
        ({"consented_at": "2026-01-01T00:00:00"}, "/other_account/consented_at"),
        ({"account_ref": "a b"}, "/other_account/account_ref"),
        ({"account_no": "6225880123456789"}, "/other_account/account_no"),
    ],
)
async def test_no_accounts_number_and_no_account_without_consent(
    site: Access, engine: AsyncEngine, changes: dict[str, Any], where: str
) -> None:
    refund = await brought_to(site, "abnormal")
    before = await books(engine)
    answer = await retry(site, refund, to_another_account(refund, **changes))
    assert answer.status_code == 422, answer.text
    assert {each["pointer"] for each in answer.json()["errors"]} == {where}
    assert "6225" not in answer.text
    assert await books(engine) == before


@pytest.mark.parametrize("left_out", ["account_ref", "display", "consented_at", "consent"])
async def test_every_part_of_another_account_is_needed(site: Access, left_out: str) -> None:
    refund = await brought_to(site, "abnormal")
    body = to_another_account(refund)
    del body["other_account"][left_out]
    assert (await retry(site, refund, body)).json()["errors"][0]["pointer"] == f"/other_account/{left_out}"


# Scopes, and what is told


async def test_each_call_needs_its_scope(site: Access, key_with: Any, engine: AsyncEngine) -> None:
    refund = await brought_to(site, "failed")
    before = await books(engine)
    for scope in Scope:
        access = await key_with(scope)
        reads = 200 if scope in {Scope.CASES, Scope.REPORT} else 403
        assert (await access.get("/v1/refunds")).status_code == reads, scope
        assert (await access.get(f"/v1/refunds/{refund['id']}")).status_code == reads, scope
        if scope is not Scope.RULE:
            answer = await retry(access, refund)
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
        if scope is not Scope.REPORT:
            answer = await r.told(access, refund, "processing", 1)
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
        for method, path in (("GET", ""), ("POST", ""), ("DELETE", "")):
            allowed = scope is Scope.WEBHOOKS
            answer = await access.call(method, f"/v1/reporting-secret{path}")
            assert answer.is_success is allowed, (scope, method)
    assert await books(engine) == before
    assert (await r.told(await key_with(Scope.REPORT), refund, "processing", 1)).status_code == 200
    await taken(site, refund, "failed", 2)
    assert (await retry(await key_with(Scope.RULE), refund)).status_code == 200


async def test_nobody_elses_refund_is_retried(site: Access, open_site: Opener, engine: AsyncEngine) -> None:
    refund = await brought_to(site, "closed")
    before = await books(engine)
    unknown = await retry(site, {"id": "rfd_" + "0" * 26})
    for other in (await open_site(), await open_site(mode="live")):
        answer = await retry(other, refund)
        assert (answer.status_code, answer.content) == (404, unknown.content)
    assert await books(engine) == before


async def test_what_is_told_of_a_refund_fits_its_schema(site: Access, engine: AsyncEngine) -> None:
    for role, more in (("site", {}), ("channel", {}), ("merchant", {"merchant_id": "m-7"})):
        url = f"https://{role}.example.com/hooks"
        made = await site.post("/v1/webhook-endpoints", bodies.endpoint(url=url, role=role, **more))
        assert made.status_code == 201, made.text
    refund = await requested(site)
    await taken(site, refund, "abnormal", failure={"code": "account_gone", "message": "用户账户已注销"})
    await retried(site, refund, to_another_account(refund))
    assert (await r.told(site, refund, "succeeded", amount=1)).status_code == 409
    await taken(site, refund, "closed", 1)
    again = await retried(site, refund, {"by": "cs-12", "despite_dispute": True})
    await taken(site, again, "succeeded", 2)
    receiver = Receiver()
    await Sends(engine)(receiver)
    of_refunds = [(url, body) for url, _, body in receiver.heard if body["type"].startswith("refund.")]
    for _, body in of_refunds:
        parsed = BODIES[EventType(body["type"])].model_validate(body)
        assert parsed.model_dump(exclude_unset=True) == body
    course = [
        "refund.requested", "refund.abnormal", "refund.requested", "refund.conflict", "refund.failed",
        "refund.requested", "refund.succeeded",
    ]  # fmt: skip
    at_site = [body for url, body in of_refunds if "site" in url]
    assert [body["type"] for body in at_site] == course
    numbers = [body["data"]["refund_no"] for body in at_site]
    assert numbers == [refund["refund_no"]] * 5 + [again["refund_no"]] * 2
    assert [body["type"] for url, body in of_refunds if "channel" in url] == ["refund.requested"] * 3
    conflict = at_site[3]["data"]
    assert (conflict["conflict"], conflict["reported"]["amount"], conflict["amount"]) == ("amount", 1, FEN)


@pytest.mark.parametrize("state", UNFINISHED)
async def test_an_instruction_says_by_when(site: Access, state: str) -> None:
    refund = await brought_to(site, state)
    assert refund["created_at"] < refund["accept_by"] < refund["expected_by"]
