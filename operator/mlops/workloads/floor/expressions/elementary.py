"""Powers, logarithms, roots, angles and rounding of float64.

What IEEE 754 rounds exactly (square root, floor, ceiling, rounding) has a function of arrays. All else goes value by
value through the C library, since numpy's functions of arrays differ from it in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.expressions.arithmetic import divided
from mlops.workloads.floor.expressions.typed import Computed, Operation

_LARGEST = 1.7976931348623157e308


def _guarded(function: Callable[[float], float], at_range: float = math.inf) -> Callable[[float], float]:
    """NaN where a function is not defined; `at_range` where its value is too large."""

    def guarded(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return math.nan
        except OverflowError:
            return at_range

    return guarded


def _logarithm(function: Callable[[float], float], pole: float = 0.0) -> Callable[[float], float]:
    guarded = _guarded(function)
    return lambda x: -math.inf if x == pole else guarded(x)


_ln = _logarithm(math.log)


def logarithm(x: float, base: float) -> float:
    """Return the logarithm of x to a base."""
    return divided(_ln(x), _ln(base))


def power(x: float, y: float) -> float:
    """Return x to the power of y, as C's pow."""
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and math.fmod(y, 2.0) else math.inf
    except ValueError:
        if x == 0:  # to a negative power
            return math.copysign(math.inf, x) if math.fmod(y, 2.0) in (1.0, -1.0) else math.inf
        return math.nan


def _sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0 else math.nan


def _sign(x: float) -> float:
    return 0.0 if x == 0 else math.copysign(1.0, x)


def _cotangent(x: float) -> float:
    return divided(1.0, _tan(x))


_tan = _guarded(math.tan)
_DEGREE = math.pi / 180.0
_IN_DEGREES = 180.0 / math.pi


def _of_degrees(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: function(x * _DEGREE)


def _to_degrees(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: function(x) * _IN_DEGREES


def _whole(function: Callable[[float], float]) -> Callable[[float], float]:
    """Infinity has no whole number of its own in Python, and 2^52 has no fraction."""
    return lambda x: math.copysign(float(function(x)), x) if abs(x) < 4503599627370496.0 else x


_round = _whole(round)


def rounding(digits: int) -> Operation:
    """Return rounding to digits after the point, half to even of what x * 10^digits is as a float."""
    if digits == 0:
        return Operation("round", _round, lambda x: (np.rint(x), None))
    if digits > 308:
        return Operation("round", float, lambda x: (x, None))
    scale = float(10**digits)
    limit = _LARGEST / scale

    def scalar(x: float) -> float:
        return _round(x * scale) / scale if abs(x) < limit else x

    def vector(x: NDArray[Any]) -> Computed:
        return np.where(np.abs(x) < limit, np.rint(x * scale) / scale, x), None

    return Operation("round", scalar, vector)


_SINE, _COSINE = _guarded(math.sin), _guarded(math.cos)
_ASINE, _ACOSINE = _guarded(math.asin), _guarded(math.acos)
# Each takes float64 and gives float64.
ELEMENTARY: Final[dict[str, Operation]] = {
    "cbrt": Operation("cbrt", math.cbrt),
    "exp": Operation("exp", _guarded(math.exp)),
    "ln": Operation("ln", _ln),
    "log10": Operation("log10", _logarithm(math.log10)),
    "log2": Operation("log2", _logarithm(math.log2)),
    "log1p": Operation("log1p", _logarithm(math.log1p, -1.0)),
    "sqrt": Operation("sqrt", _sqrt, lambda x: (np.sqrt(x), None)),
    "sign": Operation("sign", _sign, lambda x: (np.where(x == 0, 0.0, np.sign(x)), None)),
    "degrees": Operation("degrees", lambda x: x * _IN_DEGREES, lambda x: (x * _IN_DEGREES, None)),
    "radians": Operation("radians", lambda x: x * _DEGREE, lambda x: (x * _DEGREE, None)),
    "ceil": Operation("ceil", _whole(math.ceil), lambda x: (np.ceil(x), None)),
    "floor": Operation("floor", _whole(math.floor), lambda x: (np.floor(x), None)),
    "sin": Operation("sin", _SINE),
    "cos": Operation("cos", _COSINE),
    "tan": Operation("tan", _tan),
    "cot": Operation("cot", _cotangent),
    "asin": Operation("asin", _ASINE),
    "acos": Operation("acos", _ACOSINE),
    "atan": Operation("atan", math.atan),
    "sind": Operation("sind", _of_degrees(_SINE)),
    "cosd": Operation("cosd", _of_degrees(_COSINE)),
    "tand": Operation("tand", _of_degrees(_tan)),
    "cotd": Operation("cotd", _of_degrees(_cotangent)),
    "asind": Operation("asind", _to_degrees(_ASINE)),
    "acosd": Operation("acosd", _to_degrees(_ACOSINE)),
    "atand": Operation("atand", _to_degrees(math.atan)),
    "atan2": Operation("atan2", math.atan2),
    "atan2d": Operation("atan2d", lambda y, x: math.atan2(y, x) * _IN_DEGREES),
    "log": Operation("log", logarithm),
    "pow": Operation("pow", power),
}
