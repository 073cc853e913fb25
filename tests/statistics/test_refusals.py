"""What statistics refuse: the whole sentence, since it is what a user reads in a condition or a traceback."""

import inspect
import re
from collections.abc import Callable

import numpy as np
import pytest

from mlops.api.metrics import METRICS
from mlops.statistics.arrays import checked_weights, finite_vector, without_missing
from mlops.statistics.bootstrap import metric_interval
from mlops.statistics.change_point import change_point
from mlops.statistics.density_ratio import effective_sample_size, importance_weights
from mlops.statistics.label_shift import compare_labels
from mlops.statistics.metrics import (
    Sample,
    Undefined,
    accuracy,
    balanced_accuracy,
    brier,
    encode,
    evaluate,
    f1,
    log_loss,
    mae,
    r2,
    rmse,
    roc_auc,
    scored_classes,
)
from mlops.statistics.multiplicity import benjamini_hochberg, bonferroni
from mlops.statistics.reference import SortedReference
from mlops.statistics.resampling import Resampling, replicate
from mlops.statistics.score_map import fit_numbers
from mlops.statistics.sequential import ADWIN, DDM, HDDMA, PageHinkley
from mlops.statistics.special import chi2_sf
from mlops.statistics.two_sample import (
    chi_square_homogeneity,
    compare_categorical,
    compare_numeric,
    jensen_shannon,
    kolmogorov_smirnov,
    population_stability_index,
    wasserstein,
)

FIVE = Sample(np.arange(5.0), np.arange(5.0) + 1)


