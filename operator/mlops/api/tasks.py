"""The contract between the operator and the pods: a task goes in by environment, a report comes out.

A task is one JSON document in the environment variable `MLOPS_TASK`; a long one goes on in `MLOPS_TASK_2`. A report
is one JSON document of at most 4096 bytes in the termination message; what is larger goes to the store and the report
names its digest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import count, takewhile
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from mlops.api import labels
from mlops.api.base import Decimal, Digest, Model, Timestamp, exactly_one_of
from mlops.api.calibration import MovedCalibration
from mlops.api.costs import Costs
from mlops.api.dataset import DatasetSpec, SplitRows, ValidationResult
from mlops.api.drift_monitor import (
    Action,
    Attribution,
    Check,
    CheckResult,
    FeatureShift,
    Guard,
    Labels,
    MetricReading,
    OlderVersion,
    TargetRef,
    Verdict,
    Window,
)
from mlops.api.drift_reference import DriftReference, ReferenceSource
from mlops.api.drift_reference import PinnedDataset as PinnedDataset
from mlops.api.estimator import Estimator
from mlops.api.file_formats import FileFormat
from mlops.api.label_sources import LabelSource, LabelSourceResult
from mlops.api.model_version import Capture, VersionVerification
from mlops.api.numeric_environment import NUMERIC_ENVIRONMENT as NUMERIC_ENVIRONMENT
from mlops.api.reasons import Reported
from mlops.api.stage_access import StageAuth, StageTls
from mlops.api.training_run import MetricValue, Recalibration, Search

TASK_VARIABLE = "MLOPS_TASK"
STORE_VARIABLE = "MLOPS_STORE"  # file:///… or s3://bucket/prefix
BUCKETS_VARIABLE = "MLOPS_BUCKETS"  # only beside a file store: the folder that s3:// URIs resolve to
INPUTS_VARIABLE = "MLOPS_INPUTS"
OUTPUTS_VARIABLE = "MLOPS_OUTPUTS"
TERMINATION_VARIABLE = "MLOPS_TERMINATION_LOG"  # default /dev/termination-log
JOB_VARIABLE = "MLOPS_JOB"  # the name of the pod's Job, from its label batch.kubernetes.io/job-name
LOG_FORMAT_VARIABLE = "MLOPS_LOG_FORMAT"  # text or json; the operator sets it
HOST_VARIABLE = "MLOPS_HOST"
PORT_VARIABLE = "MLOPS_PORT"  # where a model server listens
GRPC_PORT_VARIABLE = "MLOPS_GRPC_PORT"  # where it speaks gRPC; without one it does not
CAPTURE_KEY_VARIABLE = "MLOPS_CAPTURE_KEY"  # what model servers choose captured requests by; a random one if not set
STORE_ROOT_VARIABLE = "MLOPS_STORE_ROOT"  # with a store per namespace: what all of them lie under
S3_KEYS_VARIABLE = "MLOPS_S3_KEYS"  # a folder with a file per key of the Secret, which follows the Secret's changes
# Folders with the files of Secrets that a stage names; they follow the Secrets' changes.
API_KEYS_VARIABLE = "MLOPS_API_KEYS"
JWKS_VARIABLE = "MLOPS_JWKS"
TLS_VARIABLE = "MLOPS_TLS"
DRAIN_VARIABLE = "MLOPS_DRAIN_SECONDS"  # for how long it goes on answering after it was told to stop
S3_SECRET_VARIABLE = "MLOPS_S3_SECRET"  # namespace/name of the Secret that the S3 settings come from, for messages
SOURCE_PREFIX = "SOURCE_"  # before each key of a source's own Secret in the environment
HTTP_NETWORKS_VARIABLE = "MLOPS_HTTP_ALLOWED_NETWORKS"  # CIDRs that http sources may reach though not public

EXIT_DONE = 0
EXIT_RETRY = 1  # a passing fault: try again
EXIT_BAD_INPUT = 2  # the input is bad: trying again cannot help
EXIT_PUT_ASIDE = 3  # of scoring: done, but rows were put aside

MAX_REPORT_BYTES = 4096
# Linux starts no process with a longer string than 128 KiB in its environment.
_LONGEST_VALUE = 100_000
# A kubelet puts variables in where a value has $(NAME), and takes $$ for $.
_REFERENCE = re.compile(r"\$(?=[$(])")

# Nothing is imported but what is installed: no folder that somebody else may write to is on the interpreter's path.
SAFE_PYTHON = {"PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}


# What a CronJob's Jobs are called: its name, and minutes since 1970.
_SCHEDULED = re.compile(r"(.*?)-(-?[0-9]{1,9})")
# Fewer digits, or a day such as 20260110, are a person's way to tell Jobs apart.
_FEWEST_DIGITS = 7
_DATE = re.compile(r"20[0-9]{2}(0[1-9]|1[0-2])([0-2][0-9]|3[01])")


class IngestTask(Model):
    """Read a source, clean, validate, split and store one version of a Dataset."""

    task: Literal["ingest"] = "ingest"
    namespace: str
    dataset: str
    spec: DatasetSpec
    # The end of a captured window, and the timestamp the source is synced: an RFC 3339 time, or "scheduled" in the
    # Jobs of a CronJob, whose names carry their time.
    as_of: str
    # Whether a version of the model is or was live, so that captures may be read; without one only `history` is.
    captures: bool = False
    # The artifact of the version that a source which is read incrementally adds to.
    previous: Digest | None = None


# So many fields at most are named in a report, which has 4096 bytes.
MOST_NAMED = 5


class IngestReport(Model):
    """The version made, or the same one again."""

    report: Literal["ingest"] = "ingest"
    digest: Digest
    artifact: Digest
    schema_digest: Digest
    rows: int
    bytes: int
    splits: SplitRows
    # Fields with times that had no offset from UTC, a few of them.
    read_as_utc: tuple[str, ...] = ()
    # The highest value of the column by which a source is read incrementally.
    watermark: str | None = None
    validation: ValidationResult
    as_of: Timestamp
    # When the newest of what was read was delivered, and the newest value of the timestamp field; None: nothing says.
    delivered_at: Timestamp | None = None
    newest_event: Timestamp | None = None


class RemoveTask(Model):
    """Remove versions of a Dataset from the store, that is the artifacts of this address."""

    task: Literal["remove"] = "remove"
    namespace: str
    dataset: str
    artifacts: tuple[str, ...]


# So many artifacts at most are removed by one Job: its report names them all.
MOST_REMOVED = 20


class RemoveReport(Model):
    """The artifacts that are gone, also those that were gone before."""

    report: Literal["remove"] = "remove"
    artifacts: tuple[Digest, ...]
    # What that freed: bytes of files that no other artifact has.
    bytes: int


class TrainTask(Model):
    """Train, evaluate and export one model."""

    task: Literal["train"] = "train"
    namespace: str
    run: str
    model_name: str | None = None
    dataset_artifact: str
    dataset_digest: str
    since: str | None = None
    # Neither: the model is in the outputs folder, put there by the user's own container.
    estimator: Estimator | None = None
    recalibration: Recalibration | None = None
    search: Search | None = None
    costs: Costs | None = None
    seed: int = 0
    environment_digest: str
    champion_artifact: str | None = None


class FetchTask(Model):
    """Put the data of a run into the inputs folder, for a user's own container."""

    task: Literal["fetch"] = "fetch"
    namespace: str
    run: str
    dataset_artifact: str
    dataset_digest: str
    since: str | None = None
    seed: int = 0
    # For the user's code, which may learn by them.
    costs: Costs | None = None


