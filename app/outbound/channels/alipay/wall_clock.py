"""How Alipay writes a moment: the wall clock of Shanghai."""

import re
from datetime import datetime
from typing import Final

from app.rules.calendar import SHANGHAI

_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
_SHAPE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


def wall_clock(at: datetime) -> str:
    """`yyyy-MM-dd HH:mm:ss` in Shanghai."""
    return at.astimezone(SHANGHAI).strftime(_FORMAT)


def instant(text: str | None) -> datetime | None:
    """The moment at which a clock in Shanghai showed this; None for anything else."""
    if text is None or not _SHAPE.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, _FORMAT).replace(tzinfo=SHANGHAI)
    except ValueError:
        return None
