"""`POST /v1/adjudications` over HTTP: every scenario agrees, nothing is stored, the bytes never change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.schemas.adjudications import EXAMPLES, NOT_DELIVERED
from app.rules.catalogue import RULE_OF
from app.rules.facts import RULING_CODES, Ruled, RulingCode
from app.store.engine import transaction
from app.store.sites import SiteStore
from tests.api.conftest import Access
from tests.rules.scenario import differences, load_all

PATH = "/v1/adjudications"


async def judged(site: Access, body: dict[str, Any], **options: Any) -> dict[str, Any]:
    answer = await site.post(PATH, body, **options)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_every_scenario_agrees_over_http(site: Access) -> None:
    wrong: list[str] = []
    scenarios = load_all()
    for scenario in scenarios:
        decision = await judged(site, scenario.body)
        wrong += [f"{scenario.id}: {difference}" for difference in differences(scenario.expect, decision)]
    assert len(scenarios) > 100
    assert wrong == []


@pytest.mark.parametrize("name", EXAMPLES)
async def test_each_example_of_the_documentation_is_judged(site: Access, name: str) -> None:
    await judged(site, EXAMPLES[name]["value"])


async def test_the_same_facts_give_the_same_bytes_whatever_the_language(site: Access) -> None:
    answers = [
        await site.post(PATH, NOT_DELIVERED, headers={"Accept-Language": language})
        for language in ("zh-CN", "en", "zh-CN")
    ]
    assert len({answer.content for answer in answers}) == 1


async def test_nothing_is_stored(site: Access, engine: AsyncEngine) -> None:
    await judged(site, NOT_DELIVERED)
    async with engine.connect() as connection:
        for table in ("cases", "orders", "payments", "events", "idempotency_keys", "record_versions"):
            assert await connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table


async def test_explain_full_adds_every_rule_that_did_not_fire_with_why(site: Access) -> None:
    plain = await judged(site, NOT_DELIVERED)
    full = await judged(site, NOT_DELIVERED, params={"explain": "full"})
    idle = {rule["rule"] for rule in full.pop("idle_rules")}
    assert full == plain
    assert idle.isdisjoint(finding["rule"] for finding in plain["findings"])
    # The last resort is looked at and found, but shown only where it decides.
    assert len(idle) > len(RULE_OF) / 2


async def test_without_as_of_it_is_judged_now(site: Access) -> None:
    body = {name: value for name, value in NOT_DELIVERED.items() if name != "as_of"}
    judged_at = datetime.fromisoformat((await judged(site, body))["judged_at"])
    assert abs(judged_at - datetime.now(UTC)) < timedelta(minutes=5)


async def test_without_a_policy_the_site_s_own_of_the_time_of_the_order_judges(
    site: Access, engine: AsyncEngine
) -> None:
    placed_at = datetime.fromisoformat(NOT_DELIVERED["order"]["placed_at"])
    async with transaction(engine) as connection:
        await SiteStore(connection, site.site_id).activate_policy("binghui", 1, placed_at + timedelta(seconds=1))
    body = {name: value for name, value in NOT_DELIVERED.items() if name != "policy"}
    assert (await judged(site, body))["policy"]["name"] == "standard"
    body = {**body, "order": {**body["order"], "placed_at": (placed_at + timedelta(seconds=1)).isoformat()}}
    assert (await judged(site, body))["policy"]["name"] == "binghui"


@pytest.mark.parametrize("reference", ["standard", "standard@1"])
async def test_a_policy_is_named_with_or_without_its_version(site: Access, reference: str) -> None:
    decision = await judged(site, {**NOT_DELIVERED, "policy": reference})
    assert decision["policy"] == {"name": "standard", "version": 1}


@pytest.mark.parametrize(
    "reference",
    ["recharge@0", "recharge@2", "recharge@999999999999", "recharge@", "../x", "@1", "Recharge", "", "nobody"],
)
async def test_a_policy_that_does_not_exist_is_refused_at_its_place(site: Access, reference: str) -> None:
    answer = await site.post(PATH, {**NOT_DELIVERED, "policy": reference})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/policy"]


RULED = {"outcome": "approve", "code": "goodwill", "at": "2026-03-09T11:30:00+08:00"}


async def test_what_a_person_ruled_decides(site: Access) -> None:
    decision = await judged(site, _changed(course={"ruling": {**RULED, "amount": 5000}}))
    assert (decision["outcome"], decision["decisive_rule"]) == ("approve", "granted-by-a-person")
    assert (decision["refund"]["amount"], decision["refund"]["funding"]) == (5000, "platform")
    assert decision["liability"] == "none"
    refused = {"outcome": "reject", "code": "goods_delivered", "at": RULED["at"]}
    decision = await judged(site, _changed(course={"ruling": refused, "appealed_at": RULED["at"]}))
    assert (decision["outcome"], decision["decisive_rule"]) == ("reject", "refused-by-a-person")
    assert "appeal" not in {each["action"] for each in decision["next"]}


@pytest.mark.parametrize("code", RulingCode)
@pytest.mark.parametrize("outcome", Ruled)
async def test_a_ruling_has_a_code_of_its_own_outcome(site: Access, outcome: Ruled, code: RulingCode) -> None:
    answer = await site.post(PATH, _changed(course={"ruling": {"outcome": outcome, "code": code, "at": RULED["at"]}}))
    if code in RULING_CODES[outcome]:
        assert answer.json()["outcome"] == outcome
    else:
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/course/ruling/code"]


async def test_no_course_and_a_null_one_are_the_same_and_an_empty_one_comes_to_the_same(site: Access) -> None:
    left_out, null, empty = [
        await judged(site, body) for body in (NOT_DELIVERED, _changed(course=None), _changed(course={}))
    ]
    assert left_out == null
    assert null["receipt"].pop("facts_sha256") != empty["receipt"].pop("facts_sha256")
    assert null == empty


def _changed(**changes: Any) -> dict[str, Any]:
    return {**NOT_DELIVERED, **changes}


PAYMENT = NOT_DELIVERED["payments"][0]
ORDER = NOT_DELIVERED["order"]
_RULING = "/course/ruling"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": (_changed(amout=1), "/amout"),
    "an unknown field deep inside": (_changed(claim={**NOT_DELIVERED["claim"], "amout": 1}), "/claim/amout"),
    "a proto": (_changed(order={**ORDER, "__proto__": {}}), "/order/__proto__"),
    "an amount as text": (_changed(claim={**NOT_DELIVERED["claim"], "amount": "20000"}), "/claim/amount"),
    "an amount of nothing": (_changed(claim={**NOT_DELIVERED["claim"], "amount": 0}), "/claim/amount"),
    "an amount as true": (_changed(claim={**NOT_DELIVERED["claim"], "amount": True}), "/claim/amount"),
    "half a fen": (_changed(claim={**NOT_DELIVERED["claim"], "amount": 19.5}), "/claim/amount"),
    "more refunded than paid": (_changed(payments=[{**PAYMENT, "refunded_amount": 20001}]), "/payments/0"),
    "one payment twice": (_changed(payments=[PAYMENT, PAYMENT]), ""),
    "another currency": (_changed(order={**ORDER, "currency": "USD"}), "/order/currency"),
    "no order": (_changed(order=None), ""),
    "another merchant": (_changed(merchant={"merchant_id": "m-8"}), ""),
    "a time without an offset": (_changed(as_of="2026-03-09T12:00:00"), "/as_of"),
    "a year that is too late": (_changed(as_of="2101-01-01T00:00:00Z"), "/as_of"),
    "a window of nothing": (
        _changed(order={**ORDER, "goods": {**ORDER["goods"], "terms": {"report_window": "PT0S"}}}),
        "/order/goods/terms/report_window",
    ),
    "strikes below nothing": (_changed(buyer={"strikes": -5}), "/buyer/strikes"),
    "a course that is a list": (_changed(course=[]), "/course"),
    "a course of another shape": (_changed(course={"appealed": True}), "/course/appealed"),
    "an appeal without an offset": (_changed(course={"appealed_at": "2026-03-09T12:00:00"}), "/course/appealed_at"),
    "a ruling without its time": (
        _changed(course={"ruling": {"outcome": "approve", "code": "other"}}),
        _RULING + "/at",
    ),
    "a ruling to wait": (_changed(course={"ruling": {**RULED, "outcome": "wait"}}), _RULING + "/outcome"),
    "a ruling for a whim": (_changed(course={"ruling": {**RULED, "code": "whim"}}), _RULING + "/code"),
    "a ruling of nothing": (_changed(course={"ruling": {**RULED, "amount": 0}}), _RULING + "/amount"),
    "a ruling of too much": (_changed(course={"ruling": {**RULED, "amount": 10**12 + 1}}), _RULING + "/amount"),
    "a ruling of half a fen": (_changed(course={"ruling": {**RULED, "amount": 0.5}}), _RULING + "/amount"),
    "a refusal with an amount": (
        _changed(course={"ruling": {**RULED, "outcome": "reject", "code": "other", "amount": 1}}),
        _RULING + "/amount",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_meant_is_refused_at_its_place(site: Access, name: str) -> None:
    body, pointer = REFUSED[name]
    answer = await site.post(PATH, body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


async def test_a_free_order_has_nothing_to_refund(site: Access) -> None:
    decision = await judged(site, _changed(order={**ORDER, "amount": 0}, payments=[]))
    assert (decision["outcome"], decision["decisive_rule"]) == ("reject", "nothing-to-refund")


async def test_a_thousand_payments_of_the_largest_amount_add_up_exactly(site: Access) -> None:
    payments = [{**PAYMENT, "payment_no": f"P-{n}", "amount": 10**12} for n in range(1000)]
    claim = {"reason": "not_delivered", "filed_at": NOT_DELIVERED["claim"]["filed_at"]}
    decision = await judged(site, _changed(claim=claim, payments=payments))
    assert decision["refund"]["amount"] == 10**15
    assert sum(share["amount"] for share in decision["refund"]["allocations"]) == 10**15
