"""The same inputs give the same bits, whatever number of threads the linear algebra is given."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, json
import numpy as np
from mlops.statistics.bootstrap import attribute_drop
from mlops.statistics.change_point import change_point
from mlops.statistics.density_ratio import importance_weights
from mlops.statistics.label_shift import compare_labels
from mlops.statistics.metrics import Sample, log_loss_rows
from mlops.statistics.reference import SortedReference
from mlops.statistics.resampling import Resampling
from mlops.statistics.two_sample import compare_numeric

rng = np.random.Generator(np.random.PCG64(7))
x = rng.normal(size=(6_000, 12)); x[3_000:] += 0.2
y = rng.integers(0, 2, 6_000); p = rng.uniform(0.01, 0.99, 6_000)
before, after = Sample(y[:3_000], p[:3_000]), Sample(y[3_000:], p[3_000:])
odds = 1 / (1 + np.exp(-x[:, :3].sum(axis=1)))
weights = importance_weights(odds[:3_000], odds[3_000:])
found = [
    compare_numeric(SortedReference.from_values(x[:3_000, 0]), x[3_000:, 0]),
    compare_numeric(SortedReference.from_values(x[:40, 0]), x[3_000:3_100, 0]),
    weights.weights.tobytes(), weights.overlap,
    attribute_drop("roc_auc", before, after, weights.weights, Resampling(100, 5, 1)),
    change_point(log_loss_rows(y, p), permutations=50),
    compare_labels({"a": 800, "b": 200, "c": 9}, {"a": 5, "b": 6, "c": 7}),
]
print(hashlib.sha256(repr(found).encode()).hexdigest())
"""


def digest(threads: int, hash_seed: int) -> str:
    """The digest of all results in a fresh process."""
    counts = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = {**os.environ, **counts, "PYTHONHASHSEED": str(hash_seed)}
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.mark.parametrize(("threads", "hash_seed"), [(2, 1), (4, 2)])
def test_threads_and_processes_change_no_bit(threads: int, hash_seed: int) -> None:
    """One thread here, several there: a verdict can be repeated on another machine size."""
    assert digest(threads, hash_seed) == digest(1, 0)
