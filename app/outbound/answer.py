"""What one attempt came to."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class SendError(StrEnum):
    """Why an attempt got no status line. Closed: whatever else goes wrong is a fault of ours and raises."""

    ADDRESS_REFUSED = "address_refused"
    DNS_FAILED = "dns_failed"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    PROTOCOL_ERROR = "protocol_error"  # the connection broke, or what came is not HTTP
    RESPONSE_TOO_LARGE = "response_too_large"  # the head alone is over the limit


@dataclass(frozen=True, slots=True)
class Answer:
    """Exactly one of `status` and `error` is set: the status line settles an attempt, whatever becomes of the body.

    `retry_after` is the header as received, cut to 64 characters; `excerpt` the beginning of the body, printable.
    """

    status: int | None
    error: SendError | None
    retry_after: str | None
    duration: timedelta
    excerpt: str

    @property
    def succeeded(self) -> bool:
        """Only 2xx: a redirect is not followed, and so is a failure."""
        return self.status is not None and 200 <= self.status <= 299
