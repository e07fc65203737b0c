"""Refusals: why a request is not granted. A stable code, a message in Chinese and English, no HTTP.

Messages never contain what the caller sent: a card secret typed into the wrong field must not come back in an answer.
`app.api.problems` alone knows which refusal has which status.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

_LONGEST_NAME: Final = 100


class Place(StrEnum):
    """Where in the request a fault lies."""

    POINTER = "pointer"
    PARAMETER = "parameter"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one place.

    `where` is an RFC 6901 pointer into the body (`/claim/amount`, or "" for the whole of it),
    else the name of a query or path parameter, or of a header, as `place` says.
    """

    where: str
    code: str
    en: str
    zh: str
    place: Place = Place.POINTER


def pointer_to(*steps: str | int) -> str:
    """The RFC 6901 pointer to a place in the body.

    Names may be the caller's own, so each is cut to 100 characters, and what cannot be printed is replaced.
    """
    return "".join(f"/{_printable(str(step)).replace('~', '~0').replace('/', '~1')}" for step in steps)


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name[:_LONGEST_NAME])


class Refusal(Exception):
    """The base of all refusals. `code` is part of the contract with callers and never changes its meaning."""

    def __init__(self, code: str, *, en: str, zh: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.en = en
        self.zh = zh
        self.faults = faults


class Unauthenticated(Refusal):
    """No key, or one that is unknown, revoked, expired or malformed: all the same to the caller."""

    def __init__(self) -> None:
        super().__init__(
            "unauthenticated",
            en="Send a valid API key as 'Authorization: Bearer <key>'.",
            zh="请以 “Authorization: Bearer <密钥>” 提供有效的 API 密钥。",
        )


class SignatureRefused(Refusal):
    """The key is valid, but the site wants reports to be signed, and this one is not, or not so that it counts."""


class ScopeMissing(Refusal):
    """The key is valid, but was not given the scope that this call needs."""

    def __init__(self, scope: str) -> None:
        super().__init__(
            "scope_missing",
            en=f"This key lacks the scope '{scope}'.",
            zh=f"该密钥没有 “{scope}” 权限。",
        )
        self.scope = scope


class NotFound(Refusal):
    """Absent, or another site's: the text is identical so that nobody can tell which."""

    def __init__(self) -> None:
        super().__init__("not_found", en="There is nothing here for this key.", zh="此处没有该密钥可见的内容。")


class Conflict(Refusal):
    """The request is sound, but the present state does not allow it. Say what is allowed instead."""


class Stale(Refusal):
    """The `If-Match` of the caller is not the present version."""

    def __init__(self) -> None:
        super().__init__(
            "stale",
            en="The record has changed since you read it. Read it again and repeat with its new ETag.",
            zh="记录在您读取之后已变更。请重新读取，并以新的 ETag 重试。",
        )


class Invalid(Refusal):
    """The request is readable, but one or more fields are not acceptable."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(
            "invalid",
            en="Some fields are not acceptable; see 'errors'.",
            zh="部分字段不符合要求，详见 errors。",
            faults=faults,
        )


class Malformed(Refusal):
    """The request cannot be read at all: broken JSON, an unusable header."""


class IdempotencyKeyMissing(Refusal):
    """A call that can move money came without an `Idempotency-Key`."""

    def __init__(self) -> None:
        en = "This call can move money: send an 'Idempotency-Key' header, and the same one when you retry."
        zh = "此调用可能涉及资金：请提供 Idempotency-Key 请求头，重试时保持不变。"
        fault = Fault("Idempotency-Key", "missing", en, zh, Place.HEADER)
        super().__init__("idempotency_key_missing", en=en, zh=zh, faults=(fault,))


class IdempotencyKeyReused(Refusal):
    """The key was used for another request (method, path or body differ)."""

    def __init__(self) -> None:
        super().__init__(
            "idempotency_key_reused",
            en="This Idempotency-Key was used for a different request. Use a new key for a new request.",
            zh="该 Idempotency-Key 已用于另一请求。新的请求请使用新的键。",
        )


class IdempotencyKeyInUse(Refusal):
    """The first request with this key is still running."""

    def __init__(self) -> None:
        super().__init__(
            "idempotency_key_in_use",
            en="The first request with this Idempotency-Key is still running. Retry shortly.",
            zh="使用该 Idempotency-Key 的首个请求仍在处理。请稍后重试。",
        )


class TooLarge(Refusal):
    """The body is longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            "too_large",
            en=f"The body is larger than {limit} bytes.",
            zh=f"请求体超过 {limit} 字节。",
        )


class UnsupportedMediaType(Refusal):
    """The body is not JSON in UTF-8."""

    def __init__(self) -> None:
        super().__init__(
            "unsupported_media_type",
            en="Send JSON in UTF-8 with 'Content-Type: application/json'.",
            zh="请以 UTF-8 编码的 JSON 发送，并设置 “Content-Type: application/json”。",
        )


class UnsupportedFile(Refusal):
    """The bytes of a file are of no type that is taken, or are announced as one."""

    def __init__(self) -> None:
        super().__init__(
            "unsupported_file",
            en="Send a PNG, JPEG, WebP, PDF, MP4 or UTF-8 text file, whole and with nothing appended to it, under its "
            "own type or as application/octet-stream.",
            zh="请发送完整且未附加其他内容的 PNG、JPEG、WebP、PDF、MP4 或 UTF-8 文本文件，Content-Type 为文件类型或 "
            "application/octet-stream。",
        )


class UploadExpired(Refusal):
    """The file was announced too long ago."""

    def __init__(self) -> None:
        super().__init__(
            "upload_expired",
            en="The time to send this file is over. Announce it again as new evidence.",
            zh="该文件的上传期限已过。请重新提交证据并声明文件。",
        )


class TooSlow(Refusal):
    """The body did not arrive in time."""

    def __init__(self) -> None:
        super().__init__(
            "too_slow",
            en="The body did not arrive in time. Send it again.",
            zh="请求体未能及时送达。请重新发送。",
        )


class RateLimited(Refusal):
    """The key has used up its allowance; it may try again after `retry_after`."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__("rate_limited", en="Too many requests with this key.", zh="该密钥的请求过于频繁。")
        self.retry_after = retry_after


class Unavailable(Refusal):
    """Something that we need, the database above all, cannot be reached."""

    def __init__(self, retry_after: timedelta = timedelta(seconds=2)) -> None:
        super().__init__(
            "unavailable",
            en="The service cannot reach its database. Retry with the same Idempotency-Key.",
            zh="服务暂时无法访问数据库。请以相同的 Idempotency-Key 重试。",
        )
        self.retry_after = retry_after


class FilesUnavailable(Refusal):
    """The place where files are kept cannot be reached, or is full."""

    def __init__(self, retry_after: timedelta = timedelta(seconds=5)) -> None:
        super().__init__(
            "files_unavailable",
            en="The service cannot reach the place where it keeps files. Retry.",
            zh="服务暂时无法访问文件存储。请重试。",
        )
        self.retry_after = retry_after


class Busy(Refusal):
    """Another request holds what this one needs for longer than we wait."""

    def __init__(self, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(
            "busy",
            en="The record is being changed by another request. Retry with the same Idempotency-Key.",
            zh="记录正被另一请求修改。请以相同的 Idempotency-Key 重试。",
        )
        self.retry_after = retry_after