def case(name: str, call: Callable[[], object], message: str) -> object:
    """A call and the sentence that refuses it."""
    return pytest.param(call, message, id=name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        case(
            "NaN",
            lambda: finite_vector([1.0, np.nan], "price"),
            "price: holds NaN or infinity; drop or impute those rows first",
        ),
        case("table", lambda: finite_vector([[1.0]], "price"), "price: has 2 dimensions, expected 1"),
        case("text", lambda: finite_vector(["a"], "price"), "price: has type <U1, expected numbers"),
        case(
            "infinity",
            lambda: without_missing([np.inf], "price"),
            "price: holds infinity or values beyond 1e+280; replace them by NaN or a sane bound",
        ),
        case(
            "far below zero",
            lambda: without_missing([-1.1e280], "price"),
            "price: holds infinity or values beyond 1e+280; replace them by NaN or a sane bound",
        ),
        case("rows of weights", lambda: checked_weights([1.0], 2, "w"), "w: has 1 rows, expected 2"),
        case("negative", lambda: checked_weights([-1.0], 1, "w"), "w: holds negative values; weights are >= 0"),
        case(
            "NaN in weights",
            lambda: checked_weights([np.nan], 1, "w"),
            "w: holds NaN or infinity; drop or impute those rows first",
        ),
        case("complex numbers", lambda: finite_vector([1j], "price"), "price: has type complex128, expected numbers"),
        case("no weight", lambda: checked_weights([0.0], 1, "w"), "w: all are zero; at least one must be positive"),
        case("weights of a metric", lambda: mae([1.0], [1.0], [1.0, 2.0]), "weights: has 2 rows, expected 1"),
        case(
            "level of one",
            lambda: metric_interval("mae", FIVE, Resampling(2), level=1.0),
            "level: is 1.0, expected a number between 0 and 1",
        ),
        case(
            "level of none",
            lambda: metric_interval("mae", FIVE, Resampling(2), level=0.0),
            "level: is 0.0, expected a number between 0 and 1",
        ),
        case(
            "one positive row",
            lambda: metric_interval("roc_auc", Sample(np.array([1, 0]), np.array([0.9, 0.1])), Resampling(400)),
            "y: a class has too few rows for an interval; most resamples do not contain it",
        ),
        case("no replicate", lambda: Resampling(1), "replicates: is 1, expected at least 2"),
        case("no block", lambda: Resampling(block=0), "block: is 0, expected at least 1 row"),
        case("seed below zero", lambda: Resampling(seed=-1), "seed: is -1, expected a whole number >= 0"),
        case(
            "one block",
            lambda: replicate("mae", FIVE, [None], Resampling(block=5), 0),
            "mae: 5 rows are too few for an interval with blocks of 5; two are needed",
        ),
        case(
            "one row",
            lambda: replicate("mae", Sample(np.ones(1), np.ones(1)), [None], Resampling(), 0),
            "mae: 1 rows are too few for an interval with blocks of 1; two are needed",
        ),
        case(
            "block of none",
            lambda: change_point([0, 1, 0, 1], block=0).row,
            "block: is 0, permutations: is 0; expected >= 1 and >= 0",
        ),
        case(
            "three blocks",
            lambda: change_point(range(7), block=2),
            "losses: 7 rows make 3 blocks of 2; at least 4 are needed",
        ),
        case("no clip", lambda: importance_weights([0.5], [0.5], clip=0), "clip: is 0, expected a positive number"),
        case(
            "no probability",
            lambda: importance_weights([-0.1], [0.5]),
            "reference_probability: must lie between 0 and 1",
        ),
        case(
            "no current row",
            lambda: importance_weights([0.5], []),
            "current_probability: is empty; at least one row is needed",
        ),
        case("weights of none", lambda: effective_sample_size([]), "weights: is empty; at least one row is needed"),
        case(
            "weights below zero",
            lambda: effective_sample_size([-1.0]),
            "weights: holds negative values; weights are >= 0",
        ),
        case(
            "no label before", lambda: compare_labels({}, {}), "reference: is empty; at least one row must be counted"
        ),
        case(
            "no label now",
            lambda: compare_labels({"a": 1}, {}),
            "current: is empty; at least one row must be counted",
        ),
        case(
            "metric",
            lambda: evaluate("gini", FIVE),
            f"metric: 'gini' is unknown; one of {', '.join(METRICS)}",
        ),
        case("label", lambda: encode([0, 7], None), "y: label 7 is none of the classes [0, 1]"),
        case("name", lambda: encode(["a", "c"], ("a", "b")), "y: label 'c' is none of the classes ['a', 'b']"),
        case("no rows", lambda: encode([], None), "y: is empty; at least one row is needed"),
        case("no error", lambda: mae([], []), "y: is empty; at least one row is needed"),
        case("rows of values", lambda: mae([1.0], [1.0, 2.0]), "value: has 2 rows, y has 1"),
        case(
            "rows of labels",
            lambda: evaluate("accuracy", Sample(np.ones(1), np.ones(2))),
            "label: has 2 rows, y has 1",
        ),
        case("rows of scores", lambda: roc_auc([0, 1], [0.1]), "score: has 1 rows, y has 2"),
        case(
            "rows of probabilities",
            lambda: evaluate("brier", Sample(np.array([0, 1]), np.array([0.1]))),
            "probability: has 1 rows, y has 2",
        ),
        case(
            "NaN of a score",
            lambda: roc_auc([0, 1], [[0.1, np.nan]] * 2),
            "score: holds NaN or infinity; drop or impute those rows first",
        ),
        case(
            "one score, three classes",
            lambda: scored_classes(["a"], [0.1], ("a", "b", "c")),
            "score: one column for 3 classes; give one per class",
        ),
        case(
            "one probability, three classes",
            lambda: evaluate("log_loss", Sample(np.array(["a"]), np.array([0.1]), None, ("a", "b", "c"))),
            "probability: one column for 3 classes; give one per class",
        ),
        case(
            "three columns, two classes",
            lambda: evaluate("log_loss", Sample(np.array([0]), np.ones((1, 3)))),
            "prediction: has shape (1, 3), expected one column for each of 2 classes",
        ),
        case(
            "above one",
            lambda: evaluate("log_loss", Sample(np.array([0]), np.array([1.1]))),
            "probability: must lie between 0 and 1",
        ),
        case(
            "one class",
            lambda: roc_auc([1, 1], [0.1, 0.2]),
            "y: a class has no row; the ROC area needs both",
        ),
        case(
            "class without weight",
            lambda: roc_auc([0, 1], [0.1, 0.2], [0.0, 1.0]),
            "weights: a class has no weight; the ROC area needs both",
        ),
        case("one row of r2", lambda: r2([1.0], [1.0]), "y: one row has no variance"),
        case(
            "difference beyond numbers",
            lambda: mae([1.7e308], [-1.7e308]),
            "y, value: their difference is larger than any float64",
        ),
        case("p-value", lambda: bonferroni([1.5]), "pvalues: must lie between 0 and 1"),
        case(
            "NaN of a p-value",
            lambda: bonferroni([np.nan]),
            "pvalues: holds NaN or infinity; drop or impute those rows first",
        ),
        case("one bin", lambda: SortedReference.from_values([1.0], bins=1), "bins: is 1, expected at least 2"),
        case(
            "no current value",
            lambda: compare_numeric(SortedReference.from_values([1.0]), [np.nan]),
            "current: is empty; at least one row is needed",
        ),
        case(
            "no reference",
            lambda: SortedReference.from_values([]),
            "reference: is empty; at least one row is needed",
        ),
        case("infinite loss", lambda: PageHinkley().update(np.inf), "x: is inf, expected a finite number"),
        case("loss of no error", lambda: DDM().update(0.5), "x: is 0.5, expected an error of 0 or 1"),
        case("loss above one", lambda: HDDMA().update(1.5), "x: is 1.5, expected a value between 0 and 1"),
        case("loss below zero", lambda: HDDMA().update(-0.5), "x: is -0.5, expected a value between 0 and 1"),
        case("delta of one", lambda: ADWIN(delta=1.0), "delta: is 1.0, expected a number between 0 and 1"),
        case("delta of none", lambda: ADWIN(delta=0.0), "delta: is 0.0, expected a number between 0 and 1"),
        *(
            case(name, call, "min_window_length and clock must be at least 1, max_buckets at least 2")
            for name, call in (
                ("window of none", lambda: ADWIN(min_window_length=0)),
                ("clock of none", lambda: ADWIN(clock=0)),
                ("one bucket", lambda: ADWIN(max_buckets=1)),
            )
        ),
        case("no freedom", lambda: chi2_sf(1.0, 0), "dof: is 0, expected a positive number"),
        case("NaN of freedom", lambda: chi2_sf(1.0, np.nan), "dof: is nan, expected a positive number"),
        case(
            "shares",
            lambda: chi_square_homogeneity([0.5, 0.5], [1, 2]),
            "reference: expected one row of whole counts, got float64 with 1 dimensions",
        ),
        case(
            "table of counts",
            lambda: jensen_shannon([1, 2], [[1, 2]]),
            "current: expected one row of whole counts, got int64 with 2 dimensions",
        ),
        case("counts below zero", lambda: jensen_shannon([1], [-1]), "current: holds negative counts"),
        case("categories", lambda: jensen_shannon([1], [1, 2]), "current: has 2 categories, the reference 1"),
        case(
            "no category",
            lambda: compare_categorical({}, {"a": 1}),
            "reference: is empty; at least one row must be counted",
        ),
        case("category below zero", lambda: compare_categorical({"a": 3}, {"a": -1}), "current: holds negative counts"),
    ],
)
def test_a_refusal_says_what_is_wrong_with_what(call: Callable[[], object], message: str) -> None:
    """Name, value, and what is expected."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: encode([7], None), id="label"),
        pytest.param(lambda: roc_auc([1, 1], [0.1, 0.2]), id="one class"),
        pytest.param(lambda: r2([1.0], [1.0]), id="one row"),
    ],
)
def test_rows_that_do_not_define_a_metric_are_told_apart_from_wrong_calls(call: Callable[[], object]) -> None:
    """A check then has no answer yet, which is no mistake of anybody's."""
    with pytest.raises(Undefined):
        call()


