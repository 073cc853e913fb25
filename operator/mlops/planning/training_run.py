"""TrainingRun: one execution on pinned inputs, judged by its gates and registered; templates are beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from mlops.api import tasks
from mlops.api.conditions import READY, RECONCILING, STALLED, Condition, ConditionType, find, is_false, is_true
from mlops.api.dataset import Dataset, HistoryEntry
from mlops.api.model_version import ModelVersion
from mlops.api.reasons import Reason, Reported, Word
from mlops.api.training_run import Resolved, TrainingRun, TrainingRunStatus, Verification
from mlops.planning import retrying, training_template
from mlops.planning import standing as stand
from mlops.planning.liveness import artifact_of, champion, newest_wanted
from mlops.planning.model_history import highest_number
from mlops.planning.moments import moment, not_before
from mlops.planning.outcome import (
    BACKOFF_LIMIT_EXCEEDED,
    REPORT_MISSING,
    Failure,
    finished_at,
    is_finished,
    outcome,
    retry_at,
    setback,
)
from mlops.planning.ownership import is_leaving, key_and_uid, key_of
from mlops.planning.plan import Key, Manifest, Plan, Settings
from mlops.planning.standing import Standing, condition
from mlops.planning.training_gates import judge
from mlops.planning.training_manifests import (
    inputs_digest,
    model_version,
    model_version_name,
    training_job,
    training_job_name,
    trigger_of,
)
from mlops.planning.views import JobView, TrainingRunView

DATASET_READY = ConditionType.DATASET_READY
SUCCEEDED = ConditionType.SUCCEEDED
GATES_PASSED = ConditionType.GATES_PASSED
REPRODUCIBLE = ConditionType.REPRODUCIBLE

_OWN = (DATASET_READY, SUCCEEDED, REPRODUCIBLE, GATES_PASSED)
# What a run says of the inputs that it is pinned to: tried again, it is pinned to what is there by then.
_OF_THE_INPUTS = frozenset(
    {
        Reason.ENVIRONMENT_MISMATCH,
        Reason.DATA_UNUSABLE,
        Reason.DIGEST_MISMATCH,
        *("Incompatible", "NotFound", "ManifestInvalid", "ArtifactNotFound"),
    }
)
_MAX_METRICS = 64
_MOST_WITHOUT_REPORT = 3
_MAX_VERSION = 999_999


@dataclass(frozen=True)
class Step:
    """How far a run has come: its status so far, what it says of itself, and where it stands."""

    status: TrainingRunStatus
    standing: Standing
    own: dict[str, Condition] = field(default_factory=dict)
    create: tuple[Manifest, ...] = ()
    delete: tuple[tuple[Key, str], ...] = ()
    look_again: datetime | None = None

    def saying(self, *said: Condition) -> Step:
        """Return the step with these conditions of its own."""
        return replace(self, own=self.own | {each.type: each for each in said})


def plan(view: TrainingRunView) -> Plan:
    """Return what should be of one TrainingRun, or of a template of runs."""
    run = view.run
    if is_leaving(run):
        return Plan()
    if run.spec.triggers:
        return training_template.plan(view)
    step = _without_needless_jobs(view, _next(view))
    generation = run.metadata.generation
    conditions = stand.conditions(
        run.status.conditions,
        step.standing,
        [step.own.get(type_) for type_ in _OWN],
        now=view.now,
        generation=generation,
    )
    status = step.status.model_copy(update={"observed_generation": generation, "conditions": conditions})
    return Plan(
        statuses={key_of(run): status.dump()}, create=step.create, delete=step.delete, look_again=step.look_again
    )


def inputs_of(run: TrainingRun, dataset: Dataset | None, settings: Settings) -> str | None:
    """Return the inputs digest of a run, or the one that it would be pinned to now; None if it has to wait."""
    if run.status.resolved is not None:
        return run.status.inputs_digest
    found = _find_data(run, dataset)
    return None if isinstance(found, Standing) else inputs_digest(run.spec, found.digest, settings.environment_digest)


def _next(view: TrainingRunView) -> Step:
    run = view.run
    said: dict[str, Condition] = {type_: found for type_ in _OWN if (found := find(run.status.conditions, type_))}
    known = Step(run.status, stand.standing_of(run.status.conditions) or _pending(), said)
    if (asked := retrying.wanted(run)) and not is_true(run.status.conditions, READY):
        known = _asked_again(view, known, asked)
    elif asked:
        return replace(known, status=run.status.model_copy(update={"retried": asked}))
    elif stand.is_over(run.status.conditions):
        # A run is one execution: it is not judged again, and a ModelVersion that was deleted is not made again.
        return known
    if known.status.resolved is None:
        return _pin(view, known)
    if known.status.output_digest is None:
        return _execute(view, known, known.status.resolved)
    return _conclude(view, known, known.status.resolved)


def _asked_again(view: TrainingRunView, step: Step, asked: str) -> Step:
    """Return the step from which a person has the run tried again: what it has made stays, what failed is done again.

    On the inputs that it is pinned to, unless these are why it failed. A run that is at work goes on.
    """
    run = view.run
    status = run.status.model_copy(update={"retried": asked})
    works = any(not is_finished(job) and _is_own(run, status, job) for job in view.jobs)
    if works:
        return replace(step, status=status)
    failed = find(run.status.conditions, STALLED)
    if failed is not None and failed.reason not in stand.LAID_OVER and run.status.resolved is not None:
        status = status.model_copy(update={"attempts": run.status.attempts + 1})
    if failed is not None and failed.reason in _OF_THE_INPUTS and run.status.output_digest is None:
        status = status.model_copy(update={"resolved": None, "inputs_digest": None})
    # What the last attempt said would make this one wait.
    return replace(step, status=status, own={})


def _without_needless_jobs(view: TrainingRunView, step: Step) -> Step:
    """Return the step without Jobs of the run that nobody waits for: it has taken over another's result meanwhile."""
    if step.status.cached_from is None:
        return step
    wanted = {manifest["metadata"]["name"] for manifest in step.create}
    needless = [
        found
        for job in view.jobs
        if not is_finished(job) and _is_own(view.run, step.status, job) and job.name not in wanted
        if (found := key_and_uid(job.manifest)) not in step.delete
    ]
    return replace(step, delete=(*step.delete, *needless))


