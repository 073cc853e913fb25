"""Parameters that mean columns or classes: written by name or in the contract's order, they hit what they name."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.utils._param_validation import Hidden, Interval, Options, StrOptions

from mlops.api.estimators import wrong_value
from mlops.workloads.floor.model.encoding import Encoder
from mlops.workloads.floor.model.signature import LabelColumn, ModelColumn
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.estimators import ESTIMATORS, RESERVED, class_of, kind_of
from mlops.workloads.train.fit import Target, encoding_of, fit, positive_of, target_of
from mlops.workloads.train.parameters import build
from mlops.workloads.train.positions import BY_POSITION, Meaning

# The matrix has another order: numbers, flags of missing numbers, texts.
COLUMNS = (
    ModelColumn(name="region", type="string"),
    ModelColumn(name="income", type="float64"),
    ModelColumn(name="tier", type="string"),
    ModelColumn(name="debt", type="float64"),
    ModelColumn(name="member", type="boolean"),
)
# Lists and mappings that go neither by columns nor by classes.
BY_NO_POSITION = {"hidden_layer_sizes": "layers", "solver_options": "of the solver", "weights": "a word, or a function"}
# Of trees, what keeps ties between columns away: they are decided by the columns' order, in scikit-learn too.
SMALL = {"max_depth": "3", "min_samples_leaf": "30"}


@dataclass(frozen=True)
class Case:
    """Rows, encoded for one estimator."""

    name: str
    data: dict[str, Any]
    truth: Any
    target: Target
    meaning: Meaning

    @classmethod
    def of(cls, name: str, classes: tuple[Any, ...] = ("stay", "churn"), rows: int = 600, seed: int = 3) -> Case:
        """Income raises the score, debt lowers it; a tenth of the debts is missing."""
        random = np.random.default_rng(seed)
        income, debt = random.normal(size=rows), random.normal(size=rows)
        region, tier = random.choice(["north", "south", "west"], rows), random.choice(["gold", "iron"], rows)
        score = income - debt + (region == "north") + random.normal(size=rows) * 0.5
        debt[random.random(rows) < 0.1] = np.nan
        data = {"region": region.astype(object), "income": income, "tier": tier.astype(object), "debt": debt}
        data["member"] = random.random(rows) < 0.5
        task = kind_of(name).task
        bounds = np.quantile(score, np.linspace(0, 1, len(classes) + 1)[1:-1])
        codes = np.searchsorted(bounds, score)
        truth = score if task == "regression" else np.array(classes, dtype=object)[codes]
        if task == "classification" and not isinstance(classes[0], str):
            truth = np.array(truth.tolist())
        kind = {str: "string", bool: "boolean", int: "int64"}[type(classes[0])]
        label = LabelColumn(name="y", type="float64" if task == "regression" else kind)  # type: ignore[arg-type]
        target = target_of(label, truth, task, name)
        encoding = encoding_of(COLUMNS, data, kind_of(name))
        positive = positive_of(label, target.classes, None)
        return cls(name, data, truth, target, Meaning(COLUMNS, encoding, target.classes, positive))

    def ours(self, **params: str) -> Any:
        """Return what the product answers to the rows it was fitted on."""
        estimator = fit(build(self.name, params, 7, None, self.meaning), self.meaning.encoding, self.data, self.target)
        return answers(estimator, Encoder(self.meaning.encoding).matrix(self.data))

    def plain(self, **params: Any) -> Any:
        """Return what scikit-learn answers, given the columns in the contract's order, and labels as they are."""
        cls = class_of(self.name)
        seeded = {"random_state": 7} if "random_state" in cls._get_param_names() else {}
        matrix = self.in_contract_order()
        truth = self.truth if self.target.classes is None else self.truth.astype(str)
        return answers(cls(**params, **seeded).fit(matrix, truth), matrix)

    def in_contract_order(self) -> Any:
        """The columns one by one, encoded by hand, then the flag of the one with gaps where the estimator needs it."""
        kind = kind_of(self.name)
        table = []
        for column in COLUMNS:
            values = self.data[column.name]
            if column.type == "string":
                values = np.searchsorted(np.unique(values.astype(str)), values.astype(str))
            values = values.astype(np.float64)
            if not kind.missing:
                values = np.where(np.isnan(values), np.nanmedian(values), values)
            table.append(values)
        if not kind.missing:
            table.append(np.isnan(self.data["debt"]).astype(np.float64))
        matrix = np.column_stack(table)
        return matrix.astype(np.float32).astype(np.float64) if kind.single else matrix


