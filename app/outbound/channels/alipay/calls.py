"""A call of Alipay's gateway: public parameters and a JSON `biz_content`, signed and posted as a form."""

import json
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from app.outbound.channels.alipay.credentials import AlipayCredentials
from app.outbound.channels.alipay.signing import sign, signed_text
from app.outbound.channels.alipay.wall_clock import wall_clock
from app.outbound.channels.exchange import Request


def request_of(
    method: str, content: Mapping[str, object], now: datetime, *, credentials: AlipayCredentials, base_url: str
) -> Request:
    """The signed call of `method` as of `now`: Alipay refuses a timestamp that is far from its own clock."""
    parameters = {
        "app_id": credentials.app_id,
        "method": method,
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": wall_clock(now),
        "version": "1.0",
        # Escaped to ASCII: the gateway can read it in no charset but the one it was signed in.
        "biz_content": json.dumps(content, separators=(",", ":")),
    }
    signature = sign(signed_text(parameters.items()), credentials.private_key)
    return Request(
        "POST",
        base_url,
        {"content-type": "application/x-www-form-urlencoded; charset=utf-8", "accept": "application/json"},
        urlencode({**parameters, "sign": signature}).encode("ascii"),
    )