def _pending() -> Standing:
    return stand.in_progress(Reason.PENDING, "seen for the first time")


def _suspended(view: TrainingRunView, step: Step) -> Step:
    """Return: stop what has started. What it had done so far is lost, and done again when it is resumed."""
    own = [job for job in view.jobs if not is_finished(job) and _is_own(view.run, step.status, job)]
    started = tuple(key_and_uid(job.manifest) for job in own)
    return replace(step, standing=stand.resting(Reason.SUSPENDED, "spec.suspend is true"), delete=started)


def _failed(step: Step, reason: Word, message: str) -> Step:
    return replace(step, standing=stand.stalled(reason, message)).saying(condition(SUCCEEDED, "False", reason, message))


# --- 1. pin what the run depends on ---


def _pin(view: TrainingRunView, step: Step) -> Step:
    """Pin data, environment and champion, and go on: the status is written before the Job is made."""
    run, dataset = view.run, view.dataset
    if run.spec.suspend:
        return _suspended(view, step)
    found = _find_data(run, dataset)
    if isinstance(found, Standing):
        return replace(step, standing=found).saying(
            condition(DATASET_READY, found.ready, found.reason, found.message),
            condition(SUCCEEDED, "Unknown", found.reason, found.message),
        )
    resolved = _resolve(view, found)
    message = f'version {resolved.dataset_version} of Dataset "{run.spec.dataset_ref.name}"'
    status = step.status.model_copy(
        update={
            "resolved": resolved,
            "inputs_digest": inputs_digest(run.spec, resolved.dataset_digest, resolved.environment_digest),
        }
    )
    pinned = replace(step, status=status).saying(condition(DATASET_READY, "True", Reason.DATASET_PINNED, message))
    return _execute(view, pinned, resolved)


