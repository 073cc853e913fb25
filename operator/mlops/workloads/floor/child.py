"""The child: `python -P -m mlops.workloads.floor.child`. It opens what it is told to, and holds no key to lose."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mlops.workloads.floor.isolation.answering import Answer, Work, answer_questions
from mlops.workloads.floor.isolation.parent import Arrays

_opened: dict[str, Any] = {}


def _describe(document: dict[str, Any], _: Arrays) -> Answer:
    """Outputs of a bare ONNX graph."""
    from mlops.workloads.floor.model.onnx_engine import check_onnx, open_session

    content = Path(document["path"]).read_bytes()
    check_onnx(content)
    session = open_session(content)

    outputs = session.get_outputs()
    return {"outputs": [{"name": one.name, "type": one.type, "shape": list(one.shape)} for one in outputs]}, {}


def _open(document: dict[str, Any], _: Arrays) -> Answer:
    """Load a model; later questions are about it."""
    from mlops.workloads.floor.model.predictor import Predictor

    _opened["predictor"] = Predictor.load(Path(document["folder"]))
    return {}, {}


def _predict(_: dict[str, Any], inputs: Arrays) -> Answer:
    import numpy as np

    answer = _opened["predictor"].answer(inputs)
    arrays = {"values": np.asarray(answer.values)}
    if answer.probabilities is not None:
        arrays["probabilities"] = np.asarray(answer.probabilities)
    return {}, arrays


def _check(document: dict[str, Any], _: Arrays) -> Answer:
    """Load a model and hold it against its recorded answers."""
    from mlops.workloads.floor.model.opening import largest_difference, open_checked

    loaded = _opened["loaded"] = open_checked(Path(document["folder"]))
    return {
        "golden_rows": int(loaded.golden.recorded.prediction.shape[0]),
        "max_difference": f"{largest_difference(loaded):.3g}",
        "format": loaded.predictor.signature.format,
    }, {}


def _measure(document: dict[str, Any], _: Arrays) -> Answer:
    """Measure one-row predictions of the model that was checked."""
    from mlops.workloads.floor.model.latency import p99_seconds

    return {"seconds": float(p99_seconds(_opened["loaded"], document["limit"]))}, {}


def _recalibrate(document: dict[str, Any], _: Arrays) -> Answer:
    """Put a map of its answers behind an ONNX graph; the graph comes back as bytes."""
    import numpy as np

    from mlops.workloads.floor.model.onnx_map import graph_with_map

    content, names = graph_with_map(
        Path(document["path"]).read_bytes(),
        document["output"],
        document["classes"],
        document["slope"],
        document["bias"],
    )
    # Frames have no bytes: eight of them are a number, and the last may be too many.
    whole = np.frombuffer(content + b"\0" * (-len(content) % 8), dtype="<i8")
    return {**names, "bytes": len(content)}, {"graph": whole}


def _parquet(document: dict[str, Any], _: Arrays) -> Answer:
    """Read columns of a Parquet file to its end."""
    from mlops.workloads.floor.parquet_reading import read_through

    read_through(Path(document["path"]), document["name"], document["columns"])
    return {}, {}


def _arrow(document: dict[str, Any], _: Arrays) -> Answer:
    """Read columns of an Arrow file or stream to its end."""
    from mlops.workloads.floor.arrow_reading import read_arrow_through

    read_arrow_through(Path(document["path"]), document["name"], document["columns"])
    return {}, {}


def _excel(document: dict[str, Any], _: Arrays) -> Answer:
    """Read a sheet of a workbook to its end."""
    from mlops.api.file_formats import Excel
    from mlops.workloads.floor.workbook import read_sheet_through

    read_sheet_through(Path(document["path"]), document["name"], Excel.model_validate(document["where"]))
    return {}, {}


# All that a child can be asked: nothing is imported, and nothing called, by a name that comes from data.
_WORK: Final[Mapping[str, Work]] = {
    "describe": _describe,
    "open": _open,
    "predict": _predict,
    "check": _check,
    "measure": _measure,
    "recalibrate": _recalibrate,
    "parquet": _parquet,
    "arrow": _arrow,
    "excel": _excel,
}


if __name__ == "__main__":
    sys.exit(answer_questions(_WORK))
