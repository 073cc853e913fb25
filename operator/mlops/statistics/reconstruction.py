"""How well do rows lie where the reference's lie? The error of their reconstruction from principal components.

Columns are standardised, reduced to as many components as explain a share of the variance, and restored; the error of a
row is the Euclidean distance from what it was. As NannyML's `DataReconstructionDriftCalculator` defines it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlops.statistics.arrays import FloatArray

EXPLAINED = 0.65


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Principal components (k, d) of standardised columns, with their means and standard deviations (d,)."""

    mean: FloatArray
    std: FloatArray
    components: FloatArray

    @classmethod
    def of(cls, table: FloatArray, *, explained: float = EXPLAINED) -> Reconstruction:
        """Fit to rows (n, d) of finite numbers: the fewest components that explain more than `explained`."""
        mean, std = table.mean(axis=0), table.std(axis=0)
        std = np.where(std > 0.0, std, 1.0)
        scaled = (table - mean) / std
        variance, directions = np.linalg.eigh(scaled.T @ scaled)
        variance, directions = variance[::-1], directions[:, ::-1]
        little = np.cumsum(variance) <= explained * float(variance.sum())
        kept = min(int(little.sum()) + 1, table.shape[1])
        return cls(mean, std, np.ascontiguousarray(directions[:, :kept].T))

    def errors(self, table: FloatArray) -> FloatArray:
        """The error (n,) of each row (n, d)."""
        scaled = (table - self.mean) / self.std
        restored = (scaled @ self.components.T) @ self.components
        return np.asarray(np.sqrt(np.square(scaled - restored).sum(axis=1)))
