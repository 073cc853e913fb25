"""What an engine is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Answer:
    """`values` (n,) are float64 of a regressor, indices of classes (int64) of a classifier; probabilities (n, k)."""

    values: NDArray[Any]
    probabilities: NDArray[np.float64] | None = None