def _find_data(run: TrainingRun, dataset: Dataset | None) -> HistoryEntry | Standing:
    """Return the version to train on, or why there is none yet; that heals when the Dataset appears or gets there."""
    ref = run.spec.dataset_ref
    if dataset is None or is_leaving(dataset):
        return stand.waiting(
            Reason.DATASET_NOT_FOUND,
            f'Dataset "{ref.name}" not found in namespace "{run.metadata.namespace}": make it, and the run goes on',
        )
    if ref.version is not None:
        return _numbered(dataset, ref.version)
    seen = dataset.status.observed_generation == dataset.metadata.generation
    if not seen or not is_true(dataset.status.conditions, "Versioned") or dataset.status.version is None:
        return _dataset_not_ready(dataset, seen=seen)
    wanted, looked_at = not_before(run), moment(dataset.status.last_check_time)
    if wanted is not None and (looked_at is None or looked_at < wanted):
        suspended = "; its spec.suspend is true" if dataset.spec.suspend else ""
        return (stand.waiting if suspended else stand.in_progress)(
            Reason.WAITING_FOR_REFRESH,
            f'Dataset "{ref.name}" was last looked at {dataset.status.last_check_time}, wanted is '
            f"{ref.not_before}{suspended}",
        )
    if wanted is not None and is_false(dataset.status.conditions, "Ready"):
        return _dataset_not_ready(dataset, seen=seen)
    return _numbered(dataset, dataset.status.version)


def _numbered(dataset: Dataset, number: int) -> HistoryEntry | Standing:
    found = next((entry for entry in dataset.status.history if entry.version == number), None)
    if found is not None:
        return found
    listed = ", ".join(str(entry.version) for entry in reversed(dataset.status.history)) or "none yet"
    return stand.waiting(
        Reason.DATASET_VERSION_NOT_FOUND,
        f'Dataset "{dataset.metadata.name}" has no version {number}; its versions: {listed}',
    )


def _dataset_not_ready(dataset: Dataset, *, seen: bool) -> Standing:
    ready = find(dataset.status.conditions, "Ready")
    why = f": {ready.reason}: {ready.message}" if ready and seen else ""
    message = f'Dataset "{dataset.metadata.name}" is not ready{why}'
    if seen and ready is not None and (ready.status == "False" or not is_true(dataset.status.conditions, RECONCILING)):
        # Failed, or at rest because it is suspended: nothing is being done that this run could say goes on.
        return stand.waiting(Reason.DATASET_NOT_READY, message)
    return stand.in_progress(Reason.DATASET_NOT_READY, message)


def _resolve(view: TrainingRunView, entry: HistoryEntry) -> Resolved:
    rival = champion(view.versions) if _compares(view.run) else None
    return Resolved(
        dataset_version=entry.version,
        dataset_digest=entry.digest,
        dataset_artifact=entry.artifact,
        environment_digest=view.settings.environment_digest,
        champion_version=rival.metadata.name if rival else None,
        champion_artifact=rival.status.artifact if rival else None,
    )


def _compares(run: TrainingRun) -> bool:
    return run.spec.register_ is not None and any(gate.compare_to == "champion" for gate in run.spec.gates)


# --- 2. execute, or take over the result of equal inputs ---


