"""The reconstruction error of NannyML's car loan data, chunk by chunk, beside the values that NannyML publishes.

    python bench/drift_reconstruction.py FOLDER

FOLDER holds synthetic_car_loan_reference.csv and synthetic_car_loan_analysis.csv: `nannyml/datasets/data` in the wheel
nannyml 0.13.1 (`pip download --no-deps nannyml==0.13.1`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

from mlops.statistics.reconstruction import Reconstruction

NUMBERS = ("car_value", "debt_to_income_ratio", "driver_tenure")
CATEGORIES = ("salary_range", "repaid_loan_on_prev_car", "size_of_downpayment")
LENGTH = "loan_length"
PUBLISHED = (1.141517, 1.130636, 1.138914, 1.145040, 1.137563, 1.249205, 1.243101, 1.258147, 1.228179, 1.259884)
ROWS = 5000


def coded(frame: pl.DataFrame, reference: pl.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Numbers, and categories as their counts in the reference."""
    columns = [frame[name].cast(pl.Float64).to_numpy() for name in (*NUMBERS, LENGTH)]
    for name in CATEGORIES:
        counts = dict(reference[name].value_counts(name="n").iter_rows())
        columns.append(np.array([float(counts.get(value, 0)) for value in frame[name].to_list()]))
    return np.column_stack(columns)


def main() -> int:
    """Print both, and return 1 if one differs in the sixth decimal."""
    folder = Path(sys.argv[1])
    reference, analysis = (pl.read_csv(folder / f"synthetic_car_loan_{part}.csv") for part in ("reference", "analysis"))
    errors = Reconstruction.of(coded(reference, reference)).errors(coded(analysis, reference))
    found = errors.reshape(-1, ROWS).mean(axis=1)
    for ours, theirs in zip(found, PUBLISHED, strict=True):
        print(f"{ours:.6f} {theirs:.6f} {ours - theirs:+.1e}")
    return int(np.abs(found - np.array(PUBLISHED)).max() > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
