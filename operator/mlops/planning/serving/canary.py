"""Canary: a new version takes over a stage by the steps that its spec names, beside the version that serves there.

Both are in the same server processes, and the stage has one Deployment. A step is on record before the Deployment says
it, and begins when all pods are as it wants them. What an analysis finds is taken in once, from the report of a Job.
A canary belongs to one pair of versions and one list of steps: with another of these, or when a person asks for a
retry, it starts again. Only what was found of the candidate, or its pods, end it; no trouble of the cluster does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlops.api import digests, tasks
from mlops.api.base import format_time, parse_duration, parse_time
from mlops.api.canary import Analysis, AnalysisResult, Canary, CanaryStatus, CriterionResult
from mlops.api.conditions import ConditionType, find
from mlops.api.model_version import Stage, StageFailure
from mlops.api.reasons import Reason
from mlops.planning import execution, retrying
from mlops.planning import readiness as say
from mlops.planning.outcome import Failure
from mlops.planning.ownership import key_and_uid
from mlops.planning.plan import Key
from mlops.planning.readiness import Readiness
from mlops.planning.serving import rollout
from mlops.planning.serving.candidates import Candidate
from mlops.planning.serving.choosing import choice, stable_beside
from mlops.planning.serving.manifests import ANALYSIS, analysis_job, analysis_job_name, component_of, stage_of
from mlops.planning.serving.server_pods import Fault, ServerTrouble
from mlops.planning.serving.trial import CanaryTrial, mark_of
from mlops.planning.timestamps import later
from mlops.planning.views import ModelView

_LONGEST_INTERVAL = timedelta(hours=1)
_MAX_MESSAGE = 1024


def with_canaries(view: ModelView, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates, each that has a canary with how far that has come now, or with why it has failed."""
    found = list(candidates)
    beside = _challenges(view, found)
    return [
        _tried(view, each, *beside[name]) if (name := each.version.metadata.name) in beside else _with_record(each)
        for each in found
    ]


def _challenges(view: ModelView, found: list[Candidate]) -> dict[str, tuple[str, Candidate]]:
    """Return by version the stage where it is tried, the first of those where it might be, and the stable one there."""
    stages = dict.fromkeys(stage for each in found for stage in each.stages)
    pairs = {
        (newest.version.metadata.name, stage): stable
        for stage in stages
        if (newest := choice(stage, found)) is not None
        and (stable := stable_beside(view, stage, newest, found)) is not None
    }
    return {
        name: (stage, pairs[name, stage])
        for each in reversed(found)
        for stage in reversed(each.stages)
        if ((name := each.version.metadata.name), stage) in pairs
    }


def _with_record(candidate: Candidate) -> Candidate:
    """Return a version that is not tried, with the record of a canary that it has failed."""
    record = candidate.version.status.canary
    if record is None or record.stage not in candidate.failed:
        return candidate
    return replace(candidate, canary=record.evolve(weight=0))


def _tried(view: ModelView, candidate: Candidate, stage: str, stable: Candidate) -> Candidate:
    wanted = stage_of(candidate.version, stage)
    assert wanted.canary is not None
    record = _on_record(candidate, wanted, stable)
    if record is None and not rollout.serves(view, stable, stage):
        # What goes wrong before it begins is not the candidate's.
        message = f"{stage}: its canary begins when all pods of {stable.version.metadata.name} are ready"
        waits = CanaryTrial(stage, stable.version, say.in_progress(Reason.CANARY_RUNNING, message))
        return replace(candidate, trial=waits)
    record = record or _begun(view, wanted, wanted.canary, stable)
    course = _Course(view, candidate, stable, wanted, wanted.canary)
    trouble = rollout.trouble_of_trial(view, stage, course.mark(record), parse_time(record.started_at))
    if trouble is not None and trouble.fault is Fault.CRASH:
        return _failed(candidate, record, trouble.reason, _words_of(trouble, record))
    return course.followed(record, trouble)


