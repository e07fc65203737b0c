"""Which lengths a policy may write, when they end, and how they read in both languages."""

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.calendar import SHANGHAI, STATUTORY, Moment, calendar_from
from app.rules.lengths import Exact, Length, WorkingDays, describe, describe_span, end_of, parse_duration, parse_length

LONGEST = timedelta(days=3650)
ACCEPTED = {
    "PT5M": timedelta(minutes=5),
    "PT24H": timedelta(hours=24),
    "P7D": timedelta(days=7),
    "PT1H30M": timedelta(hours=1, minutes=30),
    "P1DT12H": timedelta(days=1, hours=12),
    "P2W": timedelta(weeks=2),
    "PT1S": timedelta(seconds=1),
    "P1DT2H3M4S": timedelta(days=1, hours=2, minutes=3, seconds=4),
    "PT1H4S": timedelta(hours=1, seconds=4),
    "PT90M": timedelta(minutes=90),
    "P07D": timedelta(days=7),
    "PT0H5M": timedelta(minutes=5),
    "P3650D": LONGEST,
    "PT315360000S": LONGEST,
}
REFUSED = [
    "",
    " ",
    "P",
    "PT",
    "P7",
    "P1DT",
    "T5M",
    "PT0S",
    "P0D",
    "P0W",
    "-PT1H",
    "+PT1H",
    "PT-1H",
    "P1M",
    "P1Y",
    "P1Y2M3D",
    "P1W2D",
    "P1WT1H",
    "P5M",
    "P24H",
    "PT7D",
    "PT1M1H",
    "PT1H1H",
    "P1H30M",
    "1h",
    "24h",
    "7 days",
    "pt1h",
    "p7d",
    "Pt5M",
    "PT5m",
    "PT1.5H",
    "PT1,5H",
    "PT0.5S",
    " P7D",
    "P7D ",
    "P 7D",
    "P7D\n",
    "\ufeffP7D",
    "P7D\x00",
    "P\uff17D",
    "\uff30\uff34\uff15\uff2d",
    "P\u0667D",
    "P²D",
    "P3651D",
    "P3650DT1S",
    "P522W",
    "P99999999D",
    "P99999999W",
    "P999999999W",
    "PT999999999H",
    "P99999999DT999999999H999999999M999999999S",
    "P999999999999999999999D",
    "P0003-06-04T12:30:05",
    "P" + "1" * 9_998 + "D",
    "P" * 10_000,
    "PT" + "1H" * 4_999,
]


@pytest.mark.parametrize(("text", "span"), ACCEPTED.items())
def test_a_duration_in_whole_numbers_is_read(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span
    assert parse_length(text) == Exact(span)


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:24])
def test_anything_else_is_refused_with_a_short_message(text: str) -> None:
    for parse in (parse_duration, parse_length):
        with pytest.raises(ValueError, match=r"duration|length") as refusal:
            parse(text)
        assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("parse", [parse_duration, parse_length])
def test_a_refusal_does_not_repeat_what_was_sent(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match="duration") as refusal:
        parse("<script>PT1H")
    assert "script" not in str(refusal.value)


@given(days=st.integers(0, 3649), hours=st.integers(0, 23), minutes=st.integers(0, 59), seconds=st.integers(1, 59))
def test_every_part_of_a_duration_counts(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert parse_duration(f"P{days}DT{hours}H{minutes}M{seconds}S").total_seconds() == expected


@given(st.text(max_size=40) | st.text("PTWDHMSY0123456789.-+ ", max_size=20))
def test_no_text_makes_the_parser_do_anything_but_read_or_refuse(text: str) -> None:
    try:
        length = parse_length(text)
    except ValueError:
        return
    assert isinstance(length, Exact | WorkingDays)


@pytest.mark.parametrize(("text", "count"), [("1 working day", 1), ("3 working days", 3), ("250 working days", 250)])
def test_working_days_are_written_in_words(text: str, count: int) -> None:
    assert parse_length(text) == WorkingDays(count)


@pytest.mark.parametrize(
    "text",
    [
        "0 working days",
        "1 working days",
        "3 working day",
        "03 working days",
        "251 working days",
        "1000 working days",
        "-3 working days",
        "3.5 working days",
        "3  working days",
        "3 Working Days",
        "3 working days ",
        "\uff13 working days",
        "three working days",
        "3 个工作日",
        "1" * 10_000 + " working days",
    ],
    ids=lambda text: ascii(text)[:24],
)
def test_working_days_in_another_form_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="working day"):
        parse_length(text)


@pytest.mark.parametrize("span", [timedelta(0), timedelta(microseconds=-1), LONGEST + timedelta(microseconds=1)])
def test_an_exact_length_lies_above_nil_and_within_the_longest(span: timedelta) -> None:
    with pytest.raises(ValueError, match="above nil"):
        Exact(span)


