"""A site in a database of its own."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.store.engine import create_engine, transaction
from tests.store.rows import OTHER_SITE, SITE, config_of, open_site


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections as the service makes them, to a database with two sites."""
    engine = create_engine(config_of(database_url))
    async with transaction(engine) as connection:
        await open_site(connection, SITE)
        await open_site(connection, OTHER_SITE)
    yield engine
    await engine.dispose()