def _on_record(candidate: Candidate, wanted: Stage, stable: Candidate) -> CanaryStatus | None:
    """Return the record of this canary; None if it is yet to begin, or to begin again."""
    record = candidate.version.status.canary
    again = retrying.wanted(candidate.version) is not None or wanted.name in candidate.version.status.failed_stages
    if record is None or again:
        return None
    same = (record.stage, record.stable, record.stable_artifact, record.steps_digest) == (
        wanted.name,
        stable.version.metadata.name,
        stable.checked.status.artifact,
        _steps_digest(wanted),
    )
    return record if same else None


def _steps_digest(wanted: Stage) -> str:
    return digests.digest_of([each.dump() if each is not None else None for each in (wanted.canary, wanted.shadow)])


def _begun(view: ModelView, wanted: Stage, canary: Canary, stable: Candidate) -> CanaryStatus:
    return CanaryStatus(
        stage=wanted.name,
        stable=stable.version.metadata.name,
        stable_artifact=str(stable.checked.status.artifact),
        steps_digest=_steps_digest(wanted),
        started_at=format_time(view.now),
        step=0,
        weight=canary.weight_at(0),
    )


def _words_of(trouble: ServerTrouble, record: CanaryStatus) -> str:
    said = f"beside {record.stable}: {trouble.message}"
    if trouble.reason == Reason.OUT_OF_MEMORY:
        said += f", which holds both models: more resources of {record.stage} in {record.stable} give it room"
    return said


def _failed(candidate: Candidate, record: CanaryStatus, reason: str, message: str) -> Candidate:
    failure = StageFailure(stage=record.stage, reason=str(reason), message=message[:_MAX_MESSAGE])
    failures = {**candidate.failures, record.stage: failure}
    return replace(candidate, failures=failures, canary=record.evolve(weight=0))


@dataclass(frozen=True)
class _Look:
    """What one look at an analysis comes to: what is on record after it, and what is said and done meanwhile."""

    record: CanaryStatus
    said: Readiness | None = None
    job: tuple[str, int] | None = None
    requeue_at: datetime | None = None
    failure: str | None = None


