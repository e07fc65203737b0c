"""A machine bound to a service, with a site beside it that nothing may change."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

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
        order = bodies.order(merchant_id="m-1", placed_at=filed_at.isoformat())
        paid = bodies.payment(order_no=number, paid_at=filed_at.isoformat())
        assert site.send(Request("PUT", f"/v1/orders/{number}", order)).status == 201
        assert site.send(Request("PUT", f"/v1/payments/{number.replace('A', 'P')}", paid)).status == 201
        claim = {"reason": "other", "filed_at": filed_at.isoformat()}
        filed = site.send(Request("POST", "/v1/cases", {"order_no": number, "claim": claim}, key=f"key-{number}"))
        assert filed.body["status"] == "in_review"
    service.set_time(BEGINNING - timedelta(days=1))
    while site.fire().timers:
        pass
    return site
