"""The versions of a model as candidates for its stages: who may serve where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mlops.api.canary import CanaryStatus
from mlops.api.conditions import ConditionType
from mlops.api.model_version import ModelVersion, RolledBack, StageFailure
from mlops.api.reasons import Reason
from mlops.planning.approving import unapproved
from mlops.planning.readiness import condition
from mlops.planning.serving.artifact_check import Checked, Gates, check, judge_gates
from mlops.planning.serving.trial import CanaryTrial
from mlops.planning.views import ModelView


@dataclass(frozen=True)
class Candidate:
    """A version with everything that decides where it serves."""

    version: ModelVersion
    checked: Checked
    gates: Gates | None = None
    # The older object that has the same number.
    competitor: ModelVersion | None = None
    # Where it has served, with this artifact.
    passed: frozenset[str] = frozenset()
    # Where it does not serve by a fault of its own, and why.
    failures: Mapping[str, StageFailure] = field(default_factory=dict)
    # Where a monitor had an older version take over, see `rollback.py`.
    rolled_back: tuple[RolledBack, ...] = ()
    # Where it is tried beside the version that serves, and what is on record of that, see `canary.py`.
    trial: CanaryTrial | None = None
    canary: CanaryStatus | None = None

    @property
    def number(self) -> int:
        """Return the version's number."""
        return self.version.spec.version

    @property
    def stages(self) -> list[str]:
        """Return the names of its stages in order."""
        return [stage.name for stage in self.version.spec.promotion.stages]

    @property
    def failed(self) -> frozenset[str]:
        """Return the stages where it has failed."""
        return frozenset(self.failures)

    @property
    def open_stages(self) -> list[str]:
        """Return the stages that its gates let it enter, one after the other."""
        return self.stages[: self.gates.open_stages] if self.gates else []

    @property
    def unapproved(self) -> list[str]:
        """Return the stages that ask people for an approval of this model and have none."""
        return [stage.name for stage in unapproved(self.version, self.checked.status.artifact)]

    def may_enter(self, stage: str) -> bool:
        """Return whether it may serve in `stage`: verified, gates passed, approved, seen available in the stage before.

        Where it has served it may stay, whatever stage an edit has put in front.
        """
        if self.competitor or self.version.spec.withdrawn or self.gates is None or stage not in self.stages:
            return False
        # Also where it serves: an approval that is taken back ends it.
        if stage in self.unapproved:
            return False
        if stage in self.passed or stage in self.version.status.stages:
            return stage not in self.gates.closed
        index = self.stages.index(stage)
        return stage in self.open_stages and (index == 0 or self.stages[index - 1] in self.passed)

    def record_of(self, stage: str) -> RolledBack | None:
        """Return what is on record of a rollback in `stage`, also one that has ended."""
        return next((each for each in self.rolled_back if each.stage == stage), None)

    def is_passed_over(self, stage: str) -> bool:
        """Return whether an older version is to serve in `stage`."""
        record = self.record_of(stage)
        return record is not None and record.ended is None

    def seen(self, *, passed: frozenset[str], failures: Mapping[str, StageFailure]) -> Candidate:
        """Return the candidate with where it came up, and where it did not."""
        return replace(self, passed=passed, failures=failures)


def candidates(view: ModelView, present: Iterable[ModelVersion]) -> list[Candidate]:
    """Return the versions, each checked as far as that has come; what serves them is not looked at."""
    versions = list(present)
    first = _first_claims(versions)
    return [_candidate(view, version, _competitor(version, first)) for version in versions]


def _first_claims(present: Iterable[ModelVersion]) -> dict[int, ModelVersion]:
    """Return by number the object that claimed it first."""
    first: dict[int, ModelVersion] = {}
    for version in sorted(present, key=lambda each: (each.metadata.creation_timestamp or "", each.metadata.name)):
        first.setdefault(version.spec.version, version)
    return first


def _competitor(version: ModelVersion, first_claims: Mapping[int, ModelVersion]) -> ModelVersion | None:
    """Return the object that claimed the same number first, if that is another one."""
    first = first_claims[version.spec.version]
    return None if first.metadata.name == version.metadata.name else first


def _candidate(view: ModelView, version: ModelVersion, competitor: ModelVersion | None) -> Candidate:
    if competitor is not None:
        message = f'version {version.spec.version} belongs to ModelVersion "{competitor.metadata.name}"'
        unknown = condition(ConditionType.ARTIFACT_VERIFIED, "Unknown", Reason.VERSION_CONFLICT, message)
        return Candidate(version, Checked(version.status, unknown), competitor=competitor)
    checked = check(view, version)
    verification = checked.status.verification
    return Candidate(version, checked, judge_gates(version, verification) if verification else None)
