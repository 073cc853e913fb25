"""Streaming detectors fire on the very rows where river's fire."""

import math

import numpy as np
import pytest
from river import drift

from mlops.statistics.sequential import ADWIN, DDM, HDDMA, PageHinkley, detect


def river_detections(detector, stream: list[float]) -> list[int]:
    """Rows at which a river detector fires."""
    rows = []
    for row, x in enumerate(stream):
        detector.update(x)
        if detector.drift_detected:
            rows.append(row)
    return rows


def numbers(seed: int) -> list[float]:
    """A stream with one or two changes in mean or spread: normal, runs of equal values, or skewed."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(100, 4_000))
    cut = int(rng.integers(1, n))
    if seed % 3 == 0:
        return [*rng.normal(0, 1, cut), *rng.normal(rng.normal() * 2, rng.uniform(0.2, 2), n - cut)]
    if seed % 3 == 1:
        return np.repeat(rng.normal(size=n // 10 + 1) * rng.integers(1, 50), 10).tolist()
    return [*rng.exponential(1, cut), *rng.exponential(3, n - cut)]


def errors(seed: int) -> list[int]:
    """Zeros and ones whose rate changes twice."""
    rng = np.random.default_rng(seed)
    rates = rng.uniform(0.02, 0.6, 3)
    return np.concatenate([rng.uniform(size=rng.integers(50, 2_000)) < rate for rate in rates]).astype(int).tolist()


@pytest.mark.parametrize("seed", range(45))
def test_adwin_equals_river(seed: int) -> None:
    """At the defaults and at random settings, errors and numbers of any unit."""
    rng = np.random.default_rng(seed)
    settings = {
        "delta": float(rng.choice([0.002, 0.05, 0.3])),
        "clock": int(rng.choice([1, 5, 32])),
        "max_buckets": int(rng.choice([3, 5, 8])),
        "min_window_length": int(rng.choice([2, 5, 10])),
        "grace_period": int(rng.choice([5, 10, 40])),
    }
    for stream in (numbers(seed), errors(seed)):
        for chosen in ({}, settings):
            assert detect(ADWIN(**chosen), stream) == river_detections(drift.ADWIN(**chosen), stream)


@pytest.mark.parametrize("mode", ["up", "down", "both"])
@pytest.mark.parametrize("seed", range(15))
def test_page_hinkley_equals_river(seed: int, mode: str) -> None:
    """One-sided and two-sided."""
    stream = numbers(seed)
    for threshold in (5.0, 50.0):
        expected = river_detections(drift.PageHinkley(threshold=threshold, mode=mode), stream)
        assert detect(PageHinkley(threshold=threshold, mode=mode), stream) == expected


@pytest.mark.parametrize("seed", range(30))
def test_ddm_and_hddm_equal_river(seed: int) -> None:
    """On streams of errors."""
    stream = errors(seed)
    assert detect(DDM(), stream) == river_detections(drift.binary.DDM(), stream)
    for two_sided in (False, True):
        expected = river_detections(drift.binary.HDDMA(two_sided_test=two_sided), stream)
        assert detect(HDDMA(two_sided=two_sided), stream) == expected


@pytest.mark.parametrize("detector", [ADWIN, HDDMA])
def test_a_jump_in_the_error_rate_is_found_soon_and_only_once(detector) -> None:
    """0.1 to 0.4 at row 10,000: no alarm before it, one within 200 rows."""
    rng = np.random.default_rng(0)
    stream = (rng.uniform(size=12_000) < np.where(np.arange(12_000) < 10_000, 0.1, 0.4)).astype(int)
    found = detect(detector(), stream.tolist())
    assert len(found) == 1
    assert 10_000 <= found[0] <= 10_200


def test_adwin_keeps_memory_logarithmic_and_estimates_the_new_mean() -> None:
    """100,000 rows lie in under a hundred buckets; the mean is that of the window since the change."""
    adwin = ADWIN()
    rng = np.random.default_rng(1)
    for x in [*rng.normal(0, 1, 100_000), *rng.normal(3, 1, 3_000)]:
        adwin.update(x)
    assert sum(map(len, adwin._rows)) < 100
    assert len(adwin.detections) == 1
    assert adwin.mean == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("detector", [ADWIN, PageHinkley, DDM, HDDMA])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_loss_are_refused(detector, value: float) -> None:
    """A NaN would silence a detector for ever."""
    with pytest.raises(ValueError, match="x: is"):
        detector().update(value)


def test_ddm_takes_errors_only() -> None:
    """A log-loss is no error rate."""
    with pytest.raises(ValueError, match=r"x: is 0\.3, expected an error of 0 or 1"):
        DDM().update(0.3)
    with pytest.raises(ValueError, match="delta: is 2"):
        ADWIN(delta=2)


@pytest.mark.parametrize(
    ("settings", "zeros", "hundreds", "found"),
    [
        pytest.param({"min_window_length": 2, "grace_period": 5, "delta": 0.3}, 2, 9, [10], id="two rows before it"),
        pytest.param({"min_window_length": 2, "grace_period": 5, "delta": 0.3}, 9, 3, [10], id="two rows after it"),
        pytest.param({"min_window_length": 2, "grace_period": 10, "delta": 0.5}, 5, 12, [10], id="after the grace"),
    ],
)
def test_adwin_cuts_as_soon_as_it_may(settings: dict[str, float], zeros: int, hundreds: int, found: list[int]) -> None:
    """At the shortest window on either side, and at the first row after the grace period; as river does."""
    stream = [0.0] * zeros + [100.0] * hundreds
    assert detect(ADWIN(clock=1, **settings), stream) == found
    assert river_detections(drift.ADWIN(clock=1, **settings), stream) == found


@pytest.mark.parametrize("seed", range(40))
def test_short_streams_equal_river(seed: int) -> None:
    """The first rows, where every count still matters, at settings that let detectors act at once."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 60))
    stream = (rng.integers(0, 2, n) * 10.0).tolist() if seed % 2 else rng.normal(np.arange(n) > n // 2, 0.1).tolist()
    for k in (1, 2, 3, 4):
        settings = {"clock": 1 + k % 2, "min_window_length": k, "grace_period": k + 3, "delta": 0.6, "max_buckets": 2}
        assert detect(ADWIN(**settings), stream) == river_detections(drift.ADWIN(**settings), stream)
        for mode in ("up", "down", "both"):
            settings = {"min_instances": k, "threshold": 0.5 * k, "delta": 0.1, "alpha": 0.9, "mode": mode}
            assert detect(PageHinkley(**settings), stream) == river_detections(drift.PageHinkley(**settings), stream)
        errors = [int(x > 0.5) for x in stream]
        ours, theirs = DDM(warm_start=k, drift_threshold=0.5 * k), drift.binary.DDM(k, 1.0, 0.5 * k)
        assert detect(ours, errors) == river_detections(theirs, errors)
        confidence = 10.0**-k
        theirs = drift.binary.HDDMA(drift_confidence=confidence, two_sided_test=True)
        assert detect(HDDMA(confidence, two_sided=True), errors) == river_detections(theirs, errors)


def test_detectors_say_at_which_row_and_begin_again() -> None:
    """Rows count from 0 over the whole stream; the window and the mean are those since the change."""
    adwin = ADWIN(clock=1)
    assert (adwin.mean, adwin.width) == (0.0, 0)
    told = [row for row, x in enumerate([0.0] * 40 + [5.0] * 40) if adwin.update(x)]
    assert told == adwin.detections
    assert 40 < told[0] < 60
    assert adwin.mean == pytest.approx(5.0, abs=0.7)
    for detector in (PageHinkley(threshold=3), HDDMA()):
        told = [row for row, x in enumerate([0.0] * 100 + [1.0] * 100) if detector.update(x)]
        assert told == detector.detections
        assert 100 < told[0] < 115
