"""The settings of the loop on one machine: this installation is the image of every pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from mlops.api import tasks
from mlops.cli.state import State
from mlops.planning.plan import Settings
from mlops.planning.pod_policy import PodPolicy
from mlops.workloads.train import environment


def local_settings(state: State, extra: Mapping[str, str]) -> Settings:
    """Return settings that point every pod at the folders of `state`."""
    return Settings(
        image="mlops-workloads:local",
        environment_digest=environment.digest(),
        environment={
            tasks.STORE_VARIABLE: state.store.resolve().as_uri(),
            tasks.BUCKETS_VARIABLE: state.buckets.resolve().as_uri(),
            **extra,
        },
        # Whoever runs this is the administrator.
        pod_policy=PodPolicy(*[("*",)] * len(fields(PodPolicy))),
        # One process that knows of its own writes at once.
        removal_grace_seconds=0.0,
    )
