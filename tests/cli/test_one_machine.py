"""Manifests of a cluster run on one machine, which says once what it cannot do."""

from __future__ import annotations

from pathlib import Path

from mlops.api.pod_template import PodTemplate
from mlops.cli.one_machine import without_meaning
from mlops.cli.settings import local_settings
from mlops.cli.state import State
from tests.api.objects import a_dataset, a_run


def test_what_only_a_cluster_does_is_named_once() -> None:
    """However many objects say it, and wherever in them."""
    said = without_meaning([a_dataset()["spec"], a_run()["spec"]])
    assert said is not None
    for field in ("podTemplate.nodeSelector", "resources.limits.nvidia.com/gpu", "autoscaling above minReplicas"):
        assert said.count(field) == 1
    assert "podTemplate.env" not in said


def test_nothing_is_said_of_manifests_without_it() -> None:
    """A sentence that is always there is read by nobody."""
    spec = a_dataset(**{"spec.podTemplate": None, "spec.resources": None})["spec"]
    assert without_meaning([spec]) is None


def test_who_runs_it_needs_nobodys_word(tmp_path: Path) -> None:
    """The lists of an installation are its administrator's; here that is the same person."""
    policy = local_settings(State(tmp_path), {}).pod_policy
    template = PodTemplate.model_validate(a_run()["spec"]["podTemplate"])
    assert policy.refusals(template, "spec.podTemplate") == []
