"""The site's own adapter, which pays to other accounts: honest, but its reports are lost, doubled, late, out of order.

It pays once for each number, and only once the channel cannot pay the old account any more under that number or under
one whose place it took.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from app.errors import Busy, Refusal
from app.models.closed_sets import ReportSource
from app.rules.facts import Channel
from app.rules.settlement import Failure, FailureCode, RefundState, Report
from app.services import refunds
from app.store.cases import CaseStore
from app.store.engine import transaction
from tests.settling.books import Row, refunds_of
from tests.settling.gateways import Paid, Standing
from tests.settling.scene import Scene

_OPEN: Final = ("requested", "accepted", "processing")
_UNCLEAR: Final = Failure(FailureCode.OTHER, "原路可能已退款，请人工核实")
_REJECTED: Final = Failure(FailureCode.REJECTED, "账户信息有误")


@dataclass
class Cashier:
    """`paid`: what went to other accounts, by payment. `told`: how often each refund was reported on, as was answered.

    `stopped`: what it will not pay unless it is instructed anew. `foul`: how likely a payment is refused at first, or a
    report is lost or doubled.
    """

    scene: Scene
    random: Random
    foul: float = 0.0
    paid: dict[str, list[Paid]] = field(default_factory=dict)
    told: Counter[UUID] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    stopped: set[tuple[str, datetime]] = field(default_factory=set)
    outbox: list[tuple[UUID, Report]] = field(default_factory=list)

    async def works(self) -> None:
        """Takes up what it is instructed to, and reports."""
        every = await refunds_of(self.scene)
        for row in every:
            if row["account_id"] is None and row["state"] in _OPEN:
                self._take_up(row, every)
        await self._report()

    def gives_up(self, row: Row) -> bool:
        """Somebody wants to close a refund: it will not be paid by the adapter any more; False: it has been."""
        if self.has_paid(row):
            return False
        self.stopped.add((row["refund_no"], row["instructed_at"]))
        return True

    def has_paid(self, row: Row) -> bool:
        """Whether it paid under this number."""
        return any(each.refund_no == row["refund_no"] for each in self.paid.get(row["payment_no"], ()))

    def by_number(self, payment_no: str) -> Mapping[str, int]:
        """What it paid over a payment, in fen, by number."""
        return {each.refund_no or "": each.amount for each in self.paid.get(payment_no, ())}

    def _take_up(self, row: Row, every: Sequence[Row]) -> None:
        instruction = (row["refund_no"], row["instructed_at"])
        if instruction in self.stopped:
            return
        if row["state"] == "requested":
            self._says(row, RefundState.ACCEPTED)
        if self.has_paid(row):
            self._says_paid(row)
        elif self.random.random() < self.foul:
            self.stopped.add(instruction)
            self._says(row, RefundState.FAILED, failure=_REJECTED)
        else:
            self._pay_or_ask(row, every)

    def _pay_or_ask(self, row: Row, every: Sequence[Row]) -> None:
        """That the old account can be paid no more is seen to at the channel first."""
        by_id, earlier = {each["refund_id"]: each for each in every}, [row]
        while earlier[-1]["replaces"] is not None:
            earlier.append(by_id[earlier[-1]["replaces"]])
        standings = [self._old_way(each) for each in earlier]
        if standings[0] is Standing.PAID:
            self._says(row, RefundState.SUCCEEDED)
        elif Standing.PAID in standings or any(self.has_paid(each) for each in earlier):
            self.stopped.add((row["refund_no"], row["instructed_at"]))
            self._says(row, RefundState.ABNORMAL, failure=_UNCLEAR)
        elif Standing.OPEN not in standings:
            self._pay(row)

    def _pay(self, row: Row) -> None:
        self._says(row, RefundState.PROCESSING)
        paid = Paid(row["refund_no"], row["amount"], self.scene.time.at)
        self.paid.setdefault(row["payment_no"], []).append(paid)
        self.met["paid elsewhere"] += 1
        self._says_paid(row)

    def _old_way(self, row: Row) -> Standing:
        """What became of it at the channel. What waits there for a person is ended, so that it cannot arrive."""
        channel, payment_no, gateways = Channel(row["channel"]), row["payment_no"], self.scene.gateways
        if channel is Channel.UNIONPAY:
            went_back = gateways.paid_out(channel, payment_no) > gateways.by_hand.get(payment_no, 0)
            return Standing.PAID if went_back and row["submitted_at"] is not None else Standing.UNKNOWN
        standing = gateways.standing(channel, payment_no, row["refund_no"])
        if standing is Standing.OPEN and gateways.wechat.refunds[row["refund_no"]].ends == "ABNORMAL":
            gateways.wechat.end(row["refund_no"], "CLOSED")
            return Standing.DEAD
        return standing

    def _says_paid(self, row: Row) -> None:
        self._says(row, RefundState.SUCCEEDED, channel_refund_no=f"bank-{row['refund_no']}")

    def _says(self, row: Row, state: RefundState, **more: Any) -> None:
        at = self.scene.time.at + len(self.outbox) * timedelta(milliseconds=1)
        said = Report(state, at, row["amount"], row["currency"], **more)
        self.outbox.append((row["refund_id"], said))

    async def _report(self) -> None:
        """What is lost is sent another time."""
        unsent, self.outbox = self.outbox, []
        if self.foul:
            self.random.shuffle(unsent)
        for refund_id, said in unsent:
            if self.random.random() < self.foul:
                self.outbox.append((refund_id, said))
                continue
            for _ in range(2 if self.random.random() < self.foul else 1):
                await self._send(refund_id, said)
            if self.random.random() < self.foul / 2:  # somebody else with the adapter's key, or a slip of its own
                await self._send(refund_id, replace(said, amount=(said.amount or 0) + 1))

    async def _send(self, refund_id: UUID, said: Report) -> None:
        """As the API takes it. A refund may have become the service's again meanwhile."""
        with suppress(Busy, Refusal):
            async with transaction(self.scene.engine) as connection:
                cases = CaseStore(connection, self.scene.site_id)
                await refunds.require_adapter(cases, refund_id)
                taken = await refunds.report(cases, refund_id, said, ReportSource.ADAPTER)
            self.told[refund_id] += taken.kept
            self.met[f"reported {said.state.value}: {taken.verdict.value}"] += 1
