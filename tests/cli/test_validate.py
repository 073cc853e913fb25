"""What manifests alone show to be wrong is told before anything runs, and what is told to do instead is right."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hack.generate import ROOT
from mlops.api.dataset import Dataset
from mlops.api.kinds import parse
from mlops.api.mistakes.of_dataset import of_dataset
from mlops.api.mistakes.of_run import of_run
from mlops.api.mistakes.of_run_on_dataset import of_run_on_dataset
from mlops.api.training_run import TrainingRun
from mlops.cli.main import cli
from mlops.cli.yaml_written import written
from tests.api.objects import changed

Object = dict[str, Any]
API = "mlops.dev/v1alpha1"
DATASET: Object = {
    "apiVersion": API,
    "kind": "Dataset",
    "metadata": {"name": "rows"},
    "spec": {
        "source": {"s3": {"uri": "s3://raw/rows/"}},
        "fields": [
            {"name": "at", "type": "timestamp", "role": "timestamp"},
            {"name": "price", "type": "float64", "nullable": True},
            {"name": "size", "type": "int64"},
            {"name": "city", "type": "string"},
            {"name": "sold", "type": "string", "role": "label"},
        ],
        "features": [{"name": "dear", "expression": "price > 10"}],
        "governance": {"pii": ["city"]},
    },
}
RUN: Object = {
    "apiVersion": API,
    "kind": "TrainingRun",
    "metadata": {"name": "rows"},
    "spec": {
        "datasetRef": {"name": "rows"},
        "trainer": {"estimator": {"name": "LogisticRegression", "params": {"C": "0.5"}}},
        "search": {"objective": {"metric": "roc_auc"}, "parameters": [{"name": "tol", "values": ["0.1", "0.01"]}]},
        "gates": [{"metric": "f1", "min": "0"}],
    },
}


def _run(path: str, value: object, says: str, way_out: object, id: str, **more: Any) -> Any:
    return pytest.param("TrainingRun", {**more, path: value}, path, says, {path: way_out}, id=id)


def _dataset(changes: Object, path: str, says: str, way_out: Object, id: str, **run: Any) -> Any:
    return pytest.param("Dataset", {**changes, **run}, path, says, way_out, id=id)


_NAME, _PARAMS = "spec.trainer.estimator.name", "spec.trainer.estimator.params"
_LABEL = "spec.fields[4]"
_COSTS: Object = {"spec.costs": [{"actual": "yes", "predicted": "no", "cost": "5"}]}
_TREES: Object = {"spec.trainer.estimator": {"name": "HistGradientBoostingClassifier", "params": {}}}
MISTAKES = [
    _run(_NAME, "LogisticRegresion", "did you mean LogisticRegression?", "LogisticRegression", "estimator"),
    _run(
        f"{_PARAMS}.c", "1", "LogisticRegression has no parameter 'c' (value '1'); did you mean C?", None, "parameter"
    ),
    _run(
        f"{_PARAMS}.C", "-1", "'-1': The 'C' parameter of LogisticRegression must be a float in the range", "1", "range"
    ),
    _run(f"{_PARAMS}.solver", "newton", "must be a str among {'lbfgs', ", "lbfgs", "choice"),
    _run(f"{_PARAMS}.random_state", "1", "cannot be set: spec.reproducibility.seed sets it", None, "reserved"),
    _run("spec.search.parameters[0].values[1]", "x", "'x': The 'tol' parameter", "0.5", "value of a search"),
    _run("spec.search.parameters[0].name", "tool", "did you mean tol?", "tol", "parameter of a search"),
    _run(
        "spec.search.parameters[0].name", "estimator", "make a run for each estimator", "tol", "search over estimators"
    ),
    _run("spec.search.maxTrials", 1, "the grid has 2 combinations, maxTrials is 1: raise it", 2, "grid"),
    _run("spec.search.objective.metric", "rmse", "'rmse' is not measured of models by", "log_loss", "objective"),
    _run("spec.gates[0].metric", "recall", "measured are: roc_auc, log_loss, accuracy", "accuracy", "gate"),
    _run("spec.trainer.estimator.maxCategories", 5000, "as a column of its own, at most 4096", 4096, "categories"),
    _run(f"{_PARAMS}.class_weight", "[1, 5]", "write a weight by class", "{'no': 1, 'yes': 5}", "weights"),
    _run(f"{_PARAMS}.class_weight", "{'no': much}", "'much' is no number", "balanced", "no weight"),
    _run(
        f"{_PARAMS}.monotonic_cst",
        "[0, 1]",
        "a list of 4 values in the order of the contract: price, size, city, dear",
        "[0, 1, 0, 0]",
        "constraints of too few columns",
        **_TREES,
    ),
    _run(
        f"{_PARAMS}.monotonic_cst",
        "{prise: 1}",
        "'prise' is no feature; there are: price, size, city, dear",
        "{price: 1}",
        "constraint of no column",
        **_TREES,
    ),
    _run(f"{_PARAMS}.monotonic_cst", "{city: 1}", "write 0 for it", "{city: 0}", "constraint of a text", **_TREES),
    _run(f"{_PARAMS}.monotonic_cst", "{size: 2}", "1 (rising)", "{size: 1}", "no constraint", **_TREES),
    _run(
        f"{_PARAMS}.interaction_cst",
        "[[price, 4]]",
        "4: positions go from 0 to 3: price, size, city, dear",
        "[[price, 3]]",
        "no position",
        **_TREES,
    ),
    _dataset(
        {
            "spec.governance": {"pii": ["price", "city"]},
            "spec.clean": [{"fillNull": {"field": "price", "strategy": "median"}}],
        },
        "spec.clean[0].fillNull.strategy",
        "is the value of one person",
        {"spec.governance": {"pii": ["price", "city"], "piiInModels": ["price"]}},
        "median of a person",
    ),
    _dataset(
        {f"{_LABEL}.enum": ["no", "yes"]},
        f"{_PARAMS}.class_weight",
        "'sold' is no class of the label; there are: no, yes",
        {f"{_LABEL}.enum": ["no", "sold"]},
        "weight of no class",
        **{f"{_PARAMS}.class_weight": "{sold: 2}"},
    ),
    _dataset(
        {f"{_LABEL}.type": "boolean"},
        f"{_PARAMS}.class_weight",
        "'1' is no class of the label; there are: false, true",
        {f"{_LABEL}.type": "int64"},
        "weight of no truth",
        **{f"{_PARAMS}.class_weight": "{1: 2}"},
    ),
    _run(
        "spec.gates[0].metric",
        "cost",
        "'cost' is not measured of models by LogisticRegression; say in spec.costs what "
        "answers cost; measured are: roc_auc",
        "accuracy",
        "gate on a cost that nobody named",
    ),
    _run(
        "spec.costs[0].column",
        "sise",
        "'sise' is no field of the Dataset: name one of spec.fields",
        "size",
        "column of a cost",
        **_COSTS,
    ),
    _run("spec.costs[0].column", "at", "'at' is a timestamp: name a number", "size", "time of a cost", **_COSTS),
    _run(
        "spec.costs[0].column",
        "price",
        "'price' may be missing: leave nullable out of the Dataset's field, or fill it",
        "size",
        "missing amounts",
        **_COSTS,
    ),
    _run("spec.gates[0].metric", "acuracy", "did you mean accuracy?", "accuracy", "misspelt gate"),
    _dataset(
        {f"{_LABEL}.type": "float64"}, _NAME, "declare the label as int64", {f"{_LABEL}.type": "int64"}, "classes"
    ),
    _dataset(
        {f"{_LABEL}.type": "timestamp"},
        "spec.datasetRef.name",
        "predict a number",
        {f"{_LABEL}.type": "string"},
        "when",
    ),
    _dataset(
        {f"{_LABEL}.role": "ignored"},
        "spec.datasetRef.name",
        "set role: label",
        {f"{_LABEL}.role": "label"},
        "no label",
    ),
    _dataset(
        {"spec.features[0].expression": "sold = 'no'"},
        "spec.datasetRef.name",
        "'dear' is computed from the label 'sold'",
        {"spec.features[0].expression": "price = 0"},
        "the answer as a feature",
    ),
    _dataset(
        {"spec.split": {"fractions": {"train": "0.8", "validation": "0.2", "test": "0"}}},
        "spec.gates[0].dataset",
        "set spec.split.fractions.test of the Dataset above 0",
        {"spec.split": {"fractions": {"train": "0.7", "validation": "0.2", "test": "0.1"}}},
        "a gate on no rows",
    ),
    _dataset(
        {"spec.split": {"fractions": {"train": "0.8", "validation": "0", "test": "0.2"}}},
        "spec.search",
        "set spec.split.fractions.validation of the Dataset above 0",
        {"spec.split": {"fractions": {"train": "0.7", "validation": "0.1", "test": "0.2"}}},
        "a search on no rows",
    ),
    _dataset(
        {"spec.governance.pii": ["sold"]},
        "spec.datasetRef.name",
        "declare it in governance.piiInModels",
        {"spec.governance.piiInModels": ["sold"]},
        "a label of personal data",
    ),
    _dataset(
        {"spec.clean": [{"dropNulls": ["prise"]}]},
        "spec.clean[0].dropNulls",
        '"prise" is not in spec.fields; there are: at, price, size, city, sold',
        {"spec.clean": [{"dropNulls": ["price"]}]},
        "column of a step",
    ),
    _dataset(
        {"spec.clean": [{"fillNull": {"field": "city", "strategy": "mean"}}]},
        "spec.clean[0].fillNull.strategy",
        "use value or forward",
        {"spec.clean": [{"fillNull": {"field": "city", "strategy": "forward"}}]},
        "mean of texts",
    ),
    _dataset(
        {"spec.clean": [{"fillNull": {"field": "price", "value": "none"}}]},
        "spec.clean[0].fillNull.value",
        '"none" is not a float64: write a number',
        {"spec.clean": [{"fillNull": {"field": "price", "value": "0"}}]},
        "text for a number",
    ),
    _dataset(
        {"spec.features[0].name": "size"},
        "spec.features[0].name",
        '"size" is a column already: choose another name',
        {"spec.features[0].name": "sise"},
        "name twice",
    ),
    _dataset(
        {"spec.governance.pii": ["town"]},
        "spec.governance.pii",
        '"town" is not in spec.fields; there are:',
        {"spec.governance.pii": ["city"]},
        "pii",
    ),
    _dataset(
        {"spec.governance.pii": ["at"], "spec.freshness": {"maxAge": "26h", "measure": "EventTime"}},
        "spec.freshness.measure",
        'the newest "at" would be shown, and the field is in governance.pii: use measure: Delivery, or take the field '
        "out of governance.pii",
        {"spec.freshness": {"maxAge": "26h", "measure": "Delivery"}},
        "age by a personal time",
    ),
    _dataset(
        {
            "spec.source": {"http": {"url": "https://data.example/x.parquet", "sha256": "0" * 64}},
            "spec.governance.pii": ["at"],
            "spec.freshness": {"maxAge": "26h", "measure": "EventTime"},
        },
        "spec.freshness.measure",
        "leave out spec.freshness, or take the field out of governance.pii",
        {"spec.freshness": None},
        "age by a personal time of what nothing dates",
    ),
]
# What the engine of expressions tells, which the operator has not.
EXPRESSIONS = [
    _dataset(
        {"spec.features[0].expression": "prise > 10"},
        "spec.features[0].expression",
        'names "prise", which is no column; there are: at, price, size, city, sold',
        {"spec.features[0].expression": "price > 10"},
        "column of an expression",
    ),
    _dataset(
        {"spec.clean": [{"filter": "price +"}]},
        "spec.clean[0].filter",
        "cannot be parsed",
        {"spec.clean": [{"filter": "price > 0"}]},
        "no expression",
    ),
    _dataset(
        {"spec.validation": {"rules": [{"name": "a", "expression": "size"}]}},
        "spec.validation.rules[0].expression",
        "is a int64: write a condition",
        {"spec.validation": {"rules": [{"name": "a", "expression": "size > 0"}]}},
        "no condition",
    ),
]


def _both(kind: str, changes: Object) -> tuple[Object, Object]:
    pair = {"Dataset": copy.deepcopy(DATASET), "TrainingRun": copy.deepcopy(RUN)}
    for path, value in changes.items():
        place = "TrainingRun" if path.startswith("spec.trainer") else kind
        pair[place] = changed(pair[place], {re.sub(r"\[(\d+)\]", r".\1", path): value})
    return pair["Dataset"], pair["TrainingRun"]


def _validate(folder: Path, *manifests: Object) -> tuple[int, list[str]]:
    (folder / "mine.yaml").write_text("\n---\n".join(map(written, manifests)))
    result = CliRunner().invoke(cli, ["validate", "-f", str(folder / "mine.yaml")])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output.strip().removeprefix("Error: ").splitlines()


@pytest.mark.parametrize(("kind", "changes", "path", "says", "way_out"), [*MISTAKES, *EXPRESSIONS])
def test_a_mistake_is_told_and_what_is_told_to_do_is_right(
    tmp_path: Path, kind: str, changes: Object, path: str, says: str, way_out: Object
) -> None:
    """Exit code 2; the line of the field, its path, what is wrong and the way out: with that, nothing is wrong."""
    manifests = _both(kind, changes)
    code, said = _validate(tmp_path, *manifests)
    assert code == 2
    assert len(said) == 1, said
    assert said[0].startswith(f"{tmp_path}/mine.yaml:")
    assert says in said[0]
    place = path.replace("parameters[0].values[1]", "parameters[tol]").replace("maxTrials", "")
    assert place.rstrip(".").split("[0].name")[0] in said[0]
    mended = _both(kind, {name: value for name, value in {**changes, **way_out}.items() if value is not None})
    assert _validate(tmp_path, *mended) == (0, ["2 objects are valid"])


@pytest.mark.parametrize(("kind", "changes", "path", "says", "way_out"), MISTAKES)
def test_the_operator_knows_it_too(kind: str, changes: Object, path: str, says: str, way_out: Object) -> None:
    """Without scikit-learn and without the engine of expressions."""
    dataset, run = map(parse, _both(kind, changes))
    assert isinstance(dataset, Dataset)
    assert isinstance(run, TrainingRun)
    found = of_dataset(dataset.spec) or of_run(run.spec) or of_run_on_dataset(run.spec, dataset.spec)
    assert len(found) == 1
    assert says in found[0].said


@pytest.mark.parametrize(
    ("run", "label", "says"),
    [
        pytest.param(
            {},
            {"enum": ["bought", "left"]},
            "spec.costs[0].actual: 'yes' is none of the classes: name one of bought, left",
            id="classes that the Dataset names",
        ),
        pytest.param(
            {},
            {"type": "boolean"},
            "spec.costs[0].actual: 'yes' is none of the classes: name one of false, true",
            id="truths",
        ),
        pytest.param(
            {"spec.trainer.estimator": {"name": "Ridge"}},
            {"type": "float64"},
            "spec.costs: are those of classes, and Ridge predicts numbers: leave spec.costs out, and use mae, rmse or "
            "r2",
            id="numbers",
        ),
        pytest.param(
            {"spec.trainer": {"container": {"image": "own:1", "command": ["x"]}}},
            {"type": "float64"},
            "spec.costs: are those of classes, and the label 'sold' is a number: leave spec.costs out, and use mae, "
            "rmse or r2",
            id="numbers of own code",
        ),
    ],
)
def test_costs_that_are_not_of_the_label_are_told_without_a_row(
    tmp_path: Path, run: Object, label: Object, says: str
) -> None:
    """And without costs nothing is wrong."""
    dataset = changed(DATASET, {f"spec.fields.4.{name}": value for name, value in label.items()})
    wanted = changed(RUN, {"spec.search": None, "spec.gates": [], **run})
    code, said = _validate(tmp_path, dataset, changed(wanted, _COSTS))
    assert code == 2
    assert len(said) == 1, said
    assert says in said[0]
    assert _validate(tmp_path, dataset, wanted) == (0, ["2 objects are valid"])


def test_costs_by_a_personal_or_ignored_column_are_told(tmp_path: Path) -> None:
    """Of the one no value is kept, of the other no request knows one; a filled one and one of role input are known."""
    by_size = changed(RUN, {"spec.costs": [_COSTS["spec.costs"][0] | {"column": "size"}]})
    by_price = changed(RUN, {"spec.costs": [_COSTS["spec.costs"][0] | {"column": "price"}]})
    _, said = _validate(tmp_path, changed(DATASET, {"spec.governance.pii": ["city", "size"]}), by_size)
    assert "spec.costs[0].column: 'size' is in governance.pii, and no values of it are kept" in said[0]
    _, said = _validate(tmp_path, changed(DATASET, {"spec.fields.2.role": "ignored"}), by_size)
    assert "no request carries 'size', so nobody knows what live answers cost: give it the role feature or" in said[0]
    assert _validate(tmp_path, changed(DATASET, {"spec.fields.2.role": "input"}), by_size)[0] == 0
    for fill, code in (({"value": "0"}, 0), ({"strategy": "median"}, 0), ({"strategy": "forward"}, 2)):
        filled = changed(DATASET, {"spec.clean": [{"fillNull": {"field": "price", **fill}}]})
        assert _validate(tmp_path, filled, by_price)[0] == code


def test_all_mistakes_are_told_at_once_one_line_each_and_not_more_than_can_be_read(tmp_path: Path) -> None:
    """Thirty columns with a space in their names were thirty sentences on one line."""
    fields = [{"name": f"mean radius {index}", "type": "float64"} for index in range(40)]
    code, said = _validate(tmp_path, changed(DATASET, {"spec.fields": fields}))
    assert code == 2
    assert len(said) == 26
    assert said[-1] == "and 15 more"
    assert all(f"spec.fields[{index}].name: Invalid value: 'mean radius {index}'" in said[index] for index in range(25))


def test_mistakes_of_several_expressions_are_told_at_once(tmp_path: Path) -> None:
    """Each step, the first bad feature, and every rule that does not depend on it."""
    dataset = changed(
        DATASET,
        {
            "spec.clean": [{"filter": "a"}, {"filter": "price > 0"}, {"filter": "b"}],
            "spec.features": [{"name": "one", "expression": "price + x"}, {"name": "two", "expression": "one + 1"}],
            "spec.validation": {
                "rules": [{"name": "r", "expression": "one > 0"}, {"name": "s", "expression": "price + 1"}]
            },
        },
    )
    _, said = _validate(tmp_path, dataset)
    places = ["spec.clean[0].filter", "spec.clean[2].filter", "spec.features[0].exp", "spec.validation.rules[1].exp"]
    assert [place in line for place, line in zip(places, said, strict=True)] == [True] * 4


def test_the_line_is_that_of_the_field(tmp_path: Path) -> None:
    """An editor jumps there."""
    _, said = _validate(tmp_path, *_both("TrainingRun", {f"{_PARAMS}.C": "many"}))
    lines = (tmp_path / "mine.yaml").read_text().splitlines()
    number = int(said[0].removeprefix(f"{tmp_path}/mine.yaml:").split(":")[0])
    assert lines[number - 1].strip() == "C: many"


@pytest.mark.parametrize("name", ["weather", "housing", "employment", "own-trainer", "taxi", "gitops/base"])
def test_the_examples_are_valid(name: str) -> None:
    """Offline, with their scenarios."""
    result = CliRunner().invoke(cli, ["validate", "-f", str(ROOT / "examples" / name)])
    assert result.exit_code == 0, result.output


def test_a_file_that_the_scenario_names_is_missed(tmp_path: Path) -> None:
    """Also that is known without running."""
    (tmp_path / "mine.yaml").write_text(written(DATASET))
    (tmp_path / "scenario.toml").write_text('[[put]]\nfile = "rows.parquet"\nuri = "s3://raw/rows/rows.parquet"\n')
    result = CliRunner().invoke(cli, ["validate", "-f", str(tmp_path)])
    assert result.exit_code == 2
    assert "rows.parquet: there is no such file" in result.output


@pytest.mark.parametrize("command", ["run", "digest"])
def test_run_and_digest_refuse_the_same(tmp_path: Path, command: str) -> None:
    """`mlops digest` computed a digest of an estimator that there is not."""
    dataset, run = _both("TrainingRun", {_NAME: "Rigde"})
    (tmp_path / "mine.yaml").write_text(f"{written(dataset)}\n---\n{written(run)}")
    words = [command, "-f", str(tmp_path / "mine.yaml"), "--state", str(tmp_path / "state")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "did you mean Ridge?" in result.output
    assert not (tmp_path / "state").exists()


def _of_dates(role: str) -> tuple[Object, Object]:
    fields = [{"name": "day", "type": "timestamp", "role": role}, *DATASET["spec"]["fields"][1:]]
    feature = {"name": "month", "expression": "EXTRACT(MONTH FROM day)"}
    return _both("Dataset", {"spec.fields": fields, "spec.features": [feature]})


@pytest.mark.parametrize("role", ["feature", "timestamp", "ignored"])
def test_advice_on_dates_ends_with_a_valid_manifest(tmp_path: Path, role: str) -> None:
    """It went in a circle: give it the role feature; give it the role timestamp or ignored."""
    dataset, run = _of_dates(role)
    for _ in range(3):
        code, said = _validate(tmp_path, dataset, run)
        if code == 0:
            return
        assert len(said) == 1
        assert "give it the role input" in said[0]
        dataset["spec"]["fields"][0]["role"] = "input"
    assert _validate(tmp_path, dataset, run)[0] == 0
