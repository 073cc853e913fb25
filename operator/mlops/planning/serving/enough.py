"""Whether the newest versions of a model, and those that can still change, decide all that is to be planned."""

from __future__ import annotations

from collections.abc import Iterable

from mlops.api.model_version import ModelVersion
from mlops.planning import retrying


def decide_all(versions: Iterable[ModelVersion], *, down_to: int, stages_served: Iterable[str] = ()) -> bool:
    """Return whether no version that is left out could be chosen for a stage.

    `versions` are all of a number of at least `down_to`, and of the others those that are not settled. One of them that
    is live in all of its stages, without a failure, is chosen before any that is older.
    """
    versions = tuple(versions)
    whole = [each for each in versions if each.spec.version >= down_to and _serves_everywhere(each)]
    newest = max(whole, key=lambda each: each.spec.version, default=None)
    if newest is None:
        return False
    known = _stages(newest)
    return known >= set(stages_served) and all(known >= _stages(each) for each in versions)


def _stages(version: ModelVersion) -> set[str]:
    return {stage.name for stage in version.spec.promotion.stages}


def _serves_everywhere(version: ModelVersion) -> bool:
    status = version.status
    return (
        not version.spec.withdrawn
        and status.observed_generation == version.metadata.generation
        and retrying.wanted(version) is None
        and status.verification is not None
        and not status.failed_stages
        and all(each.ended for each in status.rolled_back)
        and _stages(version) <= set(status.stages)
        and _stages(version) <= set(status.passed_stages)
    )
