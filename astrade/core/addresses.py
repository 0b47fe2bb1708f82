"""Whose request this is by network address (API.md, "rate limits"; DESIGN §6).

client_address(peer, forwarded_for)     the caller's address; `X-Forwarded-For` counts only behind TRUSTED_PROXIES
is_internal(address)                    whether it lies in INTERNAL_NETWORKS
rate_identity(address)                  what an anonymous caller is counted by: the IPv4 address or the IPv6 /64
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings

Network = IPv4Network | IPv6Network
UNKNOWN = "0.0.0.0"
IPV6_PREFIX = 64  # one subscriber


@lru_cache(maxsize=8)
def networks(cidrs: tuple[str, ...]) -> tuple[Network, ...]:
    """Parsed networks; raises ValueError for a bad one."""
    return tuple(ip_network(cidr.strip(), strict=False) for cidr in cidrs)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=4096)
def _within(text: str, cidrs: tuple[str, ...]) -> bool:
    address = _parsed(text)
    return address is not None and any(address in network for network in networks(cidrs))


def client_address(peer: str | None, forwarded_for: str | None) -> str:
    """The nearest address that isn't a trusted proxy, read from the right, so a client can't invent one."""
    current = peer or UNKNOWN
    trusted: Sequence[str] = settings.TRUSTED_PROXIES
    if not trusted or not forwarded_for:
        return current
    cidrs = tuple(trusted)
    for hop in reversed(forwarded_for.split(",")):
        if not _within(current, cidrs):
            return current
        address = _parsed(hop)
        if address is None:
            return current
        current = str(address)
    return current


def is_internal(address: str) -> bool:
    """Whether `address` lies in INTERNAL_NETWORKS."""
    return _within(address, tuple(settings.INTERNAL_NETWORKS))


@lru_cache(maxsize=4096)
def rate_identity(address: str) -> str:
    """The IPv4 address itself, an IPv6 address cut to its /64."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_PREFIX), strict=False).network_address)
    return str(parsed or UNKNOWN)
