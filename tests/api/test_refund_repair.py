"""What a person does about a refund that has stopped, beyond asking for it again: closes it, or answers a dispute."""

import secrets
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.closed_sets import Scope
from tests.api import living
from tests.api import reporting as r
from tests.api.conftest import Access
from tests.api.reporting import brought_to, in_two_payments, read, requested, retried, retry, taken
from tests.api.test_refunds import to_another_account

ELSEWHERE: dict[str, Any] = {"by": "cs-12", "code": "refunded_elsewhere", "note": "商家已手动退款，买家确认到账"}
NEVER: dict[str, Any] = {"by": "cs-12", "code": "rejected", "note": "渠道书面答复不予退款"}


async def close(
    site: Access, refund: r.Refund, body: dict[str, Any], *, once: str | None = None, **headers: str
) -> httpx.Response:
    key = secrets.token_hex(8) if once is None else once
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await site.post(f"/v1/refunds/{refund['id']}/close", body, once=key or None, headers=named)


async def closed(site: Access, refund: r.Refund, body: dict[str, Any]) -> r.Refund:
    answer = await close(site, refund, body)
    assert answer.status_code == 200, answer.text
    after: r.Refund = answer.json()
    assert after == await read(site, after)
    return after


def actions(case: living.Case) -> set[str]:
    return {step["action"] for step in case["next"]}


@pytest.mark.parametrize("state", ["failed", "abnormal"])
async def test_money_that_came_back_by_another_way_ends_the_case(site: Access, engine: AsyncEngine, state: str) -> None:
    refund = await brought_to(site, state)
    assert {"retry_refund", "close_refund"} <= actions(await r.case_of(site, refund))
    assert await r.reserved(engine) == {refund["payment_no"]: refund["amount"]}
    after = await closed(site, refund, ELSEWHERE)
    assert (after["state"], after["failure"]["code"]) == ("closed", "refunded_elsewhere")
    assert (after["reports"][-1]["source"], after["reports"][-1]["verdict"]) == ("person", "applied")
    case = await r.case_of(site, refund)
    assert case["status"] == "refunded"
    assert actions(case).isdisjoint({"retry_refund", "close_refund"})
    assert case["acts"][-1]["details"]["failure"] == "refunded_elsewhere"
    assert case["beyond_the_site"]["ways"] == []
    assert await r.reserved(engine) == {refund["payment_no"]: 0}
    assert (await retry(site, after)).json()["code"] == "not_allowed_now"


async def test_what_will_never_be_paid_can_be_replaced(site: Access, engine: AsyncEngine) -> None:
    after = await closed(site, await brought_to(site, "failed"), NEVER)
    case = await r.case_of(site, after)
    assert case["status"] == "refund_failed"
    assert "retry_refund" in actions(case)
    assert "close_refund" not in actions(case)
    refused = await close(site, after, NEVER)
    assert (refused.status_code, refused.json()["code"]) == (409, "refund_closed")
    again = await retried(site, after)
    assert again["replaces"] == after["id"]
    assert again["refund_no"] != after["refund_no"]
    await taken(site, again, "succeeded", 1)
    assert (await r.case_of(site, again))["status"] == "refunded"


async def test_one_part_by_another_way_and_one_by_ours_are_all_of_it(site: Access) -> None:
    case, first, second = await in_two_payments(site)
    await taken(site, first, "failed")
    await closed(site, first, ELSEWHERE)
    assert (await site.get(f"/v1/cases/{case['id']}")).json()["status"] == "refunding"
    await taken(site, second, "succeeded")
    assert (await site.get(f"/v1/cases/{case['id']}")).json()["status"] == "refunded"


@pytest.mark.parametrize("state", ["requested", "accepted", "processing", "succeeded"])
async def test_what_has_not_stopped_cannot_be_closed_by_hand(site: Access, engine: AsyncEngine, state: str) -> None:
    refund = await brought_to(site, state)
    before = await r.books(engine)
    answer = await close(site, refund, ELSEWHERE)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_allowed_now")
    assert await r.books(engine) == before


async def test_closing_one_that_goes_on_beside_one_that_has_stopped_is_refused(site: Access) -> None:
    _, first, second = await in_two_payments(site)
    await taken(site, first, "failed")
    answer = await close(site, second, ELSEWHERE)
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_not_stopped")


async def test_closing_takes_a_key_a_scope_and_the_version_that_was_read(site: Access, key_with: Any) -> None:
    refund = await brought_to(site, "failed")
    assert (await close(site, refund, NEVER, once="")).json()["code"] == "idempotency_key_missing"
    assert (await close(site, refund, NEVER, If_Match='"1"')).status_code == 412
    for scopes in ((Scope.CASES,), (Scope.REPORT,)):
        weak = await key_with(*scopes)
        assert (await close(weak, refund, NEVER)).status_code == 403
    first = await close(site, refund, NEVER, once="k-1")
    again = await close(site, refund, NEVER, once="k-1")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")


async def test_a_success_after_closing_by_hand_is_raised(site: Access) -> None:
    refund = await brought_to(site, "abnormal")
    await closed(site, refund, NEVER)
    answer = await r.told(site, refund, "succeeded", 1)
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_conflict")
    assert (await retry(site, refund)).json()["code"] == "refund_disputed"
    again = await retried(site, refund, {"by": "cs-12", "despite_dispute": True, "note": "渠道确认未付款"})
    assert again["replaces"] == refund["id"]
    acts = (await r.case_of(site, again))["acts"]
    assert acts[-1]["details"]["despite_dispute"] is True


@pytest.mark.parametrize("state", ["failed", "abnormal"])
async def test_only_a_closed_refund_is_made_up_for_by_another_way(site: Access, state: str) -> None:
    refund = await requested(site)
    said = {"code": "refunded_elsewhere", "message": ""}
    answer = await r.told(site, refund, state, failure=said)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "elsewhere_is_closed")
    await taken(site, refund, "closed", failure=said)
    assert (await r.case_of(site, refund))["status"] == "refunded"


@pytest.mark.parametrize("code", ["insufficient_balance", "rejected", "other"])
async def test_money_goes_the_way_that_it_came_as_long_as_it_can(site: Access, code: str) -> None:
    refund = await taken(site, await requested(site), "failed", failure={"code": code, "message": "渠道处理失败"})
    answer = await retry(site, refund, to_another_account(refund))
    assert (answer.status_code, answer.json()["code"]) == (409, "original_route_open")


async def test_another_account_bears_another_number_of_the_channel(site: Access) -> None:
    gone = {"code": "account_gone", "message": "用户账户已注销"}
    refund = await taken(site, await requested(site), "abnormal", channel_refund_no="5001", failure=gone)
    again = await retried(site, refund, to_another_account(refund))
    assert again["channel_refund_no"] is None
    after = await taken(site, again, "succeeded", 5, channel_refund_no="bank-1")
    assert after["channel_refund_no"] == "bank-1"


async def test_what_stopped_waits_for_a_person(site: Access) -> None:
    refund = await brought_to(site, "failed")
    await living.filed(site, living.claim(order_no="A-77", reason="other"), "in_review")
    page = (await site.get("/v1/reviews")).json()["data"]
    assert {(each["case"]["status"], each["task"]) for each in page} == {
        ("refund_failed", "repair"),
        ("in_review", "ruling"),
    }
    [repair] = [each for each in page if each["task"] == "repair"]
    case = await r.case_of(site, refund)
    [money_back] = [each["at"] for each in case["deadlines"] if each["name"] == "money_back"]
    assert repair["promised_by"] == money_back
