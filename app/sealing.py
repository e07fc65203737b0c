"""Secrets at rest: AES-256-GCM, bound to the site, the column and the key that they were sealed for.

A sealed value is: 8 bytes of key id, 12 bytes of nonce, then the ciphertext with its 16-byte tag.
"""

import hashlib
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app import ids

_KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12
_TAG_BYTES = 16


class SealBroken(Exception):
    """The value was changed, moved from its site or column, or sealed with another key."""


class Sealer:
    """Seals and opens with one key of 32 bytes; ValueError for any other length."""

    __slots__ = ("_cipher", "_key_id")

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"a sealing key has {_KEY_BYTES} bytes")
        self._cipher = AESGCM(key)
        self._key_id = hashlib.sha256(b"kmr sealing key id\0" + key).digest()[:_ID_BYTES]

    def seal(self, plain: bytes, *, site: UUID, column: str) -> bytes:
        """The sealed form; different every time, 36 bytes longer than `plain`."""
        nonce = ids.random_bytes(_NONCE_BYTES)
        return self._key_id + nonce + self._cipher.encrypt(nonce, plain, self._bound_to(site, column))

    def open(self, sealed: bytes, *, site: UUID, column: str) -> bytes:
        """What was sealed for this very site and column; otherwise SealBroken."""
        nonce_end = _ID_BYTES + _NONCE_BYTES
        if len(sealed) < nonce_end + _TAG_BYTES or sealed[:_ID_BYTES] != self._key_id:
            raise SealBroken
        try:
            return self._cipher.decrypt(sealed[_ID_BYTES:nonce_end], sealed[nonce_end:], self._bound_to(site, column))
        except InvalidTag:
            raise SealBroken from None

    def _bound_to(self, site: UUID, column: str) -> bytes:
        # Both leading parts have a fixed length, so no two pairs give the same bytes.
        return self._key_id + site.bytes + column.encode()
