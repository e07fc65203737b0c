"""What every channel adapter can do. None of it raises for what a channel says, or fails to say."""

from datetime import date, datetime, timedelta
from typing import Protocol

from app.outbound.channels.exchange import Reply
from app.outbound.channels.said import (
    FoundRefund,
    Hint,
    Instruction,
    Notice,
    NotNow,
    PaymentSeen,
    Proof,
    Said,
    Told,
    Unclear,
)


class Adapter(Protocol):
    """One channel account."""

    def obstacle(self, instruction: Instruction, now: datetime) -> Told | NotNow | None:
        """What is known to stand in the way, before the channel is asked at all."""
        ...

    async def submit(self, instruction: Instruction, now: datetime) -> Said:
        """Asks for the refund. The channel tells repetitions by `refund_no`, so that asking again pays once."""
        ...

    async def query(self, instruction: Instruction, now: datetime) -> Said:
        """What has become of the refund."""
        ...

    async def look_at_payment(
        self, payment_no: str, payment_amount: int, now: datetime
    ) -> PaymentSeen | Unclear | None:
        """What went back over a payment, by whomever; None where the channel cannot tell."""
        ...

    async def refunds_of_day(self, day: date, now: datetime) -> tuple[tuple[str, FoundRefund], ...] | Unclear | None:
        """The channel's own list for a day of Shanghai, by payment; None where it has none."""
        ...

    def next_query(self, asked: int) -> timedelta:
        """How long after the `asked`-th question to ask again; 0: after submitting."""
        ...

    def read_notice(self, notice: Notice, now: datetime) -> Proof | Hint:
        """Raises NoticeRefused."""
        ...

    def answer_to_notice(self, *, accepted: bool) -> Reply:
        """What the channel wants to hear."""
        ...
