"""The edge to the network: resolves once, checks every address, and connects to what was checked."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import httpcore

from app.outbound.addresses import IPAddress
from app.outbound.guard import check_addresses, literal
from app.outbound.resolver import NameUnresolved, Resolver

# Enough for two families and a spare; more would leave each too little of the time allowed for connecting.
ADDRESSES_TRIED: Final = 4


class TlsFailed(Exception):
    """No trusted connection: expired, self-signed, another name, or a version too old."""


class AnswerTooLarge(Exception):
    """The endpoint sent more than is read."""


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to names by way of the guard. Above it, TLS and `Host` still see the name.

    The one look-up and the check happen here, where the connection is made, so that nothing can answer differently in
    between. Raises AddressRefused and NameUnresolved beside httpcore's own errors.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        allow_loopback: bool,
        dns_timeout: timedelta,
        answer_bytes: int,
        below: httpcore.AsyncNetworkBackend,
    ) -> None:
        self._resolver = resolver
        self._allow_loopback = allow_loopback
        self._dns_timeout = dns_timeout
        self._answer_bytes = answer_bytes
        self._below = below

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A stream to one of the addresses of `host`, at most four of which are tried."""
        addresses = check_addresses(await self._answers(host, port), allow_loopback=self._allow_loopback)
        stream = await self._first_open(addresses[:ADDRESSES_TRIED], port, timeout)
        return MeteredStream(stream, self._answer_bytes)

    async def _answers(self, host: str, port: int) -> list[str]:
        if literal(host) is not None:
            return [host]
        try:
            async with asyncio.timeout(self._dns_timeout.total_seconds()):
                answers = await self._resolver.resolve(host, port)
        except OSError as error:  # TimeoutError is one
            raise NameUnresolved(host) from error
        if not answers:
            raise NameUnresolved(host)
        return answers

    async def _first_open(
        self, addresses: list[IPAddress], port: int, seconds: float | None
    ) -> httpcore.AsyncNetworkStream:
        share = None if seconds is None else seconds / len(addresses)
        for address in addresses[:-1]:
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._below.connect_tcp(str(address), port, timeout=share)
        return await self._below.connect_tcp(str(addresses[-1]), port, timeout=share)


class MeteredStream(httpcore.AsyncNetworkStream):
    """A stream that gives out `left` more bytes, and then AnswerTooLarge."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, left: int) -> None:
        self._stream = stream
        self._left = left

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """At most what is left."""
        if self._left <= 0:
            raise AnswerTooLarge
        chunk = await self._stream.read(min(max_bytes, self._left), timeout)
        self._left -= len(chunk)
        return chunk

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """As below."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """As below."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """The stream inside TLS, metered there; raises TlsFailed."""
        try:
            inner = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except (httpcore.ConnectError, ssl.SSLError) as error:
            raise TlsFailed from error
        return MeteredStream(inner, self._left)

    def get_extra_info(self, info: str) -> Any:
        """As below."""
        return self._stream.get_extra_info(info)
