"""Every fake channel behind one exchange, and one way to speak of them all."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from app.models.closed_sets import ChannelKind
from app.outbound.channels.exchange import Exchange, Reply, Request
from app.outbound.channels.opening import ChannelUrls
from app.rules.facts import Channel
from tests.channels import alipay_keys, wechat_pay_keys
from tests.channels.alipay_gateway import GATEWAY_URL, AlipayGateway
from tests.channels.epay_gateway import EpayGateway
from tests.channels.epay_keys import v1_document, v2_document
from tests.channels.wechat_pay_books import Paid as WechatPaid
from tests.channels.wechat_pay_gateway import BASE_URL, WechatPayGateway

URLS: Final = ChannelUrls(BASE_URL, GATEWAY_URL)
V1_URL, V2_URL = "https://v1.example.com", "https://v2.example.com"


@dataclass(frozen=True, slots=True)
class Kind:
    """An account that a site can have: `name` for people, and what it is registered with."""

    name: str
    kind: ChannelKind
    channel: Channel
    credentials: Mapping[str, Any]


KINDS: Final = (
    Kind("wechat_pay", ChannelKind.WECHAT_PAY, Channel.WECHAT_PAY, wechat_pay_keys.credentials_document()),
    Kind("alipay", ChannelKind.ALIPAY, Channel.ALIPAY, alipay_keys.credentials_document()),
    Kind("epay_v1", ChannelKind.EPAY, Channel.UNIONPAY, v1_document() | {"url": V1_URL}),
    Kind("epay_v2", ChannelKind.EPAY, Channel.BANK_CARD, v2_document() | {"url": V2_URL}),
)
BY_CHANNEL: Final = {each.channel: each for each in KINDS}
OTHER_PARTY: Final = "by hand"


@dataclass(frozen=True, slots=True)
class Paid:
    """Money that went back, begun `at` when; `refund_no` empty: by hand, None: the channel knows no numbers."""

    refund_no: str | None
    amount: int
    at: datetime


class Standing(StrEnum):
    """What a channel has under a number. `dead`: it has it, and never pays it; `open`: it may pay yet."""

    UNKNOWN = "unknown"
    DEAD = "dead"
    OPEN = "open"
    PAID = "paid"


class _Wechat(WechatPayGateway):
    """Where some payers' accounts are gone, for good: `gone` are the payments that they made."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.gone: set[str] = set()

    def _refusals(self, payment: WechatPaid, *asked: Any) -> Iterator[Reply]:
        self.account_gone = payment.payment_no in self.gone
        return super()._refusals(payment, *asked)


