"""Where pods may and should run, in the words of Kubernetes: nodes, taints, other pods.

What selects pods selects those of the object's own namespace only.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mlops.api.base import Model, Rule, text

LabelKey = Annotated[
    str,
    text(
        r"^([a-z0-9][a-z0-9.-]{0,252}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$",
        "a key is a name of at most 63 letters, digits, -, _ and ., perhaps behind a domain and /, such as "
        "example.com/team",
        317,
    ),
]
LabelValue = Annotated[
    str,
    text(
        r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$",
        "the value of a label has at most 63 letters, digits, -, _ and ., and begins and ends with a letter or digit",
        63,
    ),
]
LabelMap = Annotated[dict[LabelKey, LabelValue], Field(max_length=16)]
Weight = Annotated[int, Field(ge=1, le=100)]


class LabelRequirement(Model):
    """A condition on the labels of nodes or pods."""

    key: LabelKey = Field(description="The label's key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(
        description="How the label is compared with the values; Gt and Lt are for nodes."
    )
    values: Annotated[tuple[LabelValue, ...], Field(max_length=16)] = Field(
        default=(), description="Of In and NotIn at least one, of Gt and Lt one whole number, else none."
    )
    rules: ClassVar = (
        Rule(
            "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0"
            " : self.operator in ['Gt', 'Lt'] ? has(self.values) && self.values.size() == 1"
            ' && self.values[0].matches(r"^[0-9]{1,18}$")'
            " : !has(self.values) || self.values.size() == 0",
            "values: In and NotIn need at least one, Gt and Lt one whole number, Exists and DoesNotExist none",
            lambda self: _fit(self.operator, self.values),
        ),
    )


def _fit(operator: str, values: tuple[str, ...]) -> bool:
    if operator in ("In", "NotIn"):
        return bool(values)
    if operator in ("Gt", "Lt"):
        return len(values) == 1 and values[0].isascii() and values[0].isdigit() and len(values[0]) <= 18
    return not values


Requirements = Annotated[tuple[LabelRequirement, ...], Field(max_length=8)]


class NodeSelectorTerm(Model):
    """Nodes, by their labels."""

    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(min_length=1, max_length=8)] = Field(
        description="Conditions on a node's labels; all must hold."
    )


class NodeTerms(Model):
    """Nodes of any of several descriptions."""

    node_selector_terms: Annotated[tuple[NodeSelectorTerm, ...], Field(min_length=1, max_length=4)] = Field(
        description="A node must fulfil one of them."
    )


class PreferredNodes(Model):
    """Nodes that are better than others."""

    weight: Weight = Field(description="How much better: 1 to 100.")
    preference: NodeSelectorTerm = Field(description="Which nodes.")


class NodeAffinity(Model):
    """Which nodes pods run on."""

    required_during_scheduling_ignored_during_execution: NodeTerms | None = Field(
        default=None, description="They run on no others."
    )
    preferred_during_scheduling_ignored_during_execution: Annotated[tuple[PreferredNodes, ...], Field(max_length=4)] = (
        Field(default=(), description="They run there if there is room.")
    )


class PodSelector(Model):
    """Pods of the namespace, by their labels. An operator that only nodes know is refused when pods are made."""

    match_labels: LabelMap = Field(default_factory=dict, description="Labels with these values.")
    match_expressions: Requirements = Field(default=(), description="Conditions on labels; all must hold.")
    rules: ClassVar = (
        Rule(
            "!has(self.matchExpressions) || self.matchExpressions.all(each, !(each.operator in ['Gt', 'Lt']))",
            "matchExpressions of pods know In, NotIn, Exists and DoesNotExist",
            lambda self: all(each.operator not in ("Gt", "Lt") for each in self.match_expressions),
        ),
    )


class PodAffinityTerm(Model):
    """Places where certain pods run."""

    topology_key: LabelKey = Field(
        description="The label of nodes that makes a place, such as topology.kubernetes.io/zone."
    )
    label_selector: PodSelector = Field(description="Which pods of the namespace.")


class PreferredPlaces(Model):
    """Places that are better than others."""

    weight: Weight = Field(description="How much better: 1 to 100.")
    pod_affinity_term: PodAffinityTerm = Field(description="Which places.")


class PodAffinity(Model):
    """Pods to run beside, or to keep away from."""

    required_during_scheduling_ignored_during_execution: Annotated[tuple[PodAffinityTerm, ...], Field(max_length=4)] = (
        Field(default=(), description="Always.")
    )
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredPlaces, ...], Field(max_length=4)
    ] = Field(default=(), description="If there is room.")


class Affinity(Model):
    """Where pods may and should run."""

    node_affinity: NodeAffinity | None = Field(default=None, description="Which nodes.")
    pod_affinity: PodAffinity | None = Field(default=None, description="Pods to run beside.")
    pod_anti_affinity: PodAffinity | None = Field(default=None, description="Pods to keep away from.")


class Toleration(Model):
    """A taint of nodes that does not keep pods away."""

    key: LabelKey | None = Field(default=None, description="The taint's key; any if left out, with Exists.")
    operator: Literal["Equal", "Exists"] | None = Field(
        default=None, description="Equal, the default, compares the value; Exists takes any."
    )
    value: LabelValue | None = Field(default=None, description="The taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="The taint's effect; any if left out."
    )
    toleration_seconds: Annotated[int, Field(ge=0, le=2_592_000)] | None = Field(
        default=None, description="Of NoExecute: for how long; for ever if left out."
    )
    rules: ClassVar = (
        Rule(
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            "a toleration without a key needs the operator Exists",
            lambda self: self.key is not None or self.operator == "Exists",
        ),
        Rule(
            "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
            "a toleration with the operator Exists has no value",
            lambda self: self.operator != "Exists" or not self.value,
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds needs the effect NoExecute",
            lambda self: self.toleration_seconds is None or self.effect == "NoExecute",
        ),
    )


class TopologySpread(Model):
    """How evenly the object's own pods are spread over places; the operator says which pods these are."""

    max_skew: Annotated[int, Field(ge=1, le=100)] = Field(description="By how many pods two places may differ at most.")
    topology_key: LabelKey = Field(
        description="The label of nodes that makes a place, such as topology.kubernetes.io/zone."
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        description="Whether a pod that would make it worse waits."
    )
