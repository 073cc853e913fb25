"""The verifying pod: is this the model that was recorded, does it answer as recorded, and how fast?"""

from __future__ import annotations

from mlops.api.tasks import VerifyReport, VerifyTask
from mlops.workloads.pod import Pod
from mlops.workloads.serve.loading import largest_difference, load, one_row_seconds, percentile

PREDICTIONS = 500


def verify(pod: Pod, task: VerifyTask) -> VerifyReport:
    """Check digest, contents and recorded answers, and measure one-row predictions.

    Raises BadInput and StoreError as `loading.load` does.
    """
    loaded = load(pod.store, task.artifact, pod.scratch / "model")
    return VerifyReport(
        golden_rows=loaded.golden.recorded.prediction.shape[0],
        max_difference=f"{largest_difference(loaded):.3g}",
        p99_milliseconds=f"{1000 * percentile(one_row_seconds(loaded, PREDICTIONS), 0.99):.3f}",
        format=loaded.predictor.signature.format,
    )
