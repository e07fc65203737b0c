"""Bodies: what is not plain, bounded, unambiguous JSON is refused, before anything happens."""

import json
import time
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body
from hypothesis import given
from hypothesis import strategies as st

from app.api.strict_json import DEEPEST, MOST_MEMBERS, MOST_VALUES, read_json
from app.api.strict_route import StrictRoute
from app.errors import Invalid, Malformed, Refusal, UnsupportedMediaType
from tests.api.foundations_app import build, client, valid

JSON = "application/json"
MIB = 1024 * 1024


def refusal_of(body: bytes, content_type: str | None = JSON) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_json(body, content_type)
    return caught.value


def value_or_refusal(body: bytes) -> object:
    try:
        return read_json(body, JSON)
    except Refusal as refusal:
        return refusal


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
STORABLE = VALUES.filter(lambda value: "\\u0000" not in json.dumps(value))


@given(STORABLE, st.booleans())
def test_plain_json_is_read_as_the_standard_library_reads_it(value: object, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert read_json(body, JSON) == json.loads(body)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_refusal(body: bytes) -> None:
    got = value_or_refusal(body)
    assert isinstance(got, Malformed | Invalid) or got == json.loads(body)


@given(st.text(alphabet='[]{}":,\\ud8c0123aen.-+ \n', max_size=40))
def test_near_json_gives_a_value_or_a_refusal(text: str) -> None:
    got = value_or_refusal(text.encode())
    assert isinstance(got, Malformed | Invalid) or got == json.loads(text)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "body_missing"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'[{"b":{"a":1,"c":2,"a":3}}]', "duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "duplicate_key"),
        (b"[NaN]", "not_a_number"),
        (b"[Infinity]", "not_a_number"),
        (b'{"a":-Infinity}', "not_a_number"),
        (b"1e400", "not_a_number"),
        (b"[-1e400]", "not_a_number"),
        (b"9" * 5_000, "number_too_long"),
        (b"[-" + b"9" * 4_301 + b"]", "number_too_long"),
        (b"\xef\xbb\xbf{}", "byte_order_mark"),
        (b'"\xff"', "not_utf8"),
        (b'"\xed\xa0\x80"', "not_utf8"),
        (b'"\xc0\x80"', "not_utf8"),
        ('{"a":1}'.encode("utf-16"), "not_utf8"),
        ('{"a":1}'.encode("utf-16-le"), "not_json"),
        ('{"a":1}'.encode("utf-32-be"), "not_json"),
        (b"{} x", "not_json"),
        (b"{}{}", "not_json"),
        (b"{'a':1}", "not_json"),
        (b'{"a":1,}', "not_json"),
        (b"[1,]", "not_json"),
        (b'{"a":1} // why', "not_json"),
        (b'/**/{"a":1}', "not_json"),
        (b"{a:1}", "not_json"),
        (b"[01]", "not_json"),
        (b"[+1]", "not_json"),
        (b"[.5]", "not_json"),
        (b"[True]", "not_json"),
        (b'"a\nb"', "not_json"),
        (b'"a\x00b"', "not_json"),
        (b"\x00", "not_json"),
        (b'"\\x41"', "not_json"),
        (b" ", "not_json"),
        (b"\xc2\xa0{}", "not_json"),
    ],
)
def test_what_is_not_plain_json_is_malformed(body: bytes, code: str) -> None:
    refusal = refusal_of(body)
    assert isinstance(refusal, Malformed)
    assert refusal.code == code


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (rb'"a\u0000b"', [""]),
        (rb'{"claim":{"description":"a\u0000b"}}', ["/claim/description"]),
        (rb'{"claim":{"a\u0000":1}}', ["/claim"]),
        (rb'{"a":[1,"\ud800"]}', ["/a/1"]),
        (rb'{"a":"\uDFFF","b":"\uD83D\uDE00"}', ["/a"]),
        (rb'["\ude00\ud83d"]', ["/0"]),
        (rb'["\\ud83d\ude00"]', ["/0"]),
        (rb'{"\udc00":"\ud800"}', ["", "/\ufffd"]),
        (rb'{"a/b~c":"\u0000"}', ["/a~1b~0c"]),
    ],
)
def test_characters_that_no_database_holds_are_invalid_where_they_stand(body: bytes, pointers: list[str]) -> None:
    refusal = refusal_of(body)
    assert isinstance(refusal, Invalid)
    assert [fault.where for fault in refusal.faults] == pointers


