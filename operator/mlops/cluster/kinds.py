"""The kinds that the operator watches and writes, and where the API server serves them: a table, no discovery."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.api import labels
from mlops.api.base import API_VERSION
from mlops.engine.cluster import API_VERSIONS
from mlops.planning.plan import Key

_OURS = f"{labels.MANAGED_BY}={labels.MANAGER}"


@dataclass(frozen=True)
class ServedResource:
    """One kind. `selector` is the label selector that lists and watches carry: what it leaves out is never sent."""

    kind: str
    api_version: str
    plural: str
    selector: str = ""

    @property
    def group(self) -> str:
        """Return the API group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Return the version within the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the path of a collection (all namespaces if `namespace` is None), an object or a part of it."""
        parts = ["/apis" if self.group else "/api", self.api_version]
        parts += ["namespaces", namespace] if namespace is not None else []
        return "/".join([*parts, self.plural, *filter(None, (name, subresource))])


WATCHED = {
    served.kind: served
    for served in (
        ServedResource("Dataset", API_VERSION, "datasets"),
        ServedResource("TrainingRun", API_VERSION, "trainingruns"),
        ServedResource("ModelVersion", API_VERSION, "modelversions"),
        ServedResource("DriftMonitor", API_VERSION, "driftmonitors"),
        ServedResource("Job", API_VERSIONS["Job"], "jobs", _OURS),
        ServedResource("CronJob", API_VERSIONS["CronJob"], "cronjobs", _OURS),
        ServedResource("Deployment", API_VERSIONS["Deployment"], "deployments", _OURS),
        ServedResource("Service", API_VERSIONS["Service"], "services", _OURS),
        ServedResource("ConfigMap", API_VERSIONS["ConfigMap"], "configmaps", _OURS),
        ServedResource("PodDisruptionBudget", API_VERSIONS["PodDisruptionBudget"], "poddisruptionbudgets", _OURS),
        ServedResource(
            "HorizontalPodAutoscaler",
            API_VERSIONS["HorizontalPodAutoscaler"],
            "horizontalpodautoscalers",
            _OURS,
        ),
        ServedResource("Pod", API_VERSIONS["Pod"], "pods", _OURS),
    )
}
_WRITTEN = {
    **WATCHED,
    "Event": ServedResource("Event", API_VERSIONS["Event"], "events"),
    "Lease": ServedResource("Lease", "coordination.k8s.io/v1", "leases"),
}


def path_of(key: Key, subresource: str | None = None) -> str:
    """Return the path of one object."""
    return _WRITTEN[key.kind].path(key.namespace, key.name, subresource)


def collection_of(key: Key) -> str:
    """Return the path of the namespaced collection that the object is in."""
    return _WRITTEN[key.kind].path(key.namespace)
