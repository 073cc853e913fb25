"""What must hold of a fitted estimator before scikit-learn's native code may see it.

That code follows indices without looking where they lead. Each type of the list of trusted types that has such code is
held here against what it indexes; the others calculate in numpy, which checks itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.model.skops_graph import Graph, Thing, bad

MAX_OUTPUTS: Final = 1 << 16
_TREE: Final = "sklearn.tree._tree.Tree"
_SVM_KERNELS: Final = ("linear", "poly", "rbf", "sigmoid")
# They need a matrix, weights or two columns of their own.
_DISTANCES_WITH_MORE: Final = ("haversine", "mahalanobis", "precomputed", "pyfunc", "seuclidean")
_CLASSIFIERS: Final = ("SVC", "NuSVC")
Check = Callable[[str, Thing], None]


def check_graph(graph: Graph, width: int | None) -> None:
    """Raise BadInput(FormatForbidden) unless what native code indexes is there; `width` is that of the matrix."""
    if not isinstance(graph.root, Thing) or not isinstance(graph.root.state, dict):
        raise bad("it holds no estimator")
    if width is not None and graph.root.get("n_features_in_") != width:
        raise bad(f"the estimator takes {graph.root.get('n_features_in_')!r} numbers, and the encoding makes {width}")
    for thing in graph.things:
        short = thing.type.rpartition(".")[2]
        if isinstance(thing.state, dict) and thing.type.startswith("sklearn.") and not _is_native(thing):
            _check_attributes(short, thing)
        check = _CHECKS.get(thing.type)
        if check is not None:
            check(short, thing)


def _is_native(thing: Thing) -> bool:
    return thing.type == _TREE or thing.type.startswith(("sklearn._loss._loss.", "sklearn.linear_model._sgd_fast."))


def _check_attributes(short: str, thing: Thing) -> None:
    module, _, name = thing.type.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    for attribute in thing.state:
        found = getattr(cls, attribute, None)
        if attribute.startswith("__") or callable(found) or isinstance(found, property):
            raise bad(f"{short}: {attribute!r} is no attribute that it has of itself")
    # A prediction must not start threads or processes, nor fit again.
    if thing.get("n_jobs") not in (None, 1):
        raise bad(f"{short}: n_jobs is {thing.get('n_jobs')!r}: fit it with n_jobs=None")
    if thing.get("_in_fit"):
        raise bad(f"{short}: it is being fitted")


def whole(value: Any) -> int | None:
    """Return a whole number, or None."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    return None


def _features(short: str, thing: Thing) -> int:
    """Return of how many numbers a row has: what scikit-learn compares each row with, if it is there."""
    found = whole(thing.get("n_features_in_"))
    if found is None or found < 1:
        raise bad(f"{short}: n_features_in_ is {thing.get('n_features_in_')!r}")
    return found


