"""Approval by people: a version enters no stage that asks for one before it has one that counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlops.api.conditions import find
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TriggerRecord
from mlops.planning import approving, model_history
from mlops.planning.history_entries import entries
from mlops.planning.history_replay import after
from mlops.planning.monitor.rollback import question
from mlops.planning.plan import Key
from mlops.planning.serving.way_back import NoWayBack, WayBack, way_back
from mlops.planning.training.children import model_version, run_of_template
from mlops.planning.views import DriftMonitorView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_live_version,
    a_monitor,
    a_run,
    a_template,
    a_version,
    digest,
    with_status,
)
from tests.planning.serving.test_model_version import pods, ready, served, stages
from tests.planning.world import World

RULE: dict[str, Any] = {"group": "ml-approvers"}
ASKS = {"stages": [{"name": "dev"}, {"name": "production", "approval": RULE}]}
BY_ALICE = {"annotations": {"mlops.dev/authors": "alice"}}


def of_alice(number: int = 1, *given: dict[str, Any], rule: dict[str, Any] = RULE, **changes: Any) -> ModelVersion:
    """Return a version of alice's whose production asks for the approval of somebody else."""
    promotion = {"stages": [{"name": "dev"}, {"name": "production", "approval": rule}]}
    spec = {"promotion": promotion, "approvals": list(given)}
    return a_version(number, spec=spec, **{"metadata": BY_ALICE, **changes})


def approval(user: str = "bob", of: str = "1", stage: str = "production", **more: str) -> dict[str, Any]:
    return {"stage": stage, "user": user, "artifact": digest(of), **more}


def a_world(*versions: ModelVersion) -> World:
    world = World(pods)
    world.settings = replace(SETTINGS, approval_policy=True)
    for version in versions:
        # One after the other: each has gone as far as it may before the next.
        world.put(version)
        world.settle()
    return world


def said(world: World, name: str, type_: str = "Approved") -> tuple[str, str, str]:
    found = find(world.get("ModelVersion", name).status.conditions, type_)
    assert found is not None
    return found.status, found.reason, found.message


def test_a_version_waits_where_people_are_asked_and_says_for_whom() -> None:
    """It serves before that stage; who is wanted, and the command, stand in its condition."""
    world = a_world(of_alice())
    assert stages(world, "rain-v1") == ("dev",)
    assert Key("Deployment", "team", "rain-production") not in world.objects
    assert ready(world, "rain-v1") == ("False", "ApprovalWanted")
    assert said(world, "rain-v1") == (
        "False",
        "ApprovalWanted",
        "production: wants the approval of somebody in group ml-approvers but its authors (alice): "
        "mlops approve rain --version rain-v1 --stage production",
    )
    assert find(world.get("ModelVersion", "rain-v1").status.conditions, "Stalled") is None
    world.assert_settled()


def test_with_an_approval_it_goes_on_and_the_record_says_whose() -> None:
    world = a_world(of_alice())
    world.change("ModelVersion", "rain-v1", approvals=[approval(note="looked at the segments")])
    world.settle()
    assert ready(world, "rain-v1") == ("True", "Serving")
    assert said(world, "rain-v1") == ("True", "Approved", "production: bob: looked at the segments")
    status = world.get("ModelVersion", "rain-v1").status
    assert (status.approved_stages, status.stages) == (("production",), ("dev", "production"))
    recorded = [each for each in entries(world._history("rain")) if each["event"] == "Approved"]
    assert [(each["user"], each["stage"], each["cause"], each["reason"]) for each in recorded] == [
        ("bob", "production", "spec.approvals", "production: bob: looked at the segments")
    ]
    assert recorded[0]["artifact"] == digest("1")
    world.assert_settled()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param(approval("alice"), "That of alice does not count: an author does not approve", id="the author's"),
        pytest.param(
            approval(of="2"), "That of bob does not count: it is of 2222222222222222, and", id="another model"
        ),
        pytest.param(approval(stage="dev"), "", id="another stage"),
    ],
)
def test_what_does_not_count_is_told(given: dict[str, Any], why: str) -> None:
    """Also where no policy of the API server refuses it."""
    world = a_world(of_alice(1, given))
    assert stages(world, "rain-v1") == ("dev",)
    assert why in said(world, "rain-v1")[2]


