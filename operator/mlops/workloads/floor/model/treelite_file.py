"""model.treelite: its structure, judged from the bytes, before treelite's own reader sees them.

treelite trusts what it reads: an index that points outside an array is followed, at loading as at every prediction.
Here each array is cut out of the file by its declared length, and each index is held against what it points into.
The layout is that of treelite 4: scalars are little-endian, an array is its length (uint64) and its elements.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput

FILE: Final = "model.treelite"
MAJOR_VERSION: Final = 4
MAX_TREES: Final = 1 << 20
MAX_CLASSES: Final = 1 << 16
MAX_FEATURES: Final = 1 << 24
# Of a leaf and of a threshold, by treelite's number of the type; both are of one type.
_FLOATS: Final[dict[int, np.dtype[Any]]] = {2: np.dtype("<f4"), 3: np.dtype("<f8")}
_LEAF, _NUMBER_TEST, _CATEGORY_TEST = 0, 1, 2
_OPERATORS: Final = (1, 5)  # ==, <, <=, >, >=
_POSTPROCESSORS: Final = frozenset(
    {
        "identity",
        "identity_multiclass",
        "signed_square",
        "hinge",
        "sigmoid",
        "exponential",
        "exponential_standard_ratio",
        "logarithm_one_plus_exp",
        "softmax",
        "multiclass_ova",
    }
)


@dataclass(frozen=True)
class Forest:
    """What a treelite file says of the whole model."""

    trees: int
    features: int
    # Of the one target: 1 for a regression, and for two classes where the second's probability is given.
    classes: int
    # Whatever its maker wrote into it.
    attributes: bytes = b""


def check_treelite(content: bytes) -> Forest:
    """Return what the file declares. Raises BadInput(FormatForbidden) unless every array and index in it is sound."""
    reader = _TreeliteReader(content)
    forest, floats, shape, targets = _header(reader)
    for number in range(forest.trees):
        reader.where = f"tree {number}"
        _tree(reader, forest, floats, scalar=shape == (1, 1) or bool(targets[number]), leaf_length=shape[0] * shape[1])
    reader.where = "the end"
    if reader.left:
        raise reader.bad(f"{reader.left} bytes are left over")
    return forest


class _TreeliteReader:
    """Scalars and arrays, one after the other; each is held against what is left of the file."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at, self.where = content, 0, "header"

    @property
    def left(self) -> int:
        """The number of bytes that are not read yet."""
        return len(self._content) - self._at

    def bad(self, problem: str) -> BadInput:
        """Return the refusal of what is being read."""
        return BadInput(
            Reason.FORMAT_FORBIDDEN, f"{FILE}: {self.where}: {problem}: write the file with treelite 4 again"
        )

    def scalar(self, form: str) -> Any:
        """Return one number in the notation of `struct`."""
        size = struct.calcsize("<" + form)
        if size > self.left:
            raise self.bad("is cut off")
        value = struct.unpack_from("<" + form, self._content, self._at)[0]
        self._at += size
        return value

    def flag(self, name: str) -> bool:
        """Return a truth value; another byte than 0 and 1 is none."""
        value = self.scalar("B")
        if value > 1:
            raise self.bad(f"{name} is {value}, which is no truth value")
        return bool(value)

    def array(self, dtype: Any, name: str, lengths: tuple[int, ...] | None = None) -> NDArray[Any]:
        """Return an array, whose length is one of `lengths` where they are given."""
        kind = np.dtype(dtype)
        length: int = self.scalar("Q")
        if lengths is not None and length not in lengths:
            raise self.bad(f"{name} has {length} elements, expected {lengths[-1]}")
        if length * kind.itemsize > self.left:
            raise self.bad(f"{name} has {length} elements, more than the file holds")
        found = np.frombuffer(self._content, kind, length, self._at)
        self._at += length * kind.itemsize
        return found

    def flags(self, name: str, lengths: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return an array of truth values."""
        found = self.array(np.uint8, name, lengths)
        if (found > 1).any():
            raise self.bad(f"{name} holds {int(found.max())}, which is no truth value")
        return found.astype(np.bool_)

    def no_extension(self, name: str) -> None:
        """Refuse fields that only a later treelite knows."""
        if self.scalar("i") != 0:
            raise self.bad(f"{name} are not known here")


def _header(reader: _TreeliteReader) -> tuple[Forest, np.dtype[Any], tuple[int, int], NDArray[np.bool_]]:
    """Return the forest, its type of numbers, the shape of a leaf, and which trees may have leaves of one number."""
    major, _, _ = (reader.scalar("i") for _ in range(3))
    if major != MAJOR_VERSION:
        raise reader.bad(f"version {major} is not {MAJOR_VERSION}")
    threshold, leaf = reader.scalar("B"), reader.scalar("B")
    if threshold not in _FLOATS or leaf != threshold:
        raise reader.bad(f"the types of thresholds and leaves ({threshold}, {leaf}) are not both float or both double")
    trees, features = reader.scalar("Q"), reader.scalar("i")
    if trees > MAX_TREES or not 1 <= features <= MAX_FEATURES:
        raise reader.bad(
            f"{trees} trees of {features} features; at most {MAX_TREES} of {MAX_FEATURES}, and one feature"
        )
    if reader.scalar("B") > 4:
        raise reader.bad("the kind of task is not known")
    reader.flag("average_tree_output")
    if (targets := reader.scalar("i")) != 1:
        raise reader.bad(f"it has {targets} targets; a model here has one")
    classes = int(reader.array("<i4", "num_class", (1,))[0])
    if not 1 <= classes <= MAX_CLASSES:
        raise reader.bad(f"it has {classes} classes; at least 1, at most {MAX_CLASSES}")
    shape = reader.array("<i4", "leaf_vector_shape", (2,)).tolist()
    if shape not in ([1, 1], [1, classes]):
        raise reader.bad(f"leaves of shape {shape} do not fit one target of {classes} classes")
    of_target = reader.array("<i4", "target_id", (trees,))
    of_class = reader.array("<i4", "class_id", (trees,))
    if ((of_target < -1) | (of_target > 0) | (of_class < -1) | (of_class >= classes)).any():
        raise reader.bad("a tree is of a target or of a class that there is not")
    # A tree of one class has leaves of one number, one of all classes has a number for each.
    if shape[1] != 1 and (of_class != -1).any():
        raise reader.bad(f"a tree of one class has leaves of shape {shape}")
    if shape[1] != classes and (of_class == -1).any():
        raise reader.bad(f"a tree of all {classes} classes has leaves of shape {shape}")
    if (name := reader.array(np.uint8, "postprocessor").tobytes()).decode("latin-1") not in _POSTPROCESSORS:
        raise reader.bad(f"the postprocessor {name[:40]!r} is not known")
    reader.scalar("f")
    reader.scalar("f")
    reader.array("<f8", "base_scores", (classes,))
    attributes = reader.array(np.uint8, "attributes").tobytes()
    reader.no_extension("optional fields of a model")
    return Forest(trees, features, classes, attributes), _FLOATS[threshold], (shape[0], shape[1]), (of_class != -1)


def _tree(reader: _TreeliteReader, forest: Forest, floats: np.dtype[Any], *, scalar: bool, leaf_length: int) -> None:
    nodes: int = reader.scalar("i")
    if nodes < 1:
        raise reader.bad(f"it has {nodes} nodes")
    every, some = (nodes,), (0, nodes)
    reader.flag("has_categorical_split")
    kind = reader.array(np.int8, "node_type", every)
    left, right = reader.array("<i4", "cleft", every), reader.array("<i4", "cright", every)
    feature = reader.array("<i4", "split_index", every)
    reader.flags("default_left", every)
    reader.array(floats, "leaf_value", every)
    reader.array(floats, "threshold", every)
    operator = reader.array(np.int8, "cmp", every)
    reader.flags("category_list_right_child", every)
    vector = reader.array(floats, "leaf_vector")
    lengths = _spans(reader, "leaf_vector", nodes, vector.shape[0])
    categories = reader.array("<u4", "category_list")
    _spans(reader, "category_list", nodes, categories.shape[0])
    for name, dtype in (("data_count", "<u8"), ("sum_hess", "<f8"), ("gain", "<f8")):
        reader.array(dtype, name, some)
        reader.flags(f"{name}_present", some)
    reader.no_extension("optional fields of a tree")
    reader.no_extension("optional fields of a node")
    leaf = left == -1
    _check_shape(reader, leaf, left, right, nodes)
    if (leaf != (kind == _LEAF)).any() or ((kind < _LEAF) | (kind > _CATEGORY_TEST)).any():
        raise reader.bad("a node's type is not what its children say")
    if ((feature < 0) | (feature >= forest.features))[~leaf].any():
        raise reader.bad(f"a node asks for a feature beyond the {forest.features} that there are")
    numbers = kind == _NUMBER_TEST
    if ((operator < _OPERATORS[0]) | (operator > _OPERATORS[1]))[numbers].any():
        raise reader.bad("a node compares in a way that is not known")
    fits = (lengths == leaf_length) | (scalar & (lengths == 0))
    if not fits[leaf].all():
        raise reader.bad(f"a leaf has not {leaf_length} numbers")


def _spans(reader: _TreeliteReader, name: str, nodes: int, length: int) -> NDArray[np.int64]:
    """Read the two arrays that say which part of an array each node has; return how long the parts are."""
    begin = reader.array("<u8", f"{name}_begin", (0, nodes))
    end = reader.array("<u8", f"{name}_end", (0, nodes))
    if begin.shape != end.shape or (begin.shape[0] != nodes and length):
        raise reader.bad(f"{name}_begin and {name}_end do not have a value for each node")
    if ((begin > end) | (end > length)).any():
        raise reader.bad(f"{name}: a node's part lies outside of its {length} elements")
    return (end - begin).astype(np.int64) if begin.shape[0] else np.zeros(nodes, dtype=np.int64)


def _check_shape(
    reader: _TreeliteReader, leaf: NDArray[np.bool_], left: NDArray[Any], right: NDArray[Any], nodes: int
) -> None:
    """Refuse children outside of the tree, and a node with two parents: then no way leads down for ever."""
    if not (right[leaf] == -1).all():
        raise reader.bad("a leaf has a child")
    children = np.concatenate([left[~leaf], right[~leaf]])
    if ((children < 1) | (children >= nodes)).any():
        raise reader.bad(f"a node's child is none of the {nodes} nodes")
    if children.shape[0] and int(np.bincount(children).max()) > 1:
        raise reader.bad("a node is the child of two")
