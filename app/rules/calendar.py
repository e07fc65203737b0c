"""The statutory working days of mainland China, with make-up workdays (调休), and the ends of limits counted in them.

One TOML file a year, `calendars/YYYY.toml`, holds what the State Council's notices change about the plain week:
`holidays` are the Mondays to Fridays off, `workdays` the Saturdays and Sundays worked, and `source` names the notices.
Weekend days inside a holiday are left out, because a weekend is off anyway. A year without a file is not published:
its weekends count as off, its weekdays as worked, and every answer that rests on it says `provisional`.
"""

import tomllib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from importlib.resources import files
from itertools import chain

# Shanghai keeps one offset since its last summer time ended in September 1991, and no record here is older than 2000:
# a fixed offset gives the same instants as the zone database, at a tenth of the price and without its files.
SHANGHAI = timezone(timedelta(hours=8))

_FIRST_INSTANT = datetime.min.replace(tzinfo=SHANGHAI)
_LAST_INSTANT = datetime.max.replace(tzinfo=SHANGHAI)
_DAY_END = time(23, 59, 59, tzinfo=SHANGHAI)
_LAST_DAY = date.max.toordinal()
# The working days of these years are laid out in advance, so that counting is one bisection; others are walked.
_TABLE_START = date(2000, 1, 1).toordinal()
_TABLE_END = date(2102, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant in Shanghai time (+08:00); `provisional` while it rests on a year that is not published yet."""

    at: datetime
    provisional: bool


@dataclass(frozen=True, slots=True)
class PublishedYear:
    """What the notices named in `source` change about one year's plain weeks.

    Raises ValueError for no source, a day of another year or listed twice, and a day that its list cannot hold.
    """

    year: int
    source: tuple[str, ...]
    holidays: tuple[date, ...]
    workdays: tuple[date, ...]

    def __post_init__(self) -> None:
        days = self.holidays + self.workdays
        if not self.source:
            raise ValueError(f"the calendar of {self.year} names no source")
        if any(day.year != self.year for day in days):
            raise ValueError(f"the calendar of {self.year} lists a day of another year")
        if len(set(days)) != len(days):
            raise ValueError(f"the calendar of {self.year} lists a day twice")
        if not all(map(_is_weekday, self.holidays)) or any(map(_is_weekday, self.workdays)):
            raise ValueError(f"the calendar of {self.year} has a holiday on a weekend or a make-up day on a weekday")


@dataclass(frozen=True, slots=True)
class Calendar:
    """Working days over the published years. Raises ValueError where there is none, or one comes twice."""

    years: tuple[PublishedYear, ...]
    _published: frozenset[int] = field(init=False, repr=False, compare=False)
    _holidays: frozenset[int] = field(init=False, repr=False, compare=False)
    _workdays: frozenset[int] = field(init=False, repr=False, compare=False)
    _table: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        published = frozenset(each.year for each in self.years)
        if not published or len(published) != len(self.years):
            raise ValueError("a calendar needs at least one published year, and each of them once")
        object.__setattr__(self, "_published", published)
        object.__setattr__(self, "_holidays", _ordinals(each.holidays for each in self.years))
        object.__setattr__(self, "_workdays", _ordinals(each.workdays for each in self.years))
        object.__setattr__(self, "_table", tuple(filter(self._works, range(_TABLE_START, _TABLE_END))))

    @property
    def known_until(self) -> date:
        """The last day of the unbroken run of published years that starts with the first one."""
        year = min(self._published)
        while year + 1 in self._published:
            year += 1
        return date(year, 12, 31)

    def is_published(self, year: int) -> bool:
        return year in self._published

    def is_working_day(self, day: date) -> bool:
        return self._works(day.toordinal())

    def end_of_nth_working_day(self, start: datetime, n: int) -> Moment:
        """23:59:59 in Shanghai on the n-th working day after the Shanghai day of `start`, which itself never counts.

        Provisional if a day stepped over or landed on lies in an unpublished year. Where the years run out, the
        answer is the end of the year 9999. Raises ValueError for a `start` without an offset and for n below 1.
        """
        if n < 1:
            raise ValueError("a limit in working days counts at least one")
        first = in_shanghai(start).toordinal() + 1
        last = date.fromordinal(self._nth_from(first, n))
        first_year = last.year if first >= _LAST_DAY else date.fromordinal(first).year
        known = self._published.issuperset(range(first_year, last.year + 1))
        return Moment(datetime.combine(last, _DAY_END), provisional=not known)

    def _nth_from(self, first: int, n: int) -> int:
        """The n-th working day at or after day `first`, as ordinals; the last day there is, if it lies beyond."""
        place = bisect_left(self._table, first) + n - 1
        if first >= _TABLE_START and place < len(self._table):
            return self._table[place]
        day = first - 1
        while n and day < _LAST_DAY:
            day += 1
            n -= self._works(day)
        return day

    def _works(self, ordinal: int) -> bool:
        # Day 1 was a Monday: the remainders 1 to 5 are Monday to Friday.
        return ordinal in self._workdays or (1 <= ordinal % 7 <= 5 and ordinal not in self._holidays)


def in_shanghai(instant: datetime) -> datetime:
    """The same instant at +08:00, held within the years 1 to 9999. Raises ValueError for one without an offset."""
    if instant.utcoffset() is None:
        raise ValueError("an instant needs its offset from UTC")
    try:
        return instant.astimezone(SHANGHAI)
    except OverflowError:
        return _FIRST_INSTANT if instant.year == 1 else _LAST_INSTANT


def calendar_from(documents: Iterable[Mapping[str, object]]) -> Calendar:
    """A calendar of the years in `documents`, each with the keys of a `calendars/YYYY.toml`. Raises ValueError."""
    return Calendar(tuple(_published_year(document) for document in documents))


def _published_year(document: Mapping[str, object]) -> PublishedYear:
    match document:
        case {"year": int(year), "source": [*source], "holidays": [*holidays], "workdays": [*workdays], **more} if (
            not more
        ):
            return PublishedYear(year, _texts(source), _dates(holidays), _dates(workdays))
        case _:
            raise ValueError("a calendar year holds year, source, holidays and workdays, and nothing else")


def _texts(lines: list[object]) -> tuple[str, ...]:
    texts = tuple(line for line in lines if isinstance(line, str) and line)
    if len(texts) != len(lines):
        raise ValueError("a calendar names its sources in words")
    return texts


def _dates(days: list[object]) -> tuple[date, ...]:
    # A datetime is a date too, but in a list of days it is a slip.
    dates = tuple(day for day in days if isinstance(day, date) and not isinstance(day, datetime))
    if len(dates) != len(days):
        raise ValueError("a calendar lists days, and nothing else")
    return dates


def _is_weekday(day: date) -> bool:
    return day.weekday() < 5


def _ordinals(groups: Iterable[tuple[date, ...]]) -> frozenset[int]:
    return frozenset(day.toordinal() for day in chain.from_iterable(groups))


def _shipped_documents() -> list[Mapping[str, object]]:
    folder = files(__package__) / "calendars"
    texts = sorted((entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return [tomllib.loads(text) for _, text in texts]


STATUTORY = calendar_from(_shipped_documents())
