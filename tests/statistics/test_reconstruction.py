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


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_a_column_changes_no_error(unit: float) -> None:
    rng = np.random.default_rng(5)
    before, after = (rng.normal(size=(200, 4)) @ np.triu(np.ones((4, 4))) for _ in range(2))
    units = np.array([1.0, unit, 1.0, 1.0])

    found = Reconstruction.of(before * units).errors(after * units)

    assert found == pytest.approx(Reconstruction.of(before).errors(after), rel=1e-6)


def test_as_many_components_as_explain_more_than_the_share() -> None:
    """Four independent columns explain a quarter each: half is not more than half, and the last one is never left."""
    table = np.array([[i >> bit & 1 for bit in range(4)] for i in range(16)], dtype=float)

    kept = {share: Reconstruction.of(table, explained=share).components.shape[0] for share in (0.2, 0.3, 0.6, 0.9)}

    assert kept == {0.2: 1, 0.3: 2, 0.6: 3, 0.9: 4}
    assert Reconstruction.of(table, explained=1.0).components.shape[0] == 4
