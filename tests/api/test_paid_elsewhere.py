"""Money that went back by another way is gone from its payment: nobody is granted it a second time."""

import secrets
from typing import Any

import pytest

from tests.api import bodies, living
from tests.api import reporting as r
from tests.api.conftest import Access
from tests.api.reporting import FEN, brought_to, in_two_payments, requested, taken
from tests.api.test_refund_repair import ELSEWHERE, NEVER, closed

SAID = {"code": "refunded_elsewhere", "message": "商家已手动退款"}
RULING = {"outcome": "approve", "code": "other", "text": "已核实", "by": "op-1"}


async def by_the_adapter(site: Access, refund: r.Refund) -> None:
    await taken(site, refund, "closed", failure=SAID)


async def by_a_person(site: Access, refund: r.Refund) -> None:
    await closed(site, await taken(site, refund, "failed"), ELSEWHERE)


WAYS = pytest.mark.parametrize("told", [by_the_adapter, by_a_person])


def another(**changes: Any) -> dict[str, Any]:
    """Another claim about the same order: of a reason that a person rules on. What is known of it is not told again."""
    body = bodies.filing()
    body["claim"] |= {"reason": "other", **changes}
    return {name: body[name] for name in ("claim", "evidence")} | {"order_no": "A-1001"}


async def filed(site: Access, **changes: Any) -> living.Case:
    answer = await site.post("/v1/cases", another(**changes), once=secrets.token_hex(8))
    assert answer.status_code == 201, answer.text
    case: living.Case = answer.json()
    return case


async def granted(site: Access, amount: int) -> tuple[int, Any]:
    """What a person's ruling comes to."""
    case = await filed(site, amount=amount)
    if case["status"] == "rejected":
        return 0, case["decision"]["decisive_rule"]
    body = {**RULING, "amount": amount}
    answer = await site.post(f"/v1/cases/{case['id']}/ruling", body, once=secrets.token_hex(8))
    if answer.status_code != 200:
        return 0, answer.json()["code"]
    return sum(each["amount"] for each in answer.json()["refunds"]), None


@WAYS
async def test_it_is_not_granted_again(site: Access, told: Any) -> None:
    refund = await requested(site)
    await told(site, refund)
    assert (await r.case_of(site, refund))["status"] == "refunded"
    assert (await granted(site, FEN))[0] == 0


async def test_what_was_closed_for_another_reason_is_free(site: Access) -> None:
    await closed(site, await brought_to(site, "failed"), NEVER)
    assert (await granted(site, FEN))[0] == FEN


@WAYS
async def test_told_by_the_site_as_well_it_counts_once(site: Access, told: Any) -> None:
    _, first, second = await in_two_payments(site)
    await taken(site, first, "succeeded")
    await told(site, second)
    payment = (await site.get(f"/v1/payments/{second['payment_no']}")).json()
    body = {name: payment[name] for name in ("order_no", "channel", "status", "amount", "paid_at")}
    for refunded in (second["amount"], second["amount"] - 1):
        answer = await site.put(f"/v1/payments/{second['payment_no']}", {**body, "refunded_amount": refunded})
        assert answer.status_code == 200, answer.text
    assert (await granted(site, 1))[0] == 0


@WAYS
async def test_what_had_gone_back_before_counts_beside_it(site: Access, told: Any) -> None:
    """The refund was granted on top of it, so that it cannot be the same money."""
    body = bodies.filing()
    body["payments"][0]["refunded_amount"] = 12_000
    body["claim"]["amount"] = None
    case = await living.filed(site, body, "approved")
    [shown] = case["refunds"]
    assert shown["amount"] == FEN - 12_000
    await told(site, await r.read(site, shown))
    assert (await granted(site, FEN - 12_000))[0] == 0
