"""One running service, worker included, for all of these tests."""

from collections.abc import Iterator

import pytest

from tests.live import Live, live_service


@pytest.fixture
def live(database_url: str) -> Iterator[Live]:
    """API and worker on a database of their own."""
    with live_service(database_url, worker=True) as service:
        yield service
