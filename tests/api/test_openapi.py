"""The OpenAPI document: valid, whole, in both languages, and true."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import pytest
import yaml
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.webhook_docs import BODIES
from app.outbound.catalogue import HEARD_BY
from app.services import sites
from app.services.example_cases import EXAMPLE_FILE_SIZE
from app.services.telling import TOLD_OF
from app.store.engine import transaction
from app.store.sites import database_now
from tests.api.conftest import Access
from tests.api.sending import Receiver, Sends
from tests.api.write_openapi import PLACE, as_text, document

SERVED: Final = document()
REGISTRY: Final[Registry[Any]] = Registry().with_resource("urn:served", DRAFT202012.create_resource(SERVED))
CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")
METHODS: Final = ("get", "put", "post", "patch", "delete")
PROBLEM: Final = "application/problem+json"

# In an order in which each finds what it speaks of.
STEPS: Final = (
    "put /v1/orders/{order_no}", "get /v1/orders/{order_no}",
    "put /v1/payments/{payment_no}", "get /v1/payments/{payment_no}",
    "put /v1/deliveries/{delivery_no}", "get /v1/deliveries/{delivery_no}",
    "put /v1/merchants/{merchant_id}", "get /v1/merchants/{merchant_id}",
    "post /v1/adjudications",
    "post /v1/webhook-endpoints", "get /v1/webhook-endpoints", "get /v1/webhook-endpoints/{endpoint_id}",
    "post /v1/webhook-endpoints/{endpoint_id}/test", "post /v1/webhook-endpoints/{endpoint_id}/rotate-secret",
    "post /v1/records",
    "post /v1/cases", "get /v1/cases", "get /v1/cases/{case_id}",
    "get /v1/reviews", "get /v1/signals", "get /v1/buyers/{buyer_id}/standing",
    "post /v1/cases/{case_id}/evidence", "put /v1/uploads/{upload_id}", "get /v1/cases/{case_id}/evidence/{n}/file",
    "post /v1/cases/{case_id}/merchant-response", "post /v1/cases/{case_id}/ruling",
    "post /v1/cases/{case_id}/appeal", "post /v1/cases/{case_id}/withdraw", "post /v1/cases/{case_id}/escalate",
    "get /v1/cases/{case_id}/decisions", "get /v1/cases/{case_id}/bundle", "get /v1/stats",
    "get /v1/refunds", "get /v1/refunds/{refund_id}",
    "post /v1/refunds/{refund_id}/result", "post /v1/refunds/{refund_id}/retry", "post /v1/refunds/{refund_id}/close",
    "get /v1/reconciliation", "get /v1/reconciliation.csv",
    "post /v1/reporting-secret", "get /v1/reporting-secret", "delete /v1/reporting-secret",
    "post /v1/channel-accounts", "get /v1/channel-accounts", "get /v1/channel-accounts/{account_id}",
    "patch /v1/channel-accounts/{account_id}", "delete /v1/channel-accounts/{account_id}",
    "get /v1/merchants/{merchant_id}/deposit", "post /v1/merchants/{merchant_id}/deposit/entries",
    "get /v1/merchants/{merchant_id}/deposit/entries",
    "get /v1/events", "get /v1/events/{event_id}", "post /v1/events/{event_id}/resend", "get /v1/webhook-attempts",
    "patch /v1/webhook-endpoints/{endpoint_id}", "delete /v1/webhook-endpoints/{endpoint_id}",
    "get /v1/reasons", "get /v1/rules", "get /v1/policies", "get /v1/signal-kinds", "get /healthz", "get /readyz",
)  # fmt: skip
# Examples that exclude each other: each ends what the others need, so that one of them is tried in one sandbox.
ALTERNATIVES: Final = (
    "post /v1/cases/{case_id}/merchant-response",
    "post /v1/cases/{case_id}/ruling",
    "post /v1/cases/{case_id}/withdraw",
    "post /v1/refunds/{refund_id}/result",
    "post /v1/refunds/{refund_id}/retry",
)
# What is answered with a file, and the types that it can have here.
FILES: Final = {
    "get /v1/cases/{case_id}/evidence/{n}/file": {"text/plain"},
    "get /v1/cases/{case_id}/bundle": {"application/zip"},
    "get /v1/reconciliation.csv": {"text/csv"},
}
BYTES: Final = "application/octet-stream"


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """`("get /v1/cases", …)` for each operation."""
    for path, methods in SERVED["paths"].items():
        yield from ((f"{method} {path}", methods[method]) for method in METHODS if method in methods)


def validator_at(*steps: str) -> Draft202012Validator:
    """Checks against the schema at one place in the document."""
    pointer = "/".join(quote(step.replace("~", "~0").replace("/", "~1"), safe="~") for step in steps)
    return Draft202012Validator(
        {"$ref": f"urn:served#/{pointer}"}, registry=REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def examples_of(operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {name: each["value"] for name, each in content.get("examples", {}).items()}


def takes_bytes(operation: dict[str, Any]) -> bool:
    """A file has no example in the document."""
    return BYTES in operation.get("requestBody", {}).get("content", {})


def test_the_document_is_valid_openapi_3_1() -> None:
    assert SERVED["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(SERVED).iter_errors()] == []


def test_the_file_is_what_is_served() -> None:
    written = PLACE.read_text(encoding="utf-8")
    assert written == as_text(SERVED), "run: python -m tests.api.write_openapi"
    assert yaml.safe_load(written) == SERVED


async def test_what_is_served_is_the_document(client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).json() == SERVED


def test_every_operation_says_what_it_is_for() -> None:
    names = set()
    for name, operation in [*operations(), *((key, each["post"]) for key, each in SERVED["webhooks"].items())]:
        assert CHINESE.search(operation["summary"]), name
        assert re.search("[a-z]{3}", operation["summary"]), name
        assert CHINESE.search(operation["description"]), name
        assert re.search("[a-z]{3} [a-z]{2}", operation["description"]), name
        assert set(operation["tags"]) <= {tag["name"] for tag in SERVED["tags"]}, name
        names.add(operation["operationId"])
    assert len(names) == len(list(operations())) + len(SERVED["webhooks"])


def test_every_parameter_is_described_in_both_languages() -> None:
    for name, operation in operations():
        for parameter in operation.get("parameters", ()):
            assert CHINESE.search(parameter["description"]), (name, parameter["name"])


def test_every_body_has_an_example_that_its_schema_accepts() -> None:
    checked = 0
    for name, operation in operations():
        if "requestBody" not in operation:
            continue
        method, path = name.split(" ")
        if takes_bytes(operation):
            assert operation["requestBody"]["content"] == {BYTES: {"schema": {"type": "string", "format": "binary"}}}
            continue
        validator = validator_at("paths", path, method, "requestBody", "content", "application/json", "schema")
        assert examples_of(operation), name
        for key, example in examples_of(operation).items():
            assert [error.message for error in validator.iter_errors(example)] == [], (name, key)
            checked += 1
        assert not validator.is_valid(17), name
    assert checked > 15


def test_every_operation_names_its_problems() -> None:
    for name, operation in operations():
        problems = {status: answer["content"] for status, answer in operation["responses"].items() if status >= "400"}
        expected = {"401", "403", "422", "500", "503"} if " /v1/" in name else {"503"}
        assert expected <= problems.keys(), name
        for status, content in problems.items():
            assert content == {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}, (name, status)
    assert "HTTPValidationError" not in as_text(SERVED)


def test_every_public_field_is_described_in_chinese() -> None:
    schemas = SERVED["components"]["schemas"]
    for name, schema in schemas.items():
        assert CHINESE.search(schema.get("description", "")) or "properties" in schema, name
        for field, described in schema.get("properties", {}).items():
            target = described.get("$ref", "").rpartition("/")[2]
            text = described.get("description", "") + schemas.get(target, {}).get("description", "")
            assert CHINESE.search(text), f"{name}.{field}"


def test_the_webhooks_are_those_that_are_sent_now() -> None:
    on_judging = {"case.filed", "refund.requested", "buyer.restriction_recommended", *TOLD_OF.values()}
    by_the_parties = {"case.appealed", "case.withdrawn"}
    by_time = {"case.lapsed", "case.deadline_approaching", "case.deadline_missed"}
    of_refunds = {f"refund.{each}" for each in ("succeeded", "failed", "abnormal", "overdue", "conflict")}
    other = of_refunds | {"merchant.deposit_deducted", "endpoint.test"}
    assert set(SERVED["webhooks"]) == on_judging | by_the_parties | by_time | other == set(BODIES)


def test_every_webhook_shows_what_each_role_gets() -> None:
    for name, operations_of_it in SERVED["webhooks"].items():
        operation = operations_of_it["post"]
        examples = examples_of(operation)
        roles = {role.value for role, types in HEARD_BY.items() if name in types}
        assert examples.keys() == roles
        validator = validator_at("webhooks", name, "post", "requestBody", "content", "application/json", "schema")
        for key, example in examples.items():
            assert [error.message for error in validator.iter_errors(example)] == [], (name, key)
            assert example["type"] == name
            assert not validator.is_valid({**example, "more": 1})
        headers = {each["name"]: each for each in operation["parameters"]}
        assert headers.keys() == {"webhook-id", "webhook-timestamp", "webhook-signature"}
        assert all(each["in"] == "header" and each["required"] for each in headers.values())
        assert {"2XX", "410", "default"} <= operation["responses"].keys()
        assert all(f"`{role}`" in operation["description"] for role in roles)


def test_every_webhook_speaks_of_its_own_outcome() -> None:
    statuses = {
        name: examples_of(each["post"])["site"]["data"].get("status") for name, each in SERVED["webhooks"].items()
    }
    assert statuses == {
        "case.filed": "approved",
        "case.evidence_requested": "awaiting_evidence",
        "case.merchant_turn": "awaiting_merchant",
        "case.approved": "approved",
        "case.rejected": "rejected",
        "case.review_needed": "in_review",
        "case.waiting": "waiting",
        "case.appealed": "appealed",
        "case.lapsed": "lapsed",
        "case.withdrawn": "withdrawn",
        "case.deadline_approaching": "awaiting_merchant",
        "case.deadline_missed": "in_review",
        "refund.requested": None,
        "refund.succeeded": None,
        "refund.failed": None,
        "refund.abnormal": None,
        "refund.overdue": None,
        "refund.conflict": None,
        "merchant.deposit_deducted": None,
        "buyer.restriction_recommended": None,
        "endpoint.test": None,
    }


@pytest.fixture
async def sandbox(client: httpx.AsyncClient, engine: AsyncEngine) -> Access:
    """What a newcomer has who follows the documentation."""
    async with transaction(engine) as connection:
        site, key = await sites.open_sandbox(connection, None, now=await database_now(connection))
    return Access(site.site_id, key, client)


async def test_the_sandbox_has_the_case_and_the_event_that_the_documentation_names(sandbox: Access) -> None:
    for path, field in (("/v1/cases/{case_id}", "case_id"), ("/v1/events/{event_id}", "event_id")):
        [parameter] = [each for each in SERVED["paths"][path]["get"]["parameters"] if each["name"] == field]
        answer = await sandbox.get(path.replace(f"{{{field}}}", _path_example(parameter)))
        assert answer.status_code == 200, answer.text


class Walk:
    """Every operation with every example, as a reader of the documentation would try them.

    `turn`: which of the examples that exclude each other, counted from 0 and then again.
    """

    def __init__(self, site: Access, engine: AsyncEngine, turn: int = 0) -> None:
        self._site = site
        self._send = Sends(engine)
        self._turn = turn
        self._keys = count()
        self._known: dict[str, str] = {}
        self._filed = ""
        self.answers = 0

    async def take(self, name: str, operation: dict[str, Any]) -> None:
        """One step with each example that can be tried in this walk."""
        examples = list(examples_of(operation).values()) or [None]
        if name in ALTERNATIVES:
            examples = [examples[self._turn % len(examples)]]
        for example in examples:
            answer = await self._sent(name, operation, example)
            assert answer.is_success, (name, example, answer.text)
            validate_answer(name, answer)
            self._learn(name, answer)
            self.answers += 1

    async def refused(self, name: str, operation: dict[str, Any]) -> None:
        """The same without a key, and with an unknown parameter."""
        method, path = self._address(name, operation)
        for answer in (await self._site.http.request(method, path), await self._site.call(method, f"{path}?odd=1")):
            assert answer.status_code in ({401, 422} if path.startswith("/v1") else {200})
            validate_answer(name, answer)

    async def without_a_key(self, name: str, operation: dict[str, Any]) -> httpx.Response:
        """The first example, without an idempotency key."""
        method, path = self._address(name, operation)
        return await self._site.call(method, path, json=next(iter(examples_of(operation).values()), None))

    async def _sent(self, name: str, operation: dict[str, Any], example: Any) -> httpx.Response:
        if name.startswith("get /v1/events") or name.endswith("/resend"):
            await self._send(Receiver())
        method, path = self._address(name, operation)
        headers = {"Idempotency-Key": f"walk-{next(self._keys)}"} if method == "post" else {}
        body = {"content": b"x" * EXAMPLE_FILE_SIZE} if takes_bytes(operation) else {"json": example}
        return await self._site.call(method, path, headers=headers, **body)

    def _address(self, name: str, operation: dict[str, Any]) -> tuple[str, str]:
        method, path = name.split(" ")
        asked = {}
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                name = parameter["name"]
                path = path.replace(f"{{{name}}}", self._known.get(name) or _path_example(parameter))
            if parameter["in"] == "query" and parameter["required"]:
                asked[parameter["name"]] = _path_example(parameter)
        return method, f"{path}?{urlencode(asked)}" if asked else path

    def _learn(self, name: str, answer: httpx.Response) -> None:
        """Ids that the service minted take the place of the document's, where only they are heard by an endpoint."""
        if name == "post /v1/webhook-endpoints":
            self._known.setdefault("endpoint_id", answer.json()["id"])
        if name == "post /v1/channel-accounts":
            self._known.setdefault("account_id", answer.json()["id"])
        if name == "post /v1/cases":
            self._filed = self._filed or answer.json()["id"]
        if name == "get /v1/events":
            told = [each for each in answer.json()["data"] if each["case_id"] == self._filed]
            self._known["event_id"] = told[-1]["id"]


