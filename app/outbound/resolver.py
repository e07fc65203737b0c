"""Names to addresses. The answer is not trusted: `guard.check_addresses` has the last word."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

LOOKUPS_AT_ONCE: Final = 32
LOOPBACK: Final = ("127.0.0.1", "::1")


# `socket.getaddrinfo`, or what stands for it.
LookUp = Callable[..., list[tuple[Any, ...]]]


class NameUnresolved(Exception):
    """No answer, an empty one, or none in time."""


class Resolver(Protocol):
    """Looks a name up; raises NameUnresolved (or OSError) when there is no answer."""

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of `host`, in the order in which to try them."""
        ...


class SystemResolver:
    """The operating system's resolver, in threads of its own; one for a whole process.

    A look-up cannot be cancelled: in the loop's few default threads, a handful of dead name servers would stop
    everybody else's names too.
    """

    def __init__(self, look_up: LookUp = socket.getaddrinfo) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="resolver")

    async def resolve(self, host: str, port: int) -> list[str]:
        """See Resolver. `localhost` is answered here, as RFC 6761 §6.3 asks."""
        if host == "localhost":
            return list(LOOPBACK)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._found, host, port)

    def _found(self, host: str, port: int) -> list[str]:
        # The final dot makes the name absolute: without it, the machine's search domains would be tried as well.
        try:
            found = self._look_up(f"{host}.", port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NameUnresolved(host) from error
        return [str(sockaddr[0]) for *_, sockaddr in found]

    def close(self) -> None:
        """Take no more look-ups; those running end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
