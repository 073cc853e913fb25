"""kube-controller-manager, scheduler and kubelet of the simulated cluster, as far as the operator sees their work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import Random

from mlops.planning.plan import Key, Manifest
from tests.simulation.api_server.server import ApiServer, Change
from tests.simulation.controllers.autoscalers import AutoscalerController
from tests.simulation.controllers.client import Client
from tests.simulation.controllers.clockwork import Clockwork, Timer
from tests.simulation.controllers.cron_jobs import CronJobController
from tests.simulation.controllers.deployments import DeploymentController
from tests.simulation.controllers.fates import Fates
from tests.simulation.controllers.garbage import GarbageCollector
from tests.simulation.controllers.graph import Graph
from tests.simulation.controllers.jobs import JobController
from tests.simulation.controllers.kubelet import Kubelet
from tests.simulation.controllers.work import Behaviour, Work
from tests.simulation.workloads import Workloads

KINDS = (
    "Dataset", "TrainingRun", "ModelVersion", "DriftMonitor", "CronJob", "Job", "Deployment", "Service",
    "PodDisruptionBudget", "HorizontalPodAutoscaler", "Pod",
)  # fmt: skip


class Controllers:
    """All of them on one API server. They hear of every change at once, and react after random delays."""

    def __init__(
        self,
        server: ApiServer,
        timer: Timer,
        now: Callable[[], datetime],
        random: Random,
        fates: Fates,
        workloads: Workloads,
        behaviour: Behaviour | None = None,
    ) -> None:
        clockwork = self._clockwork = Clockwork(timer, now, random)
        graph = self._graph = Graph()
        manager = Client(server, "kube-controller-manager")
        self.kubelet = Kubelet(
            Client(server, "kube-scheduler"),
            Client(server, "kubelet"),
            clockwork,
            behaviour or Work(fates, workloads, random),
        )
        self._parts = (
            GarbageCollector(manager, clockwork, graph),
            JobController(manager, clockwork, graph),
            CronJobController(manager, clockwork, graph),
            DeploymentController(manager, clockwork, graph),
            AutoscalerController(manager, clockwork, workloads),
            self.kubelet,
        )
        for kind in KINDS:
            for manifest in server.list(kind):
                self._take(manifest, gone=False)
        server.listen(self._changed)

    @property
    def settled(self) -> bool:
        """Whether nothing of their own is under way; ticks of CronJobs to come do not count."""
        return self._clockwork.under_way == 0

    def evict(self, key: Key) -> None:
        """Evict a pod, as a drain of its node does."""
        self.kubelet.evict(key)

    def _changed(self, change: Change) -> None:
        if change.key.kind in KINDS:
            self._take(change.new, gone=change.type == "DELETED")

    def _take(self, manifest: Manifest, *, gone: bool) -> None:
        if gone:
            self._graph.forget(manifest)
        else:
            self._graph.take(manifest)
        for part in self._parts:
            part.changed(manifest, gone=gone)
