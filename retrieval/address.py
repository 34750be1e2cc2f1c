"""Which addresses are on the public internet; the rest must not be reached for a stranger."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

# Of IPv6, addresses of single hosts are handed out from here alone.
_UNICAST = IPv6Network("2000::/3")

# A translator turns these into the IPv4 address in their last 32 bits (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")

# Globally routable by the rules, or by those of an older Python, and yet answered from within:
# protocol assignments, where some clouds keep their metadata, and the host agent of Azure.
_WITHIN = (ip_network("192.0.0.0/24"), ip_network("168.63.129.16/32"))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Say whether an address is one host that anyone on the internet may reach.

    An IPv6 address that carries IPv4 addresses (mapped, 6to4, NAT64, Teredo) is as public as all
    that it carries, for that is where the packets end up.
    """
    if isinstance(address, IPv6Address):
        carried = _carried(address)
        if carried:
            return all(is_public(inner) for inner in carried)
        if address not in _UNICAST:
            return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _WITHIN)
    )


def _carried(address: IPv6Address) -> tuple[IPv4Address, ...]:
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.teredo is not None:
        return address.teredo  # the server and the client
    inner = address.ipv4_mapped or address.sixtofour
    return () if inner is None else (inner,)