@pytest.mark.parametrize("body", [rb'["\\u0000"]', rb'["\\ud800"]', rb'["\ud83d\ude00\u00e9"]', '["😀"]'.encode()])
def test_their_neighbours_pass(body: bytes) -> None:
    assert read_json(body, JSON) == json.loads(body)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json ; charset=utf8 ; v=1",
        "application/vnd.kmr.v1+json",
    ],
)
def test_json_types_are_read(content_type: str) -> None:
    assert read_json(b"{}", content_type) == {}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=gbk; charset=utf-8",
        "application/jsonp",
        "application/json, text/plain",
        "application/+json",
        "json",
    ],
)
def test_other_types_are_not(content_type: str | None) -> None:
    assert isinstance(refusal_of(b"{}", content_type), UnsupportedMediaType)


def nested(depth: int) -> bytes:
    return (
        b"[" * (depth // 2) + b'{"a":' * (depth - depth // 2) + b"1" + b"}" * (depth - depth // 2) + b"]" * (depth // 2)
    )


def test_depth_is_counted_exactly() -> None:
    assert read_json(nested(DEEPEST), JSON) == json.loads(nested(DEEPEST))
    assert refusal_of(nested(DEEPEST + 1)).code == "too_deep"


def test_brackets_in_texts_and_side_by_side_are_not_depth() -> None:
    wide = [{"text": '[[[["{{{\\' * 20}] * 200
    assert read_json(json.dumps(wide).encode(), JSON) == wide


def test_keys_and_values_are_counted_exactly() -> None:
    keys = {f"k{n}": n for n in range(MOST_MEMBERS)}
    assert read_json(json.dumps(keys).encode(), JSON) == keys
    assert refusal_of(json.dumps({**keys, "one": "more"}).encode()).code == "too_many_values"
    values = [0] * MOST_VALUES
    assert read_json(json.dumps(values).encode(), JSON) == values
    assert refusal_of(json.dumps([*values, 0]).encode()).code == "too_many_values"
    commas = ["," * MOST_VALUES]
    assert read_json(json.dumps(commas).encode(), JSON) == commas


HOSTILE: dict[str, bytes] = {
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "many keys": ("{" + ",".join(f'"{n}":0' for n in range(100_000)) + "}").encode(),
    "escaped quotes": b'["' + b'\\"[' * (MIB // 3 - 4),
    "open text": b"[" * 40 + b'"' + b"\\" * (MIB - 50),
    "long number": b"9" * MIB,
    "broken pairs": b'{"' + b"k" * 400_000 + b'":[' + b'"\\ud800",' * 49_000 + b"0]}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_cost_no_more_than_honest_ones_of_their_size(name: str) -> None:
    body = HOSTILE[name]
    honest = json.dumps([{"a": ["b"] * 5, "c": "\\u0000é"}] * (len(body) // 50)).encode()
    assert isinstance(refusal_of(body), Malformed | Invalid)
    spent = min(_seconds(body) for _ in range(3))
    assert spent < 10 * min(_seconds_of_loads(honest) for _ in range(3)) + 0.01


def _seconds(body: bytes) -> float:
    start = time.thread_time()  # whoever else is at work does not count
    refusal_of(body)
    return time.thread_time() - start


def _seconds_of_loads(body: bytes) -> float:
    start = time.thread_time()
    json.loads(body)
    return time.thread_time() - start


def test_the_decoders_error_and_the_body_it_carries_are_let_go() -> None:
    refusal = refusal_of(b'{"card": "AB12-CD34"')
    assert refusal.__context__ is None
    assert "AB12" not in refusal.en + refusal.zh


async def post(body: bytes, **headers: str) -> tuple[int, dict[str, Any], list[object]]:
    calls: list[object] = []
    async with client(build(calls)) as http:
        answer = await http.post("/v1/claims", content=body, headers={"Content-Type": JSON, **headers})
    return answer.status_code, answer.json(), calls


async def test_a_good_body_reaches_the_route() -> None:
    status, _, calls = await post(json.dumps(valid()).encode())
    assert (status, len(calls)) == (200, 1)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"claim":{"amount":1,"amount":20000}}', 400, "duplicate_key"),
        (b'{"claim":{"amount":NaN}}', 400, "not_a_number"),
        (b'{"claim":{"amount":1e400}}', 400, "not_a_number"),
        (b"[" * 2_000, 400, "too_deep"),
        (HOSTILE["many keys"], 400, "too_many_values"),
        (rb'{"claim":{"description":"a\u0000b"}}', 422, "invalid"),
        (b"\xef\xbb\xbf{}", 400, "byte_order_mark"),
        (b"", 400, "body_missing"),
        (b"null", 422, "invalid"),
        (b"[]", 422, "invalid"),
        (b"1", 422, "invalid"),
        (b'"x"', 422, "invalid"),
        (b"true", 422, "invalid"),
        (b"{} {}", 400, "not_json"),
    ],
)
async def test_refusals_of_the_reader_reach_the_caller_without_effect(body: bytes, status: int, code: str) -> None:
    got, problem, calls = await post(body)
    assert (got, problem["code"], calls) == (status, code, [])


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
)
async def test_another_content_type_is_415(content_type: str) -> None:
    status, problem, calls = await post(json.dumps(valid()).encode(), **{"Content-Type": content_type})
    assert (status, problem["code"], calls) == (415, "unsupported_media_type", [])


async def test_no_content_type_is_415() -> None:
    async with client(build([])) as http:
        answer = await http.post("/v1/claims", content=b"{}")
    assert "content-type" not in answer.request.headers
    assert answer.status_code == 415


@pytest.mark.parametrize("body", [b"", b"[[[", b"{}"])
async def test_a_caller_without_a_key_learns_only_that(body: bytes) -> None:
    status, problem, calls = await post(body, Authorization="Bearer bad")
    assert (status, problem["code"], calls) == (401, "unauthenticated", [])


async def test_an_optional_body_may_be_absent_but_not_unreadable() -> None:
    calls: list[object] = []
    async with client(build(calls)) as http:
        absent = await http.post("/v1/notes")
        given_ = await http.post("/v1/notes", json=valid())
        broken = await http.post("/v1/notes", content=b"{", headers={"Content-Type": JSON})
        typed = await http.post("/v1/notes", content=b"{}", headers={"Content-Type": "text/plain"})
    assert (absent.json(), given_.json()) == ({"body": False}, {"body": True})
    assert (broken.status_code, typed.status_code) == (400, 415)
    assert calls == [None, valid()]


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[[[", 400), (rb'{"a":"\u0000"}', 422)])
async def test_a_dependency_never_sees_an_unreadable_body(body: bytes, status: int) -> None:
    """What claims an idempotency key by the parsed body must not claim it for a body that nobody could read."""
    calls: list[object] = []
    async with client(build(calls)) as http:
        refused = await http.post("/v1/keyed", content=body, headers={"Content-Type": JSON})
        assert (refused.status_code, calls) == (status, [])
        await http.post("/v1/keyed", json=valid())
    assert calls == [valid()]


def test_a_body_that_accepts_anything_is_refused_at_start_up() -> None:
    async def anything(body: Annotated[Any, Body()]) -> None: ...

    register = APIRouter(route_class=StrictRoute).post("/anything")
    with pytest.raises(TypeError, match="/anything"):
        register(anything)
