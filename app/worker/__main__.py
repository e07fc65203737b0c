"""The entry point: reads the settings, wires everything, runs until told to stop."""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import uvloop

from app import logs
from app.config import Config, ConfigError, read_config
from app.files.cabinet import open_cabinet
from app.outbound.channels.client import ChannelClient
from app.outbound.channels.exchange import Exchange
from app.outbound.channels.opening import ChannelUrls
from app.outbound.resolver import Resolver, SystemResolver
from app.outbound.sender import Sender, tls_context
from app.sealing import Sealer
from app.services.channel_accounts import Channels, Keyring
from app.store.engine import create_engine
from app.worker.sending import Outlets
from app.worker.worker import Worker

PLACES: Final = 32

log = logs.logger(__name__)


@asynccontextmanager
async def wired(config: Config) -> AsyncIterator[Worker]:
    """A worker with all that it needs, closed at the end."""
    engine = create_engine(config, application_name="kmr-worker")
    resolver, tls = SystemResolver(), tls_context()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        stack.callback(resolver.close)
        outlets = []
        for _ in range(PLACES):
            live = await stack.enter_async_context(Sender(resolver, tls=tls))
            test = live
            if config.allow_loopback_webhooks:
                own = {config.port}
                test = await stack.enter_async_context(Sender(resolver, tls=tls, allow_loopback=True, own_ports=own))
            outlets.append(Outlets(live, test))
        exchanges = await _exchanges(stack, config, resolver, tls)
        urls = ChannelUrls(config.wechat_pay_url, config.alipay_url)
        sealer = Sealer(config.sealing_key)
        channels = Channels(exchanges, Keyring(sealer), urls, config.public_url)
        cabinet = None if config.files_url is None else open_cabinet(config.files_url)
        yield Worker(engine, sealer, outlets, channels, cabinet)


@dataclass(frozen=True, slots=True)
class Exchanges:
    """One client for channels on the public Internet, and one that test data may use for this machine."""

    live: ChannelClient
    test: ChannelClient

    def of(self, mode: str) -> Exchange:
        """The client for a site's mode."""
        return self.test if mode == "test" else self.live


async def _exchanges(stack: AsyncExitStack, config: Config, resolver: Resolver, tls: ssl.SSLContext) -> Exchanges:
    live = await stack.enter_async_context(ChannelClient(resolver, tls=tls))
    if not config.allow_loopback_webhooks:
        return Exchanges(live, live)
    return Exchanges(live, await stack.enter_async_context(ChannelClient(resolver, tls=tls, allow_loopback=True)))


async def serve(config: Config) -> None:
    """Runs until SIGTERM or SIGINT."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with wired(config) as worker:
        log.info("worker_started")
        await worker.run(stop)
    log.info("worker_stopped")


def main() -> None:
    """Exits with a text for people where the settings are not usable."""
    try:
        config = read_config(os.environ)
        logs.configure(config.log_level)
        uvloop.run(serve(config))
    except ConfigError as error:
        sys.exit(f"kmr worker: {error}")


if __name__ == "__main__":
    main()
