"""Who holds a Deployment's number of pods, on a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.api import labels
from mlops.api.model_version import ModelVersion
from mlops.cluster.writer import KubernetesCluster
from mlops.planning.plan import Manifest
from mlops.planning.serving.manifests import autoscaler, deployment
from tests.planning.builders import SETTINGS, a_version, digest
from tests.servers.apiserver import ApiServer

pytestmark = pytest.mark.apiserver

_SCALED = {"autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilization": 70}}


def a_version_in(namespace: str, stage: dict[str, Any]) -> ModelVersion:
    return a_version(
        metadata={"namespace": namespace}, spec={"promotion": {"stages": [{"name": "production", **stage}]}}
    )


def a_deployment(namespace: str, stage: dict[str, Any]) -> Manifest:
    version = a_version_in(namespace, stage)
    return deployment(SETTINGS, version, digest("1"), "production", [version], "2026-01-10T12:00:00Z")


def scale(server: ApiServer, there: Manifest, replicas: int) -> None:
    """Do as the HorizontalPodAutoscaler's controller does."""
    metadata = {name: there["metadata"][name] for name in ("name", "namespace")}
    path = f"/apis/apps/v1/namespaces/{metadata['namespace']}/deployments/{metadata['name']}/scale"
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": replicas}}
    status, answer = server.request("PUT", path, body)
    assert status == 200, answer


async def test_pods_stay_when_an_autoscaler_takes_over(
    cluster: KubernetesCluster, server: ApiServer, namespace: str
) -> None:
    """What server-side apply no longer holds it takes away: of three pods one would be left until somebody scales."""
    await cluster.apply(a_deployment(namespace, {"replicas": 3}))
    there = await cluster.apply(a_deployment(namespace, _SCALED))
    assert there["spec"]["replicas"] == 3
    assert there["metadata"]["annotations"][labels.LEAST_REPLICAS] == "2"


async def test_what_an_autoscaler_has_set_is_not_written_over(
    cluster: KubernetesCluster, server: ApiServer, namespace: str
) -> None:
    """Whatever else of the Deployment changes; and a fixed number holds again when it is wanted."""
    there = await cluster.apply(a_deployment(namespace, {"replicas": 3}))
    await cluster.apply(a_deployment(namespace, _SCALED))
    scale(server, there, 5)
    edited = a_deployment(namespace, {**_SCALED, "podTemplate": {"nodeSelector": {"pool": "models"}}})
    assert (await cluster.apply(edited))["spec"]["replicas"] == 5
    fixed = await cluster.apply(a_deployment(namespace, {"replicas": 2}))
    assert fixed["spec"]["replicas"] == 2
    assert labels.LEAST_REPLICAS not in fixed["metadata"]["annotations"]


async def test_an_autoscaler_does_not_begin_from_none(
    cluster: KubernetesCluster, server: ApiServer, namespace: str
) -> None:
    """A HorizontalPodAutoscaler leaves what is scaled to none alone: without a first pod nothing would ever serve."""
    await cluster.apply(a_deployment(namespace, {"replicas": 3}))
    to_none = {"autoscaling": {"autoscalerClass": "External", "minReplicas": 0}}
    there = await cluster.apply(a_deployment(namespace, to_none))
    assert there["spec"]["replicas"] == 3
    scale(server, there, 0)
    assert (await cluster.apply(a_deployment(namespace, to_none)))["spec"]["replicas"] == 0
    assert (await cluster.apply(a_deployment(namespace, _SCALED)))["spec"]["replicas"] == 2
    scale(server, there, 4)
    assert (await cluster.apply(a_deployment(namespace, _SCALED)))["spec"]["replicas"] == 4


async def test_the_autoscaler_is_one_that_the_api_server_takes(cluster: KubernetesCluster, namespace: str) -> None:
    """By processor and by requests; written twice it is the same."""
    for target in ("targetCPUUtilization", "targetConcurrency"):
        version = a_version_in(namespace, {"autoscaling": {"maxReplicas": 3, target: 4}})
        wanted = autoscaler(version, "production", [version])
        assert wanted is not None
        made = await cluster.apply(wanted)
        assert made["spec"]["maxReplicas"] == 3
        assert (await cluster.apply(wanted))["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
