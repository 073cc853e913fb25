"""The reconstruction error is that of scikit-learn's scaler and principal components."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from mlops.statistics.reconstruction import Reconstruction


@pytest.mark.parametrize(("rows", "columns"), [(2000, 7), (500, 3), (300, 40), (50, 2)])
def test_errors_are_those_of_scikit_learn(rows: int, columns: int) -> None:
    rng = np.random.default_rng([rows, columns])
    mixed = rng.normal(size=(columns, columns))
    before, after = (rng.normal(size=(rows, columns)) @ mixed * 7.0 + 3.0 for _ in range(2))
    scaler, components = StandardScaler(), PCA(n_components=0.65)
    components.fit(scaler.fit_transform(before))
    scaled = scaler.transform(after)
    restored = components.inverse_transform(components.transform(scaled))

    found = Reconstruction.of(before).errors(after)

    assert found == pytest.approx(np.linalg.norm(restored - scaled, axis=1), rel=1e-9)


def test_a_constant_column_is_no_division_by_zero() -> None:
    table = np.column_stack([np.arange(50.0), np.ones(50), np.arange(50.0) % 7])

    assert np.isfinite(Reconstruction.of(table).errors(table)).all()
