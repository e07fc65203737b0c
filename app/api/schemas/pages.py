"""What the queries of all lists share."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, StrictStr

from app.api.schemas.base import BodyIn
from app.api.text import refuse

_DIGITS = re.compile(r"0|[1-9][0-9]{0,2}")


def _read_limit(value: object) -> object:
    """Plain digits: neither `1e2` nor ` 5`, nor the digits of other scripts."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise refuse("limit", en="Must be a number from 1 to 100.", zh="须为 1 至 100 的整数。")
    return int(value) if isinstance(value, str) else value


PageLimit = Annotated[int, Field(ge=1, le=100), BeforeValidator(_read_limit)]
Cursor = Annotated[StrictStr, Field(max_length=200)]


class PageQuery(BodyIn):
    """Which page of a list."""

    limit: PageLimit = Field(default=20, description="每页条数.")
    cursor: Cursor | None = Field(default=None, description="游标 · `next_cursor` of the page before.")
