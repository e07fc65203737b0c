"""Refusals as RFC 9457 problem details. The only file that pairs a refusal with a status."""

import json
import math
import re
from dataclasses import dataclass, field
from typing import Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import errors, logs
from app.api.languages import Language, language_of
from app.api.outages import refusal_for
from app.api.problem_types import MethodNotAllowed, Unexpected
from app.api.validation import invalid
from app.errors import Fault, Refusal

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PAGE: Final = "/docs/problems"

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_log = logs.logger(__name__)


STATUSES: Final[dict[type[Refusal], int]] = {
    errors.Malformed: 400,
    errors.IdempotencyKeyMissing: 400,
    errors.Unauthenticated: 401,
    errors.SignatureRefused: 401,
    errors.ScopeMissing: 403,
    errors.UploadExpired: 403,
    errors.NotFound: 404,
    MethodNotAllowed: 405,
    errors.TooSlow: 408,
    errors.Conflict: 409,
    errors.IdempotencyKeyInUse: 409,
    errors.Stale: 412,
    errors.TooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.UnsupportedFile: 415,
    errors.Invalid: 422,
    errors.IdempotencyKeyReused: 422,
    errors.RateLimited: 429,
    Unexpected: 500,
    errors.Unavailable: 503,
    errors.FilesUnavailable: 503,
    errors.Busy: 503,
}

TITLES: Final[dict[int, dict[Language, str]]] = {
    400: {"en": "Bad request", "zh-CN": "请求无法读取"},
    401: {"en": "Unauthenticated", "zh-CN": "未认证"},
    403: {"en": "Forbidden", "zh-CN": "无权限"},
    404: {"en": "Not found", "zh-CN": "未找到"},
    405: {"en": "Method not allowed", "zh-CN": "方法不允许"},
    408: {"en": "Request timeout", "zh-CN": "请求超时"},
    409: {"en": "Conflict", "zh-CN": "状态冲突"},
    412: {"en": "Precondition failed", "zh-CN": "版本已过期"},
    413: {"en": "Content too large", "zh-CN": "内容过大"},
    415: {"en": "Unsupported media type", "zh-CN": "不支持的内容类型"},
    422: {"en": "Unprocessable content", "zh-CN": "内容不符合要求"},
    429: {"en": "Too many requests", "zh-CN": "请求过多"},
    500: {"en": "Internal error", "zh-CN": "内部错误"},
    503: {"en": "Unavailable", "zh-CN": "暂不可用"},
}


@dataclass(frozen=True, slots=True)
class _Problem:
    status: int
    refusal: Refusal
    headers: dict[str, str] = field(default_factory=dict)


def install(app: FastAPI) -> None:
    """Answer every refusal and failure of `app` as problem+json. Call after all middleware but `limits` is added."""
    for kind in (Refusal, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle)
    app.add_middleware(ProblemBarrier)


def respond(scope: Scope, error: Exception) -> Response:
    """The answer to a request that ended in `error`. Only what nobody foresaw is logged, as an error."""
    problem = _problem(scope, error)
    if isinstance(problem.refusal, Unexpected):
        _log.error("unexpected_error", exc_info=error, method=scope["method"], route=_route_of(scope))
    language = language_of(scope)
    headers = {"Content-Language": language, **problem.headers}
    return Response(_body(problem, language), problem.status, headers, MEDIA_TYPE)


class ProblemBarrier:
    """Pure ASGI. Catches what passed every handler, or was raised by a middleware, before the server sees it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app; answer for it if it fails before it has answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def watched(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            _log.info("client_disconnected", route=_route_of(scope))
        except Exception as error:
            # Half an answer is out: only closing the connection tells the caller that it is not whole.
            if has_started:
                raise
            await respond(scope, error)(scope, receive, send)


async def _handle(request: Request, error: Exception) -> Response:
    return respond(request.scope, error)


def _problem(scope: Scope, error: Exception) -> _Problem:
    if isinstance(error, HTTPException):
        return _of_framework(scope, error)
    refusal = _refusal(error)
    return _Problem(status_of(refusal), refusal, _headers(refusal))


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RequestValidationError):
        return invalid(error)
    return refusal_for(error) or Unexpected()


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal, by its kind; a kind without one is a fault of ours."""
    return STATUSES[_kind(refusal)]


def type_name(kind: type[Refusal]) -> str:
    """The stable fragment of a problem's `type`: `IdempotencyKeyInUse` is `idempotency-key-in-use`."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


def _kind(refusal: Refusal) -> type[Refusal]:
    """The nearest kind that has a status."""
    return next((kind for kind in type(refusal).__mro__ if kind in STATUSES), Unexpected)


def _headers(refusal: Refusal) -> dict[str, str]:
    if isinstance(refusal, errors.Unauthenticated | errors.SignatureRefused):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(refusal, errors.Unavailable | errors.FilesUnavailable | errors.Busy | errors.RateLimited):
        return {"Retry-After": str(max(1, math.ceil(refusal.retry_after.total_seconds())))}
    return {"Connection": "close"} if isinstance(refusal, errors.TooLarge | errors.TooSlow) else {}


def _of_framework(scope: Scope, error: HTTPException) -> _Problem:
    """Refusals of the framework itself. Its texts are not passed on."""
    if error.status_code == 404:
        return _Problem(404, errors.NotFound())
    if error.status_code == 405:
        return _Problem(405, MethodNotAllowed(), {"Allow": ", ".join(_allowed(scope))})
    if error.status_code >= 500:
        return _Problem(500, Unexpected())
    return _Problem(400, errors.Malformed("bad_request", en="The request cannot be read.", zh="请求无法读取。"), {})


def _allowed(scope: Scope) -> list[str]:
    """Every method that some route takes at this path: the framework names those of the first route alone."""
    routes = [route for route in scope["app"].routes if not isinstance(route, Mount)]
    allowed = [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    return allowed or ["GET", "HEAD"]


def _route_of(scope: Scope) -> str | None:
    """The template of the route, such as `/v1/cases/{case_id}`: the path itself may hold contents."""
    return getattr(scope.get("route"), "path", None)


def _body(problem: _Problem, language: Language) -> bytes:
    refusal = problem.refusal
    document: dict[str, object] = {
        "type": f"{TYPE_PAGE}#{type_name(_kind(refusal))}",
        "title": TITLES[problem.status][language],
        "status": problem.status,
        "detail": refusal.en if language == "en" else refusal.zh,
        "code": refusal.code,
    }
    if refusal.faults:
        document["errors"] = [_item(fault, language) for fault in refusal.faults]
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def _item(fault: Fault, language: Language) -> dict[str, str]:
    message = fault.en if language == "en" else fault.zh
    return {fault.place.value: fault.where, "code": fault.code, "message": message}
