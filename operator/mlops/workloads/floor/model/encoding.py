"""Columns to matrix, in numpy: at training, and in front of the engines that take a matrix.

`onnx_graph` renders the same encoding as an ONNX graph; a test holds both against each other bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.model.missing import floats
from mlops.workloads.floor.model.signature import Encoding, TextEncoding

FloatArray = NDArray[np.float64]
# Trees and some solvers calculate in float32: a larger number would be infinite there. It counts as missing, like NaN
# and infinity (a computed feature may divide by zero).
LARGEST = float(np.finfo(np.float32).max)


def width(encoding: Encoding) -> int:
    """Return the number of columns of the matrix."""
    return len(encoding.numbers) + len(encoding.flags) + sum(slots(text) for text in encoding.texts)


def slots(text: TextEncoding) -> int:
    """Return the number of matrix columns of one text."""
    return 1 if text.kind == "ordinal" else len(text.categories) + text.other + text.missing


class Encoder:
    """An encoding made ready: arrays and look-up tables are built once, not per request."""

    def __init__(self, encoding: Encoding) -> None:
        self._numbers = [number.column for number in encoding.numbers]
        self._fill = np.array([np.nan if number.fill is None else number.fill for number in encoding.numbers])
        self._mean = np.array([number.mean for number in encoding.numbers])
        self._scale = np.array([number.scale for number in encoding.numbers])
        self._flags = np.array([self._numbers.index(column) for column in encoding.flags], dtype=np.intp)
        self._texts = [_Text(text) for text in encoding.texts]
        self._single = encoding.single

    def matrix(self, columns: Mapping[str, NDArray[Any]]) -> FloatArray:
        """Return the matrix (n, width) of columns (n,): numbers as float, int or bool, texts as objects or str."""
        blocks: list[FloatArray] = []
        if self._numbers:
            raw = np.column_stack([floats(columns[name]) for name in self._numbers])
            usable = np.abs(raw) <= LARGEST
            blocks.append((np.where(usable, raw, self._fill) - self._mean) / self._scale)
            if self._flags.shape[0]:
                blocks.append((~usable[:, self._flags]).astype(np.float64))
        blocks += [text.block(columns[text.column]) for text in self._texts]
        matrix = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)
        return matrix.astype(np.float32).astype(np.float64) if self._single else matrix


class _Text:
    """One text's look-up table and the rows of the matrix that its codes stand for."""

    def __init__(self, text: TextEncoding) -> None:
        self.column = text.column
        self._codes = codes_of(text)
        self._default = default_code(text)
        # The last row is code -1.
        if text.kind == "ordinal":
            unknown = np.nan if text.unknown is None else text.unknown
            self._rows = np.array([*range(len(text.categories)), unknown], dtype=np.float64)[:, None]
        else:
            self._rows = np.vstack([np.eye(slots(text)), np.zeros((1, slots(text)))])

    def block(self, values: NDArray[Any]) -> FloatArray:
        codes = [self._codes.get(value or "", self._default) for value in values.tolist()]
        block: FloatArray = self._rows[codes]
        return block


def codes_of(text: TextEncoding) -> dict[str, int]:
    """Return each known value's code; the empty string is what is missing, -1 is unknown."""
    codes = {category: code for code, category in enumerate(text.categories)}
    codes[""] = len(text.categories) + text.other if text.kind == "onehot" and text.missing else -1
    return codes


def default_code(text: TextEncoding) -> int:
    """Return the code of a value that is not among the categories."""
    return len(text.categories) if text.kind == "onehot" and text.other else -1
