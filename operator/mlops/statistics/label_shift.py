"""Did the class balance move, and by how much?"""

from __future__ import annotations

import math
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
    r, c = np.array([[counts.get(name, 0) for name in names] for counts in (reference, current)], dtype=np.int64)
    test, dof = chi_square_homogeneity(r, c)
    if dof and max(inflation) > 1.0:
        share = pooled(inflation[0], int(r.sum()), inflation[1], int(c.sum()))
        test = Statistic(test.value, chi2_sf(test.value / share, dof))
    n, m = sum(reference.values()), sum(current.values())
    ratio = {
        name: (current.get(name, 0) / m) / (reference[name] / n) if reference.get(name) else math.inf for name in names
    }
    return LabelCounts(test, dof, jensen_shannon(r, c), ratio)
