"""The overlays build, the API server takes every object of them, and they differ in what they say they differ in."""

from __future__ import annotations

import pytest
import yaml

from mlops.api.crd import crds
from mlops.api.kinds import parse
from tests.gitops.overlays import FOLDER, NAMES, objects_of, text_of
from tests.kstatus.kubectl import kubectl
from tests.servers.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver]


@pytest.mark.parametrize("overlay", NAMES)
def test_every_object_is_accepted(apiserver: ApiServer, overlay: str) -> None:
    """By the server, strictly: a field that it does not know is an error. And by what reads manifests without one."""
    apiserver.apply_crds(crds().values())
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"housing-{overlay}"}}
    assert apiserver.apply(namespace)[0] in (200, 201)
    options = ["--dry-run=server", "--validate=strict", "-f", "-"]
    code, printed, complaint = kubectl("apply", *options, server=apiserver, given=text_of(overlay))
    assert (code, complaint) == (0, ""), complaint
    assert printed.count("created (server dry run)") == 3
    for manifest in objects_of(overlay).values():
        assert parse(manifest).metadata.namespace == f"housing-{overlay}"


@pytest.mark.parametrize("overlay", NAMES)
def test_names_lead_somewhere(overlay: str) -> None:
    """Also where a suffix changes them: in every place that names another object."""
    built = objects_of(overlay)
    names = {kind: manifest["metadata"]["name"] for kind, manifest in built.items()}
    assert built["TrainingRun"]["spec"]["datasetRef"]["name"] == names["Dataset"]
    assert built["DriftMonitor"]["spec"]["trainingRunRef"]["name"] == names["TrainingRun"]
    model = built["TrainingRun"]["spec"]["register"]["modelName"]
    assert built["DriftMonitor"]["spec"]["targetRef"]["modelName"] == model
    stages = built["TrainingRun"]["spec"]["register"]["promotion"]["stages"]
    assert built["DriftMonitor"]["spec"]["targetRef"]["stage"] == stages[-1]["name"]
    assert {manifest["metadata"]["labels"]["environment"] for manifest in built.values()} == {overlay}


def test_the_environments_differ_where_they_should() -> None:
    """Gates, replicas, captures, schedule and guard are an environment's own; data and recipe are everybody's."""
    dev, staging, production = (objects_of(name) for name in ("dev", "staging", "production"))
    runs = [each["TrainingRun"]["spec"] for each in (dev, staging, production)]
    monitors = [each["DriftMonitor"]["spec"] for each in (dev, staging, production)]
    assert [run["gates"][0]["min"] for run in runs] == ["0.3", "0.5", "0.6"]
    assert [run["register"]["promotion"]["stages"][-1].get("replicas", 1) for run in runs] == [1, 1, 3]
    assert runs[0]["register"]["capture"] == {"percent": 10}
    assert [monitor.get("suspend", False) for monitor in monitors] == [True, False, False]
    assert len({monitor["schedule"] for monitor in monitors}) == 2
    assert len({monitor["guard"]["cooldown"] for monitor in monitors}) == 3
    assert staging["Dataset"]["spec"] == dev["Dataset"]["spec"]
    assert staging["TrainingRun"]["spec"]["trainer"] == production["TrainingRun"]["spec"]["trainer"]


def test_the_tools_look_into_folders_that_are_there() -> None:
    """The Application and the Flux Kustomization name an overlay of this repository and its namespace."""
    [application] = yaml.safe_load_all((FOLDER / "argocd" / "application.yaml").read_text())
    _, kustomization = yaml.safe_load_all((FOLDER / "flux" / "kustomization.yaml").read_text())
    root = FOLDER.parents[1]
    for path in (application["spec"]["source"]["path"], kustomization["spec"]["path"]):
        assert (root / path / "kustomization.yaml").is_file()
    assert (
        application["spec"]["destination"]["namespace"] == objects_of("production")["Dataset"]["metadata"]["namespace"]
    )
    assert kustomization["spec"]["wait"] is True
