"""A small loop with every kind in it, and its final state in terms that two runs can be compared by."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.e2e import scenarios
from tests.e2e_cluster.kubectl import condition

if TYPE_CHECKING:
    from tests.faults_on_cluster.place import Place

Object = dict[str, Any]

DATASET = """
apiVersion: mlops.dev/v1alpha1
kind: Dataset
metadata: {name: parts}
spec:
  source: {s3: {uri: "s3://raw/parts/"}}
  format: parquet
  fields:
    - {name: id, type: string, role: entityKey}
    - {name: time, type: timestamp, role: timestamp}
    - {name: height, type: float64}
    - {name: width, type: float64}
    - {name: depth, type: float64}
    - {name: fits, type: string, role: label, enum: ["no", "yes"]}
  split: {strategy: time, fractions: {train: "0.6", validation: "0.1", test: "0.3"}}
"""
RUN = """
apiVersion: mlops.dev/v1alpha1
kind: TrainingRun
metadata: {name: parts}
spec:
  datasetRef: {name: parts}
  trainer: {estimator: {name: LogisticRegression}}
  reproducibility: {seed: 1}
  gates: [{metric: roc_auc, min: "0.7"}]
  register: {modelName: parts}
"""
MONITOR = """
apiVersion: mlops.dev/v1alpha1
kind: DriftMonitor
metadata: {name: parts}
spec:
  targetRef: {modelName: parts}
  schedule: "0 0 1 1 *"
  window: {duration: 1d, minSamples: 50}
  checks: [{name: inputs, type: DataDrift}]
  actions: [{when: [DataDrift], do: Hold}]
"""
LOOP = f"{DATASET}---{RUN}---{MONITOR}"

# A trainer in an image of its own that takes its time before it does the work, and goes when it is told to.
SLOW_RUN = RUN.replace(
    "trainer: {estimator: {name: LogisticRegression}}",
    'trainer: {container: {image: "example.com/own-trainer:1", command: [sh, -c], '
    "args: [\"trap 'exit 143' TERM; sleep SECONDS & wait; exec python train.py --trees 5\"]}}",
)


def slow_run(seconds: int) -> str:
    """The run of the example whose training begins `seconds` after its pod."""
    return SLOW_RUN.replace("SECONDS", str(seconds))


@cache
def history() -> bytes:
    """The rows that the example learns from: the same bytes each time."""
    buffer = io.BytesIO()
    scenarios.frame(300, scenarios.START, timedelta(minutes=1), seed=1).write_parquet(buffer)
    return buffer.getvalue()


def deploy(there: Place, manifests: str = LOOP) -> None:
    """Apply the example and wait until all of it is Ready."""
    there.apply(manifests)
    ready(there, manifests)


def ready(there: Place, manifests: str = LOOP, within: float = 300) -> None:
    """Wait until everything of the example is Ready."""
    there.ready("dataset", "parts", within)
    if "TrainingRun" in manifests:
        there.ready("trainingrun", "parts", within)
        there.ready("modelversion", "parts-v1", within)
    if "DriftMonitor" in manifests:
        there.ready("driftmonitor", "parts", within)


_DIGESTS = ("contentDigest", "digest", "artifact", "schemaDigest", "inputsDigest", "outputDigest", "predictionDigest")
_OTHERS = ("format", "metrics", "rows", "version", "stages", "modelVersionRef", "attempts")


def outcome(there: Place) -> Object:
    """What is there, without what differs from run to run: specs, digests, where each object stands, children."""
    found: Object = {}
    for kind in ("dataset", "trainingrun", "modelversion", "driftmonitor"):
        for each in there.list(f"{kind}s.mlops.dev"):
            status = each.get("status", {})
            found[f"{kind} {each['metadata']['name']}"] = {
                "spec": each["spec"],
                "status": {name: status[name] for name in (*_DIGESTS, *_OTHERS) if name in status},
                "ready": [condition(each, "Ready").get(name) for name in ("status", "reason")],
                "leaving": "deletionTimestamp" in each["metadata"],
                "finalizers": each["metadata"].get("finalizers", []),
            }
    for each in there.list("deployments,services,cronjobs", "app.kubernetes.io/managed-by=mlops-operator"):
        metadata, spec = each["metadata"], each["spec"]
        found[f"{each['kind']} {metadata['name']}"] = {
            "owners": sorted([owner["kind"], owner["name"]] for owner in metadata.get("ownerReferences", ())),
            "labels": metadata["labels"],
            "spec": _without_addresses(spec),
        }
    # A pod's task and its Secret's name say where it is.
    anywhere: Object = json.loads(json.dumps(found).replace(there.name, "<namespace>"))
    return anywhere


def jobs(there: Place) -> dict[str, int]:
    """How many Jobs there are of each owner."""
    found: dict[str, int] = {}
    for job in there.jobs():
        owners = job["metadata"].get("ownerReferences") or [{"kind": "nobody", "name": ""}]
        component = job["metadata"]["labels"]["app.kubernetes.io/component"]
        key = f"{owners[0]['kind']} {owners[0]['name']} {component}"
        found[key] = found.get(key, 0) + 1
    return found


def _without_addresses(value: Any) -> Any:
    """The spec of a child without the addresses that a Service was given."""
    if isinstance(value, dict):
        given = ("clusterIP", "clusterIPs")
        return {name: _without_addresses(inner) for name, inner in value.items() if name not in given}
    return [_without_addresses(inner) for inner in value] if isinstance(value, list) else value
