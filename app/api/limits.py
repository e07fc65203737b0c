"""Limits and headers around the whole app, as pure ASGI: each costs one closure a request."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import respond
from app.errors import TooLarge

LARGEST_BODY: Final = 1024 * 1024
MOST_DRAINED: Final = 8 * LARGEST_BODY
_LONGEST_DRAIN: Final = timedelta(seconds=1)
_API: Final = "/v1"
UPLOADS: Final = "/v1/uploads/"
"""Below this, the bodies of `PUT` are files."""


def install(app: FastAPI, *, largest_upload: int = LARGEST_BODY) -> None:
    """Put the limits around `app`. Call last, after `problems.install`, so that every answer carries the headers.

    `largest_upload`: bytes that a file may have; all other bodies are held to `LARGEST_BODY`.
    """
    app.add_middleware(BodyLimit, largest_upload=largest_upload)
    app.add_middleware(SafeHeaders)


class BodyLimit:
    """Refuses a body over `limit` bytes: by its announced length before reading, else while it comes in.

    The count does not depend on the app: even if the app swallows the refusal, the caller gets a 413.
    """

    def __init__(self, app: ASGIApp, limit: int = LARGEST_BODY, largest_upload: int | None = None) -> None:
        self._app = app
        self._limit = limit
        self._largest_upload = limit if largest_upload is None else largest_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app within the limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_of(scope)
        if _announces_more_than(limit, scope):
            await self._refuse(scope, receive, send, limit)
        else:
            await self._run_counted(scope, receive, send, limit)

    def _limit_of(self, scope: Scope) -> int:
        is_upload = scope["method"] == "PUT" and str(scope["path"]).startswith(UPLOADS)
        return self._largest_upload if is_upload else self._limit

    async def _run_counted(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        counted = _Counted(receive, send, limit)
        try:
            await self._app(scope, counted.receive, counted.send)
        except Exception:
            if not counted.must_refuse:
                raise
        if counted.must_refuse:
            await self._refuse(scope, receive, send, limit)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        """Answer at once, but end the answer only when the caller has had time to see it.

        A server that closes with unread bytes resets the connection, and the caller may never get the 413.
        """

        async def without_end(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await respond(scope, TooLarge(limit))(scope, receive, without_end)
        await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _announces_more_than(limit: int, scope: Scope) -> bool:
    length = Headers(scope=scope).get("content-length", "")
    # Longer than 18 digits is too much whatever they are; int() need not see them.
    return length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > limit)


async def _drain(receive: Receive) -> None:
    """Read and drop what is still coming, within bounds of bytes and time."""
    left = MOST_DRAINED
    with suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_DRAIN.total_seconds()):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):
                    return
                left -= len(message.get("body", b"")) or 1


class _Counted:
    """One request's channels. Past the limit nothing more is read, and the app's answer is withheld."""

    __slots__ = ("_has_started", "_is_over", "_left", "_limit", "_receive", "_send")

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._left = limit
        self._is_over = False
        self._has_started = False

    @property
    def must_refuse(self) -> bool:
        """Whether the body was too long and no answer has begun."""
        return self._is_over and not self._has_started

    async def receive(self) -> Message:
        """The next message; TooLarge once the limit is passed."""
        if self._is_over:
            raise TooLarge(self._limit)
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._is_over = True
            raise TooLarge(self._limit)
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on, unless a 413 will take its place."""
        if self.must_refuse:
            return
        self._has_started = True
        await self._send(message)


class SafeHeaders:
    """Adds `X-Content-Type-Options: nosniff` to every answer and `Cache-Control: no-store` to those of the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app; headers that it set itself stay."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_api = str(scope["path"]).startswith(_API)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                if is_api:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)
