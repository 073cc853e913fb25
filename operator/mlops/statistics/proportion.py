"""How well a share is known that was counted, and whether a count contradicts a share."""

from __future__ import annotations

import math

_NORMAL_975 = 1.959963984540054


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion, by Wilson's score. Raises ValueError without a trial."""
    if not 0 <= hits <= of or of == 0:
        raise ValueError(f"hits, of: are {hits} and {of}, expected 0 <= hits <= of, and a trial")
    z, share = _NORMAL_975, hits / of
    scale = 1 + z * z / of
    middle = (share + z * z / (2 * of)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low = 0.0 if hits == 0 else middle - half
    high = 1.0 if hits == of else middle + half
    return low, high


def at_least(hits: int, of: int, share: float) -> float:
    """Return the probability of so many hits or more in `of` independent trials of the probability `share`."""
    if hits <= 0:
        return 1.0
    return sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(hits, of + 1))
