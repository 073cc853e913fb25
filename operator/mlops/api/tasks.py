"""The contract between the operator and the pods: a task goes in by environment, a report comes out.

A task is one JSON document in the environment variable `MLOPS_TASK`; a long one goes on in `MLOPS_TASK_2`. A report
is one JSON document of at most 4096 bytes in the termination message; what is larger goes to the store and the report
names its digest.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter

from mlops.api.drift_reference import PinnedDataset as PinnedDataset
from mlops.api.drift_task import DriftReport as DriftReport
from mlops.api.drift_task import DriftTask as DriftTask
from mlops.api.drift_task import LabelQuestion as LabelQuestion
from mlops.api.drift_task import LabelsReport as LabelsReport
from mlops.api.drift_task import LabelsTask as LabelsTask
from mlops.api.drift_task import LabelsWanted as LabelsWanted
from mlops.api.drift_task import MonitorPolicy as MonitorPolicy
from mlops.api.drift_task import OlderCandidate as OlderCandidate
from mlops.api.drift_task import RollbackQuestion as RollbackQuestion
from mlops.api.ingest_task import MOST_NAMED as MOST_NAMED
from mlops.api.ingest_task import MOST_REMOVED as MOST_REMOVED
from mlops.api.ingest_task import IngestReport as IngestReport
from mlops.api.ingest_task import IngestTask as IngestTask
from mlops.api.ingest_task import RemoveReport as RemoveReport
from mlops.api.ingest_task import RemoveTask as RemoveTask
from mlops.api.job_names import check_name as check_name
from mlops.api.job_names import refresh_name as refresh_name
from mlops.api.job_names import scheduled_time as scheduled_time
from mlops.api.numeric_environment import NUMERIC_ENVIRONMENT as NUMERIC_ENVIRONMENT
from mlops.api.score_task import PART_ROWS as PART_ROWS
from mlops.api.score_task import OnInvalid as OnInvalid
from mlops.api.score_task import ScoredColumns as ScoredColumns
from mlops.api.score_task import ScoredInput as ScoredInput
from mlops.api.score_task import ScoreReport as ScoreReport
from mlops.api.score_task import ScoreTask as ScoreTask
from mlops.api.serving_task import AnalysisReport as AnalysisReport
from mlops.api.serving_task import AnalysisTask as AnalysisTask
from mlops.api.serving_task import Arm as Arm
from mlops.api.serving_task import ServeCandidate as ServeCandidate
from mlops.api.serving_task import ServeTask as ServeTask
from mlops.api.serving_task import VerifyReport as VerifyReport
from mlops.api.serving_task import VerifyTask as VerifyTask
from mlops.api.task_report import MAX_REPORT_BYTES as MAX_REPORT_BYTES
from mlops.api.task_report import FailureReport as FailureReport
from mlops.api.task_report import ReportError as ReportError
from mlops.api.task_report import write_report as write_report
from mlops.api.task_variables import API_KEYS_VARIABLE as API_KEYS_VARIABLE
from mlops.api.task_variables import BUCKETS_VARIABLE as BUCKETS_VARIABLE
from mlops.api.task_variables import CAPTURE_KEY_VARIABLE as CAPTURE_KEY_VARIABLE
from mlops.api.task_variables import DRAIN_VARIABLE as DRAIN_VARIABLE
from mlops.api.task_variables import EXIT_BAD_INPUT as EXIT_BAD_INPUT
from mlops.api.task_variables import EXIT_DONE as EXIT_DONE
from mlops.api.task_variables import EXIT_PUT_ASIDE as EXIT_PUT_ASIDE
from mlops.api.task_variables import EXIT_RETRY as EXIT_RETRY
from mlops.api.task_variables import GRPC_PORT_VARIABLE as GRPC_PORT_VARIABLE
from mlops.api.task_variables import HOST_VARIABLE as HOST_VARIABLE
from mlops.api.task_variables import HTTP_NETWORKS_VARIABLE as HTTP_NETWORKS_VARIABLE
from mlops.api.task_variables import INPUTS_VARIABLE as INPUTS_VARIABLE
from mlops.api.task_variables import JOB_VARIABLE as JOB_VARIABLE
from mlops.api.task_variables import JWKS_VARIABLE as JWKS_VARIABLE
from mlops.api.task_variables import LOG_FORMAT_VARIABLE as LOG_FORMAT_VARIABLE
from mlops.api.task_variables import OUTPUTS_VARIABLE as OUTPUTS_VARIABLE
from mlops.api.task_variables import PORT_VARIABLE as PORT_VARIABLE
from mlops.api.task_variables import S3_KEYS_VARIABLE as S3_KEYS_VARIABLE
from mlops.api.task_variables import S3_SECRET_VARIABLE as S3_SECRET_VARIABLE
from mlops.api.task_variables import SAFE_PYTHON as SAFE_PYTHON
from mlops.api.task_variables import SOURCE_PREFIX as SOURCE_PREFIX
from mlops.api.task_variables import STORE_ROOT_VARIABLE as STORE_ROOT_VARIABLE
from mlops.api.task_variables import STORE_VARIABLE as STORE_VARIABLE
from mlops.api.task_variables import TASK_VARIABLE as TASK_VARIABLE
from mlops.api.task_variables import TERMINATION_VARIABLE as TERMINATION_VARIABLE
from mlops.api.task_variables import TLS_VARIABLE as TLS_VARIABLE
from mlops.api.task_variables import task_environment as task_environment
from mlops.api.task_variables import task_text as task_text
from mlops.api.training_task import FetchReport as FetchReport
from mlops.api.training_task import FetchTask as FetchTask
from mlops.api.training_task import TrainReport as TrainReport
from mlops.api.training_task import TrainTask as TrainTask

Task = Annotated[
    IngestTask
    | RemoveTask
    | FetchTask
    | TrainTask
    | VerifyTask
    | ServeTask
    | AnalysisTask
    | LabelsTask
    | DriftTask
    | ScoreTask,
    Field(discriminator="task"),
]
Report = Annotated[
    IngestReport
    | RemoveReport
    | FetchReport
    | TrainReport
    | VerifyReport
    | AnalysisReport
    | LabelsReport
    | DriftReport
    | ScoreReport
    | FailureReport,
    Field(discriminator="report"),
]
_WHEN_NEEDED = ConfigDict(defer_build=True)
_TASK: TypeAdapter[Task] = TypeAdapter(Task, config=_WHEN_NEEDED)
_REPORT: TypeAdapter[Report] = TypeAdapter(Report, config=_WHEN_NEEDED)


def parse_task(text: str) -> Task:
    """Return the task in `text`; raises pydantic's ValidationError if there is none."""
    return _TASK.validate_json(text)


def parse_report(text: str) -> Report:
    """Return the report in a termination message; raises ReportError if it holds none."""
    try:
        return _REPORT.validate_json(text)
    except ValueError as error:
        raise ReportError(f"the termination message holds no report: {text[:80]!r}") from error
