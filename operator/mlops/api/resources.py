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
# What a pod may keep on its node's disk is the installation's to say.
ResourceName = Annotated[
    str,
    text(
        r"^(cpu|memory|[a-z0-9][a-z0-9.-]{0,62}/[A-Za-z0-9][A-Za-z0-9_.-]{0,62})$",
        "a resource is cpu, memory or one that a device plug-in offers, such as nvidia.com/gpu",
        126,
    ),
]
Amounts = Annotated[dict[ResourceName, Quantity], Field(max_length=16)]


def _ordered(name: str) -> Rule:
    return Rule(
        f"!has(self.requests) || !has(self.limits) || !('{name}' in self.requests) || !('{name}' in self.limits)"
        f" || quantity(self.requests['{name}']).compareTo(quantity(self.limits['{name}'])) <= 0",
        f"requests.{name} must not exceed limits.{name}",
        lambda self: _at_most(self.requests.get(name), self.limits.get(name)),
    )


class Resources(Model):
    """Compute of the pods, as in a container."""

    requests: Amounts = Field(
        default_factory=dict,
        description='What is set aside: {cpu: "2", memory: 2Gi}, and devices such as {nvidia.com/gpu: "1"}.',
    )
    limits: Amounts = Field(
        default_factory=dict, description="What is never exceeded. Of devices it is what is set aside as well."
    )
    rules: ClassVar = (
        _ordered("memory"),
        _ordered("cpu"),
        Rule(
            "(!has(self.requests) || self.requests.all(name, !name.contains('/')"
            ' || self.requests[name].matches(r"^[0-9]+$")))'
            " && (!has(self.limits) || self.limits.all(name, !name.contains('/')"
            ' || self.limits[name].matches(r"^[0-9]+$")))',
            'an amount of devices is a whole number, such as "1"',
            lambda self: all(
                amount.isdigit()
                for side in (self.requests, self.limits)
                for name, amount in side.items()
                if "/" in name
            ),
        ),
        Rule(
            "!has(self.requests) || !has(self.limits) || self.requests.all(name, !name.contains('/')"
            " || !(name in self.limits) || self.limits[name] == self.requests[name])",
            "requests and limits of a device must be equal: give its limits only",
            lambda self: all(
                self.limits.get(name, amount) == amount for name, amount in self.requests.items() if "/" in name
            ),
        ),
    )


_SUFFIXES = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_SUFFIXES |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def _amount(quantity: str) -> float:
    number = quantity.rstrip("mkKMGTi")
    return float(number) * _SUFFIXES[quantity[len(number) :]]


def _at_most(request: str | None, limit: str | None) -> bool:
    return request is None or limit is None or _amount(request) <= _amount(limit)
