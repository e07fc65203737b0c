"""Bodies of webhook endpoints."""

from typing import Annotated, Any, Self

from pydantic import Field, StrictStr, model_validator

from app.api.schemas.base import BodyIn, BodyOut
from app.api.text import Flag, FreeText, Identifier, refuse
from app.outbound.catalogue import EndpointRole, EventType
from app.rules.facts import Channel

LONGEST_URL = 4_096
"""Longer than any address that is accepted, so that the guard says what is wrong with one that is too long."""

Url = Annotated[StrictStr, Field(max_length=LONGEST_URL)]
EventTypes = Annotated[list[EventType], Field(min_length=1, max_length=len(EventType))]
Channels = Annotated[list[Channel], Field(min_length=1, max_length=len(Channel))]
Description = Annotated[FreeText, Field(max_length=200)]

_URL = "地址 · https, public, without user name or fragment; checked now and at every attempt."
_TYPES = "事件类型 · Left out or null: those that the role hears."
_CHANNELS = "支付渠道 · Only for the role `channel`. Left out or null: all."


class EndpointIn(BodyIn):
    """A webhook endpoint to be registered (登记回调地址)."""

    url: Url = Field(description=_URL)
    role: EndpointRole = Field(
        description="角色 · `site`: your own backend, told everything; `merchant`: one merchant's adapter; `channel`: "
        "the adapter that pays refunds out."
    )
    merchant_id: Identifier | None = Field(
        default=None, description="商家编号 · Required for the role `merchant`, and only for it."
    )
    event_types: EventTypes | None = Field(default=None, description=_TYPES)
    channels: Channels | None = Field(default=None, description=_CHANNELS)
    description: Description = Field(default="", description="备注 · For people.")


class EndpointPatchIn(BodyIn):
    """What to change of an endpoint (修改回调地址); what is left out stays. Role and merchant never change."""

    url: Url | None = Field(default=None, description=_URL)
    event_types: EventTypes | None = Field(default=None, description="事件类型 · null: those that the role hears.")
    channels: Channels | None = Field(default=None, description="支付渠道 · null: all.")
    description: Description | None = Field(default=None, description="备注.")
    enabled: Flag | None = Field(
        default=None,
        description="是否启用 · false cancels what is on its way; true forgives the failures so far.",
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise refuse("nothing_to_change", en="Name at least one field.", zh="至少填写一个字段。")
        for name in ("url", "description", "enabled"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise refuse("null", en=f"{name} cannot be null.", zh=f"{name} 不能为 null。")
        return self


class EndpointOut(BodyOut):
    """回调端点: where events go."""

    id: str = Field(description="端点编号.")
    url: str = Field(description="地址 · As it is called.")
    role: EndpointRole = Field(description="角色.")
    merchant_id: str | None = Field(description="商家编号.")
    event_types: list[EventType] | None = Field(description="事件类型 · null: those of the role.")
    channels: list[Channel] | None = Field(description="支付渠道 · null: all.")
    description: str = Field(description="备注.")
    enabled: bool = Field(description="是否启用.")
    disabled_reason: str | None = Field(
        description="停用原因 · `by_site`, `gone` (it answered 410), `failing` (5 days without one success)."
    )
    disabled_at: str | None = Field(description="停用时间.")
    failing_since: str | None = Field(description="开始失败时间 · The first failure since the last success.")
    created_at: str = Field(description="登记时间.")
    updated_at: str = Field(description="最近变更时间.")
    version: int = Field(description="版本 · The same as in `ETag`.")


class EndpointWithSecretOut(EndpointOut):
    """回调端点 with its new secret: the only time that it is shown."""

    secret: str = Field(
        description="签名密钥 · Shown this once. Verify webhooks with it, by any library of Standard Webhooks.",
    )


class EndpointPageOut(BodyOut):
    """回调端点列表, in the order of registration."""

    data: list[EndpointOut] = Field(description="端点列表.")
    next_cursor: str | None = Field(description="下一页游标 · null on the last page.")


class TrialSentOut(BodyOut):
    """测试事件已进入发送队列."""

    event_id: str = Field(description="事件编号 · See `GET /v1/webhook-attempts?event_id=…` for what came back.")


ENDPOINT_EXAMPLES: dict[str, Any] = {
    "site": {
        "summary": "站点后端 · Your own backend, told of everything",
        "value": {"url": "https://shop.example.com/kmr/webhooks", "role": "site", "description": "shop backend"},
    },
    "merchant": {
        "summary": "商家 · One merchant's adapter, told of its own cases",
        "value": {
            "url": "https://merchant.example.com/hooks",
            "role": "merchant",
            "merchant_id": "m-7",
            "event_types": ["case.merchant_turn", "case.approved", "case.rejected"],
        },
    },
    "channel": {
        "summary": "支付渠道 · The adapter that pays refunds out",
        "value": {"url": "https://pay.example.com/refunds", "role": "channel", "channels": ["alipay", "wechat_pay"]},
    },
}
PATCH_EXAMPLES: dict[str, Any] = {
    "address": {
        "summary": "更换地址 · Another address",
        "value": {"url": "https://shop.example.com/kmr/webhooks-2", "description": "shop backend, new host"},
    },
    "disable": {"summary": "停用 · Disable", "value": {"enabled": False}},
    "enable": {"summary": "启用 · Enable again", "value": {"enabled": True}},
}
