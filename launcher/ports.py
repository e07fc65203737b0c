"""TCP ports on this machine."""

import socket

from launcher.refusals import LaunchRefused


def free_port() -> int:
    """One that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def refuse_taken_port(host: str, port: int) -> None:
    """Asked before anything is started, so that the answer comes at once."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        # As the service itself does: connections of an earlier run that still linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise LaunchRefused(
                f"Port {port} on {host}: {error.strerror}. Choose another: PORT={port + 1} ./run serve",
                f"端口 {port} 不可用（{error.strerror}）。请换一个：PORT={port + 1} ./run serve",
            ) from None
