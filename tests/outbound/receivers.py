"""Real receivers on loopback, a network that writes down what is asked of it, and certificates of our own making."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PUBLIC = "93.184.215.14"
PUBLIC_TOO = "2606:4700:4700::1111"

Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"


def says(*parts: bytes) -> Reply:
    """Writes the parts and ends the connection."""

    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return reply


OK = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@contextlib.asynccontextmanager
async def receiver(reply: Reply, tls: ssl.SSLContext | None = None, *, listens: bool = True) -> AsyncIterator[Receiver]:
    """Reads one request on each connection, keeps it, and replies; or replies without listening."""
    heard = Receiver(port=0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if listens:
                heard.requests.append(await _request(reader))
            heard.called.set()
            await reply(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    heard.port = server.sockets[0].getsockname()[1]
    try:
        yield heard
    finally:
        server.close()
        await server.wait_closed()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head + await reader.readexactly(length)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Names:
    """A resolver that gives out its answers in turn, and the last of them for ever; a name not in it does not exist."""

    answers: Mapping[str, list[list[str]]]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> list[str]:
        del port
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        turns = self.answers[host]
        self.asked.append(host)
        return turns[min(len(self.asked), len(turns)) - 1]


class Everywhere:
    """A resolver for which every name there is has a public address."""

    async def resolve(self, host: str, port: int) -> list[str]:
        del host, port
        return [PUBLIC]


@dataclass
class Recorded(httpcore.AsyncNetworkBackend):
    """Writes down each address asked for; connects to loopback in its stead, except to those that are `dead`."""

    dead: frozenset[str] = frozenset()
    connected: list[str] = field(default_factory=list)
    bytes_read: int = 0

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connected.append(host)
        if host in self.dead:
            raise httpcore.ConnectError
        inner = await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", port, timeout, local_address, socket_options)
        return Counted(inner, self)


class Counted(httpcore.AsyncNetworkStream):
    """Adds what is read to the network's count."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, network: Recorded) -> None:
        self._inner = inner
        self._network = network

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        chunk = await self._inner.read(max_bytes, timeout)
        self._network.bytes_read += len(chunk)
        return chunk

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return await self._inner.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


@dataclass(frozen=True)
class Certified:
    """A server's TLS context and its own certificate, which a client may or may not trust."""

    server: ssl.SSLContext
    pem: str


def self_signed(folder: Path, name: str, *, ends_in: timedelta = timedelta(days=1)) -> Certified:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + ends_in)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return Certified(server=server, pem=pem.decode())
