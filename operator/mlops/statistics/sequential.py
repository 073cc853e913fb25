"""Streaming change detectors on a per-row loss: where does the mean move? Detections are identical to river's.

Every detector has `update(x) -> bool` (true on the row where a change is detected; it then starts afresh with the next
row) and `detections`, the 0-based rows of all changes so far. Rows must come in time order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol


class Detector(Protocol):
    """What all detectors of this module can do."""

    detections: list[int]

    def update(self, x: float) -> bool:
        """Take the next value; true when a change is detected at it. Raises ValueError on NaN or infinity."""


def detect(detector: Detector, stream: Iterable[float]) -> list[int]:
    """Feed a whole stream; the rows (0-based) at which changes were detected."""
    for x in stream:
        detector.update(x)
    return detector.detections


@dataclass
class PageHinkley:
    """Page-Hinkley test on the fading cumulated deviation from the running mean (Page 1954)."""

    min_instances: int = 30
    delta: float = 0.005
    threshold: float = 50.0
    alpha: float = 1.0 - 0.0001
    mode: Literal["up", "down", "both"] = "both"
    detections: list[int] = field(default_factory=list, init=False)
    _seen: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._n = 0
        self._mean = self._up = self._down = 0.0
        self._lowest_up = math.inf
        self._highest_down = -1.0

    def update(self, x: float) -> bool:
        """Take the next value, of any range."""
        _finite(x)
        self._n += 1
        self._mean += (1.0 / self._n) * (x - self._mean)
        deviation = x - self._mean
        self._up = self.alpha * self._up + deviation - self.delta
        self._down = self.alpha * self._down + deviation + self.delta
        if self._up < self._lowest_up:
            self._lowest_up = self._up
        if self._down > self._highest_down:
            self._highest_down = self._down
        return _record(self, self._n >= self.min_instances and self._crossed())

    def _crossed(self) -> bool:
        if self.mode != "down" and self._up - self._lowest_up > self.threshold:
            return True
        return self.mode != "up" and self._highest_down - self._down > self.threshold


@dataclass
class DDM:
    """Drift detection method (Gama et al. 2004): the error rate leaves its minimum by `drift_threshold` deviations.

    Takes errors, 0 or 1.
    """

    warm_start: int = 30
    drift_threshold: float = 3.0
    detections: list[int] = field(default_factory=list, init=False)
    _seen: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._n = 0
        self._rate = 0.0
        self._best_rate, self._best_deviation = math.inf, 0.0

    def update(self, x: float) -> bool:
        """Take the next error, 0 or 1."""
        _error(x)
        self._n += 1
        self._rate += (1.0 / self._n) * (x - self._rate)
        deviation = math.sqrt(self._rate * (1.0 - self._rate) / self._n)
        changed = False
        if self._n > self.warm_start:
            if self._rate + deviation <= self._best_rate + self._best_deviation:
                self._best_rate, self._best_deviation = self._rate, deviation
            changed = self._rate + deviation > self._best_rate + self.drift_threshold * self._best_deviation
        return _record(self, changed)


@dataclass
class HDDMA:
    """Hoeffding drift detection, moving-average test (Frias-Blanco et al. 2014). Takes values in [0, 1]."""

    drift_confidence: float = 0.001
    two_sided: bool = False
    detections: list[int] = field(default_factory=list, init=False)
    _seen: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self._bound = math.log(1.0 / self.drift_confidence)
        self._test = math.log(2.0 / self.drift_confidence)
        self._reset()

    def _reset(self) -> None:
        self._n = self._n_low = self._n_high = 0
        self._mean = self._low = self._high = 0.0

    def update(self, x: float) -> bool:
        """Take the next value, between 0 and 1."""
        if not 0.0 <= x <= 1.0:
            raise ValueError(f"x: is {x}, expected a value between 0 and 1")
        self._n += 1
        self._mean += (1.0 / self._n) * (x - self._mean)
        if self._n_low == 0:
            self._n_low, self._low = self._n, self._mean
        if self._n_high == 0:
            self._n_high, self._high = self._n, self._mean
        width = self._width(self._n)
        if self._low + self._width(self._n_low) >= self._mean + width:
            self._n_low, self._low = self._n, self._mean
        if self._high - self._width(self._n_high) <= self._mean - width:
            self._n_high, self._high = self._n, self._mean
        changed = self._differs(self._n_low, self._mean - self._low)
        if self.two_sided and not changed:
            changed = self._differs(self._n_high, self._high - self._mean)
        return _record(self, changed)

    def _width(self, n: int) -> float:
        return math.sqrt(1.0 / (2 * n) * self._bound)

    def _differs(self, n_cut: int, difference: float) -> bool:
        if n_cut == self._n:
            return False
        m = (self._n - n_cut) / n_cut * (1.0 / self._n)
        return difference >= math.sqrt(m / 2 * self._test)


@dataclass
class ADWIN:
    """Adaptive windowing (Bifet and Gavalda 2007): keeps the longest window without a change in mean, and begins a new
    one after a change, as river's does.

    The window is an exponential histogram: `max_buckets` buckets of each size 1, 2, 4, ..., so memory is logarithmic in
    its width. Every `clock` rows all cuts between buckets are tested at confidence `delta`.
    """

    delta: float = 0.002
    clock: int = 32
    max_buckets: int = 5
    min_window_length: int = 5
    grace_period: int = 10
    detections: list[int] = field(default_factory=list, init=False)
    width: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 < self.delta < 1.0:
            raise ValueError(f"delta: is {self.delta}, expected a number between 0 and 1")
        if self.min_window_length < 1 or self.max_buckets < 2 or self.clock < 1:
            raise ValueError("min_window_length and clock must be at least 1, max_buckets at least 2")
        self._reset()

    def _reset(self) -> None:
        # Row i holds the totals of buckets of 2**i values, oldest first.
        self._rows: list[list[float]] = [[]]
        self._total = self._variance = 0.0
        self._tick = 0
        self.width = 0

    @property
    def mean(self) -> float:
        """Mean of the current window."""
        return self._total / self.width if self.width else 0.0

    def update(self, x: float) -> bool:
        """Take the next value, of any range."""
        _finite(x)
        self._insert(float(x))
        self._tick += 1
        due = self._tick % self.clock == 0 and self.width > self.grace_period
        return _record(self, due and self._has_cut())

    def _insert(self, x: float) -> None:
        self._rows[0].append(x)
        self.width += 1
        if self.width > 1:
            before = self.width - 1.0
            off = x - self._total / before
            self._variance += before * off * off / self.width
        self._total += x
        self._compress()

    def _compress(self) -> None:
        index = 0
        while len(self._rows[index]) == self.max_buckets + 1:
            if index + 1 == len(self._rows):
                self._rows.append([])
            self._rows[index + 1].append(self._rows[index].pop(0) + self._rows[index].pop(0))
            index += 1

    def _has_cut(self) -> bool:
        """Is there a cut of the window whose two sides differ in mean by more than chance?"""
        # Rounding can leave a constant window with a variance just below zero: nothing to cut there.
        if self.width < 2 or self._variance < 0.0:
            return False
        n0, n1, total0, total1 = 0.0, float(self.width), 0.0, self._total
        spread = self._variance / self.width
        log_term = math.log(2.0 * math.log(self.width) / self.delta)
        for index in range(len(self._rows) - 1, -1, -1):
            size = 2.0**index
            for total in self._rows[index]:
                n0 += size
                n1 -= size
                total0 += total
                total1 -= total
                if n0 >= self.min_window_length <= n1 and self._differs(n0, n1, total0, total1, spread, log_term):
                    return True
        return False

    def _differs(self, n0: float, n1: float, total0: float, total1: float, spread: float, log_term: float) -> bool:
        inverse = 1.0 / (n0 - self.min_window_length + 1) + 1.0 / (n1 - self.min_window_length + 1)
        bound = math.sqrt(2.0 * inverse * spread * log_term) + 2.0 / 3.0 * log_term * inverse
        return abs(total0 / n0 - total1 / n1) > bound


def _record(detector: PageHinkley | DDM | HDDMA | ADWIN, changed: bool) -> bool:
    if changed:
        detector.detections.append(detector._seen)
        detector._reset()
    detector._seen += 1
    return changed


def _finite(x: float) -> None:
    if not math.isfinite(x):
        raise ValueError(f"x: is {x}, expected a finite number")


def _error(x: float) -> None:
    if x not in (0, 1):
        raise ValueError(f"x: is {x}, expected an error of 0 or 1")
