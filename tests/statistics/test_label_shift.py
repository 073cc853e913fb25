"""Did the class balance move?"""

import math

import pytest
from scipy import stats
from scipy.spatial import distance

from mlops.statistics.dependence import pooled
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


def test_dependent_rows_divide_the_statistic_before_it_is_judged() -> None:
    """By the inflation of both samples, the smaller one's for more; what is told is the statistic itself."""
    reference, current = {"a": 500, "b": 300, "c": 200}, {"a": 150, "b": 100, "c": 100}
    plain = compare_labels(reference, current)
    for inflation in ((4.0, 1.0), (1.0, 4.0), (2.0, 3.0)):
        found = compare_labels(reference, current, inflation)
        share = pooled(inflation[0], 1000, inflation[1], 350)
        assert found.chi_square.value == plain.chi_square.value
        assert found.chi_square.pvalue == pytest.approx(stats.chi2.sf(plain.chi_square.value / share, 2), rel=1e-9)
        assert (found.ratio, found.jensen_shannon) == (plain.ratio, plain.jensen_shannon)
    assert compare_labels(reference, current, (1.0, 1.0)) == plain
    assert compare_labels({"a": 5}, {"a": 7}, (3.0, 3.0)).chi_square.pvalue == 1.0, "one class has nothing to compare"


def test_classes_are_told_in_order_of_their_type_and_name() -> None:
    """The same each time, whatever the order of the rows."""
    counts = {"b": 1, 10: 1, "a": 1, 2: 1, True: 1}
    assert list(compare_labels(counts, dict(reversed(counts.items()))).ratio) == [True, 10, 2, "a", "b"]
