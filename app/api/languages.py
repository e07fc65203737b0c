"""Which of our two languages a caller reads, by `Accept-Language` (RFC 9110 §12.5.4)."""

import re
from typing import Final, Literal

from starlette.datastructures import Headers
from starlette.types import Scope

Language = Literal["zh-CN", "en"]

_DEFAULT: Final[Language] = "zh-CN"
_LONGEST_HEADER: Final = 500
_RANGE = re.compile(
    r"(?a:([a-z]{1,8})(?:-[a-z0-9]{1,8})*(?:\s*;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?)", re.IGNORECASE
)


def language_of(scope: Scope) -> Language:
    """The language to answer in; Chinese where the caller names neither, or nothing that can be read."""
    return preferred(Headers(scope=scope).get("accept-language"))


def preferred(header: str | None) -> Language:
    """`en` where it has the higher weight, or the same and comes first."""
    if not header or len(header) > _LONGEST_HEADER:
        return _DEFAULT
    weights: dict[str, float] = {}
    for part in header.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match:
            weights.setdefault(match[1].lower(), float(match[2] or 1))
    english, chinese = weights.get("en", 0.0), weights.get("zh", 0.0)
    first = next((name for name in weights if name in {"en", "zh"}), "zh")
    return "en" if english > chinese or (first == "en" and english == chinese > 0) else _DEFAULT
