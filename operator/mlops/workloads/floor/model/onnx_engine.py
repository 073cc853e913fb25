"""ONNX Runtime: checks of the bytes, one session with one thread, columns to feeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as states

from mlops.api.reasons import Reason
from mlops.workloads.floor.model.answer import Answer, Columns
from mlops.workloads.floor.model.missing import array_of_values, floats, is_missing
from mlops.workloads.floor.model.onnx_checks import check_structure
from mlops.workloads.floor.model.onnx_inputs import Joined, join_numbers
from mlops.workloads.floor.model.row_runs import RowAnswers, RowRun, columns_of_rows, lists_of
from mlops.workloads.floor.model.signature import NUMBERS, Signature
from mlops.workloads.floor.pod import BadInput

# ONNX Runtime's own exceptions have no class in common.
ORT_ERRORS = (
    states.EPFail,
    states.EngineError,
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NoModel,
    states.NoSuchFile,
    states.NotImplemented,
    states.RuntimeException,
    RuntimeError,
    ValueError,
)
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
Feed = Callable[[Columns], NDArray[Any]]
_FARTHEST = float(np.finfo(np.float32).max)
# So many numbers are added up sooner than numpy is asked to raise.
_FEW = 64
_ELEMENTS: dict[str, Any] = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def check_onnx(content: bytes, name: str = "model.onnx") -> onnx.ModelProto:
    """Return the parsed model. Raises BadInput(FormatForbidden) for what is not self-contained standard ONNX."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{name}: is not ONNX: {error}") from error
    if not model.ir_version or not model.graph.node:
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{name}: is not ONNX: it has no graph")
    domains = {one.domain for one in model.opset_import} | {function.domain for function in model.functions}
    _walk(model.graph, name, domains)
    for function in model.functions:
        for node in function.node:
            _check_node(node, name, domains)
    if foreign := sorted(domains - DOMAINS):
        raise BadInput(
            Reason.FORMAT_FORBIDDEN,
            f"{name}: operators of the domain {foreign[0]!r} are not allowed: export with ai.onnx and ai.onnx.ml only",
        )
    check_structure(model, name)
    return model


def _walk(graph: onnx.GraphProto, name: str, domains: set[str]) -> None:
    for tensor in graph.initializer:
        _check_tensor(tensor, name)
    for sparse in graph.sparse_initializer:
        _check_tensor(sparse.values, name)
        _check_tensor(sparse.indices, name)
    for node in graph.node:
        _check_node(node, name, domains)


def _check_node(node: onnx.NodeProto, name: str, domains: set[str]) -> None:
    domains.add(node.domain)
    for attribute in node.attribute:
        for tensor in (attribute.t, *attribute.tensors):
            _check_tensor(tensor, name)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            _check_tensor(sparse.values, name)
            _check_tensor(sparse.indices, name)
        for graph in (attribute.g, *attribute.graphs):
            _walk(graph, name, domains)


def _check_tensor(tensor: onnx.TensorProto, name: str) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        where = next((one.value for one in tensor.external_data if one.key == "location"), "")
        raise BadInput(
            Reason.FORMAT_FORBIDDEN,
            f"{name}: the tensor {tensor.name!r} lies in another file ({where!r}): save the model as one file",
        )


def open_session(content: bytes, name: str = "model.onnx") -> onnxruntime.InferenceSession:
    """Return a session of one thread. Raises BadInput(OutputInvalid) for a graph that cannot run."""
    options = onnxruntime.SessionOptions()
    # One thread: a row takes microseconds, and sums in one order give the same bits everywhere.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        raise BadInput(Reason.OUTPUT_INVALID, f"{name}: ONNX Runtime cannot run it: {_first_line(error)}") from error