def answers(estimator: Any, matrix: Any) -> Any:
    """Probabilities where there are some, else scores or values."""
    for method in ("predict_proba", "decision_function", "predict"):
        if hasattr(estimator, method):
            return getattr(estimator, method)(matrix)
    raise AssertionError(estimator)


def having(parameter: str) -> list[str]:
    """Return the estimators that have a parameter."""
    return sorted(name for name in ESTIMATORS if parameter in class_of(name)._get_param_names())


def test_every_parameter_that_takes_a_list_or_a_mapping_is_translated_or_known_to_be_harmless() -> None:
    """A release of scikit-learn that adds one fails here, and not in somebody's model."""
    plain = (Interval, Options, StrOptions, Hidden)
    words = {None, "boolean", "cv_object", "verbose", "random_state", bool, str, numbers.Integral, numbers.Real}

    def lists() -> Iterator[str]:
        for name in ESTIMATORS:
            cls = class_of(name)
            for parameter, allowed in cls._parameter_constraints.items():
                if parameter in RESERVED or isinstance(allowed, str) or parameter not in cls._get_param_names():
                    continue
                others = [one for one in allowed if not isinstance(one, plain) and one not in words]
                if any(one in ("array-like", dict, list, tuple) for one in others):
                    yield parameter

    assert set(lists()) <= BY_POSITION.keys() | BY_NO_POSITION.keys()


# An extremely random tree draws its thresholds column by column: in another order it is another tree.
@pytest.mark.parametrize("name", [one for one in having("monotonic_cst") if not one.startswith("ExtraTree")])
@pytest.mark.parametrize("written", ['{"income": 1, "debt": -1}', "{debt: -1, income: 1}", "[0, 1, 0, -1, 0]"])
def test_a_monotonic_constraint_holds_for_the_column_that_it_names(name: str, written: str) -> None:
    """By name, or in the contract's order, the model is scikit-learn's on a matrix in that order."""
    case = Case.of(name)
    small = SMALL | ({"n_estimators": "5"} if "n_estimators" in class_of(name)._get_param_names() else {})
    small |= {"max_features": "null"} if name.startswith("RandomForest") else {}
    plain = {key: None if value == "null" else int(value) for key, value in small.items()}
    free = case.plain(**plain)
    flag = [] if kind_of(name).missing else [0]
    expected = case.plain(**plain, monotonic_cst=[0, 1, 0, -1, 0, *flag])
    np.testing.assert_allclose(case.ours(**small, monotonic_cst=written), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(case.ours(**small), free, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [one for one in having("monotonic_cst") if one.startswith("ExtraTree")])
def test_a_constrained_extremely_random_tree_rises_in_income_only(name: str) -> None:
    """Whatever its thresholds are."""
    case = Case.of(name, ("no", "yes"))
    estimator = fit(
        build(name, {"monotonic_cst": "{income: 1}", "min_samples_leaf": "5"}, 7, None, case.meaning),
        case.meaning.encoding,
        case.data,
        case.target,
    )
    matrix = Encoder(case.meaning.encoding).matrix(case.data)[:100]
    place = case.meaning.places["income"]
    rising = []
    for value in np.linspace(-3, 3, 25):
        matrix[:, place] = value
        found = answers(estimator, matrix)
        rising.append(found[:, 1] if found.ndim == 2 else found)
    steps = np.diff(np.array(rising), axis=0)
    assert (steps >= -1e-12).all()
    assert (steps > 0).any()


@pytest.mark.parametrize("name", having("interaction_cst"))
@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("[[income, region], [debt]]", [[1, 0], [3]]),
        ("[[1, 0], [3]]", [[1, 0], [3]]),
        ("no_interactions", "no_interactions"),
        ("pairwise", "pairwise"),
    ],
)
def test_an_interaction_constraint_holds_for_the_columns_that_it_names(name: str, written: str, plain: Any) -> None:
    """Groups by name or by position in the contract; scikit-learn puts the others into one of their own."""
    case = Case.of(name)
    expected = case.plain(max_iter=10, min_samples_leaf=30, interaction_cst=plain)
    ours = case.ours(max_iter="10", min_samples_leaf="30", interaction_cst=written)
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", having("class_weight"))
@pytest.mark.parametrize(
    ("classes", "written", "weights"),
    [
        pytest.param(("churn", "stay"), '{"stay": 1, "churn": 5}', {1: 1, 0: 5}, id="texts"),
        pytest.param(("1", "true"), "{1: 5, true: 1}", {0: 5, 1: 1}, id="texts that read like numbers and words"),
        pytest.param((2, 10), "{10: 5}", {1: 5}, id="numbers"),
        pytest.param((False, True), "{true: 5}", {1: 5}, id="booleans"),
    ],
)
def test_a_class_weight_is_that_of_the_class_it_names(
    name: str, classes: tuple[Any, ...], written: str, weights: dict[int, int]
) -> None:
    """scikit-learn knows classes by their indices here."""
    case = Case.of(name, classes)
    assert case.target.classes == classes
    asked = build(name, {"class_weight": written}, 7, None, case.meaning)
    assert asked.class_weight == weights


