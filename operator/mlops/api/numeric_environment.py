"""The environment of processes that compute numbers. Without pydantic: the child that opens files needs it, too."""

from __future__ import annotations

# What a training or serving process must see, so that the same inputs give the same bits (see docs/reproducibility.md).
NUMERIC_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "2",
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
}
