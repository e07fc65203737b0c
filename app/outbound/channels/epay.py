"""易支付-style aggregators (彩虹易支付 and its kin), in both of their interfaces.

An aggregator's notice is a hint; only an answer to a question of ours, asked over https at the aggregator's own
address, settles a refund. See `epay_v1` for why V1 leaves some refunds to a person.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

from app.outbound.channels import epay_notices
from app.outbound.channels.epay_credentials import EpayCredentials, EpayVersion, read_credentials
from app.outbound.channels.epay_v1 import EpayV1
from app.outbound.channels.epay_v2 import EpayV2
from app.outbound.channels.exchange import Exchange, Reply
from app.outbound.channels.said import (
    FoundRefund,
    Hint,
    Instruction,
    Notice,
    NotNow,
    PaymentSeen,
    Said,
    Told,
    Unclear,
)
from app.rules.settlement import Failure, FailureCode, RefundState

__all__ = ["Epay", "EpayCredentials", "EpayVersion", "read_credentials"]

# Soon at first, since most aggregators refund within the call; no interval is documented.
_QUERY_PLAN: Final = (
    timedelta(seconds=10),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
)
_FOREIGN: Final = Failure(FailureCode.REJECTED, "易支付只支持人民币退款。 These aggregators refund in CNY only.")


class Epay:
    """An Adapter. Aggregators document neither an age at which refunds end, nor a pause between them, nor a bill."""

    __slots__ = ("_credentials", "_side")

    def __init__(self, credentials: EpayCredentials, exchange: Exchange, *, nonce: Callable[[], str]) -> None:
        """`nonce` is taken as by all channels; this protocol has no place for one."""
        del nonce
        self._credentials = credentials
        self._side = _side(credentials, exchange)

    def obstacle(self, instruction: Instruction, now: datetime) -> Told | NotNow | None:
        """Another currency; on V1 also what cannot be refunded safely."""
        if instruction.currency != "CNY":
            return Told(RefundState.ABNORMAL, failure=_FOREIGN)
        return self._side.obstacle(instruction, now) if isinstance(self._side, EpayV1) else None

    async def submit(self, instruction: Instruction, now: datetime) -> Said:
        """Safe to repeat at any time, whatever became of earlier attempts."""
        if instruction.currency != "CNY":
            return Told(RefundState.ABNORMAL, failure=_FOREIGN)
        return await self._side.submit(instruction, now)

    async def query(self, instruction: Instruction, now: datetime) -> Said:
        """What has become of the refund."""
        return await self._side.query(instruction, now)

    async def look_at_payment(
        self, payment_no: str, payment_amount: int, now: datetime
    ) -> PaymentSeen | Unclear | None:
        """What went back over a payment; an aggregator lists no single refunds."""
        return await self._side.look_at_payment(payment_no, payment_amount, now)

    async def refunds_of_day(self, day: date, now: datetime) -> tuple[tuple[str, FoundRefund], ...] | Unclear | None:
        """None: aggregators have no bill."""
        del day, now
        return None

    def next_query(self, asked: int) -> timedelta:
        """From seconds to half a day."""
        return _QUERY_PLAN[min(asked, len(_QUERY_PLAN) - 1)]

    def read_notice(self, notice: Notice, now: datetime) -> Hint:
        """Never a Proof. Late notices are as good as others: they only make us ask."""
        del now
        return epay_notices.read_notice(self._credentials, notice)

    def answer_to_notice(self, *, accepted: bool) -> Reply:
        """`success` ends the notices, anything else has them sent again."""
        return Reply(200, {"content-type": "text/plain; charset=utf-8"}, b"success" if accepted else b"fail")


def _side(credentials: EpayCredentials, exchange: Exchange) -> EpayV1 | EpayV2:
    match credentials:
        case EpayCredentials(version=EpayVersion.V1):
            return EpayV1(credentials, exchange)
        case EpayCredentials(url=url, pid=pid, private_key=private, platform_public_key=public):
            if private is not None and public is not None:
                return EpayV2(url, pid, private, public, exchange)
    raise ValueError("V2 needs both RSA keys")
