"""The two sites of the stores' tests, with accounts at channels of their own."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database_clock import DatabaseClock
from tests.settling.scene import Scene, opened
from tests.store.conftest import engine

__all__ = ["bare", "engine", "scene"]


@pytest.fixture
async def bare(engine: AsyncEngine, clock: DatabaseClock) -> Scene:
    """A site without accounts, at noon: adapters are instructed."""
    return await opened(engine, clock)


@pytest.fixture
async def scene(bare: Scene) -> Scene:
    """The same with an account of each kind."""
    await bare.register()
    return bare
