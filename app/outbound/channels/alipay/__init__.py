"""支付宝 (Alipay), open platform gateway 1.0 with RSA2: refunds over the original route.

Sources: opendocs.alipay.com, alipay.trade.refund, alipay.trade.fastpay.refund.query, alipay.trade.query,
alipay.data.dataservice.bill.downloadurl.query, 异步通知说明 and 公共错误码, as published in 2025.
"""

from app.outbound.channels.alipay.adapter import GATEWAY, Alipay
from app.outbound.channels.alipay.credentials import AlipayCredentials, read_credentials

__all__ = ["GATEWAY", "Alipay", "AlipayCredentials", "read_credentials"]
