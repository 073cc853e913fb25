"""Rows that a model has answered."""

import numpy as np

from mlops.api.metrics import METRICS
from mlops.statistics.metrics import Sample

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


def wandering(rng: np.random.Generator, rows: int, phi: float) -> Floats:
    """An AR(1) series of unit variance: each row is `phi` of the one before, and noise."""
    noise, state = (rng.normal(size=rows) * np.sqrt(1 - phi * phi)).tolist(), rng.normal()
    values = []
    for each in noise:
        state = phi * state + each
        values.append(state)
    return np.array(values)


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
        prediction = (score > 0.5).astype(int) if kind == "label" else score
    return Sample(y, prediction, rng.exponential(size=n) if weighted else None)
