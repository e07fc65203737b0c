"""Webhooks in tests: what is due is sent as the worker sends it, to a receiver in memory."""

import json
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from app.outbound.answer import Answer
from app.sealing import Sealer
from app.services import dispatching


class Receiver:
    """Answers every webhook with one status, and keeps what it got."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.heard: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    async def send(self, url: str, *, headers: Any, body: bytes) -> Answer:
        self.heard.append((url, dict(headers), json.loads(body)))
        return Answer(self.status, None, None, timedelta(milliseconds=7), "thanks")


class Sends:
    """Makes the attempts that are due, as the worker does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def __call__(self, receiver: Receiver) -> None:
        while leased := await dispatching.lease_due(self._engine, limit=10, per_endpoint=10):
            for each in leased:
                settled = await dispatching.attempt(each, receiver, Sealer(bytes(32)), elapsed=timedelta, jitter=0.0)
                await dispatching.record(self._engine, each.site_id, [settled])
