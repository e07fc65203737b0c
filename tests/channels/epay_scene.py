"""A gateway, an adapter in front of it, a clock that moves by hand, and refunds to ask for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from app.outbound.channels.epay import Epay, EpayCredentials, read_credentials
from app.outbound.channels.said import Instruction
from tests.channels.epay_gateway import EpayGateway
from tests.channels.epay_keys import v1_document, v2_document

PAYMENT = "kmr-pay-0001"
REFUND = "rf01jd8r6s0000000000000001aa"


@dataclass
class Clock:
    """Hands that a test moves."""

    at: datetime = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """The moment."""
        return self.at

    def pass_by(self, length: timedelta) -> None:
        """Forward only."""
        self.at += length


@dataclass
class Scene:
    """`adapter()` anew is a new process: nothing is remembered."""

    version: str
    clock: Clock = field(default_factory=Clock)
    gateway: EpayGateway = field(init=False)

    def __post_init__(self) -> None:
        self.gateway = EpayGateway(self.clock.now)
        self.gateway.add_order(PAYMENT, 10_000)

    def adapter(self) -> Epay:
        """An adapter as the service builds it."""
        return Epay(_credentials(self.version), self.gateway, nonce=_never)

    @property
    def refund_calls(self) -> int:
        """How often the gateway was asked to pay."""
        return self.gateway.calls.count(f"{self.version}/refund")


@cache
def _credentials(version: str) -> EpayCredentials:
    """Read once: checking an RSA key takes longer than a whole refund."""
    return read_credentials(v1_document() if version == "v1" else v2_document())


def _never() -> str:
    raise AssertionError("this protocol has no nonce")


def instruction(amount: int = 10_000, **changed: object) -> Instruction:
    """A refund over `PAYMENT`, in full unless told otherwise."""
    fields: dict[str, object] = {
        "refund_no": REFUND,
        "payment_no": PAYMENT,
        "amount": amount,
        "payment_amount": 10_000,
        "currency": "CNY",
        "reason_text": "卡密无效",
        "paid_at": datetime(2026, 2, 27, tzinfo=UTC),
    }
    return Instruction(**(fields | changed))  # type: ignore[arg-type]


Change = Callable[[str, dict[str, object]], dict[str, object]]


def changing(kind: str, **changed: object) -> Change:
    """Answers of one kind say something else; None: the field is missing."""

    def change(asked: str, fields: dict[str, object]) -> dict[str, object]:
        if asked != kind:
            return fields
        return {name: value for name, value in (fields | changed).items() if value is not None}

    return change
