"""Yuan as channels write them, and the fen that the service counts in: exact both ways."""

import re
from typing import Final

# At most 13 digits before the point: more than any channel carries, and far below what a column holds.
_YUAN: Final = re.compile(r"(0|[1-9][0-9]{0,12})(?:\.([0-9]{1,2}))?", re.ASCII)


def yuan(amount: int) -> str:
    """`1234` → `12.34`. Never negative."""
    if amount < 0:
        raise ValueError("an amount is never negative")
    return f"{amount // 100}.{amount % 100:02d}"


def fen(text: str) -> int | None:
    """`12.34`, `12.3`, `12` → fen; None for everything else: signs, exponents, spaces, commas, a third decimal."""
    found = _YUAN.fullmatch(text)
    if found is None:
        return None
    whole, part = found.group(1), found.group(2) or ""
    return int(whole) * 100 + int(part.ljust(2, "0"))
