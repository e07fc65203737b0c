"""One spelling for one meaning: the canonical JSON that hashes are taken over.

Keys sorted, no white space, UTF-8, integers only: RFC 8785 for the values that occur here. Instants are written in
UTC with a `Z`, lengths in whole seconds.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter
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
    return at.astimezone(UTC).isoformat()[: -len("+00:00")] + "Z"


def _plain(value: Any) -> Any:
    return _form_of(value.__class__)(value)


@cache
def _form_of(kind: Any) -> Callable[[Any], Any]:
    """How values of one class are written; worked out once a class."""
    form = _FORMS.get(kind)
    if form is not None:
        return form
    if issubclass(kind, str | int):  # a member of a closed set, or an amount
        return _same
    names = tuple(field.name for field in fields(kind))
    values_of = attrgetter(*names)
    if len(names) == 1:
        return lambda value: {names[0]: _plain(values_of(value))}
    return lambda value: dict(zip(names, map(_plain, values_of(value)), strict=True))


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


_FORMS: dict[type, Callable[[Any], Any]] = {
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
