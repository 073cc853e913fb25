"""A store in a folder with what the two versions of a canary did, written by the encoders of model servers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from mlops.api import tasks
from mlops.api.canary import Analysis
from mlops.api.model_version import Capture
from mlops.store import Store, open_store
from mlops.workloads.analysis.run import analyse
from mlops.workloads.floor.model.lone_rows import RowAnswer
from mlops.workloads.floor.model.signature import (
    EstimatorOf,
    Input,
    LabelColumn,
    ModelColumn,
    Outputs,
    Signature,
    class_name,
)
from mlops.workloads.floor.pod import Pod
from mlops.workloads.floor.records.layout import shadow_prefix
from mlops.workloads.floor.records.tally import Tally, bucket_of, tallies_prefix, tally_document
from mlops.workloads.serve.capture import CaptureEncoder, partitioned
from mlops.workloads.serve.captured_rows import messages_of, packed
from mlops.workloads.serve.encoder import plan_of
from mlops.workloads.serve.feedback import FeedbackReader, labels_message
from mlops.workloads.serve.feedback_files import FeedbackEncoder
from mlops.workloads.serve.file_names import FileNames

PLACE = ("shop", "churn", "production")
SINCE = datetime(2026, 11, 1, 12, tzinfo=UTC)
STABLE, CANDIDATE = "stable", "candidate"
_VERSIONS = {STABLE: 1, CANDIDATE: 2}


def a_signature(classes: Sequence[Any] | None = ("no", "yes"), **changes: Any) -> Signature:
    """A classifier of two classes, or a regression."""
    return Signature(
        task="regression" if classes is None else "classification",
        format="onnx",
        inputs=(Input(name="x", type="float64"),),
        columns=(ModelColumn(name="x", type="float64"),),
        label=LabelColumn(name="y", type="float64" if classes is None else "string"),
        classes=None if classes is None else tuple(classes),
        estimator=EstimatorOf(name="Ridge"),
        outputs=Outputs(value="value"),
        tolerance="0.00001",
    ).evolve(**changes)


@dataclass
class CanaryWorld:
    """Two versions of one model in one stage; what is written comes a minute after the canary began."""

    root: Path
    signatures: Mapping[str, Signature] = field(
        default_factory=lambda: {STABLE: a_signature(), CANDIDATE: a_signature()}
    )
    names: FileNames = field(default_factory=lambda: FileNames("pod"))

    @cached_property
    def store(self) -> Store:
        return open_store(f"file://{self.root}", {})

    @cached_property
    def artifacts(self) -> dict[str, str]:
        return {
            name: self.store.put_files(
                {"model.json": json.dumps(signature.dump()).encode(), "metrics.json": name.encode()}
            ).digest
            for name, signature in self.signatures.items()
        }

    def answer(
        self,
        which: str,
        prediction: Any,
        probabilities: Any = None,
        *,
        numbers: range | None = None,
        shadow: bool = False,
        arrived: datetime = SINCE + timedelta(minutes=1),
        amounts: Any = None,
    ) -> None:
        """Record answers, a request of one row each, with the ids r0, r1 and so on; request n comes after n ms."""
        classes = [class_name(one) for one in self.signatures[which].classes or ()]
        rows = []
        for row, (number, said) in enumerate(zip(numbers or range(len(prediction)), prediction, strict=True)):
            at = microseconds(arrived) + 1000 * number
            of_classes = None if probabilities is None else list(map(float, probabilities[row]))
            answer = RowAnswer(classes.index(said) if classes else float(said), of_classes)
            value = (0.0 if amounts is None else float(amounts[row]),)
            rows.append(packed(f"r{number}", at, at, value, answer))
        encoder = CaptureEncoder(plan_of(self._serving(which), self.signatures[which], "pod"), self.names)
        sent = [(document, b"".join(parts)) for document, parts in messages_of(rows)]
        files = encoder.files(sent)
        if shadow:
            files = partitioned(encoder.frame(sent), shadow_prefix(*PLACE), self.names)
        for file in files:
            self.store.put_object(file.key, file.data)

    def label(
        self,
        labels: Sequence[Any],
        *,
        numbers: range | None = None,
        received: datetime = SINCE + timedelta(hours=1),
    ) -> None:
        """Record labels of the requests r0, r1 and so on."""
        ids = numbers or range(len(labels))
        told = [{"id": f"r{number}", "label": label} for number, label in zip(ids, labels, strict=True)]
        signature = self.signatures[CANDIDATE]
        reader = FeedbackReader(signature, 10**6, 1 << 30)
        read = reader.read(json.dumps({"labels": told}).encode(), microseconds(received))
        _, (message,) = labels_message(read)
        encoder = FeedbackEncoder(plan_of(self._serving(CANDIDATE), signature, "pod"), self.names)
        for file in encoder.files(orjson.loads(message)):
            self.store.put_object(file.key, file.data)

    def tally(
        self,
        *,
        since: datetime = SINCE + timedelta(minutes=1),
        name: str = "a",
        seconds: Mapping[str, Sequence[float]] | None = None,
        **counts: tuple[int, int],
    ) -> str:
        """Store a file of counts: answered and failed by version; return its key."""
        tallies = []
        for which, (answered, failed) in counts.items():
            one = Tally(self.artifacts[which], answered, failed)
            one.seconds.update(bucket_of(each) for each in (seconds or {}).get(which, ()))
            if failed:
                one.reasons["timeout"] += failed
            tallies.append(one)
        until = since + timedelta(seconds=10)
        key = f"{tallies_prefix(*PLACE)}date={until:%Y-%m-%d}/{name}.json"
        self.store.put_object(key, json.dumps(tally_document(since, until, tallies)).encode())
        return key

    def task(self, *, look: int = 1, **analysis: Any) -> tasks.AnalysisTask:
        arms = {
            name: tasks.Arm(version=_VERSIONS[name], artifact=artifact) for name, artifact in self.artifacts.items()
        }
        return tasks.AnalysisTask(
            namespace=PLACE[0],
            model_name=PLACE[1],
            stage=PLACE[2],
            stable=arms[STABLE],
            candidate=arms[CANDIDATE],
            since=SINCE.isoformat().replace("+00:00", "Z"),
            analysis=Analysis.model_validate(analysis),
            look=look,
        )

    def judge(self, *, look: int = 1, **analysis: Any) -> tasks.AnalysisReport:
        """Run the program as a pod does; its report fits into a termination message."""
        report = analyse(
            Pod({tasks.STORE_VARIABLE: f"file://{self.root}"}, self.root), self.task(look=look, **analysis)
        )
        assert tasks.parse_report(tasks.write_report(report)) == report
        return report

    def _serving(self, which: str) -> tasks.ServeTask:
        return tasks.ServeTask(
            namespace=PLACE[0],
            model_name=PLACE[1],
            version=_VERSIONS[which],
            stage=PLACE[2],
            artifact=self.artifacts[which],
            capture=Capture(),
        )


def microseconds(at: datetime) -> int:
    """Microseconds since 1970."""
    return round(at.timestamp() * 1e6)
