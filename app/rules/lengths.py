"""The lengths a policy may give a limit: an exact one, or a number of working days.

An exact length is written as an ISO 8601 duration in whole numbers of days, hours, minutes and seconds (`PT5M`,
`P7D`, `P1DT12H`), or of weeks alone (`P2W`). Months and years are refused, since they have no fixed length.
Working days are written in words: `1 working day`, `3 working days`.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias, assert_never

from app.rules.calendar import Calendar, Moment, in_shanghai

LONGEST_SPAN = timedelta(days=3650)
MOST_WORKING_DAYS = 250

_SECOND = timedelta(seconds=1)
# Lengths up to two days are named in hours, as the sources do: 24 hours, 48 hours, 7 days.
_NAMED_IN_HOURS = timedelta(hours=48)
# The numbers are short enough that no sum of them overflows a timedelta before its limit is checked.
_DURATION = re.compile(
    r"P(?:([0-9]{1,8})W"
    r"|(?:([0-9]{1,8})D)?(?:T(?=[0-9])(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9})S)?)?)"
)
_WORKING_DAYS = re.compile(r"(?:(1) working day|([2-9]|[1-9][0-9]{1,2}) working days)")

Words: TypeAlias = tuple[tuple[str, str, str], ...]
_SHORT: Words = (("天", "day", "days"), ("小时", "h", "h"), ("分", "min", "min"), ("秒", "s", "s"))
_LONG: Words = (
    ("天", "day", "days"),
    ("小时", "hour", "hours"),
    ("分钟", "minute", "minutes"),
    ("秒", "second", "seconds"),
)


@dataclass(frozen=True, slots=True)
class Exact:
    """A length of the clock, above nil and at most `LONGEST_SPAN`; ValueError otherwise."""

    span: timedelta

    def __post_init__(self) -> None:
        if not timedelta(0) < self.span <= LONGEST_SPAN:
            raise ValueError(f"a length lies above nil, and is at most {LONGEST_SPAN.days} days")


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """A count of working days, from 1 to `MOST_WORKING_DAYS`; ValueError otherwise."""

    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_WORKING_DAYS:
            raise ValueError(f"a number of working days lies between 1 and {MOST_WORKING_DAYS}")


Length: TypeAlias = Exact | WorkingDays


def parse_duration(text: str) -> timedelta:
    """The exact length that `text` writes, above nil and at most `LONGEST_SPAN`. Raises ValueError, echoing nothing."""
    written = _DURATION.fullmatch(text)
    if written is None:
        raise ValueError("not a duration in whole weeks, days, hours, minutes or seconds, such as PT24H or P1DT12H")
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in written.groups())
    return Exact(timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)).span


def parse_length(text: str) -> Length:
    """The length that `text` writes: working days in words, else a duration. Raises ValueError, echoing nothing."""
    words = _WORKING_DAYS.fullmatch(text)
    if words is not None:
        return WorkingDays(int(words[1] or words[2]))
    try:
        return Exact(parse_duration(text))
    except ValueError as refusal:
        raise ValueError(f"{refusal}; working days are written as 1 working day or 3 working days") from None


def duration_text(span: timedelta) -> str:
    """An ISO 8601 duration in days, hours, minutes and seconds."""
    hours, rest = divmod(span.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{span.microseconds:06d}".rstrip("0") if span.microseconds else ""
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    clock += f"{seconds}{fraction}S" if seconds or fraction else ""
    days = f"{span.days}D" if span.days else ""
    return f"P{days}T{clock}" if clock else f"P{days}" if days else "PT0S"


def end_of(start: datetime, length: Length, calendar: Calendar) -> Moment:
    """When `length` counted from `start` is over, in Shanghai time; the end itself is still in time.

    An exact length ends to the microsecond; one that runs past the year 9999 ends with it.
    Raises ValueError for a `start` without an offset.
    """
    match length:
        case Exact(span):
            return Moment(_later(start, span), provisional=False)
        case WorkingDays(count):
            return calendar.end_of_nth_working_day(start, count)
        case _:
            assert_never(length)


def _later(start: datetime, span: timedelta) -> datetime:
    here = in_shanghai(start)
    try:
        return here + span
    except OverflowError:
        return datetime.max.replace(tzinfo=here.tzinfo)


def describe(length: Length) -> tuple[str, str]:
    """`length` in Chinese and English: "3 个工作日" and "3 working days", "24 小时" and "24 hours"."""
    match length:
        case Exact(span):
            return _in_words(span, _LONG, name_days=span > _NAMED_IN_HOURS)
        case WorkingDays(count):
            return f"{count} 个工作日", f"{count} working {'day' if count == 1 else 'days'}"
        case _:
            assert_never(length)


def describe_span(span: timedelta) -> tuple[str, str]:
    """The size of `span`, whatever its sign, for arithmetic: "24 分 30 秒" and "24 min 30 s"; never rounded."""
    return _in_words(abs(span), _SHORT, name_days=True)


def _in_words(span: timedelta, words: Words, *, name_days: bool) -> tuple[str, str]:
    days, rest = divmod(span, timedelta(days=1)) if name_days else (0, span)
    hours, rest = divmod(rest, timedelta(hours=1))
    minutes, rest = divmod(rest, timedelta(minutes=1))
    numbers = (str(days), str(hours), str(minutes), _seconds(rest))
    parts = [(number, *word) for number, word in zip(numbers, words, strict=True) if number != "0"]
    parts = parts or [("0", *words[-1])]
    zh = " ".join(f"{number} {name}" for number, name, _, _ in parts)
    zh = f"{zh}钟" if zh.endswith(" 分") else zh
    en = " ".join(f"{number} {one if number == '1' else many}" for number, _, one, many in parts)
    return zh, en


def _seconds(span: timedelta) -> str:
    """Seconds with as many places as they need, never rounded: "30", "30.5", "0.000001"."""
    whole, fraction = divmod(span, _SECOND)
    return f"{whole}.{fraction.microseconds:06d}".rstrip("0").rstrip(".") if fraction else str(whole)
