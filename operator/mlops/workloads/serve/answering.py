"""From the body of a request to the body of its answer: a model behind its protocol, without a server around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mlops.api.pod_environment import ServerLimits
from mlops.api.serving_task import ServeTask
from mlops.workloads.floor.model.cleaning import Cleaning, OutsideTraining, may_miss
from mlops.workloads.floor.model.lone_rows import LoneRows, Row
from mlops.workloads.floor.model.opening import Loaded
from mlops.workloads.floor.model.predictor import Prediction, class_array
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.serve.answer_writer import AnswerWriter
from mlops.workloads.serve.errors import RequestError
from mlops.workloads.serve.inference import InferenceRequest, Interface, Parser
from mlops.workloads.serve.row_objects import ObjectReader
from mlops.workloads.serve.row_request import RowRequest
from mlops.workloads.serve.tensors import Array, Column


class OutsideRequest(RequestError):
    """A request with a row of the kind that training left out."""


class Answering:
    """Reads, cleans, predicts and writes for one model: a server does nothing else to a row, nor does `mlops predict`.

    `answer` is for one thread at a time, as a Predictor is.
    """

    def __init__(
        self, task: ServeTask, loaded: Loaded, limits: ServerLimits, id_maker: Callable[[], str] | None = None
    ) -> None:
        signature = loaded.predictor.signature
        self.interface = interface_of(task, signature, loaded.gives_probabilities)
        self._predictor = loaded.predictor
        self._cleaning = Cleaning(signature)
        # Reads what requests say, in whatever form they came.
        self.parser = Parser(self.interface, limits.rows, limits.buffered_bytes, id_maker)
        self._objects = ObjectReader(self.interface, limits.rows, limits.buffered_bytes, id_maker)
        self._writer = AnswerWriter(self.interface)
        # The methods themselves, for what most requests are: `read` and `written` of one row.
        self.read_row, self.written_row = self.parser.parse_row, self._writer.write_row

    def read(self, body: bytes | bytearray, header_length: int | None) -> InferenceRequest:
        """Return the request in a body. Raises RequestError."""
        return self.parser.parse(body, header_length)

    def read_objects(self, body: bytes | bytearray, header_length: int | None) -> InferenceRequest:
        """Return the request in a body whose rows are JSON objects. Raises RequestError."""
        return self._objects.read(body, header_length)

    def read_object(self, body: bytes | bytearray, header_length: int | None) -> InferenceRequest | RowRequest:
        """Return the same, a request of one row as such. Raises RequestError."""
        return self._objects.read_row(body, header_length)

    def completed(self, lone: LoneRows, row: Row) -> Row:
        """Return a row as a client sent it as the model takes it. Raises RequestError as `answer`."""
        try:
            return lone.completed(lone.cleaned(row))
        except OutsideTraining as error:
            raise OutsideRequest(422, str(error)) from None
        except BadInput as error:
            raise refused(error) from error

    def answer(self, inputs: Mapping[str, Array]) -> Prediction:
        """Answer rows as a client sent them. Raises RequestError: OutsideRequest for rows that training left out."""
        try:
            return self._predictor.predict(self._cleaning(inputs))
        except OutsideTraining as error:
            raise OutsideRequest(422, str(error)) from None
        except BadInput as error:
            raise refused(error) from error

    def written(self, request: InferenceRequest, answer: Prediction) -> tuple[bytes, int | None]:
        """Return the body of the answer and, if part of it is binary, the length of its JSON."""
        values = {"prediction": answer.prediction}
        if answer.probabilities is not None:
            values["probabilities"] = answer.probabilities
        return self._writer.write(request, values)


def interface_of(task: ServeTask, signature: Signature, gives_probabilities: bool) -> Interface:
    """Return what clients see of the model."""
    optional = may_miss(signature)
    outputs = [("prediction", "FP64", 1)]
    if signature.classes is not None:
        kind = class_array(signature.classes).dtype
        outputs[0] = ("prediction", {np.dtype(np.bool_): "BOOL", np.dtype(np.int64): "INT64"}.get(kind, "BYTES"), 1)
        if gives_probabilities:
            outputs.append(("probabilities", "FP64", len(signature.classes)))
    return Interface(
        model_name=task.model_name,
        version=task.version,
        platform=f"mlops_{signature.format}",
        inputs=tuple(Column(one.name, one.type, one.name in optional) for one in signature.inputs),
        outputs=tuple(outputs),
        classes=signature.classes or (),
    )


def refused(error: BadInput) -> RequestError:
    """Return what a client is told of rows that the model cannot answer."""
    return RequestError(422, f"the model cannot answer these rows: {error.message}")
