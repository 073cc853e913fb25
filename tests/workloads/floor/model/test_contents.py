"""What may not be opened is not opened: pickles under any name, foreign graphs, untrusted types."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import skops.io
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline

from mlops.workloads.floor.model.contents import check_contents
from mlops.workloads.floor.model.onnx_engine import check_onnx
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import (
    Encoding,
    EstimatorOf,
    Input,
    LabelColumn,
    ModelColumn,
    NumberEncoding,
    Signature,
    write_signature,
)
from mlops.workloads.floor.model.skops_file import dump_estimator, load_estimator
from mlops.workloads.floor.pod import BadInput


class Payload:
    """Opening its pickle would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[Path, str], int], tuple[Path, str]]:
        return (Path.write_text, (self.target, "executed"))


def a_signature(**changes: object) -> Signature:
    """A classifier of two numbers."""
    values = {
        "task": "classification",
        "format": "skops",
        "inputs": (Input(name="a", type="float64"), Input(name="b", type="float64")),
        "columns": (ModelColumn(name="a", type="float64"), ModelColumn(name="b", type="float64")),
        "label": LabelColumn(name="y", type="string"),
        "classes": ("no", "yes"),
        "estimator": EstimatorOf(name="NearestCentroid"),
        "encoding": Encoding(numbers=(NumberEncoding(column="a", fill=0.0), NumberEncoding(column="b", fill=0.0))),
        "tolerance": "1e-9",
    }
    return Signature.model_validate(values | changes)


def fitted(estimator: object = None) -> object:
    """An estimator of two numbers."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(50, 2))
    return (estimator or NearestCentroid()).fit(matrix, (matrix[:, 0] > 0).astype(int))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", ["model.onnx", "model.skops", "model.treelite", "model.json", "golden.json", "extra.bin"]
)
@pytest.mark.parametrize(
    "pack",
    [
        *(pytest.param(lambda data: data, id="plain"),),
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(bz2.compress, id="bz2"),
        pytest.param(zlib.compress, id="zlib"),
        pytest.param(lzma.compress, id="xz"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_under_any_name_is_refused_and_not_executed(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes], protocol: int
) -> None:
    """Neither the name nor a compression around it makes it a model."""
    target = tmp_path / "executed"
    folder = tmp_path / "model"
    folder.mkdir()
    write_signature(a_signature(), folder)
    (folder / name).write_bytes(pack(pickle.dumps(Payload(target), protocol=protocol)))
    with pytest.raises(BadInput) as info:
        Predictor.load(folder)
    assert info.value.reason == "FormatForbidden"
    assert name in info.value.message
    assert not target.exists()


def test_a_link_in_a_model_is_refused(tmp_path: Path) -> None:
    """An artifact holds plain files."""
    (tmp_path / "model.onnx").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match=r"model\.onnx: a link"):
        check_contents(tmp_path)


def test_a_zip_with_a_pickle_inside_is_no_skops_file(tmp_path: Path) -> None:
    """Such as PyTorch writes."""
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", "{}")
        archive.writestr("data.pkl", pickle.dumps(1))
    with pytest.raises(BadInput, match=r"holds 'data\.pkl'") as info:
        check_contents(tmp_path)
    assert info.value.reason == "FormatForbidden"


def _renamed(content: bytes, before: str, after: str) -> bytes:
    """Return a skops file with another type in its schema."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(packed, "w") as target:
        for member in source.namelist():
            data = source.read(member)
            target.writestr(member, data.replace(before.encode(), after.encode()) if member == "schema.json" else data)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(
            _renamed(skops.io.dumps(fitted()), "sklearn.neighbors._nearest_centroid", "os"),
            "os.NearestCentroid",
            id="module",
        ),
        pytest.param(
            _renamed(skops.io.dumps(fitted()), '"ObjectNode"', '"OperatorFuncNode"'), "OperatorFuncNode", id="loader"
        ),
        pytest.param(
            skops.io.dumps(Pipeline([("only", fitted(LogisticRegression()))])),
            "sklearn.pipeline.Pipeline",
            id="other class",
        ),
        pytest.param(skops.io.dumps(np.sum), "numpy", id="function"),
    ],
)
def test_a_type_that_is_not_on_the_list_is_not_constructed(content: bytes, want: str) -> None:
    """skops trusts every class of scikit-learn by default; this list is shorter, and fixed."""
    with pytest.raises(BadInput, match=want) as info:
        load_estimator(content)
    assert info.value.reason == "UntrustedType"


def test_canonical_skops_is_equal_for_equal_estimators_and_loads() -> None:
    """skops' own bytes are not: they carry memory addresses and the time."""
    one, other = fitted(), fitted()
    assert skops.io.dumps(one) != skops.io.dumps(other)
    assert dump_estimator(one) == dump_estimator(other)
    loaded = load_estimator(dump_estimator(one))
    probe = np.array([[1.0, 2.0], [-1.0, 0.5]])
    assert np.array_equal(loaded.predict(probe), one.predict(probe))  # type: ignore[attr-defined]
    assert dump_estimator(loaded) == dump_estimator(one)


def _graph(*, domain: str = "", external: bool = False) -> bytes:
    weights = numpy_helper.from_array(np.ones((2, 1), dtype=np.float32), "weights")
    if external:
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value="../../etc/passwd")
    node = helper.make_node("MatMul", ["x", "weights"], ["y"], domain=domain)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [weights],
    )
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(
            _graph(external=True),
            r"the tensor 'weights' lies in another file \('\.\./\.\./etc/passwd'\)",
            id="external",
        ),
        pytest.param(
            _graph(domain="evil.example"), "operators of the domain 'evil.example' are not allowed", id="custom op"
        ),
        pytest.param(b"\x08not protobuf at all", "is not ONNX", id="no protobuf"),
        pytest.param(onnx.ModelProto(ir_version=8).SerializeToString(), "it has no graph", id="empty"),
    ],
)
def test_a_graph_that_is_not_self_contained_standard_onnx_is_refused(content: bytes, want: str) -> None:
    """External data could name any file of the pod; a custom operator is somebody's code."""
    with pytest.raises(BadInput, match=want) as info:
        check_onnx(content)
    assert info.value.reason == "FormatForbidden"


def test_a_newer_format_is_incompatible_and_names_the_versions(tmp_path: Path) -> None:
    """An old image must not guess."""
    write_signature(a_signature(libraries={"scikit-learn": "9.9"}), tmp_path)
    document = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(document | {"formatVersion": 99, "new": 1}))
    with pytest.raises(BadInput, match=r"formatVersion 99 is newer than 1.*scikit-learn.*9\.9") as info:
        Predictor.load(tmp_path)
    assert info.value.reason == "Incompatible"
