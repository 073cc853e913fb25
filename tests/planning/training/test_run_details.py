"""What a run pins, hands to its pod and records, field by field, and what it says at its end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mlops.api import labels
from mlops.api.conditions import find
from mlops.api.training_run import TrainingRun
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest
from mlops.planning.training.manifests import training_job_name
from mlops.planning.training.registering import free_number
from mlops.planning.training.run import plan
from mlops.planning.views import JobView, TrainingRunView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_live_version,
    a_run,
    a_train_report,
    a_version,
    a_versioned_dataset,
    digest,
    failed,
    finished,
    merged,
    running,
    with_status,
)

SEARCH = {"objective": {"metric": "roc_auc"}, "parameters": [{"name": "C", "values": ["0.1", "1"]}]}


def a_view(run: TrainingRun | None = None, **changes: Any) -> TrainingRunView:
    return TrainingRunView(NOW, SETTINGS, run or a_run(), **{"dataset": a_versioned_dataset(), **changes})


def after(view: TrainingRunView, *jobs: JobView, **changes: Any) -> TrainingRunView:
    view = replace(view, jobs=jobs or view.jobs, **changes)
    return replace(view, run=with_status(view.run, plan(view).statuses[key_of(view.run)].dump()))


def the_job(view: TrainingRunView) -> Manifest:
    [job] = plan(view).create
    return job


def trained(run: TrainingRun | None = None, report: Any = None, **changes: Any) -> TrainingRunView:
    view = after(a_view(run, **changes))
    return after(after(view, finished(the_job(view), report or a_train_report())))


def said(view: TrainingRunView, type_: str = "Ready") -> tuple[str, str, str]:
    found = find(view.run.status.conditions, type_)
    assert found is not None
    return found.status, found.reason, found.message


def test_a_champion_is_pinned_when_a_gate_compares_with_it_only() -> None:
    """Else another champion would be other inputs for nothing."""

    def pinned(**spec: Any) -> str | None:
        view = after(a_view(a_run(spec=spec), versions=(a_live_version(),)))
        assert view.run.status.resolved is not None
        return view.run.status.resolved.champion_version

    assert pinned() == "rain-v1"
    assert pinned(gates=[{"metric": "roc_auc", "min": "0.1"}]) is None


def test_the_search_reaches_the_pod_and_what_it_found_the_status() -> None:
    """With the number of trials."""
    run = a_run(spec={"search": SEARCH})
    [*_, container] = the_job(after(a_view(run)))["spec"]["template"]["spec"]["containers"]
    task = json.loads(next(each["value"] for each in container["env"] if each["name"] == "MLOPS_TASK"))
    assert [each["name"] for each in task["search"]["parameters"]] == ["C"]
    status = trained(run, a_train_report(best_params={"C": "1"}, trials=2)).run.status
    assert (status.best_params, status.trials) == ({"C": "1"}, 2)


def test_a_run_that_registers_nothing_is_done_when_its_gates_hold() -> None:
    """Ready says so, with the figures of the gates."""
    run = a_run(spec={"register": None, "gates": [{"metric": "roc_auc", "min": "0.8"}]})
    view = trained(run)
    assert said(view) == ("True", "Succeeded", "roc_auc on test: 0.8312 >= 0.8")
    assert plan(view).create == ()


def test_a_lost_attempt_says_why_and_that_another_follows() -> None:
    """In its condition and in Ready."""
    view = after(a_view())
    view = after(view, failed(the_job(view), "StoreUnavailable", message="503", exit_code=1))
    for type_ in ("Ready", "Succeeded"):
        status, reason, message = said(view, type_)
        assert (status, reason) == ("False" if type_ == "Ready" else "Unknown", "StoreUnavailable")
        assert "503" in message
        assert "attempt 2 follows" in message


def twice(second: Any) -> TrainingRunView:
    """Return the view of a run that was proven, its second execution with this report."""
    view = after(a_view(a_run(spec={"reproducibility": {"verify": "Once"}})))
    first = finished(the_job(view), a_train_report(files={"a" * 300: "1"}))
    view = after(view, first)
    return after(after(view, first, finished(the_job(view), second)))


@pytest.mark.parametrize(
    ("files", "where"),
    [
        pytest.param({"a" * 300: "2"}, "; the first file that differs: " + "a" * 256, id="a file"),
        pytest.param({"a" * 300: "1"}, "", id="no file is known to"),
    ],
)
def test_another_model_of_the_same_inputs_is_told_with_the_file_that_differs(files: dict[str, str], where: str) -> None:
    """As far as it is known, and as long as a status may be."""
    view = twice(a_train_report("b", files=files))
    message = f"a second execution on the same inputs gave another model{where}"
    assert said(view) == ("False", "NotReproducible", message)
    assert said(view, "Reproducible") == ("False", "NotReproducible", message)


def test_the_next_free_number_is_the_first_after_all_that_are_taken_or_spoken_for() -> None:
    """By versions, and by other runs of the same model."""
    taken = a_view(versions=(a_version(1), a_version(3)))
    assert free_number(taken) == 4
    speaks = a_run(metadata={"name": "rain-2"}, status={"modelVersionRef": "rain-v4"})
    assert free_number(replace(taken, siblings=(speaks,))) == 5
    other = a_run(
        metadata={"name": "o"}, spec={"register": {"modelName": "other"}}, status={"modelVersionRef": "rain-v4"}
    )
    assert free_number(replace(taken, siblings=(other,))) == 4
    assert free_number(a_view()) == 1


@pytest.mark.parametrize("kind", ["DriftMonitor", "DatasetVersion", "TemplateChange"])
def test_what_somebody_withdrew_is_not_put_back_by_the_loop(kind: str) -> None:
    """A person's run may do that. The newest of the withdrawn ones is named."""
    run = a_run(metadata={"annotations": {labels.TRIGGER: json.dumps({"kind": kind})}})
    withdrawn = {"spec": {"withdrawn": True, "artifact": {"digest": digest("f")}}}
    view = trained(run, versions=(a_version(1, **withdrawn), a_version(2, **withdrawn)))
    if kind == "TemplateChange":
        assert view.run.status.model_version_ref == "rain-v3"
        return
    message = f"ModelVersion rain-v2 is withdrawn, byte for byte ({digest('f')}): no version is made"
    assert said(view) == ("True", "NothingNew", message)


