"""The whole operator side on one machine: real planners, real processes, and pods that only say what they would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops.local.clock import RealClock
from mlops.local.errors import LocalError, NotSettled
from mlops.local.runtime import LocalRuntime
from mlops.planning.plan import Key, Manifest, Settings
from tests.engine.objects import DIGEST, a_dataset
from tests.local.world import START, a_job, a_runtime, make

# In place of mlops.workloads: an ingest that found ten rows.
REPORT = {
    "report": "ingest",
    "digest": DIGEST,
    "artifact": DIGEST,
    "schemaDigest": DIGEST,
    "rows": 10,
    "bytes": 100,
    "splits": {"train": 6, "validation": 2, "test": 2},
    "validation": {"passed": 1, "failed": 0},
    "asOf": "2026-03-01T12:00:00Z",
}
PROGRAM = f"import os; open(os.environ['MLOPS_TERMINATION_LOG'], 'w').write({json.dumps(json.dumps(REPORT))})"


def a_stand_in(folder: Path) -> dict[str, str]:
    """Return an environment in which `python -m mlops.workloads` is the stand-in."""
    package = folder / "mlops" / "workloads"
    package.mkdir(parents=True)
    (folder / "mlops" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PROGRAM)
    return {"PYTHONPATH": str(folder)}


def ready(manifest: Manifest | None) -> str:
    conditions = (manifest or {}).get("status", {}).get("conditions", ())
    return next((c["status"] for c in conditions if c["type"] == "Ready"), "")


async def test_a_dataset_becomes_ready_and_a_second_run_writes_nothing(tmp_path: Path) -> None:
    """Planned, run as a process, reported back, and settled: the second start finds nothing to do."""
    rain, state = Key("Dataset", "default", "rain"), tmp_path / "state"
    environment = a_stand_in(tmp_path / "code")
    for _ in range(2):
        async with LocalRuntime(state, settings=Settings(), clock=RealClock(), environment=environment) as runtime:
            before = runtime.get(rain)
            runtime.apply(a_dataset())
            await runtime.settled(30)
            after = runtime.get(rain)
            assert ready(after) == "True"
            assert after is not None
            assert after["status"]["version"] == 1
            assert before in (None, after)
            assert len(runtime.list("Job")) == 1
            assert runtime.list("Event")


async def test_what_does_not_come_to_rest_is_named(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, a_job("endless", "sleep 300"))
        with pytest.raises(NotSettled, match="Job endless"):
            await runtime.settled(0.2)


async def test_the_real_clock_cannot_be_moved(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        with pytest.raises(LocalError, match="virtual"):
            await runtime.advance(START)
