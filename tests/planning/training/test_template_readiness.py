"""Where a template stands, to the word: as its newest run does, and what that has made."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.api.training_run import TrainingRun
from mlops.planning.readiness import Readiness
from mlops.planning.training.template_readiness import judged
from mlops.planning.views import TrainingRunView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_live_version,
    a_run,
    a_template,
    a_version,
)

UNDER_WAY = "TrainingRun rain-1, or what it makes, is under way"
READY = a_condition("Ready", "True", "Succeeded", "model rain-v2")


def said(
    run: TrainingRun | None = None,
    *versions: Any,
    due: bool = False,
    pending: bool = False,
    last: str | None = "rain-1",
    spec: dict[str, Any] | None = None,
) -> tuple[str, str, str, bool, bool]:
    status = {"lastRun": last} if last else {}
    template = a_template(spec=spec or {}, status=status)
    view = TrainingRunView(NOW, SETTINGS, template, siblings=(run,) if run else (), versions=versions)
    found: Readiness = judged(view, template.status, due=due, pending=pending)
    return found.ready, str(found.reason), found.message, found.reconciling, found.stalled


def with_conditions(*conditions: dict[str, Any], **status: Any) -> TrainingRun:
    return a_run(status={"conditions": list(conditions), **status})


@pytest.mark.parametrize("how", [{"pending": True}, {"due": True}])
def test_a_run_that_is_to_be_made_is_named(how: dict[str, bool]) -> None:
    """While the template is suspended, with what it waits for."""
    made = "TrainingRun rain-1 is to be made"
    assert said(**how) == ("Unknown", "RunPending", made, True, False)
    assert said(spec={"suspend": True}, **how)[2] == f"{made} when spec.suspend is false"


def test_a_template_without_a_run_is_as_wanted() -> None:
    """None was made yet, or the newest was deleted, or none is to be made."""
    assert said(last=None) == ("True", "Template", "a template of runs", False, False)
    assert said() == ("True", "Template", "a template of runs; the newest run, rain-1, was deleted", False, False)
    assert said(with_conditions(READY), spec={"suspend": True}) == (
        "True",
        "Suspended",
        "spec.suspend is true: no run is made",
        False,
        False,
    )
    assert said(with_conditions(READY), due=True)[1] == "Template", "the run that is due is there"


def test_a_run_at_work_and_one_that_rests_are_told_apart() -> None:
    """A suspended run is nothing that is under way."""
    at_work = ("Unknown", "Running", UNDER_WAY, True, False)
    assert said(a_run()) == at_work
    training = a_condition("Ready", "Unknown", "Running", "training")
    assert said(with_conditions(training, a_condition("Reconciling", "True", "Running"))) == at_work
    resting = with_conditions(a_condition("Ready", "Unknown", "Suspended", "spec.suspend is true"))
    assert said(resting) == ("Unknown", "Suspended", "TrainingRun rain-1: spec.suspend is true", False, False)


def test_a_run_that_failed_is_told_with_its_words() -> None:
    """For now, for good, and both at once: what is stalled is not being worked on."""
    failed = a_condition("Ready", "False", "OOMKilled", "out of memory")
    stalled, again = a_condition("Stalled", "True", "OOMKilled"), a_condition("Reconciling", "True", "OOMKilled")
    words = "TrainingRun rain-1: out of memory"
    assert said(with_conditions(failed)) == ("False", "OOMKilled", words, False, False)
    assert said(with_conditions(failed, again)) == ("False", "OOMKilled", words, True, False)
    assert said(with_conditions(failed, stalled)) == ("False", "OOMKilled", words, False, True)
    assert said(with_conditions(failed, stalled, again)) == ("False", "OOMKilled", words, False, True)


def made(*conditions: dict[str, Any], **changes: Any) -> tuple[str, str, str, bool, bool]:
    """What a template says whose newest run made version 2 with these conditions."""
    run = with_conditions(READY, modelVersionRef="rain-v2")
    return said(run, a_live_version(1), a_version(2, status={"conditions": list(conditions)}, **changes))


def test_a_version_that_does_not_serve_is_told_with_its_words() -> None:
    """Until it has been in all of its stages."""
    assert made() == ("Unknown", "Running", UNDER_WAY, True, False)
    assert made(a_condition("Ready", "Unknown", "Progressing")) == ("Unknown", "Running", UNDER_WAY, True, False)
    refused = a_condition("Ready", "False", "GatesFailed", "too slow")
    stalled = a_condition("Stalled", "True", "GatesFailed")
    again = a_condition("Reconciling", "True", "GatesFailed")
    words = "ModelVersion rain-v2: GatesFailed: too slow"
    assert made(refused) == ("False", "NotServing", words, False, False)
    assert made(refused, again) == ("False", "NotServing", words, True, False)
    assert made(refused, stalled) == ("False", "NotServing", words, False, True)
    assert made(refused, stalled, again) == ("False", "NotServing", words, False, True)
    fine = ("True", "Template", "a template of runs; the newest run is rain-1", False, False)
    assert made(a_condition("Ready", "True", "Serving")) == fine
    assert made(refused, spec={"withdrawn": True}) == fine, "a person withdrew it"


def test_a_version_that_has_served_and_failed_since_is_told() -> None:
    """One that has served and is in trouble for now is no matter of the template."""
    run = with_conditions(READY, modelVersionRef="rain-v2")
    refused = a_condition("Ready", "False", "GatesFailed", "too slow")
    stalled = a_condition("Stalled", "True", "GatesFailed")
    served = a_live_version(2, status={"conditions": [refused]})
    assert said(run, served)[1] == "Template"
    assert said(run, a_live_version(2, status={"conditions": [refused, stalled]}))[1] == "NotServing"


def test_what_of_the_spec_has_not_reached_the_version_that_serves_is_told() -> None:
    """By field, with the way to have it now."""
    run = with_conditions(READY, modelVersionRef="rain-v1")
    fine = "a template of runs; the newest run is rain-1"
    both = {"register": {"promotion": {"stages": [{"name": "production", "replicas": 3}]}, "capture": {"percent": 5}}}
    one = {"register": {"promotion": {"stages": [{"name": "production", "replicas": 3}]}}}
    assert said(run, a_live_version())[2] == fine
    assert said(run, a_live_version(), spec=one)[2] == (
        f"{fine}; spec.register.promotion holds for the next version: edit ModelVersion rain-v1 to have it now"
    )
    assert said(run, a_live_version(), spec=both)[2] == (
        f"{fine}; spec.register.promotion and spec.register.capture holds for the next version:"
        " edit ModelVersion rain-v1 to have it now"
    )
    assert said(run, a_live_version(spec={"withdrawn": True}), spec=both)[2] == fine, "none serves"
    assert said(with_conditions(READY), a_live_version(), spec={"register": None})[2] == fine
