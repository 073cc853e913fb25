"""What is declared personal data stands in no model, and costs no answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from sklearn.neighbors import NearestCentroid

from mlops.workloads.floor.model.features import Features
from mlops.workloads.floor.model.golden import check_golden, read_golden
from mlops.workloads.floor.model.masks import masked, salt_of
from mlops.workloads.floor.model.opening import open_checked
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import ComputedFeature, Mask, read_signature
from mlops.workloads.floor.model.skops_file import dump_estimator, texts_of
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.artifact import inputs_of
from tests.stored_bytes import found_in
from tests.workloads.serve.models import rows as some_rows
from tests.workloads.serve.models import write_model
from tests.workloads.train.runs import FEATURES, FIELDS, Place, a_frame, a_schema, labelled, metric

MARKS = {"north": "Ångström, Fru Märta", "south": "Braund, Mr. Owen Harris", "west": "Cumings, Mrs. John"}
UPPER = [mark.upper() for mark in MARKS.values()]
DERIVED = [*FEATURES, {"name": "loud", "expression": "UPPER(region)", "type": "string"}]


def frame() -> pl.DataFrame:
    """Rows whose region is somebody's name, and a column that is computed from it."""
    named = a_frame().with_columns(pl.col("region").replace(MARKS))
    return named.with_columns(pl.col("region").str.to_uppercase().alias("loud"))


def schema(**changes: Any) -> dict[str, Any]:
    """The contract, with the computed column; no field is personal but by `pii`."""
    return a_schema(**({"features": DERIVED} | changes))


ESTIMATORS = [
    pytest.param("LogisticRegression", {}, "onnx", id="onnx, one-hot"),
    pytest.param("RandomForestClassifier", {"n_estimators": "5"}, "onnx", id="onnx, trees"),
    pytest.param("HistGradientBoostingClassifier", {"max_iter": "10"}, "treelite", id="treelite"),
    pytest.param("LinearSVC", {}, "onnx", id="onnx, no probabilities"),
    pytest.param("NearestCentroid", {}, "skops", id="skops"),
]


@pytest.mark.parametrize(("estimator", "params", "form"), ESTIMATORS)
def test_no_stored_byte_of_a_model_holds_a_personal_text(
    place: Place, estimator: str, params: dict[str, str], form: str
) -> None:
    """Neither the field's own values nor those of a feature that is computed from it, in any format."""
    dataset = place.dataset(frame(), schema(pii=["region"]))
    report = place.run(dataset, estimator, params=params)
    assert report.format == form
    folder = place.model(report)
    assert found_in(folder, [*MARKS.values(), *UPPER]) == {}
    assert found_in(place.model(place.run(place.dataset(frame(), schema()), estimator, params=params)), MARKS.values())
    predictor = Predictor.load(folder)
    assert check_golden(predictor, read_golden(folder, predictor.signature)) is None


@pytest.mark.parametrize(("estimator", "params", "form"), ESTIMATORS)
def test_a_masked_column_answers_bit_for_bit_as_a_plain_one(
    place: Place, estimator: str, params: dict[str, str], form: str
) -> None:
    """The order of categories is kept, so hiding them changes no number that the model learns or gives."""
    reports = [place.run(place.dataset(frame(), schema(pii=pii)), estimator, params=params) for pii in ([], ["region"])]
    plain, hidden = (Predictor.load(place.model(report)) for report in reports)
    rows = frame().with_columns(
        pl.when(pl.int_range(pl.len()) % 13 == 0).then(pl.lit("never seen")).otherwise("region").alias("region")
    )
    answers = [one.predict(inputs_of(rows, one.signature.inputs)) for one in (plain, hidden)]
    assert answers[0].prediction.tolist() == answers[1].prediction.tolist()
    if answers[0].probabilities is not None and answers[1].probabilities is not None:
        assert answers[0].probabilities.tobytes() == answers[1].probabilities.tobytes()
    assert metric(reports[0], "accuracy") == metric(reports[1], "accuracy")


def test_the_same_rows_give_the_same_masked_model(place: Place) -> None:
    """The salt follows from the values trained on: verify: Once holds for such models too."""
    dataset = place.dataset(frame(), schema(pii=["region"]))
    assert place.run(dataset).output_digest == place.run(dataset).output_digest


def test_what_is_declared_for_models_stands_there_in_plain_text(place: Place) -> None:
    """The way out, and the only one."""
    report = place.run(place.dataset(frame(), schema(pii=["region", "loud"], piiInModels=["region", "loud"])))
    assert found_in(place.model(report), MARKS.values())


def test_a_label_of_personal_data_is_refused_before_training(place: Place) -> None:
    """Its classes would stand in the model and in every answer."""
    with pytest.raises(BadInput, match=r"the label 'label' is in governance\.pii.*governance\.piiInModels"):
        place.run(place.dataset(frame(), schema(pii=["label"])))
    assert place.run(place.dataset(frame(), schema(pii=["label"], piiInModels=["label"]))).format == "onnx"


