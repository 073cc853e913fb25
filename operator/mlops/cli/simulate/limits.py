"""What of a policy cannot be rehearsed, because a state folder has no record of when it was there."""

from __future__ import annotations

from collections.abc import Iterator

from mlops.api.base import format_time, parse_time
from mlops.api.drift_monitor import DriftMonitorSpec
from mlops.api.metrics import METRICS
from mlops.cli.errors import UserError
from mlops.cli.simulate.history import History
from mlops.planning.plan import Manifest


def refuse_without_costs(metric: str | None, template: Manifest) -> None:
    """Raise UserError for a metric of costs where the template does not say what answers cost."""
    if metric is not None and METRICS[metric].reads == "cost" and not template["spec"].get("costs"):
        raise UserError(
            f"--metric {metric}: TrainingRun {template['metadata']['name']!r} does not say what answers cost: apply it "
            "with spec.costs, or name another metric"
        )


def refuse_undated(spec: DriftMonitorSpec) -> None:
    """Raise UserError for labels and references of which nobody knows what was there at an earlier time.

    Files and versions of Datasets that are there today would tell a check of last year how things came out.
    """
    for number, source in enumerate(spec.labels.sources or ()):
        if source.feedback is None:
            raise UserError(
                f"spec.labels.sources[{number}] is {source.shown}: a rehearsal has the labels of the feedback endpoint "
                "only, for those it knows when each came. Take spec.labels.sources out of the file in -f to rehearse "
                "with them; labels that were delivered take part once they are sent to the endpoint"
            )
    if spec.reference is not None and spec.reference.dataset is not None:
        raise UserError(
            f"spec.reference.datasetRef is Dataset {spec.reference.dataset}: a rehearsal trains on versions of its own "
            "and has no other ones. Take spec.reference out of the file in -f, and windows are compared with what the "
            "live version was trained on; or name captured requests by reference.window or reference.seasonal"
        )


def notes_on_reference(spec: DriftMonitorSpec, history: History) -> Iterator[str]:
    """Yield what whoever reads the table should know of a reference of captured requests.

    Raises UserError if none of its requests was recorded.
    """
    wanted = spec.reference
    if wanted is None or not (wanted.window or wanted.seasonal):
        return
    if wanted.window is not None and parse_time(wanted.window.end) < history.first:
        raise UserError(
            f"spec.reference.window ends at {wanted.window.end}, and the first request in the state folder is of "
            f"{format_time(history.first)}: name a later span"
        )
    yield (
        "Windows are compared with captured requests: those up to the beginning as they were recorded, later ones as "
        "each policy answered them. Checks for which there are none yet are Inconclusive."
    )


def notes_on_faults(spec: DriftMonitorSpec) -> Iterator[str]:
    """Yield what makes always and coins train less often than they say."""
    if quality := [check.name for check in spec.checks if check.type == "DataQuality"]:
        yield (
            f"Of the checks {', '.join(quality)} no policy trains while one has found a fault of the data: always and "
            "coins are held back, too."
        )
