"""Routes whose JSON body is read by `strict_json` rather than by FastAPI, and which outlast a collision."""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeAlias

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from app.api.strict_json import MISSING, read_json
from app.errors import Refusal
from app.store.engine import repeated

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


class _Unreadable:
    """Stands for a body that could not be read; no body model accepts it."""


_UNREADABLE = _Unreadable()


class StrictRequest(Request):
    """A request whose JSON body has been through `read_json`.

    A body that cannot be read does not end the request at once: the dependencies, authentication among them, come
    first, so that a caller without a key learns nothing but that.
    """

    _document: object = None
    _refusal: Refusal | None = None

    async def prepare(self) -> None:
        """Read the body; call once, before anything else looks at it."""
        body = await self.body()
        try:
            self._document = read_json(body, self.headers.get("content-type"))
        except Refusal as refusal:
            self._refusal = refusal
            self._document = _UNREADABLE

    @property
    def refusal(self) -> Refusal | None:
        """Why the body cannot be read, if it cannot."""
        return self._refusal

    def document(self) -> object:
        """The parsed body, None if it is empty; raises the Refusal of a body that cannot be read."""
        if self._refusal is None:
            return self._document
        if self._refusal.code == MISSING:
            return None
        raise self._refusal

    async def json(self) -> Any:
        """The parsed body, or what no model accepts, for FastAPI."""
        return self._document


def document_of(request: Request) -> object:
    """The parsed body of a request, for a dependency; None without one. Raises the Refusal of an unreadable body."""
    return request.document() if isinstance(request, StrictRequest) else None


class StrictRoute(APIRoute):
    """A route whose JSON body is read by `read_json`: `APIRouter(route_class=StrictRoute)`."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, on a prepared request."""
        handle = _repeating(super().get_route_handler())
        if self.body_field is None:
            return handle
        _check_refuses_anything(self)

        async def strict(request: Request) -> Response:
            prepared = StrictRequest(request.scope, request.receive)
            await prepared.prepare()
            try:
                return await handle(prepared)
            except RequestValidationError:
                if prepared.refusal is not None:
                    raise prepared.refusal from None
                raise

        return strict


def _repeating(handle: Handler) -> Handler:
    """Runs a route again, with its dependencies, where its transaction collided with another.

    Routes have no effects but those of their transaction. It is a dependency that FastAPI ends behind the handler; to
    begin again it has to be over before, so that each attempt ends its own.
    """

    async def attempt(request: Request) -> Response:
        async with AsyncExitStack() as stack:
            request.scope["fastapi_function_astack"] = stack
            response = await handle(request)
        return response  # noqa: RET504 - for mypy, a stack may keep an exception to itself

    async def repeating(request: Request) -> Response:
        return await repeated(partial(attempt, request))

    return repeating


def _check_refuses_anything(route: APIRoute) -> None:
    """An unreadable body must fail validation, or the route would run without one. TypeError at start-up if not."""
    field = route.body_field
    for impostor in (_UNREADABLE, b"{}"):
        if field is not None and not field.validate(impostor, {}, loc=("body",))[1]:
            raise TypeError(f"the body of {route.path} accepts any value: give it a model")