def asked(view: TrainingRunView) -> TrainingRunView:
    changed = merged(view.run.dump(), {"metadata": {"annotations": {labels.RETRY: "now"}}})
    return replace(view, run=TrainingRun.model_validate(changed))


def test_a_retry_of_a_failed_run_is_another_attempt_at_once() -> None:
    """On the inputs that it is pinned to; what the last one said does not make it wait."""
    view = after(a_view())
    name = the_job(view)["metadata"]["name"]
    view = asked(after(after(view, failed(the_job(view), "OOMKilled", message="too big"))))
    job = the_job(view)
    assert job["metadata"]["name"] == training_job_name(
        view.run, str(view.run.status.inputs_digest), 1, verifying=False
    )
    assert job["metadata"]["name"] != name
    then = after(view)
    assert (then.run.status.attempts, then.run.status.retried) == (1, "now")
    assert said(then)[:2] == ("Unknown", "Running")


def test_a_retry_of_a_run_at_work_changes_nothing_but_the_record() -> None:
    """Also at its second attempt."""
    status = {"attempts": 1}
    view = after(a_view())
    view = replace(view, run=with_status(view.run, merged(view.run.status.dump(), status)))
    job = running(the_job(view))
    then = after(asked(replace(view, jobs=(job,))))
    assert (then.run.status.attempts, then.run.status.retried) == (1, "now")
    assert [each["metadata"]["name"] for each in plan(then).create] in ([], [job.name])


def test_a_retry_of_a_run_that_waits_for_its_data_is_on_record() -> None:
    """It was pinned to nothing yet, so no attempt of it is counted."""
    missing = a_run(
        metadata={"annotations": {labels.RETRY: "now"}},
        status={
            "conditions": [a_condition("Stalled", "True", "OOMKilled"), a_condition("Ready", "False", "OOMKilled")]
        },
    )
    then = after(a_view(missing, dataset=None))
    assert (then.run.status.attempts, then.run.status.retried) == (0, "now")


def test_a_retry_ends_the_wait_for_the_next_attempt() -> None:
    """What the last one said makes a run wait; a person says that it need not."""
    view = after(a_view())
    waits = after(
        view, failed(the_job(view), "StoreUnavailable", message="503", exit_code=1, at="2026-01-10T12:00:00Z")
    )
    assert plan(waits).create == ()
    inputs = str(waits.run.status.inputs_digest)
    assert the_job(asked(waits))["metadata"]["name"] == training_job_name(waits.run, inputs, 1, verifying=False)


def test_suspending_stops_the_attempt_that_is_at_work() -> None:
    """The second one, too."""
    view = after(a_view())
    view = replace(view, run=with_status(view.run, merged(view.run.status.dump(), {"attempts": 1})))
    job = running(the_job(view))
    rests = TrainingRun.model_validate(merged(view.run.dump(), {"spec": {"suspend": True}}))
    assert [key.name for key, _ in plan(replace(view, run=rests, jobs=(job,))).delete] == [job.name]
