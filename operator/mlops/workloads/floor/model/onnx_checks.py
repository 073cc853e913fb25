"""What must hold of an ONNX graph before ONNX Runtime sees it: bounded work, whole tensors, indices that lead to nodes.

The runtime checks types and shapes of most operators itself. It does not end a loop, and the operators of ai.onnx.ml
follow the indices in their attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput

MAX_NODES: Final = 1 << 16
MAX_DEPTH: Final = 16
MAX_TURNS: Final = 1 << 20
MAX_RANK: Final = 16
MAX_INDEX: Final = 1 << 24
_ML: Final = "ai.onnx.ml"
_BYTES: Final[dict[int, int]] = {
    TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.INT64: 8, TensorProto.INT32: 4, TensorProto.BOOL: 1,
    TensorProto.UINT8: 1, TensorProto.INT8: 1, TensorProto.UINT16: 2, TensorProto.INT16: 2, TensorProto.UINT32: 4,
    TensorProto.UINT64: 8, TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2,
}  # fmt: skip
_FIELDS: Final[dict[int, str]] = {
    TensorProto.FLOAT: "float_data", TensorProto.DOUBLE: "double_data", TensorProto.INT64: "int64_data",
    TensorProto.UINT64: "uint64_data", TensorProto.UINT32: "uint64_data", TensorProto.STRING: "string_data",
}  # fmt: skip
_BRANCHES: Final = frozenset(
    {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"}
)


def check_structure(model: onnx.ModelProto, name: str) -> None:
    """Raise BadInput(FormatForbidden) for a graph that could run without end, or that points outside of itself."""
    checker = _Checker(name, {(one.domain, one.name): one for one in model.functions})
    if len(checker.functions) != len(model.functions):
        raise checker.bad("two functions have one name")
    checker.graph(model.graph, 0, 1, {})


class _Checker:
    def __init__(self, name: str, functions: dict[tuple[str, str], onnx.FunctionProto]) -> None:
        self.name, self.functions = name, functions
        self._nodes = 0
        self._calls: list[tuple[str, str]] = []

    def bad(self, problem: str) -> BadInput:
        return BadInput(Reason.FORMAT_FORBIDDEN, f"{self.name}: {problem}: export the model again")

    def graph(self, graph: onnx.GraphProto, depth: int, turns: int, outer: dict[str, onnx.TensorProto]) -> None:
        """Check a graph; it sees the constants of the graphs around it. What is an input as well is none: it is fed."""
        own = {one.name: one for one in graph.initializer}
        if len(own) != len(graph.initializer):
            raise self.bad("two tensors have one name")
        inputs = {one.name for one in graph.input}
        constants = {name: one for name, one in (outer | own).items() if name not in inputs}
        for one in (*graph.input, *graph.output):
            self.named(one)
        for tensor in graph.initializer:
            self.tensor(tensor)
        for sparse in graph.sparse_initializer:
            self.sparse(sparse)
        self.nodes(graph.node, constants, depth, turns)

    def named(self, one: onnx.ValueInfoProto) -> None:
        """The names of an input or output, and of its dimensions, are texts: the runtime hands them out as such."""
        try:
            for name in (one.name, *(dim.dim_param for dim in one.type.tensor_type.shape.dim)):
                name.encode()
        except (UnicodeError, AttributeError) as error:
            raise self.bad("an input or output, or a dimension of it, has a name that is no text") from error

    def nodes(
        self, nodes: Sequence[onnx.NodeProto], constants: dict[str, onnx.TensorProto], depth: int, turns: int
    ) -> None:
        """Check nodes in their order; functions count as often as they are called, since they are put in place."""
        if depth > MAX_DEPTH:
            raise self.bad(f"graphs lie in each other more than {MAX_DEPTH} deep")
        for node in nodes:
            self._nodes += 1
            if self._nodes > MAX_NODES:
                raise self.bad(f"it has more than {MAX_NODES} nodes")
            self.node(node, constants, depth, turns)

    def node(self, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], depth: int, turns: int) -> None:
        names = [attribute.name for attribute in node.attribute]
        if len(set(names)) != len(names):
            raise self.bad(f"{node.op_type} has an attribute twice")
        if node.op_type == "Loop":
            turns *= self.turns(node, constants)
            if turns > MAX_TURNS:
                raise self.bad(f"Loops within each other turn more than {MAX_TURNS} times")
        for attribute in node.attribute:
            for tensor in (attribute.t, *attribute.tensors) if attribute.HasField("t") else attribute.tensors:
                self.tensor(tensor)
            for sparse in attribute.sparse_tensors:
                self.sparse(sparse)
            if attribute.HasField("sparse_tensor"):
                self.sparse(attribute.sparse_tensor)
            for graph in (attribute.g, *attribute.graphs) if attribute.HasField("g") else attribute.graphs:
                self.graph(graph, depth + 1, turns, constants)
        # A value that is computed here hides a constant of its name around this graph.
        for output in node.output:
            constants.pop(output, None)
        if node.op_type == "Constant" and node.output:
            constants.update((node.output[0], one.t) for one in node.attribute if one.name == "value")
        called = (node.domain, node.op_type)
        if called in self.functions:
            if called in self._calls:
                raise self.bad(f"the function {node.op_type!r} calls itself")
            self._calls.append(called)
            self.nodes(self.functions[called].node, {}, depth + 1, turns)
            self._calls.pop()
        check = _OPERATORS.get(node.op_type) if node.domain == _ML else None
        if check is not None:
            check(_Attributes(self, node))

    def turns(self, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> int:
        """Return how often a Loop turns at most; one that only its condition ends may have no end."""
        counted = constants.get(node.input[0]) if node.input else None
        if counted is None or counted.data_type != TensorProto.INT64:
            raise self.bad("a Loop has no constant number of turns, so that it may have no end")
        self.tensor(counted)
        values = _numbers(counted)
        if values.size != 1 or not 0 <= int(values.ravel()[0]) <= MAX_TURNS:
            raise self.bad(f"a Loop turns more than {MAX_TURNS} times")
        return max(1, int(values.ravel()[0]))

    def tensor(self, tensor: onnx.TensorProto) -> None:
        """A tensor holds as many values as its dimensions say."""
        if len(tensor.dims) > MAX_RANK or any(size < 0 for size in tensor.dims):
            raise self.bad(f"the tensor {tensor.name[:60]!r} has the dimensions {list(tensor.dims)[:20]}")
        count = 1
        for size in tensor.dims:
            count *= size
        wide = _BYTES.get(tensor.data_type)
        if tensor.raw_data:
            have, want = len(tensor.raw_data), count * (wide or 0)
            fits = wide is not None and have == want
        else:
            have, want = len(getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))), count
            fits = have == want and (wide is not None or tensor.data_type == TensorProto.STRING)
        if not fits:
            raise self.bad(
                f"the tensor {tensor.name[:60]!r} of type {tensor.data_type} has the dimensions "
                f"{list(tensor.dims)[:20]} and holds something else"
            )

    def sparse(self, sparse: onnx.SparseTensorProto) -> None:
        self.tensor(sparse.values)
        self.tensor(sparse.indices)
        # No exporter of models of tables writes them, and the runtime makes a whole tensor of each.
        raise self.bad("it has a sparse tensor")


class _Attributes:
    """The attributes of one node of ai.onnx.ml, as arrays."""

    def __init__(self, checker: _Checker, node: onnx.NodeProto) -> None:
        self.operator, self._checker = node.op_type, checker
        self._found = {one.name: one for one in node.attribute}

    def bad(self, problem: str) -> BadInput:
        """Return a refusal that names the operator."""
        return self._checker.bad(f"{self.operator}: {problem}")

    def whole(self, name: str) -> NDArray[np.int64]:
        """Return whole numbers: a list, or the values of a tensor; empty if there are none."""
        found = self._found.get(name)
        if found is None:
            return np.zeros(0, dtype=np.int64)
        if found.HasField("t"):
            return _numbers(found.t).ravel().astype(np.int64)
        return np.array(found.ints, dtype=np.int64)

    def length(self, *names: str) -> int:
        """Return the length of the first of these lists that is there."""
        for name in names:
            found = self._found.get(name)
            if found is not None:
                if found.HasField("t"):
                    return int(np.prod(found.t.dims, dtype=np.int64))
                return max(len(found.floats), len(found.ints), len(found.strings))
        return 0

    def lengths(self, *names: str) -> list[int]:
        """Return the lengths of those of these lists that are there."""
        return [self.length(name) for name in names if name in self._found]

    def number(self, name: str, default: int) -> int:
        """Return one whole number."""
        return int(self._found[name].i) if name in self._found else default

    def texts(self, name: str) -> list[bytes]:
        """Return a list of texts."""
        return list(self._found[name].strings) if name in self._found else []


def _numbers(tensor: onnx.TensorProto) -> NDArray[Any]:
    """Return the values of a tensor that was checked."""
    if tensor.data_type == TensorProto.INT64:
        return np.frombuffer(tensor.raw_data, "<i8") if tensor.raw_data else np.array(tensor.int64_data, dtype=np.int64)
    if tensor.data_type == TensorProto.UINT8:
        return np.frombuffer(tensor.raw_data, np.uint8) if tensor.raw_data else np.array(tensor.int32_data)
    return np.array(onnx.numpy_helper.to_array(tensor))


def _within(at: _Attributes, what: str, values: NDArray[Any], limit: int) -> None:
    if values.size and (int(values.min()) < 0 or int(values.max()) >= limit):
        raise at.bad(f"{what} points outside of the {limit} that there are")


def _ensemble(at: _Attributes) -> None:
    """TreeEnsembleClassifier and TreeEnsembleRegressor: nodes by (tree, node), leaves that votes name."""
    tree, node = at.whole("nodes_treeids"), at.whole("nodes_nodeids")
    modes = [mode.decode("latin-1") for mode in at.texts("nodes_modes")]
    count = tree.shape[0]
    yes, no, feature = (at.whole(f"nodes_{name}") for name in ("truenodeids", "falsenodeids", "featureids"))
    each = at.lengths("nodes_values", "nodes_values_as_tensor", "nodes_nodeids", "nodes_truenodeids", "nodes_modes")
    each += at.lengths("nodes_falsenodeids", "nodes_featureids")
    optional = at.lengths("nodes_hitrates", "nodes_hitrates_as_tensor", "nodes_missing_value_tracks_true")
    if count < 1 or len(each) < 6 or set(each) != {count} or not set(optional) <= {0, count}:
        raise at.bad("its lists of nodes differ in length")
    if unknown := sorted(set(modes) - _BRANCHES - {"LEAF"}):
        raise at.bad(f"a node's mode is {unknown[0][:40]!r}")
    for what, values in (("a tree's number", tree), ("a node's number", node)):
        _within(at, what, values, MAX_INDEX)
    inner = np.array([mode != "LEAF" for mode in modes], dtype=np.bool_)
    _within(at, "a node's feature", feature[inner], MAX_INDEX)
    places = _places(at, tree, node)
    children = [_place_of(at, places, tree[inner], ids[inner]) for ids in (yes, no)]
    _check_trees(at, tree, np.nonzero(inner)[0], children[0], children[1])
    kind = "class" if at.operator.endswith("Classifier") else "target"
    voted, by, of = (at.whole(f"{kind}_{name}") for name in ("treeids", "nodeids", "ids"))
    weights = at.length(f"{kind}_weights", f"{kind}_weights_as_tensor")
    if len({voted.shape[0], by.shape[0], of.shape[0], weights}) != 1 or not weights:
        raise at.bad("its lists of votes differ in length")
    outputs = at.length("classlabels_strings", "classlabels_int64s") if kind == "class" else at.number("n_targets", 1)
    if not 1 <= outputs <= MAX_INDEX:
        raise at.bad(f"it has {outputs} outputs")
    _within(at, "a vote's output", of, outputs)
    if not set(at.lengths("base_values", "base_values_as_tensor")) <= {0, 1, outputs}:
        raise at.bad("its base values are not those of its outputs")
    leaves = _place_of(at, places, voted, by)
    if inner[leaves].any():
        raise at.bad("a vote is given to a node that is no leaf")
    if np.unique(leaves).shape[0] != int((~inner).sum()):
        raise at.bad("a leaf has no vote")


def _places(at: _Attributes, tree: NDArray[Any], node: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the keys of all nodes in order, and where each stands in the lists."""
    keys = tree * MAX_INDEX + node
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    if (ordered[1:] == ordered[:-1]).any():
        raise at.bad("two nodes of a tree have one number")
    return ordered, order