def _path_example(parameter: dict[str, Any]) -> str:
    if "examples" in parameter:
        return next(str(each["value"]) for each in parameter["examples"].values())
    return str(parameter["schema"]["examples"][0])


def validate_answer(name: str, answer: httpx.Response) -> None:
    """The status is documented, and so is all that the body holds."""
    method, path = name.split(" ")
    responses = SERVED["paths"][path][method]["responses"]
    assert str(answer.status_code) in responses, (name, answer.status_code)
    if answer.status_code == 204:
        assert answer.content == b""
        return
    kind, _, parameter = answer.headers["content-type"].partition("; ")
    if kind in FILES.get(name, ()) and answer.is_success:
        is_text = kind.startswith("text/")
        form = {"type": "string"} if kind == "text/csv" else {"type": "string", "format": "binary"}
        assert responses["200"]["content"][kind] == {"schema": form}
        assert (answer.status_code, parameter) == (200, "charset=utf-8" if is_text else "")
        assert answer.headers["content-disposition"].startswith("attachment; ")
        return
    assert kind == ("application/json" if answer.is_success else PROBLEM), name
    validator = validator_at("paths", path, method, "responses", str(answer.status_code), "content", kind, "schema")
    assert [error.message for error in validator.iter_errors(answer.json())] == [], name
    for header in responses[str(answer.status_code)].get("headers", ()):
        assert header in answer.headers, (name, header)


