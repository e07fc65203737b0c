"""Types for the wire: strict, bounded, and with messages that never repeat what was sent.

JSON values arrive parsed, so "strict" is said field by field: no `true` for 1, no "100" for 100, no 19.0 for 19.
"""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from app.rules.lengths import duration_text

FAULT_MARK: Final = "bilingual"

MOST_FEN: Final = 10**12
LONGEST_TEXT: Final = 2_000
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2101, 1, 1, tzinfo=UTC)
"""Instants lie in [EARLIEST, LATEST): the years 2000 to 2100, in UTC."""

_IDENTIFIER = r"^[A-Za-z0-9_:\-.]{1,64}$"
_IDENTIFIER_PATTERN = re.compile(_IDENTIFIER)
_INSTANT = re.compile(
    r"(?a:(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?(?:([Zz])|([+-])([01]\d|2[0-3]):([0-5]\d)))"
)
_WIDEST_OFFSET = timedelta(hours=14)
_DURATION = re.compile(r"(?a:P(?=[\dT])(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,5})H)?(?:(\d{1,5})M)?(?:(\d{1,7})S)?)?)")


def refuse(code: str, *, en: str, zh: str) -> PydanticCustomError:
    """An error to raise from a validator: both texts reach the caller. Never put the value into them."""
    return PydanticCustomError("refused", "{en}", {FAULT_MARK: True, "code": code, "en": en, "zh": zh})


def _identifier(value: str) -> str:
    if value in {".", ".."} or not _IDENTIFIER_PATTERN.fullmatch(value):
        raise refuse(
            "identifier",
            en="Must be 1 to 64 letters, digits or '-', '_', '.', ':', and not '.' or '..'.",
            zh="须为 1 至 64 个字母、数字或 “-”“_”“.”“:”，且不能是 “.” 或 “..”。",
        )
    return value


def _free_text(value: str) -> str:
    if any(unicodedata.category(letter) in {"Cc", "Cs"} and letter not in "\n\t" for letter in value):
        raise refuse(
            "control_character",
            en="May not contain control characters other than line feed and tab.",
            zh="除换行与制表符外，不能含有控制字符。",
        )
    return value


def read_instant(value: object) -> datetime:
    """The instant that an RFC 3339 text names, with the offset it was written in.

    Up to 12 digits of a second's fraction are read and cut to microseconds. Leap seconds, offsets beyond
    14 hours, numbers, and instants outside the years 2000 to 2100 are refused.
    """
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    match = _INSTANT.fullmatch(value) if isinstance(value, str) and len(value) <= 64 else None
    if match is None:
        raise _not_an_instant()
    day, time, fraction, utc, sign, hours, minutes = match.groups()
    offset = "+00:00" if utc else f"{sign}{hours}:{minutes}"
    try:
        instant = datetime.fromisoformat(f"{day}T{time}.{(fraction or '0')[:6]:0<6}{offset}")
    except ValueError:
        raise _not_an_instant() from None
    if abs(instant.utcoffset() or timedelta()) > _WIDEST_OFFSET:
        raise _not_an_instant()
    return _in_range(instant)


def _in_range(instant: datetime) -> datetime:
    # Compared by year first: shifting 0001 or 9999 to UTC would overflow.
    if not 1999 <= instant.year <= 2101 or not EARLIEST <= instant < LATEST:
        raise refuse(
            "instant_range",
            en="Must lie in the years 2000 to 2100.",
            zh="须在 2000 年至 2100 年之间。",
        )
    return instant


def _not_an_instant() -> PydanticCustomError:
    return refuse(
        "instant",
        en="Must be a date and time with an offset as in RFC 3339, such as 2026-03-10T12:00:00+08:00.",
        zh="须为带时区偏移的日期时间（RFC 3339），例如 2026-03-10T12:00:00+08:00。",
    )


def read_duration(value: object) -> timedelta:
    """The length that an ISO 8601 duration of days, hours, minutes and seconds names; above zero, at most 3660 days."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) <= 64 else None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not timedelta() < length <= timedelta(days=3660):
        raise refuse(
            "duration",
            en="Must be an ISO 8601 duration in whole days, hours, minutes or seconds, such as PT1H or P7D.",
            zh="须为以整天、时、分、秒表示的 ISO 8601 时长，例如 PT1H 或 P7D。",
        )
    return length


Identifier = Annotated[
    StrictStr,
    AfterValidator(_identifier),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 64, "pattern": _IDENTIFIER}),
]
"""A site's own number or name for something: `order_no`, `buyer_id` (编号)."""

FreeText = Annotated[StrictStr, Field(max_length=LONGEST_TEXT), AfterValidator(_free_text)]
"""What people write (自由文本): at most 2,000 characters; line feed and tab are the only control characters."""

Instant = Annotated[
    datetime,
    BeforeValidator(read_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-10T12:00:00+08:00"]}),
]
"""A moment (时间): RFC 3339 with an offset, in the years 2000 to 2100; `t` and `z` in lower case pass."""

Duration = Annotated[
    timedelta,
    BeforeValidator(read_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["PT1H"]}),
]
"""A length of time (时长): ISO 8601 in whole days, hours, minutes and seconds."""

Amount = Annotated[StrictInt, Field(ge=1, le=MOST_FEN)]
"""Money in fen (金额，单位：分): 1 to 10^12."""

AmountOrZero = Annotated[StrictInt, Field(ge=0, le=MOST_FEN)]
"""Money in fen that may be nothing (金额，可为 0，单位：分)."""

Sha256 = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in lower-case hexadecimal (文件哈希)."""

Flag = StrictBool
"""true or false, nothing that merely resembles them (布尔值)."""
