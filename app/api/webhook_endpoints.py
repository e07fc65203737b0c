"""Webhook endpoints: registered, changed, tried out."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query
from starlette.responses import Response

from app.api.answers import entity_tag, json_answer
from app.api.dependencies import (
    ExpectedVersion,
    Once,
    Seals,
    Settings,
    Transaction,
    WebhooksCaller,
    once,
    refuse_unknown_parameters,
)
from app.api.pages import cursor_after, last_of
from app.api.recording import ETAG
from app.api.schemas.pages import PageQuery
from app.api.schemas.webhooks import (
    ENDPOINT_EXAMPLES,
    PATCH_EXAMPLES,
    EndpointIn,
    EndpointOut,
    EndpointPageOut,
    EndpointPatchIn,
    EndpointWithSecretOut,
    TrialSentOut,
)
from app.api.strict_route import StrictRoute
from app.config import Config, is_loopback
from app.errors import NotFound
from app.ids import read, show
from app.models.closed_sets import Scope
from app.services import endpoints
from app.services.endpoints import UNSET, AddressRules, Changes, NewEndpoint, WithSecret
from app.services.showing import EVENT
from app.services.showing_webhooks import ENDPOINT, endpoint_document

router = APIRouter(
    prefix="/v1/webhook-endpoints",
    tags=["webhooks"],
    route_class=StrictRoute,
    dependencies=[Depends(refuse_unknown_parameters)],
)

WITH_ETAG: dict[int | str, dict[str, Any]] = {200: {"description": "端点 · The endpoint", "headers": ETAG}}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"description": "状态冲突 · Conflict"}}

OnceForWebhooks = Annotated[Once, Depends(once(Scope.WEBHOOKS, required=False))]


async def _endpoint_id(
    endpoint_id: Annotated[str, Path(description="端点编号.", examples=["we_01jcb0v8e4f5k9q6w1x2y3z4a5"])],
) -> UUID:
    """The key behind the public id; what never was one is as absent as what is another site's."""
    found = read(ENDPOINT, endpoint_id)
    if found is None:
        raise NotFound
    return found


def _address_rules(config: Settings) -> AddressRules:
    return address_rules(config)


def address_rules(config: Config) -> AddressRules:
    """Which addresses may be registered under this configuration."""
    own_hosts = frozenset[str]() if is_loopback(config.host) else frozenset({config.host.lower()})
    return AddressRules(config.allow_loopback_webhooks, own_hosts, frozenset({config.port}))


Rules = Annotated[AddressRules, Depends(_address_rules)]


@router.post(
    "",
    status_code=201,
    summary="登记回调地址 · Register an endpoint",
    response_model=EndpointWithSecretOut,
    responses={201: {"description": "已登记 · Registered; the secret is shown this once", "headers": ETAG}},
)
async def register_endpoint(
    body: Annotated[EndpointIn, Body(openapi_examples=ENDPOINT_EXAMPLES)],
    connection: Transaction,
    request: OnceForWebhooks,
    sealer: Seals,
    rules: Rules,
) -> Response:
    """Register an address that events are sent to; the answer shows the secret that they are signed with, this once.

    登记接收事件的地址。签名密钥 `whsec_…` 仅在此处显示一次，请妥善保存。The address is checked now and again at every
    attempt; redirects are not followed.
    """
    if request.replay is not None:
        return request.replay
    wish = NewEndpoint(
        url=body.url,
        role=body.role,
        merchant_id=body.merchant_id,
        event_types=_tuple(body.event_types),
        channels=_tuple(body.channels),
        description=body.description,
    )
    caller = request.caller
    made = await endpoints.register(connection, sealer, caller.site, wish, rules, now=caller.now)
    place = f"/v1/webhook-endpoints/{show(ENDPOINT, made.endpoint.endpoint_id)}"
    return await _with_secret(request, made, 201, {"Location": place})


@router.get("", summary="端点列表 · List endpoints", response_model=EndpointPageOut)
async def page_of_endpoints(
    connection: Transaction, caller: WebhooksCaller, query: Annotated[PageQuery, Query()]
) -> Response:
    """Endpoints in the order of their registration. 按登记顺序列出回调端点。"""
    site_id, after = caller.site.site_id, last_of(query.cursor)
    rows = await endpoints.page(connection, site_id, limit=query.limit + 1, after=after)
    page = rows[: query.limit]
    last = page[-1].endpoint_id if len(rows) > query.limit else None
    return json_answer({"data": [endpoint_document(row) for row in page], "next_cursor": cursor_after(last)})