def _place_of(
    at: _Attributes, places: tuple[NDArray[Any], NDArray[Any]], tree: NDArray[Any], node: NDArray[Any]
) -> NDArray[Any]:
    """Return where the nodes of these numbers stand in the lists."""
    keys, order = places
    _within(at, "a tree's number", tree, MAX_INDEX)
    _within(at, "a node's number", node, MAX_INDEX)
    wanted = tree * MAX_INDEX + node
    found = np.searchsorted(keys, wanted)
    found[found == keys.shape[0]] = 0
    if (keys[found] != wanted).any():
        raise at.bad("a node is named that there is not")
    return np.asarray(order[found])


def _check_trees(at: _Attributes, tree: NDArray[Any], inner: NDArray[Any], yes: NDArray[Any], no: NDArray[Any]) -> None:
    """Each node has one parent, but one root of each tree: then every way down ends.

    A child may stand in the lists twice only as both children of one node, as exporters write a comparison without
    consequence.
    """
    children = np.concatenate([yes, no[yes != no]])
    parents = np.bincount(children, minlength=tree.shape[0])
    if (parents > 1).any():
        raise at.bad("a node is the child of two")
    trees, roots = np.unique(tree), np.unique(tree[parents == 0])
    if roots.shape[0] != trees.shape[0] or int((parents == 0).sum()) != trees.shape[0]:
        raise at.bad("a tree has no root, or two")
    # One root and one parent each could still leave a ring apart from the root: no vote reaches it, but the runtime
    # may build it. Walk down from the roots; what is reached is a tree.
    below = np.full((2, tree.shape[0]), -1, dtype=np.int64)
    below[0, inner], below[1, inner] = yes, np.where(yes == no, -1, no)
    level, reached = np.nonzero(parents == 0)[0], 0
    while level.size:
        reached += level.shape[0]
        following = below[:, level].ravel()
        level = following[following >= 0]
    if reached != tree.shape[0]:
        raise at.bad("a node is reached from no root")


