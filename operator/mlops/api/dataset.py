"""Dataset: capture, clean, transform, validate, version."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mlops.api.base import (
    Cron,
    Decimal,
    Digest,
    Duration,
    Expression,
    FieldName,
    Fraction,
    Model,
    ModelName,
    PrinterColumn,
    Resource,
    Rule,
    S3Uri,
    StageName,
    Text,
    Timestamp,
    TimeZone,
    exactly_one_of,
    readiness_columns,
    text,
)
from mlops.api.conditions import Condition
from mlops.api.delimited import Csv, Word
from mlops.api.file_formats import Excel, FileFormat, Json
from mlops.api.pod_template import PodTemplate
from mlops.api.resources import Resources
from mlops.api.retention import Freshness, Removal, Retention
from mlops.api.secret_ref import SecretRef
from mlops.api.sql_source import SqlSource
from mlops.api.time_format import COMPLETE, TimeFormat

Url = Annotated[
    str,
    text(
        r"^https?://[^\x00-\x20\x7f@/\\]+(/[^\x00-\x20\x7f\\]*)?$",
        "an http or https URL without user information",
        2048,
    ),
]
FieldType = Literal["float64", "int64", "string", "boolean", "timestamp"]
Role = Literal["feature", "input", "label", "entityKey", "timestamp", "ignored"]


class S3Source(Model):
    """An object, or every object under a prefix, of any S3."""

    uri: S3Uri = Field(description="An object (s3://bucket/key) or a prefix (s3://bucket/prefix/).")
    secret_ref: SecretRef | None = Field(
        default=None,
        description=(
            "A Secret with this source's own service and keys: MLOPS_S3_ENDPOINT, AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and, if needed, AWS_SESSION_TOKEN, MLOPS_S3_REGION, MLOPS_S3_ADDRESSING, "
            "MLOPS_S3_CA. Nothing of the store's is used then. The store's own if left out."
        ),
    )


class HttpSource(Model):
    """A file on a web server. Loopback, link-local, private and metadata addresses are refused."""

    url: Url = Field(description="An http or https URL without user information.")
    sha256: Annotated[str, text(r"^[0-9a-f]{64}$", "64 lower-case hex digits, as sha256sum prints them", 64)] = Field(
        description="The sha256 of the file in hex; other bytes are refused."
    )
    secret_ref: SecretRef | None = Field(
        default=None,
        description=(
            "A Secret whose key AUTHORIZATION holds the whole Authorization header, such as Bearer and a token. It is "
            "sent to the URL's own scheme, host and port only, never after a redirect to others."
        ),
    )


class DeliveredHistory(Model):
    """Rows from before there was a live model."""

    s3: S3Source = Field(description="An object or a prefix of any S3.")


class CapturedSource(Model):
    """Live predictions and their labels become training data."""

    model_name: ModelName = Field(description="The model whose captured requests are read.")
    stage: StageName = Field(default="production", description="The stage whose captured requests are read.")
    window: Duration = Field(
        description="How far back rows reach, by event time, from the time of the refresh, such as 365d."
    )
    labels: Literal["Required", "Optional"] = Field(
        default="Required", description="Required leaves out rows whose label has not arrived."
    )
    history: DeliveredHistory | None = Field(
        default=None,
        description=(
            "Delivered rows from before there was a live model. They are read beside the captures, in the same "
            "window; without a live model they are all that is read, the window then ending at their last row."
        ),
    )


class Source(Model):
    """Where the rows come from."""

    s3: S3Source | None = Field(default=None, description="An object or a prefix of any S3.")
    http: HttpSource | None = Field(default=None, description="A file on a web server.")
    captured: CapturedSource | None = Field(default=None, description="Captured requests of a served model.")
    sql: SqlSource | None = Field(default=None, description="The rows of a query to a database.")
    rules: ClassVar = (exactly_one_of("s3", "http", "captured", "sql", path="spec.source"),)

    @property
    def secret(self) -> str | None:
        """Return the name of the Secret with the source's own credentials, if it has any."""
        history = self.captured.history.s3 if self.captured and self.captured.history else None
        found = self.s3 or self.http or history or self.sql
        return found.secret_ref.name if found and found.secret_ref else None


