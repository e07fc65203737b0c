"""Signatures on webhooks and on reports: Standard Webhooks 1.0, symmetric `v1` (HMAC-SHA256 over `id.timestamp.body`).

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, "Signature scheme".
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the public prefix of every secret, not one of them
SECRET_BYTES: Final = 32
SHORTEST_SECRET, LONGEST_SECRET = 24, 64
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A dot in the id would let `id.timestamp.body` be cut in two places.
MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
TOLERANCE: Final = timedelta(minutes=5)
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_MOST_SIGNATURES: Final = 10


def mint_secret(random_bytes: bytes) -> str:
    """`whsec_<base64>` of 24 to 64 bytes; they come from the one place that mints, `SECRET_BYTES` of them."""
    _require_length(random_bytes)
    return SECRET_PREFIX + base64.b64encode(random_bytes).decode("ascii")


def sign(secrets: Sequence[str], *, message_id: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """The three headers of one attempt, one signature a secret, newest first as given.

    Raises ValueError for no secret, a malformed one, an id that is not `[A-Za-z0-9_-]{1,128}`, or `at` without offset.
    """
    if not secrets:
        raise ValueError("a webhook needs at least one secret")
    if not MESSAGE_ID.fullmatch(message_id):
        raise ValueError("a message id is 1 to 128 letters, digits, '_' or '-'")
    seconds = _unix_seconds(at)
    signed = f"{message_id}.{seconds}.".encode("ascii") + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(_signature(_key(secret), signed) for secret in secrets),
    }


@dataclass(frozen=True, slots=True)
class Signed:
    """The three headers of something that somebody else has signed, as they came."""

    message_id: str
    timestamp: str
    signature: str


class SignatureInvalid(Exception):
    """A signature that does not count: `expired` for one that is too old or from the future."""

    def __init__(self, *, expired: bool = False) -> None:
        super().__init__("expired" if expired else "invalid")
        self.expired = expired


def verify(secrets: Sequence[str], signed: Signed, *, body: bytes, now: datetime) -> None:
    """Raises SignatureInvalid unless one of the signatures is by one of the secrets, over these bytes, in 5 minutes.

    What the time says is looked at only once the signature holds.
    """
    if not MESSAGE_ID.fullmatch(signed.message_id) or not _TIMESTAMP.fullmatch(signed.timestamp):
        raise SignatureInvalid
    text = f"{signed.message_id}.{signed.timestamp}.".encode("ascii") + body
    ours = [_signature(_key(secret), text).encode() for secret in secrets]
    theirs = signed.signature.encode("utf-8", "replace").split(b" ")[:_MOST_SIGNATURES]
    if not any(hmac.compare_digest(one, other) for one in ours for other in theirs):
        raise SignatureInvalid
    if abs(_unix_seconds(now) - int(signed.timestamp)) > TOLERANCE // timedelta(seconds=1):
        raise SignatureInvalid(expired=True)


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")


def _key(secret: str) -> bytes:
    """The key inside a secret; the errors never repeat it."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError("a webhook secret begins with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook secret is base64 after whsec_") from None
    _require_length(key)
    return key


def _require_length(key: bytes) -> None:
    if not SHORTEST_SECRET <= len(key) <= LONGEST_SECRET:
        raise ValueError(f"a webhook secret holds {SHORTEST_SECRET} to {LONGEST_SECRET} bytes")


def _unix_seconds(at: datetime) -> int:
    if at.tzinfo is None:
        raise ValueError("a time of signing needs an offset")
    return (at - EPOCH) // timedelta(seconds=1)
