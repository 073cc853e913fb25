"""Files that no text can show: what a case names by `made` is made here, and so are the folders of models."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import skops.io
from onnx import TensorProto, helper, numpy_helper
from sklearn.neighbors import NearestCentroid

from tests.bad_input.catalogue import value_of

GOOD = "a,y\n" + "".join(f"{index},{('no', 'yes')[index % 2]}\n" for index in range(60))


class Payload:
    """Its pickle would leave a file named `ran` if anybody read it."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (Path("ran"),))


def parquet(frame: pl.DataFrame | None = None) -> bytes:
    """Return a frame as Parquet; the good rows by default."""
    buffer = io.BytesIO()
    (pl.read_csv(GOOD.encode()) if frame is None else frame).write_parquet(buffer)
    return buffer.getvalue()


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _arrow() -> bytes:
    buffer = io.BytesIO()
    pl.read_csv(GOOD.encode()).write_ipc(buffer)
    return buffer.getvalue()


def _huge_footer() -> bytes:
    return parquet()[:-8] + struct.pack("<i", 2_000_000_000) + b"PAR1"


def _damaged() -> bytes:
    content = bytearray(parquet())
    content[len(content) // 2 : len(content) - 8] = b"\xff" * (len(content) - 8 - len(content) // 2)
    return bytes(content)


def _scrambled_gzip() -> bytes:
    content = bytearray(gzip.compress(GOOD.encode() * 200, mtime=0))
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


FILES: dict[str, Callable[[], bytes]] = {
    "csv in UTF-16": lambda: GOOD.encode("utf-16"),
    "csv in Latin-1": lambda: b"a,y\n1,caf\xe9\n2,no\n",
    "csv with a header in Latin-1": lambda: b"a,y,caf\xe9\n1,no,2\n2,yes,3\n",
    "csv with NUL": lambda: b"a,y\n1,n\0o\n2,yes\n",
    "parquet": parquet,
    "parquet cut off": lambda: parquet()[:-30],
    "parquet with a damaged middle": _damaged,
    "parquet that declares a footer of 2 GB": _huge_footer,
    "parquet magic and nothing else": lambda: b"PAR1PAR1",
    "parquet with texts for numbers": lambda: parquet(pl.DataFrame({"a": ["one", "two"], "y": ["no", "yes"]})),
    "parquet with lists": lambda: parquet(pl.DataFrame({"a": [[1.0], [2.0]], "y": ["no", "yes"]})),
    "parquet without a column": lambda: parquet(pl.DataFrame({"a": [1.0, 2.0]})),
    "arrow": _arrow,
    "pickle": lambda: pickle.dumps(Payload()),
    "zip of two files": lambda: _zip({"rows.csv": GOOD.encode(), "more.csv": GOOD.encode()}),
    "zip with a member outside": lambda: _zip({"rows.csv": GOOD.encode(), "../../rows.csv": GOOD.encode()}),
    "bzip2 cut off": lambda: bz2.compress(GOOD.encode())[:-10],
    "xz cut off": lambda: lzma.compress(GOOD.encode())[:-10],
    "gzip cut off": lambda: gzip.compress(GOOD.encode() * 200, mtime=0)[:-40],
    "gzip damaged": _scrambled_gzip,
    "gzip of 300 megabytes": lambda: (
        gzip.compress(b"a,y\n", mtime=0) + gzip.compress(b"1,no\n" * 200_000, mtime=0) * 300
    ),
    "zstd cut off": lambda: bytes.fromhex("28b52ffd") + b"\x04\x58" + b"\x00" * 5,
    "executable": lambda: b"\x7fELF\x02\x01\x01" + bytes(200),
}


def content_of(written: Any) -> bytes:
    """Return a file's bytes as a case writes it: a text, what `value_of` takes, or {made: name}."""
    if isinstance(written, dict):
        return FILES[written["made"]]()
    return str(value_of(written)).encode()


# --- models: each takes the folder of a good one ---


def _graph(*, domain: str = "", external: bool = False) -> bytes:
    weights = numpy_helper.from_array(np.ones((1, 1), dtype=np.float32), "weights")
    if external:
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value="../../etc/passwd")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"], domain=domain)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [weights],
    )
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def _document(folder: Path, name: str, **changes: Any) -> None:
    document = json.loads((folder / name).read_bytes())
    (folder / name).write_text(json.dumps(document | changes))


def _skops_of(schema_before: str, schema_after: str) -> bytes:
    matrix = np.array([[0.0], [1.0], [0.1], [0.9]])
    content = skops.io.dumps(NearestCentroid().fit(matrix, np.array([0, 1, 0, 1])))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    before = members["schema.json"]
    members["schema.json"] = before.replace(schema_before.encode(), schema_after.encode())
    assert members["schema.json"] != before
    return _zip(members)