EndpointId = Annotated[UUID, Depends(_endpoint_id)]


@router.get("/{endpoint_id}", summary="查询端点 · Read an endpoint", response_model=EndpointOut, responses=WITH_ETAG)
async def get_endpoint(endpoint_id: EndpointId, connection: Transaction, caller: WebhooksCaller) -> Response:
    """One endpoint, without its secrets. 查询端点，不含签名密钥。"""
    row = await endpoints.get(connection, caller.site.site_id, endpoint_id)
    return json_answer(endpoint_document(row), headers={"ETag": entity_tag(row.version)})


@router.patch(
    "/{endpoint_id}",
    summary="修改端点 · Change an endpoint",
    response_model=EndpointOut,
    responses=WITH_ETAG,
)
async def change_endpoint(
    *,
    endpoint_id: EndpointId,
    body: Annotated[EndpointPatchIn, Body(openapi_examples=PATCH_EXAMPLES)],
    connection: Transaction,
    caller: WebhooksCaller,
    rules: Rules,
    expected: ExpectedVersion,
) -> Response:
    """Change what is named; the rest stays. 只修改所给字段。

    Disabling cancels what is on its way; enabling forgives the failures so far. 停用会取消待发送的事件。
    """
    row = await endpoints.change(
        connection, caller.site, endpoint_id, _changes(body), rules, now=caller.now, expected=expected
    )
    return json_answer(endpoint_document(row), headers={"ETag": entity_tag(row.version)})


@router.delete("/{endpoint_id}", status_code=204, summary="删除端点 · Delete an endpoint")
async def delete_endpoint(endpoint_id: EndpointId, connection: Transaction, caller: WebhooksCaller) -> Response:
    """Nothing more is sent to it; what was tried stays on record. 删除后不再发送，发送记录保留。"""
    await endpoints.remove(connection, caller.site.site_id, endpoint_id)
    return Response(status_code=204)


@router.post(
    "/{endpoint_id}/rotate-secret",
    summary="轮换签名密钥 · Rotate the secret",
    response_model=EndpointWithSecretOut,
    responses={200: {"description": "新密钥，仅显示一次 · The new secret, this once", "headers": ETAG}, **CONFLICT},
)
async def rotate_secret(
    endpoint_id: EndpointId, connection: Transaction, request: OnceForWebhooks, sealer: Seals
) -> Response:
    """A new secret, shown this once; for 24 hours both it and those before it sign. 24 小时内新旧密钥同时签名。"""
    if request.replay is not None:
        return request.replay
    caller = request.caller
    made = await endpoints.rotate_secret(connection, sealer, caller.site.site_id, endpoint_id, caller.now)
    return await _with_secret(request, made, 200, {})


@router.post(
    "/{endpoint_id}/test",
    status_code=202,
    summary="发送测试事件 · Send a test event",
    response_model=TrialSentOut,
    responses=CONFLICT,
)
async def send_test(endpoint_id: EndpointId, connection: Transaction, request: OnceForWebhooks) -> Response:
    """Send an event of the type `endpoint.test`; it goes the way of every event: signed, retried, recorded.

    发送一个类型为 `endpoint.test` 的事件，签名、重试与记录方式与正式事件相同，不代表任何业务。
    """
    if request.replay is not None:
        return request.replay
    site_id = request.caller.site.site_id
    event_id = await endpoints.send_test(connection, site_id, endpoint_id, request.caller.now)
    return await request.answer({"event_id": show(EVENT, event_id)}, 202)


async def _with_secret(request: Once, made: WithSecret, status: int, headers: dict[str, str]) -> Response:
    document = {**endpoint_document(made.endpoint), "secret": made.secret}
    return await request.answer(document, status, {**headers, "ETag": entity_tag(made.endpoint.version)})


def _changes(body: EndpointPatchIn) -> Changes:
    told = body.model_fields_set
    return Changes(
        url=body.url if "url" in told and body.url is not None else UNSET,
        event_types=_tuple(body.event_types) if "event_types" in told else UNSET,
        channels=_tuple(body.channels) if "channels" in told else UNSET,
        description=body.description if "description" in told and body.description is not None else UNSET,
        enabled=body.enabled if "enabled" in told and body.enabled is not None else UNSET,
    )


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(dict.fromkeys(values))
