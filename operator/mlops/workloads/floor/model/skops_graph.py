"""What a skops file would construct, as plain values: read without constructing any of it.

A schema says with which loader an object of which type is made, and of what. skops trusts such a pair once the type is
allowed; here only the pairs that skops itself writes are let through, since another one leaves a native object without
the state that its methods read. Identities work as in skops: who names a known number means the first of that number.
"""

from __future__ import annotations

import io
import json
import tokenize
import zipfile
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput

FILE: Final = "model.skops"
# Of a fitted forest or a search tree: records of numbers. Objects in an array are a list in the schema instead.
_KINDS: Final = frozenset("biufUV")
# numpy parses a header as Python's literals, and an old one by its tokens.
_HEADER_ERRORS: Final = (ValueError, KeyError, TypeError, SyntaxError, RecursionError, tokenize.TokenError)
_MAX_DEPTH: Final = 64
_MAX_NODES: Final = 1 << 22
_SCALARS: Final = {
    "numpy.bool",
    "numpy.bool_",
    "numpy.float32",
    "numpy.float64",
    "numpy.int32",
    "numpy.int64",
    "numpy.uint64",
}
_TYPES: Final = _SCALARS | {"builtins.bool", "builtins.float", "builtins.int", "builtins.str"}
# What may be made without a call of its constructor and then be given its state.
_SEARCH_TREES: Final = {"sklearn.neighbors._ball_tree.BallTree", "sklearn.neighbors._kd_tree.KDTree"}
_DISTANCES: Final = "sklearn.metrics._dist_metrics."


@dataclass(eq=False)
class Thing:
    """One object: its full type name, what its constructor is given, and its state (attributes by name, or a tuple)."""

    type: str
    arguments: tuple[Any, ...] = ()
    state: Any = None

    def get(self, name: str) -> Any:
        """Return an attribute, or None."""
        return self.state.get(name) if isinstance(self.state, dict) else None


@dataclass(eq=False)
class Graph:
    """The root, and every object in it."""

    root: Any = None
    things: list[Thing] = field(default_factory=list)


def read_graph(schema: dict[str, Any], archive: zipfile.ZipFile) -> Graph:
    """Return what the schema describes. Raises BadInput(FormatForbidden) for what skops would not write."""
    graph = Graph()
    graph.root = _GraphReader(archive, graph).value(schema, 0)
    return graph


def bad(problem: str) -> BadInput:
    """Return a refusal of the file."""
    return BadInput(Reason.FORMAT_FORBIDDEN, f"{FILE}: {problem}: write the file with skops again, or export to ONNX")


