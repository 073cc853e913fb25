"""From an address to a model that is known to be the right one: digest, contents, recorded answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlops.api.reasons import Reason
from mlops.store.artifacts import Store
from mlops.store.errors import NotFound
from mlops.workloads.floor.model.golden import GoldenRows, check_golden, read_golden
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.pod import BadInput


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that gave its recorded answers."""

    predictor: Predictor
    golden: GoldenRows

    @property
    def gives_probabilities(self) -> bool:
        """Whether its answers carry probabilities."""
        return self.golden.recorded.probabilities is not None


def load(store: Store, digest: str, folder: Path, *, fetched: Callable[[], None] = lambda: None) -> Loaded:
    """Fetch the artifact into `folder`, say that it is `fetched`, open it in this process and ask for its recorded
    answers.

    For a server only: what it is told to serve by digest is what the verifying pod opened in a child before, and bytes
    of another digest are never opened. The structure is checked all the same, as it is by every reader.

    Raises BadInput: ArtifactNotFound, GoldenFailed and what Predictor.load raises; StoreError: DigestMismatch.
    """
    fetch(store, digest, folder)
    fetched()
    return open_checked(folder)


def fetch(store: Store, digest: str, folder: Path) -> None:
    """Fetch the artifact into `folder`. Raises BadInput: ArtifactNotFound; StoreError: DigestMismatch."""
    try:
        store.get(digest, folder)
    except NotFound as error:
        raise BadInput(
            Reason.ARTIFACT_NOT_FOUND, f"{error}; the artifact was never stored here, or has been removed"
        ) from error


def open_checked(folder: Path) -> Loaded:
    """Open a model and hold it against its recorded answers. Raises BadInput: GoldenFailed, and as Predictor.load."""
    predictor = Predictor.load(folder)
    golden = read_golden(folder, predictor.signature)
    if golden.recorded.prediction.shape[0] == 0:
        raise BadInput(Reason.GOLDEN_FAILED, "golden.json holds no rows; a model is checked by at least one")
    difference = check_golden(predictor, golden)
    if difference is not None:
        raise BadInput(
            Reason.GOLDEN_FAILED,
            f"the model does not give its recorded answers (tolerance {predictor.signature.tolerance}): {difference}; "
            f"it was made with {predictor.signature.libraries}: serve it with the same, or train again",
        )
    return Loaded(predictor, golden)


def largest_difference(loaded: Loaded) -> float:
    """Return the largest absolute difference between an answer and the recorded one; of classes, 0 or 1."""
    answer, recorded = loaded.predictor.predict(loaded.golden.inputs), loaded.golden.recorded
    if recorded.probabilities is not None and answer.probabilities is not None:
        return float(np.abs(answer.probabilities - recorded.probabilities).max())
    if loaded.predictor.signature.classes is not None:
        return float((answer.prediction != recorded.prediction).any())
    return float(np.abs(answer.prediction - recorded.prediction).max())
