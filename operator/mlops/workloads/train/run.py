"""One training: fetch, encode, fit or search, export, evaluate, store, report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlops.api.costs import Costs
from mlops.api.estimators import too_many_categories
from mlops.api.metrics import Task, positive_last
from mlops.api.reasons import Reason
from mlops.api.training_run import MetricValue, Part
from mlops.api.training_task import TrainReport, TrainTask
from mlops.store import Manifest
from mlops.store.errors import StoreError
from mlops.workloads.floor.log import say
from mlops.workloads.floor.model.golden import prediction_digest
from mlops.workloads.floor.model.isolated import IsolatedPredictor, child_for
from mlops.workloads.floor.model.masks import masked_encoding
from mlops.workloads.floor.model.predictor import Prediction, Predictor, class_array
from mlops.workloads.floor.model.signature import Encoding, EstimatorOf, Signature, class_name, write_signature
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.train import environment
from mlops.workloads.train.artifact import inputs_of, sample, write_rest
from mlops.workloads.train.container import adopt
from mlops.workloads.train.costs import check_costs
from mlops.workloads.train.data import PARTS, Data, fetch_artifact, read_data
from mlops.workloads.train.estimators import kind_of
from mlops.workloads.train.evaluate import NO_PROBABILITIES, CostedRows, Measured, measure, reported
from mlops.workloads.train.export import MAX_COMPARED_ROWS, TOLERANCES, answers_of, export
from mlops.workloads.train.fit import Target, encoding_of, fit, positive_of, target_of
from mlops.workloads.train.notes import notes_on, with_notes
from mlops.workloads.train.parameters import build
from mlops.workloads.train.personal import check_estimator, check_label, hidden_columns, masks_of
from mlops.workloads.train.positions import Meaning
from mlops.workloads.train.recalibrate import recalibrated
from mlops.workloads.train.search import Params, run_search, trials_of
from mlops.workloads.train.unusual import unusual_rows

# Of a report's 4096 bytes, what the files' digests may take; they only help to name a difference.
MAX_FILES_BYTES = 1200
MAX_PARAMS_BYTES = 800


@dataclass(frozen=True)
class _Made:
    """A model in its folder, and what the search found."""

    predictor: Predictor
    best_params: Params | None = None
    trials: int | None = None
    # Metrics that the user's own code measured: part -> name -> value.
    own_metrics: Mapping[Part, Mapping[str, float]] | None = None
    notes: tuple[str, ...] = ()


def train(pod: Pod, task: TrainTask) -> TrainReport:
    """Do the task. Raises BadInput with a reason of the TrainingRun, and the store's errors."""
    data = read_data(fetch_artifact(pod, task.dataset_artifact, pod.scratch / "data"), task.since)
    check_label(data)
    say(f"rows: {', '.join(f'{part} {data.parts[part].height}' for part in PARTS)}")
    folder = pod.scratch / "model"
    folder.mkdir()
    with contextlib.ExitStack() as children:
        if task.recalibration is not None:
            predictor, note = recalibrated(pod, task.recalibration, data, folder, children, task.costs)
            made = _Made(predictor, notes=(note,))
        elif task.estimator is not None:
            made = _fit_and_export(task, data, folder)
        else:
            made = _adopt(pod, task, data, folder, children)
        costs = made.predictor.signature.costs
        measured = {part: _measured(made.predictor, data, part, costs) for part in PARTS}
        metrics = {part: dict(found.values) for part, found in measured.items()}
        if made.own_metrics is not None:
            # Ours first: what a report cannot hold is the user's own.
            metrics = {
                part: {**metrics[part], **_others(made.own_metrics.get(part, {}), metrics[part])} for part in PARTS
            }
        recorded = write_rest(made.predictor, data, task.seed, metrics, folder)
    champion = _champion(pod, task.champion_artifact, data, costs)
    manifest = pod.store.put_directory(folder)
    report = TrainReport(
        output_digest=manifest.digest,
        prediction_digest=prediction_digest(recorded),
        environment_digest=task.environment_digest if _is_users_own(task) else environment.digest(),
        format=made.predictor.signature.format,
        metrics=_shown(metrics),
        champion_metrics=_shown(champion),
        best_params=_that_fits(made.best_params),
        trials=made.trials,
        positive_class=_positive_name(made.predictor.signature),
        files=_files(manifest),
    )
    return with_notes(report, (*made.notes, *_undefined(measured)))


def _is_users_own(task: TrainTask) -> bool:
    return task.estimator is None and task.recalibration is None


def _positive_name(signature: Signature) -> str | None:
    if signature.classes is None or len(signature.classes) != 2:
        return None
    return class_name(positive_last(signature.classes, signature.positive)[-1])


