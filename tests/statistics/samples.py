"""Rows that a model has answered."""

import numpy as np
from scipy.signal import lfilter

from mlops.api.metrics import METRICS
from mlops.statistics.arrays import FloatArray
from mlops.statistics.joint import Coded, coded_numbers
from mlops.statistics.metrics import Sample

# What an answer (column) costs if a class (row) is true: misses cost more than false alarms, hits gain.
COSTS = np.array([[0.0, 20.0], [500.0, -5.0]])
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


def wandering(rng: np.random.Generator, rows: int, phi: float) -> Floats:
    """An AR(1) series of unit variance: each row is `phi` of the one before, and noise."""
    noise, state = (rng.normal(size=rows) * np.sqrt(1 - phi * phi)).tolist(), rng.normal()
    values = []
    for each in noise:
        state = phi * state + each
        values.append(state)
    return np.array(values)


def coded(values: FloatArray) -> Coded:
    """Columns (n, d) of numbers, each in two codes."""
    columns = values.shape[1]
    return Coded(
        np.column_stack([coded_numbers(values[:, column]) for column in range(columns)]),
        np.repeat(np.arange(columns), 2),
    )


def series(rng: np.random.Generator, rows: int, phi: float, correlation: float = 0.3, columns: int = 6) -> FloatArray:
    """Correlated columns, each an AR(1) series."""
    cholesky = np.linalg.cholesky(np.full((columns, columns), correlation) + (1 - correlation) * np.eye(columns))
    noise = rng.normal(size=(rows + 200, columns)) @ cholesky.T
    return np.asarray(lfilter([np.sqrt(1.0 - phi * phi)], [1.0, -phi], noise, axis=0)[200:])


def sample_for(name: str, n: int, seed: int, *, weighted: bool = False, noise: float = 1.0) -> Sample:
    """Rows on which the model is right more often than not; the more noise, the worse."""
    rng = np.random.default_rng(seed)
    kind = METRICS[name].reads
    if kind == "value":
        y = rng.normal(size=n)
        prediction = y + noise * rng.normal(size=n)
    else:
        y = rng.integers(0, 2, n)
        score = np.round(1 / (1 + np.exp(-(2 * y - 1 + noise * rng.normal(size=n)))), 2)
        said = (score > 0.5).astype(int)
        prediction = {"label": said, "cost": COSTS[:, said].T}.get(kind, score)
    return Sample(y, prediction, rng.exponential(size=n) if weighted else None)