def test_one_that_counts_is_enough() -> None:
    assert stages(a_world(of_alice(1, approval("alice"), approval("bob"))), "rain-v1") == ("dev", "production")


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        pytest.param({**RULE, "required": False}, (), id="nobody is asked"),
        pytest.param({**RULE, "notAuthor": False}, (approval("alice"),), id="authors may"),
    ],
)
def test_a_stage_may_ask_for_less(rule: dict[str, Any], given: tuple[dict[str, Any], ...]) -> None:
    assert stages(a_world(of_alice(1, *given, rule=rule)), "rain-v1") == ("dev", "production")


def test_where_no_author_is_known_names_alone_decide() -> None:
    """The admission policy refuses that; without it nothing is known that an approval could break."""
    assert stages(a_world(of_alice(1, approval("alice"), metadata={})), "rain-v1") == ("dev", "production")


def test_without_the_policy_the_condition_says_that_nobody_checks() -> None:
    world = World(pods)
    world.put(of_alice())
    world.settle()
    assert said(world, "rain-v1")[2].endswith(approving.NOT_ENFORCED)
    assert approving.NOT_ENFORCED not in said(a_world(of_alice()), "rain-v1")[2]


def test_nothing_is_said_of_approval_before_it_is_verified_nor_where_nobody_is_asked() -> None:
    world = World(pods)
    world.put(of_alice())
    world.carry_out(world.plan("ModelVersion", "rain-v1"))
    assert find(world.get("ModelVersion", "rain-v1").status.conditions, "Approved") is None
    assert find(a_world(a_version()).get("ModelVersion", "rain-v1").status.conditions, "Approved") is None


def test_the_version_before_serves_until_the_next_is_approved() -> None:
    world = a_world(of_alice(1, approval()), of_alice(2))
    assert served(world) == "rain-v1"
    assert ready(world, "rain-v2") == ("False", "ApprovalWanted")
    world.change("ModelVersion", "rain-v2", approvals=[approval(of="2")])
    world.settle()
    assert served(world) == "rain-v2"


def test_an_approval_that_is_taken_back_ends_the_version_there() -> None:
    """An older one that was approved takes its place, without being approved again; without one nothing serves."""
    world = a_world(of_alice(1, approval()), of_alice(2, approval(of="2")))
    assert served(world) == "rain-v2"
    world.change("ModelVersion", "rain-v2", approvals=[])
    world.settle()
    assert served(world) == "rain-v1"
    assert ready(world, "rain-v2") == ("False", "ApprovalWanted")
    world.change("ModelVersion", "rain-v1", approvals=[])
    world.settle()
    assert Key("Deployment", "team", "rain-production") not in world.objects
    steps = [(each["version"], each["event"], each.get("cause")) for each in entries(world._history("rain"))]
    for name in ("rain-v1", "rain-v2"):
        assert (name, "Revoked", "spec.approvals") in steps
    assert ("rain-v1", "Left", "spec.approvals") in steps
    assert after(entries(world._history("rain"))).live.keys() == {"dev"}


def test_a_rule_that_is_added_holds_for_what_serves() -> None:
    """What serves in a stage that asks has an approval; given in the same edit nothing stops."""
    world = a_world(of_alice(1, rule={**RULE, "required": False}))
    assert served(world) == "rain-v1"
    world.change("ModelVersion", "rain-v1", promotion=ASKS)
    world.settle()
    assert Key("Deployment", "team", "rain-production") not in world.objects


# --- going back ---


def live(number: int, *given: dict[str, Any], **status: Any) -> ModelVersion:
    """Return a version that serves, or has served, in a production that asks."""
    spec = of_alice(number, *given).dump()["spec"]
    own = {"passedStages": ["dev", "production"], "stages": ["dev", "production"], **status}
    return a_live_version(number, spec=spec, metadata=BY_ALICE, status=own)