@pytest.mark.parametrize("estimator", ["KNeighborsClassifier", "SVC"])
def test_an_estimator_that_keeps_rows_gets_no_personal_numbers(place: Place, estimator: str) -> None:
    """Nearest neighbours and support vectors are rows of the data themselves; computed numbers count too."""
    with pytest.raises(BadInput, match=rf"'gap' is in governance\.pii .*{estimator} keeps the rows"):
        place.run(place.dataset(frame(), schema(pii=["price"], piiInModels=["price"])), estimator)
    declared = schema(pii=["price", "gap"], piiInModels=["price", "gap"])
    assert place.run(place.dataset(frame(), declared), estimator).output_digest
    assert place.run(place.dataset(frame(), schema(pii=["region"])), estimator).output_digest


def test_tokens_depend_on_the_salt_and_keep_what_is_missing() -> None:
    """None and the empty string stay missing; equal values of two columns have different tokens."""
    values = np.array(["Eve", "", None, "Eve"], dtype=object)
    first, second = (Mask(column=name, salt=salt_of(name, ["Eve"])) for name in ("a", "b"))
    columns = masked((first, second), {"a": values, "b": values, "c": values})
    assert columns["a"].tolist()[1:3] == ["", None]
    assert columns["a"][0] == columns["a"][3] != columns["b"][0]
    assert columns["c"] is values
    assert salt_of("a", ["Eve", "Bob"]) == salt_of("a", ["Bob", "Eve", "Eve"]) != salt_of("a", ["EveBob"])


def test_a_champion_with_masks_is_compared(place: Place, tmp_path: Path) -> None:
    """The next model meets the rows in plain text, and the champion masks them by its own salt."""
    dataset = place.dataset(frame(), schema(pii=["region"]))
    champion = place.run(dataset)
    report = place.run(
        dataset, "RandomForestClassifier", params={"n_estimators": "5"}, champion_artifact=champion.output_digest
    )
    assert metric(report, "accuracy", champion=True) == metric(champion, "accuracy")


def _own_model(place: Place, outputs: Path, **changes: Any) -> str:
    """Leave a model of a trainer's own, made of plain values; return the Dataset to collect it for."""
    made = place.run(place.dataset(frame(), schema()))
    place.store.get(made.output_digest, outputs)
    return place.dataset(frame(), schema(**changes))


@pytest.mark.parametrize("bare", [False, True], ids=["described", "a graph alone"])
def test_a_trainers_own_model_with_personal_texts_is_refused(place: Place, bare: bool) -> None:
    """In its description and in its graph: what we do not write ourselves is looked through."""
    outputs = place.new("outputs")
    dataset = _own_model(place, outputs, pii=["region"])
    if bare:
        (outputs / "model.json").unlink()
    want = r"model\.onnx" if bare else r"model\.json"
    with pytest.raises(BadInput, match=rf"{want} holds 3 values of 'region', which is in governance\.pii") as info:
        place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    assert info.value.reason == "OutputInvalid"
    assert not [mark for mark in MARKS.values() if mark in info.value.message]


def _into_json(*path: str) -> Callable[[Path, str], None]:
    def write(outputs: Path, text: str) -> None:
        document = json.loads((outputs / "model.json").read_text())
        place: Any = document
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = text
        (outputs / "model.json").write_text(json.dumps(document))

    return write


def _into_feature(outputs: Path, text: str) -> None:
    document = json.loads((outputs / "model.json").read_text())
    document["features"] = [{"name": "gap", "expression": f"if(region = '{text}', 1.0, 0.0)", "type": "float64"}]
    (outputs / "model.json").write_text(json.dumps(document))


def _into_graph(change: Callable[[onnx.ModelProto, str], object]) -> Callable[[Path, str], None]:
    def write(outputs: Path, text: str) -> None:
        model = onnx.load(outputs / "model.onnx")
        change(model, text)
        onnx.save(model, outputs / "model.onnx")

    return write


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(_into_json("estimator", "params", "note"), id="estimator.params"),
        pytest.param(_into_json("libraries", "mine"), id="libraries"),
        pytest.param(_into_feature, id="literal of an expression"),
        pytest.param(_into_graph(lambda model, text: model.metadata_props.add(key="who", value=text)), id="metadata"),
        pytest.param(_into_graph(lambda model, text: setattr(model, "doc_string", f"of {text}, 1912")), id="note"),
        pytest.param(_into_graph(lambda model, text: setattr(model.graph.node[0], "name", text)), id="name of a node"),
    ],
)
@pytest.mark.parametrize("column", ["region", "id"])
def test_no_place_in_a_trainers_own_model_is_left_out(
    place: Place, column: str, write: Callable[[Path, str], None]
) -> None:
    """Whatever the place is for, and whether the model sees the field or not: an entity's key is personal as well."""
    outputs = place.new("outputs")
    made = place.run(place.dataset(PEOPLE.drop("region"), a_schema(_but("region"))))
    place.store.get(made.output_digest, outputs)
    dataset = place.dataset(PEOPLE, a_schema(pii=[column]))
    who = PEOPLE[column][0]
    write(outputs, who)
    with pytest.raises(BadInput, match=rf"holds 1 value of '{column}', which is in governance\.pii") as info:
        place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    assert who not in info.value.message


