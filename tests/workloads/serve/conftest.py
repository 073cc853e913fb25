"""One running server for the tests that only ask it something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workloads.serve.models import write_model
from tests.workloads.serve.rpc import Both, serving_both
from tests.workloads.serve.servers import Served, artifact_of, serving, task_of

SMALL = {"MLOPS_MAX_BODY_BYTES": "200000", "MLOPS_MAX_BATCH_ROWS": "1000", "MLOPS_REQUEST_SECONDS": "2"}


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier of text classes."""
    return write_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="package")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with small limits, so that they can be reached."""
    folder = tmp_path_factory.mktemp("server")
    store = folder / "store"
    with serving(folder, store, task_of(artifact_of(store, model)), **SMALL) as served:
        yield served


@pytest.fixture(scope="package")
def both(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A server that speaks gRPC too, with the same limits."""
    folder = tmp_path_factory.mktemp("both")
    store = folder / "store"
    with serving_both(folder, store, task_of(artifact_of(store, model)), **SMALL) as served:
        yield served


@pytest.fixture
def stub(both: Both) -> Iterator[Any]:
    """A client that sends messages as they are."""
    with both.stub() as stub:
        yield stub
