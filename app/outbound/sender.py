"""One attempt: a signed body goes to an address, and an answer comes of it, whatever happens on the way."""

import asyncio
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Final, Self

import httpcore
import httpx

from app.outbound.answer import Answer, SendError
from app.outbound.guard import check_url
from app.outbound.network import AnswerTooLarge, GuardedNetwork, TlsFailed
from app.outbound.refused import AddressRefused
from app.outbound.resolver import NameUnresolved, Resolver
from app.outbound.transport import PoolTransport

ANSWER_BYTES: Final = 64 * 1024
EXCERPT_BYTES: Final = 1024
RETRY_AFTER_CHARACTERS: Final = 64
HEADERS: Final = {
    "User-Agent": "kmr-webhooks/1",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "Connection": "close",
}
# In this order: the first that fits. A time-out and a TLS alert are OSErrors too.
ERRORS: Final = (
    (AddressRefused, SendError.ADDRESS_REFUSED),
    (NameUnresolved, SendError.DNS_FAILED),
    (TlsFailed, SendError.TLS_FAILED),
    (AnswerTooLarge, SendError.RESPONSE_TOO_LARGE),
    (TimeoutError, SendError.TIMED_OUT),
    (httpcore.TimeoutException, SendError.TIMED_OUT),
    (httpcore.ConnectError, SendError.CONNECT_FAILED),
    (ssl.SSLError, SendError.TLS_FAILED),
    (httpcore.NetworkError, SendError.PROTOCOL_ERROR),
    (httpcore.RemoteProtocolError, SendError.PROTOCOL_ERROR),
    (OSError, SendError.PROTOCOL_ERROR),
)
TROUBLE: Final = tuple(kind for kind, _ in ERRORS)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long an attempt may take: `total` covers everything, from the look-up to the last byte read."""

    dns: timedelta = timedelta(seconds=5)
    connect: timedelta = timedelta(seconds=10)
    total: timedelta = timedelta(seconds=20)


@dataclass(slots=True)
class Heard:
    """What has come back so far; it counts even if the rest never comes."""

    status: int | None = None
    retry_after: str | None = None
    body: bytearray = field(default_factory=bytearray)


def tls_context() -> ssl.SSLContext:
    """Verifies names and chains against the bundled roots, TLS 1.2 or later; the environment has no say."""
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Sender:
    """Sends attempts, one client a sender: give every worker task its own. An async context manager.

    Connections are not kept: each attempt looks its name up and checks it anew. Cookies, redirects, proxies and
    compression do not exist here. `tls` is costly to make, so share one; `network` is what opens the sockets.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        tls: ssl.SSLContext,
        allow_loopback: bool = False,
        https_only: bool = True,
        own_hosts: Collection[str] = (),
        own_ports: Collection[int] = (),
        deadlines: Deadlines = Deadlines(),
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._check = partial(
            check_url, allow_loopback=allow_loopback, https_only=https_only, own_hosts=own_hosts, own_ports=own_ports
        )
        self._deadlines = deadlines
        guarded = GuardedNetwork(
            resolver,
            allow_loopback=allow_loopback,
            dns_timeout=deadlines.dns,
            answer_bytes=ANSWER_BYTES,
            below=httpcore.AnyIOBackend() if network is None else network,
        )
        self._client = _client(
            httpcore.AsyncConnectionPool(
                tls, max_connections=None, max_keepalive_connections=0, network_backend=guarded
            )
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST `body` as it is, once. Trouble on the network, or with the address, is an answer and never raises."""
        elapsed = asyncio.get_running_loop().time
        started = elapsed()
        heard, error = Heard(), None
        try:
            async with asyncio.timeout(self._deadlines.total.total_seconds()):
                await self._exchange(url, headers, body, heard)
        except TROUBLE as trouble:
            error = _error_of(trouble)
        return _answer(heard, error, timedelta(seconds=elapsed() - started))

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes, heard: Heard) -> None:
        timeout = httpx.Timeout(None, connect=self._deadlines.connect.total_seconds())
        target = self._check(url)
        async with self._client.stream("POST", target.url, content=body, headers=headers, timeout=timeout) as response:
            heard.status = response.status_code
            heard.retry_after = response.headers.get("retry-after")
            async for chunk in response.aiter_raw():
                heard.body += chunk[: EXCERPT_BYTES - len(heard.body)]


def _client(pool: httpcore.AsyncConnectionPool) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=PoolTransport(pool), trust_env=False, follow_redirects=False, headers=HEADERS, http2=False
    )


def _error_of(trouble: Exception) -> SendError:
    return next(code for kind, code in ERRORS if isinstance(trouble, kind))


def _answer(heard: Heard, error: SendError | None, duration: timedelta) -> Answer:
    """The status line decides: a receiver that has said 200 has the event, however its body ends."""
    return Answer(
        status=heard.status,
        error=error if heard.status is None else None,
        retry_after=None if heard.retry_after is None else heard.retry_after[:RETRY_AFTER_CHARACTERS],
        duration=duration,
        excerpt=_printable(bytes(heard.body)),
    )


def _printable(body: bytes) -> str:
    """Text fit for a database and a page: no NUL, no escapes, no direction marks."""
    text = body.decode("utf-8", errors="replace")
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}" for character in text
    )