@pytest.mark.parametrize("name", [*having("priors"), *having("class_prior")])
@pytest.mark.parametrize("written", ["{stay: 0.2, churn: 0.8}", "[0.8, 0.2]"])
def test_priors_are_those_of_the_classes_that_they_name(name: str, written: str) -> None:
    """By name, or in sorted order as scikit-learn has them."""
    case = Case.of(name)
    parameter = "class_prior" if name == "BernoulliNB" else "priors"
    others = {"reg_param": "0.1"} if name == "QuadraticDiscriminantAnalysis" else {}
    estimator = build(name, {parameter: written, **others}, 7, None, case.meaning)
    assert list(getattr(estimator, parameter)) == [0.8, 0.2]
    fit(estimator, case.meaning.encoding, case.data, case.target)


def test_a_constraint_of_a_classifier_is_of_the_positive_class() -> None:
    """scikit-learn constrains the probability of the last class: the contract may name the first."""
    case = Case.of("HistGradientBoostingClassifier")
    first = Meaning(COLUMNS, case.meaning.encoding, case.target.classes, "churn")
    of_first = build(case.name, {"monotonic_cst": "{income: 1}"}, 7, None, first).monotonic_cst
    of_last = build(case.name, {"monotonic_cst": "{income: 1}"}, 7, None, case.meaning).monotonic_cst
    assert of_last[case.meaning.places["income"]] == 1
    assert of_first == [-one for one in of_last]


def test_weights_reach_the_model() -> None:
    """The weighted forest is scikit-learn's with the labels as they are."""
    case = Case.of("RandomForestClassifier")
    small = {"n_estimators": 5, "max_depth": 3, "min_samples_leaf": 30, "max_features": None}
    texts = {key: "null" if value is None else str(value) for key, value in small.items()}
    expected = case.plain(**small, class_weight={"churn": 5, "stay": 1})
    np.testing.assert_allclose(case.ours(**texts, class_weight="{churn: 5}"), expected, rtol=1e-9, atol=1e-12)


def test_a_constant_answer_is_the_class_that_it_names() -> None:
    """Classes are indices to scikit-learn; numbers stay numbers."""
    case = Case.of("DummyClassifier", ("10", "2"))
    answers = case.ours(strategy="constant", constant="2")
    assert (answers.argmax(axis=1) == 1).all()
    value = Case.of("DummyRegressor").ours(strategy="constant", constant="2.5")
    assert (value == 2.5).all()


