"""Rows as JSON objects, as a person types them: `{"rows": [{"temperature": 0.4}]}`, and answers as rows.

What is read becomes the same columns as tensors do, so everything behind it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson

from mlops.workloads.floor.model.lone_rows import rows_of
from mlops.workloads.floor.model.signature import class_name
from mlops.workloads.serve.errors import RequestError, shown
from mlops.workloads.serve.inference import (
    InferenceRequest,
    Interface,
    event_times,
    listed,
    new_id,
    parameters_of,
    read_json,
    request_id,
)
from mlops.workloads.serve.row_request import RowRequest
from mlops.workloads.serve.tensors import STATED, Array

# In the place of the outputs that are wanted: all of them, row by row.
AS_ROWS: Final = (("rows", False),)
_KEYS: Final = frozenset({"rows", "id", "parameters"})


class ObjectReader:
    """Reads rows for one model: at most `max_rows`, whose JSON takes at most `max_decoded_bytes` of memory.

    Requests without an id are given one by `id_maker`.
    """

    def __init__(
        self, interface: Interface, max_rows: int, max_decoded_bytes: int, id_maker: Callable[[], str] | None = None
    ) -> None:
        self._new_id = id_maker or new_id
        self._columns = interface.inputs
        self._names = {column.name: None for column in interface.inputs}
        self._max_rows, self._max_decoded_bytes = max_rows, max_decoded_bytes

    def read(self, body: bytes | bytearray, header_length: int | None) -> InferenceRequest:
        """Return the request in a body. Raises RequestError."""
        if header_length is not None:
            raise RequestError(400, "rows are JSON only; leave out Inference-Header-Content-Length")
        document = read_json(body, self._max_decoded_bytes)
        if other := next((key for key in document if key not in _KEYS), None):
            raise RequestError(400, f"{shown(other)} is no part of a request; send {listed(sorted(_KEYS))}")
        rows = self._rows(document.get("rows"))
        parameters = parameters_of(document, "the request")
        return InferenceRequest(
            id=request_id(document, self._new_id),
            rows=len(rows),
            inputs={
                column.name: column.from_json(STATED[column.type], [row.get(column.name) for row in rows])
                for column in self._columns
            },
            event_time=event_times(parameters.get("event_time"), len(rows)),
            outputs=AS_ROWS,
        )

    def read_row(self, body: bytes | bytearray, header_length: int | None) -> InferenceRequest | RowRequest:
        """Return the same, a request of one row as such. Raises RequestError."""
        found = self.read(body, header_length)
        if found.rows != 1:
            return found
        (row,) = rows_of(self._columns, found.inputs)
        given = found.event_time
        return RowRequest(found.id, row, int(given[0]) if isinstance(given, np.ndarray) else given, AS_ROWS)

    def _rows(self, rows: Any) -> list[dict[str, Any]]:
        if type(rows) is not list or not rows:
            raise RequestError(400, 'the request has no list "rows" of JSON objects, one per row')
        if len(rows) > self._max_rows:
            raise RequestError(
                413, f"the request has {len(rows)} rows, the limit is {self._max_rows}; send them in several requests"
            )
        for number, row in enumerate(rows):
            if type(row) is not dict:
                raise RequestError(400, f"row {number} is {shown(row)}; send a JSON object with a value per input")
            if not row.keys() <= self._names.keys():
                other = next(name for name in row if name not in self._names)
                raise RequestError(
                    422, f"input {shown(other)} of row {number} is unknown; the model takes {listed(self._names)}"
                )
        return rows


class ObjectWriter:
    """Writes the answers to rows of one model; probabilities by the name of their class."""

    def __init__(self, start: Mapping[str, str], classes: Sequence[bool | int | str]) -> None:
        self._start = start
        self._names = [class_name(one) for one in classes]

    def write(self, identity: str, values: Mapping[str, Array]) -> bytes:
        """Return the body of an answer."""
        rows: list[dict[str, Any]] = [{"prediction": one} for one in values["prediction"].tolist()]
        if "probabilities" in values:
            for row, table in zip(rows, values["probabilities"].tolist(), strict=True):
                row["probabilities"] = dict(zip(self._names, table, strict=True))
        return orjson.dumps({**self._start, "id": identity, "rows": rows})
