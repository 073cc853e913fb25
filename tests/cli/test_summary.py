"""What `mlops run` says at its end."""

from __future__ import annotations

from typing import Any

from mlops.cli.plan.rehearsal import Rehearsed
from mlops.cli.plan.steps import Steps
from mlops.cli.summary import summary, troubles
from mlops.planning.plan import Key

APPLIED = [("TrainingRun", "default", "rain")]


def an_object(kind: str, name: str, status: str, reason: str, **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": status, "reason": reason, "message": "why"}]
    metadata = {"name": name, "namespace": "default", "uid": name}
    return {"kind": kind, "metadata": metadata, "spec": spec, "status": {"conditions": conditions}}


def test_a_refused_challenger_is_told_apart_from_what_is_wrong() -> None:
    """The gate did its work: nobody has to mend anything."""
    objects = [
        an_object("TrainingRun", "rain", "True", "Template", register={"modelName": "rain"}),
        an_object("TrainingRun", "rain-retrain-1", "False", "GatesFailed"),
        an_object("Dataset", "other", "False", "SourceNotFound"),
        an_object("ModelVersion", "rain-v1", "True", "Serving", modelName="rain", version=1),
    ]
    assert troubles(objects, APPLIED) == []
    text = summary(objects, [])
    refused, others = text.split("Refused by their gates:\n")[1].split("Not ready, and not what this run was for:\n")
    assert "rain-retrain-1" in refused
    assert "other" in others


def test_a_template_without_a_model_is_a_trouble_and_so_is_the_run_that_failed() -> None:
    """A first run that its gate refused leaves nothing to serve."""
    template = an_object("TrainingRun", "rain", "True", "Template", register={"modelName": "rain"})
    run = an_object("TrainingRun", "rain-1", "False", "GatesFailed")
    run["metadata"]["ownerReferences"] = [{"kind": "TrainingRun", "name": "rain", "uid": "rain"}]
    found = troubles([template, run], APPLIED)
    assert run in found
    assert "Not ready:\n" in summary([template, run], found)


def test_a_version_is_said_to_come_of_what_the_monitor_did() -> None:
    """A map of its scores is no training, whatever the template is called."""
    names = ("re-rebuild-x-recalibrate-202403040000", "rain-rebuild-202403040000", "rain-retrain-20240304000030")
    objects = []
    for number, name in enumerate(names, start=1):
        run = an_object("TrainingRun", name, "True", "Succeeded")
        run["metadata"]["labels"] = {"mlops.dev/monitor": "watch"}
        objects += [run, an_object("ModelVersion", f"rain-v{number}", "True", "Serving", lineage={"trainingRun": name})]
    lines = summary(objects, []).splitlines()
    told = {line.split()[0]: line for line in lines if line.startswith("rain-v")}
    assert [told[f"rain-v{number}"].rpartition("monitor watch: ")[2] for number in (1, 2, 3)] == [
        "recalibrate",
        "rebuild",
        "retrain",
    ]


def a_tried_version(healthy: str) -> dict[str, Any]:
    """Return a version that answers a tenth of the requests beside the one that serves."""
    version = an_object("ModelVersion", "rain-v2", "Unknown", "CanaryRunning", modelName="rain", version=2)
    version["status"]["conditions"].append({"type": "CanaryHealthy", "status": healthy, "reason": "CanaryRunning"})
    version["status"]["canary"] = {"stage": "production", "weight": 10}
    return version


def test_a_canary_that_goes_on_is_told_with_its_share() -> None:
    """`mlops run` ends while it lasts, and says what becomes of it; one that has failed has nothing to go on with."""
    text = summary([a_tried_version("True")], [])
    assert "production 10 %" in text
    assert "ModelVersion rain-v2: its canary goes on with the next mlops run" in text
    failed = summary([a_tried_version("False")], [])
    assert "10 %" not in failed
    assert "goes on" not in failed


def test_a_plan_shows_a_canary_that_goes_on() -> None:
    objects = {Key("ModelVersion", "default", "rain-v2"): a_tried_version("True")}
    rehearsed = Rehearsed(objects, objects, {})
    (step,) = Steps(rehearsed, rehearsed, {}).all([])
    assert (step.action, step.name, step.because, step.is_work) == ("try", "rain-v2", "why", True)
