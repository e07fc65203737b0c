"""The only place that reads the process clock. Pass these functions in; never call them from a rule."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers with the present instant, aware, in UTC."""


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds of a clock that never goes back; only differences mean anything."""
    return time.monotonic()
