"""Which addresses are public: held against IANA's registries, at the first and last address of every block."""

from __future__ import annotations

import csv
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from random import Random

import pytest

from mlops.workloads.ingest.addresses import Network, is_public
from mlops.workloads.ingest.download import Policy

REGISTRIES = Path(__file__).parent / "registries"
# Reachable by registry, and refused all the same: anycast to whatever is nearest, translations, no hosts at all.
REFUSED_THOUGH_REACHABLE = {
    "192.0.0.9/32", "192.0.0.10/32", "64:ff9b::/96", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32",
    "2001:4:112::/48", "2001:20::/28", "2001:30::/28",
}  # fmt: skip
# Not in the two registries: multicast, and forms that carry an IPv4 address or were given up.
OTHERS = {
    "224.0.0.0/4": "multicast",
    "168.63.129.16/32": "host agent of Azure",
    "::/96": "IPv4-compatible",
    "::ffff:0:0:0/96": "IPv4-translated",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
    "200::/7": "NSAP",
    "4000::/3": "not assigned",
    "8000::/1": "not assigned",
}


def _rows() -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name in ("ipv4.csv", "ipv6.csv"):
        lines = [line for line in (REGISTRIES / name).read_text().splitlines() if not line.startswith("#")]
        rows += [(block, reachable) for block, _, _, reachable in csv.reader(lines)]
    return rows


REFUSED = sorted({block for block, reachable in _rows() if reachable != "True"} | REFUSED_THOUGH_REACHABLE | {*OTHERS})
PUBLIC = sorted(block for block, reachable in _rows() if reachable == "True" and block not in REFUSED_THOUGH_REACHABLE)


def _inside(network: Network) -> list[IPv4Address | IPv6Address]:
    draw = Random(str(network))
    return [network[0], network[-1], *(network[draw.randrange(network.num_addresses)] for _ in range(200))]


@pytest.mark.parametrize("block", REFUSED)
def test_no_address_of_a_special_block_is_public(block: str) -> None:
    network = ip_network(block)
    for address in _inside(network):
        # The mapped form is as public as the address that it carries.
        if not isinstance(address, IPv6Address) or address.ipv4_mapped is None:
            assert not is_public(address), address


@pytest.mark.parametrize("block", PUBLIC)
def test_blocks_that_the_registry_calls_reachable_are(block: str) -> None:
    for address in _inside(ip_network(block)):
        assert is_public(address), address


@pytest.mark.parametrize("block", REFUSED)
def test_the_neighbours_of_a_block_are_judged_by_the_registry_and_not_by_nearness(block: str) -> None:
    """One address further and no other block's: public, in IPv4 and in 2000::/3."""
    network = ip_network(block)
    refused: list[IPv4Network | IPv6Network] = [ip_network(each) for each in REFUSED]
    for number in (int(network[0]) - 1, int(network[-1]) + 1):
        if not 0 <= number < 2**network.max_prefixlen:
            continue
        address = type(network[0])(number)
        special = any(address in each for each in refused if each.version == address.version)
        unicast = address.version == 4 or address in ip_network("2000::/3")
        assert is_public(address) == (unicast and not special), address


@pytest.mark.parametrize("block", [block for block in REFUSED if ":" not in block])
def test_an_ipv4_address_is_judged_the_same_in_its_mapped_form_and_refused_in_all_others(block: str) -> None:
    for address in _inside(ip_network(block)):
        carried = int(address)
        assert not is_public(IPv6Address(0xFFFF << 32 | carried))
        assert not is_public(IPv6Address(carried))
        assert not is_public(IPv6Address(0xFFFF << 48 | carried))
        assert not is_public(IPv6Address(int(IPv6Address("64:ff9b::")) | carried))
        assert not is_public(IPv6Address(0x2002 << 112 | carried << 80))
        assert not is_public(IPv6Address(int(IPv6Address("2606:2800:220:1:0:5efe::")) | carried))


@pytest.mark.parametrize(
    "address",
    ["192.0.0.192", "::ffff:0:169.254.169.254", "fec0::1", "192.88.99.1", "5f00::1", "::ffff:192.0.0.192", "fe80::1%1"],
)
def test_addresses_that_had_passed_are_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not Policy().permits(ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "223.255.255.255", "2606:4700::1111", "2a00::1", "::ffff:93.184.215.14"]
)
def test_the_public_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_an_allowed_network_is_reached_in_both_forms_and_with_no_zone() -> None:
    """What an administrator allows counts before the table."""
    policy = Policy.from_environ({"MLOPS_HTTP_ALLOWED_NETWORKS": "10.0.0.0/8, fd00::/8"})
    assert policy.permits(ip_address("10.1.2.3"))
    assert policy.permits(ip_address("::ffff:10.1.2.3"))
    assert policy.permits(ip_address("fd00::1"))
    assert not policy.permits(ip_address("fd00::1%eth0"))
    assert not policy.permits(ip_address("192.168.0.1"))
