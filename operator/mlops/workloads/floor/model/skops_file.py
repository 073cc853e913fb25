"""model.skops: canonical bytes out, and in only what consists of types on a fixed list.

skops names its members by memory addresses and dates them with the clock, so two equal models differ in every byte.
It also trusts every public class of scikit-learn, numpy and scipy by default; here only what the allowed estimators
consist of is let through, and only where indices lead to what is there, before skops looks at the file at all.
"""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import skops.io
from numpy.typing import NDArray
from skops.io._protocol import PROTOCOL
from skops.io.exceptions import UntrustedTypesFoundException

from mlops.api.reasons import Reason
from mlops.workloads.floor.model.nested import texts_in
from mlops.workloads.floor.model.skops_checks import check_graph
from mlops.workloads.floor.model.skops_graph import FILE, read_array, read_graph
from mlops.workloads.floor.model.trusted_types import LOADERS, TRUSTED
from mlops.workloads.floor.pod import BadInput

MAX_UNPACKED_BYTES = 4 << 30
MAX_SCHEMA_BYTES = 256 << 20
# As of text: numbers do not shrink by more, and what is small may.
MAX_RATIO, SMALL_BYTES = 250, 256 << 20
# A schema that is made to mislead may have anything in any place.
_UNREADABLE = (
    zipfile.BadZipFile,
    KeyError,
    IndexError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    EOFError,
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def dump_estimator(estimator: Any) -> bytes:
    """Return a fitted estimator as skops, the same bytes for the same estimator in every process.

    Raises BadInput(UntrustedType) for an estimator that `load_estimator` would refuse.
    """
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as archive:
        schema = json.loads(archive.read("schema.json"))
        _check_types(schema)
        arrays = _renumber(schema)
        members = {new: _without_padding(archive.read(old)) for old, new in arrays.items()}
    members["schema.json"] = json.dumps(schema, sort_keys=True, separators=(",", ":")).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            archive.writestr(member, members[name])
    return packed.getvalue()


def load_estimator(content: bytes, width: int | None = None) -> Any:
    """Return the estimator, which takes rows of `width` numbers.

    Raises BadInput: UntrustedType, FormatForbidden, Incompatible.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_sizes(archive, len(content))
            schema = json.loads(archive.read("schema.json"))
            _check_types(schema)
            check_graph(read_graph(schema, archive), width)
    except (*_UNREADABLE, zlib.error) as error:
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{FILE}: is no skops file: {error}") from error
    except RuntimeError as error:  # a member is encrypted, or compressed in a way that is not known
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{FILE}: cannot be read: {error}") from error
    try:
        return skops.io.loads(content, trusted=sorted(TRUSTED))
    except UntrustedTypesFoundException as error:
        raise BadInput(Reason.UNTRUSTED_TYPE, f"{FILE}: {error}") from error
    except Exception as error:
        raise BadInput(
            Reason.INCOMPATIBLE,
            f"{FILE}: cannot be read with skops {skops.__version__} (written with {schema.get('_skops_version')}): "
            f"{type(error).__name__}: {str(error)[:300]}",
        ) from error


def texts_of(content: bytes) -> Iterator[str]:
    """Yield every text of a file: of its schema, and of arrays of texts. Raises BadInput(FormatForbidden)."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_sizes(archive, len(content))
            yield from archive.namelist()
            yield from _texts(json.loads(archive.read("schema.json")))
            for name in archive.namelist():
                if name.endswith(".npy") and (array := read_array(archive.read(name), name)).dtype.kind in "US":
                    yield from map(str, np.char.decode(array) if array.dtype.kind == "S" else array.ravel().tolist())
    except (*_UNREADABLE, zlib.error, RuntimeError) as error:
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{FILE}: is no skops file: {type(error).__name__}") from error


def _texts(schema: Any) -> Iterator[str]:
    for text in texts_in(schema):
        yield text
        # A value stands as JSON in a text of the schema, and may be such a text again.
        with contextlib.suppress(ValueError):
            while text[:1] == '"':
                text = json.loads(text)
                yield text


def _check_sizes(archive: zipfile.ZipFile, packed: int) -> None:
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES or (unpacked > SMALL_BYTES and unpacked > MAX_RATIO * packed):
        raise BadInput(
            Reason.FORMAT_FORBIDDEN,
            f"{FILE}: unpacks to {unpacked} bytes; at most {MAX_UNPACKED_BYTES}, and {MAX_RATIO} times its size",
        )
    if len({member.filename for member in members}) != len(members):
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{FILE}: holds two members of one name")
    if archive.getinfo("schema.json").file_size > MAX_SCHEMA_BYTES:
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{FILE}: schema.json is larger than {MAX_SCHEMA_BYTES} bytes")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every node of a schema in document order, keys sorted."""
    if isinstance(value, dict):
        if "__loader__" in value or "__class__" in value:
            yield value
        for key in sorted(value):
            yield from _nodes(value[key])
    elif isinstance(value, list):
        for one in value:
            yield from _nodes(one)


def type_names(schema: dict[str, Any]) -> set[tuple[str, str]]:
    """Return (loader, full type name) of everything that a schema would construct."""
    return {
        (str(node.get("__loader__")), f"{node.get('__module__')}.{node.get('__class__')}") for node in _nodes(schema)
    }


def _check_types(schema: Any) -> None:
    if not isinstance(schema, dict):
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{FILE}: schema.json is no object")
    # Other protocols have loaders of their own, which make other things of the same schema.
    if schema.get("protocol") != PROTOCOL or isinstance(schema.get("protocol"), bool):
        raise BadInput(
            Reason.INCOMPATIBLE, f"{FILE}: its protocol is {schema.get('protocol')!r}, this program reads {PROTOCOL}"
        )
    for loader, name in sorted(type_names(schema)):
        if name not in TRUSTED or loader not in LOADERS:
            raise BadInput(
                Reason.UNTRUSTED_TYPE,
                f"{FILE}: {name} ({loader}) is not on the list of types that may be loaded: "
                "use one of the allowed scikit-learn estimators, or export to ONNX",
            )


def _renumber(schema: dict[str, Any]) -> dict[str, str]:
    """Number ids and array files in document order; return the old name of each array file with its new one."""
    numbers: dict[Any, int] = {}
    files: dict[str, str] = {}
    count = 0
    for node in _nodes(schema):
        if "__id__" in node:
            count += 1
            # Whether two equal numbers are one object in memory is chance: each gets an id of its own.
            if node.get("__loader__") != "JsonNode":
                node["__id__"] = numbers.setdefault(node["__id__"], count)
            else:
                node["__id__"] = count
        if "file" in node:
            old = str(node["file"])
            node["file"] = files.setdefault(old, f"{len(files)}.{old.rpartition('.')[2]}")
    return files


def _without_padding(content: bytes) -> bytes:
    """Return an array file with zeros between the fields of its records, where a tree's nodes have chance bytes."""
    if content[:6] != b"\x93NUMPY":
        return content
    array: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, dtype=array.dtype)
    for field in array.dtype.names:
        clean[field] = array[field]
    written = io.BytesIO()
    np.save(written, clean, allow_pickle=False)
    return written.getvalue()
