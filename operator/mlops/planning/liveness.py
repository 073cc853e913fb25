"""Which version of a model is live, read from the statuses of its versions."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from mlops.api.conditions import STALLED, is_true
from mlops.api.model_version import ModelVersion, VersionVerification


def live_in(versions: Iterable[ModelVersion], stage: str) -> ModelVersion | None:
    """Return the newest version that is live in `stage`; one that is passed over only while no other is."""
    present = [v for v in versions if stage in v.status.stages and not v.spec.withdrawn]
    return max(present, key=lambda v: (not is_passed_over(v, stage), v.spec.version), default=None)


def is_passed_over(version: ModelVersion, stage: str) -> bool:
    """Return whether a monitor had an older version take over in `stage`."""
    return any(each.stage == stage and each.ended is None for each in version.status.rolled_back)


def closed_gates(version: ModelVersion, verification: VersionVerification) -> list[tuple[int, str, int]]:
    """Return of each gate that the version does not pass the stage's place and name, and the limit in milliseconds."""
    p99 = Decimal(verification.p99_milliseconds)
    return [
        (index, stage.name, gate.latency.p99_milliseconds)
        for index, stage in enumerate(version.spec.promotion.stages)
        for gate in stage.gates
        if gate.latency is not None and p99 > gate.latency.p99_milliseconds
    ]


def artifact_of(version: ModelVersion | None) -> str | None:
    """Return the address of a version's model, pinned or named."""
    if version is None:
        return None
    return version.status.artifact or (version.spec.artifact.digest if version.spec.artifact else None)


def newest_wanted(versions: Iterable[ModelVersion]) -> ModelVersion | None:
    """Return the version that serves, or is about to: the newest that is neither withdrawn, failed nor rolled back."""
    able = [v for v in versions if not v.spec.withdrawn and not is_true(v.status.conditions, STALLED)]
    able = [v for v in able if not is_passed_over(v, v.spec.promotion.stages[-1].name)] or able
    return max(able, key=lambda v: (v.spec.version, v.metadata.name), default=None)


def champion(versions: Iterable[ModelVersion]) -> ModelVersion | None:
    """Return the version that is live furthest on the way to production; the newest of them."""
    live = [v for v in versions if v.status.stages and v.status.artifact and not v.spec.withdrawn]
    return max(live, key=lambda v: (_furthest(v), v.spec.version), default=None)


def _furthest(version: ModelVersion) -> int:
    """Return how many stages are left from the furthest one where it is live, negated: -1 is production."""
    names = [stage.name for stage in version.spec.promotion.stages]
    reached = [names.index(stage) for stage in version.status.stages if stage in names]
    return max(reached, default=-1) - len(names)