def _as_skops(folder: Path, content: bytes) -> None:
    (folder / "model.onnx").unlink()
    (folder / "model.skops").write_bytes(content)
    numbers = [{"column": "a", "fill": 0.0, "mean": 0.0, "scale": 1.0}]
    _document(folder, "model.json", format="skops", encoding={"numbers": numbers, "texts": [], "flags": []})


def _golden_changed(folder: Path) -> None:
    document = json.loads((folder / "golden.json").read_bytes())
    text = json.dumps(document)
    swapped = text.replace('"no"', '"?"').replace('"yes"', '"no"').replace('"?"', '"yes"')
    (folder / "golden.json").write_text(swapped)


def _write(name: str, content: Callable[[], bytes]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content())

    return change


MODELS: dict[str, Callable[[Path], None]] = {
    "good": lambda folder: None,
    "pickle as model.onnx": _write("model.onnx", lambda: pickle.dumps(Payload())),
    "pickle of protocol 0 as model.onnx": _write("model.onnx", lambda: pickle.dumps(Payload(), protocol=0)),
    "pickle in gzip as model.skops": _write("model.skops", lambda: gzip.compress(pickle.dumps(Payload()), mtime=0)),
    "pickle beside": _write("model.pkl", lambda: pickle.dumps(Payload())),
    "joblib beside": _write("model.joblib", lambda: b"\x78\x9c" + bytes(40)),
    "torch beside": _write("model.pt", lambda: _zip({"archive/data.pkl": pickle.dumps(Payload())})),
    "numpy beside": _write("weights.npy", lambda: b"\x93NUMPY" + bytes(40)),
    "script beside": _write("setup.py", lambda: b"import os\n"),
    "program beside": _write("run", FILES["executable"]),
    "pickle as golden.json": _write("golden.json", lambda: pickle.dumps(Payload())),
    "pickle as model.json": _write("model.json", lambda: pickle.dumps(Payload())),
    "zip with a pickle as model.skops": _write(
        "model.skops", lambda: _zip({"schema.json": b"{}", "data.pkl": pickle.dumps(Payload())})
    ),
    "zip with a member outside as model.skops": _write(
        "model.skops", lambda: _zip({"schema.json": b"{}", "../../../etc/cron.d/x": b""})
    ),
    "zip without a schema as model.skops": _write("model.skops", lambda: _zip({"0.npy": b""})),
    "cut zip as model.skops": _write("model.skops", lambda: _skops_of('"NearestCentroid"', '"Nearest"')[:-60]),
    "skops of os": lambda folder: _as_skops(folder, _skops_of("sklearn.neighbors._nearest_centroid", "os")),
    "skops of a function": lambda folder: _as_skops(folder, _skops_of('"ObjectNode"', '"OperatorFuncNode"')),
    "skops whose schema is a list": lambda folder: _as_skops(folder, _zip({"schema.json": b"[]"})),
    "onnx with data in another file": _write("model.onnx", lambda: _graph(external=True)),
    "onnx with somebody's operator": _write("model.onnx", lambda: _graph(domain="evil.example")),
    "onnx that is none": _write("model.onnx", lambda: b"\x08not protobuf at all"),
    "onnx without a graph": _write("model.onnx", lambda: onnx.ModelProto(ir_version=8).SerializeToString()),
    "onnx of other inputs": _write("model.onnx", _graph),
    "csv as model.onnx": _write("model.onnx", lambda: GOOD.encode()),
    "no model": lambda folder: (folder / "model.onnx").unlink(),
    "no model.json": lambda folder: (folder / "model.json").unlink(),
    "no golden.json": lambda folder: (folder / "golden.json").unlink(),
    "model.json that is no JSON": _write("model.json", lambda: b"{"),
    "model.json that is a list": _write("model.json", lambda: b"[]"),
    "newer model.json": lambda folder: _document(
        folder, "model.json", formatVersion=99, libraries={"scikit-learn": "9.9"}
    ),
    "model.json with an unknown format": lambda folder: _document(folder, "model.json", format="pickle"),
    "model.json of one class": lambda folder: _document(folder, "model.json", classes=["no"]),
    "model.json with an unknown column": lambda folder: _document(
        folder, "model.json", columns=[{"name": "b", "type": "float64"}]
    ),
    "other answers": _golden_changed,
    "golden.json that is no JSON": _write("golden.json", lambda: b"{"),
    "treelite that is none": lambda folder: (
        (folder / "model.onnx").unlink(),
        (folder / "model.treelite").write_bytes(b"\x04\x00\x00\x00" + bytes(100)),
        _document(folder, "model.json", format="treelite"),
    )[0],
}
