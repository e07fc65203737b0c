"""The only place that mints identifiers and secrets.

Rows are keyed by UUIDv7. Callers see them as TypeIDs: a prefix, `_`, and the UUID's 128 bits as 26 characters of
Crockford's base 32 in lower case (https://github.com/jetify-com/typeid/tree/main/spec).
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Callable
from typing import Literal, TypeAlias
from uuid import UUID

from uuid_utils.compat import uuid7

Mode = Literal["test", "live"]
Mint: TypeAlias = Callable[[], UUID]
"""What new rows get their keys from."""

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
# 26 characters hold 130 bits, so the first may only carry the top three of the 128.
_SUFFIX = re.compile(f"[0-7][{_CROCKFORD}]{{25}}")
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY = re.compile(r"kmr_(test|live)_[0-9A-Za-z]{32}[0-9A-Za-z]{6}")
_CHECKSUM_LENGTH = 6


def new_uuid() -> UUID:
    """A UUIDv7: rising with time, so that new rows land at the end of an index."""
    return uuid7()


def random_bytes(count: int) -> bytes:
    """`count` bytes from the system's secure source."""
    return secrets.token_bytes(count)


def show(prefix: str, uuid: UUID) -> str:
    """The public form of a key: `show("case", u)` is `case_` and 26 characters."""
    return f"{prefix}_{_base32(uuid)}"


def read(prefix: str, text: str) -> UUID | None:
    """The key behind a public id, or None for anything that `show(prefix, …)` would not have written."""
    head, suffix = text[: len(prefix) + 1], text[len(prefix) + 1 :]
    if head != f"{prefix}_" or not _SUFFIX.fullmatch(suffix):
        return None
    number = 0
    for letter in suffix:
        number = number * 32 + _CROCKFORD.index(letter)
    return UUID(int=number)


def mint_refund_no() -> str:
    """`rf` and 26 letters and digits: unique, and short enough for the strictest payment channel."""
    return f"rf{_base32(new_uuid())}"


def mint_key(mode: Mode) -> str:
    """An API key: its mode, 32 random base-62 characters (190 bits), and a checksum of all before it.

    The checksum lets us, and a secret scanner, turn away typing errors without a look into the database.
    """
    body = f"kmr_{mode}_" + "".join(secrets.choice(_BASE62) for _ in range(32))
    return body + _checksum(body)


def has_valid_checksum(key: str) -> bool:
    """Whether `mint_key` could have made this. A sandbox key fixed by configuration need not pass."""
    return bool(_KEY.fullmatch(key)) and _checksum(key[:-_CHECKSUM_LENGTH]) == key[-_CHECKSUM_LENGTH:]


def mode_of(key: str) -> Mode | None:
    """Which of the two worlds a key belongs to, by its prefix alone; None where it has neither prefix."""
    if key.startswith("kmr_test_"):
        return "test"
    if key.startswith("kmr_live_"):
        return "live"
    return None


def key_hash(key: str) -> bytes:
    """What is stored of a key: SHA-256. A plain hash is enough for 190 random bits."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _base32(uuid: UUID) -> str:
    return "".join(_CROCKFORD[uuid.int >> shift & 31] for shift in range(125, -1, -5))


def _checksum(body: str) -> str:
    number, letters = zlib.crc32(body.encode("ascii")), []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        letters.append(_BASE62[digit])
    return "".join(reversed(letters))
