"""How well a share is known that was counted, and whether a count contradicts a share."""

from __future__ import annotations

import math
from functools import lru_cache

from mlops.statistics.special import beta_cdf

_NORMAL_975 = 1.959963984540054


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion, by Wilson's score. Raises ValueError without a trial."""
    _check_count(hits, of)
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


def exact_bounds(hits: float, of: float, tail: float) -> tuple[float, float]:
    """Return the bounds of a proportion, each of which misses it with a probability of at most `tail` (0 to 0.5).

    Clopper and Pearson (1934). Numbers that were divided, since what was counted came in bursts, need not
    be whole. Raises ValueError without a trial.
    """
    _check_count(hits, of)
    return lowest_share(hits, of, tail), 1.0 - lowest_share(of - hits, of, tail)


@lru_cache(maxsize=1 << 14)
def lowest_share(hits: float, of: float, tail: float) -> float:
    """Return the share of which so many hits or more come with the probability `tail`; 0 without a hit.

    By Newton's steps on the logarithm, which is concave, between bounds that close in.
    """
    if hits <= 0:
        return 0.0
    low, high = 0.0, hits / of
    share, rest = high, of - hits + 1.0
    constant = math.lgamma(of + 1.0) - math.lgamma(hits) - math.lgamma(rest)
    for _ in range(100):
        found = beta_cdf(share, hits, rest)
        low, high = (share, high) if found < tail else (low, share)
        last = share
        share = (low + high) / 2.0
        if found > 0.0 and 0.0 < last < 1.0:
            density = math.exp(constant + (hits - 1.0) * math.log(last) + (rest - 1.0) * math.log1p(-last))
            step = last - (math.log(found) - math.log(tail)) * found / density if density else share
            share = step if low < step < high else share
        if abs(share - last) <= 1e-13 * last:
            break
    return share


def difference_bounds(first: tuple[float, float], second: tuple[float, float], tail: float) -> tuple[float, float]:
    """Return the bounds of how much larger the second proportion is; both are (hits, of).

    Each bound misses with a probability of at most `tail`, whatever the numbers: it is the difference of two exact
    bounds, which share the tail (Boole's inequality). Adding their distances as squares (Zou and Donner 2008), which
    would be shorter, misses rare events up to ten times too often far out in the tails.
    """
    of_first, of_second = shares_of_tail(first[1], second[1], tail)
    low_first, high_first = exact_bounds(*first, of_first)
    low_second, high_second = exact_bounds(*second, of_second)
    return low_second - high_first, high_second - low_first


def shares_of_tail(first: float, second: float, tail: float) -> tuple[float, float]:
    """Return what two samples of so many rows get of the probability `tail`: the smaller one, which is known less
    well, the larger part."""
    return tail * second / (first + second), tail * first / (first + second)


def _check_count(hits: float, of: float) -> None:
    if not 0 <= hits <= of or of <= 0:
        raise ValueError(f"hits, of: are {hits} and {of}, expected 0 <= hits <= of, and a trial")