def _array(short: str, thing: Thing, name: str, kinds: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Return an attribute that is an array of one of these kinds and this shape (None: any length)."""
    return _checked(f"{short}.{name}", thing.get(name), kinds, shape)


def _checked(what: str, found: Any, kinds: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    if not isinstance(found, np.ndarray) or found.dtype.kind not in kinds:
        raise bad(f"{what} is no array of numbers")
    fits = len(found.shape) == len(shape) and all(
        want in (None, length) for want, length in zip(shape, found.shape, strict=True)
    )
    if not fits:
        raise bad(f"{what} has the shape {found.shape}, expected {shape}")
    return found


def _below(what: str, values: NDArray[Any], limit: int) -> None:
    """Refuse an index below zero or not below the limit."""
    if values.size and (int(values.min()) < 0 or int(values.max()) >= limit):
        raise bad(f"{what} points outside of the {limit} that there are")


def _downwards(what: str, left: NDArray[Any], right: NDArray[Any], inner: NDArray[np.bool_]) -> None:
    """Every child lies after its parent and within the tree: a way down ends."""
    for child in (left, right):
        found, parents = child[inner].astype(np.int64), np.nonzero(inner)[0]
        if ((found <= parents) | (found >= inner.shape[0])).any():
            raise bad(f"{what}: a node's child is none of the nodes after it")


def _check_tree(short: str, thing: Thing) -> None:
    """sklearn's Tree: arguments for its arrays' sizes, and nodes that lead downwards."""
    if len(thing.arguments) != 3 or not isinstance(thing.state, dict):
        raise bad(f"{short} has not three arguments")
    features, outputs = whole(thing.arguments[0]), whole(thing.arguments[2])
    if features is None or features < 1 or outputs is None or not 1 <= outputs <= MAX_OUTPUTS:
        raise bad(f"{short}: {thing.arguments[0]!r} features and {thing.arguments[2]!r} outputs")
    classes = _checked(f"{short}.n_classes", thing.arguments[1], "iu", (outputs,))
    _below(f"{short}.n_classes", classes, MAX_OUTPUTS)
    if (classes < 1).any():
        raise bad(f"{short}: an output has no class")
    nodes = _array(short, thing, "nodes", "V", (None,))
    names = nodes.dtype.names or ()
    if not {"left_child", "right_child", "feature"} <= set(names):
        raise bad(f"{short}.nodes has the fields {', '.join(names)[:200]}")
    count, depth = whole(thing.get("node_count")), whole(thing.get("max_depth"))
    if count is None or count < 1 or count != nodes.shape[0] or depth is None or not 0 <= depth <= count:
        raise bad(
            f"{short} says {thing.get('node_count')!r} nodes, depth {thing.get('max_depth')!r}; it has {nodes.size}"
        )
    _array(short, thing, "values", "f", (count, outputs, int(classes.max())))
    left, right = nodes["left_child"], nodes["right_child"]
    if left.dtype.kind != "i" or right.dtype.kind != "i" or nodes["feature"].dtype.kind != "i":
        raise bad(f"{short}.nodes has indices of other types")
    inner = left != -1
    if (right[~inner] != -1).any():
        raise bad(f"{short}: a leaf has a child")
    _downwards(short, left, right, inner)
    _below(f"{short}: a node's feature", nodes["feature"][inner], features)


def _tree_of(short: str, thing: Thing) -> None:
    """An estimator with a Tree takes as many numbers as the tree knows, and its tree has what its answers need."""
    if thing.get("tree_") is None:
        return  # what an ensemble was to be made of; it says itself that it is not fitted
    tree = thing.get("tree_")
    if not isinstance(tree, Thing) or tree.type != _TREE:
        raise bad(f"{short} has something else for a tree")
    if _features(short, thing) != tree.arguments[0] or whole(thing.get("n_outputs_")) != tree.arguments[2]:
        raise bad(f"{short}: its tree has other numbers of features or outputs than it says")


def _histogram_boosting(short: str, thing: Thing) -> None:
    features = _features(short, thing)
    predictors, mapper = thing.get("_predictors"), thing.get("_bin_mapper")
    if not isinstance(predictors, list) or thing.get("_preprocessor") is not None:
        raise bad(f"{short} has no predictors, or features of its own making")
    if not isinstance(mapper, Thing) or not mapper.type.endswith("._BinMapper"):
        raise bad(f"{short} has no bins")
    if _array(short, mapper, "is_categorical_", "bu", (features,)).any():
        raise bad(f"{short} has categories of its own: export it to ONNX, or let the encoding make numbers of them")
    if not all(isinstance(row, list) for row in predictors):
        raise bad(f"{short} has no predictors")
    for predictor in (one for row in predictors for one in row):
        if not isinstance(predictor, Thing) or not predictor.type.endswith(".TreePredictor"):
            raise bad(f"{short} has something else among its trees")
        _predictor(predictor, features)


def _predictor(thing: Thing, features: int) -> None:
    short = "TreePredictor"
    nodes = _array(short, thing, "nodes", "V", (None,))
    wanted = {"feature_idx": "i", "left": "u", "right": "u", "is_leaf": "u", "is_categorical": "u"}
    fields: Mapping[str, Any] = nodes.dtype.fields or {}
    if nodes.shape[0] < 1 or any(name not in fields or fields[name][0].kind != kind for name, kind in wanted.items()):
        raise bad(f"{short} has no nodes, or other ones")
    inner = nodes["is_leaf"] == 0
    if (nodes["is_leaf"] > 1).any() or (nodes["is_categorical"] != 0).any():
        raise bad(f"{short}: a node is neither a leaf nor a comparison of numbers")
    _downwards(short, nodes["left"], nodes["right"], inner)
    _below(f"{short}: a node's feature", nodes["feature_idx"][inner], features)


def _gradient_boosting(short: str, thing: Thing) -> None:
    """Its trees are added to columns of an array that its first estimator and its loss made: all must agree."""
    features = _features(short, thing)
    columns = 1
    if short.endswith("Classifier"):
        classes = len(_array(short, thing, "classes_", "biufU", (None,)))
        columns = 1 if classes == 2 else classes
    trees = _array(short, thing, "estimators_", "O", (None, columns))
    if columns < 1 or trees.shape[0] < 1 or whole(thing.get("n_trees_per_iteration_")) != columns:
        raise bad(f"{short} has not {columns} trees for each step")
    for one in trees.ravel().tolist():
        if not isinstance(one, Thing) or not one.type.endswith(".DecisionTreeRegressor"):
            raise bad(f"{short} has something else among its trees")
        tree = one.get("tree_")
        if not isinstance(tree, Thing) or tree.type != _TREE or tree.arguments[0] != features:
            raise bad(f"{short} has a tree of another number of features")
    first, loss = thing.get("init_"), thing.get("_loss")
    if not isinstance(loss, Thing):
        raise bad(f"{short} has no loss")
    if (columns > 1) != loss.type.endswith(".HalfMultinomialLoss"):
        raise bad(f"{short}: its loss is not that of {columns} columns")
    if isinstance(first, str) and first == "zero":
        return
    if not isinstance(first, Thing) or not first.type.startswith("sklearn.dummy."):
        raise bad(f"{short} starts from something else than a constant")
    if columns > 1:
        _array(short, first, "class_prior_", "f", (columns,))
        if first.get("_strategy") != "prior" or whole(first.get("n_classes_")) != columns:
            raise bad(f"{short} starts from other classes than its own")


def _svm(short: str, thing: Thing) -> None:
    vectors = _array(short, thing, "support_vectors_", "f", (None, _features(short, thing)))
    count = vectors.shape[0]
    _array(short, thing, "support_", "i", (count,))
    each = _array(short, thing, "_n_support", "i", (None,))
    classes = each.shape[0]
    if short in _CLASSIFIERS:
        known = _array(short, thing, "classes_", "biufU", (None,)).shape[0]
        if classes != known or classes < 2 or (each < 0).any() or int(each.astype(np.int64).sum()) != count:
            raise bad(f"{short}: the numbers of support vectors do not fit {known} classes and {count} vectors")
    elif classes != 2:
        raise bad(f"{short}: _n_support has {classes} numbers")
    pairs = classes * (classes - 1) // 2
    _array(short, thing, "_dual_coef_", "f", (classes - 1, count))
    _array(short, thing, "_intercept_", "f", (pairs,))
    for name in ("_probA", "_probB"):
        if _array(short, thing, name, "f", (None,)).shape[0] not in (0, pairs):
            raise bad(f"{short}.{name} has not {pairs} numbers")
    if len(thing.get("_probA")) != len(thing.get("_probB")):
        raise bad(f"{short}: _probA and _probB differ in length")
    if thing.get("kernel") not in _SVM_KERNELS or thing.get("_sparse") is not False:
        raise bad(f"{short}: the kernel {thing.get('kernel')!r} is none of {', '.join(_SVM_KERNELS)} for dense rows")


def _neighbors(short: str, thing: Thing) -> None:
    # Rows of whole numbers are kept as they were given.
    rows = _array(short, thing, "_fit_X", "fiu", (None, _features(short, thing)))
    if whole(thing.get("n_samples_fit_")) != rows.shape[0] or rows.shape[0] < 1:
        raise bad(f"{short}: n_samples_fit_ is not the number of its {rows.shape[0]} rows")
    wanted = whole(thing.get("n_neighbors"))
    if wanted is None or not 1 <= wanted <= rows.shape[0]:
        raise bad(f"{short}: {thing.get('n_neighbors')!r} neighbours of {rows.shape[0]} rows")
    if short.endswith("Classifier"):
        if thing.get("outputs_2d_") is not False:
            raise bad(f"{short} has more than one output")
        labels = _array(short, thing, "_y", "iu", (rows.shape[0],))
        _below(f"{short}._y", labels, _array(short, thing, "classes_", "biufU", (None,)).shape[0])
    elif not isinstance(thing.get("_y"), np.ndarray) or thing.get("_y").shape[:1] != rows.shape[:1]:
        raise bad(f"{short}._y has not one value for each of its rows")
    extra = thing.get("effective_metric_params_")
    if not isinstance(extra, dict) or any(isinstance(one, np.ndarray | Thing | list) for one in extra.values()):
        raise bad(f"{short}: its distance has weights of its own")
    distance = thing.get("effective_metric_")
    if not isinstance(distance, str) or distance in _DISTANCES_WITH_MORE:
        raise bad(f"{short}: {distance!r} is no distance of two rows alone")
    method, tree = thing.get("_fit_method"), thing.get("_tree")
    if method not in ("brute", "kd_tree", "ball_tree") or (method == "brute") != (tree is None):
        raise bad(f"{short}: {method!r} is not how it finds neighbours")
    if tree is not None:
        name = {"kd_tree": ".KDTree", "ball_tree": ".BallTree"}[method]
        if not isinstance(tree, Thing) or not tree.type.endswith(name) or tree.state[0].shape != rows.shape:
            raise bad(f"{short}: its search tree is not that of its rows")


def _search_tree(short: str, thing: Thing) -> None:
    """A KDTree or BallTree: a whole binary tree whose nodes have parts of the list of rows."""
    state = thing.state
    if len(state) != 13:
        raise bad(f"{short} has {len(state)} parts")
    data = _checked(f"{short}.data", state[0], "f", (None, None))
    rows, width = data.shape
    order = _checked(f"{short}.idx_array", state[1], "i", (rows,))
    nodes = _checked(f"{short}.node_data", state[2], "V", (None,))
    _checked(f"{short}.node_bounds", state[3], "f", (2 if short == "KDTree" else 1, nodes.shape[0], width))
    numbers = [whole(one) for one in state[4:11]]
    if any(one is None or one < 0 for one in numbers) or state[12] is not None:
        raise bad(f"{short} has counts that are none, or weights")
    _, levels, count = numbers[:3]
    if not 1 <= (levels or 0) <= 40 or count != 2 ** (levels or 0) - 1 or count != nodes.shape[0]:
        raise bad(f"{short} has {nodes.shape[0]} nodes in {levels} levels")
    _below(f"{short}.idx_array", order, rows)
    if not {"idx_start", "idx_end", "is_leaf"} <= set(nodes.dtype.names or ()):
        raise bad(f"{short}.node_data has other fields")
    start, end, leaf = nodes["idx_start"], nodes["idx_end"], nodes["is_leaf"]
    if ((start < 0) | (start > end) | (end > rows)).any():
        raise bad(f"{short}: a node has rows that are none of the {rows}")
    if ((leaf != 0) & (leaf != 1)).any() or (leaf[nodes.shape[0] // 2 :] == 0).any():
        raise bad(f"{short}: a node at its bottom is no leaf")
    distance = state[11]
    if not isinstance(distance, Thing) or not distance.type.startswith("sklearn.metrics._dist_metrics."):
        raise bad(f"{short} has no distance")
    if _weights(distance) not in (0, 1, width) or (
        distance.type.endswith(".MinkowskiDistance64") and _weights(distance)
    ):
        raise bad(f"{short}: its distance has weights of its own")


def _weights(distance: Thing) -> int:
    return int(distance.state[1].shape[0])


def _distance(short: str, thing: Thing) -> None:
    if len(thing.state) < 3:
        raise bad(f"{short} has {len(thing.state)} parts")
    _checked(f"{short}.vec", thing.state[1], "f", (None,))
    _checked(f"{short}.mat", thing.state[2], "f", (None, None))


def _random_state(short: str, thing: Thing) -> None:
    """A Mersenne Twister: 624 words, and a place among them."""
    state = thing.state
    if isinstance(state, dict):
        state = (state.get("bit_generator"), *_twister(state))
    if not isinstance(state, tuple) or len(state) not in (3, 5) or state[0] != "MT19937":
        raise bad(f"{short} is no Mersenne Twister")
    words, place = state[1], whole(state[2])
    _checked(f"{short}: its words", words, "u", (624,))
    if place is None or not 0 <= place <= 624:
        raise bad(f"{short}: its place {state[2]!r} is none of 624")


def _twister(state: Mapping[str, Any]) -> tuple[Any, Any]:
    inner = state.get("state")
    return (inner.get("key"), inner.get("pos")) if isinstance(inner, dict) else (None, None)


def _generator(short: str, thing: Thing) -> None:
    state = thing.state["bit_generator"]
    if not isinstance(state, dict) or state.get("bit_generator") != "PCG64":
        raise bad(f"{short} is no PCG64")
    numbers = [*_numbers(state)]
    if not numbers or any(one is None or not 0 <= one < 1 << 128 for one in numbers):
        raise bad(f"{short} has no numbers for its state")
    seed = thing.state["seed_seq"]
    if not isinstance(seed, dict) or not set(seed) <= {"entropy", "spawn_key", "pool_size", "n_children_spawned"}:
        raise bad(f"{short} has no seed")
    size = whole(seed.get("pool_size", 4))
    if size is None or not 4 <= size <= 64:
        raise bad(f"{short} has a pool of {seed.get('pool_size')!r}")


def _numbers(state: Mapping[str, Any]) -> Iterator[int | None]:
    for value in state.values():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif not isinstance(value, str):
            yield whole(value)


def _linear(module: str, *names: str) -> dict[str, Check]:
    return {f"{module}.{name}": _coefficients for name in names}


def _coefficients(short: str, thing: Thing) -> None:
    """Weights that are multiplied with the rows: as many columns as the rows have."""
    width = _features(short, thing)
    weights = thing.get("coef_")
    if not isinstance(weights, np.ndarray) or weights.dtype.kind not in "fiu" or weights.shape[-1:] != (width,):
        raise bad(f"{short}.coef_ does not have {width} numbers in each row")


_CHECKS: Final[dict[str, Check]] = {
    _TREE: _check_tree,
    **{
        f"sklearn.tree._classes.{name}": _tree_of
        for name in ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
    },
    **{
        f"sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoosting{kind}": _histogram_boosting
        for kind in ("Classifier", "Regressor")
    },
    **{f"sklearn.ensemble._gb.GradientBoosting{kind}": _gradient_boosting for kind in ("Classifier", "Regressor")},
    **{f"sklearn.svm._classes.{name}": _svm for name in ("NuSVC", "NuSVR", "SVC", "SVR")},
    "sklearn.neighbors._classification.KNeighborsClassifier": _neighbors,
    "sklearn.neighbors._regression.KNeighborsRegressor": _neighbors,
    "sklearn.neighbors._ball_tree.BallTree": _search_tree,
    "sklearn.neighbors._kd_tree.KDTree": _search_tree,
    **{
        f"sklearn.metrics._dist_metrics.{name}Distance64": _distance
        for name in ("Chebyshev", "Euclidean", "Manhattan", "Minkowski")
    },
    "numpy.random.mtrand.RandomState": _random_state,
    "numpy.random._generator.Generator": _generator,
    **_linear("sklearn.svm._classes", "LinearSVC", "LinearSVR"),
}


def checked_types() -> frozenset[str]:
    """Return the full names of the types that are held against more than the list."""
    return frozenset(_CHECKS)
