"""Serves a fake gateway over real HTTP, on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from app.outbound.channels.exchange import Exchange, Reply, Request, Unanswered


@contextlib.asynccontextmanager
async def served(gateway: Exchange) -> AsyncIterator[str]:
    """The base URL at which `gateway` answers. Where it leaves a request unanswered, the connection is reset."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            try:
                reply = await gateway.send(await _request(reader, base_url))
            except Unanswered:
                writer.transport.abort()
                return
            writer.write(_wire(reply))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield base_url
    finally:
        server.close()


async def _request(reader: asyncio.StreamReader, base_url: str) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, base_url + target, headers, body)


def _wire(reply: Reply) -> bytes:
    length = {} if reply.status == 204 else {"content-length": str(len(reply.body))}
    headers = {**reply.headers, **length, "connection": "close"}
    lines = [f"HTTP/1.1 {reply.status} Said", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + reply.body
