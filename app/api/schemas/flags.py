"""Yes or no in a query."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from app.api.text import refuse

_FLAGS = {"true": True, "false": False}


def _read_flag(value: object) -> object:
    """The two words of JSON: neither `1` nor `yes` nor `True`."""
    if isinstance(value, str) and value not in _FLAGS:
        raise refuse("flag", en="Must be true or false.", zh="须为 true 或 false。")
    return _FLAGS[value] if isinstance(value, str) else value


QueryFlag = Annotated[bool, Field(strict=True), BeforeValidator(_read_flag)]
