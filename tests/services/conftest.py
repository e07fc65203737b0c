"""Services are tried on the same two sites as the stores."""

from tests.store.conftest import engine

__all__ = ["engine"]
