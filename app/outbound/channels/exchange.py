"""One request to a channel, and what came back; how it travels is another's business."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """`url` is whole; `body` is sent byte for byte, since it may be signed. Any of them may hold a secret."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whatever its status. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Unanswered(Exception):
    """No usable answer came: whether the request took effect is not known. `reason` names the trouble, no content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Exchange(Protocol):
    """Carries one request and brings its answer."""

    async def send(self, request: Request) -> Reply:
        """Raises Unanswered, and nothing else for what happens on the way."""
        ...