class FetchReport(Model):
    """The data is there."""

    report: Literal["fetch"] = "fetch"
    rows: int


class TrainReport(Model):
    """The model made, and how good it is."""

    report: Literal["train"] = "train"
    output_digest: Digest
    prediction_digest: Digest
    environment_digest: Digest
    format: Literal["onnx", "treelite", "skops"]
    metrics: tuple[MetricValue, ...]
    champion_metrics: tuple[MetricValue, ...] = ()
    best_params: dict[str, str] | None = None
    trials: int | None = None
    # Of a classifier of two classes: the one that metrics of one class speak of.
    positive_class: str | None = None
    # What the training did with the data that nobody asked for, as far as it fits; all of it stands in the pod's log.
    notes: tuple[str, ...] = ()
    # sha256 of every file of the model, to name the first difference of two executions; left out when too many
    files: dict[str, str] = Field(default_factory=dict)


class VerifyTask(Model):
    """Check a model's bytes and its recorded answers, and measure how fast it is."""

    task: Literal["verify"] = "verify"
    namespace: str
    model_name: str
    version: int
    # Of the ModelVersion, for the log.
    object_name: str | None = None
    artifact: str
    # The tightest latency gate: it is measured again while it is not kept, for a busy node is not the model's fault.
    p99_milliseconds: int | None = None


class VerifyReport(VersionVerification):
    """What was found."""

    report: Literal["verify"] = "verify"
    format: Literal["onnx", "treelite", "skops"]


