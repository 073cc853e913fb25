"""Canary: how a new version of a model takes over a stage by shares of its requests, and what was found on the way."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mlops.api.base import (
    Decimal,
    Digest,
    Duration,
    Fraction,
    Model,
    Name,
    Rule,
    StageName,
    Text,
    Timestamp,
    exactly_one_of,
    text,
)
from mlops.api.metrics import Metric

HeaderName = Annotated[
    str,
    text(
        r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$",
        "the name of a header has letters, digits and -, and begins and ends with a letter or digit",
        64,
    ),
]


class ErrorRateCriterion(Model):
    """How many more of its requests the candidate may fail to answer."""

    max_increase: Fraction = Field(
        default="0.01", description="The largest share of its requests that it may fail beyond the stable version's."
    )


class LatencyCriterion(Model):
    """How much slower the candidate may be."""

    max_ratio: Decimal = Field(
        default="1.5", description="The largest 99th percentile of its predictions, in those of the stable version."
    )
    rules: ClassVar = (
        Rule(
            "!has(self.maxRatio) || (double(self.maxRatio) >= 1.0 && double(self.maxRatio) <= 1000.0)",
            "maxRatio must be from 1, as fast as the version that serves, to 1000",
            lambda self: 1 <= float(self.max_ratio) <= 1000,
        ),
    )


class MetricCriterion(Model):
    """How much worse the candidate may be on labelled rows."""

    name: Metric | None = Field(
        default=None, description="The metric; left out: roc_auc, or f1 of several classes, or rmse of a regression."
    )
    max_loss: Decimal = Field(
        default="0.02", description="The largest loss against the stable version, in units of the metric."
    )
    rules: ClassVar = (
        Rule(
            "!has(self.maxLoss) || (double(self.maxLoss) >= 0.0 && double(self.maxLoss) <= 1e12)",
            "maxLoss must be from 0 to 1e12",
            lambda self: 0 <= float(self.max_loss) <= 1e12,
        ),
    )


class PredictionDriftCriterion(Model):
    """How far the answers of the candidate may be from those of the stable version."""

    max_distance: Fraction = Field(
        default="0.1",
        description=(
            "The largest distance of the two distributions: Kolmogorov-Smirnov of numbers and probabilities, total "
            "variation of classes."
        ),
    )


class Analysis(Model):
    """What has to be shown of the candidate before the canary goes on. It waits until each criterion is decided."""

    error_rate: ErrorRateCriterion | None = Field(default=None, description="It fails not many more requests.")
    latency: LatencyCriterion | None = Field(default=None, description="It is not much slower.")
    metric: MetricCriterion | None = Field(default=None, description="It is not much worse on labelled rows.")
    prediction_drift: PredictionDriftCriterion | None = Field(default=None, description="It answers much alike.")
    alpha: Fraction = Field(
        default="0.05",
        description="The probability of a wrong decision by each criterion, over all times that it is looked at.",
    )
    interval: Duration = Field(default="1m", description="The time between the first two looks; it grows by half.")
    rules: ClassVar = (
        Rule(
            "has(self.errorRate) || has(self.latency) || has(self.metric) || has(self.predictionDrift)",
            "an analysis names at least one of errorRate, latency, metric, predictionDrift",
            lambda self: any((self.error_rate, self.latency, self.metric, self.prediction_drift)),
        ),
        Rule(
            "!has(self.alpha) || (double(self.alpha) > 0.0 && double(self.alpha) <= 0.5)",
            "alpha must be greater than 0 and at most 0.5",
            lambda self: 0 < float(self.alpha) <= 0.5,
        ),
    )


class CanaryStep(Model):
    """One step: exactly one of its fields."""

    set_weight: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="Percent of the requests that the candidate answers from here on."
    )
    pause: Duration | None = Field(default=None, description="Go on after so long.")
    analysis: Analysis | None = Field(default=None, description="Go on when this is shown, and end when it is not so.")
    rules: ClassVar = (exactly_one_of("setWeight", "pause", "analysis", path="steps[]"),)


# CEL has no index of what `all` looks at: the numbers of as many steps as there may be.
_MOST_STEPS = 20
_STEPS = str(list(range(_MOST_STEPS)))
ASKED_BEFORE_JUDGED_CEL = (
    f"{_STEPS}.all(i, i >= self.canary.steps.size() || !has(self.canary.steps[i].analysis) || "
    f"{_STEPS}.exists(j, j < i && has(self.canary.steps[j].setWeight) && self.canary.steps[j].setWeight > 0))"
)


class Canary(Model):
    """How a version takes over from the one that serves: by steps, after the last of which it serves alone."""

    steps: Annotated[tuple[CanaryStep, ...], Field(min_length=1, max_length=_MOST_STEPS)] = Field(
        description="What is done, in order; the weight is 0 until a step sets it."
    )
    sticky_header: HeaderName | None = Field(
        default=None,
        description=(
            "Requests with the same value of this header are answered by the same version; those without it, and all "
            "if it is left out, by their id."
        ),
    )

    @property
    def is_asked_before_it_is_judged(self) -> bool:
        """Return whether a step has the candidate answer requests before each analysis."""
        first = next((index for index, step in enumerate(self.steps) if step.analysis is not None), len(self.steps))
        return first == len(self.steps) or any(step.set_weight for step in self.steps[:first])

    def weight_at(self, step: int) -> int:
        """Return percent of the requests that the candidate answers at a step."""
        set_so_far = (each.set_weight for each in self.steps[: step + 1] if each.set_weight is not None)
        return next(reversed(list(set_so_far)), 0)


class Shadow(Model):
    """Requests that the candidate answers too, for the record only: its answer is never returned."""

    percent: Annotated[int, Field(ge=1, le=100)] = Field(
        description="The share of the stable version's requests, while the canary lasts."
    )


AnalysisOutcome = Literal["Successful", "Failed", "Inconclusive"]
CriterionName = Literal["errorRate", "latency", "metric", "predictionDrift"]


class CriterionResult(Model):
    """What was found about one criterion."""

    name: CriterionName = Field(description="Which one.")
    outcome: AnalysisOutcome = Field(description="Inconclusive: it takes more requests or labels to tell.")
    stable: Decimal | None = Field(default=None, description="Of the stable version.")
    candidate: Decimal | None = Field(default=None, description="Of the candidate.")
    low: Decimal | None = Field(default=None, description="Lower end of the interval of what the limit is about.")
    high: Decimal | None = Field(default=None, description="Upper end of it.")
    message: Text = Field(default="", description="In words; of an Inconclusive one what it waits for.")


class AnalysisResult(Model):
    """What the newest look found."""

    time: Timestamp = Field(description="When.")
    outcome: AnalysisOutcome = Field(description="Failed if one criterion is; Successful if all are.")
    criteria: Annotated[tuple[CriterionResult, ...], Field(max_length=4)] = Field(description="One by one.")


class CanaryStatus(Model):
    """Where the canary of a version stands."""

    stage: StageName = Field(description="In which stage.")
    stable: Name = Field(description="The ModelVersion that serves there.")
    stable_artifact: Digest = Field(description="Its model.")
    steps_digest: Digest = Field(
        description="The digest of canary and shadow of the stage: with others it starts again."
    )
    started_at: Timestamp = Field(description="When it began.")
    asked_since: Timestamp | None = Field(
        default=None, description="Since when all pods have the candidate answer requests, for callers or as shadow."
    )
    step: Annotated[int, Field(ge=0)] = Field(
        description="The step that it is at, from 0; as many as there are steps: it takes over."
    )
    step_since: Timestamp | None = Field(
        default=None, description="Since when; not there until the pods are as the step wants them."
    )
    weight: Annotated[int, Field(ge=0, le=100)] = Field(
        description="Percent of the requests that the candidate answers."
    )
    looks: int = Field(default=0, description="How often this step's analysis has been looked at.")
    attempts: int = Field(default=0, description="Looks in a row of which the Job failed; the next one waits longer.")
    analysis: AnalysisResult | None = Field(default=None, description="What the newest look found.")