@pytest.mark.parametrize("turn", range(3))
async def test_every_example_works_and_is_answered_as_documented(
    sandbox: Access, engine: AsyncEngine, turn: int
) -> None:
    described = dict(operations())
    assert sorted(STEPS) == sorted(described)
    walk = Walk(sandbox, engine, turn)
    for name in STEPS:
        await walk.take(name, described[name])
    assert walk.answers > len(STEPS)


async def test_the_sandbox_s_cases_go_on_as_a_newcomer_expects(sandbox: Access) -> None:
    """The documentation's evidence counts, however late it is tried, and each step leads somewhere."""
    case = await _tried(sandbox, "post /v1/cases/{case_id}/evidence", "chat_log")
    assert (case["status"], case["decision"]["evidence"]["missing"]) == ("awaiting_evidence", ["error_screenshot"])
    [awaited] = [each["file"]["upload"] for each in case["evidence"] if each["file"] is not None]
    assert (await sandbox.call("PUT", awaited["url"], content=b"x" * EXAMPLE_FILE_SIZE)).status_code == 201
    assert (await sandbox.get(f"/v1/cases/{case['id']}")).json()["status"] == "awaiting_merchant"
    contested = await _tried(sandbox, "post /v1/cases/{case_id}/merchant-response", "contest")
    appealed = await _tried(sandbox, "post /v1/cases/{case_id}/appeal", "appeal")
    assert (contested["status"], appealed["status"]) == ("in_review", "appealed")
    for each in (case, contested, appealed):
        assert each["decision"]["evidence"]["discounted"] == []


