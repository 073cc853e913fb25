"""How the pods of an object look beside what they run: the same block for every kind."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from mlops.api.affinity import Affinity, LabelKey, LabelMap, Toleration, TopologySpread
from mlops.api.base import Model, ObjectName, Rule
from mlops.api.env_var import EnvVar
from mlops.api.secret_ref import SecretRef

# What the operator's own Deployments, Services and policies select by, and what Kubernetes' controllers count by.
_OWN_DOMAINS = ("mlops.dev", "kubernetes.io", "k8s.io")
_OWN_LABELS = ("pod-template-hash", "controller-uid", "job-name")


def _not_own(field: str, domains: tuple[str, ...], keys: tuple[str, ...], message: str) -> Rule:
    """Return the rule that a map has no key of these domains, or of what is under them, and none of these keys."""
    within = " || ".join(f"key.startsWith('{each}/') || key.contains('.{each}/')" for each in domains)
    named = "".join(f" || key == '{each}'" for each in keys)
    return Rule(
        f"!has(self.{field}) || !self.{field}.exists(key, {within}{named})",
        message,
        lambda self: (
            not any(
                key in keys or any(key.startswith(f"{each}/") or f".{each}/" in key for each in domains)
                for key in getattr(self, field)
            )
        ),
    )


class PodTemplate(Model):
    """What is added to the pods of an object. The installation's own defaults lie under it.

    Labels, annotations, variables and the names of accounts and classes need the administrator's word: each has to
    stand on a list of the installation's.
    """

    labels: LabelMap = Field(default_factory=dict, description="More labels; the keys need the administrator's word.")
    annotations: Annotated[dict[LabelKey, Annotated[str, StringConstraints(max_length=1024)]], Field(max_length=16)] = (
        Field(default_factory=dict, description="More annotations; the keys need the administrator's word.")
    )
    env: Annotated[tuple[EnvVar, ...], Field(max_length=32)] = Field(
        default=(),
        description=(
            "More variables of the operator's own containers; the names need the administrator's word. Those of a "
            "trainer of your own stand in its container."
        ),
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    node_selector: LabelMap = Field(default_factory=dict, description="Labels that a node must have.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = Field(
        default=(), description="Taints of nodes that do not keep the pods away."
    )
    affinity: Affinity | None = Field(default=None, description="Where the pods may and should run.")
    topology_spread_constraints: Annotated[tuple[TopologySpread, ...], Field(max_length=4)] = Field(
        default=(), description="How evenly the object's own pods are spread."
    )
    priority_class_name: ObjectName | None = Field(
        default=None, description="Their PriorityClass; it needs the administrator's word."
    )
    runtime_class_name: ObjectName | None = Field(
        default=None, description="Their RuntimeClass; it needs the administrator's word."
    )
    service_account_name: ObjectName | None = Field(
        default=None,
        description=(
            "The ServiceAccount whose cloud identity they have; it needs the administrator's word. No token of the "
            "cluster is mounted."
        ),
    )
    image_pull_secrets: Annotated[tuple[SecretRef, ...], Field(max_length=8)] = Field(
        default=(),
        description="Secrets of the namespace that images are fetched with.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    rules: ClassVar = (
        _not_own(
            "labels",
            _OWN_DOMAINS,
            _OWN_LABELS,
            "labels of mlops.dev, kubernetes.io and k8s.io, and those that Kubernetes itself sets, cannot be set",
        ),
        _not_own("annotations", ("mlops.dev",), (), "annotations of mlops.dev are the operator's"),
    )
