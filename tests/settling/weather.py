"""What happens between us and channels: lost, doubled, spoilt, refused; and notices, theirs and forged ones."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Final

from app.outbound.channels.exchange import Reply, Request, Unanswered
from app.outbound.channels.said import Notice
from app.rules.facts import Channel
from tests.channels import alipay_gateway, epay_faults, wechat_pay_faults
from tests.channels.alipay_gateway import AlipayGateway
from tests.channels.epay_gateway import EpayGateway
from tests.channels.epay_keys import KEY
from tests.channels.epay_scene import changing
from tests.channels.wechat_pay_gateway import WechatPayGateway
from tests.channels.wechat_pay_keys import signed_headers
from tests.settling.gateways import Gateways
from tests.settling.points import Points

CRASHES: Final = (epay_faults.Fault.CRASH_BEFORE, epay_faults.Fault.CRASH_AFTER)
# That there is not enough money is never said of a refund that was paid: the balance says it.
NO_FAULTS: Final = (wechat_pay_faults.Fault.NONE, wechat_pay_faults.Fault.NOT_ENOUGH)
WECHAT: Final = [fault for fault in wechat_pay_faults.Fault if fault not in NO_FAULTS]
ALIPAY: Final = [fault for fault in alipay_gateway.Fault if fault is not alipay_gateway.Fault.NONE]
EPAY: Final = [fault for fault in epay_faults.Fault if fault not in CRASHES]


@dataclass
class Weather(Gateways):
    """Gateways behind a bad line, where a call takes time, which `passes`.

    `foul`: how likely a call is spoilt; `doubles`: how likely it arrives twice.
    """

    random: Random = field(default_factory=lambda: Random(0))
    points: Points = field(default_factory=lambda: Points(Random(0)))
    passes: Callable[[timedelta], Awaitable[None]] | None = None
    foul: float = 0.0
    doubles: float = 0.0

    async def send(self, request: Request) -> Reply:
        """Exchange."""
        return await self.points.exchange(self._send, request)

    async def _send(self, request: Request) -> Reply:
        gateway = self.called(request)
        if self.random.random() < self.foul:
            self._spoil(gateway)
        try:
            reply = await gateway.send(request)
        finally:
            self._clear(gateway)
            if self.passes is not None:  # so that what comes after it is later
                await self.passes(timedelta(seconds=1))
        if self.random.random() < self.doubles:
            await self._again(gateway, request)
        return reply

    async def _again(self, gateway: WechatPayGateway | AlipayGateway | EpayGateway, request: Request) -> None:
        """The same request arrives a second time; nobody waits for that answer."""
        try:
            await gateway.send(request)
        except Unanswered:
            return

    def _spoil(self, gateway: WechatPayGateway | AlipayGateway | EpayGateway) -> None:
        match gateway:
            case WechatPayGateway():
                gateway.faults.append(self.random.choice(WECHAT))
            case AlipayGateway():
                gateway.faults.append(self.random.choice(ALIPAY))
            case EpayGateway():
                fault = self.random.choice(EPAY)
                gateway.plan = lambda _kind: fault

    def _clear(self, gateway: WechatPayGateway | AlipayGateway | EpayGateway) -> None:
        if isinstance(gateway, EpayGateway):
            gateway.plan = lambda _kind: None
        else:
            gateway.faults.clear()

    def misquotes(self, now: bool) -> None:
        """Whether channels name another amount than they paid, rightly signed."""
        self.alipay.says = {"refund_amount": "0.01"} if now else {}
        self.v2.change = changing("v2/refundquery", money="0.01") if now else lambda _kind, fields: fields

    def notices(self, payments: Sequence[tuple[Channel, str]]) -> list[tuple[Channel, Notice]]:
        """What channels say by themselves, in any order and as often as they like."""
        again = self.random.random() < 0.3
        said: list[tuple[Channel, Notice]] = [(Channel.WECHAT_PAY, each) for each in self.wechat.notices(again=again)]
        said += [(Channel.ALIPAY, each) for each in self.alipay.notices if self.random.random() < 0.5]
        for channel, payment_no in payments:
            if channel is Channel.UNIONPAY:
                said.append((channel, self.v1.notice(payment_no)))
            elif channel is Channel.BANK_CARD:
                said.append((channel, self.v2.signed_notice(payment_no)))
        self.random.shuffle(said)
        return said[:6]

    def forged(self, payments: Sequence[tuple[Channel, str]]) -> list[tuple[Channel, Notice]]:
        """What somebody sends who holds no key, or an old notice."""
        said: list[tuple[Channel, Notice]] = []
        for number, refund in self.wechat.refunds.items():
            notice = self.wechat.notice(number, status=self.random.choice(("SUCCESS", "CLOSED", "ABNORMAL")))
            own = signed_headers(notice.body, self.clock(), owner="somebody else")
            stale = signed_headers(notice.body, refund.begun_at.replace(year=2025))
            headers = self.random.choice((own, stale, self.wechat.probe(number).headers))
            said.append((Channel.WECHAT_PAY, replace(notice, headers=headers)))
        for channel, payment_no in payments:
            if channel is Channel.UNIONPAY:
                said.append((channel, self.v1.notice(payment_no, key=KEY[::-1])))
            elif channel is Channel.ALIPAY:
                said.append((channel, self.alipay.notice(by="stranger", out_trade_no=payment_no, refund_fee="1.00")))
        self.random.shuffle(said)
        return said[:4]
