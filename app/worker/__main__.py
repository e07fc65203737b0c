"""The entry point: reads the settings, wires everything, runs until told to stop."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import uvloop

from app import logs
from app.config import Config, ConfigError, read_config
from app.files.cabinet import open_cabinet
from app.outbound.resolver import SystemResolver
from app.outbound.sender import Sender, tls_context
from app.sealing import Sealer
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
        cabinet = None if config.files_url is None else open_cabinet(config.files_url)
        yield Worker(engine, Sealer(config.sealing_key), outlets, cabinet)


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
