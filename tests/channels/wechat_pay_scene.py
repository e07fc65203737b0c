"""A clock that stands still, a gateway and an adapter on it, and a refund to ask for."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count

from app.outbound.channels.said import Instruction
from app.outbound.channels.wechat_pay import WechatPay, WechatPayCredentials, read_credentials
from tests.channels.wechat_pay_gateway import WechatPayGateway
from tests.channels.wechat_pay_keys import credentials_document

NOON = datetime(2026, 3, 10, 4, 0, 0, 250_000, tzinfo=UTC)  # 12:00 in Shanghai
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
PAYMENT = Instruction(
    refund_no="rf01hzy3m4n5p6q7r8s9t0v1w2x3",
    payment_no="P-1001",
    amount=20_000,
    payment_amount=50_000,
    currency="CNY",
    reason_text="卡密无法使用",
    paid_at=NOON - DAY,
    notify_url="https://shop.example.com/v1/channels/wechat_pay/notices",
)


@dataclass
class Scene:
    """`now` moves only when a test moves it."""

    now: datetime
    gateway: WechatPayGateway
    adapter: WechatPay

    def pass_by(self, length: timedelta) -> datetime:
        self.now += length
        return self.now


@cache
def our_credentials() -> WechatPayCredentials:
    return read_credentials(credentials_document())


def scene(*, settles_after: timedelta = timedelta(minutes=3), kind: type[WechatPay] = WechatPay) -> Scene:
    """A payment of 500 yuan, made a day ago."""
    nonces = count(1)
    gateway = WechatPayGateway(lambda: made.now, settles_after=settles_after)
    made = Scene(NOON, gateway, kind(our_credentials(), gateway, nonce=lambda: f"nonce{next(nonces):027}"))
    gateway.pay(PAYMENT.payment_no, PAYMENT.payment_amount, PAYMENT.paid_at)
    return made


def part(place: int, amount: int) -> Instruction:
    """The `place`-th of several refunds over the payment."""
    return replace(PAYMENT, refund_no=f"rf{place:026}", amount=amount, earlier=place)
