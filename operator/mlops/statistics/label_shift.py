"""Did the class balance move, and by how much?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlops.statistics.dependence import pooled
from mlops.statistics.metrics import Label
from mlops.statistics.special import chi2_sf
from mlops.statistics.two_sample import Statistic, chi_square_homogeneity, jensen_shannon


@dataclass(frozen=True)
class LabelCounts:
    """Chi-square and Jensen-Shannon distance of two class balances; `ratio` is current share / reference share."""

    chi_square: Statistic
    degrees_of_freedom: int
    jensen_shannon: float
    ratio: Mapping[Label, float]


def compare_labels(
    reference: Mapping[Label, int], current: Mapping[Label, int], inflation: tuple[float, float] = (1.0, 1.0)
) -> LabelCounts:
    """Compare labels counted per class. A class that the reference lacks has ratio infinity.

    `inflation` is by how much rows of either sample say less than independent ones would (`dependence`).
    """
    names = sorted(set(reference) | set(current), key=lambda label: (type(label).__name__, str(label)))
    r = np.array([reference.get(name, 0) for name in names], dtype=np.int64)
    c = np.array([current.get(name, 0) for name in names], dtype=np.int64)
    test, dof = chi_square_homogeneity(r, c)
    if dof and max(inflation) > 1.0:
        share = pooled(inflation[0], int(r.sum()), inflation[1], int(c.sum()))
        test = Statistic(test.value, chi2_sf(test.value / share, dof))
    shares = c / c.sum() / np.where(r > 0, r / r.sum(), np.nan)
    ratio = {name: float(share) if np.isfinite(share) else np.inf for name, share in zip(names, shares, strict=True)}
    return LabelCounts(test, dof, jensen_shannon(r, c), ratio)