class DataField(Model):
    """One column of the contract."""

    name: FieldName = Field(
        description="The column's name from here on, and in the data if column does not say another."
    )
    column: Annotated[str, text(r"^[^\x00]+$", "a column's name as it stands in the delivery", 256)] | None = Field(
        default=None, description="The column's name in the data, any text; name if left out."
    )
    position: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="The column's place in a CSV file, the first is 1, instead of its name."
    )
    type: FieldType = Field(description="The column's type; text is parsed to it, a value that cannot be is an error.")
    role: Role = Field(
        default="feature",
        description=(
            "What the column is for. feature: requests carry it, and the model sees it. input: requests carry it, and "
            "the model sees only what features compute of it. label: what is predicted. entityKey, timestamp: whom a "
            "row is about, and when; a request carries them if a feature is computed of them. ignored: read and kept."
        ),
    )
    nullable: bool = Field(default=False, description="Whether values may be missing.")
    min: Decimal | None = Field(default=None, description='Lowest allowed value of a number, such as "0".')
    max: Decimal | None = Field(default=None, description='Highest allowed value of a number, such as "1".')
    enum: Annotated[tuple[Text, ...], Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="The allowed values of a string."
    )
    unit: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None, description="The unit of measure, shown in profiles and reports."
    )
    null_values: Annotated[tuple[Word, ...], Field(max_length=32)] | None = Field(
        default=None, description="Texts that mean a missing value in this column, instead of spec.csv.nullValues."
    )
    formats: Annotated[tuple[TimeFormat, ...], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="How a timestamp is written, in words of strptime, such as %d.%m.%Y %H:%M; RFC 3339 if left out. "
        "A text that two of them read differently is an error.",
    )
    time_zone: TimeZone | None = Field(
        default=None,
        description="The time zone of timestamps that are written without an offset; UTC if left out, which is told. "
        "Days without a time of day are then midnight in UTC.",
    )
    ambiguous_times: Literal["Refuse", "Earliest", "Latest"] = Field(
        default="Refuse", description="What a local time means that there was twice, when clocks were put back."
    )
    nonexistent_times: Literal["Refuse", "Shift"] = Field(
        default="Refuse",
        description="What a local time means that was left out, when clocks were put forward. Shift: the offset before "
        "counts, so that 02:30 is 03:30.",
    )
    symbols: (
        Annotated[
            tuple[
                Annotated[
                    str,
                    text(
                        r"^[^\x00-\x200-9+.,-]+$",
                        "a sign such as $, EUR or %: no digit, blank, sign, point or comma",
                        16,
                    ),
                ],
                ...,
            ],
            Field(min_length=1, max_length=8),
        ]
        | None
    ) = Field(
        default=None,
        description='Signs of currency or percent that may stand before or after a number and are left out: "12 %" is '
        "12.",
    )
    positive_class: Text | None = Field(
        default=None,
        description=(
            "Of a label with two classes: the one that f1 speaks of, written as text (churn, 1, true). The last in "
            "sorted order if left out."
        ),
    )
    rules: ClassVar = (
        Rule(
            "!(has(self.min) || has(self.max)) || self.type in ['float64', 'int64']",
            "min and max are for fields of type float64 or int64",
            lambda self: (self.min is None and self.max is None) or self.type in ("float64", "int64"),
        ),
        Rule(
            "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)",
            "min must not be greater than max",
            lambda self: self.min is None or self.max is None or float(self.min) <= float(self.max),
        ),
        Rule(
            "!has(self.enum) || self.type == 'string'",
            "enum is for fields of type string",
            lambda self: self.enum is None or self.type == "string",
        ),
        Rule(
            "!has(self.positiveClass) || (has(self.role) && self.role == 'label'"
            " && self.type in ['string', 'int64', 'boolean'])",
            "positiveClass is for the label, of type string, int64 or boolean",
            lambda self: (
                self.positive_class is None or (self.role == "label" and self.type in ("string", "int64", "boolean"))
            ),
        ),
        Rule(
            "!has(self.positiveClass) || !has(self.enum) || self.positiveClass in self.enum",
            "positiveClass must be one of enum",
            lambda self: self.positive_class is None or self.enum is None or self.positive_class in self.enum,
        ),
        Rule(
            "!has(self.role) || self.role != 'timestamp' || self.type == 'timestamp'",
            "a field of role timestamp must have type timestamp",
            lambda self: self.role != "timestamp" or self.type == "timestamp",
        ),
        Rule(
            "!has(self.column) || !has(self.position)",
            "column and position cannot both be set",
            lambda self: self.column is None or self.position is None,
        ),
        Rule(
            "!(has(self.formats) || has(self.timeZone)) || self.type == 'timestamp'",
            "formats and timeZone are for fields of type timestamp",
            lambda self: (self.formats is None and self.time_zone is None) or self.type == "timestamp",
        ),
        Rule(
            "has(self.timeZone) || ((!has(self.ambiguousTimes) || self.ambiguousTimes == 'Refuse')"
            " && (!has(self.nonexistentTimes) || self.nonexistentTimes == 'Refuse'))",
            "ambiguousTimes and nonexistentTimes need a timeZone",
            lambda self: (
                self.time_zone is not None or (self.ambiguous_times == "Refuse" and self.nonexistent_times == "Refuse")
            ),
        ),
        COMPLETE,
        Rule(
            "!has(self.symbols) || self.type in ['float64', 'int64']",
            "symbols are for fields of type float64 or int64",
            lambda self: self.symbols is None or self.type in ("float64", "int64"),
        ),
    )