def _svm(at: _Attributes) -> None:
    """SVMClassifier and SVMRegressor: vectors, coefficients and offsets fit the classes."""
    coefficients, vectors, offsets = (at.length(name) for name in ("coefficients", "support_vectors", "rho"))
    if at.length("kernel_params") not in (0, 3):
        raise at.bad("kernel_params has not three numbers")
    if at.operator == "SVMRegressor":
        count = at.number("n_supports", 0)
        if count < 0 or offsets != 1 or (count and (coefficients != count or vectors % count or not vectors)):
            raise at.bad("its coefficients do not fit its support vectors")
        if not count and not coefficients:
            raise at.bad("it has no coefficients")
        return
    classes = at.length("classlabels_strings", "classlabels_ints")
    each = at.whole("vectors_per_class")
    pairs = classes * (classes - 1) // 2
    if classes < 2 or classes > 1 << 12:
        raise at.bad(f"it has {classes} classes")
    probabilities = at.length("prob_a")
    if probabilities != at.length("prob_b") or probabilities not in (0, pairs):
        raise at.bad("its probabilities do not fit its classes")
    if not each.size:  # a linear one
        if coefficients % classes or not coefficients or offsets < 1:
            raise at.bad("its coefficients do not fit its classes")
        return
    total = int(each.sum())
    if each.shape[0] != classes or (each < 0).any() or total < 1 or total > MAX_INDEX:
        raise at.bad("vectors_per_class does not fit its classes")
    if vectors % total or not vectors or coefficients != total * (classes - 1) or offsets != pairs:
        raise at.bad("its coefficients do not fit its support vectors")


