"""The spec of a run that only recalibrates: the template's, with the model in the place of what trains, and gates that
such a run can pass."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from mlops.api.estimator import Estimator
from mlops.api.metrics import METRICS, Metric
from mlops.api.training_run import MAX_GATES, Gate, TrainingRun
from mlops.planning.plan import Manifest

# What a ranking may lose: probabilities nearest to none and one, which a map makes equal where it rounds.
_ROUNDING = "-0.001"


def recalibrating(spec: Manifest, artifact: str, metric: Metric, trained_as: Estimator | None) -> Manifest:
    """Return the spec of a template's run as that of one which fits a map of the scores of the model at `artifact`.

    Limits of gates stay. A map cannot improve a ranking, so comparisons of rankings ask for none that is worse; that
    the map is worth a version is asked of `metric`, against the live version, on the newest rows: see `lacks_room`.
    """
    recalibration: Manifest = {"artifact": artifact}
    if trained_as is not None:
        recalibration["trainedAs"] = trained_as.dump()
    gates = [_without_a_gain(gate) for gate in spec.get("gates", ())]
    better = {"metric": metric, "dataset": "test", "compareTo": "champion", "minDelta": "0"}
    asked = any(_asks_for(Gate.model_validate(gate), metric) for gate in gates)
    kept = {name: value for name, value in spec.items() if name != "search"}
    return {
        **kept,
        "trainer": {"recalibration": recalibration},
        "gates": gates if asked else [*gates, better],
    }


def lacks_room(template: TrainingRun, metric: Metric) -> str | None:
    """Return why a recalibration of the template has no room for the gate that it has to pass; None if it has."""
    gates = template.spec.gates
    if len(gates) < MAX_GATES or any(_asks_for(gate, metric) for gate in gates):
        return None
    return (
        f'the template "{template.metadata.name}" has {MAX_GATES} gates, as many as a run may have, and a '
        f"recalibration has to pass one more: put {{metric: {metric}, compareTo: champion}} in the place of one of them"
    )


def _asks_for(gate: Gate, metric: Metric) -> bool:
    """Return whether the gate asks for no worse a value of the metric than the champion's, on the part test."""
    return (gate.metric, gate.dataset, gate.compare_to) == (metric, "test", "champion") and Decimal(gate.min_delta) >= 0


def _without_a_gain(gate: dict[str, Any]) -> dict[str, Any]:
    known = METRICS.get(gate["metric"])
    ranks = known is not None and known.reads == "score"
    if gate.get("compareTo") is None or not ranks:
        return gate
    return {**gate, "minDelta": min(gate.get("minDelta", "0"), _ROUNDING, key=Decimal)}