class Deduplicate(Model):
    """Keep the last of the rows that agree in these fields."""

    by: Annotated[tuple[FieldName, ...], Field(min_length=1, max_length=32)] = Field(
        description="The fields that make a row unique."
    )


class FillNull(Model):
    """Put a value where one is missing."""

    field: FieldName = Field(description="The field to fill.")
    value: Text | None = Field(default=None, description="The value to put there, written as text.")
    strategy: Literal["forward", "mean", "median", "zero"] | None = Field(
        default=None, description="How to find the value: forward (that of an earlier row), the mean, the median or 0."
    )
    by: Annotated[tuple[FieldName, ...], Field(max_length=32)] | None = Field(
        default=None,
        description=(
            "Of forward: rows that agree in these fields fill one another, such as [station]. The fields of role "
            "entityKey if left out, so that no entity is filled from another; []: all rows do."
        ),
    )
    rules: ClassVar = (
        exactly_one_of("value", "strategy", path="fillNull"),
        Rule(
            "!has(self.by) || (has(self.strategy) && self.strategy == 'forward')",
            "fillNull.by is for strategy forward",
            lambda self: self.by is None or self.strategy == "forward",
        ),
    )


class CleanStep(Model):
    """One step of cleaning; steps run in order."""

    deduplicate: Deduplicate | None = Field(default=None, description="Keep the last of equal rows.")
    drop_nulls: Annotated[tuple[FieldName, ...], Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Drop rows in which one of these fields is missing."
    )
    fill_null: FillNull | None = Field(default=None, description="Fill missing values of a field.")
    filter: Expression | None = Field(
        default=None, description="A SQL condition; rows for which it is not true are dropped."
    )
    rules: ClassVar = (exactly_one_of("deduplicate", "dropNulls", "fillNull", "filter", path="spec.clean[]"),)


class Feature(Model):
    """A column computed from others of the same row, the same way at training and at serving."""

    name: FieldName = Field(description="The name of the new column.")
    expression: Expression = Field(description="A SQL expression over fields and earlier features, row by row.")


class ValidationRule(Model):
    """A condition that every row must meet."""

    name: Annotated[
        str, text(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "a name has lower-case letters, digits and -", 63)
    ] = Field(description="The rule's name, shown in the status.")
    expression: Expression = Field(description="A SQL condition over fields and features.")


class Validation(Model):
    """What a delivery must fulfil to become a version."""

    rules_: Annotated[tuple[ValidationRule, ...], Field(max_length=100)] = Field(
        default=(), alias="rules", description="Conditions that every row must meet, beside the contract of the fields."
    )
    on_failure: Literal["Reject", "Quarantine", "Warn"] = Field(
        default="Reject",
        description=(
            "Reject: a delivery with a bad row never becomes a version. Quarantine: bad rows are put aside, up to "
            "maxQuarantinedPercent. Warn: rows that break a rule stay and are counted; the contract of the fields "
            "still holds."
        ),
    )
    max_quarantined_percent: Annotated[int, Field(ge=0, le=100)] = Field(
        default=1, description="Above this share of bad rows a delivery is rejected all the same."
    )
    min_rows: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        default=1, description="A delivery with fewer rows is rejected."
    )


class Fractions(Model):
    """The parts of a split; they add up to 1."""

    train: Fraction = Field(default="0.6", description="Rows to fit on.")
    validation: Fraction = Field(default="0.2", description="Rows to choose by, in a search.")
    test: Fraction = Field(default="0.2", description="Rows to judge by, in gates.")
    rules: ClassVar = (
        Rule(
            "double(self.train) + double(self.validation) + double(self.test) > 0.999999 &&"
            " double(self.train) + double(self.validation) + double(self.test) < 1.000001",
            "train, validation and test must add up to 1",
            lambda self: abs(float(self.train) + float(self.validation) + float(self.test) - 1) < 1e-6,
        ),
        Rule(
            "double(self.train) > 0.0",
            "train must be greater than 0",
            lambda self: float(self.train) > 0,
        ),
    )


class Split(Model):
    """How rows are divided into train, validation and test."""

    strategy: Literal["time", "hash", "random"] = Field(
        default="random",
        description=(
            "time: by the timestamp field, the oldest rows train. hash: by the entityKey field, so that a row keeps "
            "its part in every version. random: by the seed."
        ),
    )
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = Field(default=0, description="The seed of random and hash.")
    fractions: Fractions = Field(default_factory=Fractions, description="The size of each part.")


class Refresh(Model):
    """When the source is synced again; a new version is made only if the content changed."""

    schedule: Cron = Field(description='A cron line of five fields, such as "0 * * * *".')
    time_zone: TimeZone | None = Field(default=None, description="The schedule's time zone; UTC if left out.")


class Governance(Model):
    """Who answers for the data, and what must not be shown."""

    owner: Text | None = Field(default=None, description="Who answers for the data.")
    purpose: Text | None = Field(default=None, description="What it may be used for.")
    license: Text | None = Field(default=None, description="Under which licence it is.")
    pii: Annotated[tuple[FieldName, ...], Field(max_length=256)] = Field(
        default=(),
        description="Fields with personal data: profiles, reports, messages and captures show no value of theirs, and "
        "models know their categories by keyed hashes only.",
    )
    pii_in_models: Annotated[tuple[FieldName, ...], Field(max_length=256)] = Field(
        default=(),
        description="Those of pii that may stand in a model in plain text: as categories, as classes of the label, in "
        "estimators that keep rows.",
    )
    pii_in_captures: Annotated[tuple[FieldName, ...], Field(max_length=256)] = Field(
        default=(), description="Those of pii that model servers record with the requests; others are left out."
    )
    rules: ClassVar = (
        Rule(
            "!has(self.piiInModels) || (has(self.pii) && self.piiInModels.all(f, f in self.pii))",
            "spec.governance.piiInModels must name fields of spec.governance.pii",
            lambda self: set(self.pii_in_models) <= set(self.pii),
        ),
        Rule(
            "!has(self.piiInCaptures) || (has(self.pii) && self.piiInCaptures.all(f, f in self.pii))",
            "spec.governance.piiInCaptures must name fields of spec.governance.pii",
            lambda self: set(self.pii_in_captures) <= set(self.pii),
        ),
    )