def _linear(at: _Attributes) -> None:
    outputs = at.length("classlabels_strings", "classlabels_ints")
    if at.operator == "LinearRegressor":
        outputs = at.number("targets", 1)
    coefficients, intercepts = at.length("coefficients"), at.length("intercepts")
    rows = 1 if at.operator == "LinearClassifier" and outputs == 2 and coefficients % 2 else outputs
    if not 1 <= outputs <= MAX_INDEX or not coefficients or coefficients % max(rows, 1):
        raise at.bad(f"{coefficients} coefficients do not fit {outputs} outputs")
    if intercepts not in (0, 1, outputs):
        raise at.bad(f"{intercepts} intercepts do not fit {outputs} outputs")


def _labels(at: _Attributes) -> None:
    kinds = ("strings", "int64s", "floats", "tensor")
    keys = at.lengths(*(f"keys_{kind}" for kind in kinds))
    values = at.lengths(*(f"values_{kind}" for kind in kinds))
    if (keys or values) and (len(keys) != 1 or keys != values):
        raise at.bad("it has not one value for each key")


def _scaler(at: _Attributes) -> None:
    offset, scale = at.length("offset"), at.length("scale")
    if not scale or (offset not in (scale, 1) and scale != 1):
        raise at.bad("offset and scale differ in length")


def _encoder(at: _Attributes) -> None:
    if len(at.lengths("cats_strings", "cats_int64s")) != 1:
        raise at.bad("it has not one list of categories")


def _mapper(at: _Attributes) -> None:
    if at.length("cats_strings") != at.length("cats_int64s"):
        raise at.bad("it has not one text for each number")


def _refused(at: _Attributes) -> None:
    raise at.bad("is not read here; use TreeEnsembleClassifier or TreeEnsembleRegressor")


_OPERATORS: Final[dict[str, Callable[[_Attributes], None]]] = {
    "CategoryMapper": _mapper,
    "LabelEncoder": _labels,
    "LinearClassifier": _linear,
    "LinearRegressor": _linear,
    "OneHotEncoder": _encoder,
    "SVMClassifier": _svm,
    "SVMRegressor": _svm,
    "Scaler": _scaler,
    "TreeEnsemble": _refused,
    "TreeEnsembleClassifier": _ensemble,
    "TreeEnsembleRegressor": _ensemble,
}
