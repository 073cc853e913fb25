"""The law of the Kolmogorov-Smirnov statistic: Simard and L'Ecuyer (2011), the choice of methods that scipy makes.

`kolmogorov_sf` equals scipy.stats.kstwo.sf: to a relative 1e-10 for p-values below 0.1, to an absolute 1e-12 above.
"""

from __future__ import annotations

import math

import numpy as np

from mlops.statistics.arrays import FloatArray
from mlops.statistics.special import stirling_error

_SCALE = 2.0**128
_NEGLIGIBLE = 45.0
"""Terms smaller than exp(-45) = 3e-20 times the greatest cannot change a double."""

_POINTS = 2048
"""Terms of a sum evaluated at most twice this often, however many rows."""


def kolmogorov_sf(n: int, d: float) -> float:
    """P(D_n > d) of the two-sided one-sample statistic with n rows."""
    t = n * d
    if d >= 1.0:
        return 0.0
    if t <= 0.5:
        return 1.0
    if t <= 1.0:
        return -math.expm1(_log_factorial_over_power(n) + n * math.log(2.0 * t - 1.0)) if t > 0.5 else 1.0
    if t >= n - 1:
        return min(1.0, 2.0 * (1.0 - d) ** n)
    square = t * d
    if square >= 370.0:
        return 0.0
    if d >= 0.5 or square >= (4.0 if n <= 140 else 2.2):
        return min(1.0, 2.0 * _one_sided_sf(n, d))
    if n <= 140 or (n <= 100_000 and n * d**1.5 <= 1.4):
        return min(1.0, max(0.0, 1.0 - _durbin_cdf(n, d)))
    return min(1.0, max(0.0, 1.0 - _pelz_good_cdf(n, d)))


def two_sample_exact_sf(n: int, m: int, distance: int) -> float:
    """P(max |i * m - j * n| >= distance) over the paths of two samples of n and m rows without ties (Hodges 1958).

    `distance` is the statistic times n * m, an integer. Walks the diagonals i + j = 1 .. n + m: O((n + m) * n) time.
    """
    if distance <= 0:
        return 1.0
    i = np.arange(n + 1)
    outside = np.zeros(n + 1)
    for s in range(1, n + m + 1):
        j = s - i
        step = (j / s) * outside
        step[1:] += (i[1:] / s) * outside[:-1]
        inside = (j >= 0) & (j <= m)
        outside = np.where(inside & (np.abs(i * m - j * n) >= distance), 1.0, np.where(inside, step, 0.0))
    return float(min(1.0, outside[n]))


def _log_factorial_over_power(n: int) -> float:
    """log(n! / n**n)."""
    return 0.5 * math.log(2.0 * math.pi * n) - n + stirling_error(n)


def _stirling_errors(k: FloatArray) -> FloatArray:
    """`stirling_error` for an array of positive whole numbers (m,): three terms are exact to a double from 100 on."""
    inverse = 1.0 / k
    square = inverse * inverse
    result: FloatArray = square * (1 / 1260)
    result -= 1 / 360
    result *= square
    result += 1 / 12
    result *= inverse
    for index in np.nonzero(k < 100)[0]:
        result[index] = stirling_error(float(k[index]))
    return result


