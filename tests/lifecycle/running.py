"""A machine bound to a service, with a site beside it that nothing may change."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from tests.api import bodies
from tests.lifecycle.machine import DeskMachine
from tests.lifecycle.office import BEGINNING
from tests.lifecycle.service import Request, Service, Site


@contextmanager
def running_desk(service: Service, machine: type[DeskMachine] = DeskMachine) -> Iterator[type[DeskMachine]]:
    """The machine for one service."""
    yield type("RunningDesk", (machine,), {"service": service, "bystander": bystander(service)})


def bystander(service: Service) -> Site:
    """Another site with the same numbers of everything, and a case that still waits for a person."""
    filed_at = BEGINNING - timedelta(days=30)
    service.set_time(filed_at)
    site = service.open_site()
    for number in ("A-1", "A-2"):
        assert _filed(site, number, filed_at)["status"] == "in_review"
    _money_back(site, _filed(site, "A-3", filed_at))
    service.set_time(BEGINNING - timedelta(days=1))
    while site.fire().timers:
        pass
    return site


def _filed(site: Site, number: str, filed_at: datetime) -> dict[str, Any]:
    order = bodies.order(merchant_id="m-1", placed_at=filed_at.isoformat())
    paid = bodies.payment(order_no=number, paid_at=filed_at.isoformat())
    assert site.send(Request("PUT", f"/v1/orders/{number}", order)).status == 201
    assert site.send(Request("PUT", f"/v1/payments/{number.replace('A', 'P')}", paid)).status == 201
    claim = {"reason": "other", "filed_at": filed_at.isoformat()}
    filed = site.send(Request("POST", "/v1/cases", {"order_no": number, "claim": claim}, key=f"key-{number}"))
    assert filed.status == 201, filed.raw
    case: dict[str, Any] = filed.body
    return case


def _money_back(site: Site, case: dict[str, Any]) -> None:
    """It is granted, and its money back under a number of the channel's that another site may see, too."""
    ruling = {"outcome": "approve", "code": "goodwill", "text": "同意", "by": "op-1"}
    granted = site.send(Request("POST", f"/v1/cases/{case['id']}/ruling", ruling, key="key-granted"))
    [refund] = granted.body["refunds"]
    said = {"state": "succeeded", "amount": refund["amount"], "currency": "CNY", "at": refund["created_at"],
            "channel_refund_no": "50-known"}  # fmt: skip
    told = site.send(Request("POST", f"/v1/refunds/{refund['id']}/result", said, key="key-told"))
    assert told.body["refund"]["state"] == "succeeded", told.raw
