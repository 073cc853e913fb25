"""The loop on a real stream in one process: every planner of the product, and what pods do but for starting one.

`tests/planning/world.py` carries out the plans of all four kinds. Of the tasks that these hand out, training and checks
are done by the code of the pods; ingest puts the rows whose labels have come by then into the store, cut by time; that
a version answers as recorded is taken as given, since nothing here could have changed its bytes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from bench.drift_streams import CHECKS
from bench.loop_streams import RealStream
from mlops.api import kinds, labels, tasks
from mlops.api.base import format_time, parse_time
from mlops.planning.training.children import trigger_of
from mlops.statistics.metrics import evaluate
from mlops.store import open_store
from mlops.workloads.drift.findings import seed_of
from mlops.workloads.drift.reference import load_reference
from mlops.workloads.drift.run import fitting, report_of
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, Window, window_of
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.pod import Pod
from mlops.workloads.floor.samples import sample_of
from mlops.workloads.train.artifact import inputs_of
from mlops.workloads.train.data import read_data
from mlops.workloads.train.evaluate import measure, reported
from mlops.workloads.train.run import train
from tests.planning.builders import a_verify_report
from tests.planning.world import World

FRACTIONS = {"train": "0.7", "validation": "0.1", "test": "0.2"}
_NOTHING = "sha256:" + "0" * 64


@dataclass
class Work:
    """What pods have done for a stream; the same work of two policies is done once."""

    stream: RealStream
    folder: Path
    _trained: dict[tuple[str, str | None], tasks.TrainReport] = field(default_factory=dict)
    _answers: dict[str, pl.DataFrame] = field(default_factory=dict)
    _predictors: dict[str, Predictor] = field(default_factory=dict)
    _data: dict[tuple[str, str | None], Any] = field(default_factory=dict)
    _ingested: dict[int, str] = field(default_factory=dict)

    @cached_property
    def store(self) -> Any:
        """Return the artifact store."""
        return open_store(self._url, {})

    @property
    def _url(self) -> str:
        return f"file://{self.folder}/store"

    def ingest(self, as_of: datetime) -> tasks.IngestReport:
        """Store the rows whose labels have come by then."""
        known = self.stream.frame.filter(pl.col("time") + self.stream.delay <= as_of)
        first, second = int(known.height * 0.7), int(known.height * 0.8)
        if known.height not in self._ingested:
            with tempfile.TemporaryDirectory(dir=self.folder) as place:
                parts = {"train": known[:first], "validation": known[first:second], "test": known[second:]}
                for part, rows in parts.items():
                    rows.write_parquet(Path(place) / f"{part}.parquet")
                (Path(place) / "schema.json").write_text(json.dumps(self._schema()))
                self._ingested[known.height] = self.store.put_directory(Path(place)).digest
        artifact = self._ingested[known.height]
        counts = {"train": first, "validation": second - first, "test": known.height - second}
        return tasks.IngestReport(
            digest=artifact, artifact=artifact, schema_digest=_NOTHING, rows=known.height, bytes=1, splits=counts,
            validation={"passed": 1, "failed": 0}, as_of=format_time(as_of),
        )  # fmt: skip

    def _schema(self) -> dict[str, Any]:
        return {
            "formatVersion": 1,
            "fields": fields_of(self.stream),
            "features": [],
            "split": {"strategy": "time", "seed": 0, "fractions": FRACTIONS},
            "label": "label",
            "timestamp": "time",
            "entityKey": "id",
            "pii": [],
        }

    def train(self, task: tasks.TrainTask) -> tasks.TrainReport:
        """Train as the pod does; the champion is measured on the same rows."""
        asked = (task.dataset_artifact, task.since)
        if asked not in self._trained:
            with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
                pod = Pod({tasks.STORE_VARIABLE: self._url}, Path(scratch))
                self._trained[asked] = train(pod, task.evolve(champion_artifact=None))
                self._data[asked] = read_data(Path(scratch) / "data", task.since)
        # The environment is this one, whatever the settings of the planners say.
        report = self._trained[asked].evolve(environment_digest=task.environment_digest)
        if task.champion_artifact is None:
            return report
        data, champion = self._data[asked], self.predictor(task.champion_artifact)
        signature = champion.signature
        answer = champion.predict(inputs_of(data.parts["test"], signature.inputs))
        found = measure(signature.task, data.labels("test"), answer, signature.classes, signature.positive)
        return report.evolve(champion_metrics=tuple(reported("test", found.values)))

    def predictor(self, artifact: str) -> Predictor:
        """Return a trained model."""
        if artifact not in self._predictors:
            folder = self.folder / artifact[-16:]
            self.store.get(artifact, folder)
            self._predictors[artifact] = Predictor.load(folder)
            shutil.rmtree(folder)
        return self._predictors[artifact]

    def answers(self, artifact: str) -> pl.DataFrame:
        """Return the stream's rows as a model server would have captured them, all answered by this model."""
        if artifact not in self._answers:
            found, frame = self.predictor(artifact), self.stream.frame
            answer = found.predict(inputs_of(frame, found.signature.inputs))
            columns = [pl.Series("out.prediction", answer.prediction.tolist())]
            if answer.probabilities is not None:
                classes = found.signature.classes or ()
                columns += [pl.Series(f"out.p.{c}", answer.probabilities[:, i]) for i, c in enumerate(classes)]
            renamed = frame.select("id", "time", "label", *(pl.col(n).alias(f"in.{n}") for n in self.stream.features))
            numbers = pl.selectors.starts_with("in.") & pl.selectors.numeric()
            self._answers[artifact] = renamed.with_columns(
                numbers.cast(pl.Float64), pl.lit(0, pl.Int64).alias("row"), *columns
            )
        return self._answers[artifact]


