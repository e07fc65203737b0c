"""The API process: the composition root of everything under `app.api`."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from app import logs
from app.api import (
    adjudications,
    bundle,
    case_steps,
    cases,
    catalogue,
    channel_accounts,
    channel_notices,
    deliveries,
    deposits,
    documentation,
    events,
    evidence_files,
    health,
    limits,
    merchants,
    openapi,
    orders,
    payments,
    problems,
    reconciliation,
    records_import,
    refunds,
    reporting_secret,
    reviews,
    signals,
    stats,
    webhook_docs,
    webhook_endpoints,
)
from app.config import Config, ConfigError, read_config
from app.files.cabinet import open_cabinet
from app.sealing import Sealer
from app.services.channel_accounts import Keyring
from app.store.engine import create_engine

SECONDS_TO_FINISH = 10
RESOURCES = (
    adjudications,
    cases,
    case_steps,
    evidence_files,
    bundle,
    refunds,
    reporting_secret,
    reconciliation,
    channel_accounts,
    channel_notices,
    orders,
    payments,
    deliveries,
    merchants,
    deposits,
    records_import,
    webhook_endpoints,
    events,
    catalogue,
    reviews,
    stats,
    signals,
    health,
)


def create_app(config: Config) -> FastAPI:
    """The application for this configuration; it connects when it starts, and lets go when it stops.

    ConfigError where files are to be kept in a place that cannot be had.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = create_engine(config, application_name="kmr-api")
        yield
        await app.state.engine.dispose()

    app = FastAPI(
        title=openapi.TITLE,
        version=openapi.VERSION,
        summary=openapi.SUMMARY,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # A redirect would name whatever host the caller named, and `/v1/orders/` is nothing rather than a list.
        redirect_slashes=False,
    )
    app.state.config = config
    app.state.sealer = Sealer(config.sealing_key)
    app.state.keyring = Keyring(app.state.sealer)
    app.state.cabinet = None if config.files_url is None else open_cabinet(config.files_url)
    for resource in RESOURCES:
        app.include_router(resource.router)
    webhook_docs.install(app)
    openapi.install(app)
    documentation.install(app)
    problems.install(app)
    limits.install(app, largest_upload=config.largest_file)
    return app


def run() -> None:
    """Serve until told to stop; requests under way get 10 s to finish."""
    try:
        config = read_config(os.environ)
        app = create_app(config)
    except ConfigError as unusable:
        sys.exit(f"Cannot start: {unusable}")
    logs.configure(config.log_level)
    uvicorn.run(
        app,
        host=config.host,
        port=config.port,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )


if __name__ == "__main__":
    run()
