"""Many tests at once: adjusted p-values are the published ones."""

import numpy as np
import pytest
from scipy import stats

from mlops.statistics.multiplicity import benjamini_hochberg, bonferroni


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("k", [1, 2, 30, 500])
def test_benjamini_hochberg_equals_scipy(seed: int, k: int) -> None:
    """With ties and zeros among the p-values."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.uniform(size=k) ** 3, 3)
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p), rtol=1e-14)


def test_bonferroni_multiplies_by_the_number_of_tests() -> None:
    """The textbook example."""
    np.testing.assert_allclose(bonferroni([0.01, 0.04, 0.03, 0.005]), [0.04, 0.16, 0.12, 0.02])


def test_no_corrected_p_value_is_above_one() -> None:
    """However many tests there are."""
    assert bonferroni([0.5, 0.9]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("adjust", [benjamini_hochberg, bonferroni])
def test_no_tests_and_impossible_pvalues(adjust) -> None:
    """No feature, no p-value; NaN and numbers outside [0, 1] are refused."""
    assert adjust([]).shape == (0,)
    with pytest.raises(ValueError, match="pvalues: holds NaN"):
        adjust([0.1, np.nan])
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjust([0.1, 1.2])


def test_the_false_discovery_rate_is_held_with_200_stable_columns() -> None:
    """200 columns that did not move: a false alarm in at most alpha of the checks (plain p-values: in every one)."""
    rng = np.random.default_rng(0)
    p = rng.uniform(size=(2_000, 200))
    alarms = np.mean([bool((benjamini_hochberg(line) <= 0.05).any()) for line in p])
    assert 0.035 <= alarms <= 0.065