class ServeTask(Model):
    """Serve one version over the Open Inference Protocol."""

    task: Literal["serve"] = "serve"
    namespace: str
    model_name: str
    version: int
    # Of the ModelVersion, for the log.
    object_name: str | None = None
    stage: str
    artifact: str
    capture: Capture
    # What is asked of requests, and the certificate that is shown, as far as the stage says; both name Secrets.
    auth: StageAuth | None = None
    tls: StageTls | None = None


class OlderCandidate(Model):
    """A version that has served in the stage before."""

    version: str
    artifact: str


class RollbackQuestion(Model):
    """Is one of these better on the window than the live version? Asked when the verdict is one of `when`."""

    when: tuple[Verdict, ...]
    older: tuple[OlderCandidate, ...]
    # How many more there are, which are not measured.
    left_out: int = 0


class LabelQuestion(Model):
    """Which rows are to be labelled? Asked when the verdict is one of `when`."""

    when: tuple[Verdict, ...]
    # So many of one window at most, over all checks of it.
    budget: int


class LabelsWanted(Model):
    """The rows that a check asks labels for: a line each in `file`, beside the report."""

    rows: int
    asked_before: int
    needed: int
    file: str


class MonitorPolicy(Model):
    """What is done about verdicts, for the report; the operator does it."""

    actions: tuple[Action, ...]
    guard: Guard
    # The template that runs are made of.
    template: str | None = None


class LabelsTask(Model):
    """Read the delivered labels of one source into the inputs folder, for the check that follows in the same pod."""

    task: Literal["labels"] = "labels"
    namespace: str
    monitor: str
    # The place of the source in spec.labels.sources.
    number: int
    source: LabelSource
    # The model, whose label has a type.
    artifact: str
    # The spec's window, and the end of it: as of a DriftTask.
    window: Window
    reference: DriftReference | None = None
    as_of: str | None = None


class LabelsReport(Model):
    """The labels are there."""

    report: Literal["labels"] = "labels"
    rows: int


class DriftTask(Model):
    """Compare what a served model saw with what it was trained on."""

    task: Literal["drift"] = "drift"
    namespace: str
    monitor: str
    target: TargetRef
    # The live version and the address of its model, which holds the reference.
    model_version: str
    artifact: str
    window: Window
    labels: Labels
    checks: tuple[Check, ...]
    # The version of the Dataset that labels come from.
    label_dataset: PinnedDataset | None = None
    # What the window is compared with, and the version if it is a Dataset's. None: the model's training data.
    reference: DriftReference | None = None
    reference_dataset: PinnedDataset | None = None
    # The end of the window: an RFC 3339 time. None in the Jobs of a CronJob, whose names carry their time.
    as_of: str | None = None
    rollback: RollbackQuestion | None = None
    label_request: LabelQuestion | None = None
    # None: of an operator that does not say it.
    policy: MonitorPolicy | None = None


class DriftReport(Model):
    """The verdict and what it rests on. The end of the window is the scheduled time in the Job's name."""

    report: Literal["drift"] = "drift"
    verdict: Verdict
    window_start: str
    window_end: str
    samples: int
    labelled: int
    label_coverage: Decimal
    label_sources: tuple[LabelSourceResult, ...] = ()
    reference: ReferenceSource | None = None
    checks: tuple[CheckResult, ...]
    metric: MetricReading | None = None
    estimated_metric: MetricReading | None = None
    top_features: tuple[FeatureShift, ...] = ()
    attribution: Attribution | None = None
    calibration: MovedCalibration | None = None
    change_point: Timestamp | None = None
    # The best of the older versions, if they were measured, and in a few words why others were not.
    older: OlderVersion | None = None
    not_measured: str | None = None
    labels_wanted: LabelsWanted | None = None
    report_digest: Digest


# What of a row's own columns stands beside its answer, and what is done with a row that a server would refuse.
ScoredColumns = Literal["keys", "all", "none"]
OnInvalid = Literal["refuse", "quarantine"]
# As many rows of a file have their answers in one file, unless somebody says otherwise.
PART_ROWS = 100_000


class ScoredInput(Model):
    """Where the rows lie: one of both."""

    # s3://bucket/key or s3://bucket/prefix/; or, on one machine, file:///a/file or file:///a/folder/.
    uri: str | None = None
    dataset: PinnedDataset | None = None
    rules: ClassVar = (exactly_one_of("uri", "dataset", path="input"),)


class ScoreTask(Model):
    """Answer rows by one version of a model, and write the answers beside each other as Parquet."""

    task: Literal["score"] = "score"
    namespace: str
    model_name: str
    version: int
    # Of the ModelVersion, for the log.
    object_name: str | None = None
    artifact: Digest
    input: ScoredInput
    # s3://bucket/prefix/, or file:///a/folder/. In both addresses {date} and {time} stand for the Job's scheduled time.
    output: str
    # How files are read and which fields are keys: the spec of the Dataset that they are deliveries of.
    spec: DatasetSpec | None = None
    # Of the files, where neither their names nor the Dataset say it, or it is another one.
    format: FileFormat | None = None
    columns: ScoredColumns = "keys"
    on_invalid: OnInvalid = "refuse"
    part_rows: int = Field(default=PART_ROWS, ge=1, le=10_000_000)


