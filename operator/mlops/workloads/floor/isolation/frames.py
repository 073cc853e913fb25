"""Frames over a pipe: a length, a JSON document, and the plain bytes of the arrays that it announces.

numpy is imported with the first array: a child that only reads a file does without it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DOCUMENT_BYTES: Final = 1 << 30
_LENGTH: Final = struct.Struct("<Q")
_DTYPES: Final = {"f": "<f8", "i": "<i8", "b": "|b1", "M": "<M8[us]"}


class FrameError(ValueError):
    """What arrived is no frame, or is larger than was agreed."""


def write_frame(
    stream: IO[bytes], document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Write one frame. Arrays are float64, int64, bool, timestamps of microseconds, or objects: texts, whole
    numbers and None."""
    announced: list[list[Any]] = []
    parts: list[NDArray[Any]] = []
    texts = {}
    for name, array in (arrays or {}).items():
        if array.dtype.kind in "OU":
            texts[name] = array.tolist()
            continue
        import numpy as np

        # Smaller whole numbers and float32 hold nothing that the larger ones do not.
        kind = array.dtype.kind.replace("u", "i")
        plain = np.ascontiguousarray(array, dtype=_DTYPES[kind])
        announced.append([name, kind, list(array.shape)])
        parts.append(plain)
    head = json.dumps({"document": document, "arrays": announced, "texts": texts}, ensure_ascii=True).encode()
    stream.write(_LENGTH.pack(len(head)))
    stream.write(head)
    for part in parts:
        stream.write(part.tobytes())
    stream.flush()


def read_frame(stream: IO[bytes], most: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """Return one frame's document and arrays, or None at the end of the stream.

    Raises FrameError for what is none, and for arrays of more than `most` bytes together.
    """
    length = stream.read(_LENGTH.size)
    if not length:
        return None
    if len(length) < _LENGTH.size or _LENGTH.unpack(length)[0] > min(MAX_DOCUMENT_BYTES, most + (1 << 20)):
        raise FrameError("the frame is cut off, or too long")
    try:
        head = json.loads(_exactly(stream, _LENGTH.unpack(length)[0]))
        document, announced, texts = head["document"], head["arrays"], head["texts"]
        arrays = _arrays(stream, announced, texts, most) if announced or texts else {}
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        raise FrameError(f"the frame is none: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise FrameError("the frame has no document")
    return document, arrays


def _arrays(stream: IO[bytes], announced: list[Any], texts: dict[str, Any], most: int) -> dict[str, NDArray[Any]]:
    import numpy as np

    arrays: dict[str, NDArray[Any]] = {}
    for name, kind, shape in announced:
        dtype, count = np.dtype(_DTYPES[kind]), 1
        for size in shape:
            if not isinstance(size, int) or size < 0:
                raise FrameError(f"the array {name!r} has the shape {shape}")
            count *= size
        most -= count * dtype.itemsize
        if most < 0:
            raise FrameError("the arrays are larger than agreed")
        flat = np.frombuffer(_exactly(stream, count * dtype.itemsize), dtype, count)
        arrays[str(name)] = flat.reshape(shape)
    for name, values in texts.items():
        objects = np.empty(len(values), dtype=object)
        objects[:] = values
        arrays[name] = objects
    return arrays


def _exactly(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) != length:
        raise FrameError("the frame is cut off")
    return content