def test_the_way_back_needs_an_approval_that_was_given_and_no_new_one() -> None:
    over = {"stages": [], "stage": None}
    current = live(3, approval(of="3"))
    found = way_back([live(2, approval(of="2"), **over), current], NOW)
    assert isinstance(found, WayBack)
    assert found.to.metadata.name == "rain-v2"
    refused = way_back([live(2, **over), current], NOW, 2)
    assert isinstance(refused, NoWayBack)
    assert "rain-v2 has no approval there that counts (mlops approve gives one)" in refused.message


def test_a_monitor_does_not_measure_what_nobody_approves_of() -> None:
    """The model would refuse to go back to it."""
    monitor = a_monitor(spec={"actions": [{"when": ["ConceptDrift"], "do": "Rollback"}]})
    over = {"stages": [], "stage": None}
    versions = (live(1, approval(), **over), live(2, **over), live(3, approval(of="3")))
    asked = question(DriftMonitorView(NOW, SETTINGS, monitor, versions=versions))
    assert asked is not None
    assert [each.version for each in asked.older] == ["rain-v1"]


def test_a_rollback_ends_when_the_older_one_loses_its_approval() -> None:
    record = {
        "stage": "production",
        "time": "2026-01-10T11:00:00Z",
        "monitor": "rain-drift",
        "to": "rain-v1",
        "toArtifact": digest("1"),
    }
    world = a_world(of_alice(1, approval()), of_alice(2, approval(of="2")))
    newer = world.get("ModelVersion", "rain-v2")
    world.put(with_status(newer, {**newer.status.dump(), "rolledBack": [record]}))
    world.settle()
    assert served(world) == "rain-v1"
    world.change("ModelVersion", "rain-v1", approvals=[])
    world.settle()
    assert served(world) == "rain-v2"
    assert world.get("ModelVersion", "rain-v2").status.rolled_back[0].ended == "OlderIsGone"


# --- who wrote it ---


def test_who_wrote_a_template_is_handed_on_to_its_runs_and_their_versions() -> None:
    """As it stands there; of whom nothing is said, nothing is said."""
    names = {"annotations": {"mlops.dev/authors": "alice,carol"}}
    trigger = {"kind": "TemplateChange", "ref": "rain", "reason": "edited"}
    record = TriggerRecord.model_validate(trigger)
    made = run_of_template(a_template(metadata=names), "rain-1", record)
    assert made["metadata"]["annotations"]["mlops.dev/authors"] == "alice,carol"
    assert "mlops.dev/authors" not in run_of_template(a_template(), "rain-1", record)["metadata"]["annotations"]
    done = {
        "outputDigest": digest("f"),
        "inputsDigest": digest("1"),
        "resolved": {
            "datasetVersion": 1,
            "datasetDigest": digest("1"),
            "datasetArtifact": digest("a"),
            "environmentDigest": digest("e"),
        },
    }
    version = model_version(a_run(metadata=names, status=done), 1)
    assert version["metadata"]["annotations"] == {"mlops.dev/authors": "alice,carol"}
    assert "annotations" not in model_version(a_run(status=done), 1)["metadata"]


def test_authors_are_names_with_commas_between() -> None:
    assert approving.authors_of(of_alice().metadata) == ("alice",)
    both = a_version(metadata={"annotations": {"mlops.dev/authors": "alice,system:serviceaccount:argocd:app"}})
    assert approving.authors_of(both.metadata) == ("alice", "system:serviceaccount:argocd:app")
    assert approving.authors_of(a_version().metadata) == ()


def test_a_record_of_an_earlier_release_reads_as_before() -> None:
    """Entries of approval change nothing of what was live."""
    version = live(1, approval(), transitions=[])
    found = model_history.entries_of(version, version.status)
    approved = {**found[0], "event": "Approved", "stage": "production", "user": "bob"}
    went_live = {**found[0], "event": "Live", "stage": "production"}
    assert after([went_live, approved]).live == after([went_live]).live
