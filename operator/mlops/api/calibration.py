"""How a relation moved: whether a map of the scores alone mends what a check has found."""

from __future__ import annotations

from pydantic import Field

from mlops.api.base import Decimal, Digest, Model, Text, Timestamp
from mlops.api.metrics import Metric


class MovedCalibration(Model):
    """Whether a map of the scores, which keeps their order, mends a relation that moved."""

    alone: bool = Field(
        description="Whether it does: the ranking stayed, and what the map leaves of the drop is not shown to count."
    )
    artifact: Digest = Field(description="The model that was judged.")
    metric: Metric = Field(description="What it was measured by: brier, or mae of a regression.")
    reference: Decimal = Field(description="The metric on the reference.")
    current: Decimal = Field(description="The metric on the window's labelled rows from after the change.")
    restored: Decimal = Field(
        description="The metric there with a map that was fitted to the other half of these rows, by turns."
    )
    ranking_reference: Decimal = Field(description="The ROC area, or rank correlation, on the reference.")
    ranking_current: Decimal = Field(description="The same on the window's rows.")
    since: Timestamp = Field(description="The event time from which rows were taken: the change, or the first row.")
    obstacle: Text | None = Field(default=None, description="Why the live model takes no map, if it takes none.")

    @property
    def can_be_mended(self) -> bool:
        """Whether a recalibration of the model is what the finding calls for."""
        return self.alone and self.obstacle is None
