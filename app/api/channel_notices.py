"""Where channels send their notices. The only calls of the service that need no key: what counts is the signature."""

from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from app.api.dependencies import Keys, Transaction
from app.errors import Busy, Malformed, NotFound, TooLarge, Unavailable
from app.ids import read
from app.outbound.channels.said import Notice
from app.services.channel_accounts import ACCOUNT
from app.services.channel_notices import take_in
from app.services.reconciling import raise_overdrawn
from app.store.engine import Engine

MOST_BYTES = 64 * 1024

# Channels call them, under addresses that they are given: nothing that a developer would try out.
router = APIRouter(prefix="/v1/channel-notices", include_in_schema=False)


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "已接收 · Taken, in the channel's own words"},
    401: {"description": "签名不符 · Not signed as it should be; nothing was changed"},
}


async def _received(
    site_id: Annotated[str, Path(description="站点编号.", examples=["site_01jcb0v8e4f5k9q6w1x2y3z4a5"])],
    account_id: Annotated[str, Path(description="账户编号.", examples=["ca_01jcb0v8e4f5k9q6w1x2y3z4a5"])],
    request: Request,
    connection: Transaction,
    keyring: Keys,
) -> Response:
    """The channel's answer; NotFound for an account that is not there."""
    site, account = read("site", site_id), read(ACCOUNT, account_id)
    if site is None or account is None:
        raise NotFound
    if len(request.query_params) != len(request.query_params.multi_items()):
        raise Malformed("query_ambiguous", en="A parameter was given twice.", zh="查询参数重复。")
    body = await request.body()
    if len(body) > MOST_BYTES:
        raise TooLarge(MOST_BYTES)
    notice = Notice(
        method=request.method,
        headers={name.lower(): ",".join(request.headers.getlist(name)) for name in request.headers},
        query=dict(request.query_params),
        body=body,
    )
    heard = await take_in(connection, keyring, site, account, notice)
    return Response(
        heard.reply.body,
        heard.reply.status,
        dict(heard.reply.headers),
        background=BackgroundTask(_raise, request.app.state.engine, site, heard.contradicted),
    )


async def _raise(engine: Engine, site_id: UUID, payment_no: str | None) -> None:
    """Promises of other cases hear of it once the notice is taken in. Should that be lost, the bill says it again."""
    if payment_no is not None:
        with suppress(Busy, Unavailable):
            await raise_overdrawn(engine, site_id, payment_no)


Received = Annotated[Response, Depends(_received)]


@router.post(
    "/{site_id}/{account_id}", summary="渠道通知 · A channel's notice", response_class=Response, responses=_ANSWERS
)
async def receive_notice(answer: Received) -> Response:
    """What a channel sends to the `notify_url` of a refund. Without the channel's signature it changes nothing, and an
    aggregator's is only a reason to ask.

    接收支付渠道的退款通知；验签不通过则不作任何更改，聚合渠道的通知只触发一次查询。
    """
    return answer


@router.get(
    "/{site_id}/{account_id}",
    summary="渠道通知（GET） · A channel's notice by GET",
    response_class=Response,
    responses=_ANSWERS,
)
async def receive_notice_by_get(answer: Received) -> Response:
    """The same for aggregators that send their notices as a query. 部分聚合渠道以 GET 方式发送通知。"""
    return answer
