"""What pydantic found wrong, told in our words: a place, a stable code, a text in both languages.

Pydantic's own messages are never passed on, since some quote the input. Of its context only the schema's constants
are used. The input itself is looked at for one thing: which steps of a location exist in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi.exceptions import RequestValidationError

from app.api.text import FAULT_MARK
from app.errors import Fault, Invalid, Place, pointer_to

MOST_FAULTS: Final = 50

_Texts = tuple[str, str, str]

_OBJECT: _Texts = ("not_an_object", "Must be an object.", "须为对象。")
_INTEGER: _Texts = (
    "not_an_integer",
    "Must be an integer, without quotes or fraction.",
    "须为整数，不加引号、不带小数。",
)
_STRING: _Texts = ("not_a_string", "Must be a string.", "须为字符串。")
_BOOLEAN: _Texts = ("not_a_boolean", "Must be true or false.", "须为 true 或 false。")
_CHOICE: _Texts = ("not_allowed", "Must be one of: {expected}.", "须为以下之一：{expected}。")
_OTHER: _Texts = ("invalid", "Is not acceptable.", "不符合要求。")

_TEXTS: Final[Mapping[str, _Texts]] = {
    "missing": ("required", "Is required.", "必填。"),
    "extra_forbidden": ("unknown_field", "Is not a known field.", "未知字段。"),
    "int_type": _INTEGER,
    "int_parsing": _INTEGER,
    "int_parsing_size": _INTEGER,
    "int_from_float": _INTEGER,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "string_type": _STRING,
    "string_sub_type": _STRING,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dict_type": _OBJECT,
    "dataclass_type": _OBJECT,
    "list_type": ("not_a_list", "Must be an array.", "须为数组。"),
    "literal_error": _CHOICE,
    "enum": _CHOICE,
    "union_tag_invalid": ("not_allowed", "Must be one of: {expected_tags}.", "须为以下之一：{expected_tags}。"),
    "union_tag_not_found": ("required", "Is required.", "必填。"),
    "string_pattern_mismatch": ("wrong_form", "Must match {pattern}.", "须符合 {pattern}。"),
    "string_too_short": ("too_short", "Must have at least {min_length} characters.", "至少 {min_length} 个字符。"),
    "string_too_long": ("too_long", "Must have at most {max_length} characters.", "最多 {max_length} 个字符。"),
    "too_short": ("too_short", "Must have at least {min_length} items.", "至少 {min_length} 项。"),
    "too_long": ("too_long", "Must have at most {max_length} items.", "最多 {max_length} 项。"),
    "greater_than": ("too_small", "Must be greater than {gt}.", "须大于 {gt}。"),
    "greater_than_equal": ("too_small", "Must be at least {ge}.", "不能小于 {ge}。"),
    "less_than": ("too_large", "Must be less than {lt}.", "须小于 {lt}。"),
    "less_than_equal": ("too_large", "Must be at most {le}.", "不能大于 {le}。"),
}


def invalid(error: RequestValidationError) -> Invalid:
    """The refusal that says what `error` says, without what was sent. At most 50 faults, each once."""
    faults = [_fault(each, error.body) for each in error.errors()[:MOST_FAULTS]]
    return Invalid(*dict.fromkeys(faults))


def _fault(error: Mapping[str, Any], body: object) -> Fault:
    where, place = _place(error["loc"], body, is_missing=error["type"] == "missing")
    context = error.get("ctx") or {}
    if context.get(FAULT_MARK):
        return Fault(where, context["code"], context["en"], context["zh"], place)
    code, en, zh = _TEXTS.get(error["type"], _OTHER)
    return Fault(where, code, en.format_map(context), zh.format_map(_in_chinese(context)), place)


def _in_chinese(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """Pydantic joins choices as `'a', 'b' or 'c'`."""
    return {name: _joined(value) if name.startswith("expected") else value for name, value in context.items()}


def _joined(choices: object) -> str:
    return str(choices).replace(" or ", "、").replace(", ", "、")


def _place(location: Sequence[str | int], body: object, *, is_missing: bool) -> tuple[str, Place]:
    source, *steps = location
    if source == "body":
        return _pointer(steps, body, is_missing=is_missing), Place.POINTER
    name = pointer_to(*steps[:1]).removeprefix("/")
    return name, Place.HEADER if source in {"header", "cookie"} else Place.PARAMETER


def _pointer(steps: Sequence[str | int], body: object, *, is_missing: bool) -> str:
    """Only the steps that exist in the body: pydantic also names union members and tags, which do not."""
    found: list[str | int] = []
    node = body
    for number, step in enumerate(steps, start=1):
        try:
            node = _child(node, step)
        except LookupError:
            if is_missing and number == len(steps):
                found.append(step)
        else:
            found.append(step)
    return pointer_to(*found)


def _child(node: object, step: str | int) -> object:
    """What lies one step down; LookupError where nothing does."""
    if isinstance(node, dict):
        return node[step]
    if isinstance(node, list) and isinstance(step, int):
        return node[step]
    raise LookupError
