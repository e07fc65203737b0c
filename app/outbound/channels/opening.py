"""From an account's credentials to the adapter that speaks for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from app.models.closed_sets import ChannelKind
from app.outbound.channels import alipay, epay, wechat_pay
from app.outbound.channels.adapter import Adapter
from app.outbound.channels.credentials import CredentialsInvalid
from app.outbound.channels.exchange import Exchange, Reply, Request, Unanswered

__all__ = [
    "WITH_BILLS",
    "ChannelUrls",
    "Credentials",
    "CredentialsInvalid",
    "NoExchange",
    "open_adapter",
    "read_credentials",
]

WITH_BILLS: Final = frozenset({ChannelKind.WECHAT_PAY, ChannelKind.ALIPAY})
"""The kinds whose `refunds_of_day` can tell anything."""


@dataclass(frozen=True, slots=True)
class ChannelUrls:
    """Where the channels are called; an aggregator's address belongs to its account."""

    wechat_pay: str
    alipay: str


class NoExchange:
    """For an adapter that only reads what has come."""

    async def send(self, request: Request) -> Reply:
        """Raises Unanswered."""
        raise Unanswered("no_exchange")


Credentials: TypeAlias = wechat_pay.WechatPayCredentials | alipay.AlipayCredentials | epay.EpayCredentials
"""What an account is opened with, its keys read."""


def read_credentials(kind: ChannelKind, document: Mapping[str, object]) -> Credentials:
    """CredentialsInvalid for credentials that cannot be used. Reading keys is slow: it takes a tenth of a second."""
    match kind:
        case ChannelKind.WECHAT_PAY:
            return wechat_pay.read_credentials(document)
        case ChannelKind.ALIPAY:
            return alipay.read_credentials(document)
        case ChannelKind.EPAY:
            return epay.read_credentials(document)
        case _:
            assert_never(kind)


def open_adapter(
    credentials: Credentials, exchange: Exchange, urls: ChannelUrls, *, nonce: Callable[[], str]
) -> Adapter:
    """The adapter that speaks with these credentials."""
    match credentials:
        case wechat_pay.WechatPayCredentials():
            return wechat_pay.WechatPay(credentials, exchange, base_url=urls.wechat_pay, nonce=nonce)
        case alipay.AlipayCredentials():
            return alipay.Alipay(credentials, exchange, base_url=urls.alipay, nonce=nonce)
        case epay.EpayCredentials():
            return epay.Epay(credentials, exchange, nonce=nonce)
        case _:
            assert_never(credentials)
