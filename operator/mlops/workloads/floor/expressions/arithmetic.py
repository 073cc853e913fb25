"""Arithmetic, comparisons and bits of integers and floats: of one value, and of arrays with the same bits.

int64 is exact or has no value; float64 is IEEE 754 double, rounded after each operation.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.expressions.errors import NoValue
from mlops.workloads.floor.expressions.kinds import LEAST_INT, MOST_INT, Value
from mlops.workloads.floor.expressions.typed import Computed, Operation

_BEYOND = "is beyond int64 (-2^63 to 2^63 - 1)"
# A product whose floating-point estimate is below this fits into 64 bits.
_SURELY_FITS = 9.2e18
# Integers below this are floats exactly.
_EXACT = 1 << 53


def _checked(sign: str, compute: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def checked(x: int, y: int) -> int:
        found = compute(x, y)
        if not LEAST_INT <= found <= MOST_INT:
            raise NoValue(_BEYOND, f"CAST({{0}} AS DOUBLE) {sign} {{1}}")
        return found

    return checked


def _sum(x: NDArray[Any], y: NDArray[Any]) -> Computed:
    found = x + y
    return found, ((x ^ found) & (y ^ found)) < 0


def _difference(x: NDArray[Any], y: NDArray[Any]) -> Computed:
    found = x - y
    return found, ((x ^ y) & (x ^ found)) < 0


def _product(x: NDArray[Any], y: NDArray[Any]) -> Computed:
    return x * y, np.abs(x.astype(np.float64) * y) >= _SURELY_FITS


def _quotient(x: int, y: int) -> Value:
    """Towards zero, as in SQL; missing for a division by zero."""
    if not y:
        return None
    found = abs(x) // abs(y)
    found = found if (x < 0) == (y < 0) else -found
    if found > MOST_INT:
        raise NoValue(_BEYOND, "CAST({0} AS DOUBLE) / {1}")
    return found


def _quotients(x: NDArray[Any], y: NDArray[Any]) -> Computed:
    ask = (y == 0) | ((y == -1) & (x == LEAST_INT))
    divisor = np.where(ask, 1, y)
    floor = x // divisor
    return floor + ((floor * divisor != x) & ((x < 0) != (divisor < 0))), ask


def _remainder(x: int, y: int) -> Value:
    """With the sign of the dividend, as in SQL; missing for a division by zero."""
    if not y:
        return None
    found = abs(x) % abs(y)
    return -found if x < 0 else found


def _remainders(x: NDArray[Any], y: NDArray[Any]) -> Computed:
    ask = y == 0
    return np.fmod(x, np.where(ask | (y == -1), 1, y)), ask


def _negative(x: int) -> int:
    if x == LEAST_INT:
        raise NoValue(_BEYOND, "-CAST({0} AS DOUBLE)")
    return -x


def _absolute(x: int) -> int:
    if x == LEAST_INT:
        raise NoValue(_BEYOND, "abs(CAST({0} AS DOUBLE))")
    return abs(x)


def _power(x: int, y: int) -> int:
    if y < 0:
        raise NoValue("is no int64: the exponent is negative", "pow(CAST({0} AS DOUBLE), {1})")
    found = x**y if abs(x) < 2 or y < 64 else MOST_INT + 1
    if not LEAST_INT <= found <= MOST_INT:
        raise NoValue(_BEYOND, "pow(CAST({0} AS DOUBLE), {1})")
    return found


def _bits(x: int) -> int:
    return (x & ((1 << 64) - 1)).bit_count()


INTEGER: Final[dict[str, Operation]] = {
    "+": Operation("+", _checked("+", operator.add), _sum),
    "-": Operation("-", _checked("-", operator.sub), _difference),
    "*": Operation("*", _checked("*", operator.mul), _product),
    "//": Operation("//", _quotient, _quotients),
    "%": Operation("%", _remainder, _remainders),
    "negate": Operation("negate", _negative, lambda x: (-x, x == LEAST_INT)),
    "abs": Operation("abs", _absolute, lambda x: (np.abs(x), x == LEAST_INT)),
    "sign": Operation("sign", lambda x: (x > 0) - (x < 0), lambda x: (np.sign(x), None)),
    "pow": Operation("pow", _power),
    "&": Operation("&", operator.and_, lambda x, y: (x & y, None)),
    "|": Operation("|", operator.or_, lambda x, y: (x | y, None)),
    "xor": Operation("xor", operator.xor, lambda x, y: (x ^ y, None)),
    "bit_not": Operation("bit_not", operator.invert, lambda x: (~x, None)),
    "bit_count": Operation("bit_count", _bits),
}


def divided(x: float, y: float) -> float:
    """Return x / y as IEEE 754 has it: infinite for a division by zero, NaN for 0 / 0."""
    if y:
        return x / y
    return math.nan if x == 0 or x != x else math.copysign(math.inf, x) * math.copysign(1.0, y)


def _float_remainder(x: float, y: float) -> float:
    try:
        return math.fmod(x, y)
    except ValueError:
        return math.nan


def _float_quotient(x: float, y: float) -> Value:
    if not y:
        return None
    found = x / y
    if found != found:
        return None
    if abs(found) >= 2.0**63:
        raise NoValue(_BEYOND, "{0} / {1}")
    return math.trunc(found)


def _float_quotients(x: NDArray[Any], y: NDArray[Any]) -> Computed:
    found = np.trunc(x / y)
    fits = np.abs(found) < _SURELY_FITS
    return np.where(fits, found, 0.0).astype(np.int64), ~fits


FLOAT: Final[dict[str, Operation]] = {
    "+": Operation("+", operator.add, lambda x, y: (x + y, None), total=True),
    "-": Operation("-", operator.sub, lambda x, y: (x - y, None), total=True),
    "*": Operation("*", operator.mul, lambda x, y: (x * y, None), total=True),
    "/": Operation("/", divided, lambda x, y: (x / y, None), total=True),
    "//": Operation("//", _float_quotient, _float_quotients),
    "%": Operation("%", _float_remainder, lambda x, y: (np.fmod(x, y), None), total=True),
    "negate": Operation("negate", operator.neg, lambda x: (-x, None), total=True),
    "abs": Operation("abs", abs, lambda x: (np.abs(x), None), total=True),
}

_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
# Of values of one kind: numbers, texts by code point, times.
COMPARISONS: Final = {
    sign: Operation(sign, compare, lambda x, y, compare=compare: (compare(x, y), None))
    for sign, compare in _COMPARE.items()
}


def _mixed(compare: Callable[[Any, Any], Any], *, first: bool) -> Callable[..., Computed]:
    """An integer beyond 2^53 is no float: Python compares it exactly."""

    def compared(x: NDArray[Any], y: NDArray[Any]) -> Computed:
        return compare(x, y), np.abs((x if first else y).astype(np.float64)) >= _EXACT

    return compared


# Of an integer with a float, and the other way round: exact.
INTEGER_WITH_FLOAT: Final = {
    sign: Operation(sign, compare, _mixed(compare, first=True)) for sign, compare in _COMPARE.items()
}
FLOAT_WITH_INTEGER: Final = {
    sign: Operation(sign, compare, _mixed(compare, first=False)) for sign, compare in _COMPARE.items()
}

TO_FLOAT: Final = Operation("to float", float, lambda x: (x.astype(np.float64), None))
TO_INTEGER: Final = Operation("to integer", int, lambda x: (x.astype(np.int64), None))
NOT: Final = Operation("not", operator.not_, lambda x: (~x, None))