def _undefined(measured: Mapping[Part, Measured]) -> Iterator[str]:
    """Of each part why a metric is not defined; a model without probabilities says so by itself."""
    for part, found in measured.items():
        for name, why in found.undefined.items():
            if why != NO_PROBABILITIES:
                yield f"{name} is not defined on the part {part}: {why}"


def _fit_and_export(task: TrainTask, data: Data, folder: Path) -> _Made:
    estimator_spec = task.estimator
    if estimator_spec is None:
        raise ValueError("a task without estimator has nothing to fit")
    name, kind = estimator_spec.name, kind_of(estimator_spec.name)
    trials = trials_of(task.search, task.seed) if task.search is not None else [{}]
    paths = {one.name: f"spec.search.parameters[{one.name}]" for one in (task.search.parameters if task.search else ())}
    for params in trials:
        build(name, {**estimator_spec.params, **params}, task.seed, paths)
    check_estimator(data, name)
    if problem := too_many_categories(name, estimator_spec.max_categories):
        raise BadInput(Reason.PARAMETER_INVALID, problem)
    columns = data.arrays("train")
    target = target_of(data.label, data.labels("train"), kind.task, name)
    positive = positive_of(data.label, target.classes, data.positive)
    check_costs(task.costs, data, data.inputs, target.classes)
    encoding = encoding_of(
        data.columns, columns, kind, hidden_columns(data.schema), max_categories=estimator_spec.max_categories
    )
    meaning = Meaning(data.columns, encoding, target.classes, positive)
    # Every trial's parameters are judged before the first fit: a typing error must not cost an hour.
    for params in trials:
        build(name, {**estimator_spec.params, **params}, task.seed, paths, meaning)
    notes = notes_on(encoding, columns)
    for note in notes:
        say(note)
    if masks := masks_of(data, columns):
        # What is rare and in which order categories come is decided by their values; from here on there are tokens.
        encoding, data = masked_encoding(masks, encoding), replace(data, masks=masks)
        columns = data.arrays("train")
    blank = _signature(data, kind.task, name, encoding, target).evolve(positive=positive, costs=task.costs)

    def attempt(params: Params) -> tuple[Any, Measured]:
        estimator = build(name, {**estimator_spec.params, **params}, task.seed, paths, meaning)
        fit(estimator, encoding, columns, target)
        if task.search is None:
            return estimator, Measured()
        return estimator, _judge(estimator, blank, data, "validation")

    best: Params = {}
    if task.search is None:
        fitted, _ = attempt(best)
    else:
        fitted, best = run_search(task.search, trials, attempt)
        say(f"best: {best}; it was fitted on the part train, as every trial was")
    params = {**estimator_spec.params, **best}
    unfinished = blank.evolve(estimator=EstimatorOf(name=name, params=params))
    compared = _compared_columns(data, task.seed)
    required = frozenset(one.name for one in unfinished.inputs if not one.nullable)
    signature = export(unfinished, fitted, compared, folder, unusual_rows(data.columns, compared, required))
    write_signature(signature, folder)
    made = _Made(Predictor.load(folder), notes=notes)
    return replace(made, best_params=best, trials=len(trials)) if task.search else made


def _signature(data: Data, task: Task, name: str, encoding: Encoding, target: Target) -> Signature:
    """Return a signature whose format, outputs and tolerance the export fills in, and its caller the positive class."""
    return Signature(
        task=task,
        format="skops",
        inputs=data.inputs,
        clean=data.clean,
        features=data.schema.features,
        columns=data.columns,
        label=data.label,
        classes=target.classes,
        estimator=EstimatorOf(name=name),
        encoding=encoding,
        masks=data.masks or None,
        tolerance=TOLERANCES["skops"],
        libraries=environment.libraries(),
    )


def _judge(estimator: Any, signature: Signature, data: Data, part: Part) -> Measured:
    """Metrics of a trial, by scikit-learn's own answers: only the winner is exported."""
    if data.parts[part].height == 0:
        return Measured()
    answer = answers_of(signature, estimator, data.arrays(part))
    said = Prediction(answer.values, None)
    if signature.classes is not None:
        said = Prediction(class_array(signature.classes)[answer.values], answer.probabilities)
    return _measure(signature, data, part, said, signature.costs)


def _measure(signature: Signature, data: Data, part: Part, answer: Prediction, costs: Costs | None) -> Measured:
    costed = None if costs is None else CostedRows(costs, data.parts[part])
    return measure(signature.task, data.labels(part), answer, signature.classes, signature.positive, costed)


