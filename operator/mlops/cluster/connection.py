"""Where the API server is and how to prove who we are: the pod's service account, or a kubeconfig file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import kopf
from kubernetes.aio import config
from kubernetes.aio.client import Configuration


class NoConnection(Exception):
    """There are no credentials, or they cannot be read; the message tells what was looked for."""


@dataclass(frozen=True)
class Connection:
    """`kubeconfig` is a file, or None for the service account of the pod that this runs in."""

    kubeconfig: Path | None

    @classmethod
    def find(cls, kubeconfig: Path | None) -> Connection:
        """Return the connection: a given file, else the pod's own, else kubectl's default."""
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            return cls(None)
        return cls((kubeconfig or Path("~/.kube/config")).expanduser())

    async def load(self) -> Configuration:
        """Read the credentials as they are now: tokens are rotated. Raises NoConnection."""
        loaded = Configuration()
        loaded.connection_pool_maxsize = 16
        # Else every request asks a thread for the environment's proxies and ~/.netrc.
        loaded.client_session_kwargs = {"trust_env": False}
        try:
            if self.kubeconfig is None:
                config.load_incluster_config(loaded)  # type: ignore[no-untyped-call]
            else:
                await config.load_kube_config(  # type: ignore[no-untyped-call]
                    str(self.kubeconfig), client_configuration=loaded, persist_config=False
                )
        except (config.ConfigException, OSError, ValueError) as error:
            source = self.kubeconfig or "the pod's service account"
            raise NoConnection(
                f"cannot connect by {source}: {error}; use --kubeconfig FILE outside a cluster"
            ) from error
        return loaded

    async def for_kopf(self) -> kopf.ConnectionInfo:
        """Return the same in kopf's terms. Raises NoConnection."""
        loaded = await self.load()
        token = await loaded.get_api_key_with_prefix("BearerToken")
        scheme, _, secret = (token or "").rpartition(" ")
        return kopf.ConnectionInfo(
            server=loaded.host,
            ca_path=loaded.ssl_ca_cert,
            insecure=not loaded.verify_ssl,
            scheme=scheme.capitalize() or None,
            token=secret or None,
            certificate_path=loaded.cert_file,
            private_key_path=loaded.key_file,
        )
