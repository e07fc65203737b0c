"""When an event is tried again, and when an endpoint has failed for too long."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from app.outbound.answer import Answer

# The wait before attempt 1, 2, … 10, counted from the attempt before: 3 days in all, so that a weekend is survived.
STEPS: Final = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
# Only ever later, so that a step is a promise; a tenth is enough to part a herd that failed together.
SPREAD: Final = 0.1
SLOW_DOWN: Final = frozenset({429, 503})
GONE: Final = 410
FAILING_FOR: Final = timedelta(days=5)
LONGEST_ASKED: Final = timedelta(days=365)  # any number above counts as this; keeps absurd ones out of the arithmetic


class DisableReason(StrEnum):
    """Why an endpoint was switched off."""

    GONE = "gone"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint answered 2xx."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again, not before `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """That was the last attempt; the event can still be sent again by hand."""


@dataclass(frozen=True, slots=True)
class Disable:
    """Stop calling this endpoint."""

    reason: DisableReason


Outcome = Delivered | Retry | GiveUp | Disable


def next_attempt(attempt: int, answer: Answer, *, now: datetime, jitter: float) -> Outcome:
    """What follows attempt number `attempt` (the first is 1) that ended `now`; `jitter` is random in [0, 1]."""
    if attempt < 1 or not 0 <= jitter <= 1:
        raise ValueError("attempts count from 1, and jitter lies in [0, 1]")
    if answer.succeeded:
        return Delivered()
    if answer.status == GONE:
        return Disable(DisableReason.GONE)
    if attempt >= len(STEPS):
        return GiveUp()
    return Retry(now + _wait(STEPS[attempt], answer, now, jitter))


def should_disable(first_failure_at: datetime | None, now: datetime) -> bool:
    """Whether an endpoint has failed for 5 days; `first_failure_at` is the first failure since its last success."""
    return first_failure_at is not None and now - first_failure_at >= FAILING_FOR


def _wait(step: timedelta, answer: Answer, now: datetime, jitter: float) -> timedelta:
    """Never under the step, never over twice the step, whatever the endpoint asks for."""
    asked = _asked_for(answer.retry_after, now) if answer.status in SLOW_DOWN else None
    wanted = step if asked is None else max(step, min(asked, 2 * step))
    return min(wanted * (1 + SPREAD * jitter), 2 * step)


def _asked_for(retry_after: str | None, now: datetime) -> timedelta | None:
    """RFC 9110 §10.2.3: seconds or an HTTP date; None if it is neither."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0")
        return LONGEST_ASKED if len(digits) > 7 else timedelta(seconds=int(digits or "0"))
    return _until(text, now)


def _until(text: str, now: datetime) -> timedelta | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # An HTTP date is GMT by definition; the parser leaves "-0000" naive.
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