@dataclass(frozen=True)
class _Course:
    """One canary: who is tried beside whom, and by which steps."""

    view: ModelView
    candidate: Candidate
    stable: Candidate
    wanted: Stage
    canary: Canary

    def mark(self, record: CanaryStatus) -> str:
        """Return what its pods are marked by."""
        return mark_of(self.candidate.version, str(self.candidate.checked.status.artifact), record)

    def followed(self, record: CanaryStatus, trouble: ServerTrouble | None) -> Candidate:
        """Return the candidate with as many steps done as can be now. `trouble`: what ails its pods."""
        steps = self.canary.steps
        while record.step < len(steps):
            record = self._noted(record)
            step = steps[record.step]
            if record.step_since is None:
                if trouble is None:
                    return self._rests(record, self._running(record, "its pods are rolled out"))
                waits = self._message(record, f"{trouble.reason}: {trouble.message}")
                return self._rests(record, Readiness("False", Reason.CANARY_WAITING, waits, reconciling=True))
            if step.pause is not None:
                until = later(self._since(record.step_since), parse_duration(step.pause))
                if until > self.view.now:
                    said = self._running(record, f"pause until {format_time(until)}")
                    return self._rests(record, said, requeue_at=until)
            if step.analysis is not None:
                look = self._look(record, step.analysis)
                if look.failure is not None:
                    return _failed(self.candidate, look.record, Reason.CANARY_FAILED, look.failure)
                if look.said is not None:
                    return self._rests(look.record, look.said, look.job, look.requeue_at)
                record = look.record
            record = self._next(record)
        said = say.in_progress(
            Reason.CANARY_RUNNING, f"{record.stage}: all steps of its canary are done: it takes over"
        )
        trial = CanaryTrial(record.stage, self.stable.version, said, record, is_over=True)
        return replace(self.candidate, canary=record, trial=trial)

    def _noted(self, record: CanaryStatus) -> CanaryStatus:
        """Return the record with when the step began, if all pods are as it wants them."""
        if record.step_since is not None or not self._is_shown(record):
            return record
        now = format_time(self.view.now)
        is_asked = record.weight > 0 or self.wanted.shadow is not None
        return record.evolve(step_since=now, asked_since=record.asked_since or (now if is_asked else None))

    def _is_shown(self, record: CanaryStatus) -> bool:
        present = rollout.deployment_of(self.view, record.stage)
        return (
            present is not None
            and rollout.shows(present, self.stable)
            and rollout.is_applied(present, self.stable)
            and rollout.shows_trial(present, self.mark(record), record.weight)
            and rollout.is_available(present)
        )

    def _next(self, record: CanaryStatus) -> CanaryStatus:
        step = record.step + 1
        weight = self.canary.weight_at(step) if step < len(self.canary.steps) else record.weight
        return record.evolve(step=step, step_since=None, weight=weight, looks=0, attempts=0)

    def _since(self, text: str) -> datetime:
        """Return a time on record; one that a wrong clock wrote is not to come."""
        return min(parse_time(text), self.view.now)

    # --- what an analysis finds ---

    def _look(self, record: CanaryStatus, analysis: Analysis) -> _Look:
        before = record.analysis.time if record.looks and record.analysis is not None else str(record.step_since)
        due = later(self._since(before), _interval(analysis, record.looks))
        if due > self.view.now:
            return _Look(record, self._waits(record), requeue_at=due)
        found = execution.execution(
            self.view.jobs,
            lambda attempt: self._job_name(record, attempt),
            record.attempts,
            self.view.now,
            tasks.AnalysisReport,
            begun=False,
        )
        match found:
            case execution.Start():
                return _Look(
                    record, self._waits(record), job=(self._job_name(record, record.attempts), record.looks + 1)
                )
            case execution.Waiting(until):
                return _Look(record, self._waits(record), requeue_at=until)
            case execution.Running(setback=Failure() as failure):
                return _Look(record, self._stumbles(record, failure, "the Job tries again"))
            case execution.Ended():
                return self._taken_in(record, analysis, found)
        return _Look(record, self._waits(record))

    def _taken_in(
        self, record: CanaryStatus, analysis: Analysis, ended: execution.Ended[tasks.AnalysisReport]
    ) -> _Look:
        match ended.outcome:
            case tasks.AnalysisReport() as report:
                found = AnalysisResult(
                    time=format_time(self.view.now), outcome=report.outcome, criteria=report.criteria[:4]
                )
                known = record.evolve(analysis=found, looks=record.looks + 1, attempts=0)
                if report.outcome == "Failed":
                    return _Look(known, failure=self._judged(known, "Failed"))
                if report.outcome == "Successful":
                    return _Look(known)
                due = later(self.view.now, _interval(analysis, known.looks))
                return _Look(known, self._waits(known), requeue_at=due)
            case failure:
                # Whatever ails the Job says nothing of the candidate.
                known = record.evolve(attempts=record.attempts + 1)
                said = self._stumbles(known, failure, f"attempt {known.attempts + 1} follows")
                return _Look(known, said, requeue_at=ended.next_at(known.attempts, self.view.now))

    def _waits(self, record: CanaryStatus) -> Readiness:
        """Return what is said while a look is under way, or yet to come."""
        said = find(self.candidate.version.status.conditions, ConditionType.CANARY_HEALTHY)
        if record.attempts and said is not None and said.reason == Reason.CANARY_WAITING:
            return Readiness("False", Reason.CANARY_WAITING, said.message, reconciling=True)
        if not record.looks:
            return self._running(record, "analysis")
        return say.waiting(Reason.CANARY_WAITING, self._judged(record, "Inconclusive"))

    def _stumbles(self, record: CanaryStatus, failure: Failure, then: str) -> Readiness:
        said = self._message(record, f"{failure.reason}: {failure.message}; {then}")
        return Readiness("False", Reason.CANARY_WAITING, said, reconciling=True)

    def _judged(self, record: CanaryStatus, outcome: str) -> str:
        assert record.analysis is not None
        found = "; ".join(_in_words(each) for each in record.analysis.criteria if each.outcome == outcome)
        if outcome == "Failed":
            return f"step {record.step + 1} of {len(self.canary.steps)}, beside {record.stable}: {found}"
        return self._message(record, found)

    def _job_name(self, record: CanaryStatus, attempt: int) -> str:
        return analysis_job_name(self.candidate.version, self.mark(record), record.step, record.looks, attempt)

    # --- what is said and done ---

    def _running(self, record: CanaryStatus, what: str) -> Readiness:
        return say.in_progress(Reason.CANARY_RUNNING, self._message(record, what))

    def _message(self, record: CanaryStatus, what: str) -> str:
        shadow = f"; of those {self.wanted.shadow.percent} % for the record too" if self.wanted.shadow else ""
        return (
            f"{record.stage}: step {record.step + 1} of {len(self.canary.steps)}: {what}. It answers {record.weight} % "
            f"of the requests, {record.stable} the others{shadow}"
        )

    def _rests(
        self,
        record: CanaryStatus,
        said: Readiness,
        job: tuple[str, int] | None = None,
        requeue_at: datetime | None = None,
    ) -> Candidate:
        version, artifact = self.candidate.version, str(self.candidate.checked.status.artifact)
        trial = CanaryTrial(
            record.stage,
            self.stable.version,
            said,
            record,
            told=tasks.ServeCandidate(
                version=version.spec.version,
                object_name=version.metadata.name,
                artifact=artifact,
                weight=record.weight,
                shadow_percent=self.wanted.shadow.percent if self.wanted.shadow else 0,
                sticky_header=self.canary.sticky_header,
            ),
            mark=self.mark(record),
            create=() if job is None else (self._job(record, artifact, *job),),
            requeue_at=min(filter(None, (requeue_at, self._gives_up_at(record))), default=None),
        )
        return replace(self.candidate, canary=record, trial=trial)

    def _job(self, record: CanaryStatus, artifact: str, name: str, look: int) -> dict[str, object]:
        analysis = self.canary.steps[record.step].analysis
        assert analysis is not None
        return analysis_job(
            self.view.settings,
            self.candidate.version,
            name,
            tasks.AnalysisTask(
                namespace=self.view.namespace,
                model_name=self.view.model_name,
                object_name=self.candidate.version.metadata.name,
                stage=record.stage,
                stable=tasks.Arm(version=self.stable.number, artifact=record.stable_artifact),
                candidate=tasks.Arm(version=self.candidate.number, artifact=artifact),
                since=record.asked_since or record.started_at,
                analysis=analysis,
                look=look,
            ),
        )

    def _gives_up_at(self, record: CanaryStatus) -> datetime | None:
        until = rollout.silent_trial_until(self.view, record.stage, self.mark(record), parse_time(record.started_at))
        return until if until is not None and until > self.view.now else None


