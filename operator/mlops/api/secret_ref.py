"""A reference to a Secret of the object's namespace."""

from __future__ import annotations

from pydantic import Field

from mlops.api.base import Model, ObjectName


class SecretRef(Model):
    """A Secret of the object's namespace. Pods are given its keys; the operator writes its name and never reads it."""

    name: ObjectName = Field(description="The Secret's name.")
