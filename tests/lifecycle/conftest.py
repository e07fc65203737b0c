"""One service for all that is driven from here: each example and each test is a site of its own."""

from collections.abc import Iterator

import pytest

from launcher.postgres import Server
from tests.lifecycle.running import bystander
from tests.lifecycle.service import Service, Site, in_process


@pytest.fixture(scope="session")
def service(postgres: Server) -> Iterator[Service]:
    """The application itself, on a database of its own."""
    with in_process(postgres) as service:
        yield service


@pytest.fixture(scope="session")
def neighbour(service: Service) -> Site:
    """A site that nothing may change."""
    return bystander(service)
