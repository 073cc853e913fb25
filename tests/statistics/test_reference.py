"""A sorted reference: its bins are as documented, for values with ties, gaps and any number of bins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.statistics.reference import SortedReference

VALUES = st.lists(st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1)


@given(VALUES.filter(lambda values: not all(map(np.isnan, values))), st.integers(2, 12))
@settings(deadline=None, max_examples=50)
def test_bins_are_closed_above_and_cut_at_quantiles(values: list[float], bins: int) -> None:
    """Each edge is the smallest value that a share of the rows does not exceed, or lies just below the minimum."""
    found = SortedReference.from_values(values, bins=bins)

    present = np.sort(np.array([value for value in values if not np.isnan(value)]) + 0.0)
    n = len(present)
    edges = sorted({min(v for v in present if bins * (present <= v).sum() >= part * n) for part in range(1, bins)})
    if edges[0] == present[0]:
        edges.insert(0, np.nextafter(edges[0], -np.inf))
    assert found.values.tolist() == present.tolist()
    assert found.missing == len(values) - n
    assert found.edges.tolist() == edges
    bounds = [-np.inf, *edges, np.inf]
    assert found.counts.tolist() == [int(((present > low) & (present <= high)).sum()) for low, high in pairwise(bounds)]
    assert found.std == pytest.approx(present.std(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("factor", [1e279, -1e279, 1e-300, -1e-300])
def test_the_spread_of_very_large_and_small_values_is_theirs(factor: float) -> None:
    """Of either sign: their squares are no doubles."""
    assert SortedReference.from_values(np.array([0.0, 1.0, 3.0]) * factor).std == pytest.approx(
        np.std([0.0, 1.0, 3.0]) * abs(factor), rel=1e-12
    )


@pytest.mark.parametrize("values", [[-1.0, 0.0, 2.0, 3e279], [-3e279, -2.0, 0.0, 1.0], [-1e-300, 0.0, 1e-300, 1e279]])
def test_the_spread_is_scaled_by_the_value_that_is_farthest_from_zero(values: list[float]) -> None:
    """Whichever end that is: by the other one the squares would be none."""
    widest = max(map(abs, values))
    expected = np.std([value / widest for value in values]) * widest

    assert SortedReference.from_values(np.array(values)).std == pytest.approx(expected, rel=1e-12)


def test_ten_bins_unless_another_number_is_asked_for() -> None:
    """Nine edges; two bins are the fewest."""
    assert SortedReference.from_values(np.arange(1000.0)).edges.shape == (9,)
    assert SortedReference.from_values(np.arange(1000.0), bins=2).edges.tolist() == [499.0]
    with pytest.raises(ValueError, match=r"^bins: is 1, expected at least 2$"):
        SortedReference.from_values([1.0], bins=1)
    with pytest.raises(ValueError, match=r"^reference: "):
        SortedReference.from_values([float("nan")])
