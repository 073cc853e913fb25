"""Which IP addresses are public: a table of our own, since that of Python differs from release to release.

Sources: IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190) as of October 2025, IANA's
registries of multicast addresses, and RFC 4291: global unicast is assigned from 2000::/3 only, so that everything else
of IPv6 is refused altogether. What carries an IPv4 address inside is refused as well, except the mapped form, which is
judged by the address that it carries.
"""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; Alibaba's metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # public by registry, and the host agent of Azure's machines
        "169.254.0.0/16",  # link-local; metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service; anycast to the nearest PCP and TURN server
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4, deprecated
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
    )
)
_GLOBAL_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID, anycast to the nearest PCP and TURN server
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)


def carried(address: Address) -> Address:
    """Return the IPv4 address that ::ffff:a.b.c.d is another form of, and any other address as it is."""
    if isinstance(address, ipaddress.IPv6Address) and int(address) >> 32 == 0xFFFF and address.scope_id is None:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Return whether the address is one of the public internet."""
    address = carried(address)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_4)
    if address.scope_id is not None or address not in _GLOBAL_UNICAST_6:
        return False
    # ISATAP (RFC 5214): an interface identifier of 0000:5efe or 0200:5efe and an IPv4 address, under any prefix.
    if (int(address) >> 32) & 0xFDFFFFFF == 0x5EFE:
        return False
    return not any(address in block for block in _NOT_PUBLIC_6)
