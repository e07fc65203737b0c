"""Failures of the database that pass: which of them ask the caller to come again, and why."""

import socket
from collections.abc import Iterator
from typing import Final

import asyncpg
from sqlalchemy import exc

from app.errors import Busy, Refusal, Unavailable

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_BUSY_STATES: Final = frozenset({"40001", "40P01", "55P03", "57014"})
"""Serialization failure, deadlock, lock not available, statement or lock time-out."""
_DOWN_CLASSES: Final = ("08", "53", "57P", "25006")
"""Connection lost, out of resources, shut down by an operator, read-only."""
_DOWN_ERRORS: Final = (
    exc.TimeoutError,
    exc.InterfaceError,
    asyncpg.InterfaceError,
    ConnectionError,
    TimeoutError,
    socket.gaierror,
)
_MOST_CAUSES: Final = 6


def refusal_for(error: BaseException) -> Refusal | None:
    """Busy or Unavailable for a passing failure of the database; None for anything else."""
    for cause in _causes(error):
        state = getattr(cause, "sqlstate", None)
        if state in _BUSY_STATES:
            return Busy()
        if isinstance(state, str) and state.startswith(_DOWN_CLASSES):
            return Unavailable()
        if isinstance(cause, _DOWN_ERRORS) or getattr(cause, "connection_invalidated", False):
            return Unavailable()
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what its raisers named as the cause. What merely happened meanwhile does not count."""
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None:
            return
        yield cause
        original = getattr(cause, "orig", None)
        cause = original if isinstance(original, BaseException) else cause.__cause__
