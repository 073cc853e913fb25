"""What runs lead to beside Jobs: the ModelVersion of one that passed its gates, and the runs of a template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from mlops.api import labels
from mlops.api.base import API_VERSION
from mlops.api.estimator import Estimator
from mlops.api.training_run import TrainingRun, TriggerRecord
from mlops.planning.approving import handed_on
from mlops.planning.ownership import owner_of
from mlops.planning.plan import Manifest

_MAX_PARAMS = 64

_PARAM = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def model_version(run: TrainingRun, number: int) -> Manifest:
    """Return the ModelVersion of a run that passed its gates.

    Nothing owns it: deleting the run must not take the model down. Where it comes from stands in labels and lineage.
    """
    register, resolved, status = run.spec.register_, run.status.resolved, run.status
    if register is None or resolved is None or status.output_digest is None:
        raise ValueError(f"TrainingRun {run.metadata.name} has nothing to register")
    own = labels.unowned(
        "model-version",
        run=run.metadata.name,
        model=register.model_name,
        dataset=run.spec.dataset_ref.name,
        digest=labels.short(status.output_digest, 16),
    )
    lineage = {
        "trainingRun": run.metadata.name,
        "dataset": run.spec.dataset_ref.name,
        "datasetVersion": resolved.dataset_version,
        "datasetDigest": resolved.dataset_digest,
        "dataDeliveredAt": resolved.data_delivered_at,
        "inputsDigest": status.inputs_digest,
        "environmentDigest": resolved.environment_digest,
        "parentVersion": resolved.champion_version,
        "estimator": estimator.dump() if (estimator := trained_as(run)) else None,
        "since": run.spec.dataset_ref.since,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {
            "name": model_version_name(register.model_name, number),
            "namespace": run.metadata.namespace,
            "labels": own,
            **({"annotations": authors} if (authors := handed_on(run.metadata)) else {}),
        },
        "spec": {
            "modelName": register.model_name,
            "version": number,
            "artifact": {"digest": status.output_digest},
            "lineage": {name: value for name, value in lineage.items() if value is not None},
            "promotion": register.promotion.dump(),
            "capture": register.capture.dump(),
        },
    }


def trained_as(run: TrainingRun) -> Estimator | None:
    """Return the estimator with the parameters that it was trained with: the search's findings over the spec's.

    A recalibration trains none: the model is what it was trained as before.
    """
    if run.spec.trainer.recalibration is not None:
        return run.spec.trainer.recalibration.trained_as
    estimator = run.spec.trainer.estimator
    if estimator is None:
        return None
    # A pod reported them, and says what it likes: only what may stand in a spec.
    found = {name: value for name, value in (run.status.best_params or {}).items() if _PARAM.fullmatch(name)}
    params = {**estimator.params, **found}
    return estimator.evolve(params=dict(list(params.items())[:_MAX_PARAMS]))


def trigger_of(run: TrainingRun) -> str | None:
    """Return what made a run of a template: the kind of a TriggerRecord; None of any other run."""
    try:
        record = json.loads(run.metadata.annotations.get(labels.TRIGGER, ""))
    except ValueError:
        return None
    kind = record.get("kind") if isinstance(record, dict) else None
    return kind if isinstance(kind, str) else None


def model_version_name(model_name: str, number: int) -> str:
    """Return the name of a version that a run makes."""
    return f"{model_name}-v{number}"


def run_of_template(
    template: TrainingRun,
    name: str,
    trigger: TriggerRecord,
    *,
    spec: Manifest | None = None,
    more_labels: Mapping[str, str] | None = None,
) -> Manifest:
    """Return a run of `template`; `spec` replaces the template's own (without its triggers)."""
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingRun",
        "metadata": {
            "name": name,
            "namespace": template.metadata.namespace,
            "labels": labels.standard(
                "training-run", template.metadata.name, template=template.metadata.name, **(more_labels or {})
            ),
            "annotations": {
                labels.TRIGGER: json.dumps(trigger.dump(), sort_keys=True),
                **handed_on(template.metadata),
            },
            "ownerReferences": owner_of(template),
        },
        "spec": spec if spec is not None else spec_of_run(template),
    }


def spec_of_run(template: TrainingRun) -> Manifest:
    """Return the template's spec as a run's: without triggers, and not suspended."""
    return {key: value for key, value in template.spec.dump().items() if key not in ("triggers", "suspend")}
