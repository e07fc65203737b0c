"""Every refusal and every failure is a problem in the caller's language, and never repeats what the caller sent."""

import json
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import exc

from app import errors
from app.api.languages import preferred
from app.api.outages import refusal_for
from app.api.problem_types import MEANINGS
from app.api.problems import STATUSES, TITLES, status_of, type_name
from app.errors import Fault, Place, Refusal, pointer_to
from tests.api.foundations_app import build, client, valid

EN = {"Accept-Language": "en"}


async def send(method: str, path: str, **options: Any) -> httpx.Response:
    async with client(build([])) as http:
        return await http.request(method, path, **options)


async def failing_with(error: Exception, **headers: str) -> httpx.Response:
    def fail() -> object:
        raise error

    async with client(build([], fail)) as http:
        return await http.get("/v1/failing", headers=headers)


def every_refusal() -> list[tuple[Refusal, int]]:
    fault = Fault("/claim/amount", "too_small", "Must be at least 1.", "不能小于 1。")
    return [
        (errors.Malformed("not_json", en="a", zh="b"), 400),
        (errors.IdempotencyKeyMissing(), 400),
        (errors.Unauthenticated(), 401),
        (errors.ScopeMissing("rule"), 403),
        (errors.UploadExpired(), 403),
        (errors.NotFound(), 404),
        (errors.TooSlow(), 408),
        (errors.Conflict("case_closed", en="a", zh="b"), 409),
        (errors.IdempotencyKeyInUse(), 409),
        (errors.Stale(), 412),
        (errors.TooLarge(1024), 413),
        (errors.UnsupportedMediaType(), 415),
        (errors.UnsupportedFile(), 415),
        (errors.Invalid(fault), 422),
        (errors.IdempotencyKeyReused(), 422),
        (errors.RateLimited(timedelta(seconds=1.2)), 429),
        (errors.Unavailable(), 503),
        (errors.FilesUnavailable(), 503),
        (errors.Busy(), 503),
    ]


@pytest.mark.parametrize(("refusal", "status"), every_refusal(), ids=lambda given: type(given).__name__)
@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_a_refusal_is_a_problem(refusal: Refusal, status: int, language: str) -> None:
    answer = await failing_with(refusal, **{"Accept-Language": language})
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-language"] == language
    assert problem["code"] == refusal.code
    assert problem["detail"] == (refusal.en if language == "en" else refusal.zh)
    assert problem["type"] == f"/docs/problems#{type_name(type(refusal))}"
    assert problem["title"] == dict(TITLES[status])[language]  # type: ignore[index]
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "code"}


def test_every_kind_of_refusal_has_a_status_a_title_and_a_meaning() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Refusal)} - {Refusal}
    assert kinds <= set(STATUSES)
    assert set(STATUSES) == set(MEANINGS)
    assert set(STATUSES.values()) == set(TITLES)
    assert len({type_name(kind) for kind in STATUSES}) == len(STATUSES)


def test_a_refusal_of_a_finer_kind_takes_the_status_of_its_kind() -> None:
    class CaseClosed(errors.Conflict):
        pass

    assert status_of(CaseClosed("case_closed", en="a", zh="b")) == 409
    assert status_of(Refusal("homeless", en="a", zh="b")) == 500


async def test_headers_that_a_status_asks_for() -> None:
    assert (await failing_with(errors.Unauthenticated())).headers["www-authenticate"] == "Bearer"
    assert (await failing_with(errors.RateLimited(timedelta(seconds=1.2)))).headers["retry-after"] == "2"
    assert (await failing_with(errors.Busy())).headers["retry-after"] == "1"
    assert (await failing_with(errors.Unavailable(timedelta(0)))).headers["retry-after"] == "1"
    assert "retry-after" not in (await failing_with(errors.NotFound())).headers


async def test_faults_say_their_place() -> None:
    faults = [
        Fault("/a", "x", "en", "zh"),
        Fault("limit", "x", "en", "zh", Place.PARAMETER),
        Fault("If-Match", "x", "en", "zh", Place.HEADER),
    ]
    problem = (await failing_with(errors.Invalid(*faults), **EN)).json()
    assert problem["errors"] == [
        {"pointer": "/a", "code": "x", "message": "en"},
        {"parameter": "limit", "code": "x", "message": "en"},
        {"header": "If-Match", "code": "x", "message": "en"},
    ]


