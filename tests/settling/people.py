"""What people do while channels are at work: they let refunds go on, close them, send them elsewhere, pay by hand.

They are honest and look first: at the channel's console, and at what was paid elsewhere. But they are also in haste,
and try what does not fit: that has to be refused.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final
from uuid import UUID

from app.errors import Busy, Conflict, Refusal, Stale
from app.rules.facts import Channel
from app.rules.settlement import FailureCode
from app.services import repair
from app.services.repair import GivenUp, OtherAccount, Repair
from app.store.cases import CaseStore
from app.store.engine import transaction
from tests.settling.books import Books, Row, books, is_back_elsewhere, refunds_of
from tests.settling.cashier import Cashier
from tests.settling.gateways import Standing
from tests.settling.scene import DAY, Scene

STOPPED: Final = ("failed", "abnormal", "closed")
NO_WAY_BACK: Final = ("account_gone", "too_late", "too_many")


@dataclass
class People:
    """`closings`: how often each refund was closed by hand. `found`: what they could do and should not."""

    scene: Scene
    cashier: Cashier
    random: Random
    met: Counter[str]
    found: list[str] = field(default_factory=list)
    closings: Counter[UUID] = field(default_factory=Counter)

    async def do_something(self) -> None:
        """Somebody looks at a refund, mostly at one that has stopped, and does what comes to mind."""
        now = await books(self.scene)
        stopped = [row for row in now.refunds if row["state"] in STOPPED]
        if stopped and self.random.random() < 0.85:
            await self._about(self.random.choice(stopped), now)
        else:
            await self._in_haste(self.random.choice(now.refunds), now)

    def refund_by_hand(self) -> None:
        """Somebody else pays some of a payment back, in the channel's console."""
        channel, payment_no = self.random.choice(self.scene.paid)
        left = self.scene.gateways.left(channel, payment_no)
        if left > 100:
            # Odd fen, so that it is never the very amount of a refund of ours.
            self.scene.gateways.refund_by_hand(channel, payment_no, self.random.randint(1, left // 2 - 1) * 2 - 1)
            self.met[f"by hand at {channel.value}"] += 1

    async def give_up_what_failed(self) -> None:
        """All that the channel has refused is closed, and asked for under another number."""
        now = await books(self.scene)
        for row in now.refunds:
            if row["state"] == "failed" and await self.close(row, now):
                await self.retry({**row, "state": "closed", "version": row["version"] + 1}, now)

    async def _about(self, row: Row, now: Books) -> None:
        actions: list[Callable[[Row, Books], Awaitable[bool]]] = [self.retry, self.close, self.send_elsewhere]
        [act] = self.random.choices(actions, (5, 2, 4))
        await act(row, now)

    async def _in_haste(self, row: Row, now: Books) -> None:
        """By somebody who has not looked; or who saw the refund as it was before."""
        if row["state"] in ("failed", "abnormal"):
            await self._refused(row, "retried as it was before", Stale, self._retried(row, stale=True))
        elif row["state"] != "closed":
            await self._refused(row, "closed before it stopped", Conflict, self._closed(row, FailureCode.OTHER))
            await self._refused(row, "retried before it stopped", Conflict, self._retried(row))
        elif any(each["replaces"] == row["refund_id"] for each in now.refunds):
            await self._refused(row, "replaced twice", Conflict, self._retried(row, despite_dispute=True))

    async def _done(self, what: str, doing: Awaitable[object]) -> bool:
        """Whether it could be done; by now the refund may have gone on, or another may have taken its place."""
        try:
            await doing
        except Refusal as refused:
            self.met[f"{what}: {refused.code}"] += 1
            return False
        self.met[what] += 1
        return True

    async def _refused(self, row: Row, what: str, kind: type[Refusal], doing: Awaitable[object]) -> None:
        try:
            await doing
        except (kind, Busy):
            self.met[f"not {what}"] += 1
        except Refusal as refused:
            self.found.append(f"{row['refund_no']}: {what}, and refused as {refused.code}")
        else:
            self.found.append(f"{row['refund_no']}: {what}, and nobody minded")

    async def retry(self, row: Row, now: Books) -> bool:
        """The refund goes on; where it was said to be paid, only once the channel shows that it was not."""
        if await self._done("retry", self._retried(row)):
            return True
        if row["state"] != "closed":
            self.found.append(f"{row['refund_no']} is {row['state']}, and cannot be retried")
            return False
        is_disputed = any(each["verdict"] == "conflict" for each in now.said_of(row))
        if row["state"] != "closed" or not is_disputed or not self._is_unpaid(row, now):
            return False
        return await self._done("retry despite dispute", self._retried(row, despite_dispute=True))

    async def send_elsewhere(self, row: Row, now: Books) -> bool:
        """To another account, by the buyer's consent. The channel's own way has to be known as closed."""
        if row["state"] == "closed" and not self._is_unpaid(row, now):
            return False
        at = self.scene.time.at
        account = OtherAccount("acct-7", "招商银行 尾号 0403", at - DAY, "电话录音 77 号")
        is_open = row["state"] != "closed" and row["failure_code"] not in NO_WAY_BACK
        if is_open:
            await self._refused(row, "sent elsewhere", Conflict, self._retried(row, account=account))
            return False
        return await self._done("sent elsewhere", self._retried(row, account=account))

    async def close(self, row: Row, now: Books) -> bool:
        """What the channel will never pay, and the adapter neither, is ended."""
        if row["state"] == "closed" or not self._is_unpaid(row, now) or not self.cashier.gives_up(row):
            return False
        is_back = await self._unexplained(row["payment_no"]) >= row["amount"]
        code = FailureCode.REFUNDED_ELSEWHERE if is_back else FailureCode.REJECTED
        return await self._done(f"closed as {code.value}", self._closed(row, code))

    async def _unexplained(self, payment_no: str) -> int:
        """Fen that others paid back, less what was closed for it already."""
        rows = [row for row in await refunds_of(self.scene) if row["payment_no"] == payment_no]
        explained = sum(row["amount"] for row in rows if is_back_elsewhere(row))
        return self.scene.gateways.by_hand.get(payment_no, 0) - int(explained)

    def _is_unpaid(self, row: Row, now: Books) -> bool:
        """What the console of the channel shows: nothing of it went back, or can go back."""
        channel, payment_no, gateways = Channel(row["channel"]), row["payment_no"], self.scene.gateways
        if self.cashier.has_paid(row):
            return False
        if channel is not Channel.UNIONPAY:
            return gateways.standing(channel, payment_no, row["refund_no"]) in (Standing.UNKNOWN, Standing.DEAD)
        elsewhere = self.cashier.by_number(payment_no)
        by_channel = [each for each in now.over(payment_no) if each["refund_no"] not in elsewhere]
        settled = sum(each["amount"] for each in by_channel if each["state"] == "succeeded")
        return gateways.paid_out(channel, payment_no) - gateways.by_hand.get(payment_no, 0) <= int(settled)

    async def _retried(
        self, row: Row, *, account: OtherAccount | None = None, despite_dispute: bool = False, stale: bool = False
    ) -> UUID:
        wanted = Repair("op-1", "已核实", account, despite_dispute)
        version = row["version"] - 1 if stale else row["version"]
        async with transaction(self.scene.engine) as connection:
            cases = CaseStore(connection, self.scene.site_id)
            return await repair.retry(cases, row["refund_id"], wanted, version=version)

    async def _closed(self, row: Row, code: FailureCode) -> None:
        async with transaction(self.scene.engine) as connection:
            cases = CaseStore(connection, self.scene.site_id)
            given_up = GivenUp("op-2", code, "渠道确认不会付款")
            await repair.close(cases, row["refund_id"], given_up, version=row["version"])
        self.closings[row["refund_id"]] += 1