def _execute(view: TrainingRunView, step: Step, resolved: Resolved) -> Step:
    run, inputs = view.run, str(step.status.inputs_digest)
    if serves := _made_of_the_same(view, inputs):
        return _nothing_new_to_train(step, serves)
    twin = _twin(view, step.status)
    if twin is not None:
        return _conclude(view, _taken_over(step, twin), resolved)
    if run.spec.suspend:
        return _suspended(view, step)
    attempt = step.status.attempts
    job = _job(view, inputs, attempt, verifying=False)
    if job is None and (waiting := _waiting_for_the_store(view, step, SUCCEEDED, verifying=False)):
        return waiting
    if failed := setback(job):
        return _tries_again(step, failed, SUCCEEDED)
    if job is None or not is_finished(job):
        message = f"training on version {resolved.dataset_version} of {run.spec.dataset_ref.name}"
        wanted = training_job(view.settings, run, resolved, inputs, attempt, verifying=False)
        return replace(step, standing=stand.in_progress(Reason.RUNNING, message), create=(wanted,)).saying(
            condition(SUCCEEDED, "Unknown", Reason.RUNNING, message)
        )
    match outcome(job, tasks.TrainReport):
        case Failure() as failure if _passes(failure, attempt):
            return _to_be_tried_again(view, step, job, failure, SUCCEEDED)
        case Failure() as failure:
            return _failed(step, *_explained(run, job, failure))
        case report if report.environment_digest != resolved.environment_digest:
            return _failed(step, Reason.ENVIRONMENT_MISMATCH, _other_environment(report, resolved))
        case report:
            message = f"trained as {report.format}" + (f", {report.trials} trials" if report.trials else "")
            recorded = replace(step, status=_recorded(step.status, report)).saying(
                condition(SUCCEEDED, "True", Reason.SUCCEEDED, message)
            )
            return _conclude(view, recorded, resolved)


def _passes(failure: Failure, attempt: int) -> bool:
    """Return whether the same work may succeed later: the store was away, or the pod was lost with its report. An
    image that never reports is given up."""
    return failure.outage or (failure.reason == REPORT_MISSING and attempt + 1 < _MOST_WITHOUT_REPORT)


def _to_be_tried_again(view: TrainingRunView, step: Step, job: JobView, failure: Failure, type_: ConditionType) -> Step:
    """Return: what failed may succeed later, and another Job follows in a while.

    The attempts are on record for the whole run, so every execution has a Job name of its own.
    """
    attempts = step.status.attempts + 1
    message = f"{failure.message}; attempt {attempts + 1} follows"
    return replace(
        step,
        status=step.status.model_copy(update={"attempts": attempts}),
        standing=Standing("False", failure.reason, message, reconciling=True),
        look_again=max(retry_at(finished_at(job), attempts), view.now),
    ).saying(condition(type_, "Unknown", failure.reason, message))


def _tries_again(step: Step, failed: Failure, type_: ConditionType) -> Step:
    """Return: the newest pod failed, and the Job that it is of makes another."""
    message = f"{failed.message}; the Job tries again"
    return replace(step, standing=Standing("False", failed.reason, message, reconciling=True)).saying(
        condition(type_, "Unknown", failed.reason, message)
    )


def _waiting_for_the_store(view: TrainingRunView, step: Step, type_: ConditionType, *, verifying: bool) -> Step | None:
    """Return the step of a run whose last execution met an outage too short a while ago; None if it may go on."""
    attempts, said = step.status.attempts, step.own.get(type_)
    before = _job(view, str(step.status.inputs_digest), attempts - 1, verifying=verifying) if attempts else None
    if before is None or said is None or said.reason in (Reason.RUNNING, Reason.VERIFYING):
        return None
    due = retry_at(finished_at(before), attempts)
    if due <= view.now:
        return None
    standing = Standing("False", Reported(said.reason), said.message, reconciling=True)
    return replace(step, standing=standing, look_again=due)


def _is_own(run: TrainingRun, status: TrainingRunStatus, job: JobView) -> bool:
    inputs, attempt = status.inputs_digest, status.attempts
    return inputs is not None and job.name in {
        training_job_name(run, inputs, attempt, verifying=verifying) for verifying in (False, True)
    }


def _job(view: TrainingRunView, inputs: str, attempt: int, *, verifying: bool) -> JobView | None:
    name = training_job_name(view.run, inputs, attempt, verifying=verifying)
    return next((job for job in view.jobs if job.name == name), None)


