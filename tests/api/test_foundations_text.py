"""The types of the wire take exactly what they say."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.api.text import (
    EARLIEST,
    LATEST,
    Amount,
    AmountOrZero,
    Duration,
    Flag,
    FreeText,
    Identifier,
    Instant,
    Sha256,
    read_duration,
)
from app.rules.lengths import duration_text

ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "identifier": TypeAdapter(Identifier),
    "text": TypeAdapter(FreeText),
    "instant": TypeAdapter(Instant),
    "duration": TypeAdapter(Duration),
    "amount": TypeAdapter(Amount),
    "amount or zero": TypeAdapter(AmountOrZero),
    "sha256": TypeAdapter(Sha256),
    "flag": TypeAdapter(Flag),
}


def takes(kind: str, value: object) -> bool:
    try:
        ADAPTERS[kind].validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("value", ["A-1", "a", "7", "x" * 64, "a_b.c:d-e", "...", "-", ".a"])
def test_identifiers(value: str) -> None:
    assert takes("identifier", value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "x" * 65,
        "x" * 10000,
        "A\r\nX",
        "A\n",
        "\nA",
        "A\u202e1",
        "A\u200b",
        "../x",
        "A/B",
        "A%2FB",
        "A?x",
        "A#x",
        ".",
        "..",
        "A B",
        "\uff21",
        "\u0661",
        "卡",
        "A\x00",
        "a\\b",
        "a'b",
        "<a>",
        1,
        True,
        None,
        ["A"],
        b"A",
        1.0,
    ],
)
def test_what_is_no_identifier(value: object) -> None:
    assert not takes("identifier", value)


@given(st.characters())
def test_identifiers_hold_only_what_needs_no_quoting_anywhere(letter: str) -> None:
    assert takes("identifier", letter) is (letter.isascii() and (letter.isalnum() or letter in "-_:"))


@pytest.mark.parametrize(
    "value", ["", "你好\n\t😀", "x" * 2_000, "<script>", "=cmd|'/C calc'!A0", "${jndi:x}", "%s%n", "a\u202eb"]
)
def test_free_text_is_only_text(value: str) -> None:
    assert ADAPTERS["text"].validate_python(value) == value


@pytest.mark.parametrize(
    "value", ["x" * 2_001, "a\x00", "\x1b[31m", "a\rb", "\x7f", "\x85", "\ud800", 1, None, b"x", ["x"]]
)
def test_what_is_no_free_text(value: object) -> None:
    assert not takes("text", value)


@pytest.mark.parametrize("value", [1, 20_000, 10**12])
def test_amounts(value: int) -> None:
    assert ADAPTERS["amount"].validate_python(value) == value


STRANGE_NUMBERS: list[object] = [200.0, 2e4, "20000", True, False, [20000], 20000.5, None, {}, "", b"1"]
STRANGE_NUMBERS += [-1, 10**12 + 1, 9223372036854775808, 10**400, float("nan"), float("inf")]


@pytest.mark.parametrize("value", STRANGE_NUMBERS)
def test_what_is_no_amount(value: object) -> None:
    assert not takes("amount", value)
    assert not takes("amount or zero", value)


def test_only_one_of_the_amounts_may_be_nothing() -> None:
    assert not takes("amount", 0)
    assert ADAPTERS["amount or zero"].validate_python(-0) == 0


@pytest.mark.parametrize("value", [1, 0, "true", "yes", None, [], 1.0])
def test_a_flag_is_true_or_false(value: object) -> None:
    assert takes("flag", True)
    assert takes("flag", False)
    assert not takes("flag", value)


@pytest.mark.parametrize("value", ["a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "", None, 1])
def test_a_hash_is_64_lower_case_digits(value: object) -> None:
    assert takes("sha256", "0123456789abcdef" * 4)
    assert not takes("sha256", value)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-03-10T12:00:00+08:00", "2026-03-10T12:00:00+08:00"),
        ("2026-03-10T12:00:00Z", "2026-03-10T12:00:00+00:00"),
        ("2026-03-10t12:00:00z", "2026-03-10T12:00:00+00:00"),
        ("2026-03-10T12:00:00.5-03:30", "2026-03-10T12:00:00.500000-03:30"),
        ("2026-03-10T12:00:00.123456789012+08:00", "2026-03-10T12:00:00.123456+08:00"),
        ("2026-03-10T12:00:00-00:00", "2026-03-10T12:00:00+00:00"),
        ("2026-03-10T12:00:00+14:00", "2026-03-10T12:00:00+14:00"),
        ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00+00:00"),
        ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00+00:00"),
        ("1999-12-31T20:00:00-05:00", "1999-12-31T20:00:00-05:00"),
        ("2100-12-31T23:59:59.999999Z", "2100-12-31T23:59:59.999999+00:00"),
        ("2101-01-01T07:59:59+08:00", "2101-01-01T07:59:59+08:00"),
    ],
)
def test_instants(text: str, means: str) -> None:
    got = ADAPTERS["instant"].validate_python(text)
    expected = datetime.fromisoformat(means)
    assert (got, got.utcoffset()) == (expected, expected.utcoffset())


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-10T12:00:00",
        "2026-03-10",
        "20260310T120000Z",
        "2026-W11-2T12:00:00Z",
        "2026-03-10 12:00:00Z",
        "2026-03-10T12:00Z",
        "2026-03-10T12:00:00+08",
        "2026-03-10T12:00:00+0800",
        "2026-03-10T12:00:00 Z",
        "2026-03-10T12:00:00,5Z",
        "2026-03-10T12:00:00.Z",
        "2026-03-10T12:00:00.1234567890123Z",
        "2016-12-31T23:59:60Z",
        "2026-03-10T24:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-03-10T12:60:00Z",
        "2026-03-10T12:00:00+99:99",
        "2026-03-10T12:00:00+23:59",
        "2026-03-10T12:00:00+14:01",
        "2026-03-10T12:00:00+08:60",
        "2026-03-10T12:00:00+08:00\n",
        " 2026-03-10T12:00:00Z",
        "\uff12026-03-10T12:00:00Z",
        "2026-03-10T12:00:00\u2212" + "08:00",
        "1999-12-31T23:59:59Z",
        "2000-01-01T07:59:59+08:00",
        "2101-01-01T00:00:00Z",
        "2100-12-31T23:00:00-01:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1773115200",
        1773115200,
        1773115200000,
        1773115200.5,
        True,
        None,
        "",
        [],
    ],
)
def test_what_is_no_instant(value: object) -> None:
    assert not takes("instant", value)


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.floats(0, 1), OFFSETS)
def test_every_instant_in_range_survives_the_wire(share: float, offset: timezone) -> None:
    moment = (EARLIEST + (LATEST - EARLIEST) * min(share, 0.999999)).astimezone(offset)
    adapter = ADAPTERS["instant"]
    back = adapter.validate_python(adapter.dump_python(adapter.validate_python(moment.isoformat()), mode="json"))
    assert (back, back.utcoffset()) == (moment, moment.utcoffset())


@pytest.mark.parametrize(
    ("text", "length", "shown"),
    [
        ("PT1H", timedelta(hours=1), "PT1H"),
        ("PT90S", timedelta(seconds=90), "PT1M30S"),
        ("PT24H", timedelta(days=1), "P1D"),
        ("P7D", timedelta(days=7), "P7D"),
        ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4), "P1DT2H3M4S"),
    ],
)
def test_durations(text: str, length: timedelta, shown: str) -> None:
    assert ADAPTERS["duration"].validate_python(text) == length
    assert ADAPTERS["duration"].dump_python(length) == shown


@pytest.mark.parametrize(
    "value",
    [
        "PT0S",
        "P0D",
        "-PT1H",
        "PT-1H",
        "P1M",
        "P1Y",
        "P1W",
        "P99999999D",
        "P3661D",
        "1h",
        "PT1.5H",
        "PT",
        "P",
        "P1DT",
        "T1H",
        "pt1h",
        "PT1H ",
        "PT1H\n",
        "PT\uff11H",
        "",
        3600,
        True,
        None,
        [],
    ],
)
def test_what_is_no_duration(value: object) -> None:
    assert not takes("duration", value)


@given(
    st.timedeltas(timedelta(seconds=1), timedelta(days=3660)).map(
        lambda length: length - timedelta(microseconds=length.microseconds)
    )
)
def test_every_duration_reads_back(length: timedelta) -> None:
    assert not length or read_duration(duration_text(length)) == length


@given(
    st.sampled_from(sorted(ADAPTERS)),
    st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.text()),
)
def test_no_value_breaks_a_type(kind: str, value: object) -> None:
    assert takes(kind, value) in {True, False}


def test_the_schema_tells_a_client_the_form() -> None:
    assert ADAPTERS["instant"].json_schema()["format"] == "date-time"
    assert ADAPTERS["duration"].json_schema()["format"] == "duration"
    assert ADAPTERS["duration"].json_schema(mode="serialization")["type"] == "string"
    assert ADAPTERS["identifier"].json_schema() == {
        "type": "string",
        "minLength": 1,
        "maxLength": 64,
        "pattern": "^[A-Za-z0-9_:\\-.]{1,64}$",
    }
    assert ADAPTERS["amount"].json_schema() == {"type": "integer", "minimum": 1, "maximum": 10**12}