@dataclass
class Gateways:
    """All of them, on one clock. An Exchange: whoever is meant answers. `by_hand`: fen others refunded, by payment."""

    clock: Callable[[], datetime]
    by_hand: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.wechat = _Wechat(self.clock)
        self.alipay = AlipayGateway(self.clock)
        self.v1 = EpayGateway(self.clock, tells_refunded=True)
        self.v2 = EpayGateway(self.clock)

    def pay(self, channel: Channel, payment_no: str, amount: int, paid_at: datetime) -> None:
        """A buyer pays."""
        match channel:
            case Channel.WECHAT_PAY:
                self.wechat.pay(payment_no, amount, paid_at)
            case Channel.ALIPAY:
                self.alipay.pay(payment_no, amount, paid_at)
            case _:
                self._epay(channel).add_order(payment_no, amount)

    def paid_out(self, channel: Channel, payment_no: str) -> int:
        """Fen that went back over a payment, by anybody's doing."""
        match channel:
            case Channel.WECHAT_PAY:
                return self.wechat.paid_out(payment_no)
            case Channel.ALIPAY:
                return self.alipay.paid_out(payment_no)
        return self._epay(channel).paid_out(payment_no)

    def paid(self, channel: Channel, payment_no: str) -> Iterator[Paid]:
        """Each of them by itself."""
        now = self.clock()
        match channel:
            case Channel.WECHAT_PAY:
                for one in self.wechat.payments[payment_no].refunds:
                    if one.status(now) == "SUCCESS":
                        yield Paid(_ours(one.refund_no), one.amount, one.begun_at)
            case Channel.ALIPAY:
                yield from (
                    Paid(_ours(one.refund_no), one.amount, one.at) for one in self.alipay.trades[payment_no].refunds
                )
            case Channel.UNIONPAY:
                yield from (Paid(None, one.amount, one.at) for one in self.v1.orders[payment_no].made)
            case _:
                yield from (Paid(one.out_refund_no, one.amount, one.at) for one in self.v2.orders[payment_no].made)

    def standing(self, channel: Channel, payment_no: str, refund_no: str) -> Standing:
        """What the merchant's console shows of a refund; not for the channel that knows no numbers."""
        assert channel is not Channel.UNIONPAY
        if channel is Channel.WECHAT_PAY:
            one = self.wechat.refunds.get(refund_no)
            words = {"SUCCESS": Standing.PAID, "CLOSED": Standing.DEAD}
            return Standing.UNKNOWN if one is None else words.get(one.status(self.clock()), Standing.OPEN)
        is_paid = any(each.refund_no == refund_no for each in self.paid(channel, payment_no))
        return Standing.PAID if is_paid else Standing.UNKNOWN

    def refund_by_hand(self, channel: Channel, payment_no: str, amount: int) -> None:
        """Somebody else refunds, in the channel's console; nothing happens where not that much is left."""
        if amount > self.left(channel, payment_no):
            return
        match channel:
            case Channel.WECHAT_PAY:
                ends, self.wechat.ends_next = self.wechat.ends_next, "SUCCESS"
                self.wechat.refund_by_hand(payment_no, amount)
                self.wechat.ends_next = ends
            case Channel.ALIPAY:
                number = f"hand{len(self.alipay.trades[payment_no].refunds)}"
                self.alipay.refund_by_hand(payment_no, amount, number)
            case _:
                self._epay(channel).refund_by_hand(payment_no, amount)
        self.by_hand[payment_no] = self.by_hand.get(payment_no, 0) + amount

    def left(self, channel: Channel, payment_no: str) -> int:
        """Fen that could still go back; what is under way may still succeed."""
        match channel:
            case Channel.WECHAT_PAY:
                paid, now = self.wechat.payments[payment_no], self.clock()
                return paid.amount - sum(one.amount for one in paid.refunds if one.status(now) != "CLOSED")
            case Channel.ALIPAY:
                trade = self.alipay.trades[payment_no]
                return trade.amount - trade.refunded
        order = self._epay(channel).orders[payment_no]
        return order.money - sum(made.amount for made in order.made)

    def set_balance(self, fen: int) -> None:
        """What the merchant has, at each of them."""
        self.wechat.balance = self.alipay.balance = self.v1.balance = self.v2.balance = fen

    def asked_to_pay(self) -> int:
        """How often any of them was asked to refund."""
        wechat = sum(request.method == "POST" for request in self.wechat.requests)
        alipay = sum(method == "alipay.trade.refund" for method, _ in self.alipay.called)
        return wechat + alipay + self.v1.calls.count("v1/refund") + self.v2.calls.count("v2/refund")

    def of(self, mode: str) -> Exchange:
        """For a site's mode: they all are test data."""
        assert mode == "test"
        return self

    async def send(self, request: Request) -> Reply:
        """Exchange."""
        return await self.called(request).send(request)

    def called(self, request: Request) -> WechatPayGateway | AlipayGateway | EpayGateway:
        """Who is meant."""
        match urlsplit(request.url).hostname:
            case "api.mch.weixin.qq.com":
                return self.wechat
            case "v1.example.com":
                return self.v1
            case "v2.example.com":
                return self.v2
        return self.alipay

    def _epay(self, channel: Channel) -> EpayGateway:
        return self.v1 if channel is Channel.UNIONPAY else self.v2


def _ours(refund_no: str) -> str:
    return "" if refund_no.startswith("hand") else refund_no
