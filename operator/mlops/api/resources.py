"""Compute of pods: what is set aside for them, and what they never exceed."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mlops.api.base import Model, Rule, text

Quantity = Annotated[
    str,
    text(
        r"^[0-9]{1,12}(\.[0-9]{1,9})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
        'a quantity must match a number with m, k, M, G, T, Ki, Mi, Gi or Ti, such as "500m" or "2Gi"',
        32,
    ),
]


class ResourceAmounts(Model):
    """Amounts of compute."""

    cpu: Quantity | None = Field(default=None, description='Processors, such as "2" or "500m".')
    memory: Quantity | None = Field(default=None, description='Memory, such as "2Gi".')


class Resources(Model):
    """Compute of the pods, as in a container."""

    requests: ResourceAmounts = Field(default_factory=ResourceAmounts, description="What is set aside.")
    limits: ResourceAmounts = Field(default_factory=ResourceAmounts, description="What is never exceeded.")
    rules: ClassVar = (
        Rule(
            "!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory)"
            " || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0",
            "requests.memory must not exceed limits.memory",
            lambda self: _at_most(self.requests.memory, self.limits.memory),
        ),
        Rule(
            "!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu)"
            " || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0",
            "requests.cpu must not exceed limits.cpu",
            lambda self: _at_most(self.requests.cpu, self.limits.cpu),
        ),
    )


_SUFFIXES = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_SUFFIXES |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def _amount(quantity: str) -> float:
    number = quantity.rstrip("mkKMGTi")
    return float(number) * _SUFFIXES[quantity[len(number) :]]


def _at_most(request: str | None, limit: str | None) -> bool:
    return request is None or limit is None or _amount(request) <= _amount(limit)
