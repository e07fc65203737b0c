"""Bodies have a limit, announced or not; every answer carries the safe headers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import Message

from app.api.limits import LARGEST_BODY, MOST_DRAINED, BodyLimit
from tests.api.foundations_app import build, client

JSON = {"Content-Type": "application/json"}


async def chunks(total: int, pulled: list[int], size: int = 65_536) -> AsyncIterator[bytes]:
    while total > 0:
        size = min(size, total)
        total -= size
        pulled.append(size)
        yield b" " * size


async def call(path: str, messages: list[Message], *headers: tuple[bytes, bytes]) -> tuple[list[Message], int]:
    """Run the app on raw ASGI messages; the answer, and how many messages it took."""
    taken, sent = 0, []

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        return messages[taken - 1] if taken <= len(messages) else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await build([])(scope_of(path, list(headers)), receive, send)
    return sent, taken


def scope_of(path: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "root_path": ""}
    return scope | {
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("s", 80),
    }


async def test_a_body_that_announces_too_much_is_refused_unread() -> None:
    length = (b"content-length", str(LARGEST_BODY + 1).encode())
    sent, _ = await call("/raw", [], length)
    assert sent[0]["status"] == 413
    assert dict(sent[0]["headers"])[b"connection"] == b"close"
    assert dict(sent[0]["headers"])[b"content-type"] == b"application/problem+json"


@pytest.mark.parametrize("length", [b"9" * 18, b"9" * 5_000])
async def test_absurd_lengths_are_too_much(length: bytes) -> None:
    sent, _ = await call("/raw", [], (b"content-length", length))
    assert sent[0]["status"] == 413


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"", b"\xb2", b"abc"])
async def test_a_length_that_is_no_number_changes_nothing(length: bytes) -> None:
    message = {"type": "http.request", "body": b"abc", "more_body": False}
    sent, _ = await call("/raw", [message], (b"content-length", length))
    assert (sent[0]["status"], sent[1]["body"]) == (200, b"3")


@pytest.mark.parametrize("path", ["/raw", "/v1/claims", "/v1/notes"])
async def test_a_body_without_length_is_refused_when_it_grows_too_long(path: str) -> None:
    pulled: list[int] = []
    async with client(build([])) as http:
        answer = await http.post(path, content=chunks(64 * LARGEST_BODY, pulled), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.headers["connection"] == "close"
    assert sum(pulled) <= LARGEST_BODY + MOST_DRAINED + 2 * 65_536


async def test_the_answer_goes_out_before_the_rest_is_dropped() -> None:
    """Else a caller who waits for an answer before sending more would wait for nothing."""
    order: list[str] = []

    async def receive() -> Message:
        order.append("receive")
        return {"type": "http.request", "body": b"x", "more_body": len(order) < 6}

    async def send(message: Message) -> None:
        order.append(f"{message['type']} {message.get('more_body')}")

    await BodyLimit(build([]), limit=5)(scope_of("/raw", [(b"content-length", b"6")]), receive, send)
    assert order[:2] == ["http.response.start None", "http.response.body True"]
    assert set(order[2:-1]) == {"receive"}
    assert order[-1] == "http.response.body False"


async def test_a_caller_over_a_socket_gets_the_413_although_it_sent_everything() -> None:
    server = uvicorn.Server(uvicorn.Config(build([]), port=0, log_config=None, access_log=False, lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/raw"
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            chunked = await http.post(address, content=chunks(3 * LARGEST_BODY, []))
            announced = await http.post(address, content=b" " * 3 * LARGEST_BODY)
    finally:
        server.should_exit = True
        await serving
    assert (chunked.status_code, announced.status_code) == (413, 413)
    assert chunked.json()["code"] == announced.json()["code"] == "too_large"


async def test_a_length_that_lies_is_counted_all_the_same() -> None:
    message = {"type": "http.request", "body": b" " * 65_536, "more_body": True}
    sent, taken = await call("/raw", [message] * 40, (b"content-length", b"5"))
    assert sent[0]["status"] == 413
    assert taken == 41


async def test_an_app_that_swallows_the_refusal_still_answers_413() -> None:
    calls: list[object] = []
    async with client(build(calls)) as http:
        answer = await http.post("/swallowing", content=chunks(LARGEST_BODY + 1, []))
    assert calls == ["swallowed"]
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_the_limit_itself_passes_both_ways() -> None:
    async with client(build([])) as http:
        announced = await http.post("/raw", content=b" " * LARGEST_BODY)
        chunked = await http.post("/raw", content=chunks(LARGEST_BODY, []))
    assert announced.json() == chunked.json() == LARGEST_BODY


async def test_the_413_speaks_the_callers_language() -> None:
    async with client(build([])) as http:
        answer = await http.post("/raw", content=b" " * (LARGEST_BODY + 1), headers={"Accept-Language": "en"})
    assert "1048576 bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status", "cache"),
    [
        ("/v1/orders/A-1", 200, "no-store"),
        ("/v1/nowhere", 404, "no-store"),
        ("/nowhere", 404, None),
        ("/docs", 200, "no-cache"),
    ],
)
async def test_safe_headers(path: str, status: int, cache: str | None) -> None:
    async with client(build([])) as http:
        answer = await http.get(path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers.get("cache-control") == cache


async def test_a_caller_who_leaves_midway_is_no_error() -> None:
    sent, _ = await call("/raw", [{"type": "http.disconnect"}])
    assert sent == []