class ScoreReport(Model):
    """What was answered, by an earlier execution too."""

    report: Literal["score"] = "score"
    artifact: Digest
    output: str
    rows: int
    answered: int
    # Rows that a server would refuse, and rows of CSV that are none of their contract's types.
    quarantined: int
    parts: int
    # Of the parts: what an earlier execution had written.
    kept_parts: int


class FailureReport(Model):
    """Why there is no result. `reason` is one of the kind's condition reasons."""

    report: Literal["failure"] = "failure"
    reason: Reported
    message: str


Task = Annotated[
    IngestTask | RemoveTask | FetchTask | TrainTask | VerifyTask | ServeTask | LabelsTask | DriftTask | ScoreTask,
    Field(discriminator="task"),
]
Report = Annotated[
    IngestReport
    | RemoveReport
    | FetchReport
    | TrainReport
    | VerifyReport
    | LabelsReport
    | DriftReport
    | ScoreReport
    | FailureReport,
    Field(discriminator="report"),
]
_WHEN_NEEDED = ConfigDict(defer_build=True)
_TASK: TypeAdapter[Task] = TypeAdapter(Task, config=_WHEN_NEEDED)
_REPORT: TypeAdapter[Report] = TypeAdapter(Report, config=_WHEN_NEEDED)


class ReportError(ValueError):
    """A termination message that is no report."""


def parse_task(text: str) -> Task:
    """Return the task in `text`; raises pydantic's ValidationError if there is none."""
    return _TASK.validate_json(text)


def parse_report(text: str) -> Report:
    """Return the report in a termination message; raises ReportError if it holds none."""
    try:
        return _REPORT.validate_json(text)
    except ValueError as error:
        raise ReportError(f"the termination message holds no report: {text[:80]!r}") from error


def write_report(report: Report) -> str:
    """Return the termination message of `report`; raises ReportError above 4096 bytes: nothing may be cut silently."""
    text = json.dumps(report.dump(), separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > MAX_REPORT_BYTES:
        raise ReportError(f"the report has {len(text.encode())} bytes, the limit is {MAX_REPORT_BYTES}")
    return text


def refresh_name(dataset: str) -> str:
    """Return the name of a Dataset's CronJob; Kubernetes allows 52 characters."""
    return labels.child_name(dataset, "refresh", limit=52)


def check_name(monitor: str) -> str:
    """Return the name of a DriftMonitor's CronJob; Kubernetes allows 52 characters."""
    return labels.child_name(monitor, "check", limit=52)


def scheduled_time(job: str, *names: str) -> int | None:
    """Return the scheduled time, in minutes since 1970, that a CronJob's Job carries as the last part of its name.

    Before 1970 it is negative, as in `weather--5784480`: a replay's clock may show any year. `names` are the CronJob's
    and others that its Jobs may begin like; any if none is given. None: a person made the Job (`kubectl create job
    --from=cronjob/...`) under a name of their own, which may end in a number or a date.
    """
    found = _SCHEDULED.fullmatch(job)
    if found is None:
        return None
    if names and found[1] != names[0]:
        alike = _last_word(found[1]) in map(_last_word, names)
        if not alike or len(found[2]) < _FEWEST_DIGITS or _DATE.fullmatch(found[2]):
            return None
    return int(found[2])


def _last_word(name: str) -> str:
    return name.rpartition("-")[2]


def task_environment(task: Task) -> list[dict[str, Any]]:
    """Return the env entries of a pod for `task`: one, or for a long one several, MLOPS_TASK_2 and so on."""
    text = json.dumps(task.dump(), separators=(",", ":"), sort_keys=True)
    pieces = [text[start : start + _LONGEST_VALUE] for start in range(0, len(text), _LONGEST_VALUE)]
    return [
        {"name": _task_variable(number), "value": _REFERENCE.sub("$$", piece)}
        for number, piece in enumerate(pieces, start=1)
    ]


def task_text(environ: Mapping[str, str]) -> str:
    """Return the task's JSON from a pod's environment; empty if it has none."""
    names = takewhile(environ.__contains__, map(_task_variable, count(1)))
    return "".join(environ[name] for name in names)


def _task_variable(number: int) -> str:
    return TASK_VARIABLE if number == 1 else f"{TASK_VARIABLE}_{number}"
