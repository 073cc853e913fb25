"""Whose a namespace is: two operators with Leases of their own would undo each other's work on the same objects."""

from __future__ import annotations

import logging
from typing import Final

from mlops.api import labels
from mlops.engine.cluster import AlreadyExists, Cluster, Refused
from mlops.planning.plan import Key, Manifest

log = logging.getLogger(__name__)

CLAIM: Final = "mlops-operator"
_OPERATOR: Final = "operator"


class Claims:
    """One ConfigMap in each namespace that is worked in; who makes it first has the namespace until it is deleted.

    `identity` is the Lease's namespace and name, which all replicas of one installation share. A claim has no time
    limit: an operator that is away for long does not lose its objects to another one.
    """

    def __init__(self, cluster: Cluster, identity: str | None) -> None:
        self._cluster, self._identity = cluster, identity
        self._told: set[str] = set()
        # By namespace that cannot be claimed: why, as it was told.
        self._refused: dict[str, str] = {}

    async def holds(self, namespace: str) -> bool:
        """Return whether this operator may work in the namespace; claims it if nobody has.

        Raises ClusterError if that is not known.
        """
        if self._identity is None:
            return True
        present = self._cluster.get(Key("ConfigMap", namespace, CLAIM))
        if present is None:
            try:
                present = await self._cluster.create(self._claim(namespace))
            except AlreadyExists as error:
                present = error.present
            except Refused as error:
                # What serves there must not wait for a quota; the claim is tried again with every key of the namespace.
                self._tell_refused(namespace, str(error))
                return True
            self._refused.pop(namespace, None)
        holder = (present.get("data") or {}).get(_OPERATOR)
        if holder == self._identity:
            self._told.discard(namespace)
            return True
        if namespace not in self._told:
            self._told.add(namespace)
            log.error(
                'namespace "%s" belongs to the operator of Lease %s, and this is that of Lease %s: nothing is done '
                "there. Give the two different namespaces, or uninstall one; if the other is gone: kubectl -n %s "
                "delete configmap %s",
                namespace, holder or "unknown", self._identity, namespace, CLAIM,
            )  # fmt: skip
        return False

    def _tell_refused(self, namespace: str, why: str) -> None:
        if self._refused.get(namespace) != why:
            self._refused[namespace] = why
            log.warning(
                'namespace "%s" cannot be claimed: %s. It is worked in all the same; until there is a ConfigMap %s, a '
                "second operator would not notice this one: make room for it, or allow it",
                namespace, why, CLAIM,
            )  # fmt: skip

    def _claim(self, namespace: str) -> Manifest:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CLAIM, "namespace": namespace, "labels": labels.unowned("claim")},
            "data": {_OPERATOR: str(self._identity)},
        }
