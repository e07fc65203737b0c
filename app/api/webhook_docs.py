"""The webhooks for OpenAPI: what is sent now, to whom, signed how. Nothing here is ever called."""

from collections.abc import Iterable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, FastAPI, Header
from starlette.responses import Response

from app.api.schemas.refund_bodies import (
    MerchantDepositDeducted,
    RefundAbnormal,
    RefundConflict,
    RefundFailed,
    RefundOverdue,
    RefundRequested,
    RefundSucceeded,
)
from app.api.schemas.webhook_bodies import (
    BuyerRestrictionRecommended,
    CaseAppealed,
    CaseApproved,
    CaseDeadlineApproaching,
    CaseDeadlineMissed,
    CaseEvidenceRequested,
    CaseFiled,
    CaseLapsed,
    CaseMerchantTurn,
    CaseRejected,
    CaseReviewNeeded,
    CaseWaiting,
    CaseWithdrawn,
    EndpointTest,
    Envelope,
)
from app.outbound.catalogue import DESCRIPTIONS, HEARD_BY, EndpointRole, EventType

BODIES: Final[dict[EventType, type[Envelope]]] = {
    EventType.CASE_FILED: CaseFiled,
    EventType.CASE_EVIDENCE_REQUESTED: CaseEvidenceRequested,
    EventType.CASE_MERCHANT_TURN: CaseMerchantTurn,
    EventType.CASE_APPROVED: CaseApproved,
    EventType.CASE_REJECTED: CaseRejected,
    EventType.CASE_REVIEW_NEEDED: CaseReviewNeeded,
    EventType.CASE_WAITING: CaseWaiting,
    EventType.CASE_APPEALED: CaseAppealed,
    EventType.CASE_LAPSED: CaseLapsed,
    EventType.CASE_WITHDRAWN: CaseWithdrawn,
    EventType.CASE_DEADLINE_APPROACHING: CaseDeadlineApproaching,
    EventType.CASE_DEADLINE_MISSED: CaseDeadlineMissed,
    EventType.REFUND_REQUESTED: RefundRequested,
    EventType.REFUND_SUCCEEDED: RefundSucceeded,
    EventType.REFUND_FAILED: RefundFailed,
    EventType.REFUND_ABNORMAL: RefundAbnormal,
    EventType.REFUND_OVERDUE: RefundOverdue,
    EventType.REFUND_CONFLICT: RefundConflict,
    EventType.MERCHANT_DEPOSIT_DEDUCTED: MerchantDepositDeducted,
    EventType.BUYER_RESTRICTION_RECOMMENDED: BuyerRestrictionRecommended,
    EventType.ENDPOINT_TEST: EndpointTest,
}
_ROLES: Final = {EndpointRole.SITE: "站点", EndpointRole.MERCHANT: "商家", EndpointRole.CHANNEL: "支付渠道"}
_VERIFY: Final = """\
签名方式为 Standard Webhooks：以端点密钥对 `webhook-id.webhook-timestamp.请求体` 计算 HMAC-SHA256。请先验签，再以
`webhook-id` 去重，然后尽快返回 2xx；重定向视为失败，410 立即停用端点，429 与 503 会放慢重试。

Signed as Standard Webhooks. Verify the signature over the bytes as they came, tell repetitions by `webhook-id`, and
answer 2xx soon: only that is success. Anything else is tried again for three days; 410 disables the endpoint."""
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    "2XX": {"description": "已接收 · Received."},
    "410": {"description": "端点已弃用 · Gone: the endpoint is disabled at once."},
    "default": {"description": "失败，将重试 · A failure: the event is sent again later."},
}


def _signed(
    webhook_id: Annotated[
        str,
        Header(
            alias="webhook-id",
            description="事件编号 · The same on every attempt.",
            examples=["evt_01kk82yfc0e008000000000004"],
        ),
    ],
    webhook_timestamp: Annotated[
        str,
        Header(
            alias="webhook-timestamp",
            description="发送时间 · Of this attempt, in seconds since 1970; refuse what is older than 5 minutes.",
            examples=["1773025200"],
        ),
    ],
    webhook_signature: Annotated[
        str,
        Header(
            alias="webhook-signature",
            description="签名 · `v1,` and the Base64 of the HMAC-SHA-256; one for each valid secret, space between.",
            examples=["v1,vZ0mUlSbRJxkWcQ0nLw4FvF5SYc4nRkqIyqVt7rJz1g="],
        ),
    ],
) -> None:
    """The three headers of Standard Webhooks."""


def install(app: FastAPI) -> None:
    """Let `app` describe every event that is sent."""
    for event_type, body in BODIES.items():
        _describe(app.webhooks, event_type, body)


def _describe(webhooks: APIRouter, event_type: EventType, body: type[Envelope]) -> None:
    async def told(event: Envelope) -> None:
        """Stands for the receiver."""

    told.__annotations__["event"] = Annotated[body, Body()]
    text = DESCRIPTIONS[event_type]
    webhooks.add_api_route(
        event_type.value,
        told,
        methods=["POST"],
        name=event_type.value.replace(".", "_"),
        tags=["webhooks"],
        summary=f"{text.zh.removesuffix('。')} · {text.en}",
        description=f"发给 · Sent to: {_heard_by(event_type)}\n\n{_VERIFY}",
        response_class=Response,
        responses=_ANSWERS,
        dependencies=[Depends(_signed)],
    )


def _heard_by(event_type: EventType) -> str:
    def words() -> Iterable[str]:
        for role, types in HEARD_BY.items():
            if event_type in types:
                yield f"{_ROLES[role]} `{role.value}`"

    return "、".join(words())
