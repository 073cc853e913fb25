"""Which addresses a database may have: a private network's, as databases do; never the pod's own, nor its node's.

The host's name is resolved once, every address of it is judged, and the connection goes to a judged address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

from mlops.api.reasons import Reason
from mlops.api.task_variables import BUCKETS_VARIABLE
from mlops.workloads.floor.pod import BadInput, PassingFault
from mlops.workloads.ingest.addresses import Address, carried, is_public
from mlops.workloads.ingest.database.access import Access
from mlops.workloads.ingest.download import Policy, Resolve, resolve

_PRIVATE: Final = tuple(
    ipaddress.ip_network(block) for block in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")
)
_PRIVATE_6: Final = ipaddress.IPv6Network("fc00::/7")
# What clouds answer machines with, in blocks that are private otherwise: Alibaba; AWS and Google by IPv6.
_METADATA: Final = tuple(ipaddress.ip_address(one) for one in ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254"))


def may_be_a_database(address: Address) -> bool:
    """Return whether the address is public or of a private network, and no metadata service."""
    address = carried(address)
    if address in _METADATA:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return is_public(address) or (address.scope_id is None and address in _PRIVATE_6)
    return is_public(address) or any(address in block for block in _PRIVATE)


def judged(access: Access, environ: Mapping[str, str], resolver: Resolve = resolve) -> list[str]:
    """Return the addresses of the database's host. Raises BadInput(AddressForbidden) if one of them may not be reached,
    PassingFault(SourceUnavailable) if there is none."""
    policy, is_local = Policy.from_environ(environ), BUCKETS_VARIABLE in environ
    try:
        found = [ipaddress.ip_address(one) for one in resolver(access.host, access.port)]
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PassingFault(Reason.SOURCE_UNAVAILABLE, f"{access.where}: the host cannot be resolved: {said}") from error
    if not found:
        raise PassingFault(Reason.SOURCE_UNAVAILABLE, f"{access.where}: the host has no address")
    for address in found:
        # A database on this machine is as near as the buckets' folders.
        is_allowed = policy.permits(address) or (is_local and carried(address).is_loopback)
        if not (may_be_a_database(address) or is_allowed):
            raise BadInput(
                Reason.ADDRESS_FORBIDDEN,
                f"{access.where} leads to {address}, where no database may be; {policy.setting} allows more",
            )
    return list(dict.fromkeys(str(one) for one in found))