def fields_of(stream: RealStream) -> list[dict[str, Any]]:
    """Return the contract of a stream's rows."""
    types = {pl.String: "string", pl.Float64: "float64", pl.Int64: "int64"}
    made = [{"name": "id", "type": "string", "role": "entityKey"}]
    made += [{"name": "time", "type": "timestamp", "role": "timestamp"}]
    made += [
        {"name": name, "type": types[type(stream.frame.schema[name])], "role": "feature"} for name in stream.features
    ]
    label = {"name": "label", "type": "string" if stream.classifies else "float64", "role": "label"}
    return [*made, label]


class Loop(World):
    """A policy at work on a stream, from the end of its history on."""

    def __init__(
        self, work: Work, spec: dict[str, Any] | None = None, *, checks: bool = True, growth: int | None = None
    ) -> None:
        """`spec`: changes of the monitor's; without `checks` the verdict is what `verdict` says; with `growth` the
        template has the trigger datasetGrowth of so many percent, and the rows are synced after each window."""
        super().__init__(self._pod)
        self.work, self.stream, self.checks, self.growth = work, work.stream, checks, growth
        self.verdict, self.verdicts = "Stable", []
        frame = self.stream.frame
        self.end = self.now = frame["time"][int(frame.height * self.stream.history)]
        self.live: list[tuple[datetime, str]] = []
        self.put(*self._objects(spec or {}))
        self.settle()
        self._serve(self.end)

    def _objects(self, changes: dict[str, Any]) -> Iterator[Any]:
        kind = "Classifier" if self.stream.classifies else "Regressor"
        params = {"max_iter": "80", "max_leaf_nodes": "12"}
        gate = {"metric": self.stream.metric, "compareTo": "champion"}
        growth = () if self.growth is None else ({"datasetGrowth": {"percent": self.growth}},)
        yield self._object("Dataset", "rows", {
            "source": {"s3": {"uri": "s3://raw/rows/"}},
            "fields": fields_of(self.stream),
            "split": {"strategy": "time", "fractions": FRACTIONS},
            **({"refresh": {"schedule": "0 * * * *"}} if growth else {}),
        })  # fmt: skip
        yield self._object("TrainingRun", "model", {
            "datasetRef": {"name": "rows"},
            "trainer": {"estimator": {"name": f"HistGradientBoosting{kind}", "params": params}},
            "gates": [gate],
            "register": {"modelName": "model"},
            "triggers": [{"templateChange": {}}, *growth],
        })  # fmt: skip
        yield self._object("DriftMonitor", "watch", {
            "targetRef": {"modelName": "model"},
            "schedule": "0 * * * *",
            "window": {"duration": _hours(self.stream.window), "minSamples": 50},
            "labels": {"maxDelay": _hours(self.stream.delay)},
            "checks": [check.dump() for check in CHECKS],
            "trainingRunRef": {"name": "model"},
            **changes,
        })  # fmt: skip

    def _object(self, kind: str, name: str, spec: dict[str, Any]) -> Any:
        metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "generation": 1}
        metadata["creationTimestamp"] = format_time(self.now - timedelta(days=1))
        return kinds.parse({"apiVersion": "mlops.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})

    def _pod(self, task: tasks.Task) -> Any:
        match task:
            case tasks.IngestTask():
                return self.work.ingest(self.end if task.as_of == "scheduled" else parse_time(task.as_of))
            case tasks.TrainTask():
                return self.work.train(task)
            case tasks.VerifyTask():
                return a_verify_report()
            case tasks.DriftTask():
                return self._check(task)
        return None

    def step(self, verdict: str = "Stable") -> None:
        """Let a window's length go by, and check it."""
        self.end += self.stream.window
        self.now, self.verdict = max(self.now, self.end), verdict
        self.schedule("watch-check", self.end)
        self.settle()
        if self.growth is not None:
            # After the check, which judges what the version before has answered.
            self.schedule("rows-refresh", self.end)
            self.settle()
        self._serve(self.end)

    @property
    def windows(self) -> int:
        """Return how many whole windows are left."""
        left: timedelta = self.stream.frame["time"][-1] - self.end
        return left // self.stream.window

    def _serve(self, at: datetime) -> None:
        found = [self.get("ModelVersion", name) for name in self.names("ModelVersion")]
        [live] = [each for each in found if "production" in each.status.stages]
        if not self.live or self.live[-1][1] != live.status.artifact:
            self.live.append((at, str(live.status.artifact)))

    def _check(self, task: tasks.DriftTask) -> tasks.DriftReport:
        span = JudgedSpan(self.end - self.stream.window, self.end, self.end - self.stream.delay)
        window = self._window(span, task.artifact)
        if not self.checks:
            return _said(self.verdict, span)
        reference = load_reference(self.work.store, task.artifact)
        seed = seed_of(task.namespace, task.monitor, task.artifact, format_time(span.end))
        decision = decide(reference, window, task.checks, limits=task.window, labels=task.labels, seed=seed)
        self.verdicts.append(decision.verdict)
        return fitting(report_of(window, decision, _NOTHING))

    def answered(self, first: datetime, last: datetime) -> pl.DataFrame:
        """Return the rows of (first, last], each with the answer of the version that was live then."""
        inside = (pl.col("time") > first) & (pl.col("time") <= last)
        ends = [*(at for at, _ in self.live[1:]), datetime.max.replace(tzinfo=first.tzinfo)]
        parts = [
            self.work.answers(artifact)
            .filter(inside & (pl.col("time") > since) & (pl.col("time") <= until))
            .with_columns(pl.lit(artifact).alias("_by"))
            for (since, artifact), until in zip(self.live, ends, strict=True)
        ]
        return pl.concat(parts)

    def _window(self, span: JudgedSpan, artifact: str) -> Window:
        rows = self.answered(span.start, span.end).with_columns((pl.col("_by") == artifact).alias("live")).drop("_by")
        known = pl.col("time") <= span.judged_until
        return window_of(rows.with_columns(pl.when(known).then("label").alias("label")), span)

    def runs(self) -> int:
        """Return how many runs the monitor has made, and the rows have called for."""
        made = [self.get("TrainingRun", name) for name in self.names("TrainingRun")]
        return sum(labels.MONITOR in run.metadata.labels or trigger_of(run) == "DatasetGrowth" for run in made)

    def value(self, since: datetime, until: datetime) -> float:
        """Return the metric of all answers that were given between."""
        rows = self.answered(since, until)
        classes = tuple(sorted(rows["label"].unique())) if self.stream.classifies else ()
        return float(evaluate(self.stream.metric, sample_of(self.stream.metric, rows, classes)))


def _hours(length: timedelta) -> str:
    return f"{length // timedelta(hours=1)}h"


def _said(verdict: str, span: JudgedSpan) -> tasks.DriftReport:
    """Return the report of a check that was told what to say."""
    return tasks.DriftReport.model_validate(
        {
            "verdict": verdict,
            "window_start": format_time(span.start),
            "window_end": format_time(span.end),
            "samples": 1000,
            "labelled": 1000,
            "label_coverage": "1",
            "checks": [],
            "report_digest": _NOTHING,
        }
    )
