"""Whatever goes wrong on the way, a refund is paid once or never, and what is said of it is true."""

from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from app.outbound.channels.alipay import Alipay, read_credentials
from app.outbound.channels.said import Instruction, NotNow, Said, Told, Unclear, Unknown
from app.rules.settlement import RefundState
from tests.channels.alipay_gateway import AlipayGateway, Fault
from tests.channels.alipay_keys import credentials_document

START = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
CREDENTIALS = read_credentials(credentials_document())
MOST_STEPS = 200


@dataclass
class Drive:
    """One refund on its way, asked and submitted again until it ends; `lost` drops what was heard, as a crash does."""

    order: Instruction
    adapter: Alipay
    gateway: AlipayGateway
    lost: deque[bool]
    submits_next: bool = True
    asked: int = 0
    end: Told | None = None

    async def step(self, now: datetime) -> timedelta:
        """Returns how long to wait for the next."""
        said = await (self.adapter.submit if self.submits_next else self.adapter.query)(self.order, now)
        if self.lost and self.lost.popleft():
            # Nobody knows what was said, so that it is done again as it was.
            return timedelta(seconds=5)
        return self._heard(said, now)

    def _heard(self, said: Said, now: datetime) -> timedelta:
        self.asked += 1
        match said:
            case Told(RefundState.SUCCEEDED):
                self.end = said
            case Told(RefundState.FAILED):
                self._failed(said)
            case Unknown():
                self.submits_next = True
                return timedelta(seconds=4)
            case NotNow(until):
                return until - now
            case Told() | Unclear():
                self.submits_next = False
        return self.adapter.next_query(min(self.asked, 2))

    def _failed(self, said: Told) -> None:
        """An empty purse is filled and the same refund tried again; anything else is the end."""
        assert said.failure is not None
        if said.failure.code == "insufficient_balance":
            self.gateway.balance += 10**6
            self.submits_next = True
        else:
            self.end = said


def drive_of(gateway: AlipayGateway, order: Instruction, lost: list[bool]) -> Drive:
    return Drive(order, Alipay(CREDENTIALS, gateway), gateway, deque(lost))


ORDER = Instruction("rf1", "P-1", 1234, 5000, "CNY", "卡密无效", START - timedelta(days=1))
FAULTS = st.lists(st.sampled_from(list(Fault)), max_size=25)
LOST = st.lists(st.booleans(), max_size=12)


class Clock:
    """The time, moved by the test."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


async def ended(drive: Drive, clock: Clock) -> Told:
    for _ in range(MOST_STEPS):
        clock.now += await drive.step(clock.now)
        if drive.end is not None:
            return drive.end
    raise AssertionError("the refund never ended")


@settings(max_examples=150, deadline=None)
@given(FAULTS, LOST, st.sampled_from([0, 10**6]), st.integers(0, 40))
async def test_a_refund_ends_paid_exactly_once(faults: list[Fault], lost: list[bool], balance: int, slow: int) -> None:
    clock = Clock()
    gateway = AlipayGateway(clock, balance=balance, visible_after=timedelta(seconds=slow))
    gateway.pay("P-1", 5000, ORDER.paid_at)
    gateway.faults.extend(faults)
    told = await ended(drive_of(gateway, ORDER, lost), clock)
    assert told.state is RefundState.SUCCEEDED
    assert told.amount in {None, 1234}
    assert told.channel_refund_no == f"{gateway.trades['P-1'].trade_no}:rf1"
    assert gateway.paid_out("P-1") == 1234


@settings(max_examples=100, deadline=None)
@given(FAULTS, LOST, LOST, st.integers(0, 5000), st.integers(0, 8))
async def test_rivals_for_one_payment_never_get_more_than_it(
    faults: list[Fault], lost: list[bool], lost_too: list[bool], by_hand: int, hand_at: int
) -> None:
    """Two refunds of ours and one by hand, step by step in turn: each is told as paid exactly where it was."""
    clock = Clock()
    gateway = AlipayGateway(clock)
    trade = gateway.pay("P-1", 5000, ORDER.paid_at)
    gateway.faults.extend(faults)
    other = replace(ORDER, refund_no="rf2", amount=3000)
    drives = [drive_of(gateway, ORDER, lost), drive_of(gateway, other, lost_too)]
    for turn in range(MOST_STEPS):
        if turn == hand_at and 0 < by_hand <= trade.amount - trade.refunded:
            gateway.refund_by_hand("P-1", by_hand, "hand")
        for drive in (drive for drive in drives if drive.end is None):
            clock.now += await drive.step(clock.now) + timedelta(seconds=3)
    clock.now += timedelta(hours=1)
    assert gateway.paid_out("P-1") <= 5000
    for drive in drives:
        assert drive.end is not None
        paid = [refund.amount for refund in trade.refunds if refund.refund_no == drive.order.refund_no]
        assert paid == ([drive.order.amount] if drive.end.state is RefundState.SUCCEEDED else [])
