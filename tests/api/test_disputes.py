"""A contradiction keeps both sides, and holds back what could pay a second time."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api import living
from tests.api import reporting as r
from tests.api.conftest import Access
from tests.api.reporting import read, report, requested, result, retried, retry, taken
from tests.api.test_refunds import to_another_account

GONE = {"code": "account_gone", "message": "原账户已注销"}


@pytest.mark.parametrize("said", [{"payment_no": "P-another"}, {"channel": "unionpay"}])
async def test_both_sides_are_kept(site: Access, engine: AsyncEngine, said: dict[str, Any]) -> None:
    refund = await requested(site)
    [(name, value)] = said.items()
    answer = await report(site, refund, result(refund, "succeeded", **said))
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_conflict")
    shown = await read(site, refund)
    assert (shown["reports"][-1]["conflict"], shown["reports"][-1][name]) == (name, value)
    told = [each["full"] for each in await living.told(engine, shown) if each["type"] == "refund.conflict"]
    assert [(each["conflict"], each[name], each["reported"][name]) for each in told] == [(name, refund[name], value)]


async def disputed(site: Access, state: str) -> r.Refund:
    """One that cannot go back the way it came, and was said to have been paid, though of another amount."""
    refund = await requested(site)
    answer = await report(site, refund, result(refund, "succeeded", amount=refund["amount"] - 1))
    assert answer.status_code == 409
    return await taken(site, refund, state, 1, failure=GONE)


@pytest.mark.parametrize("state", ["abnormal", "failed", "closed"])
async def test_what_may_have_been_paid_is_not_paid_to_another_account(site: Access, state: str) -> None:
    refund = await disputed(site, state)
    answer = await retry(site, refund, to_another_account(refund))
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_disputed")
    assert await read(site, refund) == refund
    again = await retried(site, refund, {**to_another_account(refund), "despite_dispute": True})
    assert (again["state"], again["other_account"]["account_ref"]) == ("requested", "acct-77")


@pytest.mark.parametrize("state", ["abnormal", "failed"])
async def test_the_way_that_it_came_stays_open(site: Access, state: str) -> None:
    """Under the same number a channel pays once, whatever was said."""
    again = await retried(site, await disputed(site, state))
    assert again["state"] == "requested"
