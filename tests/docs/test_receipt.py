"""The program in `docs/receipt.md` comes to the hashes that the service answers with."""

import copy
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.api.schemas.adjudications import EXAMPLES
from app.rules.decision import decide, decision_document
from app.rules.presets import PRESETS
from app.store.engine import create_engine, transaction
from tests.docs.conftest import Service
from tests.docs.documents import code, text_of
from tests.rules.scenario import Scenario, load_all

FULL: dict[str, Any] = {
    "policy": "standard",
    "as_of": "2024-03-10T12:00:00.25+08:00",
    "claim": {"reason": "not_working", "filed_at": "2024-03-10T11:00:00Z", "description": "无法登录 “A”\n\u2028é"},
    "order": {
        "order_no": "A-1",
        "merchant_id": "m-7",
        "buyer_id": "b-9",
        "amount": 100,
        "currency": "CNY",
        "status": "delivered",
        "placed_at": "2024-03-09T10:00:00+08:00",
        "goods": {
            "sku": "s",
            "name": "会员月卡",
            "kind": "membership",
            "delivery_mode": "instant",
            "traits": ["trial", "account", "trial"],
            "terms": {"report_window": "P1DT1H1M1S"},
        },
    },
    "payments": [
        {
            "payment_no": "P-1",
            "channel": "alipay",
            "status": "succeeded",
            "amount": 100,
            "paid_at": "2024-03-09T02:00:30Z",
        }
    ],
    "deliveries": [{"delivery_no": "D-1", "delivered_at": "2024-03-09T10:02:00+08:00"}],
    "evidence": [{"kind": "error_screenshot", "party": "buyer", "captured_at": "2024-03-10T10:00:00+08:00"}],
    "merchant": {"merchant_id": "m-7", "response": {"position": "contest", "at": "2024-03-10T11:30:00+08:00"}},
}
# The same claim judged again, after all that can happen to a case.
UNDER_WAY: dict[str, Any] = {
    **FULL,
    "course": {
        "evidence_requested_at": "2024-03-10T10:00:00+08:00",
        "review_started_at": "2024-03-10T03:00:00.5Z",
        "resumed_at": "2024-03-10T02:30:00Z",
        "appealed_at": "2024-03-10T11:10:00+08:00",
        "ruling": {"outcome": "approve", "code": "goodwill", "at": "2024-03-10T11:55:00+08:00"},
    },
}


def _program() -> dict[str, Callable[..., str]]:
    names: dict[str, Callable[..., str]] = {}
    exec(code(text_of("docs/receipt.md"), "python")[0], names)
    return names


PROGRAM = _program()


@pytest.mark.parametrize("scenario", load_all(), ids=lambda scenario: scenario.id)
def test_the_program_finds_the_hash_of_every_scenario(scenario: Scenario) -> None:
    decision = decision_document(decide(scenario.facts, scenario.policy))
    assert PROGRAM["facts_sha256"](scenario.body, decision["judged_at"]) == decision["receipt"]["facts_sha256"]


async def test_the_program_finds_what_the_service_answers(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url, headers=service.headers) as api:
        policies = {each["name"]: each for each in (await api.get("/v1/policies")).json()["data"]}
        assert policies.keys() == PRESETS.keys()
        for body in (FULL, UNDER_WAY, *(example["value"] for example in EXAMPLES.values())):
            answer = (await api.post("/v1/adjudications", json=body)).raise_for_status().json()
            receipt = answer["receipt"]
            assert PROGRAM["facts_sha256"](body, answer["judged_at"]) == receipt["facts_sha256"]
            assert PROGRAM["policy_sha256"](policies[answer["policy"]["name"]]) == receipt["policy_sha256"]


async def test_a_stored_decision_can_be_checked_and_judged_again(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url, headers=service.headers) as api:
        await _file(api)
        facts, stored = await _stored(service)
        assert facts["course"] is None
        await _check(api, facts, stored)


async def test_a_stored_decision_of_a_case_under_way_can_be_judged_again(service: Service) -> None:
    """What happened in the case is among its facts, so that the limits that stand come out the same."""
    async with httpx.AsyncClient(base_url=service.url, headers=service.headers) as api:
        case_id = await _file(api)
        piece = {"kind": "order_record", "party": "buyer", "captured_at": "2024-03-10T11:00:00+08:00"}
        body = {"message": "请再看一次订单记录。", "evidence": [piece]}
        headers = {"Idempotency-Key": "receipt-2"}
        appealed = await api.post(f"/v1/cases/{case_id}/appeal", json=body, headers=headers)
        assert appealed.status_code == 200, appealed.text
        facts, stored = await _stored(service)
        assert json.loads(stored)["decisive_rule"] == "appeal-needs-a-person"
        assert facts["course"]["appealed_at"] == facts["as_of"]
        await _check(api, facts, stored)


async def _file(api: httpx.AsyncClient) -> str:
    body = {name: value for name, value in FULL.items() if name not in {"as_of", "policy", "merchant"}}
    filed = await api.post("/v1/cases", json=body, headers={"Idempotency-Key": "receipt-1"})
    assert filed.status_code == 201, filed.text
    return str(filed.json()["id"])


async def _check(api: httpx.AsyncClient, facts: dict[str, Any], stored: str) -> None:
    """The stored facts have the hash of the receipt, and judged again they give the stored bytes."""
    decision = json.loads(stored)
    assert PROGRAM["sha256_of"](facts) == decision["receipt"]["facts_sha256"]
    again = copy.deepcopy(facts)
    terms = again["order"]["goods"]["terms"]
    assert terms["report_window"] == 90_061
    terms["report_window"] = f"PT{terms['report_window']}S"
    again["policy"] = "{name}@{version}".format_map(decision["policy"])
    answer = await api.post("/v1/adjudications", json=again)
    assert answer.text == stored


async def _stored(service: Service) -> tuple[dict[str, Any], str]:
    engine = create_engine(service.config)
    async with transaction(engine) as connection:
        row = (
            await connection.execute(text("SELECT facts, body FROM decisions ORDER BY judged_at DESC LIMIT 1"))
        ).one()
    await engine.dispose()
    return json.loads(row.facts), row.body
