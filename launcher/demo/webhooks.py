"""The demonstration's three listeners, and what they hear of a step: no more than that, and signed."""

import queue
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from launcher.demo.client import CallFailed, Shop
from launcher.demo.receiver import Received, Receiver

SECONDS_TO_COME = 20.0
# The shop's own backend listens here for what becomes of the money, and reads all else from the answers to its calls.
HEARD = {
    "site": ("refund.succeeded", "refund.abnormal"),
    "merchant": (
        "case.filed",
        "case.merchant_turn",
        "case.approved",
        "case.rejected",
        "merchant.deposit_deducted",
    ),
    "channel": ("refund.requested",),
}


class Missing(Exception):
    """A webhook did not come in time, or came with a bad signature."""


@contextmanager
def registered(shop: Shop, receiver: Receiver, merchant_id: str) -> Iterator[None]:
    """The listeners, registered as endpoints as long as the demonstration runs."""
    made = []
    try:
        for role, types in HEARD.items():
            whose = {"merchant_id": merchant_id} if role == "merchant" else {}
            body = {"role": role, "url": f"{receiver.url}/{role}", "event_types": types, **whose}
            endpoint = shop.post("/v1/webhook-endpoints", body)
            made.append(endpoint["id"])
            receiver.secrets[role] = endpoint["secret"]
        yield
    finally:
        for endpoint_id in made:
            with suppress(CallFailed):
                shop.delete(f"/v1/webhook-endpoints/{endpoint_id}")


def arrivals(receiver: Receiver, case_id: str, events: Iterable[dict[str, Any]]) -> Iterator[Received]:
    """What comes of these events of a case, in the order in which it comes; Missing."""
    told = [event["type"] for event in events]
    expected = sum(told.count(kind) for types in HEARD.values() for kind in types)
    give_up = time.monotonic() + SECONDS_TO_COME
    while expected > 0:
        received = _next(receiver, give_up)
        if case_id not in (received.envelope["data"].get("id"), received.envelope["data"].get("case_id")):
            continue
        expected -= 1
        yield received
        if not received.verified:
            raise Missing("A webhook came in with a signature that does not verify.")


def _next(receiver: Receiver, give_up: float) -> Received:
    try:
        return receiver.inbox.get(timeout=max(0.0, give_up - time.monotonic()))
    except queue.Empty:
        raise Missing(f"A webhook did not come within {SECONDS_TO_COME:.0f} s. Is the worker running?") from None
