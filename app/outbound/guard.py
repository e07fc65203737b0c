"""Which addresses may be called: first the URL as written, then, at every attempt, what its name resolves to."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Final

import httpx

from app.outbound.addresses import IPAddress, is_loopback, is_public
from app.outbound.refused import AddressRefused, RefusalCode

MAX_URL: Final = 2048
MAX_NAME: Final = 253
MAX_ADDRESSES: Final = 16

# Deliberately narrower than RFC 3986: what two parsers could read in two ways is not read at all.
PLAIN: Final = re.compile(r"[!-\[\]-~]+")  # visible ASCII without the backslash
SHAPE: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?]+)(?P<target>.*)")
AUTHORITY: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]|(?P<name>[A-Za-z0-9.-]+))(?::(?P<port>[1-9][0-9]{0,4}))?"
)
TARGET: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Every decimal, octal, hexadecimal or shortened spelling of an IPv4 address ends in such a label (URL Standard, 4.3).
NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

INTERNAL_ENDINGS: Final = frozenset(
    {"localhost", "local", "localdomain", "internal", "intranet", "private", "corp", "home", "lan"}
    | {"svc", "cluster", "arpa", "onion", "alt", "invalid"}
)

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
FIRST_FREE_PORT: Final = 1024
# The ports that browsers refuse too, since a POST there can be read as another protocol (Fetch, "bad ports").
TAKEN_PORTS: Final = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6679, 6697, 10080}
) | {*range(6665, 6670)}


@dataclass(frozen=True, slots=True)
class Target:
    """An address fit to be called: `url` normalised, `host` in lower case and without brackets."""

    url: str
    scheme: str
    host: str
    port: int


def check_url(
    url: str,
    *,
    allow_loopback: bool,
    https_only: bool,
    own_hosts: Collection[str] = (),
    own_ports: Collection[int] = (),
) -> Target:
    """The target that a URL names; raises AddressRefused. Looks nothing up: see `check_addresses`.

    `allow_loopback` (a test mode) lets 127.0.0.0/8, [::1] and `localhost` through, over http too, but
    not at `own_ports`. `own_hosts` are the public names of this service, in lower case.
    """
    scheme, authority, path = _split(url)
    host, written_port = _host_and_port(authority)
    loopback = allow_loopback and _names_loopback(host)
    _require(scheme == "https" or (scheme == "http" and (loopback or not https_only)), RefusalCode.SCHEME)
    port = DEFAULT_PORTS[scheme] if written_port is None else written_port
    _require(_is_free(port), RefusalCode.PORT)
    _require(host not in own_hosts and not (loopback and port in own_ports), RefusalCode.OWN)
    if not loopback:
        _require_public_host(host)
    return Target(url=_joined(scheme, host, written_port, path), scheme=scheme, host=host, port=port)


def check_addresses(answers: Sequence[str], *, allow_loopback: bool) -> list[IPAddress]:
    """What a name resolved to, in order and without doubles, if all of it may be called.

    One private address among public ones refuses the name: whoever answers so is mistaken, or trying.
    """
    distinct = dict.fromkeys(answers)
    _require(len(distinct) <= MAX_ADDRESSES, RefusalCode.TOO_MANY)
    return [_callable(answer, allow_loopback=allow_loopback) for answer in distinct]


def _callable(answer: str, *, allow_loopback: bool) -> IPAddress:
    try:
        ip = ip_address(answer)
    except ValueError:
        raise AddressRefused(RefusalCode.NOT_PUBLIC) from None
    _require(is_public(ip) or (allow_loopback and is_loopback(ip)), RefusalCode.NOT_PUBLIC)
    return ip


def literal(host: str) -> IPAddress | None:
    """The address that a host is, in its one plain spelling; None for a name."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return None


def _split(url: str) -> tuple[str, str, str]:
    _require(len(url) <= MAX_URL, RefusalCode.TOO_LONG)
    _require(PLAIN.fullmatch(url) is not None, RefusalCode.MALFORMED)
    _require("#" not in url, RefusalCode.FRAGMENT)
    parts = SHAPE.fullmatch(url)
    if parts is None:
        raise AddressRefused(RefusalCode.MALFORMED)
    _require("@" not in parts["authority"], RefusalCode.USERINFO)
    _require(TARGET.fullmatch(parts["target"]) is not None, RefusalCode.MALFORMED)
    return parts["scheme"].lower(), parts["authority"], parts["target"]


def _host_and_port(authority: str) -> tuple[str, int | None]:
    host, colon, port = authority.rpartition(":")
    if colon and not authority.endswith("]") and not _is_port(port):
        raise AddressRefused(RefusalCode.PORT)
    parts = AUTHORITY.fullmatch(authority)
    if parts is None:
        raise AddressRefused(RefusalCode.HOST)
    host = (parts["v6"] or parts["name"]).lower()
    _require((parts["v6"] is None) or literal(host) is not None, RefusalCode.HOST)
    return host, int(parts["port"]) if parts["port"] else None


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,4}", text) is not None and int(text) <= 65535


def _is_free(port: int) -> bool:
    if port < FIRST_FREE_PORT:
        return port in DEFAULT_PORTS.values()
    return port not in TAKEN_PORTS


def _names_loopback(host: str) -> bool:
    ip = literal(host)
    return host == "localhost" if ip is None else is_loopback(ip)


def _require_public_host(host: str) -> None:
    ip = literal(host)
    if ip is not None:
        _require(is_public(ip), RefusalCode.NOT_PUBLIC)
        return
    labels = host.split(".")
    _require(len(host) <= MAX_NAME and all(LABEL.fullmatch(label) for label in labels), RefusalCode.HOST)
    _require(not NUMBER.fullmatch(labels[-1]), RefusalCode.HOST)
    _require(all(_decodes(part) for part in (host, *labels) if part.startswith("xn--")), RefusalCode.HOST)
    _require(len(labels) > 1 and labels[-1] not in INTERNAL_ENDINGS, RefusalCode.INTERNAL_NAME)


def _decodes(name: str) -> bool:
    """Whether an `xn--` name says, by IDNA 2008, what ASCII could not; the client that calls it decodes it too."""
    try:
        return not httpx.URL(scheme="https", host=name).host.isascii()
    except UnicodeError:
        return False


def _joined(scheme: str, host: str, port: int | None, target: str) -> str:
    authority = f"[{host}]" if ":" in host else host
    return f"{scheme}://{authority}{'' if port is None else f':{port}'}{target or '/'}"


def _require(holds: bool, code: RefusalCode) -> None:
    if not holds:
        raise AddressRefused(code)