def _other_environment(report: tasks.TrainReport, resolved: Resolved) -> str:
    return (
        f"the pod's environment is {report.environment_digest}, the run is pinned to "
        f"{resolved.environment_digest}: use the workload image of this release, and make a new run"
    )


def _explained(run: TrainingRun, job: JobView, failure: Failure) -> tuple[Word, str]:
    """Return reason and message; the user's own code leaves no report of ours when it fails."""
    if run.spec.trainer.container is not None and failure.reason == BACKOFF_LIMIT_EXCEEDED:
        said = f": {job.message.strip()}" if job.message and job.message.strip() else ": see the pod's log"
        return Reason.TRAINING_FAILED, f"spec.trainer.container exited with code {job.exit_code}{said}"
    return failure.reason, failure.message


def _recorded(status: TrainingRunStatus, report: tasks.TrainReport) -> TrainingRunStatus:
    best = {name: value[:256] for name, value in report.best_params.items()} if report.best_params else None
    return status.model_copy(
        update={
            "output_digest": report.output_digest,
            "prediction_digest": report.prediction_digest,
            "format": report.format,
            "metrics": report.metrics[:_MAX_METRICS],
            "champion_metrics": report.champion_metrics[:_MAX_METRICS],
            "best_params": best,
            "trials": report.trials,
        }
    )


def _twin(view: TrainingRunView, status: TrainingRunStatus) -> TrainingRun | None:
    """Return the run whose result this one would have: equal inputs, and judged against the same champion."""
    run = view.run
    if run.spec.reproducibility.verify == "Once":
        return None
    twins = [
        sibling
        for sibling in view.siblings
        # First what hardly any of a thousand siblings has.
        if sibling.status.inputs_digest == status.inputs_digest
        and sibling.metadata.name != run.metadata.name
        and sibling.status.resolved is not None
        and sibling.status.output_digest is not None
        and is_true(sibling.status.conditions, SUCCEEDED)
        and not is_false(sibling.status.conditions, REPRODUCIBLE)
        and (not _compares(run) or _rival(sibling.status) == _rival(status))
    ]
    return min(twins, key=lambda sibling: sibling.metadata.name, default=None)


def _rival(status: TrainingRunStatus) -> str | None:
    return status.resolved.champion_artifact if status.resolved else None


def _taken_over(step: Step, twin: TrainingRun) -> Step:
    results = ("output_digest", "prediction_digest", "format", "metrics", "champion_metrics", "best_params", "trials")
    status = step.status.model_copy(
        update={name: getattr(twin.status, name) for name in results} | {"cached_from": twin.metadata.name}
    )
    message = f'inputs equal those of TrainingRun "{twin.metadata.name}": its result is taken over'
    return replace(step, status=status).saying(condition(SUCCEEDED, "True", Reason.CACHED, message))


# --- 3. prove it, judge it, register it ---


def _conclude(view: TrainingRunView, step: Step, resolved: Resolved) -> Step:
    run = view.run
    judged = judge(
        run.spec.gates,
        step.status.metrics,
        step.status.champion_metrics,
        # A model is not asked to be better than itself.
        has_champion=resolved.champion_artifact not in (None, step.status.output_digest),
    )
    step = step.saying(condition(GATES_PASSED, "True" if judged.passed else "False", judged.reason, judged.message))
    if run.spec.reproducibility.verify == "Once" and step.status.verification is None:
        step = _verify(view, step, resolved)
        if step.status.verification is None:
            return step
    if step.status.verification is not None and not step.status.verification.equal:
        return _not_reproducible(step)
    if not judged.passed:
        return replace(step, standing=stand.stalled(judged.reason, judged.message))
    if run.spec.register_ is None:
        return replace(step, standing=stand.done(Reason.SUCCEEDED, judged.message))
    return _register(view, step, judged.message)


