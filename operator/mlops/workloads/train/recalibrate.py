"""Recalibration: a model that is there stays as it is, and gets a map of its answers, fitted to the rows to train on.

Only children of this pod open the model, and write its graph: the bytes may be anybody's.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np

from mlops.api.costs import Costs
from mlops.api.reasons import Reason
from mlops.api.training_run import Recalibration
from mlops.statistics.arrays import FloatArray
from mlops.statistics.metrics import encode
from mlops.statistics.score_map import ScoreMap, fit_classes, fit_numbers
from mlops.store.errors import NotFound
from mlops.workloads.floor.isolation.parent import ChildEnded
from mlops.workloads.floor.log import say
from mlops.workloads.floor.model.isolated import OPEN_SECONDS, IsolatedPredictor, child_for, refused
from mlops.workloads.floor.model.mappable import obstacle_of
from mlops.workloads.floor.model.predictor import Prediction, Predictor
from mlops.workloads.floor.model.signature import MappedScores, Outputs, Signature, class_name, write_signature
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.train.artifact import inputs_of
from mlops.workloads.train.costs import check_costs
from mlops.workloads.train.data import Data
from mlops.workloads.train.evaluate import NO_PROBABILITIES
from mlops.workloads.train.personal import check_adopted

# As of rows after a change: fewer do not carry a map.
MIN_ROWS = 50
# What the map's own nodes take of a graph's bytes.
_ROOM = 1 << 20
_FILE = "model.onnx"


def recalibrated(
    pod: Pod,
    wanted: Recalibration,
    data: Data,
    folder: Path,
    children: contextlib.ExitStack,
    costs: Costs | None = None,
) -> tuple[Predictor, str]:
    """Write the model at `wanted.artifact`, with a map of its answers, into `folder`; return it, and the map in words.

    `costs` are the run's; without them the model keeps those that it has.

    Raises BadInput: OutputInvalid for a model that takes no map, DataUnusable for rows that say nothing of one,
    NotFound where there is no such model; and the store's errors.
    """
    source = pod.scratch / "recalibrated"
    try:
        pod.store.get(wanted.artifact, source)
    except NotFound as error:
        raise BadInput(
            error.reason, f"spec.trainer.recalibration.artifact: {error}: name that of a ModelVersion"
        ) from error
    model = IsolatedPredictor.open(source, children.enter_context(child_for(source)))
    signature = model.signature
    if obstacle := obstacle_of(signature):
        raise BadInput(Reason.OUTPUT_INVALID, f"the model {wanted.artifact} takes no map of its answers: {obstacle}")
    _check_rows(signature, data)
    check_costs(costs, data, signature.inputs, signature.classes)
    found, of = _fitted(model, data), wanted.artifact
    in_graph = signature.format == "onnx"
    if in_graph:
        graph, outputs = _mapped_graph(source, signature, found)
        (folder / _FILE).write_bytes(graph)
    else:
        outputs, file = signature.outputs, f"model.{signature.format}"
        shutil.copyfile(source / file, folder / file)
        if signature.mapped is not None:
            # The file has no map of its own, so what it is described by does what both do.
            of = signature.mapped.artifact
            found = found.after(ScoreMap(signature.mapped.slope, signature.mapped.bias))
    marks = {one.name: one.pii for one in data.inputs}
    made = signature.evolve(
        outputs=outputs,
        costs=signature.costs if costs is None else costs,
        inputs=tuple(one.evolve(pii=marks[one.name]) for one in signature.inputs),
        mapped=MappedScores(artifact=of, in_graph=in_graph, slope=found.slope, bias=found.bias),
    )
    write_signature(made, folder)
    # What the Dataset says of personal data may be newer than the model.
    check_adopted(made, folder, data)
    return IsolatedPredictor.open(folder, children.enter_context(child_for(folder))), _in_words(made, found, data)


def _check_rows(signature: Signature, data: Data) -> None:
    """Refuse rows that the model cannot answer, or whose labels it does not know."""
    types = {one.name: one.type for one in data.inputs}
    for one in signature.inputs:
        if types.get(one.name) != one.type:
            raise _unusable(f"the model takes {one.name!r} ({one.type}), which these rows do not have")
    if (signature.label.name, signature.label.type) != (data.label.name, data.label.type):
        raise _unusable(
            f"the model predicts {signature.label.name!r} ({signature.label.type}), the label of these rows is "
            f"{data.label.name!r} ({data.label.type})"
        )
    rows = data.parts["train"].height
    if rows < MIN_ROWS:
        raise _unusable(f"{rows} rows to fit a map to, fewer than {MIN_ROWS}: wait for more rows with labels")
    known = set(signature.classes or ())
    for frame in data.parts.values() if known else ():
        if strange := sorted(class_name(one) for one in set(frame[data.label.name].to_list()) - known):
            raise _unusable(f"the rows have the class {strange[0][:60]!r}, which the model does not know")


def _fitted(model: Predictor, data: Data) -> ScoreMap:
    answer = model.predict(inputs_of(data.parts["train"], model.signature.inputs))
    truth, classes = data.labels("train"), model.signature.classes
    try:
        if classes is None:
            found = fit_numbers(answer.prediction, truth.astype(np.float64))
        else:
            found = fit_classes(_table(model, answer), encode(truth, classes))
    except ValueError as error:
        raise _unusable(f"no map of the answers can be fitted: {error}") from error
    if not found.keeps_order:
        raise _unusable("the answers rank these rows the wrong way round, which no map that keeps their order mends")
    return found


def _table(model: Predictor, answer: Prediction) -> FloatArray:
    if answer.probabilities is None:
        file = f"model.{model.signature.format}"
        raise BadInput(Reason.OUTPUT_INVALID, f"{file} takes no map of its answers: {NO_PROBABILITIES}")
    return answer.probabilities


def _mapped_graph(source: Path, signature: Signature, found: ScoreMap) -> tuple[bytes, Outputs]:
    """Have a child put the map behind the graph; what it gives back is checked when it is opened."""
    path, classes = source / _FILE, len(signature.classes or ())
    document = {
        "path": str(path),
        "output": signature.outputs.probabilities if classes else signature.outputs.value,
        "classes": classes,
        "slope": found.slope,
        "bias": list(found.bias),
    }
    most = path.stat().st_size + _ROOM
    with child_for(source) as child:
        try:
            names, arrays = child.ask("recalibrate", document, seconds=OPEN_SECONDS, most=most)
        except ChildEnded as error:
            raise refused(_FILE, error) from error
    graph, size = arrays.get("graph"), names.get("bytes")
    if graph is None or not isinstance(size, int):
        raise BadInput(Reason.OUTPUT_INVALID, f"{_FILE}: no graph with a map came of it")
    said = {kind: str(names[kind]) for kind in ("label", "probabilities", "value") if kind in names}
    return graph.tobytes()[:size], Outputs.model_validate(said)


def _in_words(signature: Signature, found: ScoreMap, data: Data) -> str:
    rows = data.parts["train"].height
    if signature.classes is None:
        said = f"{found.slope:.4g} * answer + {found.bias[0]:.4g}"
    else:
        shown = ", ".join(
            f"{class_name(one)} {bias:.3g}" for one, bias in zip(signature.classes, found.bias, strict=True)
        )
        said = f"softmax({found.slope:.4g} * log p + bias), bias: {shown[:120]}"
    note = f"recalibrated on {rows} rows: {said}"
    say(note)
    return note


def _unusable(problem: str) -> BadInput:
    return BadInput(
        Reason.DATA_UNUSABLE,
        f"{problem}: train a model (spec.trainer.estimator); a monitor does so by do: Rebuild",
    )
