"""Swagger UI at /docs, Redoc at /redoc, and the list of problem types, all from local files.

The pages may load nothing from elsewhere: the content security policy forbids it, whatever the bundles would like
(Redoc asks a CDN for its logo, Swagger UI a validator for a badge).
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from app.api.languages import Language, language_of
from app.api.problem_types import MEANINGS
from app.api.problems import STATUSES, TITLES, TYPE_PAGE, type_name
from app.errors import Refusal

_BUNDLES: Final = "fastapi_offline"
_STATIC: Final = "/docs/static"
_SWAGGER_START: Final = "/docs/swagger.js"
_REDOC_START: Final = "/docs/redoc.js"
_POLICY: Final = (
    "default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY.format(scripts="'self'"),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
# Redoc's bundle carries a schema compiler that builds functions from text.
_REDOC_HEADERS: Final = {**_HEADERS, "Content-Security-Policy": _POLICY.format(scripts="'self' 'unsafe-eval'")}
_ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='3' fill='%230b6'/%3E%3Cpath d='M4 8l3 3 5-6' fill='none' "
    "stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E"
)

# Paths are relative to the page, so that a proxy may put the whole service under a prefix.
_SWAGGER_OPTIONS: Final = {
    "url": "openapi.json",
    "dom_id": "#swagger-ui",
    "deepLinking": True,
    "docExpansion": "list",
    "filter": True,
    "persistAuthorization": True,
    "defaultModelsExpandDepth": 0,
    "tryItOutEnabled": True,
    "displayRequestDuration": True,
    "showExtensions": False,
    "validatorUrl": None,
    "queryConfigEnabled": False,
}
_REDOC_OPTIONS: Final = {"disableSearch": False, "hideDownloadButton": False, "requiredPropsFirst": True}

_Endpoint = Callable[[Request], Awaitable[Response]]


def install(app: FastAPI) -> None:
    """Add the pages to `app`, which must have been made with `docs_url=None, redoc_url=None`."""
    if app.docs_url is not None or app.redoc_url is not None:
        raise ValueError("FastAPI's own pages load from a CDN: make the app with docs_url=None, redoc_url=None")
    pages: dict[str, _Endpoint] = {
        "/docs": _page(_swagger_html(app.title), _HEADERS),
        "/redoc": _page(_redoc_html(app.title), _REDOC_HEADERS),
        _SWAGGER_START: _script(f"SwaggerUIBundle({json.dumps(_SWAGGER_OPTIONS)});"),
        _REDOC_START: _script(
            f'Redoc.init("openapi.json", {json.dumps(_REDOC_OPTIONS)}, document.getElementById("redoc"));'
        ),
        TYPE_PAGE: _problem_types,
    }
    for path, endpoint in pages.items():
        app.add_route(path, endpoint, methods=["GET"], include_in_schema=False)
    app.mount(_STATIC, StaticFiles(directory=bundles()), name="documentation-static")


def bundles() -> Path:
    """Where the pages' scripts and styles lie; the package that brings them is not imported."""
    spec = find_spec(_BUNDLES)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{_BUNDLES} is not installed")
    return Path(spec.submodule_search_locations[0]) / "static"


def _page(html: str, headers: Mapping[str, str]) -> _Endpoint:
    async def page(_request: Request) -> Response:
        return HTMLResponse(html, headers=headers)

    return page


def _script(text: str) -> _Endpoint:
    async def script(_request: Request) -> Response:
        return Response(text, media_type="text/javascript", headers=_HEADERS)

    return script


def _swagger_html(title: str) -> str:
    return _html(
        title,
        head='<link rel="stylesheet" href="docs/static/swagger-ui.css">',
        body='<div id="swagger-ui"></div>\n'
        '<script src="docs/static/swagger-ui-bundle.js"></script>\n'
        f'<script src="{_SWAGGER_START.removeprefix("/")}"></script>',
    )


def _redoc_html(title: str) -> str:
    return _html(
        title,
        head="<style>body { margin: 0 }</style>",
        body='<div id="redoc"></div>\n'
        '<script src="docs/static/redoc.standalone.js"></script>\n'
        f'<script src="{_REDOC_START.removeprefix("/")}"></script>',
    )


async def _problem_types(request: Request) -> Response:
    """What each `type` of a problem leads to, in the reader's language."""
    language = language_of(request.scope)
    heading = "Problem types" if language == "en" else "错误类型"
    rows = "\n".join(_problem_row(kind, language) for kind in STATUSES)
    html = _html(heading, head="", body=f"<h1>{heading}</h1>\n<dl>\n{rows}\n</dl>")
    return HTMLResponse(html, headers={**_HEADERS, "Content-Language": language})


def _problem_row(kind: type[Refusal], language: Language) -> str:
    status, name = STATUSES[kind], type_name(kind)
    meaning = MEANINGS[kind][language]
    return f'<dt id="{name}">{status} {name}</dt>\n<dd>{escape(TITLES[status][language])}: {escape(meaning)}</dd>'


def _html(title: str, *, head: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="{_ICON}">\n{head}\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )
