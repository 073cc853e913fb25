"""Where a DriftMonitor's labels come from: the feedback endpoint, delivered files, a Dataset."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mlops.api.base import Duration, FieldName, Model, Name, Rule, S3Uri, Text, exactly_one_of, text
from mlops.api.dataset import Url
from mlops.api.secret_ref import SecretRef

LabelFormat = Literal["GroundTruthJSONL", "parquet", "csv"]
# Columns of a delivery, any text.
Column = Annotated[str, text(r"^[^\x00]+$", "a column's name as it stands in the delivery", 256)]


class Feedback(Model):
    """Labels that came to the model server's feedback endpoint."""


class LabelColumns(Model):
    """What the columns of delivered labels are called."""

    id: Column = Field(default="id", description="The column with the id of the request.")
    row: Column | None = Field(
        default=None,
        description="The column with the number of the row in its request, from 0. If left out, an id stands for the "
        "first row of its request, and <id>/<row> for a further one.",
    )
    label: Column = Field(default="label", description="The column with the label.")
    time: Column | None = Field(
        default=None,
        description="The column with the label's own time. If left out, a label is dated by when its file was written.",
    )


_FORMAT_RULES = (
    Rule(
        "self.format != 'GroundTruthJSONL' || !has(self.columns)",
        "columns is for format parquet or csv: GroundTruthJSONL says itself where things stand",
        lambda self: self.format != "GroundTruthJSONL" or self.columns is None,
    ),
)


class S3Labels(Model):
    """Labels in an object, or in every object under a prefix, of any S3."""

    uri: S3Uri = Field(description="An object (s3://bucket/key) or a prefix (s3://bucket/prefix/).")
    secret_ref: SecretRef | None = Field(
        default=None,
        description="A Secret with this source's own service and keys, as of a Dataset's source; the store's own if "
        "left out.",
    )
    format: LabelFormat = Field(
        description="GroundTruthJSONL: a JSON object a line, with eventMetadata.eventId and groundTruthData.data. csv: "
        "commas, double quotes, UTF-8 and one header line."
    )
    columns: LabelColumns | None = Field(default=None, description="What the columns are called.")
    rules: ClassVar = _FORMAT_RULES


class HttpLabels(Model):
    """Labels in a file on a web server, read anew for every check."""

    url: Url = Field(description="An http or https URL without user information.")
    secret_ref: SecretRef | None = Field(
        default=None, description="A Secret whose key AUTHORIZATION holds the whole Authorization header."
    )
    format: LabelFormat = Field(
        description="GroundTruthJSONL: a JSON object a line, with eventMetadata.eventId and groundTruthData.data. csv: "
        "commas, double quotes, UTF-8 and one header line."
    )
    columns: LabelColumns | None = Field(default=None, description="What the columns are called.")
    rules: ClassVar = _FORMAT_RULES


class LabelDatasetRef(Model):
    """A Dataset of the namespace, in its current version."""

    name: Name = Field(description="The Dataset's name; it has a label, a timestamp and an entity key.")


class LabelSource(Model):
    """One place where labels come from."""

    feedback: Feedback | None = Field(default=None, description="The model server's feedback endpoint.")
    s3: S3Labels | None = Field(default=None, description="An object or a prefix of any S3.")
    http: HttpLabels | None = Field(default=None, description="A file on a web server.")
    dataset_ref: LabelDatasetRef | None = Field(
        default=None,
        description="The rows of a Dataset, joined point-in-time: of the same entity, dated at the request's time or "
        "after it.",
    )
    join_keys: Annotated[tuple[FieldName, ...], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="Of datasetRef: the fields of the Dataset that are inputs of the model too and say whom a row is "
        "about; its fields of role entityKey if left out. One that is no input is compared with the request's id.",
    )
    within: Duration | None = Field(
        default=None,
        description="Of datasetRef: the first row dated at most so long after the request is its label; 0s, the same "
        "time, if left out.",
    )
    rules: ClassVar = (
        exactly_one_of("feedback", "s3", "http", "datasetRef", path="spec.labels.sources[]"),
        Rule(
            "has(self.datasetRef) || !(has(self.joinKeys) || has(self.within))",
            "joinKeys and within are for datasetRef",
            lambda self: self.dataset_ref is not None or (self.join_keys is None and self.within is None),
        ),
    )

    @property
    def secret(self) -> str | None:
        """Return the name of the Secret with the source's own credentials, if it has any."""
        found = self.s3 or self.http
        return found.secret_ref.name if found and found.secret_ref else None

    @property
    def is_delivered(self) -> bool:
        """Return whether its labels are files that somebody else delivers."""
        return self.s3 is not None or self.http is not None

    @property
    def shown(self) -> str:
        """Return what the source is called in reports, at most 120 characters."""
        found = self.s3.uri if self.s3 else self.http.url if self.http else ""
        text_ = found or (f"Dataset {self.dataset_ref.name}" if self.dataset_ref else "feedback")
        return text_ if len(text_) <= 120 else f"{text_[:119]}…"


class LabelSourceResult(Model):
    """What one source gave for the newest window."""

    source: Text = Field(description="The source: feedback, an address, or Dataset and its name.")
    labelled: int = Field(description="Judged rows that it has a label for.")
    unmatched: int = Field(default=0, description="Labels dated in the window that belong to none of its requests.")
    duplicates: int = Field(default=0, description="Further labels that say the same.")
    conflicts: int = Field(default=0, description="Rows whose labels differ; the last one counts.")
    early: int = Field(default=0, description="Labels dated more than a day before their request; they do not count.")
    late: int = Field(default=0, description="Labels that came later than maxDelay after their request; they count.")
    unusable: int = Field(default=0, description="Labels that say nothing: no class, or no number.")
    disagreeing: int = Field(
        default=0, description="Rows for which a source before this one has another label, which counts."
    )
    message: Text = Field(default="", description="Why it gave nothing, if that is known.")