def _verify(view: TrainingRunView, step: Step, resolved: Resolved) -> Step:
    """Train a second time in a fresh pod, and compare."""
    if view.run.spec.suspend:
        return _suspended(view, step)
    inputs = str(step.status.inputs_digest)
    attempt = step.status.attempts
    second = _job(view, inputs, attempt, verifying=True)
    if second is None and (waiting := _waiting_for_the_store(view, step, REPRODUCIBLE, verifying=True)):
        return waiting
    if failed := setback(second):
        return _tries_again(step, failed, REPRODUCIBLE)
    if second is None or not is_finished(second):
        message = "training a second time to compare the digests"
        wanted = training_job(view.settings, view.run, resolved, inputs, attempt, verifying=True)
        return replace(step, standing=stand.in_progress(Reason.VERIFYING, message), create=(wanted,)).saying(
            condition(REPRODUCIBLE, "Unknown", Reason.VERIFYING, message)
        )
    match outcome(second, tasks.TrainReport):
        case Failure() as failure if _passes(failure, attempt):
            return _to_be_tried_again(view, step, second, failure, REPRODUCIBLE)
        case Failure() as failure:
            reason, message = _explained(view.run, second, failure)
            return replace(step, standing=stand.stalled(reason, message)).saying(
                condition(REPRODUCIBLE, "Unknown", reason, message)
            )
        case report if report.environment_digest != resolved.environment_digest:
            # The release was changed between the two: other bytes would prove nothing.
            message = _other_environment(report, resolved)
            return replace(step, standing=stand.stalled(Reason.ENVIRONMENT_MISMATCH, message)).saying(
                condition(REPRODUCIBLE, "Unknown", Reason.ENVIRONMENT_MISMATCH, message)
            )
        case report:
            equal = report.output_digest == step.status.output_digest
            first = None if equal else _first_difference(view, inputs, attempt, report)
            verification = Verification(equal=equal, first_difference=first)
            proven = replace(step, status=step.status.model_copy(update={"verification": verification}))
            message = f"a second execution gave {report.output_digest} as well"
            return proven.saying(condition(REPRODUCIBLE, "True", Reason.REPRODUCIBLE, message)) if equal else proven


def _first_difference(view: TrainingRunView, inputs: str, attempt: int, second: tasks.TrainReport) -> str | None:
    tried = (_job(view, inputs, earlier, verifying=False) for earlier in range(attempt, -1, -1))
    job = next((job for job in tried if job is not None and job.complete), None)
    first = outcome(job, tasks.TrainReport) if job is not None else None
    if not isinstance(first, tasks.TrainReport):
        return None
    names = sorted(first.files.keys() | second.files.keys())
    return next((name[:256] for name in names if first.files.get(name) != second.files.get(name)), None)


def _not_reproducible(step: Step) -> Step:
    first = step.status.verification.first_difference if step.status.verification else None
    where = f"; the first file that differs: {first}" if first else ""
    message = f"a second execution on the same inputs gave another model{where}"
    return replace(step, standing=stand.stalled(Reason.NOT_REPRODUCIBLE, message)).saying(
        condition(REPRODUCIBLE, "False", Reason.NOT_REPRODUCIBLE, message)
    )


def _register(view: TrainingRunView, step: Step, judged: str) -> Step:
    """Choose a number, which is on record before the ModelVersion of it is made; then see that and be done."""
    made = _made(view, step.status)
    if made is not None:
        status = step.status.model_copy(update={"model_version_ref": made.metadata.name})
        return replace(step, status=status, standing=stand.done(Reason.SUCCEEDED, judged))
    if (serves := _same_model(view, step.status)) is not None:
        return _nothing_new(step, serves)
    number = _number_on_record(view, step.status) or _free_number(view)
    if number > _MAX_VERSION:
        message = f"spec.register.modelName: the numbers of its versions are used up at {_MAX_VERSION}"
        return replace(step, standing=stand.stalled(Reason.OUTPUT_INVALID, message))
    chosen = model_version_name(_model_name(view.run), number)
    status = step.status.model_copy(update={"model_version_ref": chosen})
    making = stand.in_progress(Reason.GATES_PASSED, f"making ModelVersion {chosen}")
    # It is made of the status that is written first: what it names is on record by then.
    made_of = view.run.model_copy(update={"status": status})
    return replace(step, status=status, standing=making, create=(model_version(made_of, number),))