class OnnxEngine:
    """An ONNX graph that takes one tensor per column, or one matrix of all columns."""

    def __init__(self, signature: Signature, content: bytes) -> None:
        model = check_onnx(content)
        joined = join_numbers(model, {one.name for one in signature.columns if one.type in NUMBERS})
        session = open_session(model.SerializeToString() if joined else content)
        del model
        # What is left out of the way is the wrapper in Python: it looks at each feed, and the runtime does so again.
        self._run = getattr(session, "_sess", session).run
        self._feeds = feeds_of(session, signature, joined)
        self._types = {one.name: one.type for one in signature.columns}
        self._matrix, self._element = _matrix_of(session, self._types, joined)
        outputs = signature.outputs
        self._label, self._probabilities, self._value = outputs.label, outputs.probabilities, outputs.value
        self._wanted = [name for name in (self._value, self._label, self._probabilities) if name is not None]
        have = [output.name for output in session.get_outputs()]
        if absent := [name for name in self._wanted if name not in have]:
            raise BadInput(Reason.OUTPUT_INVALID, f"model.onnx: has no output {absent[0]!r}; it has {', '.join(have)}")
        if not self._wanted or (signature.task == "regression") != (self._value is not None):
            raise BadInput(Reason.OUTPUT_INVALID, f"model.json: outputs: a {signature.task} cannot be read from them")
        self._classes = len(signature.classes or ())
        self._class_index = {one: index for index, one in enumerate(signature.classes or ())}
        self._label_is_class = outputs.label_is_class

    def run(self, columns: Columns) -> Answer:
        """Return the graph's answers. Raises BadInput(OutputInvalid) if they have not the promised shape."""
        outputs = self._outputs({name: feed(columns) for name, feed in self._feeds.items()})
        return self._answer(outputs)

    def _answer(self, outputs: dict[str, Any]) -> Answer:
        if self._value is not None:
            return Answer(np.asarray(outputs[self._value], dtype=np.float64).reshape(-1))
        if self._probabilities is None:
            return Answer(self._indices(outputs[self._label or ""]))
        probabilities = self._table(np.asarray(outputs[self._probabilities], dtype=np.float64))
        if self._label is None:
            return Answer(probabilities.argmax(axis=1), probabilities)
        return Answer(self._indices(outputs[self._label]), probabilities)

    def on_rows(self, slots: Mapping[str, int]) -> RowRun:
        """Return what answers rows of plain values, of which `slots` says where a column's value is.

        Its answers are those of `run`, as values and tables of lists. It raises as `run` does.
        """
        matrix = self._matrix
        if matrix is None:
            return columns_of_rows(self, self._types, slots)
        at = [slots[name] for name in matrix.columns]
        picked: Callable[[Sequence[Any]], Any] | None = itemgetter(*at) if len(at) > 1 else None
        if at == list(range(len(at))):
            picked = itemgetter(slice(len(at)))
        rest = {name: feed for name, feed in self._feeds.items() if name != matrix.name}
        texts = {name: self._types[name] for name in rest}
        cast = _cast(self._element, matrix.columns)

        def run(rows: Sequence[Sequence[Any]]) -> RowAnswers:
            numbers = [[row[at[0]]] for row in rows] if picked is None else [picked(row) for row in rows]
            fed = {matrix.name: cast(np.array(numbers, dtype=np.float64))}
            if rest:
                columns = {
                    name: array_of_values(kind, [row[slots[name]] for row in rows]) for name, kind in texts.items()
                }
                fed |= {name: feed(columns) for name, feed in rest.items()}
            return self._lists(self._outputs(fed))

        return run

    def _outputs(self, feeds: dict[str, NDArray[Any]]) -> dict[str, Any]:
        try:
            return dict(zip(self._wanted, self._run(self._wanted, feeds, None), strict=True))
        except ORT_ERRORS as error:
            raise BadInput(Reason.OUTPUT_INVALID, f"model.onnx: {_first_line(error)}") from error

    def _lists(self, outputs: dict[str, Any]) -> RowAnswers:
        """The answers of `run` as lists: of a few rows that is faster than arrays."""
        if self._value is not None or self._probabilities is None or self._label is None or self._label_is_class:
            return lists_of(self._answer(outputs))
        table, labels = outputs[self._probabilities], outputs[self._label]
        if table.ndim != 2 or table.shape[1] != self._classes or labels.dtype != np.int64 or labels.ndim != 1:
            return lists_of(self._answer(outputs))
        indices = labels.tolist()
        if min(indices) < 0 or max(indices) >= self._classes:
            self._indices(labels)
        # A float32 becomes the float64 of the same value.
        return indices, table.tolist()

    def _table(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities as (n, classes); one column is that of the second of two classes."""
        if self._classes == 2 and (probabilities.ndim == 1 or probabilities.shape[1] == 1):
            second = probabilities.reshape(-1)
            return np.column_stack([1 - second, second])
        if probabilities.ndim != 2 or probabilities.shape[1] != self._classes:
            raise BadInput(
                Reason.OUTPUT_INVALID,
                f"model.onnx: {self._probabilities}: shape {probabilities.shape}, expected (rows, {self._classes})",
            )
        return probabilities

    def _indices(self, labels: Any) -> NDArray[np.int64]:
        """Indices of classes: what the graph gives itself, or found by name."""
        array = np.asarray(labels).reshape(-1)
        if array.dtype.kind in "iub" and not self._label_is_class:
            indices = array.astype(np.int64)
        else:
            indices = np.array([self._class_index.get(one, -1) for one in array.tolist()], dtype=np.int64)
        if ((indices < 0) | (indices >= self._classes)).any():
            row = int(np.argmax((indices < 0) | (indices >= self._classes)))
            raise BadInput(Reason.OUTPUT_INVALID, f"model.onnx: {self._label}: {array[row]!r} is none of the classes")
        return indices


def feeds_of(
    session: onnxruntime.InferenceSession, signature: Signature, joined: Joined | None = None
) -> dict[str, Feed]:
    """Return for each input of the graph how it is filled from columns. Raises BadInput(OutputInvalid)."""
    types = {column.name: column.type for column in signature.columns}
    inputs = session.get_inputs()
    names = [one.name for one in inputs]
    if joined is None and len(inputs) == 1 and names[0] not in types:
        return {names[0]: _matrix_feed(inputs[0], types)}
    if joined is not None:
        matrix = next(one for one in inputs if one.name == joined.name)
        feeds = {joined.name: _matrix_feed(matrix, {name: types[name] for name in joined.columns})}
        inputs = [one for one in inputs if one is not matrix]
        names = [one.name for one in inputs]
    else:
        feeds = {}
    if unknown := [name for name in names if name not in types]:
        raise BadInput(
            Reason.OUTPUT_INVALID,
            f"model.onnx: the input {unknown[0]!r} is no column of the data; name inputs like the columns "
            f"({', '.join(types)}), or have one float input of shape (rows, {len(types)})",
        )
    return feeds | {one.name: _column_feed(one, types[one.name]) for one in inputs}


def _matrix_of(
    session: onnxruntime.InferenceSession, types: Mapping[str, Any], joined: Joined | None
) -> tuple[Joined | None, Any]:
    """Return the input that is a matrix, if there is one, and its elements."""
    inputs = {one.name: one for one in session.get_inputs()}
    if joined is None and len(inputs) == 1 and not set(inputs) & set(types):
        joined = Joined(next(iter(inputs)), tuple(types))
    return joined, None if joined is None else _ELEMENTS[inputs[joined.name].type]


def _matrix_feed(one: Any, types: dict[str, Any]) -> Feed:
    width = one.shape[1] if len(one.shape) == 2 else None
    if one.type not in ("tensor(float)", "tensor(double)") or (isinstance(width, int) and width != len(types)):
        raise BadInput(
            Reason.OUTPUT_INVALID,
            f"model.onnx: the input {one.name!r} is {one.type} of shape {one.shape}; expected float or double of "
            f"shape (rows, {len(types)}): the columns {', '.join(types)}",
        )
    if texts := [name for name, kind in types.items() if kind not in NUMBERS]:
        raise BadInput(
            Reason.OUTPUT_INVALID,
            f"model.onnx: one matrix cannot hold the column {texts[0]!r} of type {types[texts[0]]}; "
            "give the graph one input per column",
        )
    order = list(types)
    cast = _cast(_ELEMENTS[one.type], order)
    return lambda columns: cast(np.column_stack([floats(columns[name]) for name in order]))


def _column_feed(one: Any, kind: str) -> Feed:
    name = one.name
    flat = len(one.shape) == 1
    if len(one.shape) not in (1, 2) or (
        not flat and one.shape[1] not in (1, None) and not isinstance(one.shape[1], str)
    ):
        raise BadInput(Reason.OUTPUT_INVALID, f"model.onnx: {name}: shape {one.shape}, expected (rows, 1) or (rows)")
    shape = (-1,) if flat else (-1, 1)
    if one.type == "tensor(string)" and kind == "string":
        return lambda columns: _texts(columns[name]).reshape(shape)
    if one.type not in _ELEMENTS or kind == "string":
        raise BadInput(Reason.OUTPUT_INVALID, f"model.onnx: {name}: {one.type} cannot take a column of type {kind}")
    element = _ELEMENTS[one.type]
    if element in (np.float64, np.float32):
        # By way of float64 always: a number must not be rounded otherwise because a row beside it lacks one.
        cast = _cast(element, [name])
        return lambda columns: cast(floats(columns[name])).reshape(shape)
    return lambda columns: _whole(columns[name], name, element).reshape(shape)


def _cast(element: Any, names: Sequence[str]) -> Callable[[NDArray[np.float64]], NDArray[Any]]:
    """Return what makes numbers (n,) or (n, columns) of these columns the graph's float32 or float64.

    What it returns raises BadInput for a number beyond float32, of which an infinity would be made.
    """
    if element is np.float64:
        return lambda numbers: numbers

    def narrowed(numbers: NDArray[np.float64]) -> NDArray[Any]:
        if numbers.size <= _FEW and sum(map(abs, numbers.ravel().tolist())) <= _FARTHEST:
            return numbers.astype(np.float32)
        try:
            with np.errstate(over="raise"):
                return numbers.astype(np.float32)
        except FloatingPointError:
            raise _too_far(numbers.reshape(-1, len(names)), names) from None

    return narrowed


def _too_far(table: NDArray[np.float64], names: Sequence[str]) -> BadInput:
    """What is said of the first number of a table (n, columns) that float32 does not hold; the number is not told."""
    with np.errstate(over="ignore"):
        beyond = np.isinf(table.astype(np.float32)) & np.isfinite(table)
    row, column = np.argwhere(beyond)[0].tolist()
    return BadInput(
        Reason.OUTPUT_INVALID,
        f"model.onnx: {names[column]}: row {row} holds a number beyond float32 (±{_FARTHEST:.8g}); declare the input "
        "as double, or leave out such rows (spec.clean of the Dataset)",
    )


def _whole(values: NDArray[Any], name: str, element: Any) -> NDArray[Any]:
    """Return the values as the graph's whole numbers or booleans, refused where these would be other values."""
    if is_missing(values).any():
        raise BadInput(
            Reason.OUTPUT_INVALID, f"model.onnx: {name}: a value is missing; declare the input as double to take NaN"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        found = values.astype(element)
    if (found != values).any():
        raise BadInput(
            Reason.OUTPUT_INVALID,
            f"model.onnx: {name}: holds a value that its {np.dtype(element).name} cannot; declare the input as int64, "
            "or as double",
        )
    return found


def _texts(values: NDArray[Any]) -> NDArray[Any]:
    """Strings as ONNX Runtime takes them; what is missing is the empty string."""
    texts = np.empty(values.shape[0], dtype=object)
    texts[:] = [value or "" for value in values.tolist()]
    return texts


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:400] if str(error).strip() else type(error).__name__
