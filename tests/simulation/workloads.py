"""What a pod's work reports: a function of the task and of what its sources hold, as with real pods.

Digests follow from what goes in: the same content read under the same spec is the same version, and a training on the
same inputs gives the same model, on whatever attempt and in whatever Job.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from mlops.api import tasks
from mlops.api.base import format_time, parse_duration
from mlops.api.calibration import MovedCalibration
from mlops.api.canary import AnalysisOutcome, CriterionResult
from mlops.api.dataset import DatasetSpec, SplitRows, ValidationResult
from mlops.api.digests import digest_of
from mlops.api.drift_monitor import CheckResult, MetricReading, OlderVersion, Verdict
from mlops.api.metrics import METRICS
from mlops.api.training_run import MetricValue

# Of a Dataset's spec: what does not change a version's content.
_BESIDE_THE_CONTENT: Any = {
    "suspend": True,
    "refresh": True,
    "retention": True,
    "freshness": True,
    "governance": {"owner", "purpose", "license"},
    "source": {
        "s3": {"secret_ref"},
        "http": {"secret_ref"},
        "captured": {"history": {"s3": {"secret_ref"}}},
    },
}
_PARTS = ("train", "validation", "test")
_ROWS = 100


@dataclass
class Workloads:
    """The outside world that pods read; the harness changes it while it runs.

    Where a name is missing, the value without a name counts.
    """

    # What the source of a Dataset holds, by the Dataset's name: any word, another word is other content. Of "" there
    # is no source.
    contents: dict[str, str] = field(default_factory=dict)
    content: str = "a"
    # How many rows a content has, by that word; 100 where it is missing.
    rows: dict[str, int] = field(default_factory=dict)
    # What a model scores, by the name of the model or the run: of every metric where more is better, else 1 less it.
    scores: dict[str, str] = field(default_factory=dict)
    score: str = "0.83"
    # What the champion of a comparison scores, by the same names.
    champions: dict[str, str] = field(default_factory=dict)
    champion: str = "0.80"
    # How many servers the requests to a model need.
    servers_needed: int = 1
    # How much longer than usual training takes.
    training_seconds: float = 0.0
    # By image. In one that is not here is what the task asks for.
    environments: dict[str, str] = field(default_factory=dict)
    # By the version that is checked, or by the monitor's name.
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    verdict: Verdict = "Stable"
    # Versions of which calibration alone has moved, where the verdict is ConceptDrift.
    miscalibrated: dict[str, None] = field(default_factory=dict)
    # By the version that is checked: the older one that is better on the window.
    better: dict[str, str] = field(default_factory=dict)
    # Whether checks of the delivery find a fault, beside the verdict.
    faulty: bool = False
    # Milliseconds, by the model's name.
    latencies: dict[str, str] = field(default_factory=dict)
    latency: str = "1.5"
    # Whether the store refuses the keys.
    denied: bool = False
    # Whether training fails, for a reason that is no fault of the recipe.
    training_fails: bool = False
    # Models whose requests have no labels.
    unlabelled: dict[str, None] = field(default_factory=dict)
    # Addresses of models that a server cannot load, and that cannot be verified.
    broken: dict[str, None] = field(default_factory=dict)
    # Addresses of models that are verified well, and whose servers do not become ready all the same.
    unready: dict[str, None] = field(default_factory=dict)
    # Addresses of models that two do not fit beside: servers that have one for a candidate run out of memory.
    heavy: dict[str, None] = field(default_factory=dict)
    # By address of a candidate: what an analysis finds of it.
    judged: dict[str, AnalysisOutcome] = field(default_factory=dict)
    # Addresses of models that were removed from the store.
    missing: dict[str, None] = field(default_factory=dict)
    # Addresses of versions of Datasets that a removal has taken, until the same is stored again.
    erased: dict[str, None] = field(default_factory=dict)
    # How long the image of a new server takes to come, in seconds, and whether servers find their store.
    pull_seconds: float = 0.0
    store_away: bool = False

    def report(self, task: tasks.Task, job_name: str, image: str = "") -> tasks.Report:
        """Return what the pod of that Job and image reports; a FailureReport is bad input, with exit code 2."""
        if self.denied:
            return _failure("AccessDenied", "s3://artifacts/: the keys are refused")
        match task:
            case tasks.IngestTask():
                return self._ingested(task, job_name)
            case tasks.RemoveTask():
                self.erased.update(dict.fromkeys(task.artifacts))
                return tasks.RemoveReport(artifacts=task.artifacts, bytes=4096)
            case tasks.FetchTask():
                return tasks.FetchReport(rows=_ROWS)
            case tasks.TrainTask():
                return self._trained(task, self.environments.get(image, task.environment_digest))
            case tasks.VerifyTask():
                return self._verified(task)
            case tasks.DriftTask():
                return self._checked(task, job_name)
            case tasks.AnalysisTask():
                return self._compared(task)
        return _failure("ServingFailed", "a server has nothing to report")

    def serves(self, artifact: str) -> bool:
        """Return whether a server of that model becomes ready, if nothing happens to it."""
        return not any(artifact in bad for bad in (self.broken, self.unready, self.missing))

    def refusal(self, task: tasks.ServeTask) -> tasks.FailureReport | None:
        """Return what a server of that model says when it is started, None if it serves. Trouble of the store is what
        it finds first."""
        if self.store_away:
            return _failure("StoreUnavailable", "the store does not answer")
        if task.artifact in self.missing:
            return _failure("ArtifactNotFound", f"{task.artifact}: not found")
        if not self.serves(task.artifact):
            return _failure("GoldenFailed", "row 0: the recorded answer is another one")
        return None

    def _ingested(self, task: tasks.IngestTask, job_name: str) -> tasks.Report:
        content = self.contents.get(task.dataset, self.content)
        if not content:
            return _failure("SourceNotFound", f"spec.source: there is nothing for {task.dataset}")
        captured = task.spec.source.captured
        if captured is not None and captured.history is None and captured.model_name in self.unlabelled:
            return _failure("DataUnusable", f"no captured row of {captured.model_name} has a label")
        digest = digest_of(["version", content, _content_of(task.spec), task.captures])
        artifact = digest_of(["artifact", digest])
        self.erased.pop(artifact, None)
        return tasks.IngestReport(
            digest=digest,
            artifact=artifact,
            schema_digest=schema_digest(task.spec),
            rows=self.rows.get(content, _ROWS),
            bytes=4096,
            splits=SplitRows(train=60, validation=20, test=20),
            validation=ValidationResult(passed=3, failed=0),
            as_of=format_time(
                _scheduled(job_name, tasks.refresh_name(task.dataset))
                if task.as_of == "scheduled"
                else datetime.fromisoformat(task.as_of)
            ),
        )

    def _trained(self, task: tasks.TrainTask, environment: str) -> tasks.Report:
        if self.training_fails:
            return _failure("TrainingFailed", "the disk of the node is full")
        if task.dataset_artifact in self.erased:
            return _failure("NotFound", f"{task.dataset_artifact}: there is no such object")
        name = task.model_name or task.run
        inputs = [
            task.dataset_digest,
            task.since,
            # As with a real search: the best trial is the model that its parameters alone would give.
            {**task.estimator.dump(), "params": {**task.estimator.params, **(_best(task) or {})}}
            if task.estimator
            else None,
            task.seed,
            environment,
            *([task.recalibration.dump()] if task.recalibration else []),
        ]
        output = digest_of(["model", *inputs])
        champion = self.champions.get(name, self.champions.get(task.run, self.champion))
        return tasks.TrainReport(
            output_digest=output,
            prediction_digest=digest_of(["predictions", output]),
            environment_digest=environment,
            format="onnx",
            metrics=_metrics(self.scores.get(name, self.scores.get(task.run, self.score))),
            champion_metrics=_metrics(champion) if task.champion_artifact else (),
            best_params=_best(task),
            trials=3 if task.search else None,
            files={"model.onnx": digest_of(["file", output])},
        )

    def _verified(self, task: tasks.VerifyTask) -> tasks.Report:
        if task.artifact in self.broken:
            return _failure("GoldenFailed", f"{task.artifact}: row 0: the recorded answer is another one")
        p99 = self.latencies.get(task.model_name, self.latency)
        return tasks.VerifyReport(golden_rows=64, max_difference="0", p99_milliseconds=p99, format="onnx")

    def _compared(self, task: tasks.AnalysisTask) -> tasks.Report:
        fails = not self.serves(task.candidate.artifact)
        outcome = "Failed" if fails else self.judged.get(task.candidate.artifact, "Successful")
        found = CriterionResult(name="errorRate", outcome=outcome, message=f"look {task.look} at {task.stage}")
        return tasks.AnalysisReport(outcome=outcome, criteria=(found,))

    def _checked(self, task: tasks.DriftTask, job_name: str) -> tasks.Report:
        end = datetime.fromisoformat(task.as_of) if task.as_of else _scheduled(job_name, tasks.check_name(task.monitor))
        labelled = 0 if task.target.model_name in self.unlabelled else 400
        verdict = self.verdicts.get(task.model_version, self.verdicts.get(task.monitor, self.verdict))
        needs_labels = verdict in ("PerformanceDrop", "ConceptDrift")
        if needs_labels and not labelled:
            verdict = "Inconclusive"
        score = self.scores.get(task.target.model_name, self.score)
        return tasks.DriftReport(
            verdict=verdict,
            window_start=format_time(end - parse_duration(str(task.window.duration))),
            window_end=format_time(end),
            samples=1000,
            labelled=labelled,
            label_coverage="0.4" if labelled else "0",
            # The version that was checked is named: who reads a status can tell whose verdict it is.
            checks=tuple(
                CheckResult(
                    name=check.name,
                    type=check.type,
                    result="Detected" if self._detects(check.type, verdict) else "NotDetected",
                    message=f"looked at {task.model_version}",
                )
                for check in task.checks
            ),
            metric=MetricReading(name="roc_auc", reference=score, current=score, low=score, high=score)
            if labelled
            else None,
            change_point=format_time(end - parse_duration(str(task.window.duration)) / 2) if needs_labels else None,
            calibration=self._calibration(task, end) if verdict == "ConceptDrift" else None,
            older=self._best_older(task, verdict),
            labels_wanted=_rows_to_label(task, verdict),
            report_digest=digest_of(["check", task.dump(), job_name, verdict, labelled]),
        )

    def _detects(self, type_: str, verdict: Verdict) -> bool:
        return type_ == verdict or (self.faulty and type_ == "DataQuality")

    def _calibration(self, task: tasks.DriftTask, end: datetime) -> MovedCalibration:
        return MovedCalibration(
            alone=task.model_version in self.miscalibrated,
            artifact=task.artifact,
            metric="brier",
            reference="0.1",
            current="0.2",
            restored="0.11",
            ranking_reference="0.8",
            ranking_current="0.8",
            since=format_time(end - parse_duration(str(task.window.duration)) / 2),
        )

    def _best_older(self, task: tasks.DriftTask, verdict: Verdict) -> OlderVersion | None:
        if task.rollback is None or verdict not in task.rollback.when:
            return None
        wanted = self.better.get(task.model_version)
        best = next((each for each in task.rollback.older if each.version == wanted), None)
        found = best or task.rollback.older[0]
        gain = "0.2" if best else "0"
        return OlderVersion(
            version=found.version,
            artifact=found.artifact,
            against=task.artifact,
            metric="roc_auc",
            live="0.6",
            older="0.8" if best else "0.6",
            gain=gain,
            low=gain,
            high=gain,
            p_value="0.001" if best else "1",
            better=best is not None,
        )


def _rows_to_label(task: tasks.DriftTask, verdict: Verdict) -> tasks.LabelsWanted | None:
    question = task.label_request
    if question is None or verdict not in question.when:
        return None
    return tasks.LabelsWanted(rows=question.budget, asked_before=0, needed=40, file="label-request.jsonl")


def schema_digest(spec: DatasetSpec) -> str:
    """Return the digest of a version's columns, as an ingest under that spec reports it."""
    return digest_of(["schema", _content_of(spec).get("fields")])


def checked_version(report: tasks.DriftReport) -> str:
    """Return the name of the ModelVersion that a simulated check looked at."""
    return report.checks[0].message.removeprefix("looked at ")


def _failure(reason: str, message: str) -> tasks.FailureReport:
    return tasks.FailureReport(reason=reason, message=message)


def _content_of(spec: DatasetSpec) -> dict[str, object]:
    content = spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True, exclude=_BESIDE_THE_CONTENT)
    return {name: value for name, value in content.items() if value != {}}


def _scheduled(job_name: str, cron_job: str) -> datetime:
    minutes = tasks.scheduled_time(job_name, cron_job)
    return datetime.fromtimestamp((minutes or 0) * 60, UTC)


def _metrics(score: str) -> tuple[MetricValue, ...]:
    return tuple(
        MetricValue(
            name=name, dataset=part, value=score if facts.higher_is_better else str(Decimal(1) - Decimal(score))
        )
        for part in _PARTS
        for name, facts in METRICS.items()
    )


def _best(task: tasks.TrainTask) -> dict[str, str] | None:
    """Return what the search found: the first value of each parameter."""
    return {each.name: each.values[0] for each in task.search.parameters} if task.search else None
