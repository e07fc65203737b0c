"""JSON answers, written by the encoder that writes decisions: a stored decision comes out in its own bytes."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from app.rules.decision import decision_text

JSON = "application/json"


def json_answer(document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A document as an answer."""
    return Response(decision_text(dict(document)), status, headers, JSON)


def entity_tag(version: int) -> str:
    """The ETag of something that counts its versions."""
    return f'"{version}"'
