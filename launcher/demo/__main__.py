"""Files the five claims with a running service, shows what comes of each, and follows two of them to the money."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from launcher.demo import books
from launcher.demo.claims import SHANGHAI, DemoClaim, demo_claims, merchant_of
from launcher.demo.client import CallFailed, Shop
from launcher.demo.money import DemoMove, DemoReport
from launcher.demo.receiver import Receiver, receiving
from launcher.demo.screen import Screen
from launcher.demo.webhooks import Missing, arrivals, registered
from launcher.greeting import coloured
from launcher.refusals import LaunchRefused
from launcher.serve import running_service


def main() -> int:
    """0 if all five were judged, two were paid back, and every webhook came in with a good signature."""
    screen = Screen(coloured(sys.stdout, os.environ))
    try:
        with running_service(os.environ) as service, receiving() as receiver:
            now = datetime.now(UTC)
            run = now.strftime("%y%m%d%H%M%S")
            shop = Shop(service.url, service.key)
            with registered(shop, receiver, merchant_of(run)):
                Demonstration(shop, receiver, screen).show(now, run)
    except (CallFailed, LaunchRefused, Missing) as reason:
        print(f"\n{reason}", file=sys.stderr)
        return 1
    return 0


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A shop that calls, listeners that hear, and a screen for what happens."""

    shop: Shop
    receiver: Receiver
    screen: Screen

    def show(self, now: datetime, run: str) -> None:
        """All of it; CallFailed, Missing."""
        claims = list(demo_claims(now, run))
        print(f"Five claims, one from each system, filed with {self.shop.url} 五个系统，各提交一件退款申请")
        for number, claim in enumerate(claims, start=1):
            _print(self.screen.title(number, len(claims), claim))
            self._show_claim(claim)
        self._show_books(merchant_of(run))
        _print(self.screen.end(len(claims), sum(bool(claim.money) for claim in claims)))

    def _show_claim(self, claim: DemoClaim) -> None:
        case = self.shop.post("/v1/cases", claim.body, idempotency_key=claim.order_no)
        _print(self.screen.decision(case))
        self._show_webhooks(case, told=0)
        for step in claim.then:
            told = len(case["timeline"])
            key = f"{claim.order_no}-{step.call}"
            case = self.shop.post(f"/v1/cases/{case['id']}/{step.call}", step.body, idempotency_key=key)
            _print(self.screen.step(step, case))
            self._show_webhooks(case, told)
        for number, move in enumerate(claim.money):
            case = self._move(case, move, key=f"{claim.order_no}-money-{number}")

    def _move(self, case: dict[str, Any], move: DemoMove, key: str) -> dict[str, Any]:
        """One thing that happens to the case's refund; the case as it stands then."""
        [refund] = case["refunds"]
        if isinstance(move, DemoReport):
            taken = self.shop.post(f"/v1/refunds/{refund['id']}/result", move.body(refund), idempotency_key=key)
            after = self.shop.get(f"/v1/cases/{case['id']}")
            _print(self.screen.report(move, taken, after))
        else:
            refund = self.shop.post(f"/v1/refunds/{refund['id']}/retry", move.body(), idempotency_key=key)
            after = self.shop.get(f"/v1/cases/{case['id']}")
            _print(self.screen.retry(move, refund, after))
        self._show_webhooks(after, told=len(case["timeline"]))
        return after

    def _show_webhooks(self, case: dict[str, Any], told: int) -> None:
        """What the listeners hear of what is new in the case's timeline."""
        for received in arrivals(self.receiver, case["id"], case["timeline"][told:]):
            _print(self.screen.webhook(received))

    def _show_books(self, merchant_id: str) -> None:
        """The merchant's deposit, and the day's refunds as the bookkeeper sees them."""
        place = f"/v1/merchants/{merchant_id}/deposit"
        _print(books.deposit(self.screen, self.shop.get(place), self.shop.get(f"{place}/entries")["data"]))
        day = datetime.now(SHANGHAI).date().isoformat()
        _print(books.reconciliation(self.screen, self.shop.get(f"/v1/reconciliation?day={day}")))


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