def test_limits_themselves_are_allowed() -> None:
    """The smallest of each setting, and the largest of what has a bound."""
    assert without_missing([1e280, -1e280], "x")[0].tolist() == [1e280, -1e280]
    assert checked_weights([], 0, "w").shape == (0,)
    assert Resampling(2, 1, 0).replicates == 2
    assert metric_interval("mae", FIVE, Resampling(2, block=4)).replicates == 2
    assert importance_weights([0.0, 1.0], [0.0, 1.0], clip=0.5).overlap.clipped_share == 0.5
    assert change_point([0.0, 0.0, 1.0, 1.0], block=1, permutations=0).row == 2
    assert bonferroni([0.0, 1.0]).tolist() == [0.0, 1.0]
    assert SortedReference.from_values([1.0, 2.0], bins=2).counts.tolist() == [0, 1, 1]
    assert not HDDMA().update(0.0)
    assert not HDDMA().update(1.0)
    assert not DDM().update(1)
    assert ADWIN(min_window_length=1, clock=1, max_buckets=2).width == 0


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float32"])
def test_numbers_of_every_kind_are_taken(dtype: str) -> None:
    """As the same 64-bit numbers."""
    found = finite_vector(np.array([0, 1], dtype=dtype), "price")
    assert (found.dtype, found.tolist()) == (np.float64, [0.0, 1.0])


ROWS = [0, 1, 0, 1]
NAMED: list[tuple[Callable[..., object], tuple[str, ...]]] = [
    (chi_square_homogeneity, ("reference", "current")),
    (jensen_shannon, ("reference", "current")),
    (population_stability_index, ("reference", "current")),
    (kolmogorov_smirnov, ("reference", "current")),
    (wasserstein, ("reference", "current")),
    (importance_weights, ("reference_probability", "current_probability")),
    (effective_sample_size, ("weights",)),
    (change_point, ("losses",)),
    (bonferroni, ("pvalues",)),
    (benjamini_hochberg, ("pvalues",)),
    (roc_auc, ("score", "weights")),
    (log_loss, ("probability", "weights")),
    (brier, ("probability", "weights")),
    (accuracy, ("weights",)),
    (balanced_accuracy, ("weights",)),
    (f1, ("weights",)),
    (mae, ("y", "value", "weights")),
    (rmse, ("y", "value", "weights")),
    (r2, ("y", "value", "weights")),
    (fit_numbers, ("answers", "labels")),
]
# What is said of an argument that has another name for its caller.
SAID = {"answers": "prediction", "labels": "y"}


@pytest.mark.parametrize(
    ("call", "wrong"),
    [pytest.param(call, name, id=f"{call.__name__} {name}") for call, names in NAMED for name in names],
)
def test_rows_with_an_infinity_are_refused_by_their_own_name(call: Callable[..., object], wrong: str) -> None:
    """Whichever of several arguments they are."""
    parameters = inspect.signature(call).parameters
    taken = [name for name, one in parameters.items() if "Array" in str(one.annotation)]
    good = {name: [1, 2, 2, 1] if name == "weights" else ROWS for name in taken}
    call(**{name: np.array(rows) for name, rows in good.items()})

    with pytest.raises(ValueError, match=rf"^{SAID.get(wrong, wrong)}: "):
        call(**{name: np.array([*ROWS[:3], np.inf] if name == wrong else rows) for name, rows in good.items()})