def _but(name: str) -> list[dict[str, Any]]:
    return [one for one in FIELDS if one["name"] != name]


PEOPLE = a_frame().with_columns(
    pl.concat_str(pl.lit("Braund "), "region").fill_null("Cumings").alias("region"),
    pl.concat_str(pl.lit("person-"), "id").alias("id"),
)


def test_texts_of_a_skops_file_are_found_wherever_they_stand() -> None:
    """As values of its schema, and in arrays of texts."""
    model = NearestCentroid().fit([[0.0], [1.0], [2.0], [3.0]], ["Braund", "Braund", "Märta", "Märta"])
    model.feature_names_in_ = np.array(["Cumings"], dtype=object)
    found = set(texts_of(dump_estimator(model)))
    assert {"Braund", "Märta", "Cumings"} <= found


def test_a_cast_that_fails_in_a_model_shows_no_value(tmp_path: Path) -> None:
    """What a run or a version says is read by many, and model.json may cast a personal text."""
    signature = read_signature(write_model(tmp_path / "model"))
    cast = ComputedFeature(name="size", expression="cast(colour as double)", type="float64")
    inputs = {**some_rows(2), "colour": np.array(["Alice Miller", None], dtype=object)}
    with pytest.raises(BadInput, match=r"row 1: `cast\(colour as double\)` is no number") as info:
        Features(signature.model_copy(update={"features": (cast,)})).added(inputs)
    assert "Alice" not in info.value.message


def test_a_trainers_own_model_may_hold_what_is_declared_or_public(place: Place) -> None:
    """By piiInModels, or if the same texts stand in a column that is not personal."""
    outputs = place.new("outputs")
    declared = _own_model(place, outputs, pii=["region", "loud"], piiInModels=["region", "loud"])
    assert place.run(declared, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs))).format == "onnx"


def test_servers_know_from_the_model_what_not_to_record(place: Place) -> None:
    """The mark is the Dataset's: a trainer's own description cannot take it away."""
    outputs = place.new("outputs")
    dataset = _own_model(
        place, outputs, pii=["price", "holiday", "region"], piiInModels=["region", "loud"], piiInCaptures=["price"]
    )
    for report in (place.run(dataset), place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))):
        marked = [one.name for one in read_signature(place.model(report)).inputs if one.pii]
        assert marked == ["holiday", "region"]


def test_a_personal_timestamp_is_not_in_the_reference(place: Place) -> None:
    """When somebody was there is about somebody, too; drift checks go without it."""
    reference = pl.read_parquet(
        place.model(place.run(place.dataset(frame(), schema(pii=["time"])))) / "reference.parquet"
    )
    assert "time" not in reference.columns
    assert "in.price" in reference.columns


def _passing_graph(outputs: Path) -> None:
    """A model of a trainer's own that takes the number as what it is, an int64."""
    number = onnx.helper.make_tensor_value_info("count", onnx.TensorProto.INT64, [None, 1])
    answer = onnx.helper.make_tensor_value_info("answer", onnx.TensorProto.FLOAT, [None, 1])
    node = onnx.helper.make_node("Cast", ["count"], ["answer"], to=onnx.TensorProto.FLOAT)
    graph = onnx.helper.make_graph([node], "count", [number], [answer])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
        outputs / "model.onnx",
    )


def test_a_trainers_own_model_of_a_personal_whole_number_is_checked_by_numbers_that_are_nobodys(place: Place) -> None:
    """Whole numbers that no request lacks cannot be missing in golden rows either: the engine takes int64 only."""
    people = a_frame().with_columns(pl.int_range(pl.len()).alias("count") * 2 + 1_000_001)
    fields = [one for one in labelled("value", "float64") if one["name"] in ("time", "id", "count", "value")]
    dataset = place.dataset(people, a_schema(fields, features=[], pii=["count"]))
    outputs = place.new("outputs")
    _passing_graph(outputs)
    report = place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    folder = place.model(report)
    golden = json.loads((folder / "golden.json").read_text())["inputs"]["count"]
    assert len(set(golden)) == 1
    assert golden[0] not in people["count"].to_list()
    assert open_checked(folder).predictor.signature.format == "onnx"