def _one_label(fields: tuple[DataField, ...]) -> bool:
    return sum(field.role == "label" for field in fields) <= 1


def _has_watermark(source: SqlSource | None, fields: tuple[DataField, ...]) -> bool:
    if source is None or source.incremental is None:
        return True
    read = [field for field in fields if (field.column or field.name) == source.incremental.column]
    return any(one.type in ("int64", "timestamp") and not one.nullable and one.time_zone is None for one in read)


class DatasetSpec(Model):
    """What the user wants."""

    source: Source = Field(description="Where the rows come from: exactly one of s3, http, captured, sql.")
    format: FileFormat = Field(
        default="parquet", description="The format of delivered files; nothing to say where rows come of a database."
    )
    csv: Csv | None = Field(
        default=None,
        description="How delivered CSV is written; comma, double quotes, UTF-8 and one header line if left out.",
    )
    json_: Json | None = Field(
        default=None,
        alias="json",
        description="Where in a JSON document the records are; the document is an array of them if left out.",
    )
    excel: Excel | None = Field(
        default=None, description="Where in a workbook the rows are; all of its only visible sheet if left out."
    )
    fields: Annotated[tuple[DataField, ...], Field(min_length=1, max_length=512)] = Field(
        description="The contract: every column that is read.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    clean: Annotated[tuple[CleanStep, ...], Field(max_length=32)] = Field(
        default=(), description="Steps of cleaning, in order."
    )
    features: Annotated[tuple[Feature, ...], Field(max_length=128)] = Field(
        default=(),
        description="Computed columns, in order; the served model computes them from the same expressions.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    validation: Validation = Field(default_factory=Validation, description="What a delivery must fulfil.")
    split: Split = Field(default_factory=Split, description="How rows are divided.")
    refresh: Refresh | None = Field(default=None, description="When to sync the source again; never if left out.")
    governance: Governance = Field(default_factory=Governance, description="Who answers for the data.")
    retention: Retention | None = Field(
        default=None, description="Which versions stay in the store; all of them if left out."
    )
    freshness: Freshness | None = Field(
        default=None, description="How old the newest data may be; nobody asks if left out."
    )
    resources: Resources | None = Field(default=None, description="Compute of the pods that read the source.")
    pod_template: PodTemplate | None = Field(
        default=None, description="What is added to the pods that read the source or remove versions."
    )
    suspend: bool = Field(default=False, description="Stop syncing the source; the current version stays.")
    rules: ClassVar = (
        Rule(
            "self.fields.filter(f, has(f.role) && f.role == 'label').size() <= 1",
            "spec.fields has more than one field of role label: keep one",
            lambda self: _one_label(self.fields),
        ),
        Rule(
            "self.fields.filter(f, has(f.role) && f.role == 'timestamp').size() <= 1",
            "spec.fields has more than one field of role timestamp: keep one",
            lambda self: sum(field.role == "timestamp" for field in self.fields) <= 1,
        ),
        Rule(
            "!has(self.split) || self.split.strategy != 'time' ||"
            " self.fields.exists(f, has(f.role) && f.role == 'timestamp')",
            "spec.split.strategy time needs a field of role timestamp",
            lambda self: self.split.strategy != "time" or any(f.role == "timestamp" for f in self.fields),
        ),
        Rule(
            "!has(self.split) || self.split.strategy != 'hash' ||"
            " self.fields.exists(f, has(f.role) && f.role == 'entityKey')",
            "spec.split.strategy hash needs a field of role entityKey",
            lambda self: self.split.strategy != "hash" or any(f.role == "entityKey" for f in self.fields),
        ),
        Rule(
            "!has(self.source.captured) || self.fields.exists(f, has(f.role) && f.role == 'timestamp')",
            "spec.source.captured needs a field of role timestamp: its window is in event time",
            lambda self: self.source.captured is None or any(f.role == "timestamp" for f in self.fields),
        ),
        Rule(
            "!has(self.freshness) || self.freshness.measure != 'EventTime' ||"
            " self.fields.exists(f, has(f.role) && f.role == 'timestamp')",
            "spec.freshness.measure EventTime needs a field of role timestamp",
            lambda self: (
                self.freshness is None
                or self.freshness.measure != "EventTime"
                or any(f.role == "timestamp" for f in self.fields)
            ),
        ),
        Rule(
            "!has(self.freshness) || self.freshness.measure != 'Delivery' ||"
            " !(has(self.source.sql) || has(self.source.http))",
            "spec.freshness.measure Delivery is for sources that date what they deliver, and sql and http do not: say "
            "measure: EventTime",
            lambda self: (
                self.freshness is None
                or self.freshness.measure != "Delivery"
                or (self.source.sql is None and self.source.http is None)
            ),
        ),
        Rule(
            "!has(self.csv) || self.format == 'csv'",
            "spec.csv is for spec.format csv",
            lambda self: self.csv is None or self.format == "csv",
        ),
        Rule(
            "!has(self.json) || self.format == 'json'",
            "spec.json is for spec.format json",
            lambda self: self.json_ is None or self.format == "json",
        ),
        Rule(
            "!has(self.excel) || self.format == 'excel'",
            "spec.excel is for spec.format excel",
            lambda self: self.excel is None or self.format == "excel",
        ),
        Rule(
            "!has(self.source.sql) || self.format == 'parquet'",
            "spec.format is for files: leave it out with spec.source.sql",
            lambda self: self.source.sql is None or self.format == "parquet",
        ),
        Rule(
            "!has(self.source.sql) || !has(self.source.sql.incremental) || self.fields.exists(f,"
            " (has(f.column) ? f.column : f.name) == self.source.sql.incremental.column &&"
            " f.type in ['int64', 'timestamp'] && !(has(f.nullable) && f.nullable) && !has(f.timeZone))",
            "spec.source.sql.incremental.column must be read by a field of type int64 or timestamp that has neither "
            "nullable nor timeZone",
            lambda self: _has_watermark(self.source.sql, self.fields),
        ),
        Rule(
            "self.format == 'csv' || !self.fields.exists(f, has(f.position))",
            "spec.fields[].position is for spec.format csv: name the column",
            lambda self: self.format == "csv" or all(f.position is None for f in self.fields),
        ),
        Rule(
            "!has(self.csv) || self.csv.header != 0 || self.fields.all(f, has(f.position))",
            "with spec.csv.header 0 every one of spec.fields needs its position",
            lambda self: self.csv is None or self.csv.header != 0 or all(f.position for f in self.fields),
        ),
        Rule(
            "!has(self.csv) || self.csv.ragged != 'Quarantine' || (has(self.validation) &&"
            " self.validation.onFailure == 'Quarantine')",
            "spec.csv.ragged Quarantine needs spec.validation.onFailure Quarantine",
            lambda self: (
                self.csv is None or self.csv.ragged != "Quarantine" or self.validation.on_failure == "Quarantine"
            ),
        ),
    )


class ValidationResult(Model):
    """What validation found in the newest delivery."""

    passed: int = Field(description="Rules that every row met.")
    failed: int = Field(description="Rules that some row broke.")
    quarantined_rows: int = Field(default=0, description="Rows put aside.")
    failed_rules: Annotated[tuple[Text, ...], Field(max_length=20)] = Field(
        default=(), description="The broken rules with the number of rows, the worst first."
    )


class SplitRows(Model):
    """Rows per part."""

    train: int = Field(default=0, description="Rows to fit on.")
    validation: int = Field(default=0, description="Rows to choose by.")
    test: int = Field(default=0, description="Rows to judge by.")
    known: int | None = Field(
        default=None,
        description="Of a random split: rows of validation and test whose entityKey has rows in train too; they are "
        "predicted more easily than rows of entities that nobody knows.",
    )


class HistoryEntry(Model):
    """One earlier version."""

    version: int = Field(description="The version's number.")
    digest: Digest = Field(description="The digest of its logical content.")
    artifact: Digest = Field(description="The digest of its files' manifest: its address in the store.")
    time: Timestamp = Field(description="When it was made.")
    rows: int = Field(description="Its rows.")
    delivered_at: Timestamp | None = Field(
        default=None, description="When the newest of the data was delivered that it was made of."
    )
    removed: Removal | None = Field(default=None, description="That spec.retention has taken it, and how far that is.")


class DatasetStatus(Model):
    """What is."""

    observed_generation: int = Field(default=0, description="The generation of the spec this status is about.")
    version: int | None = Field(default=None, description="The current version's number.")
    digest: Digest | None = Field(default=None, description="The digest of the current version's logical content.")
    artifact: Digest | None = Field(default=None, description="The address of its files in the store.")
    schema_digest: Digest | None = Field(default=None, description="The digest of the columns' names, types and roles.")
    rows: int | None = Field(default=None, description="Rows of the current version.")
    bytes: int | None = Field(default=None, description="Bytes of its files.")
    splits: SplitRows | None = Field(default=None, description="Rows per part.")
    watermark: Text | None = Field(
        default=None,
        description="Of a source that is read incrementally: the highest value of its column in the current version's "
        "rows; not of a field with personal data.",
    )
    last_check_time: Timestamp | None = Field(default=None, description="Up to when the source was last synced.")
    last_job: str | None = Field(default=None, description="The Job whose result was last taken in.")
    last_job_time: Timestamp | None = Field(default=None, description="When that Job finished.")
    spec_digest: Digest | None = Field(
        default=None,
        description="The digest of the part of the spec that decides what is read, and with which Secret, as last "
        "looked at.",
    )
    content_digest: Digest | None = Field(
        default=None, description="The digest of the part of the spec that decides the content, as last looked at."
    )
    attempts: int = Field(
        default=0, description="Looks in a row that failed for a passing reason; the next one waits longer."
    )
    retried: Text | None = Field(
        default=None, description="The value of the annotation mlops.dev/retry that was last acted on."
    )
    retried_at: Timestamp | None = Field(
        default=None, description="When that was: the source is synced as of then, not as of the sync that failed."
    )
    validation: ValidationResult | None = Field(default=None, description="What validation found last.")
    delivered_at: Timestamp | None = Field(
        default=None, description="When the newest of the data was delivered that the last good sync read."
    )
    newest_event: Timestamp | None = Field(
        default=None, description="The newest value of the field of role timestamp in the last good sync."
    )
    cycle_seconds: int | None = Field(
        default=None, description="From the delivery of its data to the current version: how long that took."
    )
    removal_attempts: int | None = Field(
        default=None, description="Removals in a row that failed; the next one waits longer."
    )
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=100)] = Field(
        default=(),
        description="The newest 20 versions, the current one first; under spec.retention also older ones whose bytes "
        "are still there.",
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), description="Ready, Reconciling, Stalled, Versioned, Validated, Fresh, WithinRetention."
    )


class Dataset(Resource):
    """Rows with a contract: captured, cleaned, validated, split and versioned by the digest of their content."""

    kind: Literal["Dataset"] = "Dataset"
    spec: DatasetSpec
    status: DatasetStatus = Field(default_factory=DatasetStatus)

    plural: ClassVar = "datasets"
    short_names: ClassVar = ("dset",)
    columns: ClassVar = (
        PrinterColumn("Version", ".status.version", "integer"),
        PrinterColumn("Rows", ".status.rows", "integer"),
        *readiness_columns(
            PrinterColumn("Last Sync", ".status.lastCheckTime", "date", priority=1),
            PrinterColumn("Digest", ".status.digest", priority=1),
        ),
    )