def _interval(analysis: Analysis, looks: int) -> timedelta:
    """Return the time from one look to the next, after so many: it grows by half each time."""
    # The time between the first two is `interval`, and so is that before the first.
    found = parse_duration(analysis.interval)
    for _ in range(looks - 1):
        if found >= _LONGEST_INTERVAL:
            break
        found = min(found * 1.5, _LONGEST_INTERVAL)
    return found


def _in_words(found: CriterionResult) -> str:
    numbers = f"candidate {found.candidate or '?'}, stable {found.stable or '?'}"
    return f"{found.name}: {found.message or numbers}"


def spent(view: ModelView, found: Iterable[Candidate]) -> Iterable[tuple[Key, str]]:
    """Yield the Jobs of looks that nobody asks for any more: what they found is on record, or their canary has ended.

    Of the present look those of the last two attempts stay: the one before tells how long to wait.
    """
    kept = {name for each in found for name in _names_of_look(each)}
    for job in view.jobs:
        if component_of(job.manifest) == ANALYSIS and job.name not in kept:
            yield key_and_uid(job.manifest)


def _names_of_look(candidate: Candidate) -> Iterable[str]:
    trial = candidate.trial
    if trial is None or trial.record is None or trial.is_over:
        return ()
    record = trial.record
    attempts = range(max(0, record.attempts - 1), record.attempts + 1)
    return [analysis_job_name(candidate.version, trial.mark, record.step, record.looks, each) for each in attempts]
