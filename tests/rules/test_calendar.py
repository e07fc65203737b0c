"""Working days against another reading of the notices, and limits counted in them against a day-by-day walk."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import chinese_calendar  # type: ignore[import-untyped]
import pytest

from app.rules.calendar import SHANGHAI, STATUTORY, Calendar, Moment, calendar_from, in_shanghai

YEARS = range(2004, 2027)
# The notice for 2006, number 35 of 2005, has Saturday 31 December 2005 worked; the package leaves that day out.
MISSING_FROM_THE_PACKAGE = {date(2005, 12, 31)}
ONE_DAY = timedelta(days=1)


def year_document(year: object, **changes: object) -> dict[str, object]:
    return {"year": year, "source": ["a notice"], "holidays": [], "workdays": [], **changes}


def days_of(year: int) -> Iterator[date]:
    day = date(year, 1, 1)
    while day.year == year:
        yield day
        day += ONE_DAY


def works_by_the_package(day: date) -> bool:
    """The package's word where it has one, and the plain week beyond."""
    if day in MISSING_FROM_THE_PACKAGE:
        return True
    return chinese_calendar.is_workday(day) if day.year in YEARS else day.isoweekday() <= 5


def walked(start: datetime, n: int) -> Moment:
    """The same limit read slowly: one day after another, in the zone database's Shanghai."""
    zone = ZoneInfo("Asia/Shanghai")
    day, provisional = start.astimezone(zone).date(), False
    while n:
        day += ONE_DAY
        provisional = provisional or day.year not in YEARS
        if works_by_the_package(day):
            n -= 1
    return Moment(datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=zone), provisional)


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00")


@pytest.mark.parametrize("year", YEARS)
def test_every_day_of_a_published_year_is_what_the_package_says(year: int) -> None:
    assert STATUTORY.is_published(year)
    differing = {day for day in days_of(year) if STATUTORY.is_working_day(day) != chinese_calendar.is_workday(day)}
    assert differing == {day for day in MISSING_FROM_THE_PACKAGE if day.year == year}


def test_every_published_year_names_its_notice() -> None:
    assert [each.year for each in STATUTORY.years] == list(YEARS)
    for each in STATUTORY.years:
        assert each.source[0].startswith(f"国务院办公厅关于{each.year}年部分节假日安排的通知")


def test_a_limit_in_working_days_equals_a_slow_walk_over_20_000_instants() -> None:
    chance = random.Random(20260930)
    first, last = datetime(2024, 1, 1, tzinfo=UTC), datetime(2030, 12, 31, tzinfo=UTC)
    for _ in range(20_000):
        offset = timezone(timedelta(minutes=15 * chance.randint(-56, 56)))
        start = (first + chance.random() * (last - first)).astimezone(offset)
        n = chance.randint(1, 10)
        answer = STATUTORY.end_of_nth_working_day(start, n)
        assert answer == walked(start, n), (start, n)
        assert answer.at.utcoffset() == timedelta(hours=8)


@pytest.mark.parametrize("moved", [timedelta(microseconds=-1), timedelta(0)])
def test_a_limit_equals_a_slow_walk_on_both_sides_of_every_midnight(moved: timedelta) -> None:
    for year in range(2024, 2031):
        for day in days_of(year):
            start = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + moved
            assert STATUTORY.end_of_nth_working_day(start, 3) == walked(start, 3), start


