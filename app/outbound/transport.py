"""httpx on top of a connection pool of ours."""

from collections.abc import AsyncIterator
from typing import Final

import httpcore
import httpx

# All that a sender reads of a head. Without `Location` nothing can be followed, without `Set-Cookie` nothing is kept,
# without `Content-Encoding` nothing is unpacked.
KEPT_HEADERS: Final = frozenset({b"retry-after"})


class PoolTransport(httpx.AsyncBaseTransport):
    """Hands requests to the pool as they are, and answers on with few of their headers. Raises httpcore's errors."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange, up to the end of the head."""
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        kept = [(name, value) for name, value in answer.headers if name.lower() in KEPT_HEADERS]
        return httpx.Response(answer.status, headers=kept, stream=AnswerStream(answer))

    async def aclose(self) -> None:
        """Close what is open."""
        await self._pool.aclose()


class AnswerStream(httpx.AsyncByteStream):
    """The body of an answer."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it came over the wire, less its chunk framing."""
        async for chunk in self._answer.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        """Give the connection up."""
        await self._answer.aclose()