async def test_absent_and_foreign_give_the_same_bytes() -> None:
    first, second = await failing_with(errors.NotFound()), await failing_with(errors.NotFound())
    assert (first.content, first.headers) == (second.content, second.headers)


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1/orders", "/v1/orders/A%2FB/x", "/docs/static/none.js", "/docs/static/../../x"]
)
async def test_unknown_paths_are_problems(path: str) -> None:
    answer = await send("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "TRACE", "FOO", "POST"])
async def test_a_method_not_served_names_all_that_are(method: str) -> None:
    answer = await send(method, "/v1/orders/A-1")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, PUT"


async def test_the_pages_name_their_methods_too() -> None:
    assert (await send("POST", "/docs")).headers["allow"] == "GET, HEAD"
    assert (await send("POST", "/docs/static/swagger-ui.css")).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("accept", ["application/xml", "text/html", "*/*;q=0", "\u00ff"])
async def test_problems_are_json_whatever_is_accepted(accept: str) -> None:
    answer = await send("GET", "/nowhere", headers={"Accept": accept.encode("latin-1")})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "zh-CN"),
        ("", "zh-CN"),
        ("en", "en"),
        ("EN-us", "en"),
        ("zh-CN", "zh-CN"),
        ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh;q=0.5, en;q=0.7", "en"),
        ("en;q=0.5, zh;q=0.5", "en"),
        ("zh;q=0.5, en;q=0.5", "zh-CN"),
        ("en;q=0", "zh-CN"),
        ("en;q=0, zh;q=0", "zh-CN"),
        ("fr, de;q=0.5", "zh-CN"),
        ("fr, en;q=0.1", "en"),
        ("xx, *;q=0", "zh-CN"),
        ("*", "zh-CN"),
        ("en;q=2", "zh-CN"),
        ("en;q=nan", "zh-CN"),
        ("en;q=1e9", "zh-CN"),
        ("english", "zh-CN"),
        ("en\x00", "zh-CN"),
        (",;,;;q=,", "zh-CN"),
        ("en," * 1_000, "zh-CN"),
        ("a-" * 250, "zh-CN"),
    ],
)
def test_the_language_of_an_answer(header: str | None, language: str) -> None:
    assert preferred(header) == language


@given(st.text(alphabet="enzhCN-;q=0.159,* \t", max_size=60) | st.text(max_size=60))
def test_no_header_breaks_the_choice_of_language(header: str) -> None:
    assert preferred(header) in {"zh-CN", "en"}


async def faults_of(change: dict[str, Any], **headers: str) -> list[dict[str, str]]:
    body = valid()
    body["claim"].update(change)
    answer = await send("POST", "/v1/claims", json=body, headers=headers or EN)
    assert answer.status_code == 422, answer.text
    faults: list[dict[str, str]] = answer.json()["errors"]
    return faults


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"amout": 1}, "/claim/amout", "unknown_field"),
        ({"__proto__": {}}, "/claim/__proto__", "unknown_field"),
        ({"constructor": 1}, "/claim/constructor", "unknown_field"),
        ({"a/b~c": 1}, "/claim/a~1b~0c", "unknown_field"),
        ({"amount": 200.0}, "/claim/amount", "not_an_integer"),
        ({"amount": 20000.5}, "/claim/amount", "not_an_integer"),
        ({"amount": "20000"}, "/claim/amount", "not_an_integer"),
        ({"amount": True}, "/claim/amount", "not_an_integer"),
        ({"amount": [20000]}, "/claim/amount", "not_an_integer"),
        ({"amount": None}, "/claim/amount", "not_an_integer"),
        ({"amount": 0}, "/claim/amount", "too_small"),
        ({"amount": -1}, "/claim/amount", "too_small"),
        ({"amount": 9223372036854775808}, "/claim/amount", "too_large"),
        ({"amount": 10**400}, "/claim/amount", "too_large"),
        ({"order_no": "A/B"}, "/claim/order_no", "identifier"),
        ({"order_no": 7}, "/claim/order_no", "not_a_string"),
        ({"filed_at": "2026-03-10"}, "/claim/filed_at", "instant"),
        ({"filed_at": "1999-01-01T00:00:00Z"}, "/claim/filed_at", "instant_range"),
        ({"window": "P1M"}, "/claim/window", "duration"),
        ({"sha256": "x"}, "/claim/sha256", "wrong_form"),
        ({"stamped": 1}, "/claim/stamped", "not_a_boolean"),
        ({"via": "other"}, "/claim/via", "not_allowed"),
        ({"remedy": "other"}, "/claim/remedy", "not_allowed"),
        ({"description": "x" * 2001}, "/claim/description", "too_long"),
        ({"description": "\u001b[31m"}, "/claim/description", "control_character"),
        ({"shape": "a"}, "/claim/shape", "too_short"),
        ({"shape": "A1"}, "/claim/shape", "wrong_form"),
        ({"tags": ["a", "b", "c", "d"]}, "/claim/tags", "too_long"),
        ({"tags": ["a", " "]}, "/claim/tags/1", "identifier"),
        ({"tags": "a"}, "/claim/tags", "not_a_list"),
        ({"payments": [{"channel": "alipay"}]}, "/claim/payments/0/trade_no", "required"),
        ({"payments": [{"channel": "balance", "amount": "x"}]}, "/claim/payments/0/amount", "not_an_integer"),
        ({"payments": [{"channel": "gold"}]}, "/claim/payments/0", "not_allowed"),
        ({"payments": [{}]}, "/claim/payments/0", "required"),
        ({"payments": [1]}, "/claim/payments/0", "not_an_object"),
        ({"careless": "x"}, "/claim/careless", "invalid"),
        ({"bilingual": "x"}, "/claim/bilingual", "odd"),
    ],
)
async def test_a_bad_field_is_named_by_a_pointer(change: dict[str, Any], pointer: str, code: str) -> None:
    assert [(fault["pointer"], fault["code"]) for fault in await faults_of(change)] == [(pointer, code)]