def _nothing_new(step: Step, serves: ModelVersion) -> Step:
    """Return: done, and nothing is registered."""
    name = serves.metadata.name
    why = "is withdrawn" if serves.spec.withdrawn else "is this model"
    message = f"ModelVersion {name} {why}, byte for byte ({step.status.output_digest}): no version is made"
    status = step.status.model_copy(update={"model_version_ref": None})
    return replace(step, status=status, standing=stand.done(Reason.NOTHING_NEW, message))


def _nothing_new_to_train(step: Step, serves: ModelVersion) -> Step:
    """Return: done without training, since the model of these inputs is there and nobody asked for it to be judged."""
    status = step.status.model_copy(update={"output_digest": artifact_of(serves)})
    message = f"the inputs are those of ModelVersion {serves.metadata.name}: nothing is trained"
    trained = replace(step, status=status).saying(condition(SUCCEEDED, "True", Reason.NOTHING_NEW, message))
    return _nothing_new(trained, serves)


def _made_of_the_same(view: TrainingRunView, inputs: str) -> ModelVersion | None:
    """Return the version that a run of a monitor would only make again.

    Any other run is trained, or takes its result over: whoever asked for it wants to see its metrics and gates.
    """
    if view.run.spec.register_ is None or view.run.spec.reproducibility.verify == "Once":
        return None
    if trigger_of(view.run) != "DriftMonitor":
        return None
    newest = newest_wanted(view.versions)
    lineage = (newest.status.lineage or newest.spec.lineage) if newest else None
    return newest if lineage is not None and lineage.inputs_digest == inputs and artifact_of(newest) else None


def _same_model(view: TrainingRunView, status: TrainingRunStatus) -> ModelVersion | None:
    """Return the version that has the bytes of this run's model, and serves already or is about to.

    What the loop made by itself is not put back after somebody withdrew it; a person's run may do that.
    """
    newest = newest_wanted(view.versions)
    if newest is not None and artifact_of(newest) == status.output_digest:
        return newest
    if trigger_of(view.run) not in ("DriftMonitor", "DatasetVersion"):
        return None
    withdrawn = (each for each in view.versions if each.spec.withdrawn and artifact_of(each) == status.output_digest)
    return max(withdrawn, key=lambda each: each.spec.version, default=None)


def _made(view: TrainingRunView, status: TrainingRunStatus) -> ModelVersion | None:
    """Return the version that came of this run; one of the same name by somebody else is not it."""
    return next(
        (
            version
            for version in view.versions
            if version.spec.lineage.training_run == view.run.metadata.name
            and version.spec.artifact is not None
            and version.spec.artifact.digest == status.output_digest
        ),
        None,
    )


def _number_on_record(view: TrainingRunView, status: TrainingRunStatus) -> int | None:
    """Return the number that was chosen and is still free; a name that no operator writes counts as none."""
    name = status.model_version_ref or ""
    digits = name.rpartition("-v")[2]
    number = int(digits) if digits.isdecimal() else 0
    ours = 1 <= number <= _MAX_VERSION and name == model_version_name(_model_name(view.run), number)
    return number if ours and all(version.metadata.name != name for version in view.versions) else None


def _free_number(view: TrainingRunView) -> int:
    """Return the number after all that are taken or spoken for."""
    model = _model_name(view.run)
    names = {version.metadata.name for version in view.versions} | {
        sibling.status.model_version_ref
        for sibling in view.siblings
        if sibling.metadata.name != view.run.metadata.name
        and sibling.spec.register_ is not None
        and sibling.spec.register_.model_name == model
    }
    number = max((highest_number(view.history), *(version.spec.version for version in view.versions))) + 1
    while model_version_name(model, number) in names:
        number += 1
    return number


def _model_name(run: TrainingRun) -> str:
    return run.spec.register_.model_name if run.spec.register_ else ""
