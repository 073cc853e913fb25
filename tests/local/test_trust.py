"""A trainer that leaves modules wherever it can write: nothing of ours imports them, on one machine either."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mlops.api.training_run import Resolved
from mlops.planning.plan import Manifest, Settings
from mlops.planning.training import manifests as training_manifests
from mlops.workloads.train import environment
from tests.local.world import a_runtime, make
from tests.planning.builders import a_container_run
from tests.workloads.train.runs import Place

pytestmark = pytest.mark.thorough

# Names that the interpreter or our program imports early, as modules and as packages.
PLANT = """
import os, pathlib, sys
text = "with open('MARKER', 'a') as log: log.write(__file__ + ' ')"
pod = pathlib.Path(os.environ["TMPDIR"]).parents[1]
own = pod / "containers" / "collect"
version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
user = pathlib.Path(os.environ["HOME"]) / ".local" / "lib" / version / "site-packages"
for folder in (own, own / "work", own / "tmp", user, *(pod / "volumes").iterdir()):
    folder.mkdir(parents=True, exist_ok=True)
for folder in [pathlib.Path.cwd(), user, *(each for each in pod.rglob("*") if each.is_dir())]:
    for name in ("json", "mlops", "sitecustomize", "usercustomize", "ctypes", "signal", "polars"):
        (folder / f"{name}.py").write_text(text)
    (folder / "pydantic").mkdir(exist_ok=True)
    (folder / "pydantic" / "__init__.py").write_text(text)
"""


def the_job(place: Place) -> Manifest:
    """Return the Job of a run of the user's own code on a stored data set."""
    dataset = place.dataset()
    run = a_container_run(
        metadata={"namespace": "default"},
        spec={
            "trainer": {
                "container": {
                    "command": ["python", "train.py"],
                    "args": [],
                }
            },
            "backoffLimit": 0,
        },
    )
    resolved = Resolved(
        dataset_version=1, dataset_digest=dataset, dataset_artifact=dataset, environment_digest=environment.digest()
    )
    settings = Settings(environment={"MLOPS_STORE": place.url})
    job = training_manifests.training_job(settings, run, resolved, dataset, 0, verifying=False)
    del job["metadata"]["ownerReferences"]
    return job


async def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, safe: bool) -> tuple[dict[str, Any], str]:
    """Run the three containers; return how `collect` ended and which planted modules ran."""
    code, marker, home = tmp_path / "code", tmp_path / "marker", tmp_path / "home"
    for folder in (code, home, tmp_path / "place"):
        folder.mkdir()
    (code / "train.py").write_text(PLANT.replace("MARKER", str(marker)))
    monkeypatch.setenv("HOME", str(home))
    # As somebody has it who works on the program: what is relative means the folder that they are in.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", "", "operator"]))
    job = the_job(Place(tmp_path / "place"))
    if not safe:
        for container in job["spec"]["template"]["spec"]["containers"]:
            container["command"].remove("-P")
            container["env"] = [each for each in container["env"] if not each["name"].startswith("PYTHON")]
    async with a_runtime(tmp_path / "state", images={"registry.example/train:1": code}) as runtime:
        make(runtime, job)
        await runtime.settled(120)
        (pod,) = runtime.list("Pod")
    (end,) = (each["state"]["terminated"] for each in pod["status"]["containerStatuses"])
    return end, marker.read_text() if marker.exists() else ""


async def test_a_module_that_a_trainer_leaves_is_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own folders, in those of `collect`, in every volume and among the user's packages."""
    end, imported = await ran(tmp_path, monkeypatch, safe=True)
    assert imported == ""
    assert end["exitCode"] == 2
    report = json.loads(end["message"])
    assert (report["reason"], "holds no model" in report["message"]) == ("OutputInvalid", True)


async def test_the_planted_modules_would_run_without_the_safe_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above plants is what an interpreter takes that looks into its folder."""
    _, imported = await ran(tmp_path, monkeypatch, safe=False)
    assert "containers/collect/work" in imported
