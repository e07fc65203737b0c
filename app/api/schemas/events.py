"""Bodies of events and of the attempts to tell them."""

from typing import Any

from pydantic import Field

from app.api.schemas.base import BodyOut, OptionalBodyIn
from app.api.schemas.pages import PageQuery
from app.api.text import Identifier
from app.models.closed_sets import DispatchState
from app.outbound.catalogue import EventType


class EventSummaryOut(BodyOut):
    """事件 as a list shows it."""

    id: str = Field(description="事件编号 · The same as `webhook-id` on every attempt.")
    type: EventType = Field(description="事件类型.")
    created_at: str = Field(description="发生时间.")
    site: str = Field(description="站点编号.")
    sequence: int | None = Field(description="案件内序号 · Rises by one with each event of a case.")
    case_id: str | None = Field(description="案件编号.")
    merchant_id: str | None = Field(description="商家编号 · Whose endpoints hear it.")
    channel: str | None = Field(description="支付渠道 · Whose endpoints hear it.")


class DispatchOut(BodyOut):
    """发送进度: how far an event has come on its way to one endpoint."""

    endpoint_id: str = Field(description="端点编号.")
    state: DispatchState = Field(description="发送状态.")
    attempts: int = Field(description="尝试次数 · Since it was last put on its way.")
    next_attempt_at: str | None = Field(description="下次尝试时间 · null unless pending.")


class EventOut(EventSummaryOut):
    """事件, with what the site's own endpoints are told, and to whom it went."""

    data: dict[str, Any] = Field(description="内容 · As in the webhook's `data`; merchants and channels get less.")
    dispatches: list[DispatchOut] = Field(description="发送进度 · One for each endpoint.")


class EventPageOut(BodyOut):
    """事件列表, newest first."""

    data: list[EventSummaryOut] = Field(description="事件列表.")
    next_cursor: str | None = Field(description="下一页游标 · null on the last page.")


class ResendIn(OptionalBodyIn):
    """Where to send an event again (重新发送)."""

    endpoint_id: Identifier | None = Field(
        default=None,
        description="端点编号 · Left out or null: every enabled endpoint that was told of the event before.",
        examples=["we_01jcb0v8e4f5k9q6w1x2y3z4a5"],
    )


class AttemptOut(BodyOut):
    """发送尝试: one request to an endpoint, and what came back."""

    event_id: str = Field(description="事件编号.")
    endpoint_id: str = Field(description="端点编号.")
    attempt: int = Field(description="第几次尝试 · Counts from 1, over all resends.")
    started_at: str = Field(description="开始时间.")
    duration_ms: int = Field(description="耗时（毫秒）.")
    status_code: int | None = Field(description="HTTP 状态码 · null: there was no answer.")
    error: str | None = Field(description="错误 · What kept it from an answer.")
    excerpt: str = Field(description="应答摘录 · The beginning of the answer's body.")


class AttemptPageOut(BodyOut):
    """发送尝试列表, newest first."""

    data: list[AttemptOut] = Field(description="尝试列表.")
    next_cursor: str | None = Field(description="下一页游标 · null on the last page.")


class EventQuery(PageQuery):
    """Which events to list."""

    type: EventType | None = Field(default=None, description="事件类型.")
    case_id: Identifier | None = Field(default=None, description="案件编号.")


class AttemptQuery(PageQuery):
    """Which attempts to list."""

    event_id: Identifier | None = Field(default=None, description="事件编号.")
    endpoint_id: Identifier | None = Field(default=None, description="端点编号.")


RESEND_EXAMPLES: dict[str, Any] = {
    "all": {"summary": "所有接收过的端点 · Every endpoint that was told before", "value": {}},
}
