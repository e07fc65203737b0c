"""Cursors: where a page ended, as an opaque text."""

import base64
import binascii
import re
from datetime import UTC, datetime
from uuid import UUID

from app.errors import Fault, Invalid, Place
from app.store.case_rows import CasePosition
from app.store.events import AttemptPosition

_AT = r"(20\d\d-[0-9T:.-]{10,30}\+00:00)"
_POSITION = re.compile(rf"{_AT}_([0-9a-f]{{32}})")
_ID = re.compile(r"[0-9a-f]{32}")
_ATTEMPT = re.compile(rf"{_AT}_([0-9a-f]{{32}})_([0-9a-f]{{32}})_([0-9]{{1,6}})")


def cursor_of(position: CasePosition | None) -> str | None:
    """A position for the wire."""
    if position is None:
        return None
    return _written(f"{position.created_at.astimezone(UTC).isoformat()}_{position.case_id.hex}")


def position_of(cursor: str | None) -> CasePosition | None:
    """The position that a cursor of ours holds; Invalid for anything else."""
    found = None if cursor is None else _held(cursor, _POSITION)
    return None if found is None else CasePosition(_instant(found[1]), UUID(hex=found[2]))


def cursor_after(last: UUID | None) -> str | None:
    """The cursor of a list in the order of its ids; None where nothing follows."""
    return None if last is None else _written(last.hex)


def last_of(cursor: str | None) -> UUID | None:
    """The id that such a cursor holds; Invalid for anything else."""
    return None if cursor is None else UUID(hex=_held(cursor, _ID)[0])


def cursor_of_attempt(position: AttemptPosition | None) -> str | None:
    """The cursor of the list of attempts."""
    if position is None:
        return None
    ids = f"{position.event_id.hex}_{position.endpoint_id.hex}_{position.n}"
    return _written(f"{position.started_at.astimezone(UTC).isoformat()}_{ids}")


def attempt_position_of(cursor: str | None) -> AttemptPosition | None:
    """The position that such a cursor holds; Invalid for anything else."""
    found = None if cursor is None else _held(cursor, _ATTEMPT)
    if found is None:
        return None
    return AttemptPosition(_instant(found[1]), UUID(hex=found[2]), UUID(hex=found[3]), int(found[4]))


def _written(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _held(cursor: str, form: re.Pattern[str]) -> re.Match[str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        raise _unusable() from None
    found = form.fullmatch(text)
    if found is None:
        raise _unusable()
    return found


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _unusable() from None


def _unusable() -> Invalid:
    en, zh = "Use the next_cursor of the page before.", "请使用上一页返回的 next_cursor。"
    return Invalid(Fault("cursor", "unusable", en, zh, Place.PARAMETER))
