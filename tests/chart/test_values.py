"""What Helm says to values that cannot work: where, and what would be right."""

from __future__ import annotations

import pytest

from tests.chart import helm

pytestmark = pytest.mark.thorough

_REPOSITORY = (
    r"^([a-z0-9]+([.-]+[a-z0-9]+)*(:[0-9]{1,5})?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$"
)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"replicas": "two"}, "at '/replicas': got string, want integer", id="wrong type"),
        pytest.param({"replicas": -1}, "at '/replicas': minimum: got -1, want 0", id="out of range"),
        pytest.param({"replica": 2}, "at '': additional properties 'replica' not allowed", id="unknown key"),
        pytest.param(
            {"store": {"bucket": "mlops"}},
            "at '/store': additional properties 'bucket' not allowed",
            id="unknown key inside",
        ),
        pytest.param(
            {"image": {"repository": "Team/Operator"}},
            f"at '/image/repository': 'Team/Operator' does not match pattern '{_REPOSITORY}'",
            id="image with capital letters",
        ),
        pytest.param(
            {"workloadsImage": {"repository": "team/workloads:1"}},
            f"at '/workloadsImage/repository': 'team/workloads:1' does not match pattern '{_REPOSITORY}'",
            id="tag inside the repository",
        ),
        pytest.param(
            {"image": {"digest": "sha256:abc"}},
            "at '/image/digest': 'sha256:abc' does not match pattern '^(sha256:[0-9a-f]{64})?$'",
            id="digest too short",
        ),
        pytest.param(
            {"image": {"tag": 1.2}}, "at '/image/tag': got number, want string", id="tag without quotation marks"
        ),
        pytest.param({"namespaces": "team-a"}, "at '/namespaces': got string, want array", id="one namespace as text"),
        pytest.param(
            {"namespaces": ["*"]},
            "at '/namespaces/0': '*' does not match pattern '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'",
            id="two install modes: a list that means all",
        ),
        pytest.param(
            {"namespaces": ["a", "a"]}, "at '/namespaces': items at 0 and 1 are equal", id="the same namespace twice"
        ),
        pytest.param(
            {"logging": {"level": "loud"}},
            "at '/logging/level': value must be one of 'debug', 'info', 'warning', 'error'",
            id="enum",
        ),
        pytest.param(
            {"servingPort": 80}, "at '/servingPort': minimum: got 80, want 1,024", id="a port that only root may open"
        ),
        pytest.param(
            {"podEnvironment": {"A": 1}},
            "at '/podEnvironment/A': got number, want string",
            id="a number as environment",
        ),
        pytest.param(
            {"demoMinio": {"enabled": True}, "store": {"endpoint": "https://s3.example.com"}},
            "store.endpoint and demoMinio.enabled exclude each other: use your own store, or the demo's",
            id="two install modes: two stores",
        ),
        pytest.param(
            {"demoMinio": {"enabled": True}, "store": {"uri": "s3://artifacts"}},
            "store.uri is s3://artifacts: the demo MinIO has the buckets mlops (for the store) and raw (for data); "
            "use s3://mlops",
            id="a bucket that the demo does not make",
        ),
        pytest.param(
            {"demoMinio": {"enabled": True, "rootUser": "somebody"}},
            "demoMinio.rootUser and demoMinio.rootPassword: set both or neither",
            id="half of the credentials",
        ),
        pytest.param(
            {"podEnvironment": {"AWS_SECRET_ACCESS_KEY": "x"}},
            'podEnvironment.AWS_SECRET_ACCESS_KEY: keys belong into the Secret "mlops-store" of each namespace, not '
            "into the values",
            id="a key in the values",
        ),
        pytest.param(
            {"podEnvironment": {"MLOPS_STORE": "s3://x"}},
            "podEnvironment.MLOPS_STORE: set it by store.uri, store.endpoint, store.region, store.addressing or "
            "store.caFile",
            id="the store in two places",
        ),
        pytest.param(
            {"namespaces": ["a"], "tests": {"namespace": "b"}},
            "tests.namespace is b, where the operator does not work: it must be one of namespaces (a)",
            id="a test where nobody works",
        ),
        pytest.param(
            {"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}},
            "metrics.serviceMonitor.enabled needs metrics.service.enabled: "
            "Prometheus finds the operator by its Service",
            id="a monitor of nothing",
        ),
    ],
)
def test_values_are_refused_with_the_place_and_the_way_out(values: helm.Values, message: str) -> None:
    """Before anything reaches the cluster."""
    assert helm.refusal(values).removeprefix("- ") == message


def test_a_service_account_of_ones_own_has_to_be_named() -> None:
    """Else the pods would run as `default`."""
    said = helm.refusal({"serviceAccount": {"create": False}})
    assert "serviceAccount.create is false: serviceAccount.name must name the ServiceAccount to use" in said


def test_a_cluster_that_is_too_old_is_refused() -> None:
    """Its API server would drop fields of Jobs without a word."""
    said = helm.refusal({}, kube_version="1.28.15")
    assert "chart requires kubeVersion: >=1.29.0-0 which is incompatible with Kubernetes v1.28.15" in said
