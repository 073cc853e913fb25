"""The chart, rendered and installed by the real Helm."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.servers.process import program

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "mlops-operator"
# Helm has no cluster to ask when it only renders.
KUBERNETES = "1.34.4"
NAMESPACE = "mlops-system"
RELEASE = "mlops-operator"

Object = dict[str, Any]
Values = dict[str, Any]

# Every switch on; what would be random is given.
FULL: Values = {
    "replicas": 3,
    "image": {"repository": "registry.example.com/team/mlops-operator", "tag": "1.2.3", "pullPolicy": "Always"},
    "workloadsImage": {"repository": "registry.example.com/team/mlops-workloads", "digest": f"sha256:{'b' * 64}"},
    "environmentDigest": f"sha256:{'e' * 64}",
    "imagePullSecrets": [{"name": "registry"}],
    "namespaces": ["team-a", "team-b"],
    "store": {
        "uri": "s3://mlops/prefix",
        "region": "eu-central-1",
        "caFile": "/etc/ssl/own.pem",
        "secretName": "store-keys",
    },
    "podEnvironment": {"MLOPS_MAX_BATCH_ROWS": "1000"},
    "servingPort": 9090,
    "servingGrpcPort": 9091,
    "servingPriorityClass": {"name": "models", "create": True, "value": 5000},
    "podDefaults": {"nodeSelector": {"example.com/pool": "models"}, "imagePullSecrets": [{"name": "registry"}]},
    "podPolicy": {"labels": ["example.com/team"], "serviceAccountNames": ["reader"]},
    "podSecurity": {"fixedUser": False},
    "modelServers": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
    },
    "workers": 8,
    "logging": {"level": "debug", "format": "text", "podFormat": "json"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
    "podAnnotations": {"example.com/team": "a"},
    "podLabels": {"example.com/cost": "42"},
    "priorityClassName": "high",
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "rbac": {"ownerReferencesPermissionEnforcement": True},
    "approval": {"stages": [{"stage": "production", "group": "ml-approvers"}]},
    "serviceAccount": {"name": "operator", "annotations": {"example.com/role": "none"}},
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "apiServerPorts": [6443],
        "apiServerCIDRs": ["10.0.0.1/32"],
    },
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True},
    },
    "demoMinio": {"enabled": True, "namespaces": ["team-a"], "rootUser": "demo", "rootPassword": "demo-password"},
}


def run(*words: str | Path, kubeconfig: Path | None = None, values: Values | None = None) -> tuple[int, str, str]:
    """Run Helm and return its exit code, what it said and what it complained of. `values` become a values file."""
    with tempfile.TemporaryDirectory(prefix="helm-") as home:
        command = [program("helm"), *map(str, words)]
        if values is not None:
            file = Path(home) / "values.yaml"
            file.write_text(yaml.safe_dump(values))
            command += ["--values", str(file)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HELM_")}
        own = {f"HELM_{name}_HOME": f"{home}/{name}" for name in ("CACHE", "CONFIG", "DATA")}
        # An empty file is a cluster that nobody reaches: never the one of whoever runs the tests.
        environ = {**kept, **own, "KUBECONFIG": str(kubeconfig or os.devnull)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def template(values: Values | None = None, *, kube_version: str = KUBERNETES, release: str = RELEASE) -> str:
    """Return what the chart renders to."""
    words = ("template", release, CHART, "--namespace", NAMESPACE, "--kube-version", kube_version)
    code, output, complaint = run(*words, values=values or {})
    assert code == 0, complaint
    return output


def objects(values: Values | None = None, release: str = RELEASE) -> list[Object]:
    """Return the objects that the chart renders to."""
    return [each for each in yaml.safe_load_all(template(values, release=release)) if each]


def refusal(values: Values, kube_version: str = KUBERNETES) -> str:
    """Return what Helm says to values that it refuses, without its own preamble."""
    words = ("template", RELEASE, CHART, "--namespace", NAMESPACE, "--kube-version", kube_version)
    code, output, complaint = run(*words, values=values)
    assert code != 0, output
    # Version 3 writes the same without the name of the chart before it.
    said = [line for line in complaint.splitlines() if line and "--debug" not in line]
    # In which line of a template it is refused is no word for the user, and moves with every edit.
    return said[-1].removeprefix("Error: ").partition("/templates/")[2].partition("): ")[2] or said[-1]


def one(found: list[Object], kind: str, name: str = "") -> Object:
    """Return the only object of a kind, or the only one of that name."""
    those = [each for each in found if each["kind"] == kind and (not name or each["metadata"]["name"] == name)]
    assert len(those) == 1, [each["metadata"]["name"] for each in those]
    return those[0]


def pods(found: list[Object]) -> dict[str, Object]:
    """Return the spec of each pod that is rendered, by the name of its object."""
    specs = {}
    for each in found:
        if each["kind"] == "Deployment":
            specs[each["metadata"]["name"]] = each["spec"]["template"]["spec"]
        if each["kind"] == "Pod":
            specs[each["metadata"]["name"]] = each["spec"]
    return specs


def rights(rules: list[Object]) -> set[tuple[str, str, str]]:
    """Return (API group, resource, verb) of everything that the rules allow."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
