"""Which IP addresses belong to the public Internet.

Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and successors), IANA IPv4 multicast and
"future use" space, IANA IPv6 global unicast assignments. Explicit lists, since `ipaddress.is_global` follows the
Python release that runs, and passes translated and cloud-internal addresses.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

IPAddress = IPv4Address | IPv6Address

DENIED_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's host agent: routable in form, private in fact
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments; a cloud's metadata at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relay, withdrawn
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and limited broadcast
    )
)

# Everything outside is refused: loopback, mapped and compatible IPv4, NAT64 (64:ff9b::/96, 64:ff9b:1::/48),
# discard-only, unique-local, link-local, site-local, multicast, SRv6 SIDs, and what is not assigned.
GLOBAL_UNICAST_V6: Final = IPv6Network("2000::/3")

DENIED_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)

LOOPBACK_V4: Final = IPv4Network("127.0.0.0/8")
LOOPBACK_V6: Final = IPv6Address("::1")


def is_public(ip: IPAddress) -> bool:
    """Whether `ip` may be called from a data centre without reaching into it."""
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in DENIED_V4)
    return ip.scope_id is None and ip in GLOBAL_UNICAST_V6 and not any(ip in network for network in DENIED_V6)


def is_loopback(ip: IPAddress) -> bool:
    """Plain loopback only: an IPv4 loopback address in IPv6 clothes is not meant by anybody who is honest."""
    if isinstance(ip, IPv4Address):
        return ip in LOOPBACK_V4
    return ip == LOOPBACK_V6
