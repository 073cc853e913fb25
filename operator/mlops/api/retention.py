"""Which versions of a Dataset stay in the store, and how old its data may be."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mlops.api.base import Duration, Model, Rule, Timestamp


class Retention(Model):
    """Which versions stay. The current one does, and so does each that something needs."""

    keep_versions: Annotated[int, Field(ge=1, le=20)] | None = Field(
        default=None, description="So many of the newest versions stay, the current one among them; older ones go."
    )
    max_age: Duration | None = Field(default=None, description="A version that was made longer ago than this goes.")
    rules: ClassVar = (
        Rule(
            "has(self.keepVersions) || has(self.maxAge)",
            "keepVersions or maxAge must be set: without spec.retention every version stays",
            lambda self: self.keep_versions is not None or self.max_age is not None,
        ),
    )


class Removal(Model):
    """How far the removal of a version has come: first the record, then the bytes."""

    at: Timestamp = Field(description="Since when no run can use the version.")
    erasing: Timestamp | None = Field(
        default=None, description="Since when its bytes are being removed: from then on nothing brings it back."
    )
    erased: Timestamp | None = Field(default=None, description="When its bytes were gone from the store.")


class Freshness(Model):
    """How old the newest data may be."""

    max_age: Duration = Field(description="Data that are older are stale: the condition Fresh is False.")
    measure: Literal["Delivery", "EventTime"] = Field(
        default="Delivery",
        description="What is not to be older. Delivery: the newest file of the source, as its store dates it; of "
        "captures the newest request; not for sql and http, which say none. EventTime: the newest value of the field "
        "of role timestamp, which must not be personal.",
    )
