"""The OpenAPI 3.1 document: what FastAPI knows, with problems described as they are answered."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import MEDIA_TYPE, TITLES
from app.api.schemas.problems import ProblemOut
from app.api.webhook_examples import examples_of
from app.outbound.catalogue import EventType

TITLE: Final = "卡盟退款裁定服务 · Refund adjudicator"
VERSION: Final = "0.1.0"
SUMMARY: Final = "Explainable refund decisions for marketplaces of virtual goods (卡盟)"
DESCRIPTION: Final = """\
把订单、支付、发货与证据记录交给本服务，由规则判定能否退款，并给出任何人都能核对的理由、期限与凭据。
Send order, payment, delivery and evidence records; rules decide what is refundable, with reasons, deadlines and a
receipt that anyone can check.

**开始 · Begin**: press *Authorize*, enter the key that `./run serve` printed, open `POST /v1/adjudications`, choose an
example, press *Execute*.

**约定 · Conventions**: money is an integer in fen (分); times are RFC 3339 with an offset; unknown fields are refused;
errors are `application/problem+json` in Chinese, or in English with `Accept-Language: en`. Every `POST` takes an
`Idempotency-Key`; those that can move money require one. Webhooks are signed as
[Standard Webhooks](https://www.standardwebhooks.com).
"""
TAGS: Final = [
    {"name": "adjudications", "description": "试算 · Judge facts; nothing is stored."},
    {"name": "cases", "description": "案件 · Claims from filing to their end: evidence, answers, rulings, appeals."},
    {"name": "refunds", "description": "退款 · Money on its way back: instructions, results, retries."},
    {"name": "channels", "description": "支付渠道 · Accounts at channels that the service asks for refunds itself."},
    {"name": "records", "description": "记录 · Orders, payments, deliveries and merchants as the site knows them."},
    {"name": "webhooks", "description": "回调 · Where events go, what was sent, what came back."},
    {
        "name": "oversight",
        "description": "概览 · What waits for a person, how cases go, what the records show about good faith.",
    },
    {"name": "catalogue", "description": "目录 · Reasons, rules and policies, in both languages."},
    {"name": "health", "description": "健康检查 · Whether the service lives and can serve."},
]
# Those that can move money, each with a key of its own to try it with, since a key serves for one request. To the
# framework the header is optional, or it would answer for its absence by itself.
_KEYED: Final = {
    "/v1/cases": "claim-A-2002",
    "/v1/cases/{case_id}/merchant-response": "answer-A-1005",
    "/v1/cases/{case_id}/ruling": "ruling-A-1007",
    "/v1/refunds/{refund_id}/result": "result-A-1010",
    "/v1/refunds/{refund_id}/retry": "retry-A-1011",
    "/v1/refunds/{refund_id}/close": "close-A-1012",
    "/v1/merchants/{merchant_id}/deposit/entries": "top-up-2026-0001",
}
_METHODS: Final = ("get", "put", "post", "patch", "delete")


def install(app: FastAPI) -> None:
    """Let `app` describe itself with this module's document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of an application."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        webhooks=app.webhooks.routes,
        tags=TAGS,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["ProblemOut"] = problem
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for name, operations in document.get("webhooks", {}).items():
        _describe_webhook(name, operations["post"])
    for path, key in _KEYED.items():
        _require_key(document["paths"][path]["post"], key)
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                _describe_problems(path, operations[method])
    return document


def _require_key(operation: dict[str, Any], example: str) -> None:
    for parameter in operation["parameters"]:
        if parameter["name"] == "Idempotency-Key":
            parameter["required"] = True
            # The documentation page fills a field in from here, and not from the schema's examples.
            parameter["example"] = example


def _describe_webhook(name: str, operation: dict[str, Any]) -> None:
    # The framework's own answers are those of this service; a receiver gives others.
    for status in ("200", "422"):
        operation["responses"].pop(status, None)
    # Added here, since the framework leaves out what is null in an example.
    operation["requestBody"]["content"]["application/json"]["examples"] = examples_of(EventType(name))


def _describe_problems(path: str, operation: dict[str, Any]) -> None:
    """Every operation names the problems that it can answer with."""
    responses = operation["responses"]
    responses.pop("422", None)
    named = {int(status) for status in responses if status.startswith(("4", "5"))}
    for status in sorted(named | _statuses(path, operation)):
        title = " · ".join((TITLES[status]["zh-CN"], TITLES[status]["en"]))
        responses[str(status)] = {
            "description": responses.get(str(status), {}).get("description", title),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}},
        }


def _statuses(path: str, operation: dict[str, Any]) -> set[int]:
    if not path.startswith("/v1"):
        return {503}
    statuses = {401, 403, 422, 500, 503}
    if "{" in path:
        statuses.add(404)
    if "requestBody" in operation:
        statuses |= {400, 413, 415}
    parameters = {parameter["name"] for parameter in operation.get("parameters", ())}
    if "Idempotency-Key" in parameters:
        statuses |= {400, 409}
    if "If-Match" in parameters:
        statuses |= {400, 412}
    return statuses