@pytest.mark.parametrize("count", [0, -1, 251])
def test_a_count_of_working_days_has_bounds(count: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 250"):
        WorkingDays(count)


def test_an_exact_length_ends_to_the_microsecond_in_shanghai_time() -> None:
    start = datetime(2025, 12, 31, 16, 30, 0, 123456, tzinfo=UTC)
    end = end_of(start, Exact(timedelta(hours=24)), STATUTORY)
    assert end == Moment(datetime(2026, 1, 2, 0, 30, 0, 123456, tzinfo=SHANGHAI), provisional=False)
    assert end.at.isoformat() == "2026-01-02T00:30:00.123456+08:00"


def test_an_exact_length_is_the_same_from_any_offset_and_never_provisional() -> None:
    chance = random.Random(7)
    first = datetime(2024, 1, 1, tzinfo=UTC)
    for _ in range(2_000):
        offset = timezone(timedelta(minutes=15 * chance.randint(-56, 56)))
        start = (first + timedelta(seconds=chance.randint(0, 7 * 365 * 86_400))).astimezone(offset)
        span = timedelta(seconds=chance.randint(1, 3650 * 86_400))
        end = end_of(start, Exact(span), STATUTORY)
        assert end.at.timestamp() == start.timestamp() + span.total_seconds()
        assert end.at.utcoffset() == timedelta(hours=8)
        assert end.provisional is False


def test_working_days_are_counted_over_the_calendar_that_is_given() -> None:
    start = datetime(2026, 9, 30, 10, tzinfo=SHANGHAI)
    plain = calendar_from([{"year": 2025, "source": ["a notice"], "holidays": [], "workdays": []}])
    assert end_of(start, WorkingDays(3), STATUTORY).at.isoformat() == "2026-10-10T23:59:59+08:00"
    assert end_of(start, WorkingDays(3), plain) == Moment(
        datetime(2026, 10, 5, 23, 59, 59, tzinfo=SHANGHAI), provisional=True
    )


@pytest.mark.parametrize("length", [Exact(timedelta(hours=1)), WorkingDays(1)])
def test_a_start_without_an_offset_is_refused(length: Length) -> None:
    with pytest.raises(ValueError, match="offset"):
        end_of(datetime(2026, 3, 9, 10), length, STATUTORY)  # noqa: DTZ001


@pytest.mark.parametrize("offset", [-14, 0, 8, 14])
def test_an_exact_length_past_the_last_year_ends_with_it(offset: int) -> None:
    start = datetime(9999, 12, 31, 12, tzinfo=timezone(timedelta(hours=offset)))
    assert end_of(start, Exact(LONGEST), STATUTORY).at == datetime.max.replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("3 working days", "3 个工作日", "3 working days"),
        ("1 working day", "1 个工作日", "1 working day"),
        ("PT24H", "24 小时", "24 hours"),
        ("P1D", "24 小时", "24 hours"),
        ("PT48H", "48 小时", "48 hours"),
        ("PT1H", "1 小时", "1 hour"),
        ("P1DT12H", "36 小时", "36 hours"),
        ("P7D", "7 天", "7 days"),
        ("P2DT1H", "2 天 1 小时", "2 days 1 hour"),
        ("PT5M", "5 分钟", "5 minutes"),
        ("PT1H30M", "1 小时 30 分钟", "1 hour 30 minutes"),
        ("PT1M1S", "1 分钟 1 秒", "1 minute 1 second"),
        ("P180D", "180 天", "180 days"),
    ],
)
def test_a_length_reads_in_both_languages(text: str, zh: str, en: str) -> None:
    assert describe(parse_length(text)) == (zh, en)


@pytest.mark.parametrize(
    ("span", "zh", "en"),
    [
        (timedelta(minutes=24, seconds=30), "24 分 30 秒", "24 min 30 s"),
        (timedelta(hours=26), "1 天 2 小时", "1 day 2 h"),
        (timedelta(days=2, minutes=5), "2 天 5 分钟", "2 days 5 min"),
        (timedelta(seconds=1), "1 秒", "1 s"),
        (timedelta(0), "0 秒", "0 s"),
        (timedelta(microseconds=1), "0.000001 秒", "0.000001 s"),
        (timedelta(milliseconds=500), "0.5 秒", "0.5 s"),
        (timedelta(minutes=1, seconds=10, milliseconds=250), "1 分 10.25 秒", "1 min 10.25 s"),
        (-timedelta(minutes=24, seconds=30), "24 分 30 秒", "24 min 30 s"),
    ],
)
def test_a_span_reads_in_both_languages(span: timedelta, zh: str, en: str) -> None:
    assert describe_span(span) == (zh, en)


@given(st.timedeltas(timedelta(0), LONGEST))
def test_the_parts_of_a_described_span_add_up_to_it(span: timedelta) -> None:
    words = describe_span(span)[1].split()
    units = {"day": 86_400, "days": 86_400, "h": 3_600, "min": 60, "s": 1}
    numbers, names = words[::2], words[1::2]
    microseconds = sum(
        round(float(number) * 1_000_000) * units[name] for number, name in zip(numbers, names, strict=True)
    )
    assert microseconds == span // timedelta(microseconds=1)
