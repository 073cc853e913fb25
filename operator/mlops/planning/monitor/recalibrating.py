"""The spec of a run that only recalibrates: the template's, with the model in the place of what trains, and gates that
such a run can pass."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from mlops.api.estimator import Estimator
from mlops.api.metrics import METRICS, Metric
from mlops.planning.plan import Manifest

_MOST_GATES = 32


def recalibrating(spec: Manifest, artifact: str, metric: Metric, trained_as: Estimator | None) -> Manifest:
    """Return the spec of a template's run as that of one which fits a map of the scores of the model at `artifact`.

    Limits of gates stay. A map cannot improve a ranking, so comparisons of rankings ask for none that is worse; that
    the map is worth a version is asked of `metric`, against the live version, on the newest rows.
    """
    recalibration: Manifest = {"artifact": artifact}
    if trained_as is not None:
        recalibration["trainedAs"] = trained_as.dump()
    gates = [_without_a_gain(gate) for gate in spec.get("gates", ())]
    better = {"metric": metric, "dataset": "test", "compareTo": "champion", "minDelta": "0"}
    kept = {name: value for name, value in spec.items() if name != "search"}
    return {
        **kept,
        "trainer": {"recalibration": recalibration},
        # A template with as many gates as there can be has its own.
        "gates": [*gates, better] if len(gates) < _MOST_GATES and better not in gates else gates,
    }


def _without_a_gain(gate: dict[str, Any]) -> dict[str, Any]:
    known = METRICS.get(gate["metric"])
    ranks = known is not None and known.reads == "score"
    if gate.get("compareTo") is None or not ranks:
        return gate
    return {**gate, "minDelta": min(gate.get("minDelta", "0"), "0", key=Decimal)}
