"""A worker's way to channels in tests that are about something else: nobody has an account, so nobody is asked."""

from app.outbound.channels.exchange import Exchange
from app.outbound.channels.opening import ChannelUrls
from app.sealing import Sealer
from app.services.channel_accounts import Channels, Keyring

_NOWHERE = "https://channel.invalid"


class _NoExchange:
    def of(self, mode: str) -> Exchange:
        """There is none."""
        raise AssertionError(f"a channel was asked for a {mode} site, and none has an account")


def no_channels(sealer: Sealer) -> Channels:
    """What a worker needs, of which nothing can be used."""
    return Channels(_NoExchange(), Keyring(sealer), ChannelUrls(_NOWHERE, _NOWHERE), None)