async def test_each_member_of_a_union_blames_the_same_place() -> None:
    assert {fault["pointer"] for fault in await faults_of({"either": []})} == {"/claim/either"}


async def test_texts_name_what_is_allowed_in_both_languages() -> None:
    assert (await faults_of({"via": "x"}))[0]["message"] == "Must be one of: 'platform' or 'private'."
    assert (await faults_of({"via": "x"}, **{"Accept-Language": "zh"}))[0][
        "message"
    ] == "须为以下之一：'platform'、'private'。"
    assert (await faults_of({"bilingual": 1}))[0]["message"] == "Is odd {x}."
    assert (await faults_of({"bilingual": 1}, **{"Accept-Language": "zh"}))[0]["message"] == "不寻常 {x}。"
    assert (await faults_of({"amount": 10**13}))[0]["message"] == "Must be at most 1000000000000."


async def test_missing_parts_are_named() -> None:
    answer = await send("POST", "/v1/claims", json={})
    assert answer.json()["errors"][0]["pointer"] == "/claim"
    answer = await send("POST", "/v1/claims", json=[])
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [""]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1e2", "9" * 20, "9" * 5_000, "x", "", "1.5", "0x1"])
async def test_parameters_are_named_too(limit: str) -> None:
    answer = await send("GET", "/v1/orders/A-1", params={"limit": limit})
    assert answer.status_code == 422
    assert [fault["parameter"] for fault in answer.json()["errors"]] == ["limit"]


@pytest.mark.parametrize(
    "order_no", ["%20", "%00", "%ff", "A%0D%0AX", "A%E2%80%AE1", "A%3Fx", "A%23x", "x" * 10_000, "'%20OR%201=1--"]
)
async def test_odd_path_parameters_are_refused(order_no: str) -> None:
    answer = await send("GET", f"/v1/orders/{order_no}")
    assert answer.status_code == 422
    assert [fault["parameter"] for fault in answer.json()["errors"]] == ["order_no"]


async def test_a_flood_of_faults_is_cut_and_names_are_bounded() -> None:
    faults = await faults_of({f"field-{n}-" + "x\u202e" * 100: n for n in range(900)})
    assert len(faults) == 50
    assert all(len(fault["pointer"]) < 120 and fault["pointer"].isprintable() for fault in faults)


@given(st.lists(st.text() | st.integers(0), max_size=5))
def test_a_pointer_is_bounded_and_printable(steps: list[str | int]) -> None:
    pointer = pointer_to(*steps)
    assert pointer.isprintable()
    assert pointer.count("/") == len(steps)
    assert len(pointer) <= 201 * len(steps)


CANARY = "CANARY-7788-QX"
PLACES = ["order_no", "amount", "refunded", "description", "filed_at", "window", "sha256", "stamped", "via", "remedy"]
PLACES += ["tags", "payments", "either", "shape", "careless", "bilingual", "unknown_field_of_mine"]
SHAPES: list[Callable[[str], object]] = [
    lambda canary: canary,
    lambda canary: canary + "\u0000",
    lambda canary: canary + " /?#\u202e",
    lambda canary: canary * 300,
    lambda canary: [canary],
    lambda canary: [canary] * 5,
    lambda canary: {"channel": canary},
    lambda canary: [{"channel": canary}],
    lambda canary: [{"channel": "alipay", "trade_no": canary + "/"}],
    lambda canary: [{"channel": "balance", "amount": canary}],
    lambda canary: [[canary]],
    lambda canary: f"2026-03-10T12:00:00Z{canary}",
    lambda canary: f"P{canary}",
    lambda canary: "\ud800" + canary,
    lambda canary: {"nested": {"deeper": canary}},
    lambda _: 778877887788778877,
    lambda _: -778877887788.5,
    lambda _: int("7788" * 60),
]


