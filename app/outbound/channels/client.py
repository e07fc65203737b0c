"""The exchange that goes over the network, behind the same guard as webhooks: one request, one answer, no memory."""

import asyncio
import re
import ssl
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

import httpcore

from app.outbound.channels.exchange import Reply, Request, Unanswered
from app.outbound.guard import check_url
from app.outbound.network import AnswerTooLarge, GuardedNetwork, TlsFailed
from app.outbound.refused import AddressRefused
from app.outbound.resolver import NameUnresolved, Resolver

MIB: Final = 1024 * 1024
BODY_BYTES: Final = 16 * MIB
# What a head and the framing of chunks may add to a body.
WIRE_BYTES: Final = BODY_BYTES + MIB
DNS: Final = timedelta(seconds=5)
CONNECT: Final = timedelta(seconds=10)
TOTAL: Final = timedelta(seconds=20)
HEADERS: Final = {
    "User-Agent": "kmr-channels/1",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
METHODS: Final = frozenset({"GET", "POST"})
# In this order: the first that fits. A time-out and a TLS alert are OSErrors too.
REASONS: Final = (
    (AddressRefused, "address_refused"),
    (NameUnresolved, "dns_failed"),
    (TlsFailed, "tls_failed"),
    (AnswerTooLarge, "response_too_large"),
    (TimeoutError, "timed_out"),
    (httpcore.TimeoutException, "timed_out"),
    (httpcore.ConnectError, "connect_failed"),
    (ssl.SSLError, "tls_failed"),
    (httpcore.NetworkError, "protocol_error"),
    (httpcore.ProtocolError, "protocol_error"),
    (OSError, "protocol_error"),
    (UnicodeEncodeError, "request_refused"),
)
TROUBLE: Final = tuple(kind for kind, _ in REASONS)


class ChannelClient:
    """An Exchange. An async context manager; `tls` is costly to make, so share one (`app.outbound.sender.tls_context`).

    https alone, unless loopback is allowed. Names are looked up and checked at every request, and connections are not
    kept; cookies, redirects, proxies and compression do not exist here. `total` covers all of an exchange.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        tls: ssl.SSLContext,
        allow_loopback: bool = False,
        total: timedelta = TOTAL,
        body_bytes: int = BODY_BYTES,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._total = total
        self._body_bytes = body_bytes
        guarded = GuardedNetwork(
            resolver,
            allow_loopback=allow_loopback,
            dns_timeout=DNS,
            answer_bytes=body_bytes + WIRE_BYTES - BODY_BYTES,
            below=httpcore.AnyIOBackend() if network is None else network,
        )
        self._pool = httpcore.AsyncConnectionPool(
            tls, max_connections=None, max_keepalive_connections=0, network_backend=guarded
        )

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, error, trace)

    async def send(self, request: Request) -> Reply:
        """See Exchange. Half an answer is none: Unanswered."""
        if request.method not in METHODS:
            raise Unanswered("request_refused")
        try:
            async with asyncio.timeout(self._total.total_seconds()):
                return await self._exchanged(request)
        except TROUBLE as trouble:
            raise Unanswered(_reason_of(trouble)) from trouble

    async def _exchanged(self, request: Request) -> Reply:
        target = check_url(request.url, allow_loopback=self._allow_loopback, https_only=True)
        authority, path = _wire_parts(target.url)
        async with self._pool.stream(
            request.method,
            httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=path),
            headers=[(b"Host", authority.encode("ascii")), *_wire_headers(request)],
            content=request.body or None,
            extensions={"timeout": {"connect": CONNECT.total_seconds()}},
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > self._body_bytes:
                    raise AnswerTooLarge
        return Reply(response.status, _merged(response.headers), bytes(body))


def _wire_parts(url: str) -> tuple[str, str]:
    """What `Host` says, and what the request line asks for, of an address as it was checked."""
    rest = url.split("://", 1)[1]
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    return authority, path if path.startswith("/") else "/" + path


def _wire_headers(request: Request) -> list[tuple[bytes, bytes]]:
    """The request's, and ours where it says nothing; raises UnicodeEncodeError."""
    given = {name.lower(): value for name, value in request.headers.items()}
    headers = {**{name: value for name, value in HEADERS.items() if name.lower() not in given}, **request.headers}
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _merged(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """By name in lower case; what came twice is joined by a comma, and so fits no signature."""
    merged: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        merged[name] = f"{merged[name]}, {value}" if name in merged else value
    return merged


def _reason_of(trouble: BaseException) -> str:
    return next(reason for kind, reason in REASONS if isinstance(trouble, kind))
