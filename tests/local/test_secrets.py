"""Secrets of sources on one machine: to the containers that name them under a prefix, and to nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlops.local.containers import Machine, launch

SECRETS = {
    ("default", "warehouse"): {"password": "abc", "uri": "postgresql://x"},
    ("default", "mlops-store"): {"MLOPS_STORE": "file:///elsewhere"},
    ("other", "foreign"): {"password": "def"},
}


def environ_of(tmp_path: Path, *env_from: dict[str, Any]) -> dict[str, str]:
    container = {"name": "main", "command": ["true"], "envFrom": list(env_from), "env": []}
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {}}
    return launch(container, pod, tmp_path / "pod", {}, Machine(secrets=SECRETS)).environ


def test_a_server_is_told_ports_of_this_machine(tmp_path: Path) -> None:
    """Each of its own, in the place of those of the manifest; without one for gRPC it is told none."""
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {}}
    http, grpc = {"name": "http", "containerPort": 8080}, {"name": "grpc", "containerPort": 8081}
    for declared in ([http], [http, grpc], [{**http, "name": "https"}, {**grpc, "name": "grpcs"}]):
        told = [{"name": "MLOPS_GRPC_PORT", "value": "8081"}] if len(declared) > 1 else []
        container = {"name": "server", "command": ["true"], "env": told, "ports": declared}
        given = {port["containerPort"]: 40_000 + number for number, port in enumerate(declared)}
        environ = launch(container, pod, tmp_path / "pod", given, Machine()).environ
        assert environ["MLOPS_PORT"] == "40000"
        assert environ.get("MLOPS_GRPC_PORT") == ("40001" if told else None)


def test_a_sources_keys_come_under_the_prefix(tmp_path: Path) -> None:
    environ = environ_of(tmp_path, {"prefix": "SOURCE_", "secretRef": {"name": "warehouse"}})
    assert (environ["SOURCE_password"], environ["SOURCE_uri"]) == ("abc", "postgresql://x")


def test_no_secret_sets_anything_else(tmp_path: Path) -> None:
    """The store's own is the installation's, which is the state folder here."""
    environ = environ_of(
        tmp_path, {"secretRef": {"name": "mlops-store"}}, {"prefix": "SOURCE_", "secretRef": {"name": "foreign"}}
    )
    assert "MLOPS_STORE" not in environ
    assert not [name for name in environ if name.startswith("SOURCE_")]


def test_a_machine_shows_no_secret() -> None:
    assert "abc" not in repr(Machine(secrets=SECRETS))