def _one_sided_sf(n: int, d: float) -> float:
    """P(D_n+ > d) by the Birnbaum-Tingey sum; each term is a binomial probability in Loader's form."""
    t = n * d
    last = math.ceil(n - t) - 1
    # The exponent falls off like 2 t^2 / n * (1 / (4 u (1 - u)) - 1), u = (j + t/2) / n: skip what cannot count.
    reach = n * math.sqrt(max(0.0, 0.25 - 0.25 / (1.0 + _NEGLIGIBLE * n / (2.0 * t * t))))
    first = max(1, math.floor(n / 2.0 - t - reach))
    final = min(last, math.ceil(n / 2.0 + reach))
    total = (1.0 - d) ** n
    if final < first:
        return total
    # The terms are a smooth bump that vanishes at both ends: the trapezoidal rule sums it to the last digits.
    step = max(1, (final - first) // _POINTS)
    j = np.arange(float(first), final + 1, step)
    rest = n - j
    exponent = j * np.log1p(t / j) + rest * np.log1p(-t / rest)
    exponent += stirling_error(n) - _stirling_errors(j) - _stirling_errors(rest)
    terms = np.exp(exponent) * np.sqrt(n / (2.0 * math.pi * j * rest)) / (d + j / n)
    return total + d * step * float(terms.sum())


def _durbin_cdf(n: int, d: float) -> float:
    """P(D_n <= d) by Marsaglia, Tsang and Wang (2003): a power of a (2k - 1)-square matrix, k = ceil(n d)."""
    k = math.ceil(n * d)
    h = k - n * d
    size = 2 * k - 1
    steps = np.arange(1, size + 1)
    factorial = np.cumprod(1.0 / steps)
    column = (1.0 - h**steps) * factorial
    column[-1] = (1.0 - 2.0 * h**size + max(2.0 * h - 1.0, 0.0) ** size) * factorial[-1]
    inverse_factorial = np.concatenate(([1.0], factorial[:-1]))
    matrix = np.zeros((size, size))
    for i in range(1, size):
        matrix[i - 1 :, i] = inverse_factorial[: size - i + 1]
    matrix[:, 0] = column
    matrix[-1, :] = column[::-1]
    power, exponent = _scaled_power(matrix, n, k - 1)
    value = float(power[k - 1, k - 1])
    for i in range(1, n + 1):
        value *= i / n
        if value < 1.0 / _SCALE:
            value *= _SCALE
            exponent -= 128
    return math.ldexp(value, exponent)


def _scaled_power(matrix: FloatArray, n: int, centre: int) -> tuple[FloatArray, int]:
    """(P, e) with matrix**n = P * 2**e. einsum, not matmul: BLAS bits may change with the number of threads."""
    result = np.eye(matrix.shape[0])
    exponent = base_exponent = 0
    while n:
        if n % 2:
            result = np.einsum("ij,jk->ik", result, matrix)
            exponent += base_exponent
        matrix = np.einsum("ij,jk->ik", matrix, matrix)
        base_exponent *= 2
        if matrix[centre, centre] > _SCALE:
            matrix = matrix / _SCALE
            base_exponent += 128
        n //= 2
    return result, exponent


def _pelz_good_cdf(n: int, d: float) -> float:
    """P(D_n <= d) by Pelz and Good (1976): the limit law with three correction terms in 1 / sqrt(n)."""
    z = math.sqrt(n) * d
    z2 = z * z
    pi2 = math.pi**2
    log_q = -pi2 / (8.0 * z2)
    if log_q < -708.0:
        return 0.0
    odd = 2.0 * np.arange(math.ceil(16.0 * z / math.pi), 0, -1) - 1.0
    o2 = odd * odd
    q = np.exp(log_q * o2)
    a, b = pi2 / 4.0 * o2, pi2**2 / 16.0 * o2**2
    c = pi2**3 / 64.0 * o2**3
    k0 = float(q.sum()) / z
    k1 = float(((a - z2) * q).sum()) / (6.0 * z**4)
    k2 = float(((6 * z**6 + 2 * z**4 + (2 * z**4 - 5 * z2) * a + (1 - 2 * z2) * b) * q).sum()) / (72.0 * z**7)
    third = -30 * z**6 - 90 * z**8 + (135 * z**4 - 96 * z**6) * a + (212 * z**4 - 60 * z2) * b + (5 - 30 * z2) * c
    k3 = float((third * q).sum()) / (6480.0 * z**10)
    whole = np.arange(float(odd.shape[0]), 0, -1)
    w2 = whole * whole
    q = np.exp(-pi2 / (2.0 * z2) * w2)
    k2 -= pi2 * float((w2 * q).sum()) / (36.0 * z**3)
    k3 += pi2 * float(((3.0 * z2 - pi2 * w2) * w2 * q).sum()) / (216.0 * z**6)
    root = math.sqrt(n)
    return math.sqrt(2.0 * math.pi) * (k0 + k1 / root + k2 / n + k3 / (n * root))
