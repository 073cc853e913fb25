"""A client that was not written here talks to what `mlops run --keep-serving` serves."""

from __future__ import annotations

import os
import signal
import subprocess
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest

from mlops.store import open_store
from tests.e2e.conftest import Undisturbed
from tests.e2e.runs import descendants, left_over, live, started
from tests.e2e.scenarios import INPUTS

with warnings.catch_warnings():
    # Its dependencies patch and warn at import; what counts is what it says on the wire.
    warnings.simplefilter("ignore")
    import tritonclient.http as triton

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def served(undisturbed: Undisturbed) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The run that goes on serving, and the address that it says."""
    with started(undisturbed.scenario.folder, undisturbed.state, "--keep-serving") as process:
        assert process.stdout is not None
        address = ""
        for line in process.stdout:
            print(line, end="")
            if line.startswith("serving parts-production at http://"):
                address = line.split()[-1].removeprefix("http://")
            if line.startswith("Ctrl-C"):
                break
        assert address
        yield process, address


@pytest.mark.parametrize("binary", [pytest.param(True, id="binary tensors"), pytest.param(False, id="json")])
@pytest.mark.parametrize("number", [1, 32])
def test_an_outside_client_gets_the_numbers_of_onnxruntime(
    undisturbed: Undisturbed, served: tuple[subprocess.Popen[str], str], number: int, binary: bool
) -> None:
    """What the Service's address answers is what the live version's model file gives, to the last bit."""
    rows = pl.read_parquet(undisturbed.scenario.folder / "data/stream.parquet").tail(number)
    tensors = []
    for name in INPUTS:
        tensors.append(triton.InferInput(name, [number, 1], "FP64"))
        tensors[-1].set_data_from_numpy(rows[name].to_numpy().reshape(-1, 1), binary_data=binary)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("prediction", "probabilities")]
    client = triton.InferenceServerClient(served[1])
    try:
        result = client.infer("parts", tensors, outputs=wanted)
    finally:
        client.close()
    want = expected(undisturbed, {name: rows[name].to_numpy().reshape(-1, 1) for name in INPUTS})
    assert np.array_equal(result.as_numpy("probabilities"), want)
    answers = [a.decode() if isinstance(a, bytes) else a for a in result.as_numpy("prediction").ravel().tolist()]
    assert answers == [("no", "yes")[index] for index in want.argmax(axis=1)]


def expected(undisturbed: Undisturbed, feeds: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The probabilities that onnxruntime gives for the live version's model file."""
    store = open_store((undisturbed.state / "store").resolve().as_uri(), os.environ)
    version = live(undisturbed.state, "parts")
    assert version["status"]["format"] == "onnx"
    session = onnxruntime.InferenceSession(store.read_file(version["status"]["artifact"], "model.onnx"))
    (name,) = (output.name for output in session.get_outputs() if "probabilities" in output.name)
    probabilities: np.ndarray[Any, Any] = session.run([name], feeds)[0].astype(np.float64)
    return probabilities


def test_ctrl_c_stops_everything_that_was_started(
    undisturbed: Undisturbed, served: tuple[subprocess.Popen[str], str]
) -> None:
    """The last test of this module: Ctrl-C ends the server with the run, and its exit code is a shell's."""
    process, _ = served
    children = descendants(process.pid)
    assert any("mlops.workloads" in child.command for child in children)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert left_over(undisturbed.state, children) == set()
