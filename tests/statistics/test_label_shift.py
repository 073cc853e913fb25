"""Did the class balance move?"""

import math

import pytest
from scipy import stats
from scipy.spatial import distance

from mlops.statistics.label_shift import compare_labels


def test_label_counts_are_compared_by_chi_square() -> None:
    """Scipy's test, and the ratio of shares per class; a new class has ratio infinity."""
    result = compare_labels({"good": 900, "bad": 100}, {"good": 350, "bad": 150})
    expected = stats.chi2_contingency([[900, 100], [350, 150]], correction=False)
    assert result.chi_square.pvalue == pytest.approx(expected.pvalue, rel=1e-11)
    assert result.ratio == pytest.approx({"bad": 3.0, "good": 0.7 / 0.9})
    assert compare_labels({0: 10}, {0: 5, 1: 5}).ratio == {0: 0.5, 1: math.inf}


def test_a_class_that_is_gone_has_ratio_zero_and_one_that_was_never_there_infinity() -> None:
    """Classes are compared by name, whatever their type and their order; a count of 0 is no row."""
    reference, current = {"a": 30, 1: 50, "gone": 20, "never": 0}, {1: 10, "new": 5, "a": 5}
    result = compare_labels(reference, current)
    assert result.ratio == pytest.approx({"a": 0.25 / 0.3, 1: 1.0, "gone": 0.0, "never": math.inf, "new": math.inf})
    expected = stats.chi2_contingency([[30, 50, 20, 0], [5, 10, 0, 5]], correction=False)
    assert (result.degrees_of_freedom, result.chi_square.value) == (3, pytest.approx(expected.statistic, rel=1e-12))
    assert result.chi_square.pvalue == pytest.approx(expected.pvalue, rel=1e-11)
    assert result.jensen_shannon == pytest.approx(
        distance.jensenshannon([30, 50, 20, 0], [5, 10, 0, 5], base=2), rel=1e-12
    )
