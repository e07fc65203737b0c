from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outbound.answer import Answer, SendError
from app.outbound.schedule import (
    STEPS,
    Delivered,
    Disable,
    DisableReason,
    GiveUp,
    Outcome,
    Retry,
    next_attempt,
    should_disable,
)

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
LAST = len(STEPS)


def answered(status: int | None, retry_after: str | None = None) -> Answer:
    error = SendError.CONNECT_FAILED if status is None else None
    return Answer(status=status, error=error, retry_after=retry_after, duration=timedelta(0), excerpt="")


def after(attempt: int, status: int | None, retry_after: str | None = None, jitter: float = 0.0) -> Outcome:
    return next_attempt(attempt, answered(status, retry_after), now=NOW, jitter=jitter)


def wait(outcome: Outcome) -> timedelta:
    assert isinstance(outcome, Retry)
    return outcome.at - NOW


def test_a_dead_endpoint_is_tried_ten_times_at_the_published_steps() -> None:
    clock, attempt, waits = NOW, 1, []
    while isinstance(outcome := next_attempt(attempt, answered(None), now=clock, jitter=0.0), Retry):
        waits.append(outcome.at - clock)
        clock, attempt = outcome.at, attempt + 1
    assert outcome == GiveUp()
    assert attempt == 10
    assert [step.total_seconds() for step in (STEPS[0], *waits)] == [
        0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400,
    ]  # fmt: skip


@pytest.mark.parametrize("status", range(200, 300))
def test_every_2xx_is_success_even_on_the_last_attempt(status: int) -> None:
    assert after(1, status) == after(LAST, status) == Delivered()


@pytest.mark.parametrize(
    "status", [100, 101, 199, 300, 301, 302, 303, 304, 307, 308, 400, 401, 404, 409, 429, 500, 503, 599]
)
def test_everything_else_is_tried_again_and_given_up_in_the_end(status: int) -> None:
    assert isinstance(after(1, status), Retry)
    assert after(LAST, status) == after(LAST + 1, status) == GiveUp()


@pytest.mark.parametrize("attempt", [1, LAST, LAST + 1])
def test_gone_disables_at_once(attempt: int) -> None:
    assert after(attempt, 410) == Disable(DisableReason.GONE)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "minutes"),
    [
        ("0", 5), ("299", 5), ("420", 7), ("600", 10), ("601", 10), ("86400", 10), ("9" * 5000, 10), ("0000000420", 7),
        (" 420 ", 7), ("-1", 5), ("+420", 5), ("4e2", 5), ("420.5", 5), ("٤٢٠", 5), ("²", 5), ("", 5), ("soon", 5),
        ("Tue, 10 Mar 2026 04:07:00 GMT", 7), ("Tue, 10 Mar 2026 03:00:00 GMT", 5),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 10),
        ("Tue, 10 Mar 2026 04:07:00 -0000", 7), ("Tuesday, 10-Mar-26 04:07:00 GMT", 7),
        ("Tue, 99 Mar 2026 04:07:00 GMT", 5),
    ],
)  # fmt: skip
def test_retry_after_is_honoured_between_the_step_and_twice_the_step(status: int, asked: str, minutes: int) -> None:
    assert wait(after(2, status, asked)) == timedelta(minutes=minutes)


@pytest.mark.parametrize("status", [301, 400, 408, 500, 502, 504])
def test_other_answers_do_not_get_to_slow_down(status: int) -> None:
    assert wait(after(2, status, "600")) == timedelta(minutes=5)


@given(attempt=st.integers(1, LAST - 1), status=st.sampled_from([None, 301, 429, 500, 503]),
       asked=st.none() | st.text() | st.integers().map(str), jitter=st.floats(0, 1))  # fmt: skip
def test_whatever_is_asked_the_wait_lies_between_the_step_and_twice_the_step(
    attempt: int, status: int | None, asked: str | None, jitter: float
) -> None:
    assert STEPS[attempt] <= wait(after(attempt, status, asked, jitter)) <= 2 * STEPS[attempt]


def test_jitter_only_ever_delays_and_parts_a_herd() -> None:
    waits = [wait(after(3, 500, jitter=jitter)) for jitter in (0.0, 0.25, 0.5, 1.0)]
    assert waits == sorted(set(waits))
    assert waits[-1] == timedelta(minutes=33)


@pytest.mark.parametrize(("attempt", "jitter"), [(0, 0.0), (-1, 0.0), (1, -0.1), (1, 1.1), (1, float("nan"))])
def test_nonsense_is_a_fault_of_the_caller(attempt: int, jitter: float) -> None:
    with pytest.raises(ValueError, match="attempts count"):
        after(attempt, 500, jitter=jitter)


def test_an_endpoint_is_disabled_at_five_days_of_failure_and_not_a_moment_before() -> None:
    assert should_disable(NOW - timedelta(days=5), NOW)
    assert not should_disable(NOW - timedelta(days=5) + timedelta(microseconds=1), NOW)
    assert not should_disable(None, NOW)
