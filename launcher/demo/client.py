"""A shop backend's few calls, with nothing but the standard library."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class CallFailed(Exception):
    """The service said no; the text is its own."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop backend with its key."""

    url: str
    key: str

    def get(self, path: str) -> dict[str, Any]:
        """The document; CallFailed for a refusal."""
        return self._call("GET", path, None, {})

    def post(self, path: str, body: dict[str, Any], idempotency_key: str | None = None) -> dict[str, Any]:
        """The answer's document; CallFailed for a refusal."""
        extra = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._call("POST", path, body, extra)

    def delete(self, path: str) -> None:
        """Gone afterwards; CallFailed for a refusal."""
        self._call("DELETE", path, None, {})

    def _call(self, method: str, path: str, body: dict[str, Any] | None, extra: dict[str, str]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **extra}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", content, headers, method=method)
        try:
            with _LOCAL.open(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refusal:
            raise CallFailed(f"{method} {path}: {refusal.code} {refusal.read().decode()}") from None
        document: dict[str, Any] = json.loads(text) if text else {}
        return document
