"""What a DriftMonitor's window is compared with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from mlops.api.base import Digest, Duration, Model, Name, Rule, Text, Timestamp, exactly_one_of


class TrainingData(Model):
    """What the live version was trained and tested on."""


class ReferenceDatasetRef(Model):
    """A version of a Dataset of the namespace."""

    name: Name = Field(description="The Dataset's name.")
    version: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="The version's number; the current one if left out."
    )


class EarlierWindow(Model):
    """Captured requests of the model and stage from a span of event time that stays."""

    start: Timestamp = Field(description="The event time after which the span begins.")
    end: Timestamp = Field(description="The event time with which the span ends.")
    rules: ClassVar = (
        Rule(
            "timestamp(self.start) < timestamp(self.end)",
            "start must be before end",
            lambda self: datetime.fromisoformat(self.start) < datetime.fromisoformat(self.end),
        ),
    )


class Seasonal(Model):
    """Captured requests of a span as long as the window, so long before it."""

    offset: Duration = Field(description="How long before the window, such as 365d or 7d.")


class DriftReference(Model):
    """What the window is compared with: exactly one."""

    training_data: TrainingData | None = Field(
        default=None, description="What the live version was trained and tested on."
    )
    dataset_ref: ReferenceDatasetRef | None = Field(default=None, description="A version of a Dataset.")
    window: EarlierWindow | None = Field(default=None, description="An earlier span of captured requests that stays.")
    seasonal: Seasonal | None = Field(default=None, description="The same season, captured.")
    rules: ClassVar = (exactly_one_of("trainingData", "datasetRef", "window", "seasonal", path="spec.reference"),)

    @property
    def dataset(self) -> str | None:
        """Return the name of the Dataset, if it is one."""
        return self.dataset_ref.name if self.dataset_ref else None


class PinnedDataset(Model):
    """A version of a Dataset, by what it is and where it lies."""

    name: Name = Field(description="The Dataset's name.")
    version: int = Field(description="The version's number.")
    digest: Digest = Field(description="Of its content.")
    artifact: Digest = Field(description="Its address in the store.")


class ReferenceSource(Model):
    """What the newest window was compared with."""

    source: Text = Field(description="In words, such as: Dataset rain, version 3.")
    digest: Digest = Field(
        description="Of the model that has it (training data), of the Dataset's content, or of the captured rows."
    )
    rows: int = Field(description="Its rows.")
