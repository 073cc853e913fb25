"""The verifying pod: is this the model that was recorded, does it answer as recorded, and how fast?"""

from __future__ import annotations

import math
import time

from mlops.api.tasks import VerifyReport, VerifyTask
from mlops.workloads.floor.model.contents import check_contents
from mlops.workloads.floor.model.isolated import OPEN_SECONDS, asked, child_for, model_file
from mlops.workloads.floor.pod import Pod
from mlops.workloads.serve.loading import Loaded, fetch, one_row_seconds, percentile

PREDICTIONS = 200
# A neighbour that is busy briefly is not busy in every round, and a node that is busy now may not be in a minute.
ROUNDS, PAUSE_SECONDS = 5, 0.2
# After so long no round begins, and none goes on: what was measured by then is the answer. The Job ends after 600 s.
ROUNDS_SECONDS = 240.0
# A model whose single prediction takes longer than what this leaves is none that can be measured.
MEASURE_SECONDS = 360.0
MOST_ROUNDS, LONG_PAUSE_SECONDS = 35, 2.0


def verify(pod: Pod, task: VerifyTask) -> VerifyReport:
    """Check digest, contents and recorded answers, and measure one-row predictions.

    This process holds the store's keys and never opens the model: a child without them does.

    Raises BadInput and StoreError as `loading.load` does; FormatForbidden for a model that ends the child.
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


def p99_seconds(loaded: Loaded, limit_milliseconds: int | None) -> float:
    """Return the 99th percentile of one-row predictions in the best of some rounds; more rounds while above the limit.

    The gate asks how fast the model is. What else the node does can only add to that, so the least disturbed round
    says it best. A slow model has fewer rounds, and at least one prediction: the gate says that it is slow.
    """
    best, end = math.inf, time.monotonic() + ROUNDS_SECONDS
    for number in range(MOST_ROUNDS):
        if number >= ROUNDS and (limit_milliseconds is None or 1000 * best <= limit_milliseconds):
            break
        if number and time.monotonic() >= end:
            break
        measured = one_row_seconds(loaded, PREDICTIONS, until=end)
        # A round that was cut off tells less than one that is whole.
        if number == 0 or len(measured) == PREDICTIONS:
            best = min(best, percentile(measured, 0.99))
        time.sleep(PAUSE_SECONDS if number < ROUNDS else LONG_PAUSE_SECONDS)
    return best
