"""The body of a webhook: small, and the same bytes whenever it is made from the same event."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from app.outbound.catalogue import EndpointRole, EventType

MAX_BYTES: Final = 20_000


class EnvelopeTooLarge(ValueError):
    """Even the thin body is over 20 kB: a fault of ours, since a thin object has a fixed set of short fields."""


def envelope(
    *,
    event_id: str,
    type: EventType,  # noqa: A002 - the wire's name
    created_at: datetime,
    site: str,
    sequence: int | None,
    data: Mapping[str, object],
) -> bytes:
    """Compact UTF-8 JSON `{"id","type","created_at","site","sequence","data"}`, at most 20 kB.

    The keys inside `data` are sorted: the database gives a stored object back in an order of its own, and a retry must
    send the bytes that the first attempt sent. Raises EnvelopeTooLarge; ValueError for NaN or a naive time.
    """
    if created_at.tzinfo is None:
        raise ValueError("created_at needs an offset")
    fields = {
        "id": event_id,
        "type": type.value,
        "created_at": _instant(created_at),
        "site": site,
        "sequence": sequence,
    }
    body = f'{_compact(fields)[:-1]},"data":{_compact(data, sort_keys=True)}}}'.encode()
    if len(body) > MAX_BYTES:
        raise EnvelopeTooLarge(f"{type.value} makes {len(body)} bytes")
    return body


def envelope_for(
    role: EndpointRole,
    *,
    event_id: str,
    type: EventType,  # noqa: A002 - the wire's name
    created_at: datetime,
    site: str,
    sequence: int | None,
    full: Mapping[str, object],
    thin: Mapping[str, object],
) -> bytes:
    """The envelope for one role: `full` only for the site and only if it fits; merchants and channels get `thin`."""

    def made(data: Mapping[str, object]) -> bytes:
        return envelope(event_id=event_id, type=type, created_at=created_at, site=site, sequence=sequence, data=data)

    if role is not EndpointRole.SITE:
        return made(thin)
    try:
        return made(full)
    except EnvelopeTooLarge:
        return made(thin)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _compact(value: Mapping[str, object], *, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=sort_keys)
