"""Accounts at payment channels: with one, the service itself asks the channel for refunds."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path
from starlette.responses import Response

from app.api.answers import entity_tag, json_answer
from app.api.dependencies import (
    ChannelsCaller,
    ExpectedVersion,
    Once,
    Seals,
    Settings,
    Transaction,
    once,
    refuse_unknown_parameters,
)
from app.api.recording import ETAG
from app.api.schemas.channels import (
    ACCOUNT_EXAMPLES,
    ACCOUNT_PATCH_EXAMPLES,
    AccountIn,
    AccountOut,
    AccountPatchIn,
    AccountsOut,
)
from app.api.strict_route import StrictRoute
from app.config import Config
from app.errors import NotFound
from app.ids import read, show
from app.models.closed_sets import Scope
from app.services import channel_accounts
from app.services.channel_accounts import ACCOUNT, Changes, NewAccount, notify_url
from app.store.channels import AccountRow, ChannelStore

router = APIRouter(
    prefix="/v1/channel-accounts",
    tags=["channels"],
    route_class=StrictRoute,
    dependencies=[Depends(refuse_unknown_parameters)],
)

_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "账户 · The account", "headers": ETAG},
    409: {"description": "状态冲突 · Another account is enabled for the channel"},
}


async def _account_id(
    account_id: Annotated[str, Path(description="账户编号.", examples=["ca_01jcb0v8e4f5k9q6w1x2y3z4a5"])],
) -> UUID:
    found = read(ACCOUNT, account_id)
    if found is None:
        raise NotFound
    return found


AccountId = Annotated[UUID, Depends(_account_id)]


@router.post(
    "",
    status_code=201,
    summary="登记渠道账户 · Register a channel account",
    response_model=AccountOut,
    responses={201: {"description": "已登记 · Registered", "headers": ETAG}, 409: _ANSWER[409]},
)
async def register_account(
    body: Annotated[AccountIn, Body(openapi_examples=ACCOUNT_EXAMPLES)],
    connection: Transaction,
    request: Annotated[Once, Depends(once(Scope.CHANNELS, required=False))],
    sealer: Seals,
    config: Settings,
) -> Response:
    """From now on the service itself asks this channel for refunds: 微信支付 API v3, 支付宝, or an aggregator (易支付).

    登记后，该渠道的新退款由本服务直接发起并跟踪到账，不再发送给渠道适配器。凭据加密保存，不会再显示。The number of a
    payment (`payment_no`) must be the one under which it was started at the channel (`out_trade_no`).
    """
    if request.replay is not None:
        return request.replay
    wish = NewAccount(
        kind=body.kind,
        channel=body.channel,
        label=body.label,
        credentials=body.credentials.model_dump(exclude_none=True),
        enabled=body.enabled,
    )
    site_id = request.caller.site.site_id
    accounts = ChannelStore(connection, site_id)
    row = await channel_accounts.register(accounts, sealer, site_id, wish, now=request.caller.now)
    place = {"Location": f"/v1/channel-accounts/{show(ACCOUNT, row.account_id)}"}
    return await request.answer(_shown(row, site_id, config), 201, {**place, **_tag(row)})


@router.get("", summary="渠道账户列表 · List channel accounts", response_model=AccountsOut)
async def list_accounts(connection: Transaction, caller: ChannelsCaller, config: Settings) -> Response:
    """All accounts of the site, without their credentials. 列出渠道账户，不含凭据。"""
    site_id = caller.site.site_id
    rows = await ChannelStore(connection, site_id).all()
    return json_answer({"data": [_shown(row, site_id, config) for row in rows]})


@router.get(
    "/{account_id}", summary="查询渠道账户 · Read a channel account", response_model=AccountOut, responses=_ANSWER
)
async def get_account(
    account_id: AccountId, connection: Transaction, caller: ChannelsCaller, config: Settings
) -> Response:
    """One account, without its credentials. 查询渠道账户，不含凭据。"""
    row = await ChannelStore(connection, caller.site.site_id).get(account_id)
    return json_answer(_shown(row, caller.site.site_id, config), headers=_tag(row))


@router.patch(
    "/{account_id}", summary="修改渠道账户 · Change a channel account", response_model=AccountOut, responses=_ANSWER
)
async def change_account(
    *,
    account_id: AccountId,
    body: Annotated[AccountPatchIn, Body(openapi_examples=ACCOUNT_PATCH_EXAMPLES)],
    connection: Transaction,
    caller: ChannelsCaller,
    sealer: Seals,
    config: Settings,
    expected: ExpectedVersion,
) -> Response:
    """Change what is named: the label, whether it is enabled, its credentials. 只修改所给字段。"""
    site_id = caller.site.site_id
    changes = Changes(
        label=body.label,
        enabled=body.enabled,
        credentials=None if body.credentials is None else body.credentials.model_dump(exclude_none=True),
    )
    accounts = ChannelStore(connection, site_id)
    row = await channel_accounts.change(
        accounts, sealer, site_id, account_id, changes, now=caller.now, expected=expected
    )
    return json_answer(_shown(row, site_id, config), headers=_tag(row))


@router.delete(
    "/{account_id}",
    status_code=204,
    summary="删除渠道账户 · Delete a channel account",
    responses={409: {"description": "已有退款 · Refunds were asked for by it; disable it instead"}},
)
async def delete_account(account_id: AccountId, connection: Transaction, caller: ChannelsCaller) -> Response:
    """Delete an account that nothing was asked for by. 仅可删除未发起过退款的账户。"""
    await ChannelStore(connection, caller.site.site_id).delete(account_id)
    return Response(status_code=204)


def _shown(row: AccountRow, site_id: UUID, config: Config) -> dict[str, Any]:
    return {
        **channel_accounts.account_document(row),
        "notify_url": notify_url(config.public_url, site_id, row.account_id),
    }


def _tag(row: AccountRow) -> dict[str, str]:
    return {"ETag": entity_tag(row.version)}
