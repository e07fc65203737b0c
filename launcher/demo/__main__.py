"""Files the five claims with a running service, and shows what comes of each."""

import os
import queue
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from launcher.demo.claims import MERCHANT, DemoClaim, demo_claims
from launcher.demo.client import CallFailed, Shop
from launcher.demo.receiver import Received, Receiver, receiving
from launcher.demo.screen import Screen
from launcher.greeting import coloured
from launcher.refusals import LaunchRefused
from launcher.serve import running_service

SECONDS_FOR_WEBHOOKS = 20.0
# What the merchant's adapter hears of a case, beside the refund instructions that go to the channel's.
MERCHANT_HEARS = {"case.filed", "case.merchant_turn", "case.approved", "case.rejected"}


class Missing(Exception):
    """A webhook did not come in time, or came with a bad signature."""


def main() -> int:
    """0 if all five were judged and every webhook came in with a good signature."""
    screen = Screen(coloured(sys.stdout, os.environ))
    try:
        with running_service(os.environ) as service, receiving() as receiver:
            shop = Shop(service.url, service.key)
            with _registered(shop, receiver):
                _show_all(shop, receiver, screen)
    except (CallFailed, LaunchRefused, Missing) as reason:
        print(f"\n{reason}", file=sys.stderr)
        return 1
    return 0


def _show_all(shop: Shop, receiver: Receiver, screen: Screen) -> None:
    now = datetime.now(UTC)
    claims = list(demo_claims(now, run=now.strftime("%y%m%d%H%M%S")))
    print(f"Five claims, one from each system, filed with {shop.url} 五个系统，各提交一件退款申请")
    for number, claim in enumerate(claims, start=1):
        _print(screen.title(number, len(claims), claim))
        _show(shop, receiver, screen, claim)
    print(f"\n{screen.paint('32;1', '✔')} All five were judged and carried on; every signature is good.")
    print("  五件申请均已裁定并继续推进，所有回调签名均有效。")


def _show(shop: Shop, receiver: Receiver, screen: Screen, claim: DemoClaim) -> None:
    case = shop.post("/v1/cases", claim.body, idempotency_key=claim.order_no)
    _print(screen.decision(case))
    _show_webhooks(receiver, screen, case["timeline"])
    for step in claim.then:
        told = len(case["timeline"])
        key = f"{claim.order_no}-{step.call}"
        case = shop.post(f"/v1/cases/{case['id']}/{step.call}", step.body, idempotency_key=key)
        _print(screen.step(step, case))
        _show_webhooks(receiver, screen, case["timeline"][told:])


def _show_webhooks(receiver: Receiver, screen: Screen, events: list[dict[str, Any]]) -> None:
    told = [event["type"] for event in events]
    expected = [kind for kind in told if kind in MERCHANT_HEARS or kind == "refund.requested"]
    for received in _arrivals(receiver, len(expected)):
        _print(screen.webhook(received))
        if not received.verified:
            raise Missing("A webhook came in with a signature that does not verify.")


def _arrivals(receiver: Receiver, count: int) -> Iterator[Received]:
    give_up = time.monotonic() + SECONDS_FOR_WEBHOOKS
    for _ in range(count):
        try:
            yield receiver.inbox.get(timeout=max(0.0, give_up - time.monotonic()))
        except queue.Empty:
            raise Missing(
                f"A webhook did not come within {SECONDS_FOR_WEBHOOKS:.0f} s. Is the worker running?"
            ) from None


@contextmanager
def _registered(shop: Shop, receiver: Receiver) -> Iterator[None]:
    """The two adapters, registered as endpoints as long as the demonstration runs."""
    made = []
    try:
        for body in (
            {"role": "merchant", "merchant_id": MERCHANT, "url": f"{receiver.url}/merchant"},
            {"role": "channel", "url": f"{receiver.url}/channel"},
        ):
            endpoint = shop.post("/v1/webhook-endpoints", body)
            made.append(endpoint["id"])
            receiver.secrets[body["role"]] = endpoint["secret"]
        yield
    finally:
        for endpoint_id in made:
            with suppress(CallFailed):
                shop.delete(f"/v1/webhook-endpoints/{endpoint_id}")


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