@pytest.mark.parametrize("place", PLACES)
async def test_no_value_is_ever_repeated(place: str) -> None:
    async with client(build([])) as http:
        for shape in SHAPES:
            body = valid()
            body["claim"][place] = shape(CANARY)
            answer = await http.post(
                "/v1/claims", content=json.dumps(body), headers={"Content-Type": "application/json"}
            )
            assert answer.status_code in {200, 422}, answer.text
            assert answer.status_code == 200 or not _repeats(answer), (place, answer.text)


def _repeats(answer: httpx.Response) -> bool:
    return any(trace in answer.text + str(answer.headers.multi_items()) for trace in ("CANARY", "7788"))


@pytest.mark.parametrize(
    "options",
    [
        {"url": f"/v1/orders/{CANARY}%20"},
        {"url": f"/v1/orders/A-1?limit={CANARY}"},
        {"url": f"/{CANARY}"},
        {"url": "/nowhere", "headers": {"Accept-Language": CANARY, "Accept": CANARY}},
        {"url": "/v1/claims", "method": "POST", "content": f'{{"{CANARY}'},
        {"url": "/v1/claims", "method": "POST", "content": "{}", "headers": {"Content-Type": CANARY}},
        {"url": "/v1/claims", "method": CANARY},
    ],
)
async def test_nor_is_what_stands_elsewhere(options: dict[str, Any]) -> None:
    async with client(build([])) as http:
        answer = await http.request(**{"method": "GET", "headers": {"Content-Type": "application/json"}, **options})
    assert 400 <= answer.status_code < 500
    assert not _repeats(answer)


def postgres_error(sqlstate: str) -> asyncpg.PostgresError:
    error: asyncpg.PostgresError = asyncpg.PostgresError.new({"C": sqlstate, "M": CANARY})
    return error


def wrapped(original: Exception, *, is_lost: bool = False) -> exc.DBAPIError:
    return exc.DBAPIError("SELECT 1", {"card": CANARY}, original, connection_invalidated=is_lost)


def caused(cause: Exception) -> Exception:
    error = RuntimeError(CANARY)
    error.__cause__ = cause
    return error


DOWN = [
    ConnectionRefusedError(CANARY),
    ConnectionResetError(),
    TimeoutError(),
    socket.gaierror(-2, CANARY),
    exc.TimeoutError(CANARY),
    exc.InterfaceError("x", {}, Exception()),
    asyncpg.InterfaceError(CANARY),
    *map(postgres_error, ["08006", "08001", "53300", "57P01", "57P02", "57P03", "25006"]),
    wrapped(postgres_error("57P01")),
    wrapped(Exception(), is_lost=True),
    caused(ConnectionResetError()),
]
BUSY = [*map(postgres_error, ["40001", "40P01", "55P03", "57014"]), wrapped(postgres_error("40001"))]
OURS = [
    RuntimeError(CANARY),
    ZeroDivisionError(),
    KeyError(CANARY),
    FileNotFoundError(CANARY),
    ValueError(CANARY),
    UnicodeEncodeError("utf-8", CANARY, 0, 1, CANARY),
    postgres_error("42P01"),
    wrapped(postgres_error("23505")),
    wrapped(Exception(CANARY)),
    HTTPException(502, CANARY),
]


@pytest.mark.parametrize("error", DOWN, ids=repr)
async def test_a_database_out_of_reach_is_503(error: Exception) -> None:
    answer = await failing_with(error)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert not _repeats(answer)


@pytest.mark.parametrize("error", BUSY, ids=repr)
async def test_a_lock_or_serialization_failure_is_busy(error: Exception) -> None:
    answer = await failing_with(error)
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert "retry-after" in answer.headers


@pytest.mark.parametrize("error", OURS, ids=repr)
async def test_anything_else_is_500_without_a_word_about_it(error: Exception) -> None:
    answer = await failing_with(error, **EN)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not _repeats(answer)
    assert "Error" not in answer.text


def test_what_merely_happened_before_is_no_outage() -> None:
    error = KeyError()
    error.__context__ = ConnectionResetError()
    assert refusal_for(error) is None


@pytest.mark.parametrize("status", [400, 403, 406, 409, 418, 431])
async def test_refusals_of_the_framework_keep_their_words_to_themselves(status: int) -> None:
    answer = await failing_with(HTTPException(status, CANARY))
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert not _repeats(answer)


async def test_half_an_answer_is_not_passed_off_as_whole() -> None:
    with pytest.raises(RuntimeError, match="canary"):
        await send("GET", "/v1/breaking")


async def test_a_problem_is_utf8_json_with_chinese_as_it_is() -> None:
    answer = await send("GET", "/nowhere")
    assert "未找到" in answer.content.decode("utf-8")
    assert json.loads(answer.content)["title"] == "未找到"
