"""The profile stored beside a model: the same bits for any chunks, and small whatever the rows."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.statistics.exact_moments import ExactMoments
from mlops.statistics.profile import CategoricalProfile, CategoricalProfiler, NumericProfile, NumericProfiler

values = st.lists(st.one_of(st.floats(-1e280, 1e280), st.just(math.nan), st.integers(-3, 3).map(float)), max_size=60)


def profile(chunks: list[np.ndarray], **bounds: int) -> NumericProfile:
    """The profile of a column delivered in chunks."""
    profiler = NumericProfiler(**bounds)
    for chunk in chunks:
        profiler.add(chunk)
    return profiler.profile()


def test_a_profile_says_what_numpy_says() -> None:
    """Counts, extremes, moments and quantiles of a column with gaps, far from zero."""
    rng = np.random.default_rng(0)
    column = rng.normal(1e6, 1e-2, 5_000)
    column[::10] = np.nan
    found = profile([column])
    assert (found.count, found.missing, found.distinct, found.distinct_exact) == (5_000, 500, 1_000, False)
    assert (found.minimum, found.maximum) == (np.nanmin(column), np.nanmax(column))
    assert found.mean == pytest.approx(np.nanmean(column), rel=1e-15)
    assert found.std == pytest.approx(np.nanstd(column), rel=1e-7)
    assert found.quantiles == {str(q): np.nanquantile(column, q) for q in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)}
    assert not found.sampled
    assert found.reference.missing == 500


@given(column=values, cuts=st.lists(st.integers(0, 60), max_size=5))
@settings(deadline=None)
def test_chunks_change_no_bit(column: list[float], cuts: list[int]) -> None:
    """However the rows are delivered, with any finite values and gaps, the profile is the same."""
    whole = np.array(column, dtype=np.float64)
    chunks = np.split(whole, sorted(min(cut, len(column)) for cut in cuts))
    bounds = {"max_sample": 20, "max_distinct": 5}
    assert json.dumps(profile(chunks, **bounds).to_dict()) == json.dumps(profile([whole], **bounds).to_dict())


@given(column=values, seed=st.integers(0, 99))
@settings(deadline=None)
def test_row_order_changes_no_bit_while_all_rows_are_kept(column: list[float], seed: int) -> None:
    """Only the sample of a longer column depends on which row is which."""
    whole = np.array(column, dtype=np.float64)
    shuffled = np.random.default_rng(seed).permutation(whole)
    assert json.dumps(profile([shuffled]).to_dict()) == json.dumps(profile([whole]).to_dict())


def test_a_long_column_keeps_a_seeded_sample() -> None:
    """40 times the bound: a fair sample of that size with the column's share of gaps; another seed, another one."""
    rng = np.random.default_rng(1)
    column = rng.normal(size=100_000)
    column[rng.uniform(size=100_000) < 0.2] = np.nan
    first = profile(np.array_split(column, 13), max_sample=2_000)
    again = profile(np.array_split(column, 7), max_sample=2_000)
    other = profile([column], max_sample=2_000, seed=2)
    assert first.sampled
    assert first.reference.values.shape == (2_000,)
    assert first.reference.missing / 2_000 == pytest.approx(0.25, abs=0.01)
    assert first.to_dict() == again.to_dict()
    assert first.quantiles != other.quantiles
    assert first.quantiles["0.5"] == pytest.approx(0.0, abs=0.1)
    assert first.std == other.std


def test_a_profile_comes_back_from_json() -> None:
    """Also one of a column without a value."""
    for column in (np.array([1.0, 2.0, np.nan]), np.array([np.nan]), np.array([])):
        stored = profile([column]).to_dict()
        assert NumericProfile.from_dict(json.loads(json.dumps(stored))).to_dict() == stored


@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=40))
@settings(deadline=None)
def test_moments_are_correctly_rounded(column: list[float]) -> None:
    """The mean is that of exact arithmetic."""
    moments = ExactMoments()
    moments.add(np.array(column))
    assert moments.mean == pytest.approx(math.fsum(column) / len(column), rel=1e-15, abs=5e-324)
    assert moments.std >= 0.0


def test_moments_survive_cancellation() -> None:
    """What a running sum of squares loses."""
    moments = ExactMoments()
    moments.add(np.array([1e16, 1.0, -1e16]))
    assert moments.mean == pytest.approx(1 / 3, rel=1e-16)
    steady = ExactMoments()
    steady.add(1e12 + np.array([4.0, 7.0, 13.0, 16.0]))
    assert steady.std == math.sqrt(22.5)


def test_categories_are_counted_and_ranked() -> None:
    """Chunks in any order, ties by name."""
    chunks = [({"b": 2, "a": 1}, 1), ({"c": 5}, 0), ({"a": 1}, 2)]
    results = []
    for order in (chunks, chunks[::-1]):
        profiler = CategoricalProfiler()
        for counts, missing in order:
            profiler.add(counts, missing)
        results.append(profiler.profile())
    assert results[0] == results[1]
    assert list(results[0].categories.items()) == [("c", 5), ("a", 2), ("b", 2)]
    assert (results[0].count, results[0].missing, results[0].distinct) == (12, 3, 3)
    assert CategoricalProfile.from_dict(json.loads(json.dumps(results[0].to_dict()))) == results[0]


def test_an_identifier_is_not_counted_for_ever() -> None:
    """Past the bound names are dropped: memory stays bounded and the profile says so."""
    profiler = CategoricalProfiler(max_categories=100)
    for chunk in range(10):
        profiler.add({f"{chunk}-{i}": 1 for i in range(50)})
    found = profiler.profile()
    assert (found.categories, found.distinct, found.count) == (None, 101, 500)
    assert CategoricalProfile.from_dict(found.to_dict()) == found


def test_infinity_is_refused_by_column() -> None:
    """The message names the column."""
    with pytest.raises(ValueError, match="price: holds infinity"):
        NumericProfiler(name="price").add([1.0, math.inf])
    with pytest.raises(ValueError, match="max_sample: is 0"):
        NumericProfiler(max_sample=0)
    with pytest.raises(ValueError, match="max_categories: is 0"):
        CategoricalProfiler(max_categories=0)
