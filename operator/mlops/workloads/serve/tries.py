"""How often somebody may be wrong: a bucket of tries for each address of a client, and one for all of them."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

# Wrong keys and tokens of one address: so many at once, and so many a second from then on; and those of all addresses.
ADDRESS_TRIES: Final = 20
ADDRESS_TRIES_PER_SECOND: Final = 1.0
ALL_TRIES: Final = 400
ALL_TRIES_PER_SECOND: Final = 50.0
# Addresses that are remembered: of more the one that has tried the longest ago is forgotten, and the bucket of all
# bounds what that lets in.
MOST_ADDRESSES: Final = 4096
# Whoever has one address of IPv6 has a network of so many bits.
_NETWORK_BITS: Final = 64


class TryBucket:
    """Tries that are left, of at most `most`; `per_second` of them come back."""

    __slots__ = ("_at", "_left", "_most", "_per_second")

    def __init__(self, most: int, per_second: float, now: float) -> None:
        self._most, self._per_second = most, per_second
        self._left, self._at = float(most), now

    def seconds_until_one(self, now: float) -> float:
        """Return in how many seconds there is a try; 0: there is one."""
        self._fill(now)
        return max(0.0, (1 - self._left) / self._per_second)

    def take(self, now: float) -> None:
        """Take a try, if there is one."""
        self._fill(now)
        self._left = max(0.0, self._left - 1)

    def _fill(self, now: float) -> None:
        self._left = min(self._most, self._left + self._per_second * (now - self._at))
        self._at = now


class FailedTries:
    """Counts what was wrong by the address that it came from. What was right counts nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all = TryBucket(ALL_TRIES, ALL_TRIES_PER_SECOND, clock())
        # In the order of their last try.
        self._buckets: OrderedDict[str, TryBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_seconds(self, address: str) -> int:
        """Return after how many whole seconds an address may try again; 0: now."""
        now = self._clock()
        seconds = self._all.seconds_until_one(now)
        bucket = self._buckets.get(network_of(address)) if self._buckets else None
        if bucket is not None:
            seconds = max(seconds, bucket.seconds_until_one(now))
        return math.ceil(seconds)

    def failed(self, address: str) -> None:
        """Note that something wrong came from an address."""
        now, network = self._clock(), network_of(address)
        self._all.take(now)
        bucket = self._buckets.get(network)
        if bucket is None:
            if len(self._buckets) >= MOST_ADDRESSES:
                self._buckets.popitem(last=False)
            bucket = self._buckets[network] = TryBucket(ADDRESS_TRIES, ADDRESS_TRIES_PER_SECOND, now)
        bucket.take(now)
        self._buckets.move_to_end(network)


def network_of(address: str) -> str:
    """Return what an address is counted as: itself, or of IPv6 its network of 64 bits."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, _NETWORK_BITS), strict=False))
