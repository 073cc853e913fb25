"""What both models are, as far as their answers can be compared."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.api.canary import Analysis
from mlops.api.costs import Cost, columns_of
from mlops.api.metrics import METRICS, Task, of_task
from mlops.api.reasons import Reason
from mlops.store.artifacts import Store
from mlops.workloads.analysis.answers import BothVersions
from mlops.workloads.floor.model.costs import NO_COSTS
from mlops.workloads.floor.model.described import class_names, signature_at
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.floor.pod import BadInput


@dataclass(frozen=True)
class ComparableModels:
    """The task of both, the classes of either (of two the positive one last), and what answers cost.

    `metric` is None where none is asked for. `unknown` are the classes that only the other version knows, of the
    stable one and of the candidate: it gives them no probability.
    """

    task: Task
    classes: tuple[str, ...]
    metric: str | None
    costs: tuple[Cost, ...]
    unknown: tuple[tuple[str, ...], tuple[str, ...]]

    def versions(self, stable: str, candidate: str) -> BothVersions:
        """Return what is read of their rows."""
        inputs = tuple(name for name, _ in columns_of(self.costs)) if self.metric == "cost" else ()
        return BothVersions(stable, candidate, self.classes, inputs)


def measured(store: Store, analysis: Analysis, *, stable: str, candidate: str) -> ComparableModels:
    """Read both models' descriptions. Raises BadInput for models, or a metric, that cannot be compared."""
    before, after = (signature_at(store, artifact) for artifact in (stable, candidate))
    if before.task != after.task:
        raise BadInput(
            Reason.CONFIGURATION_INVALID,
            f"canary: the candidate is a model of {after.task}, the stable version one of {before.task}: their answers "
            "cannot be compared; leave out metric and predictionDrift",
        )
    known = [class_names(one) for one in (before, after)]
    # The candidate's order: it says which class is the positive one.
    classes = (*known[1], *(name for name in known[0] if name not in known[1]))
    unknown = [tuple(name for name in classes if name not in one) for one in known]
    metric = None if analysis.metric is None else _metric(analysis.metric.name, after, classes)
    return ComparableModels(after.task, classes, metric, after.costs or (), (unknown[0], unknown[1]))


def _metric(wanted: str | None, signature: Signature, classes: tuple[str, ...]) -> str:
    if wanted is None:
        if signature.task == "regression":
            return "rmse"
        return "roc_auc" if len(classes) == 2 else "f1"
    if wanted == "cost" and signature.task == "classification" and not signature.costs:
        raise BadInput(Reason.CONFIGURATION_INVALID, f"analysis.metric.name: cost: {NO_COSTS}")
    fitting = of_task(signature.task, costs=bool(signature.costs))
    if wanted not in fitting or METRICS[wanted].task != signature.task:
        raise BadInput(
            Reason.CONFIGURATION_INVALID,
            f"analysis.metric.name: {wanted} does not fit a {signature.task} model; one of {', '.join(fitting)}",
        )
    return wanted