def _compared_columns(data: Data, seed: int) -> dict[str, Any]:
    """Columns of the rows on which an export must give scikit-learn's answers: held-out ones where there are any."""
    pool = data.held_out if data.held_out.height else data.parts["train"]
    rows = sample(pool, MAX_COMPARED_ROWS, seed)
    columns: dict[str, Any] = replace(data, parts={**data.parts, "test": rows}).arrays("test")
    return columns


def _adopt(pod: Pod, task: TrainTask, data: Data, folder: Path, children: contextlib.ExitStack) -> _Made:
    """Take over what the user's own container left in the outputs folder; only a child of this pod opens it."""
    own = adopt(pod.outputs, data, folder, task.costs)
    predictor = IsolatedPredictor.open(folder, children.enter_context(child_for(folder)))
    return _Made(predictor, own_metrics=own)


def _measured(predictor: Predictor, data: Data, part: Part, costs: Costs | None) -> Measured:
    """Metrics of a part, by the exported model: what is measured is what will be served. Costs are the run's, also of a
    champion that knows others."""
    if data.parts[part].height == 0:
        return Measured()
    signature = predictor.signature
    answer = predictor.predict(inputs_of(data.parts[part], signature.inputs))
    found = _measure(signature, data, part, answer, costs)
    say(f"{part}: " + ", ".join(f"{name} {value:.6g}" for name, value in found.values.items()))
    for name, why in found.undefined.items():
        say(f"{part}: {name} is not defined on these rows: {why}")
    return found


def _champion(pod: Pod, artifact: str | None, data: Data, costs: Costs | None) -> dict[Part, dict[str, float]]:
    """Measure the live model on the same rows; nothing if it takes other inputs or predicts something else.

    One that cannot be fetched or opened cannot be beaten either: the error names it, and not the model of this run.
    """
    if artifact is None:
        return {}
    try:
        return _champions_metrics(pod, artifact, data, costs)
    except BadInput as error:
        raise _no_champion(error.reason, artifact, error.message) from error
    except StoreError as error:
        if error.retryable:
            raise
        raise _no_champion(error.reason, artifact, str(error)) from error


def _no_champion(reason: Reason, artifact: str, problem: str) -> BadInput:
    return BadInput(
        reason,
        f"the champion {artifact}, the live model that a gate compares with, cannot be measured: {problem}: nothing is "
        "wrong with the model of this run; let another version go live, or leave compareTo: champion out",
    )


def _champions_metrics(pod: Pod, artifact: str, data: Data, costs: Costs | None) -> dict[Part, dict[str, float]]:
    folder = pod.scratch / "champion"
    pod.store.get(artifact, folder)
    with child_for(folder) as child:
        # It may be a model that somebody made elsewhere.
        champion = IsolatedPredictor.open(folder, child)
        problem = _incomparable(champion.signature, data)
        if problem is not None:
            say(f"the champion is not compared: {problem}")
            return {}
        say("the champion on the same rows:")
        return {part: dict(_measured(champion, data, part, costs).values) for part in PARTS if part != "train"}


def _incomparable(champion: Signature, data: Data) -> str | None:
    types = {column.name: column.type for column in data.inputs}
    for one in champion.inputs:
        if types.get(one.name) != one.type:
            return f"it takes {one.name!r} ({one.type}), which these rows do not have"
    if champion.label.name != data.label.name:
        return f"it predicts {champion.label.name!r}, this run {data.label.name!r}"
    if champion.label.type != data.label.type:
        return f"its label is a {champion.label.type}, here it is a {data.label.type}"
    return None


def _others(own: Mapping[str, float], measured: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in own.items() if name not in measured}


def _shown(metrics: Mapping[Part, Mapping[str, float]]) -> tuple[MetricValue, ...]:
    """Return metrics in the API's shape, what gates and people look at first."""
    order: tuple[Part, ...] = ("test", "validation", "train")
    found = [value for part in order for value in reported(part, dict(metrics.get(part, {})))]
    return tuple(found[:36])


def _that_fits(params: Params | None) -> Params | None:
    """Return the best parameters, cut to what a report holds; all of them stand in model.json."""
    if params is None:
        return None
    kept: Params = {}
    size = 0
    for name, value in params.items():
        size += len(name) + len(value.encode()) + 6
        if size <= MAX_PARAMS_BYTES:
            kept[name] = value
    return kept


def _files(manifest: Manifest) -> dict[str, str]:
    files = {entry.path: entry.sha256 for entry in manifest.entries}
    return files if sum(len(path) + len(digest) + 6 for path, digest in files.items()) <= MAX_FILES_BYTES else {}
