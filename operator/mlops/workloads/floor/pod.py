"""What a pod has around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from mlops.api.job_names import scheduled_time
from mlops.api.pod_environment import PodSettings
from mlops.api.reasons import Reason
from mlops.api.task_variables import INPUTS_VARIABLE, OUTPUTS_VARIABLE, STORE_VARIABLE
from mlops.store import Store, open_store
from mlops.workloads.floor.failures import BadInput as BadInput
from mlops.workloads.floor.failures import PassingFault as PassingFault
from mlops.workloads.floor.failures import is_panic as is_panic


@dataclass(frozen=True)
class Pod:
    """The surroundings of one task."""

    environ: Mapping[str, str]
    # An empty folder for files that need not outlive the pod.
    scratch: Path

    @cached_property
    def settings(self) -> PodSettings:
        """Return what every pod is told by its environment."""
        return PodSettings.read(self.environ)

    @property
    def store(self) -> Store:
        """Return the artifact store that the pod is given."""
        url = self.settings.store
        if not url:
            raise BadInput(Reason.STORE_UNAVAILABLE, f"{STORE_VARIABLE} is not set: it names the artifact store")
        return open_store(url, self.environ)

    @property
    def job(self) -> str:
        """Return the name of the Job that this pod belongs to."""
        return self.settings.job

    def time_of(self, *names: str) -> datetime:
        """Return the scheduled time of a Job of the CronJob of one of these names; of one that a person made from it,
        the current time."""
        minutes = scheduled_time(self.job, *names)
        if minutes is None:
            return datetime.now(UTC).replace(microsecond=0)
        return datetime.fromtimestamp(minutes * 60, UTC)

    @property
    def inputs(self) -> Path:
        """Return the folder that a user's own container reads. Raises BadInput."""
        return self._folder(INPUTS_VARIABLE, self.settings.inputs)

    @property
    def outputs(self) -> Path:
        """Return the folder that a user's own container writes to. Raises BadInput."""
        return self._folder(OUTPUTS_VARIABLE, self.settings.outputs)

    def _folder(self, variable: str, path: str) -> Path:
        if not path:
            raise BadInput(
                Reason.TASK_INVALID, f"{variable} is not set: the operator sets it beside a user's own container"
            )
        return Path(path)
