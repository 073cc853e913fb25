"""The child: opens what it is told to, answers in frames, and holds no key that it could lose."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from mlops.workloads.floor.isolation import limits
from mlops.workloads.floor.isolation.frames import read_frame, write_frame
from mlops.workloads.floor.isolation.parent import Arrays
from mlops.workloads.floor.pod import BadInput

MAX_QUESTION_BYTES: Final = 64 << 30
Answer = tuple[dict[str, Any], Arrays]
_opened: dict[str, Any] = {}
_OUT_OF_MEMORY: Final = re.compile(r"\bbad[_ ]alloc\b|allocate memory|memory allocation", re.IGNORECASE)


def _describe(document: dict[str, Any], _: Arrays) -> Answer:
    """Inputs and outputs of a bare ONNX graph."""
    from mlops.workloads.floor.model.onnx_engine import check_onnx, open_session

    content = Path(document["path"]).read_bytes()
    check_onnx(content)
    session = open_session(content)

    def shown(ports: list[Any]) -> list[dict[str, Any]]:
        return [{"name": one.name, "type": one.type, "shape": list(one.shape)} for one in ports]

    return {"inputs": shown(session.get_inputs()), "outputs": shown(session.get_outputs())}, {}


def _open(document: dict[str, Any], _: Arrays) -> Answer:
    """Load a model; later questions are about it."""
    from mlops.workloads.floor.model.predictor import Predictor

    _opened["predictor"] = Predictor.load(Path(document["folder"]))
    return {}, {}


def _predict(_: dict[str, Any], inputs: Arrays) -> Answer:
    answer = _opened["predictor"].answer(inputs)
    arrays = {"values": np.asarray(answer.values)}
    if answer.probabilities is not None:
        arrays["probabilities"] = np.asarray(answer.probabilities)
    return {}, arrays


def _check(document: dict[str, Any], _: Arrays) -> Answer:
    """Load a model and hold it against its recorded answers."""
    from mlops.workloads.serve.loading import largest_difference, open_checked

    loaded = _opened["loaded"] = open_checked(Path(document["folder"]))
    return {
        "golden_rows": int(loaded.golden.recorded.prediction.shape[0]),
        "max_difference": f"{largest_difference(loaded):.3g}",
        "format": loaded.predictor.signature.format,
    }, {}


def _measure(document: dict[str, Any], _: Arrays) -> Answer:
    """Measure one-row predictions of the model that was checked."""
    from mlops.workloads.serve.verify import p99_seconds

    return {"seconds": float(p99_seconds(_opened["loaded"], document["limit"]))}, {}


def _parquet(document: dict[str, Any], _: Arrays) -> Answer:
    """Read columns of a Parquet file to its end."""
    from mlops.workloads.ingest.columnar import read_through

    read_through(Path(document["path"]), document["name"], document["columns"])
    return {}, {}


def _arrow(document: dict[str, Any], _: Arrays) -> Answer:
    """Read columns of an Arrow file or stream to its end."""
    from mlops.workloads.ingest.arrow_ipc import read_arrow_through

    read_arrow_through(Path(document["path"]), document["name"], document["columns"])
    return {}, {}


def _excel(document: dict[str, Any], _: Arrays) -> Answer:
    """Read a sheet of a workbook to its end."""
    from mlops.api.file_formats import Excel
    from mlops.workloads.ingest.excel import read_excel_through

    read_excel_through(Path(document["path"]), document["name"], Excel.model_validate(document["where"]))
    return {}, {}


_WORK: Final[dict[str, Callable[[dict[str, Any], Arrays], Answer]]] = {
    "describe": _describe,
    "open": _open,
    "predict": _predict,
    "check": _check,
    "measure": _measure,
    "parquet": _parquet,
    "arrow": _arrow,
    "excel": _excel,
}


def main() -> int:
    """Answer until the parent says no more."""
    limits.restrict()
    ours = os.fdopen(os.dup(1), "wb")
    # What a library prints must not stand between the frames.
    os.dup2(2, 1)
    return _answer_all(sys.stdin.buffer, ours)


def _answer_all(asked: BinaryIO, answers: BinaryIO) -> int:
    while (frame := read_frame(asked, MAX_QUESTION_BYTES)) is not None:
        question, arrays = frame
        # The parent keeps the time; this is for a child whose parent is gone. Threads count each for itself.
        limits.allow(4 * question["seconds"], question["memory"])
        document, made = _done(_WORK[question["work"]], question["document"], arrays)
        write_frame(answers, document, made)
    return 0


def _done(work: Callable[[dict[str, Any], Arrays], Answer], document: dict[str, Any], arrays: Arrays) -> Answer:
    try:
        return work(document, arrays)
    except BadInput as error:
        if _is_memory(error):
            return {"fault": "memory"}, {}
        return {"fault": error.reason, "message": error.message}, {}
    except MemoryError:
        return {"fault": "memory"}, {}
    # Libraries of native code raise what is no Exception either (a panic). Here nothing is lost by calling it a reason.
    except BaseException as error:  # noqa: BLE001
        if _is_memory(error):
            return {"fault": "memory"}, {}
        problem = f"it cannot be used: {type(error).__name__}: {str(error)[:300]}"
        return {"fault": "none", "message": problem}, {}


def _is_memory(error: BaseException) -> bool:
    """Whether a library could not get memory: each says so in its own words, some in an error of another kind.

    Of an error of ours the cause is asked: its text may name a column of any name.
    """
    if isinstance(error, BadInput):
        before = error.__cause__ or error.__context__
        return before is not None and _is_memory(before)
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


if __name__ == "__main__":
    sys.exit(main())
