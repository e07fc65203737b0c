"""One running service, worker included, for all of these tests."""

from collections.abc import AsyncIterator

import pytest

from tests.live import Live, live_service


@pytest.fixture
async def live(database_url: str) -> AsyncIterator[Live]:
    """API and worker on a database of their own. Async, like the fixtures below it: they share one event loop."""
    with live_service(database_url, worker=True) as service:
        yield service
