"""The verifying pod: is this the model that was recorded, does it answer as recorded, and how fast?"""

from __future__ import annotations

from mlops.api.serving_task import VerifyReport, VerifyTask
from mlops.workloads.floor.model.contents import check_contents
from mlops.workloads.floor.model.isolated import OPEN_SECONDS, asked, child_for, model_file
from mlops.workloads.floor.model.opening import fetch
from mlops.workloads.floor.pod import Pod

# A model whose single prediction takes longer than what this leaves is none that can be measured.
MEASURE_SECONDS = 360.0


def verify(pod: Pod, task: VerifyTask) -> VerifyReport:
    """Check digest, contents and recorded answers, and measure one-row predictions.

    This process holds the store's keys and never opens the model: a child without them does.

    Raises BadInput and StoreError as `opening.load` does; FormatForbidden for a model that ends the child.
    """
    folder = pod.scratch / "model"
    fetch(pod.store, task.artifact, folder)
    check_contents(folder)
    file = model_file(folder)
    with child_for(folder) as child:
        found = asked(child, "check", {"folder": str(folder)}, file, OPEN_SECONDS)
        measured = asked(child, "measure", {"limit": task.p99_milliseconds}, file, MEASURE_SECONDS)
    return VerifyReport(
        golden_rows=found["golden_rows"],
        max_difference=found["max_difference"],
        p99_milliseconds=f"{1000 * measured['seconds']:.3f}",
        format=found["format"],
    )
