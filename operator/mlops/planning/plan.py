"""What every planner returns, and the settings that all of them are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from mlops.api.dataset import DatasetStatus
from mlops.api.drift_monitor import DriftMonitorStatus
from mlops.api.log_lines import DEFAULT_FORMAT, Format
from mlops.api.model_version import ModelVersionStatus
from mlops.api.pod_template import PodTemplate
from mlops.api.training_run import TrainingRunStatus
from mlops.planning.pod_policy import PodPolicy

Manifest = dict[str, Any]
Status = DatasetStatus | TrainingRunStatus | ModelVersionStatus | DriftMonitorStatus


class Key(NamedTuple):
    """The address of an object; also what the engine's queue holds."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Plan:
    """What should be. The engine carries it out in the order of the fields: status first, then children.

    So what a child depends on (a pinned digest, a chosen name) is on record before the child exists, and a crash
    between two writes is repaired by planning again.
    """

    # The whole wanted status of objects (a planner for a model plans all its versions); written only if it differs.
    statuses: Mapping[Key, Status] = field(default_factory=dict)
    # Children that are kept as given here: Deployments, Services, CronJobs. Server-side apply, one field manager.
    apply: tuple[Manifest, ...] = ()
    # Children that are made once and never changed: Jobs, TrainingRuns, ModelVersions. One that exists is left alone.
    create: tuple[Manifest, ...] = ()
    # Children that must go, with the uid that was seen: never one of the same name that came later.
    delete: tuple[tuple[Key, str], ...] = ()
    # When to plan again even if nothing happens.
    requeue_at: datetime | None = None


@dataclass(frozen=True)
class Settings:
    """What the installation decides, not the user: the same for every object."""

    # The image of the workload pods.
    image: str = "mlops-workloads:0.1.0"
    environment_digest: str = "sha256:" + "0" * 64
    # Environment that every pod gets, such as the store's address, in which {namespace} stands for the object's own.
    environment: Mapping[str, str] = field(default_factory=dict)
    # How pods write their logs: text, which is their default, or json.
    pod_log_format: Format = DEFAULT_FORMAT
    # The Secret with the keys to the store, and those of pods that only read artifacts, of model servers and of pods
    # that remove versions: by default the same one.
    store_secret: str = "mlops-store"
    reader_secret: str = ""
    server_secret: str = ""
    remover_secret: str = ""
    # What a pod asks of its node's disk, and the most that it may keep there; an empty one is left out.
    scratch_request: str = "256Mi"
    scratch_limit: str = "32Gi"
    serving_port: int = 8080
    # Where model servers speak gRPC, in stages that ask for it.
    grpc_port: int = 8081
    # After a version is marked as removed, its bytes stay for so long: what a run was pinned to by an operator that did
    # not know of the mark yet is seen by then. Longer than what watches miss stays unknown; 0 where nothing is missed.
    removal_grace_seconds: float = 600.0
    # The PriorityClass of model servers; empty: the cluster's default.
    serving_priority_class: str = ""
    # What lies under the podTemplate of every object, and what these may say.
    pod_defaults: PodTemplate = field(default_factory=PodTemplate)
    pod_policy: PodPolicy = field(default_factory=PodPolicy)
    # Whether the API server holds everybody to the rules of approvals (a ValidatingAdmissionPolicy of the chart).
    approval_policy: bool = False
    # The user and group that pods run as; None: whom the cluster chooses, as OpenShift does.
    pod_user: int | None = 65532
