"""Did the class balance move?"""

import math

import pytest
from scipy import stats

from mlops.statistics.label_shift import compare_labels


def test_label_counts_are_compared_by_chi_square() -> None:
    """Scipy's test, and the ratio of shares per class; a new class has ratio infinity."""
    result = compare_labels({"good": 900, "bad": 100}, {"good": 350, "bad": 150})
    expected = stats.chi2_contingency([[900, 100], [350, 150]], correction=False)
    assert result.chi_square.pvalue == pytest.approx(expected.pvalue, rel=1e-11)
    assert result.ratio == pytest.approx({"bad": 3.0, "good": 0.7 / 0.9})
    assert compare_labels({0: 10}, {0: 5, 1: 5}).ratio == {0: 0.5, 1: math.inf}
