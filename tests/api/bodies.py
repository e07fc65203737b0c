"""Bodies that a shop sends: dull and valid; each test changes the one thing that it is about."""

import copy
import re
from datetime import datetime, timedelta
from typing import Any

from app import clock
from app.api.schemas.adjudications import NOT_DELIVERED

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00")
_FILED_AT = datetime.fromisoformat(NOT_DELIVERED["claim"]["filed_at"])


def recent(document: Any) -> Any:
    """The same document with its instants moved together, so that the example's claim was filed a minute ago."""
    return _moved(document, clock.now() - timedelta(minutes=1) - _FILED_AT)


def _moved(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {name: _moved(each, by) for name, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, by) for each in value]
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return (datetime.fromisoformat(value) + by).isoformat()
    return value


def filing(order_no: str = "A-1001", **changes: Any) -> dict[str, Any]:
    """A claim for goods that never came, with all its records; approved at once."""
    body = {name: copy.deepcopy(NOT_DELIVERED[name]) for name in ("claim", "order", "payments", "evidence", "merchant")}
    payment_no = f"P-{order_no}"
    body["order"]["order_no"] = order_no
    body["payments"][0] |= {"order_no": order_no, "payment_no": payment_no}
    body["evidence"][0]["order_no"] = order_no
    return {**recent(body), **changes}


def order(**changes: Any) -> dict[str, Any]:
    """The body of `PUT /v1/orders/{order_no}`."""
    return {**_without("order_no", NOT_DELIVERED["order"]), **changes}


def payment(**changes: Any) -> dict[str, Any]:
    """The body of `PUT /v1/payments/{payment_no}`."""
    return {**_without("payment_no", NOT_DELIVERED["payments"][0]), **changes}


def delivery(**changes: Any) -> dict[str, Any]:
    """The body of `PUT /v1/deliveries/{delivery_no}`."""
    return {"order_no": "A-1001", "delivered_at": "2026-03-09T10:02:00+08:00", "usage": "unused", **changes}


def merchant(**changes: Any) -> dict[str, Any]:
    """The body of `PUT /v1/merchants/{merchant_id}`."""
    return {**_without("merchant_id", NOT_DELIVERED["merchant"]), **changes}


def endpoint(**changes: Any) -> dict[str, Any]:
    """The body of `POST /v1/webhook-endpoints`."""
    return {"url": "https://shop.example.com/hooks", "role": "site", **changes}


def _without(number: str, record: dict[str, Any]) -> dict[str, Any]:
    return {name: copy.deepcopy(value) for name, value in record.items() if name != number}
