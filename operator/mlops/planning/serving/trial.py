"""A canary that runs: which version is tried beside which, and where that stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops.api import digests, labels
from mlops.api.canary import CanaryStatus
from mlops.api.model_version import ModelVersion
from mlops.api.serving_task import ServeCandidate
from mlops.planning import retrying
from mlops.planning.plan import Manifest
from mlops.planning.readiness import Readiness


@dataclass(frozen=True)
class CanaryTrial:
    """How a candidate is tried in a stage. `record`: how far it has come; None while it waits to begin."""

    stage: str
    stable: ModelVersion
    readiness: Readiness
    record: CanaryStatus | None = None
    # What its pods are told, and which canary they say they are of; None: no pod of it is wanted.
    told: ServeCandidate | None = None
    mark: str = ""
    # All steps are done: the candidate takes over.
    is_over: bool = False
    create: tuple[Manifest, ...] = ()
    requeue_at: datetime | None = None


def mark_of(version: ModelVersion, artifact: str, record: CanaryStatus) -> str:
    """Return what tells a canary from every other, also from one that a person has started again: hex digits."""
    return labels.short(
        digests.digest_of(
            [
                *(version.metadata.uid, artifact, record.stage, record.stable_artifact, record.steps_digest),
                *(record.started_at, retrying.newest(version)),
            ]
        )
    )
