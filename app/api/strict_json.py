"""JSON bodies, read strictly: what two readers could understand differently is refused.

`read_json` is linear in the body's length; `app.api.strict_route` puts it between FastAPI and the wire.
"""

import json
import re
from collections.abc import Iterable
from typing import Final, NoReturn

from app.errors import Fault, Invalid, Malformed, UnsupportedMediaType, pointer_to

DEEPEST: Final = 32
MOST_MEMBERS: Final = 1_000
MOST_VALUES: Final = 50_000
_MOST_FAULTS: Final = 20
MISSING: Final = "body_missing"

# An unterminated string runs to the end, so that no position is ever looked at twice.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_BOM = b"\xef\xbb\xbf"
_JSON_TYPE = re.compile(r"application/(?:[!#$&^_.+a-z0-9-]+\+)?json", re.IGNORECASE)
_CHARSET = re.compile(r'charset="?utf-?8"?', re.IGNORECASE)


def read_json(body: bytes, content_type: str | None) -> object:
    """The value that `body` holds. Refusals: Malformed, UnsupportedMediaType, and Invalid for unusable characters."""
    if not body:
        raise _malformed(MISSING, en="The body is empty; JSON is expected.", zh="请求体为空，应为 JSON。")
    if content_type != "application/json":
        _check_type(content_type)
    _check_size(body)
    value = _parse(_decoded(body))
    if _SUSPECT_ESCAPE.search(body) and not _is_plainly_storable(value):
        _check_characters(value)
    return value


def _check_type(content_type: str | None) -> None:
    name, *parameters = (part.strip() for part in (content_type or "").split(";"))
    charsets = [parameter for parameter in parameters if parameter.lower().startswith("charset")]
    if not _JSON_TYPE.fullmatch(name) or not all(_CHARSET.fullmatch(charset) for charset in charsets):
        raise UnsupportedMediaType


def _check_size(body: bytes) -> None:
    """Depth and number of values, counted before anything is built. The cheap counts settle nearly every body."""
    many = body.count(b",") >= MOST_VALUES
    nested = body.count(b"[") + body.count(b"{") > DEEPEST
    if not many and not nested:
        return
    bare = _STRING.sub(b"", body)
    if many and bare.count(b",") >= MOST_VALUES:
        raise _malformed("too_many_values", en="The body holds too many values.", zh="请求体中的值过多。")
    if nested:
        _check_depth(bare)


def _check_depth(bare: bytes) -> None:
    depth = 0
    for bracket in _BRACKETS.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEEPEST:
            raise _malformed(
                "too_deep", en=f"The body is nested deeper than {DEEPEST}.", zh=f"请求体嵌套超过 {DEEPEST} 层。"
            )


def _decoded(body: bytes) -> str:
    if body.startswith(_BOM):
        raise _malformed("byte_order_mark", en="Send UTF-8 without a byte order mark.", zh="请勿在 UTF-8 前加 BOM。")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("not_utf8", en="The body is not valid UTF-8.", zh="请求体不是有效的 UTF-8。") from None


def _parse(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        # Raised anew, outside: the decoder's error carries the whole body along.
        line, column = error.lineno, error.colno
    except ValueError:
        raise _malformed(
            "number_too_long", en="The body holds a number that is too long.", zh="请求体中有过长的数字。"
        ) from None
    raise _malformed(
        "not_json",
        en=f"The body is not valid JSON at line {line}, column {column}.",
        zh=f"请求体不是有效的 JSON：第 {line} 行第 {column} 列。",
    )


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _malformed("duplicate_key", en="An object names a key twice.", zh="同一对象中有重复的键。")
    if len(pairs) > MOST_MEMBERS:
        raise _malformed("too_many_values", en="An object has too many keys.", zh="同一对象中的键过多。")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        _refuse_constant(text)
    return number


def _refuse_constant(_name: str) -> NoReturn:
    raise _malformed(
        "not_a_number",
        en="NaN, Infinity and numbers beyond the range of a double are not JSON.",
        zh="NaN、Infinity 及超出双精度范围的数不属于 JSON。",
    )


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=_finite, parse_constant=_refuse_constant)


def _is_plainly_storable(value: object) -> bool:
    """A quick look in C that settles emoji, which some clients send as escaped surrogate pairs."""
    text = json.dumps(value, ensure_ascii=False)
    return "\\u0000" not in text and _is_storable(text)


def _check_characters(value: object) -> None:
    """NUL and lone surrogates can be written as escapes, but no database text can hold them."""
    faults: list[Fault] = []
    waiting: list[tuple[object, tuple[str | int, ...]]] = [(value, ())]
    while waiting and len(faults) < _MOST_FAULTS:
        item, path = waiting.pop()
        if not _holds_storable(item):
            faults.append(_character_fault(pointer_to(*path)))
        waiting.extend((child, (*path, step)) for step, child in _children(item))
    if faults:
        raise Invalid(*faults)


def _children(item: object) -> Iterable[tuple[str | int, object]]:
    if isinstance(item, dict):
        return item.items()
    return enumerate(item) if isinstance(item, list) else ()


def _holds_storable(item: object) -> bool:
    """Whether a text, or the keys of an object, can be stored."""
    if isinstance(item, dict):
        return all(map(_is_storable, item))
    return not isinstance(item, str) or _is_storable(item)


def _is_storable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _character_fault(pointer: str) -> Fault:
    return Fault(
        pointer,
        "unusable_character",
        en="May not contain NUL or half of a surrogate pair.",
        zh="不能含有 NUL 或不成对的代理字符。",
    )


def _malformed(code: str, *, en: str, zh: str) -> Malformed:
    return Malformed(code, en=en, zh=zh)
