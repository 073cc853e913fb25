"""The Secrets that a stage names for its servers: mounted as files, which a kubelet renews; never an environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlops.api import tasks
from mlops.api.model_version import Stage
from mlops.planning import pods
from mlops.planning.plan import Manifest

_FOLDER = "/var/run/mlops"


@dataclass(frozen=True)
class MountedSecret:
    """A Secret under the name of its volume, and the variable that says where its files are."""

    volume: str
    secret: str
    variable: str

    @property
    def folder(self) -> str:
        """Return where the server finds its files."""
        return f"{_FOLDER}/{self.volume}"


def mounted_secrets(stage: Stage) -> Iterator[MountedSecret]:
    """Yield what the servers of the stage are given."""
    if stage.auth is not None and stage.auth.api_keys is not None:
        yield MountedSecret("api-keys", stage.auth.api_keys.secret_ref.name, tasks.API_KEYS_VARIABLE)
    if stage.auth is not None and stage.auth.jwt is not None:
        yield MountedSecret("jwks", stage.auth.jwt.jwks_secret_ref.name, tasks.JWKS_VARIABLE)
    if stage.tls is not None:
        yield MountedSecret("tls", stage.tls.secret_ref.name, tasks.TLS_VARIABLE)


def mounts(stage: Stage) -> list[Manifest]:
    """Return the container's mounts of them."""
    return [{"name": each.volume, "mountPath": each.folder, "readOnly": True} for each in mounted_secrets(stage)]


def volumes(stage: Stage) -> dict[str, Manifest]:
    """Return the pod's volumes of them, by name.

    Without the Secret the pod starts all the same, and says what is missing: a kubelet that waits for it says so in an
    Event only, of which no condition tells.
    """
    return {each.volume: {"secret": {"secretName": each.secret, "optional": True}} for each in mounted_secrets(stage)}


def variables(stage: Stage) -> list[Manifest]:
    """Return env entries that say where the files are."""
    return pods.variables({each.variable: each.folder for each in mounted_secrets(stage)})
