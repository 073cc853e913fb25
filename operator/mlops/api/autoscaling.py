"""How many pods of a stage serve, if that follows from what they have to do."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mlops.api.base import Model, Rule

_EXTERNAL = "(has(self.autoscalerClass) && self.autoscalerClass == 'External')"


class Autoscaling(Model):
    """Between how many pods serve, and what decides."""

    autoscaler_class: Literal["HPA", "External"] = Field(
        default="HPA",
        description=(
            "HPA: the operator makes a HorizontalPodAutoscaler. External: something else, such as KEDA, sets how many "
            "pods the Deployment has."
        ),
    )
    min_replicas: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=1, description="At least so many pods are to be ready; 0 only with autoscalerClass External."
    )
    max_replicas: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="At most so many pods; needed by HPA."
    )
    target_cpu_utilization: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        alias="targetCPUUtilization",
        description="Percent of the processor that a pod requests, on average over the pods.",
    )
    target_concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None,
        description=(
            "Requests that a pod works on at a time, on average. The cluster needs an adapter that serves the custom "
            "metric mlops_concurrent_requests of pods."
        ),
    )
    rules: ClassVar = (
        Rule(
            f"{_EXTERNAL} || (has(self.maxReplicas)"
            " && (has(self.targetCPUUtilization) ? 1 : 0) + (has(self.targetConcurrency) ? 1 : 0) == 1)",
            "autoscaling by HPA needs maxReplicas and exactly one of targetCPUUtilization, targetConcurrency",
            lambda self: (
                self.autoscaler_class == "External"
                or (
                    self.max_replicas is not None
                    and (self.target_cpu_utilization is None) != (self.target_concurrency is None)
                )
            ),
        ),
        Rule(
            f"!{_EXTERNAL} || (!has(self.maxReplicas) && !has(self.targetCPUUtilization)"
            " && !has(self.targetConcurrency))",
            "with autoscalerClass External, maxReplicas and targets stand in what scales the pods: leave them out",
            lambda self: (
                self.autoscaler_class != "External"
                or (self.max_replicas, self.target_cpu_utilization, self.target_concurrency) == (None, None, None)
            ),
        ),
        Rule(
            f"{_EXTERNAL} || !has(self.minReplicas) || self.minReplicas > 0",
            "minReplicas 0 needs autoscalerClass External: a HorizontalPodAutoscaler keeps at least one pod",
            lambda self: self.autoscaler_class == "External" or self.min_replicas > 0,
        ),
        Rule(
            "!has(self.maxReplicas) || (has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas",
            "minReplicas must not exceed maxReplicas",
            lambda self: self.max_replicas is None or self.min_replicas <= self.max_replicas,
        ),
    )
