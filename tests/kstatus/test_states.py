"""Whoever waits for an object by kstatus (Flux, kpt, Config Sync, Argo CD's scripts) comes to the right verdict."""

from __future__ import annotations

import pytest

from mlops.api.conditions import READY, RECONCILING, STALLED
from tests.kstatus.states import State, all_states, all_verdicts, judged

pytestmark = [pytest.mark.thorough, pytest.mark.slow]


def wanted(state: State) -> str:
    """Return what a user expects of a tool that waits for the object."""
    if "deletionTimestamp" in state.manifest["metadata"]:
        return "Terminating"
    if not state.is_seen:
        return "InProgress"
    if state.says(STALLED)[0] == "True":
        return "Failed"
    return "Current" if state.says(READY)[0] == "True" else "InProgress"


def test_every_state_has_the_verdict_that_a_user_expects() -> None:
    """Ready is Current, Stalled is Failed, all else is InProgress; and nothing before the newest edit was seen."""
    wrong = [
        f"{got}, wanted is {wanted(state)}: {state}"
        for state, got in zip(all_states(), all_verdicts(), strict=True)
        if got != wanted(state)
    ]
    assert not wrong, "\n".join(wrong[:3])
    assert len(all_states()) > 300
    assert {state.kind for state in all_states()} == {"Dataset", "TrainingRun", "ModelVersion", "DriftMonitor"}


def test_upstream_and_flux_agree() -> None:
    """What Kubernetes' cli-utils says of a state, Flux's fork says too."""
    for state, each in zip(all_states(), judged([state.manifest for state in all_states()]), strict=True):
        assert each["flux"] == each["upstream"], state


def test_no_conditions_contradict_each_other() -> None:
    """Ready=True stands alone; work and failure exclude each other; the three are about the spec that was seen."""
    for state in all_states():
        if not state.status.get("conditions"):
            assert state.status["observedGeneration"] == -1, state
            continue
        ready, reconciling, stalled = (state.says(type_)[0] for type_ in (READY, RECONCILING, STALLED))
        assert ready in ("True", "False", "Unknown"), state
        assert {reconciling, stalled} <= {"True", None}, (
            f"abnormal-true conditions are there only when they hold: {state}"
        )
        assert (ready, reconciling, stalled).count("True") <= 1, state
        assert stalled is None or ready == "False", state
        for each in state.status["conditions"]:
            # What was found out about an earlier spec may stay, marked as such.
            earlier = each["observedGeneration"] < state.status["observedGeneration"]
            assert not earlier or each["type"] not in (READY, RECONCILING, STALLED), state
        assert all(each["lastTransitionTime"] and each["reason"] for each in state.status["conditions"]), state
        types = [each["type"] for each in state.status["conditions"]]
        assert len(types) == len(set(types)), state


# What is said of an object, and what the person who waits for it should be told.
CLAIMS = [
    ("Dataset", "Versioned", "True", "Current"),
    ("Dataset", "Unchanged", "True", "Current"),
    ("Dataset", "Ingesting", "Unknown", "InProgress"),
    ("Dataset", "Ingesting", "True", "Current"),  # a refresh takes nothing away
    ("Dataset", "Rejected", "False", "Failed"),
    ("Dataset", "StoreUnavailable", "False", "InProgress"),  # tried again
    ("Dataset", "Suspended", "Unknown", "InProgress"),  # there is no version
    ("TrainingRun", "DatasetNotFound", "False", "InProgress"),  # heals when it appears
    ("TrainingRun", "Running", "Unknown", "InProgress"),
    ("TrainingRun", "GatesPassed", "Unknown", "InProgress"),  # the version is being made
    ("TrainingRun", "Succeeded", "True", "Current"),
    ("TrainingRun", "GatesFailed", "False", "Failed"),
    ("TrainingRun", "NotReproducible", "False", "Failed"),
    ("TrainingRun", "Suspended", "Unknown", "InProgress"),  # a run that is suspended has not run, as with a Job
    ("TrainingRun", "Suspended", "True", "Current"),  # a template that is suspended is as wanted, as with a CronJob
    ("TrainingRun", "Template", "True", "Current"),
    ("TrainingRun", "RunPending", "Unknown", "InProgress"),
    ("ModelVersion", "TrainingRunNotFound", "False", "InProgress"),
    ("ModelVersion", "Verifying", "Unknown", "InProgress"),
    ("ModelVersion", "Progressing", "Unknown", "InProgress"),
    ("ModelVersion", "Serving", "True", "Current"),
    ("ModelVersion", "Superseded", "True", "Current"),  # an old version in Git is no trouble
    ("ModelVersion", "Withdrawn", "True", "Current"),  # the rollback is done
    ("ModelVersion", "GatesFailed", "False", "Failed"),
    ("ModelVersion", "ServingFailed", "False", "Failed"),
    ("ModelVersion", "VersionConflict", "False", "Failed"),
    ("DriftMonitor", "TargetNotLive", "False", "InProgress"),
    ("DriftMonitor", "NotATemplate", "False", "InProgress"),
    ("DriftMonitor", "WaitingForFirstCheck", "True", "Current"),  # nobody waits for a night to pass
    ("DriftMonitor", "Checked", "True", "Current"),  # also when it found drift: the monitor works
    ("DriftMonitor", "Suspended", "True", "Current"),
    *(
        (kind, reason, "False", "Failed")
        for kind in ("Dataset", "TrainingRun", "ModelVersion", "DriftMonitor")
        for reason in ("NameTaken", "InvalidSpec", "ChildRefused")
    ),
]


@pytest.mark.parametrize(
    ("kind", "reason", "ready", "verdict"), [pytest.param(*claim, id="-".join(claim)) for claim in CLAIMS]
)
def test_a_reason_means_what_the_pages_say(kind: str, reason: str, ready: str, verdict: str) -> None:
    """Each of these was come through, and always had this verdict."""
    got = {
        found
        for state, found in zip(all_states(), all_verdicts(), strict=True)
        if state.kind == kind
        and state.says(READY) == (ready, reason)
        and state.is_seen
        and "deletionTimestamp" not in state.manifest["metadata"]
    }
    assert got == {verdict}


def test_an_object_that_nobody_has_looked_at_is_not_finished() -> None:
    """Just applied, the operator away: kstatus alone would take an object without a status for current."""
    new = [state for state in all_states() if state.status == {"observedGeneration": -1}]
    assert {state.kind for state in new} == {"Dataset", "TrainingRun", "ModelVersion", "DriftMonitor"}
    assert {each["upstream"]["status"] for each in judged([state.manifest for state in new[:8]])} <= {
        "InProgress",
        "Terminating",
    }
    without = {key: value for key, value in new[0].manifest.items() if key != "status"}
    [verdict] = judged([without])
    assert verdict["upstream"]["status"] == "Current", "if kstatus has changed its mind, the default can go"
