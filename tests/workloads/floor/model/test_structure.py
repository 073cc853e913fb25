"""One lie in a file that is sound otherwise: native code would follow it, so it is found before."""

from __future__ import annotations

import importlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import skops.io
import treelite
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, SVR

from mlops.workloads.floor.model.onnx_checks import MAX_TURNS
from mlops.workloads.floor.model.onnx_engine import check_onnx
from mlops.workloads.floor.model.onnx_graph import pipeline_graph
from mlops.workloads.floor.model.signature import Encoding, NumberEncoding
from mlops.workloads.floor.model.skops_checks import checked_types
from mlops.workloads.floor.model.skops_file import dump_estimator, load_estimator
from mlops.workloads.floor.model.treelite_file import Forest, check_treelite
from mlops.workloads.floor.model.trusted_types import TRUSTED
from mlops.workloads.floor.pod import BadInput

WIDTH = 4
RANDOM = np.random.default_rng(0)
MATRIX = RANDOM.normal(size=(80, WIDTH))
THREE = np.digitize(MATRIX[:, 0] + MATRIX[:, 1], [-0.5, 0.5])
FOREST = RandomForestClassifier(2, max_depth=3, random_state=0).fit(MATRIX, THREE)
TREELITE = treelite.sklearn.import_model(FOREST).serialize_bytes()
# Behind the header of three classes: num_nodes, has_categorical_split, node_type (length, values), cleft (length, ...).
FIRST_TREE = TREELITE.index(b"identity_multiclass") + len(b"identity_multiclass") + 8 + 8 + 3 * 8 + 8 + 4


def _nodes() -> int:
    return int(struct.unpack_from("<i", TREELITE, FIRST_TREE)[0])


def _array_at(number: int) -> int:
    """Where the values of one of the arrays behind node_type stand: 0 cleft, 1 cright, 2 split_index."""
    return FIRST_TREE + 5 + 8 + _nodes() + number * (8 + 4 * _nodes()) + 8


def _with(place: int, form: str, value: int) -> bytes:
    changed = bytearray(TREELITE)
    struct.pack_into(form, changed, place, value)
    return bytes(changed)


def test_a_sound_forest_says_what_it_takes() -> None:
    """Trees, features and classes are read from the bytes."""
    assert check_treelite(TREELITE) == Forest(trees=2, features=WIDTH, classes=3)
    assert struct.unpack_from("<i", TREELITE, _array_at(0))[0] == 1


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(TREELITE[:-1], "cut off|more than the file holds", id="cut off"),
        pytest.param(TREELITE + b"\0", "1 bytes are left over", id="longer"),
        pytest.param(_with(_array_at(0), "<i", 1 << 20), "is none of the", id="child beyond the nodes"),
        pytest.param(_with(_array_at(0), "<i", 0), "is none of the", id="child is the root"),
        pytest.param(_with(_array_at(0), "<i", 2), "child of two", id="child of two"),
        pytest.param(_with(_array_at(0), "<i", -1), "leaf has a child", id="half a leaf"),
        pytest.param(_with(_array_at(2), "<i", WIDTH), "beyond the 4", id="feature"),
        pytest.param(_with(_array_at(2), "<i", -2), "beyond the 4", id="negative feature"),
        pytest.param(_with(_array_at(0) - 8, "<Q", 1 << 60), "elements, expected", id="length"),
        pytest.param(_with(FIRST_TREE, "<i", -1), "-1 nodes", id="nodes"),
        pytest.param(_with(12, "<B", 9), "types of thresholds", id="type"),
        pytest.param(_with(14, "<Q", 1 << 40), "1099511627776 trees", id="trees"),
        pytest.param(_with(22, "<i", 0), "0 features", id="no features"),
        pytest.param(TREELITE.replace(b"identity_multiclass", b"identity_multiclasX"), "not known", id="postprocessor"),
    ],
)
def test_a_forest_with_one_wrong_number_is_refused(content: bytes, want: str) -> None:
    """treelite itself would read beyond its arrays, or walk in a circle."""
    with pytest.raises(BadInput, match=want) as info:
        check_treelite(content)
    assert info.value.reason == "FormatForbidden"


