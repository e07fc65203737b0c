"""微信支付 API v3, domestic refunds."""

from app.outbound.channels.wechat_pay.adapter import WechatPay
from app.outbound.channels.wechat_pay.credentials import WechatPayCredentials, read_credentials

__all__ = ["WechatPay", "WechatPayCredentials", "read_credentials"]
