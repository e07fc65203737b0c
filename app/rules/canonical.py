"""One spelling for one meaning: the canonical JSON that hashes are taken over.

Keys sorted, no white space, UTF-8, integers only: RFC 8785 for the values that occur here. Instants are written in
UTC with a `Z`, lengths in whole seconds.
"""

import hashlib
import json
from collections.abc import Hashable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any

_encoder = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical_json(value: object) -> str:
    """The canonical text of a fact, of facts, or of a plain document."""
    return _encoder.encode(_plain(value))


def sha256_of(text: str) -> str:
    """SHA-256 of a canonical text, in lower-case hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def instant_text(at: datetime) -> str:
    """An instant in UTC, fractions only where there are any."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _plain(value: Any) -> Any:
    form = _FORMS.get(type(value))
    return form(value) if form is not None else _plain_other(value)


def _plain_other(value: Any) -> Any:
    if isinstance(value, str):  # a StrEnum
        return value.value if hasattr(value, "value") else str(value)
    if isinstance(value, int):
        return int(value)
    return {name: _plain(getattr(value, name)) for name in _field_names(value.__class__)}


@cache
def _field_names(kind: Hashable) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))  # type: ignore[arg-type]


def _same(value: object) -> object:
    return value


def _plain_mapping(value: Mapping[str, object]) -> dict[str, Any]:
    return {str(key): _plain(each) for key, each in value.items()}


def _plain_list(value: tuple[object, ...]) -> list[Any]:
    return [_plain(each) for each in value]


def _plain_set(value: frozenset[str]) -> list[str]:
    return sorted(str(each) for each in value)


def _seconds(value: timedelta) -> int:
    return round(value.total_seconds())


_FORMS: dict[type, Any] = {
    type(None): _same,
    bool: _same,
    int: _same,
    str: _same,
    datetime: instant_text,
    timedelta: _seconds,
    tuple: _plain_list,
    list: _plain_list,
    frozenset: _plain_set,
    dict: _plain_mapping,
    MappingProxyType: _plain_mapping,
}