@pytest.mark.parametrize(
    ("start", "n", "end"),
    [
        ("2026-09-30T10:00:00", 3, "2026-10-10T23:59:59"),  # 8 and 9 October, then Saturday the 10th, a make-up day
        ("2026-09-30T10:00:00", 4, "2026-10-12T23:59:59"),
        ("2026-02-13T10:00:00", 1, "2026-02-14T23:59:59"),  # the Saturday before the Spring Festival is worked
        ("2026-02-14T10:00:00", 1, "2026-02-24T23:59:59"),
        ("2026-01-03T10:00:00", 1, "2026-01-04T23:59:59"),  # a Sunday worked
        (
            "2018-12-28T10:00:00",
            2,
            "2019-01-02T23:59:59",
        ),  # 29 December worked, the 31st off, by the next year's notice
        ("2020-01-23T10:00:00", 1, "2020-02-03T23:59:59"),  # the holiday that was prolonged
        ("2026-03-09T10:30:00", 5, "2026-03-16T23:59:59"),  # a dull week
    ],
)
def test_holidays_are_stepped_over_and_make_up_days_count(start: str, n: int, end: str) -> None:
    assert STATUTORY.end_of_nth_working_day(shanghai(start), n) == Moment(shanghai(end), provisional=False)


def test_the_day_of_the_start_is_the_day_in_shanghai() -> None:
    last_of_thursday = STATUTORY.end_of_nth_working_day(shanghai("2026-03-05T23:59:59.999999"), 1)
    first_of_friday = STATUTORY.end_of_nth_working_day(shanghai("2026-03-06T00:00:00"), 1)
    assert last_of_thursday.at == shanghai("2026-03-06T23:59:59")
    assert first_of_friday.at == shanghai("2026-03-09T23:59:59")


def test_an_evening_in_utc_is_the_next_day_in_shanghai() -> None:
    before_midnight = datetime(2025, 12, 30, 15, 30, tzinfo=UTC)
    after_midnight = datetime(2025, 12, 30, 16, 30, tzinfo=UTC)
    new_year = datetime(2025, 12, 31, 16, 30, tzinfo=UTC)
    assert STATUTORY.end_of_nth_working_day(before_midnight, 1).at == shanghai("2025-12-31T23:59:59")
    # 1 to 3 January are off, and Sunday the 4th is worked.
    assert STATUTORY.end_of_nth_working_day(after_midnight, 1).at == shanghai("2026-01-04T23:59:59")
    assert STATUTORY.end_of_nth_working_day(new_year, 2).at == shanghai("2026-01-05T23:59:59")


@pytest.mark.parametrize(
    ("start", "n", "end", "provisional"),
    [
        ("2026-12-30T10:00:00", 1, "2026-12-31T23:59:59", False),
        ("2026-12-30T10:00:00", 2, "2027-01-01T23:59:59", True),
        ("2026-12-31T10:00:00", 1, "2027-01-01T23:59:59", True),
        ("2027-10-01T10:00:00", 1, "2027-10-04T23:59:59", True),
        ("2003-12-31T10:00:00", 1, "2004-01-02T23:59:59", False),  # the start itself never counts
        ("2003-12-30T10:00:00", 2, "2004-01-02T23:59:59", True),
    ],
)
def test_a_limit_that_touches_an_unpublished_year_is_provisional(
    start: str, n: int, end: str, *, provisional: bool
) -> None:
    assert STATUTORY.end_of_nth_working_day(shanghai(start), n) == Moment(shanghai(end), provisional)


def test_a_missing_year_between_two_published_ones_makes_a_limit_across_it_provisional() -> None:
    calendar = calendar_from([year_document(2024), year_document(2026)])
    assert calendar.end_of_nth_working_day(shanghai("2024-12-27T10:00:00"), 2).provisional is False
    across = calendar.end_of_nth_working_day(shanghai("2024-12-31T10:00:00"), 262)
    assert across == Moment(shanghai("2026-01-01T23:59:59"), provisional=True)


def test_an_unpublished_year_is_its_plain_weeks() -> None:
    assert not STATUTORY.is_published(2027)
    for day in days_of(2027):
        assert STATUTORY.is_working_day(day) == (day.isoweekday() <= 5)


def test_the_calendar_is_known_until_the_first_gap() -> None:
    assert STATUTORY.known_until == date(2026, 12, 31)
    assert calendar_from([year_document(2025), year_document(2022), year_document(2023)]).known_until == date(
        2023, 12, 31
    )


