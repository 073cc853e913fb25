"""Did the relation of input to target move? Asked only when the metric has dropped: this part imports scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mlops.api.drift_monitor import Check
from mlops.api.metrics import METRICS
from mlops.statistics.arrays import BoolArray, FloatArray, IntArray
from mlops.statistics.bootstrap import AttributedDrop, attribute_drop
from mlops.statistics.density_ratio import Overlap, importance_weights
from mlops.statistics.label_shift import compare_labels
from mlops.statistics.metrics import Sample, evaluate
from mlops.statistics.resampling import replicate
from mlops.statistics.special import normal_sf
from mlops.workloads.drift.findings import Challenge, DropParts, Estimate, Finding
from mlops.workloads.drift.label_balance import moved_within_classes
from mlops.workloads.drift.performance import (
    Judged,
    Labelled,
    class_counts,
    numbers_of,
    resampling,
    span_of,
)
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.unexplained import Explained, explained
from mlops.workloads.floor.records.layout import INPUT, PREDICTION
from mlops.workloads.floor.samples import sample_of

_FOLDS = 5
_BLOCKS_PER_FOLD = 4
_MAX_ROWS = 10_000
_MAX_CATEGORIES = 250
# Beyond this domain AUC the inputs moved so far that weights alone are no proof.
_MOVED = 0.6
# A worse model is one whose loss is shown at this level.
_WORSE = 0.05
# Small on purpose: a window has hundreds or thousands of rows, and the question is yes or no.
_SETTINGS: dict[str, Any] = {
    "max_iter": 60,
    "learning_rate": 0.1,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 20,
    "l2_regularization": 1.0,
    "early_stopping": False,
}


def concept_drift(labelled: Labelled, judged: Judged, check: Check) -> tuple[Finding, DropParts, Challenge | None]:
    """Answer a ConceptDrift check about a drop that is shown: without one there is no concept drift.

    A drop that vanishes when the reference is re-weighted to the window's class balance is a label shift. Where the
    windows overlap, the part of the drop that remains after re-weighting to the window's inputs decides. Where they do
    not, a model refitted on the window decides: if it is better there than the served one, the relation that the served
    one learnt no longer holds. Where they overlap, what is expected of these inputs must not explain the drop.
    """
    # The answer must not depend on the number of threads, not even in its last bit. The limit holds for libraries that
    # are loaded: scikit-learn brings one.
    import sklearn.ensemble  # noqa: F401

    with threadpool_limits(limits=1):
        return _concept_drift(labelled, judged, check)


def _concept_drift(labelled: Labelled, judged: Judged, check: Check) -> tuple[Finding, DropParts, Challenge | None]:
    numbers = numbers_of(judged)
    split = attribution(labelled, judged, check)
    if explained_by_balance(labelled, judged, check):
        message = "the drop vanishes when the reference is re-weighted to the window's class balance: a label shift"
        return Finding(check, "NotDetected", message, numbers), split, None
    challenge = challenger(labelled, judged)
    if split.identifiable and split.concept is not None and split.concept_p_value is not None:
        shown = split.concept_p_value <= float(check.alpha)
        remains = (
            f"of a drop of {judged.test.drop.value:.3f} in {judged.metric}, {split.concept.value:.3f}"
            f" ({split.concept.low:.3f} to {split.concept.high:.3f}) remain for the same inputs:"
        )
        message = f"{remains} {'the relation moved' if shown else 'not shown to be more than the inputs explain'}"
        if shown and split.domain_auc is not None and split.domain_auc > _MOVED and older_rows_help(labelled, judged):
            shown = False
            message = f"{remains} but older rows still help to learn the window: not shown that the relation moved"
        return Finding(check, "Detected" if shown else "NotDetected", message, numbers), split, challenge
    if challenge is None:
        message = (
            "inputs do not overlap, and there are too few labelled rows to refit a model: the cause cannot be told"
        )
        return Finding(check, "Inconclusive", message, numbers), split, None
    shown = challenge.gain.value >= judged.min_drop and challenge.p_value <= float(check.alpha)
    message = (
        f"{judged.metric} fell by {judged.test.drop.value:.3f}; the inputs do not overlap; a model refitted on the"
        f" window has {challenge.refitted:.3f} there against {challenge.served:.3f}:"
        f" {'the relation moved' if shown else 'not shown to be better'}"
    )
    return Finding(check, "Detected" if shown else "NotDetected", message, numbers), split, challenge


def explained_by_balance(labelled: Labelled, judged: Judged, check: Check) -> bool:
    """Whether the class balance moved and re-weighting the reference to it leaves nothing significant of the drop."""
    if not labelled.reference.classes:
        return False
    before, after = class_counts(judged.reference_rows["label"]), class_counts(judged.current_rows["label"])
    compared = compare_labels(before, after)
    if compared.chi_square.pvalue > float(check.alpha) or any(np.isinf(r) for r in compared.ratio.values()):
        return False
    weights = np.array([compared.ratio[label] for label in judged.reference_rows["label"].to_list()])
    plan = resampling(len(weights), labelled.seed)
    parts = attribute_drop(judged.metric, judged.reference, judged.current, weights, plan, min_drop=judged.min_drop)
    if parts.pvalue <= float(check.alpha) or parts.covariate.value < parts.total.value / 2.0:
        return False
    return not moved_within_classes(labelled, check)


def attribution(labelled: Labelled, judged: Judged, check: Check) -> DropParts:
    """Split the drop by re-weighting the reference's held-out rows to the window's inputs.

    Where the windows do not overlap nothing is split: what the reference teaches to expect says nothing of rows far
    from all of its own.
    """
    before, after = _thinned(judged.reference_rows), _thinned(judged.current_rows)
    table, categorical = features(
        labelled.reference, pl.concat([_inputs(rows, labelled.reference) for rows in (before, after)])
    )
    is_current = np.arange(table.shape[0]) >= before.height
    fold = np.concatenate((folds(before.height), folds(after.height)))
    probability = np.empty(table.shape[0])
    for number in range(_FOLDS):
        held = fold == number
        model = _classifier(categorical, labelled.seed)
        model.fit(table[~held], is_current[~held])
        probability[held] = model.predict_proba(table[held])[:, 1]
    found = importance_weights(probability[~is_current], probability[is_current])
    overlap = found.overlap
    if not overlap.identifiable:
        return DropParts(False, None, None, None, overlap.ess, overlap.domain_auc)
    expected = explained(labelled, judged, before, after, found.weights)
    # What is expected counts where it says that the inputs make a part of the drop; elsewhere it adds but its error.
    if expected is not None and expected.covariate.beyond(0.0) > float(check.alpha):
        expected = None
    metric, of = judged.metric, labelled.reference
    reference, current = (sample_of(metric, rows, of.classes, of.costs) for rows in (before, after))
    plan = resampling(max(before.height, after.height), labelled.seed, after.height)
    parts = attribute_drop(metric, reference, current, found.weights, plan, min_drop=judged.min_drop)
    return _split(parts, expected, overlap, judged.min_drop)


def challenger(labelled: Labelled, judged: Judged) -> Challenge | None:
    """Refit on four fifths of the window and predict the last one, by turns, in interleaved blocks of time.

    None when a part lacks a class or there are too few rows.
    """
    rows = _thinned(judged.current_rows)
    refitted = _refitted(labelled, judged, rows, None)
    served = sample_of(judged.metric, rows, labelled.reference.classes, labelled.reference.costs)
    return None if refitted is None else _compared(judged.metric, served, refitted, labelled.seed)


def older_rows_help(labelled: Labelled, judged: Judged) -> bool:
    """Whether a model of the reference's and the window's rows is no worse on the window than one of its own alone.

    Where the inputs moved to where the reference has few rows, weights fail and the served model is bad, though the
    relation is the old one. Then the old rows still teach it; of another relation they teach the wrong one.
    """
    rows = _thinned(judged.current_rows)
    older = _thinned(labelled.reference.frame.drop_nulls(["label"]))
    alone, together = (_refitted(labelled, judged, rows, added) for added in (None, older))
    if alone is None or together is None:
        return False
    found = _compared(judged.metric, together, alone, labelled.seed)
    return found is not None and (found.gain.value <= 0.0 or found.p_value > _WORSE)


def _refitted(labelled: Labelled, judged: Judged, rows: pl.DataFrame, older: pl.DataFrame | None) -> Sample | None:
    """Out-of-fold answers to `rows` of models fitted to the other folds, and to `older` rows if there are some."""
    if rows.height < _FOLDS * _BLOCKS_PER_FOLD * 2:
        return None
    classes = labelled.reference.classes
    every = rows if older is None else pl.concat([part.select(_columns(labelled)) for part in (rows, older)])
    table, categorical = features(labelled.reference, _inputs(every, labelled.reference))
    fold = np.concatenate((folds(rows.height), np.full(every.height - rows.height, -1)))
    labels = every["label"].to_numpy() if not classes else every["label"].cast(pl.String).to_numpy().astype(str)
    if classes and any(set(labels[fold != number]) != set(classes) for number in range(_FOLDS)):
        return None
    answers: NDArray[Any] | None = None
    for number in range(_FOLDS):
        held = fold == number
        models = _refits(categorical, labelled.seed, classify=bool(classes))
        given = _answers(
            [model.fit(table[~held], labels[~held]) for model in models], table[held], judged.metric, classes
        )
        answers = np.empty((every.height, *given.shape[1:]), dtype=given.dtype) if answers is None else answers
        answers[held] = given
    given = np.asarray(answers)[: rows.height]
    if METRICS[judged.metric].reads == "cost":
        # What they cost depends on the row, too.
        said = rows.with_columns(pl.Series(PREDICTION, given.tolist(), dtype=pl.String))
        return sample_of(judged.metric, said, classes, labelled.reference.costs)
    served = sample_of(judged.metric, rows, classes)
    return Sample(served.y, given, None, served.classes)


def _columns(labelled: Labelled) -> list[str]:
    return [*(INPUT + name for name in labelled.reference.fields), "label"]


def _compared(metric: str, served: Sample, refitted: Sample, seed: int) -> Challenge | None:
    """What the refitted answers gain over the served ones, on the same rows."""
    # Blocks of more than one row keep both replicates on the same draws of rows: the difference is paired.
    plan = resampling(served.y.shape[0], seed)
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    try:
        draws = [replicate(metric, sample, [None], plan, stream=2)[:, 0] for sample in (refitted, served)]
    except ValueError:
        return None
    spread = sign * (draws[0] - draws[1])
    spread = spread[np.isfinite(spread)]
    if spread.shape[0] < 2:
        return None
    now, then = evaluate(metric, refitted), evaluate(metric, served)
    gain = sign * (now - then)
    error = float(spread.std(ddof=1))
    low, high = (float(q) for q in np.quantile(spread, [0.025, 0.975]))
    p_value = normal_sf(gain / error) if error > 0.0 else float(gain <= 0.0)
    return Challenge(then, now, Estimate(gain, low, high), p_value, served.y.shape[0])


def features(reference: Reference, inputs: pl.DataFrame) -> tuple[FloatArray, BoolArray]:
    """Inputs (n, d) as numbers, NaN for missing, and which columns (d,) hold codes of categories.

    The most frequent categories get codes in the order of their names; the rare rest shares one.
    """
    columns: list[FloatArray] = []
    for name in reference.numeric:
        columns.append(inputs[INPUT + name].to_numpy().astype(np.float64))
    for name in reference.categorical:
        column = inputs[INPUT + name]
        counted = column.drop_nulls().value_counts(name="n").sort("n", INPUT + name, descending=[True, False])
        common = sorted(counted[INPUT + name].head(_MAX_CATEGORIES).to_list())
        codes = {value: float(code) for code, value in enumerate(common)}
        rest = float(len(common))
        columns.append(
            np.array([np.nan if value is None else codes.get(value, rest) for value in column.to_list()], dtype=float)
        )
    is_category = np.array([False] * len(reference.numeric) + [True] * len(reference.categorical), dtype=np.bool_)
    return np.column_stack(columns), is_category


def folds(rows: int) -> IntArray:
    """Fold number (n,) of rows in time order: interleaved blocks, since neighbours in time are alike."""
    blocks = min(rows, _FOLDS * _BLOCKS_PER_FOLD)
    return np.asarray((np.arange(rows) * blocks // max(1, rows)) % _FOLDS, dtype=np.int64)


def _split(parts: AttributedDrop, expected: Explained | None, overlap: Overlap, min_drop: float) -> DropParts:
    """The two parts; that of the relation is shown if weights and, where there is one, the expectation agree on it."""
    if expected is None:
        covariate, concept = span_of(parts.covariate), span_of(parts.concept)
        return DropParts(True, covariate, concept, parts.pvalue, overlap.ess, overlap.domain_auc)
    covariate, concept = (Estimate(one.value, *one.interval()) for one in (expected.covariate, expected.concept))
    p_value = max(parts.pvalue, expected.concept.beyond(min_drop))
    return DropParts(True, covariate, concept, p_value, overlap.ess, overlap.domain_auc)


def _classifier(categorical: BoolArray, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**_SETTINGS, categorical_features=categorical, random_state=seed)


def _refits(categorical: BoolArray, seed: int, *, classify: bool) -> list[Any]:
    """Boosted trees and a linear model, whose mean is the challenger: trees alone are weak on a few hundred rows."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler())
    codes = make_pipeline(
        SimpleImputer(strategy="constant", fill_value=-1.0),
        OneHotEncoder(min_frequency=10, handle_unknown="infrequent_if_exist", sparse_output=False),
    )
    columns = ColumnTransformer([("numbers", numbers, ~categorical), ("codes", codes, categorical)])
    linear = LogisticRegression(max_iter=1000) if classify else Ridge()
    trees = (
        _classifier(categorical, seed)
        if classify
        else HistGradientBoostingRegressor(**_SETTINGS, categorical_features=categorical, random_state=seed)
    )
    return [trees, make_pipeline(columns, linear)]


def _answers(models: list[Any], table: FloatArray, metric: str, classes: tuple[str, ...]) -> NDArray[Any]:
    """The mean answer of the models, in the shape that the metric reads."""
    if not classes:
        return np.asarray(np.mean([model.predict(table) for model in models], axis=0))
    given = np.mean([model.predict_proba(table) for model in models], axis=0)
    given = given[:, [list(models[0].classes_).index(name) for name in classes]]
    if METRICS[metric].reads in ("label", "cost"):
        return np.asarray(np.array(classes)[given.argmax(axis=1)])
    return np.asarray(given[:, 1] if len(classes) == 2 else given)


def _inputs(rows: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """The inputs' columns in the reference's order: captures and training data come in orders of their own."""
    return rows.select(INPUT + name for name in (*reference.numeric, *reference.categorical))


def _thinned(rows: pl.DataFrame) -> pl.DataFrame:
    """At most ten thousand rows, evenly spread over time."""
    if rows.height <= _MAX_ROWS:
        return rows
    return rows[(np.arange(_MAX_ROWS) * rows.height // _MAX_ROWS).tolist()]
