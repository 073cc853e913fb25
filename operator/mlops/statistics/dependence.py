"""How much do rows that follow each other know of each other? The variance of a mean of dependent rows, against that
of independent ones.

Rows in time order that resemble their neighbours carry less information than their number says: of an AR(1) series
with coefficient .9, 1,900 rows say as much about the mean as 100 independent ones. Tests that count rows then see
drift where none is. All tests here divide rows by the inflation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlops.statistics.arrays import BoolArray, FloatArray, IntArray

_MIN_ROWS = 20
# A pair of autocorrelations below so many standard errors of noise ends the sum.
_NOISE = 2.0
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
_MAX_CLASSES = 12
# The lowest frequencies, whose mean power is that of slow movements, and their upper bound in standard errors.
_LOWEST = 16
_UPPER = 1.645
# Blocks differ by more than chance from so many standard errors on.
_CHANCE = 2.5


def inflation(series: FloatArray) -> float:
    """The variance of the mean of `series` (n,) in time order over that of n independent rows; at least 1.

    The sum of autocorrelations up to where they fall into the noise (Geyer's initial positive sequence, 1992), but no
    more than the upper bound of the power at the lowest frequencies: what swings about its mean within the series,
    such as a day within a week, does not move the mean.
    """
    n = series.shape[0]
    deviation = _centred(series) if n >= _MIN_ROWS else None
    if deviation is None or not _is_noticed(deviation):
        return 1.0
    power, correlation = _spectrum(deviation)
    found = _positive_sum(correlation, n)
    lowest = min(_LOWEST, power.shape[0])
    at_zero = float(power[:lowest].mean()) * (1.0 + _UPPER / math.sqrt(lowest))
    return max(1.0, min(found, at_zero))


def inflation_of_values(values: FloatArray) -> float:
    """The mean inflation of the distribution function of numbers (n,), at its quartiles and its outer tenths."""
    if values.shape[0] == 0:
        return 1.0
    ordered = np.sort(values)
    # All values are at or below the largest: that share is no number of rows.
    at = [float(edge) for share in _SHARES if (edge := ordered[int(share * (values.shape[0] - 1))]) < ordered[-1]]
    if not at:
        return 1.0 if ordered[0] == ordered[-1] else inflation((values < ordered[-1]).astype(np.float64))
    found = [inflation((values <= edge).astype(np.float64)) for edge in dict.fromkeys(at)]
    middle = found[len(found) // 2]
    return max(middle, float(np.mean(found)))


def inflation_of_codes(codes: IntArray) -> float:
    """The mean inflation of the shares of categories, given as codes (n,) from 0: that of their chi-square statistic.

    The most frequent twelve are looked at (Rao and Scott 1981: a statistic divided by the mean of its eigenvalues).
    """
    if codes.shape[0] == 0:
        return 1.0
    shares = np.bincount(codes) / codes.shape[0]
    frequent = np.argsort(-shares, kind="stable")[:_MAX_CLASSES]
    weights = shares[frequent] * (1.0 - shares[frequent])
    if weights.sum() == 0.0:
        return 1.0
    found = np.array([inflation((codes == code).astype(np.float64)) for code in frequent])
    return float((found * weights).sum() / weights.sum())


def between(blocks: Sequence[FloatArray]) -> float:
    """How much more the share of small values differs between blocks of rows than independent rows make it.

    Rows of one user, say, resemble each other however far apart they come. The chi-square statistic of the shares
    below the quartiles of all rows over its degrees of freedom, in the mean; 1 of fewer than three blocks.
    """
    blocks = [block for block in blocks if block.shape[0]]
    every = np.sort(np.concatenate(blocks)) if blocks else np.zeros(0)
    if len(blocks) < 3 or every[0] == every[-1]:
        return 1.0
    quartiles = every[[every.shape[0] * quarter // 4 for quarter in (1, 2, 3)]]
    # At or below the largest value are all rows.
    largest_but_one = every[every.searchsorted(every[-1]) - 1]
    edges = dict.fromkeys(np.minimum(quartiles, largest_but_one).tolist())
    return float(np.mean([_ratio_of_shares([block <= edge for block in blocks])[0] for edge in edges]))


def between_codes(blocks: Sequence[IntArray]) -> float:
    """The same of the shares of categories, given as codes from 0: the most frequent twelve, each by its variance."""
    blocks = [block for block in blocks if block.shape[0]]
    shares = np.bincount(np.concatenate(blocks)) if blocks else np.zeros(0)
    if len(blocks) < 3 or np.count_nonzero(shares) < 2:
        return 1.0
    frequent = np.argsort(-shares, kind="stable")[:_MAX_CLASSES]
    found = [_ratio_of_shares([block == code for block in blocks]) for code in frequent.tolist() if shares[code]]
    ratios, weights = np.array(found).T
    return float((ratios * weights).sum() / weights.sum())


def between_counts(hits: FloatArray, of: FloatArray) -> float:
    """How much more a share differs between blocks (k,), each with so many hits of so many, than independent rows make
    it: what comes in bursts says less than its number. At least 1, and 1 of fewer than three blocks."""
    hits, of = hits[of > 0], of[of > 0]
    share = float(hits.sum()) / float(of.sum()) if of.shape[0] else 0.0
    if of.shape[0] < 3 or not 0.0 < share < 1.0:
        return 1.0
    apart = float(((hits - of * share) ** 2 / of).sum())
    return max(1.0, apart / (share * (1.0 - share) * (len(of) - 1)))


def _ratio_of_shares(blocks: Sequence[BoolArray]) -> tuple[float, float]:
    """The variance of a share between blocks in units of that of independent rows; and the variance of a row."""
    rows = np.array([block.shape[0] for block in blocks])
    shares = np.array([float(block.mean()) for block in blocks])
    share = float((shares * rows).sum() / rows.sum())
    variance = share * (1.0 - share)
    return float((rows * (shares - share) ** 2).sum()) / (variance * (len(blocks) - 1)), variance


def beyond_chance(ratio: float, blocks: int) -> float:
    """What `between` found of so many blocks; 1 if independent rows may differ as much."""
    return ratio if ratio > 1.0 + _CHANCE * math.sqrt(2.0 / (blocks - 1)) else 1.0


def at_most(ratio: float, blocks: int) -> float:
    """The upper bound (95 %) of what so many blocks differ by, of which `between` found `ratio`.

    A variance with one degree of freedom less than blocks; its law by Wilson and Hilferty (1931).
    """
    ninth = 2.0 / (9.0 * (blocks - 1))
    return ratio / (1.0 - ninth - _UPPER * math.sqrt(ninth)) ** 3


def stretched(found: float, spacing: float, wanted: float) -> float:
    """An inflation that was found in rows `spacing` apart, of rows of the same series that are `wanted` apart."""
    if found <= 1.0 or spacing <= 0.0 or wanted <= 0.0:
        return max(1.0, found)
    return 1.0 + (found - 1.0) * spacing / wanted


def pooled(of_reference: float, rows_reference: int, of_current: float, rows_current: int) -> float:
    """The inflation of the difference of two means, of samples of so many rows each."""
    return (of_reference / rows_reference + of_current / rows_current) / (1.0 / rows_reference + 1.0 / rows_current)


def _centred(series: FloatArray) -> FloatArray | None:
    """Deviations from the mean, by their largest; None of a constant."""
    low, high = float(series.min()), float(series.max())
    if low == high:
        return None
    scaled = (series - low) / (high - low)
    return np.asarray(scaled - scaled.mean())


def _spectrum(deviation: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Power (n // 2,) by rising frequency without zero, in units of the variance, and autocorrelations (n,)."""
    n = deviation.shape[0]
    size = 1 << (2 * n - 1).bit_length()
    transformed = np.fft.rfft(deviation, size)
    covariance = np.fft.irfft(transformed.real**2 + transformed.imag**2, size)[:n]
    variance = float(covariance[0])
    periodogram = np.abs(np.fft.rfft(deviation)[1:]) ** 2 / variance
    return np.asarray(periodogram), np.asarray(covariance / variance)


def _is_noticed(deviation: FloatArray) -> bool:
    """Whether neighbours are more alike than chance makes them."""
    first = float((deviation[1:] * deviation[:-1]).sum() / (deviation * deviation).sum())
    return first >= _NOISE / math.sqrt(deviation.shape[0])


def _positive_sum(correlation: FloatArray, n: int) -> float:
    pairs = correlation[1 : 1 + 2 * ((n - 1) // 2)].reshape(-1, 2).sum(axis=1)
    below = np.flatnonzero(pairs < _NOISE * math.sqrt(2.0 / n))
    end = int(below[0]) if below.shape[0] else pairs.shape[0]
    return 1.0 + 2.0 * (float(pairs[:end].sum()) if end else float(correlation[1]))