async def _tried(site: Access, name: str, example: str) -> dict[str, Any]:
    """The case as it stands after one example."""
    operation = dict(operations())[name]
    [parameter] = [each for each in operation["parameters"] if each["name"] == "case_id"]
    path = name.removeprefix("post ").replace("{case_id}", _path_example(parameter))
    answer = await site.post(path, examples_of(operation)[example], once=example)
    assert answer.status_code == 200, answer.text
    case: dict[str, Any] = answer.json()
    return case


def test_three_walks_try_every_example() -> None:
    described = dict(operations())
    assert max(len(examples_of(described[name])) for name in ALTERNATIVES) == 3


async def test_refusals_are_answered_as_documented(sandbox: Access, engine: AsyncEngine) -> None:
    walk = Walk(sandbox, engine)
    for name, operation in operations():
        await walk.refused(name, operation)


async def test_a_key_is_documented_as_required_where_it_is(sandbox: Access, engine: AsyncEngine) -> None:
    walk, required, filled_in = Walk(sandbox, engine), set(), []
    for name, operation in operations():
        keys = [each for each in operation.get("parameters", ()) if each["name"] == "Idempotency-Key"]
        assert len(keys) == name.startswith("post "), name
        if keys:
            answer = await walk.without_a_key(name, operation)
            assert (answer.status_code == 400) == keys[0]["required"], name
            required.add(keys[0]["required"])
            filled_in += [keys[0]["example"]] if keys[0]["required"] else []
    assert required == {True, False}
    # The page fills them in, and a key that has served for one request is refused for another.
    assert len(set(filled_in)) == len(filled_in) == 7


async def test_a_running_app_describes_itself_alike(app: FastAPI) -> None:
    assert app.openapi() == SERVED
