"""Answers in the form of the Open Inference Protocol v2."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import orjson

from mlops.workloads.floor.model.lone_rows import RowAnswer
from mlops.workloads.floor.model.predictor import class_array
from mlops.workloads.serve.classification import Best, best_classes
from mlops.workloads.serve.inference import InferenceRequest, Interface
from mlops.workloads.serve.row_objects import AS_ROWS, ObjectWriter
from mlops.workloads.serve.row_request import RowRequest, RowWriter
from mlops.workloads.serve.tensors import Array, to_binary, to_json

_DUMPS: Final = orjson.OPT_SERIALIZE_NUMPY


class OwnOutputs(tuple[tuple[str, bool | Best], ...], ABC):
    """Outputs that are wanted in another form than this module's, which they know how to write."""

    @abstractmethod
    def write(self, version: str, identity: str, rows: int, values: Mapping[str, Array]) -> bytes:
        """Return the body of the answer of a version to so many rows, of arrays (rows,) or (rows, width) by output."""


class AnswerWriter:
    """Writes answers of one model."""

    def __init__(self, interface: Interface) -> None:
        self._start = {"model_name": interface.model_name, "model_version": str(interface.version)}
        self.rows = RowWriter(self._start, interface.outputs, interface.classes)
        self._objects = ObjectWriter(self._start, interface.classes)
        self._all_json = tuple((name, False) for name, _, _ in interface.outputs)
        self._classes = interface.classes
        self._datatypes = {name: (datatype, width) for name, datatype, width in interface.outputs}

    def write_row(self, request: RowRequest, answer: RowAnswer) -> tuple[bytes, int | None]:
        """Return the same for a request of one row."""
        if request.outputs == self._all_json and type(request.outputs) is tuple:
            return self.rows.write(request.id, answer), None
        values: dict[str, Array] = {
            "prediction": class_array(self._classes)[[answer.value]] if self._classes else np.array([answer.value])
        }
        if answer.probabilities is not None:
            values["probabilities"] = np.array([answer.probabilities])
        return self.write(InferenceRequest(request.id, 1, {}, None, request.outputs), values)

    def write(self, request: InferenceRequest, values: Mapping[str, Array]) -> tuple[bytes, int | None]:
        """Return the body and, if part of it is binary, the length of its JSON."""
        if request.outputs is AS_ROWS:
            return self._objects.write(request.id, values), None
        if isinstance(request.outputs, OwnOutputs):
            return request.outputs.write(self._start["model_version"], request.id, request.rows, values), None
        outputs: list[dict[str, Any]] = []
        blobs: list[bytes] = []
        for name, wanted in request.outputs:
            if isinstance(wanted, Best):
                self._add_best(outputs, blobs, name, wanted, values[name])
                continue
            datatype, width = self._datatypes[name]
            output: dict[str, Any] = {
                "name": name,
                "datatype": datatype,
                "shape": [request.rows] if width == 1 else [request.rows, width],
            }
            if wanted:
                blobs.append(to_binary(datatype, values[name]))
                output["parameters"] = {"binary_data_size": len(blobs[-1])}
            else:
                output["data"] = to_json(values[name])
            outputs.append(output)
        head = orjson.dumps({**self._start, "id": request.id, "outputs": outputs}, option=_DUMPS)
        if not blobs:
            return head, None
        return head + b"".join(blobs), len(head)

    def _add_best(
        self, outputs: list[dict[str, Any]], blobs: list[bytes], name: str, wanted: Best, values: Array
    ) -> None:
        texts = best_classes(values, self._classes, wanted.most)
        output: dict[str, Any] = {"name": name, "datatype": "BYTES", "shape": list(texts.shape)}
        if wanted.binary:
            blobs.append(to_binary("BYTES", texts))
            output["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            output["data"] = to_json(texts)
        outputs.append(output)
