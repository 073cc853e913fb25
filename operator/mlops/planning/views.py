"""What each planner sees: frozen, complete, gathered by the engine from memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mlops.api.dataset import Dataset
from mlops.api.drift_monitor import DriftMonitor, Rollback
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TrainingRun
from mlops.planning.plan import Manifest, Settings


@dataclass(frozen=True)
class JobView:
    """A Job and the termination message of its newest finished pod, as the cluster shows them.

    `message` is what the pod's main container (the last one that ran) wrote to its termination log; `exit_code` its
    exit code; `reason` the container's terminated reason (OOMKilled, Error, Completed); None while nothing finished.
    `working`: a pod of it is at work.
    """

    manifest: Manifest
    message: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    working: bool = False

    @property
    def name(self) -> str:
        """Return the Job's name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Return the Job's uid."""
        return str(self.manifest["metadata"].get("uid", ""))

    def condition(self, type_: str) -> Manifest | None:
        """Return the Job's condition of that type if it is True."""
        conditions = self.manifest.get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_ and c["status"] == "True"), None)

    @property
    def complete(self) -> bool:
        """Return whether the Job has succeeded."""
        return self.condition("Complete") is not None

    @property
    def failed(self) -> bool:
        """Return whether the Job has failed for good."""
        return self.condition("Failed") is not None


@dataclass(frozen=True)
class PodEnd:
    """How a container ended the last time; `message` is its termination message."""

    exit_code: int
    reason: str = ""
    message: str = ""
    began: datetime | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class ServerPod:
    """A pod of a model's server that is not on its way out, as far as it tells why it does not answer."""

    name: str
    stage: str
    # The name of the ModelVersion, and the first digits of the artifact's digest, as its labels say.
    version: str
    digest: str
    # Of a pod that has a second version: which canary that is, as its label says.
    canary: str = ""
    ready: bool = False
    # The scheduler's words if no node fits.
    unschedulable: str | None = None
    image: str = ""
    # The kubelet's reason and words for what its container waits for.
    waits: str = ""
    why: str = ""
    # Whether its startup probe has succeeded since its container started, and when that was started.
    started: bool = False
    running_since: datetime | None = None
    restarts: int = 0
    # Of this run of the container or, while another is on its way, of the one before.
    end: PodEnd | None = None


@dataclass(frozen=True)
class Use:
    """Something that needs a version of a Dataset, by its number or by the digest of its content."""

    # In words, such as `ModelVersion "rain-v1"`.
    who: str
    version: int | None = None
    digest: str | None = None
    # Whether the Dataset is not planned again when it is gone: it is of another namespace, or names another Dataset.
    elsewhere: bool = False


@dataclass(frozen=True)
class Uses:
    """What needs versions of a Dataset, and the addresses of the same content elsewhere."""

    of_versions: tuple[Use, ...] = ()
    # Addresses of versions of other Datasets that keep their artifacts in the same store and have not removed them.
    shared: frozenset[str] = frozenset()


@dataclass(frozen=True)
class DatasetView:
    """A Dataset, its Jobs, and who waits for a refresh of it."""

    now: datetime
    settings: Settings
    dataset: Dataset
    # Jobs labelled mlops.dev/dataset with this name, at least those that are not taken in yet: ingest Jobs by the
    # planner, and those of the refresh CronJob.
    jobs: tuple[JobView, ...] = ()
    # The CronJob of spec.refresh, if it is there.
    cron_job: Manifest | None = None
    # Runs that are not pinned yet and whose spec.datasetRef names this Dataset with a notBefore.
    waiting_runs: tuple[TrainingRun, ...] = ()
    # Timestamps since which monitors want the source to have been synced, to tell whether there is anything new.
    asked: tuple[str, ...] = ()
    # Versions of the model that spec.source.captured names: any that was ever live makes captures readable.
    captured_versions: tuple[ModelVersion, ...] = ()
    # The highest version of a Dataset of this name that runs, models and their history speak of: one that was deleted
    # and made again goes on after it. Known while there is no version.
    spoken_for: int = 0
    # Who needs its versions. None: it was not asked for, and nothing is removed.
    uses: Uses | None = None


@dataclass(frozen=True)
class TrainingRunView:
    """A run with its Dataset, its Jobs, the runs beside it and the versions of its model."""

    now: datetime
    settings: Settings
    run: TrainingRun
    dataset: Dataset | None = None
    jobs: tuple[JobView, ...] = ()
    # Other TrainingRuns of the namespace, at least: those with the inputs that this one has or would be pinned to now,
    # and those that name the next version of its model; of a template its runs that are not over, those on the
    # Dataset's current version and the one that it made last.
    siblings: tuple[TrainingRun, ...] = ()
    # Versions of spec.register.modelName, at least: as in `ModelView`, those that are withdrawn, that this run made or
    # names, and those whose name the next version would have.
    versions: tuple[ModelVersion, ...] = ()
    # The digest of the inputs that the run is pinned to, or would be now; None: not known, it has to wait or is over.
    inputs: str | None = None
    # What is recorded of that model, see `model_history.py`.
    history: tuple[Manifest, ...] = ()


@dataclass(frozen=True)
class ModelView:
    """All versions of one model, with what serves them: traffic and stages are properties of the set."""

    now: datetime
    settings: Settings
    namespace: str
    model_name: str
    # All that can still change, and the newest; all that there are unless those decide everything, see
    # `serving/enough.py`.
    versions: tuple[ModelVersion, ...] = ()
    # The verifying Jobs of these versions.
    jobs: tuple[JobView, ...] = ()
    # By name.
    deployments: Mapping[str, Manifest] = field(default_factory=dict)
    services: Mapping[str, Manifest] = field(default_factory=dict)
    disruption_budgets: Mapping[str, Manifest] = field(default_factory=dict)
    autoscalers: Mapping[str, Manifest] = field(default_factory=dict)
    # The pods of its Deployments.
    pods: tuple[ServerPod, ...] = ()
    # Runs that a version's spec.source names, by name.
    runs: Mapping[str, TrainingRun] = field(default_factory=dict)
    # The ConfigMaps that record what was, and the uids of all versions that are there, also of those that are leaving
    # or that no longer parse: what is not among them has been deleted. None: nothing was, since the last plan of all.
    history: tuple[Manifest, ...] = ()
    present: frozenset[str] | None = frozenset()
    # What monitors of the model ask for, by their names.
    rollbacks: Mapping[str, Rollback] = field(default_factory=dict)


@dataclass(frozen=True)
class DriftMonitorView:
    """A monitor, its CronJob and checks, the versions of its model, and its template with the runs made of it."""

    now: datetime
    settings: Settings
    monitor: DriftMonitor
    cron_job: Manifest | None = None
    # Jobs labelled mlops.dev/monitor with this name, at least those that are not taken in yet.
    jobs: tuple[JobView, ...] = ()
    versions: tuple[ModelVersion, ...] = ()
    template: TrainingRun | None = None
    # The template's.
    dataset: Dataset | None = None
    # The one that labels come from.
    label_dataset: Dataset | None = None
    # The one that the window is compared with.
    reference_dataset: Dataset | None = None
    # Runs labelled mlops.dev/template with the template's name, at least those that are not over and those that
    # `monitor/retraining.py` asks for by name.
    runs: tuple[TrainingRun, ...] = ()
