"""The secret that reports of refunds are signed with."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.dependencies import Once, Seals, Transaction, WebhooksCaller, once, refuse_unknown_parameters
from app.api.schemas.refunds import NewReportingSecretOut, ReportingSecretOut
from app.models.closed_sets import Scope
from app.rules.decision import instant
from app.services import reporting
from app.services.webhook_secrets import Secret

router = APIRouter(prefix="/v1/reporting-secret", tags=["refunds"], dependencies=[Depends(refuse_unknown_parameters)])


@router.get("", summary="结果签名设置 · Whether reports must be signed", response_model=ReportingSecretOut)
async def get_reporting_secret(connection: Transaction, caller: WebhooksCaller, sealer: Seals) -> Response:
    """Whether `POST /v1/refunds/{refund_id}/result` takes signed reports alone. 是否只接收经签名的退款结果。"""
    return json_answer(_shown(await reporting.secrets_of(connection, sealer, caller.site.site_id, now=caller.now)))


@router.post(
    "",
    summary="启用或轮换结果签名密钥 · Register or rotate the reporting secret",
    response_model=NewReportingSecretOut,
    responses={409: {"description": "有效密钥过多 · Five are valid already"}},
)
async def rotate_reporting_secret(
    connection: Transaction, request: Annotated[Once, Depends(once(Scope.WEBHOOKS, required=False))], sealer: Seals
) -> Response:
    """A new secret, shown this once; those before it count for 24 hours more. From the first one on, results must be
    signed: Standard Webhooks, HMAC-SHA256 over `webhook-id.webhook-timestamp.body`, within 5 minutes.

    生成新的签名密钥（仅显示一次），旧密钥再有效 24 小时。自首个密钥起，上报退款结果必须签名。
    """
    if request.replay is not None:
        return request.replay
    caller = request.caller
    secrets = await reporting.rotate(connection, sealer, caller.site.site_id, now=caller.now)
    return await request.answer({**_shown(secrets), "secret": secrets[0].text})


@router.delete("", status_code=204, summary="停用结果签名 · Take reports without signature again")
async def delete_reporting_secret(connection: Transaction, caller: WebhooksCaller) -> Response:
    """Reports need no signature from now on. 此后上报退款结果无需签名。"""
    await reporting.remove(connection, caller.site.site_id)
    return Response(status_code=204)


def _shown(secrets: list[Secret]) -> dict[str, Any]:
    return {
        "required": bool(secrets),
        "secrets": [None if secret.until is None else instant(secret.until) for secret in secrets],
    }