@pytest.mark.parametrize(
    ("name", "params", "want"),
    [
        pytest.param(
            "HistGradientBoostingRegressor",
            {"monotonic_cst": "[0, 1]"},
            r"monotonic_cst: '\[0, 1\]': write \{column: value\}, or a list of 5 values in the order of the contract: "
            "region, income, tier, debt, member",
            id="too few",
        ),
        pytest.param(
            "RandomForestRegressor",
            {"monotonic_cst": "{incme: 1}"},
            "'incme' is no feature; there are: region, income",
            id="no such column",
        ),
        pytest.param(
            "DecisionTreeRegressor", {"monotonic_cst": "{region: 1}"}, "'region' is a string, .*: write 0", id="text"
        ),
        pytest.param(
            "DecisionTreeRegressor", {"monotonic_cst": "{income: 2}"}, r"2: a column is 1 \(rising\)", id="two"
        ),
        pytest.param(
            "HistGradientBoostingRegressor",
            {"interaction_cst": "[0, 1]"},
            r"write groups of features, such as \[\[price, count\], \[region\]\]",
            id="no groups",
        ),
        pytest.param(
            "HistGradientBoostingRegressor",
            {"interaction_cst": "[[0, 5]]"},
            "5: positions go from 0 to 4: region",
            id="position beyond",
        ),
        pytest.param(
            "SVC", {"class_weight": "{chrn: 5}"}, "'chrn' is no class of the label; there are: churn, stay", id="class"
        ),
        pytest.param("SVC", {"class_weight": "{churn: much}"}, "'much' is no number", id="no weight"),
        pytest.param(
            "RandomForestClassifier",
            {"class_weight": "[1, 5]"},
            r"write a weight by class, such as \{'churn': 1, 'stay': 5\}, or balanced",
            id="weights by position",
        ),
        pytest.param("GaussianNB", {"priors": "[1]"}, "one number for each of the 2 classes: churn, stay", id="priors"),
        pytest.param(
            "GaussianNB", {"priors": "{churn: 1}"}, "one number for each of the 2 classes", id="prior left out"
        ),
        pytest.param("BernoulliNB", {"alpha": "[1, 2]"}, "write one number", id="smoothing by column"),
        pytest.param("Lasso", {"precompute": "[[1, 2], [3, 4]]"}, "write true or false", id="Gram matrix"),
        pytest.param(
            "KNeighborsRegressor", {"metric_params": "{w: [1, 2]}"}, "multiply the column itself", id="column weights"
        ),
    ],
)
def test_what_cannot_be_translated_is_refused_with_the_way_out(name: str, params: dict[str, str], want: str) -> None:
    """ParameterInvalid, before anything is fitted."""
    with pytest.raises(BadInput, match=want) as info:
        build(name, params, 7, None, Case.of(name).meaning)
    assert info.value.reason == "ParameterInvalid"


def test_early_stopping_by_f1_speaks_of_the_positive_class_or_is_refused() -> None:
    """scikit-learn's f1 is that of the last class."""
    case = Case.of("HistGradientBoostingClassifier")
    assert build(case.name, {"scoring": "f1"}, 7, None, case.meaning).scoring == "f1"
    first = Meaning(COLUMNS, case.meaning.encoding, case.target.classes, "churn")
    with pytest.raises(BadInput, match="it would be that of 'stay': write f1_macro"):
        build(case.name, {"scoring": "f1"}, 7, None, first)
    assert build(case.name, {"scoring": "f1_macro"}, 7, None, first).scoring == "f1_macro"


@pytest.mark.parametrize("classes", [("1e9", "2"), ("null", "x"), ("none", "true"), ("a,b: {c}", "'q'"), ("inf", "~")])
def test_a_class_may_be_called_as_a_number_or_a_word_is_written(classes: tuple[str, ...]) -> None:
    """Neither who reads the manifest nor the pod takes its name for what it would mean elsewhere."""
    case = Case.of("DummyClassifier", classes)
    for name in classes:
        plain = name if "," not in name and "'" not in name else f'"{name}"'
        for written in {plain, f'"{name}"'}:
            asked = {"strategy": "constant", "constant": written}
            assert all(wrong_value(case.name, *one, path="") is None for one in asked.items())
            found = case.ours(**asked).argmax(axis=1)
            assert (found == case.meaning.class_names.index(name)).all(), written
            if name != "~":
                weighted = build("SVC", {"class_weight": f"{{{written}: 3}}"}, 7, None, case.meaning)
                assert weighted.class_weight == {case.meaning.class_names.index(name): 3}
                assert wrong_value("SVC", "class_weight", f"{{{written}: 3}}", "") is None