def test_a_limit_can_be_counted_from_any_day_from_2000_to_2100() -> None:
    start = datetime(1999, 12, 20, 23, 59, 59, tzinfo=UTC)
    while start.year <= 2101:
        for n in (1, 7):
            assert STATUTORY.end_of_nth_working_day(start, n) == walked(start, n), start
        start += timedelta(days=3, hours=5)


@pytest.mark.parametrize("year", [1600, 1999, 2099, 2101, 2102, 2500])
def test_a_limit_outside_the_years_laid_out_in_advance_is_the_same_walk(year: int) -> None:
    start = datetime(year, 12, 28, 12, tzinfo=SHANGHAI)
    for n in (1, 5, 250):
        day, left = start.date(), n
        while left:
            day += ONE_DAY
            left -= day.isoweekday() <= 5 if day.year < 2004 else STATUTORY.is_working_day(day)
        assert STATUTORY.end_of_nth_working_day(start, n).at.date() == day


@pytest.mark.parametrize(
    "start",
    [
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        datetime(9999, 12, 30, 16, tzinfo=UTC),
        datetime(9999, 12, 30, 12, tzinfo=SHANGHAI),
    ],
)
def test_where_the_years_run_out_a_limit_ends_with_them(start: datetime) -> None:
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=SHANGHAI)
    assert STATUTORY.end_of_nth_working_day(start, 7) == Moment(end, provisional=True)


def test_a_limit_can_be_counted_from_the_first_instant_there_is() -> None:
    start = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
    end = datetime(1, 1, 2, 23, 59, 59, tzinfo=SHANGHAI)
    assert STATUTORY.end_of_nth_working_day(start, 1) == Moment(end, provisional=True)


@pytest.mark.parametrize("n", [0, -1])
def test_no_working_day_is_no_limit(n: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        STATUTORY.end_of_nth_working_day(shanghai("2026-03-09T10:00:00"), n)


def test_an_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        STATUTORY.end_of_nth_working_day(datetime(2026, 3, 9, 10), 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="offset"):
        in_shanghai(datetime(2026, 3, 9, 10))  # noqa: DTZ001


def test_shanghai_has_had_one_offset_since_2000() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    for year in range(2000, 2101):
        for day in days_of(year):
            noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
            assert noon.astimezone(zone).utcoffset() == SHANGHAI.utcoffset(None)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"year": 2026, "source": ["a notice"], "holidays": []},
        year_document(2026, note="a slip"),
        year_document("2026"),
        year_document(2026, source="a notice"),
        year_document(2026, source=[]),
        year_document(2026, source=[""]),
        year_document(2026, source=[7]),
        year_document(2026, holidays=["2026-10-01"]),
        year_document(2026, holidays=[datetime(2026, 10, 1, tzinfo=UTC)]),
        year_document(2026, holidays=[date(2025, 10, 1)]),
        year_document(2026, holidays=[date(2026, 10, 3)]),
        year_document(2026, holidays=[date(2026, 10, 1), date(2026, 10, 1)]),
        year_document(2026, workdays=[date(2026, 10, 9)]),
    ],
)
def test_a_year_with_a_slip_is_refused(document: Mapping[str, object]) -> None:
    with pytest.raises(ValueError, match="calendar"):
        calendar_from([document])


@pytest.mark.parametrize("documents", [[], [year_document(2026), year_document(2026)]])
def test_a_calendar_needs_each_year_once_and_one_at_least(documents: list[Mapping[str, object]]) -> None:
    with pytest.raises(ValueError, match="each of them once"):
        calendar_from(documents)


def test_a_calendar_is_frozen_and_equal_to_another_of_the_same_years() -> None:
    assert Calendar(STATUTORY.years) == STATUTORY
    assert hash(Calendar(STATUTORY.years)) == hash(STATUTORY)
    with pytest.raises(FrozenInstanceError):
        STATUTORY.years = ()  # type: ignore[misc]
