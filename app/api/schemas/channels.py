"""Accounts at payment channels on the wire. Credentials go in and never come out."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StrictStr

from app.api.schemas.base import BodyIn, BodyOut, OptionalBodyIn
from app.api.text import Flag
from app.models.closed_sets import ChannelKind
from app.rules.facts import Channel

Key = Annotated[StrictStr, Field(min_length=1, max_length=8_000)]
Word = Annotated[StrictStr, Field(min_length=1, max_length=200)]
Label = Annotated[StrictStr, Field(max_length=100)]


class WechatPayCredentialsIn(BodyIn):
    """微信支付 API v3 商户凭据."""

    mch_id: Word = Field(description="商户号.")
    certificate_serial: Word = Field(description="商户 API 证书序列号.")
    private_key: Key = Field(description="商户 API 私钥 · PEM.")
    api_v3_key: Word = Field(description="APIv3 密钥 · 32 characters.")
    platform_keys: Annotated[dict[Word, Key], Field(min_length=1, max_length=10)] = Field(
        description="微信支付公钥 · By its id (`PUB_KEY_ID_…`) or the platform certificate's serial number, each a PEM."
    )


class AlipayCredentialsIn(BodyIn):
    """支付宝应用凭据（RSA2 公钥模式）."""

    app_id: Word = Field(description="应用 APPID.")
    private_key: Key = Field(description="应用私钥.")
    alipay_public_key: Key = Field(description="支付宝公钥.")


class EpayCredentialsIn(BodyIn):
    """易支付商户凭据. With `v1` the `key`, with `v2` both of the others."""

    url: Word = Field(description="接口地址 · https, without `/api.php`.")
    pid: Word = Field(description="商户 ID.")
    version: Literal["v1", "v2"] = Field(description="接口版本 · v1: MD5; v2: RSA.")
    key: Word | None = Field(default=None, description="商户密钥（v1）.")
    private_key: Key | None = Field(default=None, description="商户私钥（v2）.")
    platform_public_key: Key | None = Field(default=None, description="平台公钥（v2）.")


class WechatPayAccountIn(BodyIn):
    """微信支付账户."""

    kind: Literal[ChannelKind.WECHAT_PAY] = Field(description="接口类型.")
    channel: Literal[Channel.WECHAT_PAY] = Field(default=Channel.WECHAT_PAY, description="支付渠道.")
    label: Label = Field(default="", description="名称 · For people.")
    enabled: Flag = Field(default=True, description="是否启用.")
    credentials: WechatPayCredentialsIn = Field(description="凭据.")


class AlipayAccountIn(BodyIn):
    """支付宝账户."""

    kind: Literal[ChannelKind.ALIPAY] = Field(description="接口类型.")
    channel: Literal[Channel.ALIPAY] = Field(default=Channel.ALIPAY, description="支付渠道.")
    label: Label = Field(default="", description="名称 · For people.")
    enabled: Flag = Field(default=True, description="是否启用.")
    credentials: AlipayCredentialsIn = Field(description="凭据.")


class EpayAccountIn(BodyIn):
    """易支付账户."""

    kind: Literal[ChannelKind.EPAY] = Field(description="接口类型.")
    channel: Channel = Field(description="支付渠道 · The one that the aggregator stands before.")
    label: Label = Field(default="", description="名称 · For people.")
    enabled: Flag = Field(default=True, description="是否启用.")
    credentials: EpayCredentialsIn = Field(description="凭据.")


AccountIn = Annotated[WechatPayAccountIn | AlipayAccountIn | EpayAccountIn, Field(discriminator="kind")]


class AccountPatchIn(OptionalBodyIn):
    """修改账户: what is named is changed. New credentials are those of the account's kind, whole."""

    label: Label | None = Field(default=None, description="名称.")
    enabled: Flag | None = Field(
        default=None,
        description="是否启用 · Disabled: new refunds go to adapters; what was begun is followed on.",
    )
    credentials: WechatPayCredentialsIn | AlipayCredentialsIn | EpayCredentialsIn | None = Field(
        default=None, description="凭据."
    )


class AccountOut(BodyOut):
    """渠道账户, without its credentials."""

    id: str = Field(description="账户编号.")
    kind: ChannelKind = Field(description="接口类型.")
    channel: Channel = Field(description="支付渠道.")
    label: str = Field(description="名称.")
    identity: str = Field(
        description="账户标识 · `mch_id`, `app_id`, or an aggregator's address, `pid` and version. It stays."
    )
    enabled: bool = Field(description="是否启用.")
    notify_url: str | None = Field(
        description="通知地址 · Where notices are taken; 微信支付 is told each time. null: none is known."
    )
    created_at: str = Field(description="创建时间.")
    updated_at: str = Field(description="最近变更时间.")
    version: int = Field(description="版本 · The same as in `ETag`.")


class AccountsOut(BodyOut):
    """渠道账户列表."""

    data: list[AccountOut] = Field(description="账户.")


EPAY_EXAMPLE: Final[dict[str, Any]] = {
    "kind": "epay",
    "channel": "unionpay",
    "label": "聚合支付",
    "credentials": {"url": "https://pay.example.com/", "pid": "1001", "version": "v1", "key": "9f86d081884c7d65"},
}
ACCOUNT_EXAMPLES: Final[dict[str, Any]] = {"epay": {"summary": "易支付 V1", "value": EPAY_EXAMPLE}}
ACCOUNT_PATCH_EXAMPLES: Final[dict[str, Any]] = {
    "disable": {"summary": "停用 · Disable", "value": {"enabled": False}},
}
