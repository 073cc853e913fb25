"""Tensors of the Open Inference Protocol v2 to columns and back, in JSON and in the binary-tensor extension."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.model.missing import objects, whole_numbers
from mlops.workloads.serve.errors import RequestError, shown
from mlops.workloads.serve.timestamps import field_microseconds

Array = NDArray[Any]

FLOATS: Final = ("FP64", "FP32", "FP16")
INTEGERS: Final = ("INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8")
DTYPES: Final[dict[str, np.dtype[Any]]] = {
    name: np.dtype(code)
    for name, code in {
        "FP64": "<f8",
        "FP32": "<f4",
        "FP16": "<f2",
        "INT64": "<i8",
        "INT32": "<i4",
        "INT16": "<i2",
        "INT8": "i1",
        "UINT64": "<u8",
        "UINT32": "<u4",
        "UINT16": "<u2",
        "UINT8": "u1",
        "BOOL": "?",
    }.items()
}

# A field's type: the datatype that the metadata states, and all that are taken.
STATED: Final = {"float64": "FP64", "int64": "INT64", "boolean": "BOOL", "string": "BYTES", "timestamp": "BYTES"}
TAKEN: Final[dict[str, tuple[str, ...]]] = {
    "float64": FLOATS + INTEGERS,
    "int64": INTEGERS + FLOATS,
    "boolean": ("BOOL",),
    "string": ("BYTES",),
    "timestamp": ("BYTES",),
}
_JSON_TYPES: Final[dict[str, frozenset[type]]] = {
    **{name: frozenset({float, int}) for name in FLOATS},
    **{name: frozenset({int}) for name in INTEGERS},
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str}),
}
# Below it every whole number is a number of the datatype, so none was rounded to another one on its way.
_EXACT: Final = {"float16": 1 << 11, "float32": 1 << 24, "float64": 1 << 53}
_JSON_WORDS: Final = {int: "an integer", float: "a fraction", bool: "a boolean", str: "a string", list: "a list"}
_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True)
class Column:
    """One raw field of the model, and how it is received."""

    name: str
    type: str
    nullable: bool

    def metadata(self) -> dict[str, Any]:
        """Return the tensor's entry in the model's metadata."""
        parameters: dict[str, Any] = {"nullable": self.nullable}
        if self.type == "timestamp":
            parameters["content_type"] = "datetime"
        return {"name": self.name, "datatype": STATED[self.type], "shape": [-1], "parameters": parameters}

    def from_json(self, datatype: str, data: list[Any]) -> Array:
        """Return the values (n,) of a JSON tensor; null is a missing value. Raises RequestError."""
        if len(data) == 1 and (lone := self._lone(datatype, data)) is not None:
            return lone
        found = set(map(type, data))
        misses = type(None) in found
        if misses:
            self._check_may_miss(data.index(None))
            found.discard(type(None))
        if not found <= _JSON_TYPES[datatype]:
            if datatype not in INTEGERS or not found <= {int, float}:
                self._refuse_json(datatype, data)
            data = [self._whole(datatype, row, value) for row, value in enumerate(data)]
        if datatype == "BYTES":
            return self._from_text(data)
        dtype = DTYPES[datatype]
        try:
            with np.errstate(over="ignore"):  # what is too large for FP32 becomes infinite, and is refused as such
                present = np.array([0 if value is None else value for value in data] if misses else data, dtype=dtype)
        except OverflowError:
            raise self._wrong(f"holds a number that {datatype} cannot hold; send a wider datatype") from None
        values = self._widened(present)
        if not misses:
            return values
        if self.type == "int64":
            return whole_numbers([None if value is None else int(value) for value in data])
        wide = values.astype(np.float64)
        wide[[value is None for value in data]] = np.nan
        return wide

    def _lone(self, datatype: str, data: list[Any]) -> Array | None:
        """Return a single good value of the stated datatype at once; None: look closer. It is most of all traffic."""
        value = data[0]
        kind = type(value)
        if datatype == "FP64" and self.type == "float64" and kind is float and isfinite(value):
            return np.array(data) if value else np.zeros(1)  # minus zero is zero, as at ingest
        if datatype == "INT64" and self.type == "int64" and kind is int and -(1 << 63) <= value < 1 << 63:
            return np.array(data, dtype=np.int64)
        if datatype == "BOOL" and kind is bool:
            return np.array(data)
        return None

    def from_binary(self, datatype: str, data: memoryview, rows: int) -> Array:
        """Return the values (n,) of a binary tensor; NaN is a missing value. Raises RequestError."""
        if datatype == "BYTES":
            return self._from_text(self._split(data, rows))
        dtype = DTYPES[datatype]
        if len(data) != rows * dtype.itemsize:
            raise self._wrong(
                f"has {len(data)} bytes, but {rows} values of {datatype} take {rows * dtype.itemsize}", status=400
            )
        if datatype == "BOOL":
            octets = np.frombuffer(data, np.uint8)
            if octets.max() > 1:
                raise self._wrong("holds a byte that is neither 0 (false) nor 1 (true)")
            return octets.astype(np.bool_)
        return self._widened(np.frombuffer(data, dtype))

    def _widened(self, values: Array) -> Array:
        """Return numbers as the field's own type, float64 or int64."""
        if self.type == "boolean":
            return values
        if self.type == "int64":
            if values.dtype.kind == "f":
                return self._whole_numbers(values)
            if values.dtype == np.uint64 and values.max() > np.iinfo(np.int64).max:
                raise self._wrong("holds a number above 9223372036854775807, the largest of an int64 field")
            return values.astype(np.int64)
        wide = values.astype(np.float64) + 0.0  # minus zero is zero, as at ingest
        if values.dtype.itemsize == 8 and values.dtype.kind != "f":
            self._check_exact(values, wide)
        if values.dtype.kind == "f" and not np.isfinite(wide).all():
            if np.isinf(wide).any():
                raise self._wrong(f"is infinite in row {int(np.isinf(wide).argmax())}; numbers must be finite")
            self._check_may_miss(int(np.isnan(wide).argmax()))
        return wide

    def _whole(self, datatype: str, row: int, value: Any) -> Any:
        """Return a JSON number of an integer datatype as an integer; what is missing stays so."""
        if type(value) is not float:
            return value
        if not value.is_integer():
            self._refuse_json(datatype, [value], row)
        if abs(value) >= _EXACT["float64"]:
            raise self._not_whole(row, value)
        return int(value)

    def _whole_numbers(self, values: Array) -> Array:
        """Return fractions that are whole numbers as such; NaN is a missing value."""
        limit = _EXACT[values.dtype.name]
        wide = values.astype(np.float64)
        gaps = np.isnan(wide)
        wrong = ~gaps & ~((np.abs(wide) < limit) & (np.floor(wide) == wide))
        if wrong.any():
            row = int(wrong.argmax())
            raise self._not_whole(row, wide[row].item(), limit)
        if not gaps.any():
            return wide.astype(np.int64)
        self._check_may_miss(int(gaps.argmax()))
        return whole_numbers([None if value != value else int(value) for value in wide.tolist()])

    def _not_whole(self, row: int, value: float, limit: int = _EXACT["float64"]) -> RequestError:
        way_out = (
            f"from {limit} on such a datatype holds no longer every whole number: send it as INT64"
            if value.is_integer()
            else "send a whole number"
        )
        return self._wrong(f"is {shown(value)} in row {row}, but the field is int64: {way_out}")

    def _check_exact(self, values: Array, wide: Array) -> None:
        """Refuse a whole number of 64 bits that no float64 is."""
        for row in np.flatnonzero(np.abs(wide) >= _EXACT["float64"]).tolist():
            if int(wide[row]) != int(values[row]):
                raise self._wrong(
                    f"is {values[row]} in row {row}, but the field is float64, which cannot hold that number: send it "
                    "as FP64 if it may be rounded"
                )

    def _from_text(self, data: Sequence[str | None]) -> Array:
        if self.type == "timestamp":
            return self._timestamps(data)
        return objects(data)

    def _timestamps(self, data: Sequence[str | None]) -> Array:
        values = np.full(len(data), np.datetime64("NaT", "us"))
        for row, text in enumerate(data):
            if text is None:
                continue
            try:
                values[row] = np.datetime64(field_microseconds(text), "us")
            except ValueError as error:
                raise self._wrong(f"in row {row} {shown(text)} {error}") from None
        return values

    def _split(self, data: memoryview, rows: int) -> list[str]:
        """Return the strings of a binary BYTES tensor: each is its length in 4 bytes, then UTF-8."""
        values: list[str] = []
        at = 0
        while at < len(data):
            if at + 4 > len(data):
                raise self._wrong("ends within a length; each string is 4 bytes of length and its bytes", status=400)
            (size,) = _LENGTH.unpack_from(data, at)
            at += 4
            if at + size > len(data):
                raise self._wrong(f"says that string {len(values)} has {size} bytes, but fewer are left", status=400)
            try:
                values.append(str(data[at : at + size], "utf-8"))
            except UnicodeDecodeError:
                raise self._wrong(f"in row {len(values)} is no UTF-8") from None
            at += size
        if len(values) != rows:
            raise self._wrong(f"holds {len(values)} strings, but its shape says {rows}", status=400)
        return values

    def _check_may_miss(self, row: int) -> None:
        if not self.nullable:
            raise self._wrong(f"is missing in row {row}, but the field is not nullable; send a value")

    def _refuse_json(self, datatype: str, data: list[Any], first: int = 0) -> None:
        for row, value in enumerate(data, first):
            if value is not None and type(value) not in _JSON_TYPES[datatype]:
                word = _JSON_WORDS.get(type(value), "an object")
                raise self._wrong(f"has {word} in row {row} ({shown(value)}), which is no {datatype}")

    def _wrong(self, problem: str, status: int = 422) -> RequestError:
        return RequestError(status, f"input {self.name!r} {problem}")


def to_json(values: Array) -> Any:
    """Return what orjson writes as the tensor's `data`: flat, row by row."""
    if values.dtype == object:
        return values.ravel().tolist()
    return np.ascontiguousarray(values).reshape(-1)


def to_binary(datatype: str, values: Array) -> bytes:
    """Return the tensor's bytes in the binary-tensor extension."""
    if datatype != "BYTES":
        return values.astype(DTYPES[datatype], copy=False).tobytes()
    encoded = [str(value).encode() for value in values.ravel().tolist()]
    return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)
