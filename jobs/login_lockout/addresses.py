"""Network addresses: checked, unfolded, and the key under which they are counted."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
IPV6_PREFIX = 64
"""A site has at least this much of IPv6 to itself, so its addresses count as one."""


def network_of(text: str) -> Network:
    """An address or a network as people write it; raises `ValueError`."""
    return ip_network(text.strip(), strict=False)


def _network(text: str) -> str:
    try:
        return str(network_of(text))
    except ValueError as error:
        raise ValueError(f"'{text}' is no address and no network such as 10.0.0.0/8") from error


NetworkText = Annotated[str, AfterValidator(_network)]


@lru_cache(maxsize=65_536)
def key_of(text: str) -> str | None:
    """The key of an address: itself, or the /64 of IPv6; None for what is no address.

    Nothing is cut off or guessed: `203.0.113.7:22` and `bob 10.9.9.9` are no addresses.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(IPv6Network((int(address) >> 64 << 64, IPV6_PREFIX)))
        address = address.ipv4_mapped
    return str(address)


def is_inside(key: str, networks: Sequence[Network]) -> bool:
    """Whether the address or network with this key touches one of these networks."""
    network = network_of(key)
    return any(network.version == other.version and network.overlaps(other) for other in networks)


def is_private(key: str) -> bool:
    """Whether it is no address of the open internet: private, loopback, link-local and the like.

    Addresses that are set apart for documentation count as ordinary ones.
    """
    network = network_of(key)
    first = network.network_address
    if is_inside(key, _DOCUMENTATION):
        return False
    return not first.is_global or first.is_multicast


_DOCUMENTATION: tuple[Network, ...] = tuple(
    map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"))
)