class _GraphReader:
    def __init__(self, archive: zipfile.ZipFile, graph: Graph) -> None:
        self._archive, self._graph = archive, graph
        self._known: dict[int, Any] = {}
        self._open: set[int] = set()
        self._count = 0

    def value(self, node: Any, depth: int) -> Any:
        """Return one node's value; nested nodes are its parts."""
        self._count += 1
        if depth > _MAX_DEPTH or self._count > _MAX_NODES:
            raise bad(f"its schema is deeper than {_MAX_DEPTH} or has more than {_MAX_NODES} nodes")
        if not isinstance(node, dict):
            raise bad("its schema has something else where a node should be")
        number = node.get("__id__")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise bad(f"a node of its schema has the number {number!r}")
        if number in self._open:
            raise bad("an object of it holds itself")
        if number in self._known:
            return self._known[number]
        self._open.add(number)
        found = self._made(node, depth + 1)
        self._open.discard(number)
        self._known[number] = found
        return found

    def _made(self, node: dict[str, Any], depth: int) -> Any:
        name, loader = f"{node.get('__module__')}.{node.get('__class__')}", node.get("__loader__")
        content = node.get("content")
        match loader:
            case "JsonNode" if isinstance(content, str):
                return _plain(content)
            case "DictNode" if name == "builtins.dict" and isinstance(content, dict):
                return self._dict(node, content, depth)
            case "ListNode" if name == "builtins.list" and isinstance(content, list):
                return [self.value(one, depth) for one in content]
            case "TupleNode" if name == "builtins.tuple" and isinstance(content, list):
                return tuple(self.value(one, depth) for one in content)
            case "TypeNode" if name in _TYPES:
                return Thing("type", (name,))
            case "NdArrayNode" if name == "numpy.ndarray" and node.get("type") == "json":
                return self._objects(node, depth)
            case "NdArrayNode" if name == "numpy.ndarray" or name in _SCALARS:
                return self._array(node, scalar=name in _SCALARS)
            case "TreeNode" if name == "sklearn.tree._tree.Tree":
                return self._reduced(name, node, depth)
            case "LossNode" if name.startswith(("sklearn._loss._loss.", "sklearn.linear_model._sgd_fast.")):
                return self._reduced(name, node, depth)
            case "ObjectNode" if _is_object(name):
                state = None if content is None else self.value(content, depth)
                if (_is_stateful(name) and not isinstance(state, tuple)) or not isinstance(
                    state, tuple if _is_stateful(name) else dict | None
                ):
                    raise bad(f"{name} has no state that it can have")
                return self._thing(Thing(name, state=state))
            case "RandomStateNode" if name == "numpy.random.mtrand.RandomState":
                return self._thing(Thing(name, state=self.value(content, depth)))
            case "RandomGeneratorNode" if name == "numpy.random._generator.Generator" and isinstance(content, dict):
                parts = {key: self.value(content.get(key), depth) for key in ("bit_generator", "seed_seq")}
                return self._thing(Thing(name, state=parts))
        raise bad(f"{name} is not made by {loader}")

    def _thing(self, thing: Thing) -> Thing:
        self._graph.things.append(thing)
        return thing

    def _dict(self, node: dict[str, Any], content: dict[str, Any], depth: int) -> dict[str, Any]:
        types = self.value(node.get("key_types"), depth)
        if not isinstance(types, list) or len(types) != len(content):
            raise bad("a dictionary of it has not one type for each key")
        if not all(isinstance(one, Thing) and one.type == "type" for one in types):
            raise bad("a dictionary of it has keys of no type")
        return {key: self.value(value, depth) for key, value in content.items()}

    def _reduced(self, name: str, node: dict[str, Any], depth: int) -> Thing:
        reduced = node.get("__reduce__")
        if not isinstance(reduced, dict):
            raise bad(f"{name} has no arguments")
        # In the order of skops: the first of a number is the one that counts.
        state = self.value(node.get("content"), depth)
        arguments = self.value(reduced.get("args"), depth)
        if not isinstance(arguments, tuple) or not isinstance(state, dict | tuple):
            raise bad(f"{name} has no arguments")
        return self._thing(Thing(name, arguments, state))

    def _objects(self, node: dict[str, Any], depth: int) -> NDArray[Any]:
        """An array of objects, which stands in the schema as nested lists."""
        content, _shape = node.get("content"), None
        if not isinstance(content, list):
            raise bad("an array of objects has no list of them")
        items = [self.value(one, depth) for one in content]
        _shape = self.value(node.get("shape"), depth)
        if not isinstance(_shape, tuple) or not 1 <= len(_shape) <= 2:
            raise bad(f"an array of objects has the shape {_shape!r}")
        rows = items if len(_shape) == 2 else [items]
        if not all(isinstance(row, list) for row in rows) or len({len(row) for row in rows}) > 1:
            raise bad("an array of objects has rows of different lengths")
        # An item with a length of its own would become a dimension of the array that skops makes.
        if not all(isinstance(one, Thing | str | int | float | None) for row in rows for one in row):
            raise bad("an array of objects holds other things than objects")
        made = np.empty((len(rows), len(rows[0]) if rows else 0), dtype=object)
        for number, row in enumerate(rows):
            for column, one in enumerate(row):
                made[number, column] = one
        return made if len(_shape) == 2 else made.reshape(-1)

    def _array(self, node: dict[str, Any], *, scalar: bool) -> Any:
        name = node.get("file")
        if node.get("type") != "numpy" or not isinstance(name, str):
            raise bad("an array of it has no file")
        try:
            content = self._archive.read(name)
        except (
            KeyError,
            zipfile.BadZipFile,
            ValueError,
            NotImplementedError,
            OSError,
            EOFError,
            RuntimeError,
        ) as error:
            raise bad(f"{name[:60]!r} cannot be read: {error}") from error
        array = read_array(content, name[:60])
        if scalar and (array.shape != () or array.dtype.kind not in "biuf"):
            raise bad(f"{name[:60]!r} is no single number")
        return array[()] if scalar else array


def _plain(content: str) -> Any:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise bad(f"a value of its schema is no JSON: {error}") from error
    if isinstance(found, dict | list):
        raise bad("a value of its schema is no single one")
    return found


def read_array(content: bytes, name: str) -> NDArray[Any]:
    """Return an array in numpy's format whose header says what follows it, no more and no less."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read(stream)
    except (*_HEADER_ERRORS, MemoryError, OverflowError) as error:
        raise bad(f"{name!r} is no array: {str(error)[:100]}") from error
    if dtype.hasobject or dtype.kind not in _KINDS or (dtype.kind == "V" and dtype.names is None):
        raise bad(f"{name!r} is an array of {dtype}")
    count = 1
    for length in shape:
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(content) - stream.tell():
        raise bad(f"{name!r} declares the shape {shape} of {dtype}, and holds {len(content) - stream.tell()} bytes")
    if dtype.itemsize == 0:
        raise bad(f"{name!r} is an array of nothing")
    flat = np.frombuffer(content, dtype, count, stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _is_object(name: str) -> bool:
    if name in _SEARCH_TREES or name.startswith(_DISTANCES):
        return True
    native = ("sklearn.tree._tree.", "sklearn._loss._loss.", "sklearn.linear_model._sgd_fast.")
    return name.startswith("sklearn.") and not name.startswith(native)


def _is_stateful(name: str) -> bool:
    return name in _SEARCH_TREES or name.startswith(_DISTANCES)