def _packed(estimator: Any, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> bytes:
    """Return a skops file with another schema or other arrays, in a whole archive."""
    with zipfile.ZipFile(io.BytesIO(dump_estimator(estimator))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    change(schema, members)
    members["schema.json"] = json.dumps(schema).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _found(value: Any, name: str) -> dict[str, Any]:
    """Return the first node of an attribute or of a class."""
    for node in _all(value):
        if name in node or node.get("__class__") == name:
            found: dict[str, Any] = node.get(name, node)
            return found
    raise KeyError(name)


def _all(value: Any) -> list[dict[str, Any]]:
    here = [value] if isinstance(value, dict) else []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return here + [node for part in parts for node in _all(part)]


def _array(
    name: str, change: Callable[[Any], Any], inside: str | None = None
) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    """Another content of the first array that is an attribute of this name."""

    def changed(schema: dict[str, Any], members: dict[str, bytes]) -> None:
        file = _found(_found(schema, inside) if inside else schema, name)["file"]
        array = np.load(io.BytesIO(members[file])).copy()
        written = io.BytesIO()
        replaced = change(array)
        np.save(written, array if replaced is None else replaced)
        members[file] = written.getvalue()

    return changed


def _value(name: str, value: object) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    """Another plain value of the first attribute of this name."""
    return lambda schema, _: _found(schema, name).update(content=json.dumps(value))


def _set(field: str | None, place: int, value: int) -> Callable[[Any], None]:
    def change(array: Any) -> None:
        (array if field is None else array[field])[place] = value

    return change


def _boosted(kind: Any, **params: Any) -> Any:
    return kind(random_state=0, **params).fit(MATRIX, THREE)


KNN = KNeighborsClassifier(3, algorithm="kd_tree", leaf_size=5).fit(MATRIX, THREE)
BRUTE = KNeighborsClassifier(3, algorithm="brute").fit(MATRIX, THREE)
VECTORS, REGRESSION = SVC().fit(MATRIX, THREE), SVR().fit(MATRIX, MATRIX[:, 0])
GRADIENT = _boosted(GradientBoostingClassifier, n_estimators=2, max_depth=2)
HISTOGRAM = _boosted(HistGradientBoostingClassifier, max_iter=2, max_depth=2)


def _shared(schema: dict[str, Any], _: dict[str, bytes]) -> None:
    """A tree has the number of another object, which skops would put in its place."""
    _found(schema, "Tree")["__id__"] = _found(schema, "ccp_alpha")["__id__"]


def _made_otherwise(name: str, loader: str) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    return lambda schema, _: _found(schema, name).update(__loader__=loader)


@pytest.mark.parametrize(
    ("estimator", "change", "want"),
    [
        pytest.param(FOREST, _array("nodes", _set("left_child", 0, 1 << 30)), "none of the nodes after it", id="child"),
        pytest.param(FOREST, _array("nodes", _set("left_child", 1, 0)), "none of the nodes after it", id="circle"),
        pytest.param(FOREST, _array("nodes", _set("feature", 0, WIDTH)), "outside of the 4", id="feature"),
        pytest.param(FOREST, _value("node_count", 1 << 40), "says 1099511627776 nodes", id="count"),
        pytest.param(FOREST, _array("values", lambda a: a[:, :, :1]), "values has the shape", id="values"),
        pytest.param(FOREST, _made_otherwise("Tree", "ObjectNode"), "is not made by ObjectNode", id="loader"),
        pytest.param(FOREST, _shared, "has no tree|is not made|Tree|no estimator", id="number of another"),
        pytest.param(FOREST, _value("n_jobs", 64), "n_jobs is 64", id="processes"),
        pytest.param(FOREST, _value("n_features_in_", 9), "takes 9 numbers", id="width"),
        pytest.param(HISTOGRAM, _array("nodes", _set("left", 0, 1 << 20)), "none of the nodes after", id="histogram"),
        pytest.param(
            HISTOGRAM, _array("nodes", _set("feature_idx", 0, 99)), "outside of the 4", id="histogram feature"
        ),
        pytest.param(HISTOGRAM, _array("nodes", _set("is_categorical", 0, 1)), "neither a leaf nor", id="categorical"),
        pytest.param(
            HISTOGRAM,
            _array("is_categorical_", lambda a: a | 1, "_bin_mapper"),
            "categories of its own",
            id="categories",
        ),
        pytest.param(GRADIENT, _array("class_prior_", lambda a: a[:1]), "class_prior_ has the shape", id="first"),
        pytest.param(GRADIENT, _array("classes_", lambda a: a[:2]), "estimators_ has the shape", id="columns"),
        pytest.param(KNN, _array("_y", _set(None, 0, 1 << 40)), "outside of the 3", id="label of a neighbour"),
        pytest.param(BRUTE, _array("_y", _set(None, 0, -5)), "outside of the 3", id="label, brute force"),
        pytest.param(BRUTE, _array("_fit_X", lambda a: a[:, :2]), "_fit_X has the shape", id="columns of rows"),
        pytest.param(BRUTE, _value("n_samples_fit_", 1 << 40), "not the number of its 80 rows", id="rows"),
        pytest.param(BRUTE, _value("n_neighbors", 81), "81 neighbours of 80 rows", id="neighbours"),
        pytest.param(BRUTE, _value("effective_metric_", "haversine"), "no distance of two rows", id="distance"),
        pytest.param(VECTORS, _array("_n_support", _set(None, 0, 1 << 20)), "numbers of support vectors", id="support"),
        pytest.param(VECTORS, _array("_dual_coef_", lambda a: a[:1]), "_dual_coef_ has the shape", id="coefficients"),
        pytest.param(VECTORS, _array("_intercept_", lambda a: a[:1]), "_intercept_ has the shape", id="intercepts"),
        pytest.param(VECTORS, _value("kernel", "precomputed"), "the kernel 'precomputed'", id="kernel"),
        pytest.param(REGRESSION, _array("support_vectors_", lambda a: a[:3]), "has the shape", id="regression"),
    ],
)
def test_an_estimator_with_one_lie_is_refused(estimator: Any, change: Any, want: str) -> None:
    """Most of them end the process at the first prediction; a few only for some rows."""
    load_estimator(dump_estimator(estimator), WIDTH)
    with pytest.raises(BadInput, match=want) as info:
        load_estimator(_packed(estimator, change), WIDTH)
    assert info.value.reason == "FormatForbidden"


def test_each_trusted_type_of_native_code_is_checked() -> None:
    """Who adds a type to the list has to look at what its native code indexes; the losses calculate with one number."""
    harmless = ("sklearn._loss._loss.", "sklearn.linear_model._sgd_fast.", "numpy.")
    native = []
    for name in sorted(TRUSTED):
        module = importlib.import_module(name.rpartition(".")[0])
        if (getattr(module, "__file__", None) or "").endswith(".so") and not name.startswith(harmless):
            native.append(name)
    assert len(native) >= 7
    assert set(native) <= set(checked_types())
    # Python classes that hand arrays of their own to native code at a prediction.
    for stem in ("GradientBoosting", "HistGradientBoosting", "KNeighbors"):
        assert sum(name.rpartition(".")[2].startswith(stem) for name in checked_types()) == 2
    assert {"SVC", "NuSVC", "SVR", "NuSVR"} <= {name.rpartition(".")[2] for name in checked_types()}


def test_an_older_protocol_of_skops_is_not_read() -> None:
    """It has loaders of its own."""
    with pytest.raises(BadInput, match="its protocol is 0"):
        load_estimator(_packed(FOREST, lambda schema, _: schema.update(protocol=0)), WIDTH)


@pytest.mark.parametrize("algorithm", ["brute", "kd_tree", "ball_tree"])
def test_neighbours_of_whole_numbers_are_read(algorithm: str) -> None:
    """scikit-learn keeps the rows in their own type."""
    rows = (MATRIX * 10).astype(np.int64)
    fitted = KNeighborsClassifier(3, algorithm=algorithm).fit(rows, THREE)
    read = load_estimator(dump_estimator(fitted), WIDTH)
    assert read.predict(rows).tolist() == fitted.predict(rows).tolist()


def test_what_skops_writes_of_an_estimator_with_a_method_for_an_attribute_is_refused() -> None:
    """An attribute would stand before the class's own method."""
    estimator = KNeighborsClassifier(3).fit(MATRIX, THREE)
    estimator.predict = "x"
    with pytest.raises(BadInput, match="'predict' is no attribute"):
        load_estimator(skops.io.dumps(estimator), WIDTH)


ENCODING = Encoding(numbers=tuple(NumberEncoding(column=name) for name in "abcd"))


def _ensemble(change: Callable[[dict[str, Any]], None]) -> bytes:
    """A forest as ONNX with one attribute changed."""
    graph = pipeline_graph(ENCODING, FOREST, double=False)
    node = next(one for one in graph.graph.node if one.op_type == "TreeEnsembleClassifier")
    change({one.name: one for one in node.attribute})
    return bytes(graph.SerializeToString())


def _ints(name: str, place: int, value: int) -> Callable[[dict[str, Any]], None]:
    return lambda attributes: attributes[name].ints.__setitem__(place, value)


def _first_branch(name: str, value: int) -> Callable[[dict[str, Any]], None]:
    def change(attributes: dict[str, Any]) -> None:
        place = next(n for n, mode in enumerate(attributes["nodes_modes"].strings) if mode != b"LEAF")
        attributes[name].ints[place] = value

    return change


@pytest.mark.parametrize(
    ("change", "want"),
    [
        pytest.param(_first_branch("nodes_truenodeids", 1 << 20), "named that there is not", id="child"),
        pytest.param(_first_branch("nodes_truenodeids", -1), "outside of the", id="negative child"),
        pytest.param(_first_branch("nodes_truenodeids", 0), "child of two|no root", id="circle"),
        pytest.param(_first_branch("nodes_featureids", 1 << 40), "feature points outside", id="feature"),
        pytest.param(_ints("nodes_nodeids", 1, 0), "two nodes of a tree have one number", id="node twice"),
        pytest.param(_ints("class_ids", 0, 99), "a vote's output points outside", id="class"),
        pytest.param(_ints("class_nodeids", 0, 0), "no leaf", id="vote"),
        pytest.param(lambda a: a["nodes_values"].floats.pop(), "lists of nodes differ", id="values"),
        pytest.param(lambda a: a["class_weights"].floats.pop(), "lists of votes differ", id="weights"),
        pytest.param(lambda a: a["nodes_modes"].strings.__setitem__(0, b"X"), "mode is 'X'", id="mode"),
    ],
)
def test_trees_of_a_graph_with_one_wrong_number_are_refused(
    change: Callable[[dict[str, Any]], None], want: str
) -> None:
    """The runtime looks up nodes by their numbers and follows what it finds."""
    check_onnx(_ensemble(lambda _: None))
    with pytest.raises(BadInput, match=want) as info:
        check_onnx(_ensemble(change))
    assert info.value.reason == "FormatForbidden"


def _loop(turns: list[onnx.TensorProto], inputs: list[str]) -> bytes:
    """A graph with a Loop whose body only says: go on."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Loop", inputs, [], body=body),
            helper.make_node("Identity", ["X"], ["y"]),
        ],
        "endless",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        turns,
    )
    return bytes(helper.make_model(graph, ir_version=9).SerializeToString())


@pytest.mark.parametrize(
    ("turns", "inputs"),
    [
        pytest.param([], ["", "c"], id="a condition only"),
        pytest.param([], ["X", ""], id="as many as a row says"),
        pytest.param([numpy_helper.from_array(np.array(1 << 62), "m")], ["m", ""], id="more than anybody waits for"),
        pytest.param([numpy_helper.from_array(np.array(-1), "m")], ["m", ""], id="less than none"),
    ],
)
def test_a_loop_without_an_end_is_refused(turns: list[onnx.TensorProto], inputs: list[str]) -> None:
    """Its session opens at once; the first prediction never comes back."""
    with pytest.raises(BadInput, match=f"no end|more than {MAX_TURNS} times"):
        check_onnx(_loop(turns, inputs))
    check_onnx(_loop([numpy_helper.from_array(np.array(3), "m")], ["m", ""]))


def _nested(deep: int, turns: int, hidden_by: str = "") -> bytes:
    """Loops within each other that all take their number of turns from one constant of the outermost graph.

    `hidden_by` makes it another value: an input of the graph, or computed by a node of the innermost graph but one.
    """
    nodes: list[onnx.NodeProto] = [helper.make_node("Identity", ["going"], ["on"])]
    for level in range(deep):
        outer = level == deep - 1
        if hidden_by == "node" and level == deep - 2:
            nodes = [helper.make_node("Identity", ["turn"], ["m"]), *nodes]
        body = helper.make_graph(
            nodes,
            f"body{level}",
            [
                helper.make_tensor_value_info("turn", TensorProto.INT64, []),
                helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            ],
            [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
        )
        nodes = [helper.make_node("Loop", ["m", ""], [], body=body)]
        nodes.append(helper.make_node("Identity", ["X" if outer else "going"], ["y" if outer else "on"]))
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", 2])]
    if hidden_by == "input":
        inputs.append(helper.make_tensor_value_info("m", TensorProto.INT64, []))
    graph = helper.make_graph(
        nodes,
        "nested",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.array(turns), "m")],
    )
    return bytes(helper.make_model(graph, ir_version=9).SerializeToString())


def test_loops_within_each_other_turn_together_no_more_than_one_may() -> None:
    """Three of a million are a million years; a constant of a graph around them is one for them too."""
    check_onnx(_nested(3, 100))
    with pytest.raises(BadInput, match=f"Loops within each other turn more than {MAX_TURNS} times"):
        check_onnx(_nested(3, 1 << 10))


@pytest.mark.parametrize("hidden_by", ["input", "node"])
def test_a_value_of_a_constants_name_is_no_constant(hidden_by: str) -> None:
    """What is fed, or computed nearer, hides the constant: it could be any number."""
    with pytest.raises(BadInput, match="no constant number of turns"):
        check_onnx(_nested(3, 100, hidden_by))


def _tensors(*tensors: onnx.TensorProto) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["X"], ["y"])],
        "constants",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        tensors,
    )
    return bytes(helper.make_model(graph, ir_version=9).SerializeToString())


@pytest.mark.parametrize("dims", [[1 << 40], [-1], [3], [1 << 33, 1 << 33], [1] * 40])
def test_a_tensor_that_declares_other_dimensions_than_it_holds_is_refused(dims: list[int]) -> None:
    """Its declared size would be allocated."""
    tensor = numpy_helper.from_array(np.array([1.0, 2.0], dtype=np.float32), "t")
    check_onnx(_tensors(tensor))
    del tensor.dims[:]
    tensor.dims.extend(dims)
    with pytest.raises(BadInput, match="has the dimensions"):
        check_onnx(_tensors(tensor))


def test_functions_that_call_each_other_without_end_or_too_often_are_refused() -> None:
    """They are put in place of their calls: twenty that call the next one twice are a million nodes."""

    def function(name: str, *calls: str) -> onnx.FunctionProto:
        nodes = [
            helper.make_node(call, ["a"], [f"b{number}"], domain="ai.onnx.ml") for number, call in enumerate(calls)
        ]
        nodes.append(helper.make_node("Identity", ["a"], ["b"]))
        return helper.make_function("ai.onnx.ml", name, ["a"], ["b"], nodes, [helper.make_opsetid("", 18)])

    def model(*functions: onnx.FunctionProto) -> bytes:
        graph = onnx.ModelProto()
        graph.ParseFromString(_tensors())
        graph.graph.node[0].op_type, graph.graph.node[0].domain = "f0", "ai.onnx.ml"
        graph.functions.extend(functions)
        return bytes(graph.SerializeToString())

    with pytest.raises(BadInput, match="'f0' calls itself"):
        check_onnx(model(function("f0", "f1"), function("f1", "f0")))
    many = [function(f"f{n}", *[f"f{n + 1}"] * 20) for n in range(6)]
    with pytest.raises(BadInput, match="more than 65536 nodes"):
        check_onnx(model(*many, function("f6")))


def test_a_name_in_a_graph_that_is_no_text_is_refused() -> None:
    """The runtime hands the names of inputs and dimensions out as texts, and fails where it is asked for them."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["X"], ["y"])],
        "names",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["many", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["many", 2])],
    )
    content = bytes(helper.make_model(graph, ir_version=9).SerializeToString())
    check_onnx(content)
    with pytest.raises(BadInput, match="a name that is no text"):
        check_onnx(content.replace(b"many", b"\xff\xfeny"))


def test_an_estimator_without_a_state_where_one_should_be_is_refused() -> None:
    """Not by an error of the program's own."""

    def without(schema: dict[str, Any], _: dict[str, bytes]) -> None:
        _found(schema, "DecisionTreeClassifier").pop("content", None)
        schema["content"] = None

    with pytest.raises(BadInput, match="it holds no estimator"):
        load_estimator(_packed(FOREST, without), WIDTH)
