"""Whether a model takes a map of its answers."""

from __future__ import annotations

from mlops.workloads.floor.model.signature import Signature


def obstacle_of(signature: Signature) -> str | None:
    """Return why the model takes no map of its answers; None if it does."""
    if signature.format == "onnx" and signature.classes is not None and signature.outputs.probabilities is None:
        return "it answers with labels alone, without probabilities"
    return None
